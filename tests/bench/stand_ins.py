"""Stand-in sites: one process that answers for many hospitals at once, from prepared bodies.

NOT Orthanc: it shows what the gateway itself costs over 10 and 30 sites, where that many Orthancs
would only measure how many fit on this machine. Run as

    python -m tests.bench.stand_ins COUNT DELAY_MS

and it prints its ports as a JSON list, then serves until it is stopped.
"""

import asyncio
import json
import sys
from dataclasses import dataclass
from functools import partial
from urllib.parse import parse_qs, urlsplit

import orjson

from tests.bench.studies import SHARED_PATIENT, SmallStudy, small_studies

STUDIES = 100
FIRST_SITE = 100  # their UIDs differ from those of the real sites


@dataclass(frozen=True)
class Site:
    """What one stand-in says, ready as bytes."""

    rows: dict[str, bytes]
    shared_uid: str
    found_all: bytes
    found_shared: bytes

    def answer(self, method: str, target: str, body: bytes) -> bytes:
        """The JSON for one request: POST /tools/find, or QIDO for studies."""
        parts = urlsplit(target)
        if method == "POST" and parts.path == "/tools/find":
            query = orjson.loads(body)["Query"]
            return self.found_shared if "PatientID" in query else self.found_all
        asked = parse_qs(parts.query)
        if "StudyInstanceUID" in asked:
            uids = asked["StudyInstanceUID"][0].split(",")
        elif "PatientID" in asked:
            uids = [self.shared_uid]
        else:
            uids = list(self.rows)
        return b"[" + b",".join(self.rows[uid] for uid in uids if uid in self.rows) + b"]"


def prepare(number: int) -> Site:
    """The stand-in with this number."""
    studies = small_studies(FIRST_SITE + number, STUDIES)
    found = {study.study_uid: _found(study) for study in studies}
    shared = next(study for study in studies if study.patient_id == SHARED_PATIENT)
    return Site(
        rows={study.study_uid: _row(study) for study in studies},
        shared_uid=shared.study_uid,
        found_all=orjson.dumps(list(found.values())),
        found_shared=orjson.dumps([found[shared.study_uid]]),
    )


def _found(study: SmallStudy) -> dict[str, object]:
    """An entry of /tools/find with Expand, as Orthanc 1.10 writes it."""
    return {
        "ID": f"id-{study.study_uid}",
        "IsStable": True,
        "MainDicomTags": {
            "AccessionNumber": "",
            "ReferringPhysicianName": "",
            "StudyDate": study.date,
            "StudyDescription": "Замер",
            "StudyID": "1",
            "StudyInstanceUID": study.study_uid,
            "StudyTime": study.time,
        },
        "PatientMainDicomTags": {
            "PatientBirthDate": "19500101",
            "PatientID": study.patient_id,
            "PatientName": "ИСПЫТАНИЕ^СКОРОСТЬ",
            "PatientSex": "O",
        },
        "Series": [f"id-{study.study_uid}.1"],
        "Type": "Study",
    }


def _row(study: SmallStudy) -> bytes:
    """A QIDO row with the attributes and the white space of Orthanc 1.10."""
    values: dict[str, tuple[str, object]] = {
        "00080005": ("CS", "ISO_IR 192"),
        "00080020": ("DA", study.date),
        "00080030": ("TM", study.time),
        "00080061": ("CS", "CR"),
        "00081030": ("LO", "Замер"),
        "00081190": ("UR", f"http://localhost/dicom-web/studies/{study.study_uid}"),
        "00100010": ("PN", {"Alphabetic": "ИСПЫТАНИЕ^СКОРОСТЬ"}),
        "00100020": ("LO", study.patient_id),
        "00100030": ("DA", "19500101"),
        "00100040": ("CS", "O"),
        "0020000D": ("UI", study.study_uid),
        "00200010": ("SH", "1"),
        "00201206": ("IS", 1),
        "00201208": ("IS", 1),
    }
    row = {tag: {"vr": vr, "Value": [value]} for tag, (vr, value) in values.items()}
    return json.dumps(row, ensure_ascii=False, indent=3).encode()


class _Door(asyncio.Protocol):
    """HTTP/1.1 for one connection: requests one after another, each answered whole."""

    def __init__(self, site: Site, delay_s: float) -> None:
        self.site = site
        self.delay_s = delay_s
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        while (end := self.received.find(b"\r\n\r\n")) >= 0:
            lines = self.received[:end].decode("latin-1").split("\r\n")
            lengths = [line[15:] for line in lines if line.lower().startswith("content-length:")]
            whole = end + 4 + int(lengths[0] if lengths else 0)
            if len(self.received) < whole:
                return
            body, self.received = self.received[end + 4 : whole], self.received[whole:]
            method, target, _ = lines[0].split(" ")
            answer = self.site.answer(method, target, body)
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/dicom+json\r\n"
            message = head + b"Content-Length: %d\r\n\r\n" % len(answer) + answer
            if self.delay_s:
                asyncio.get_running_loop().call_later(self.delay_s, self._write, message)
            else:
                self._write(message)

    def _write(self, message: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(message)


async def serve(count: int, delay_s: float) -> None:
    """Listen on one port for each site, print the ports, serve for ever."""
    loop = asyncio.get_running_loop()
    servers = [
        await loop.create_server(partial(_Door, prepare(n), delay_s), "127.0.0.1", 0)
        for n in range(count)
    ]
    print(json.dumps([server.sockets[0].getsockname()[1] for server in servers]), flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2]) / 1000))
