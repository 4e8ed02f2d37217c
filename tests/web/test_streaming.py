"""What a streamed answer leaves behind, however it ends."""

import socket
import threading
from http.server import ThreadingHTTPServer
from pathlib import Path

from werkzeug.test import create_environ

from gateway.web import create_app
from tests.faults.endless_site import Endless
from tests.web.indexed import indexed_gateway


def test_a_caller_who_is_gone_before_the_head_leaves_the_site_free(tmp_path: Path) -> None:
    """The server asks for a first block, fails to send the head before it, and closes the body."""
    site = ThreadingHTTPServer(("127.0.0.1", 0), Endless)
    threading.Thread(target=site.serve_forever, args=(0.05,), daemon=True).start()
    live = {"gkb1": f"http://127.0.0.1:{site.server_port}"}
    ours, theirs = socket.socketpair()
    try:
        with ours, theirs, indexed_gateway(tmp_path, {"gkb1": ()}, live=live) as gateway:
            environ = create_environ("/dicom-web/studies/1.2.1.1", "http://127.0.0.1:8080")
            environ["gunicorn.socket"] = ours
            body = create_app(gateway)(environ, lambda *_: None)
            assert next(iter(body)) == b""
            assert not gateway.wire.is_idle(gateway.region.sites[0])
            body.close()
            assert gateway.wire.is_idle(gateway.region.sites[0])
    finally:
        site.shutdown()
        site.server_close()
