"""A real mail server (aiosmtpd) and a real HTTP receiver, which keep what they got."""

from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from aiosmtpd.controller import Controller

from gateway.demo.servers import free_port


class Post:
    """What a mail server does with mails: takes them, or answers `answer` to each."""

    def __init__(self):
        self.mails: list[EmailMessage] = []
        self.answer = "250 OK"
        self.refused: tuple[str, ...] = ()

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address in self.refused:
            return "550 no such person"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if self.answer.startswith("250"):
            self.mails.append(message_from_bytes(envelope.content, policy=default))
        return self.answer


@contextmanager
def run_mail_server(post: Post, port: int = 0, **options) -> Iterator[int]:
    """Listens on the port that it gives."""
    server = Controller(post, hostname="127.0.0.1", port=port or free_port(), **options)
    server.start()
    try:
        yield server.port
    finally:
        server.stop()


class Hook(ThreadingHTTPServer):
    """Answers `status` to each POST and keeps (headers, body)."""

    daemon_threads = True

    def __init__(self):
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.status = 204
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hooks/gateway"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((dict(self.headers), body))
        self.send_response(self.server.status)
        self.send_header("Location", "http://127.0.0.1:9/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@contextmanager
def run_hook() -> Iterator[Hook]:
    hook = Hook()
    thread = Thread(target=hook.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield hook
    finally:
        hook.shutdown()
        thread.join()
        hook.server_close()
