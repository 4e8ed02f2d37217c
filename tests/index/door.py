"""A door in front of a site that hands on what the site says, or something worse.

It stands before a real Orthanc or a made-up feed; a test gives it what to spoil.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests

from gateway.demo.servers import OrthancServer
from tests.bench.feed_stand_in import FeedSite

Ask = Callable[[str], tuple[int, bytes]]
"""The path and query of a GET -> status and body."""
Spoil = Callable[[str, bytes], bytes | None]
"""The same and the right body -> the body that is sent, or None for status 500."""


@contextmanager
def open_door(ask: Ask, spoil: Spoil) -> Iterator[str]:
    """Serve what `ask` says, as `spoil` makes it; gives the door's URL."""

    class Door(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body leave together: else the kernel holds the body for 40 ms

        def do_GET(self) -> None:
            status, right = ask(self.path)
            body = spoil(self.path, right) if status == 200 else right
            self.send_response(500 if body is None else status)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def ask_feed(feed: FeedSite) -> Ask:
    """A made-up site."""
    return lambda target: (200, feed.answer("GET", target, b""))


def ask_orthanc(server: OrthancServer) -> Ask:
    """A real one."""

    def ask(target: str) -> tuple[int, bytes]:
        accept = {"Accept": "application/dicom+json"} if "/dicom-web/" in target else {}
        answer = requests.get(server.url + target, auth=server.auth, headers=accept, timeout=60)
        return answer.status_code, answer.content

    return ask
