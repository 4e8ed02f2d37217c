"""A DICOMweb server that holds studies of any size and keeps none of them: what it sends is made
while it is sent, without a length, as Orthanc sends studies.

A study is named by what it is: 1.2.PARTS.KB has so many instances of so many kilobytes of pixels.
"""

import json
import struct
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from gateway.dicom.multipart import closing, part_head
from tests.faults.images import file_head

KB = 1024
BLOCK = bytes(1024 * KB)
BOUNDARY = "of-the-endless-site"


class Endless(BaseHTTPRequestHandler):
    """HTTP/1.0: the end of an answer is the end of its connection."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        words = url.path.strip("/").split("/")
        if url.query or words[-1] == "studies":
            self._search(parse_qs(url.query).get("StudyInstanceUID", [""])[0])
        else:
            one_alone = "instances" in words
            self._send(words[words.index("studies") + 1], one_alone=one_alone)

    def _search(self, study_uid: str) -> None:
        row = {
            "0020000D": {"vr": "UI", "Value": [study_uid]},
            "00201208": {"vr": "IS", "Value": [sizes_of(study_uid)[0]]},
        }
        self.send_response(200)
        self.send_header("Content-Type", "application/dicom+json")
        self.end_headers()
        self.wfile.write(json.dumps([row] if study_uid else []).encode())

    def _send(self, study_uid: str, *, one_alone: bool) -> None:
        parts, size = sizes_of(study_uid)
        file = file_head(study_uid)[:-4] + struct.pack("<I", size)
        lines = [("Content-Type", "application/dicom"), ("Content-Length", str(len(file) + size))]
        head = part_head(BOUNDARY, lines) + file
        self.send_response(200)
        kind = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
        self.send_header("Content-Type", kind)
        self.end_headers()
        blocks, rest = divmod(size, len(BLOCK))
        for _ in range(1 if one_alone else parts):
            self.wfile.write(head)
            for _ in range(blocks):
                self.wfile.write(BLOCK)
            self.wfile.write(BLOCK[:rest] + b"\r\n")
        self.wfile.write(closing(BOUNDARY))

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def sizes_of(study_uid: str) -> tuple[int, int]:
    """(instances, bytes of pixels of each)."""
    if study_uid.count(".") != 3:
        return 0, 0
    *_, parts, size_kb = study_uid.split(".")
    return int(parts), int(size_kb) * KB


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # more than callers come at once


if __name__ == "__main__":
    Server(("127.0.0.1", int(sys.argv[1])), Endless).serve_forever()
