"""`python -m tests.faults.long_streams`: what a web process needs for downloads that are far larger
than its memory. The short form is test_long_streams.py; the sizes are all that differs.
"""

import os
import re
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.demo.servers import Program, answers, free_port
from tests.faults.conftest import GatewayProcess, end

ROOT = Path(__file__).parents[2]
SITES = 4
"""Names of the one server, because a process streams 16 bodies of one site at once."""
LIMIT_MB = 256
MB = 1024  # KB
ORIGINAL = 'Accept: multipart/related; type="application/dicom"; transfer-syntax=*'
SINGLE = "Accept: application/dicom; transfer-syntax=*"


@dataclass(frozen=True)
class Work:
    """Downloads at once, each of a study of `parts` instances of `size_kb`.

    most_mb  that the process may grow by
    """

    name: str
    parts: int
    size_kb: int
    callers: int = 1
    one_alone: bool = False
    most_mb: float = 16.0

    @property
    def path(self) -> str:
        uid = f"1.2.{self.parts}.{self.size_kb}"
        below = f"/series/{uid}.1/instances/{uid}.1.1" if self.one_alone else ""
        return f"/dicom-web/studies/{uid}{below}"

    @property
    def least_bytes(self) -> int:
        """Of pixels, that each caller gets."""
        return self.parts * self.size_kb * 1024


LONG = (
    Work("a study of 8 GB", 4096, 2 * MB),
    Work("one instance of 4 GB, alone", 1, 3900 * MB, one_alone=True),
    Work("one instance of 4 GB, in a study", 1, 3900 * MB),
    Work("20,000 parts", 20_000, 16),
    Work("32 x 500 MB", 250, 2 * MB, callers=32, most_mb=32.0),
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
def gateway_before_endless_sites(folder: Path) -> Iterator[GatewayProcess]:
    """One web process before the server of endless_site.py."""
    port = free_port()
    command = [sys.executable, "-m", "tests.faults.endless_site", str(port)]
    with Program(
        "endless", command, folder / "endless.log", environ={"PYTHONPATH": str(ROOT)},
        ready=lambda: answers(port, "/studies"),
    ):  # fmt: skip
        lines = ["[region]", 'name_ru = "Область"', 'name_en = "Region"', 'home_site = "s0"']
        for n in range(SITES):
            lines += ["[[site]]", f'id = "s{n}"', f'name_ru = "s{n}"', f'name_en = "s{n}"']
            lines += ['kind = "dicomweb"', f'url = "http://127.0.0.1:{port}"']
        (folder / "region.toml").write_text("\n".join(lines), encoding="utf-8")
        process = GatewayProcess(folder, folder / "region.toml", GATEWAY_SEARCH_DEADLINE_S="60")
        process.start()
        try:
            yield process
        finally:
            end(process)


def measure(gateway: GatewayProcess, work: Work) -> Measured:
    """Do it, and look at the process meanwhile."""
    download(gateway.port, "/sites/s0/dicom-web/studies/1.2.1.1")  # what grows only once has grown
    before_mb, cpu_s, start = gateway.rss_mb, cpu_seconds(gateway), time.monotonic()
    Path(f"/proc/{gateway.worker}/clear_refs").write_text("5")
    with ThreadPoolExecutor(work.callers) as pool:
        paths = [f"/sites/s{n % SITES}{work.path}" for n in range(work.callers)]
        line = SINGLE if work.one_alone else ORIGINAL
        got = list(pool.map(lambda path: download(gateway.port, path, line), paths))
    status = Path(f"/proc/{gateway.worker}/status").read_text()
    peak_mb = int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024
    return Measured(
        time.monotonic() - start,
        min(got) > work.least_bytes,
        peak_mb - before_mb,
        peak_mb,
        cpu_seconds(gateway) - cpu_s,
    )


def cpu_seconds(gateway: GatewayProcess) -> float:
    fields = Path(f"/proc/{gateway.worker}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def download(port: int, path: str, line: str = ORIGINAL) -> int:
    """Bytes of an answer that ended well; 0 if it did not."""
    count, tail, room = 0, b"", bytearray(1 << 20)
    with socket.create_connection(("127.0.0.1", port), 120) as sock:
        request = f"GET {path} HTTP/1.1\r\nHost: gateway\r\n{line}\r\nConnection: close\r\n\r\n"
        sock.sendall(request.encode())
        try:
            while read := sock.recv_into(room):
                count += read
                tail = (tail + bytes(room[max(0, read - 5) : read]))[-5:]
        except ConnectionResetError:
            return 0
    return count if tail == b"0\r\n\r\n" else 0


def main() -> int:
    """Print a line for each work; 1 if one did not keep what is promised."""
    broken = 0
    with tempfile.TemporaryDirectory() as name, gateway_before_endless_sites(Path(name)) as gateway:
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
