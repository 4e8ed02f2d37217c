"""`python -m tests.faults.long_streams`: what a web process needs for studies that are far larger
than its memory. The short form is test_long_streams.py; the sizes are all that differs.

The process cannot have more than LIMIT_MB of its own: the kernel refuses what is beyond.
"""

import os
import re
import resource
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from gateway.demo.servers import OrthancServer, Program, answers, free_port
from gateway.dicom.multipart import closing, part_head
from tests.faults.conftest import GatewayProcess, end
from tests.faults.endless_site import BLOCK, BOUNDARY
from tests.faults.images import file_head

ROOT = Path(__file__).parents[2]
SITES = 4
"""Names of the one server, because a process streams 16 bodies of one site at once."""
LIMIT_MB = 256
MB = 1024  # KB
ORIGINAL = 'Accept: multipart/related; type="application/dicom"; transfer-syntax=*'
SINGLE = "Accept: application/dicom; transfer-syntax=*"


@dataclass(frozen=True)
class Work:
    """Downloads at once, each of a study of `parts` instances of `size_kb`; or one upload.

    way      "study", "alone" (its only instance, as a single part), "up" (to a real Orthanc)
    most_mb  that the process may grow by
    """

    name: str
    parts: int
    size_kb: int
    callers: int = 1
    way: str = "study"
    most_mb: float = 16.0

    @property
    def study_uid(self) -> str:
        return f"1.2.{self.parts}.{self.size_kb}"

    @property
    def least_bytes(self) -> int:
        """Of pixels, for each caller."""
        return self.parts * self.size_kb * 1024


LONG = (
    Work("a study of 8 GB", 4096, 2 * MB),
    Work("one instance of 4 GB, alone", 1, 3900 * MB, way="alone"),
    Work("one instance of 4 GB, in a study", 1, 3900 * MB),
    Work("20,000 parts", 20_000, 16),
    Work("32 x 500 MB at once", 250, 2 * MB, callers=32),
    Work("500 MB up", 1, 500 * MB, way="up"),
)


@dataclass(frozen=True)
class Measured:
    """What one work took; memory of the web process."""

    seconds: float
    whole: bool
    grown_mb: float
    peak_mb: float
    cpu_s: float


@contextmanager
def gateway_under_a_limit(folder: Path) -> Iterator[GatewayProcess]:
    """One web process before the server of endless_site.py, and before an Orthanc to store at."""
    port = free_port()
    command = [sys.executable, "-m", "tests.faults.endless_site", str(port)]
    with Program(
        "endless", command, folder / "endless.log", environ={"PYTHONPATH": str(ROOT)},
        ready=lambda: answers(port, "/studies"),
    ), OrthancServer(
        folder / "orthanc", "gkb1", free_port(), free_port(), username="u", password="p"
    ) as orthanc:  # fmt: skip
        (folder / "secret").write_text(orthanc.password)
        lines = ["[region]", 'name_ru = "Область"', 'name_en = "Region"', 'home_site = "up"']
        lines += [*_site("up"), f'url = "{orthanc.url}"']
        lines += [f'username = "{orthanc.username}"', 'password_file = "secret"']
        for n in range(SITES):
            lines += [*_site(f"s{n}"), 'kind = "dicomweb"', f'url = "http://127.0.0.1:{port}"']
        (folder / "region.toml").write_text("\n".join(lines), encoding="utf-8")
        process = GatewayProcess(folder, folder / "region.toml", GATEWAY_SEARCH_DEADLINE_S="60")
        process.start()
        try:
            most = LIMIT_MB * 2**20
            resource.prlimit(process.worker, resource.RLIMIT_DATA, (most, most))
            yield process
        finally:
            end(process)


def _site(site_id: str) -> list[str]:
    return ["[[site]]", f'id = "{site_id}"', f'name_ru = "{site_id}"', f'name_en = "{site_id}"']


