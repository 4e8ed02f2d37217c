"""Bytes go from socket to socket through a pipe, all of them or not at all."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from gateway.orthanc import splice
from gateway.orthanc.splice import CannotSplice, Ended, move, pipe

MUCH = os.urandom(3_000_000)


@pytest.fixture
def pairs() -> Iterator[tuple[socket.socket, socket.socket, socket.socket, socket.socket]]:
    """(far source, source, sink, far sink): what is sent at one end is moved to the other."""
    sockets = (*socket.socketpair(), *socket.socketpair())
    for sock in sockets:
        sock.settimeout(10)
    yield sockets
    for sock in sockets:
        sock.close()


@pytest.fixture(autouse=True)
def no_pipes_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splice, "_idle", type(splice._idle)())


def wait_on(source: socket.socket) -> object:
    return lambda _came: source.recv(1, socket.MSG_PEEK)


def read_all(sock: socket.socket, into: list[bytes]) -> threading.Thread:
    thread = threading.Thread(target=lambda: into.extend(iter(lambda: sock.recv(65536), b"")))
    thread.start()
    return thread


def test_so_many_bytes_are_moved_and_not_one_more(pairs):
    far, source, sink, out = pairs
    got: list[bytes] = []
    reading = read_all(out, got)
    sending = threading.Thread(target=far.sendall, args=(MUCH + b"rest",))
    sending.start()
    with pipe() as through:
        move(source, sink, len(MUCH), through, wait_on(source))
    sink.close()
    sending.join()
    reading.join()
    assert b"".join(got) == MUCH
    assert source.recv(10) == b"rest"


def test_what_cannot_be_spliced_is_told_before_a_byte_is_sent(pairs, tmp_path):
    _, _, sink, out = pairs
    (file := tmp_path / "file").touch()
    with file.open("ab") as source, pytest.raises(CannotSplice), pipe() as through:
        move(source, sink, 10, through, lambda _came: None, b"first")  # type: ignore[arg-type]
    sink.close()
    assert out.recv(10) == b""


def test_a_block_goes_before_what_is_moved(pairs):
    far, source, sink, out = pairs
    far.sendall(b"abc")
    with pipe() as through:
        move(source, sink, 3, through, wait_on(source), b"first ")
    sink.close()
    assert b"".join(iter(lambda: out.recv(100), b"")) == b"first abc"


def test_a_source_that_ends_early_is_told(pairs):
    far, source, sink, _ = pairs
    far.sendall(b"abc")
    far.close()
    with pytest.raises(Ended), pipe() as through:
        move(source, sink, 10, through, wait_on(source))


def test_waiting_is_told_what_came_since(pairs):
    far, source, sink, _ = pairs
    told = []

    def wait(came: int) -> None:
        told.append(came)
        far.sendall(b"x" * 1000)

    with pipe() as through:
        move(source, sink, 3000, through, wait)
    assert told == [0, 1000, 1000]


def test_a_pipe_is_used_again_only_if_it_is_empty(pairs):
    far, source, sink, _ = pairs
    far.sendall(b"abc")
    with pipe() as through:
        move(source, sink, 3, through, wait_on(source))
    with pipe() as again:
        assert again == through
    with suppress(OSError), pipe() as broken:
        os.write(broken[1], b"left")
        raise OSError
    assert broken == through
    with pytest.raises(OSError):
        os.fstat(through[0])


def test_pipes_that_nobody_needs_are_closed(monkeypatch):
    monkeypatch.setattr(splice, "KEPT_PIPES", 1)
    with pipe() as one, pipe() as other:
        pass
    assert list(splice._idle) == [other]
    with pytest.raises(OSError):
        os.fstat(one[0])


def test_without_a_pipe_nothing_is_moved(monkeypatch):
    def refuse(_flags: int) -> tuple[int, int]:
        raise OSError

    monkeypatch.setattr(os, "pipe2", refuse)
    with pytest.raises(CannotSplice), pipe():
        pass
