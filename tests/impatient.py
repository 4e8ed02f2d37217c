"""The gateway's gunicorn worker with a short patience, and an application that streams for ever."""

from collections.abc import Iterable

from gateway import server

server.STALL_S = 1.0
server.HEAD_S = 1.0
Worker = server.Worker


def application(environ, start_response) -> Iterable[bytes]:
    """GET: a body without end; of /broken one that breaks off. POST: how many bytes came; to /read1
    the bytes themselves, all but the third and fourth read as they came. HEAD: whether it came over
    TLS, as WSGI says."""
    if environ["REQUEST_METHOD"] == "POST":
        sent = environ["wsgi.input"]
        if environ["PATH_INFO"] == "/read1":
            body = sent.read1(2) + sent.read(2) + b"".join(iter(lambda: sent.read1(1 << 20), b""))
        else:
            body = str(len(sent.read())).encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]
    if environ["REQUEST_METHOD"] == "HEAD":
        start_response("200 OK", [("X-Scheme", environ["wsgi.url_scheme"])])
        return []
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    if environ["PATH_INFO"] == "/broken":
        return (b"x" * 1000 if n < 3 else b"%d" % (1 // 0) for n in range(4))
    return iter(lambda: b"x" * 262_144, b"")
