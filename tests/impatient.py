"""The gateway's gunicorn worker with a short patience, and an application that streams for ever."""

from collections.abc import Iterable

from gateway import server

server.STALL_S = 1.0
server.HEAD_S = 1.0
Worker = server.Worker


def application(environ, start_response) -> Iterable[bytes]:
    """GET: a body without end. POST: how many bytes came."""
    if environ["REQUEST_METHOD"] == "POST":
        body = str(len(environ["wsgi.input"].read())).encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return iter(lambda: b"x" * 262_144, b"")
