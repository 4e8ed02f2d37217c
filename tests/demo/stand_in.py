"""Stands in for the gateway's commands in tests of the supervisor: `web` answers, `demo` has ended,
others wait.
"""

import http.server
import os
import sys
import time


class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        """The test reads only what the programs say themselves."""


print("started:", " ".join(sys.argv[1:]), flush=True)
if sys.argv[1] == "web":
    address = (os.environ["GATEWAY_BIND"], int(os.environ["GATEWAY_PORT"]))
    http.server.HTTPServer(address, Health).serve_forever()
if sys.argv[1] != "demo":
    time.sleep(600)