def measure(gateway: GatewayProcess, work: Work) -> Measured:
    """Do it, and look at the process meanwhile."""
    # What grows only once has grown.
    download(gateway.port, "/sites/s0/dicom-web/studies/1.2.1.1", ORIGINAL)
    before_mb, cpu_s, start = gateway.rss_mb, cpu_seconds(gateway), time.monotonic()
    Path(f"/proc/{gateway.worker}/clear_refs").write_text("5")
    with ThreadPoolExecutor(work.callers) as pool:
        got = list(pool.map(lambda n: _carry(gateway.port, work, n), range(work.callers)))
    status = Path(f"/proc/{gateway.worker}/status").read_text()
    peak_mb = int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024
    return Measured(
        time.monotonic() - start,
        min(got) > work.least_bytes,
        peak_mb - before_mb,
        peak_mb,
        cpu_seconds(gateway) - cpu_s,
    )


def _carry(port: int, work: Work, caller: int) -> int:
    """Bytes that came whole to the one who wanted them; 0 if not all did."""
    study = f"/sites/s{caller % SITES}/dicom-web/studies/{work.study_uid}"
    if work.way == "up":
        return upload(port, work)
    if work.way == "study":
        return download(port, study, ORIGINAL)
    uid = work.study_uid
    return download(port, f"{study}/series/{uid}.1/instances/{uid}.1.1", SINGLE)


def cpu_seconds(gateway: GatewayProcess) -> float:
    fields = Path(f"/proc/{gateway.worker}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def upload(port: int, work: Work) -> int:
    """Bytes of a file that the Orthanc says it has; 0 if the answer was no 200."""
    size = work.least_bytes
    file = file_head(work.study_uid)[:-4] + struct.pack("<I", size)

    def body() -> Iterator[bytes]:
        yield part_head(BOUNDARY, [("Content-Type", "application/dicom")]) + file
        yield from (BLOCK for _ in range(size // len(BLOCK)))
        yield b"\r\n" + closing(BOUNDARY)

    kind = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
    answer = requests.post(
        f"http://127.0.0.1:{port}/sites/up/dicom-web/studies",
        data=body(),
        headers={"Content-Type": kind},
        timeout=300,
    )
    return len(file) + size if answer.status_code == 200 else 0


def download(port: int, path: str, line: str) -> int:
    """Bytes of an answer that ended well; 0 if it did not."""
    count, tail, room = 0, b"", bytearray(1 << 20)
    with socket.create_connection(("127.0.0.1", port), 120) as sock:
        request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{line}\r\nConnection: close\r\n\r\n"
        sock.sendall(request.encode())
        head = sock.recv(64 * 1024, socket.MSG_PEEK).partition(b"\r\n\r\n")[0]
        try:
            while read := sock.recv_into(room):
                count += read
                tail = (tail + bytes(room[max(0, read - 5) : read]))[-5:]
        except ConnectionResetError:
            return 0
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    whole = count == len(head) + 4 + int(length[1]) if length else tail == b"0\r\n\r\n"
    return count if whole and head.startswith(b"HTTP/1.1 200") else 0


def main() -> int:
    """Print a line for each work; 1 if one did not keep what is promised."""
    broken = 0
    with tempfile.TemporaryDirectory() as name, gateway_under_a_limit(Path(name)) as gateway:
        for work in LONG:
            found = measure(gateway, work)
            kept = found.whole and found.grown_mb <= work.most_mb and found.peak_mb < LIMIT_MB
            broken += not kept
            gigabytes = work.callers * work.least_bytes / 1e9
            print(
                f"{'good' if kept else 'BAD '} {work.name:34} {found.seconds:6.1f} s  "
                f"{gigabytes / found.seconds:5.2f} GB/s  {found.cpu_s / gigabytes:4.2f} s/GB  "
                f"memory +{found.grown_mb:.1f} MB, peak {found.peak_mb:.0f} MB of {LIMIT_MB}",
                flush=True,
            )
    return min(broken, 1)


if __name__ == "__main__":
    sys.exit(main())
