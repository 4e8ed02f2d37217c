"""The measuring client itself: a wrong, cut or short answer must never be taken for a fast one."""

import socket
from collections.abc import Callable, Iterator
from threading import Thread

import pytest

from tests.bench.client import WRAP, Answer, Broken, Client

Receive = Callable[..., Answer]


@pytest.fixture
def receive() -> Iterator[Receive]:
    """receive(bytes, bulk=...) -> what the client makes of them; then the server closes."""
    listener = socket.create_server(("127.0.0.1", 0))
    client = Client(listener.getsockname()[1])

    def run(message: bytes, *, bulk: bool = False) -> Answer:
        client.fresh()
        server, _ = listener.accept()

        def answer() -> None:
            with server:
                server.sendall(message)

        thread = Thread(target=answer)
        thread.start()
        try:
            return client.receive(bulk=bulk)
        finally:
            thread.join()

    yield run
    client.close()
    listener.close()


def chunked(*blocks: bytes) -> bytes:
    body = b"".join(b"%x\r\n%b\r\n" % (len(block), block) for block in blocks)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body


def test_length_and_chunks_give_the_same_body(receive: Receive) -> None:
    plain = receive(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabcdef").content
    assert (plain, receive(chunked(b"abc", b"d", b"ef", b"")).content) == (b"abcdef", b"abcdef")


def test_a_bulk_answer_keeps_its_length_and_its_end(receive: Receive) -> None:
    blocks = [bytes([n]) * 200_000 for n in range(8)]
    answer = receive(chunked(*blocks, b"--end--", b""), bulk=True)
    assert (answer.length, answer.tail[-9:]) == (8 * 200_000 + 7, b"\x07\x07--end--")
    assert answer.length > WRAP


def test_an_answer_without_a_length_ends_with_the_connection(receive: Receive) -> None:
    assert receive(b"HTTP/1.1 200 OK\r\n\r\nabc").content == b"abc"


@pytest.mark.parametrize(
    "message",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc",
        chunked(b"abc"),
        chunked(b"abc")[:-4],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n",
        b"HTTP/1.1 200 OK\r\nContent-",
    ],
    ids=["a short body", "no last chunk", "a cut chunk", "a wrong chunk", "a cut head"],
)
def test_a_cut_answer_is_no_answer(receive: Receive, message: bytes) -> None:
    with pytest.raises(Broken):
        receive(message)
