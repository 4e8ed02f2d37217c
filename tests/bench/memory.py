"""`python -m tests.bench.memory`: what a web process grows by while bodies pass it.

A study of half a gigabyte is stored through the gateway and then fetched by many callers at once.
Measured is the most memory that a process has had meanwhile (VmHWM), against what it had before.
"""

import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import orjson

from gateway.demo.servers import OrthancServer, free_port
from tests.bench.client import Broken, Client
from tests.bench.region import USERNAME, Gateway, fill, real_region
from tests.bench.studies import CT, ROOT, CtStudy
from tests.bench.works import ANY_DICOM, BOUNDARY, JSON

LARGE = CtStudy(f"{ROOT}.3")
SLICES = 1000  # of 525 KB
STUDIES = "/dicom-web/studies"
WORKERS = 2


def _body() -> Iterator[memoryview]:
    head = f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    for n in range(SLICES):
        yield memoryview(head + LARGE.file(n) + b"\r\n")
    yield memoryview(f"--{BOUNDARY}--\r\n".encode())


def _store(port: int) -> int:
    """Bytes stored; raises Broken if the answer does not name every slice."""
    client = Client(port)
    kind = f'Content-Type: multipart/related; type="application/dicom"; boundary={BOUNDARY}\r\n'
    client.send_chunked("POST", STUDIES, kind + JSON, _body())
    answer = client.receive(bulk=True)
    client.close()
    if answer.status != 200:
        raise Broken(f"the store was answered with {answer.status}")
    return SLICES * len(CT.files[0])


def _fetch(port: int, study: CtStudy, slices: int) -> int:
    """Bytes of a whole study; raises Broken if it is not whole."""
    client = Client(port)
    answer = client.ask("GET", f"{STUDIES}/{study.study_uid}", ANY_DICOM, bulk=True)
    client.close()
    whole = answer.length > slices * len(study.file(0)) and answer.tail.rstrip().endswith(b"--")
    if answer.status != 200 or not whole:
        raise Broken(f"the retrieve gave {answer.status} and {answer.length} bytes")
    return answer.length


def _status_kb(pid: int, name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) if found else 0


def _measured(gateway: Gateway, name: str, work: Callable[[], int]) -> None:
    """Print what the process that grew most has grown by."""
    before = {pid: _status_kb(pid, "VmRSS") for pid in gateway.web_processes}
    for pid in before:
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak begins anew
    start = time.perf_counter()
    moved = work()
    seconds = time.perf_counter() - start
    grown = {pid: _status_kb(pid, "VmHWM") - rss for pid, rss in before.items()}
    most = max(grown, key=grown.__getitem__)
    print(
        f"| {name} | {moved / 1e9:.1f} GB, {moved / 1e6 / seconds:.0f} MB/s "
        f"| {before[most] / 1024:.0f} MB | {grown[most] / 1024:+.1f} MB |",
        flush=True,
    )


@click.command()
@click.option("--callers", default=32, show_default=True, help="Downloads at a time.")
@click.option("--quick", is_flag=True, help="Four downloads: whether it works.")
def main(callers: int, quick: bool) -> None:
    """Print what a web process grows by during large stores and many large retrieves."""
    callers = 4 if quick else callers
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as name:
        folder = Path(name)
        orthanc = OrthancServer(
            folder / "gkb1", "gkb1", free_port(), free_port(), username=USERNAME, password="secret"
        )
        with orthanc:
            fill(orthanc, [], True)
            region = real_region([orthanc], folder)
            with Gateway("gateway", folder / "web", region, WORKERS) as gateway:
                print("| a web process | moved | before | grown by at most |\n|---|---|--:|--:|")
                with ThreadPoolExecutor(callers) as pool:

                    def by_all(study: CtStudy, slices: int) -> int:
                        ports = [gateway.port] * callers
                        return sum(pool.map(lambda port: _fetch(port, study, slices), ports))

                    by_all(CT, len(CT.files))  # what grows only once has grown
                    _measured(gateway, "one store of 525 MB", lambda: _store(gateway.port))
                    _measured(
                        gateway,
                        f"{callers} retrieves of 525 MB at once",
                        lambda: by_all(LARGE, SLICES),
                    )
                facts = Client(orthanc.http_port, *orthanc.auth).ask("GET", "/statistics").content
    if int(orjson.loads(facts)["CountInstances"]) != len(CT.files) + SLICES:
        sys.exit("instances are missing at the site")


if __name__ == "__main__":
    main()
