"""A region of three real hospitals, each behind a fault proxy, and a real gateway before them.

gkb1 holds COPIED and BESIDE, magnit COPIED, zlat ALONE and (on demand) the large study: a fault of
zlat must never touch what the other two say. Each test gets a gateway process of its own, as in
production but with short limits of time, so that no breaker is left open by the test before.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from gateway.clock import utc_now
from gateway.demo.servers import OrthancServer, answers, free_port
from gateway.records.alarms import close_alarms, load_alarms
from gateway.records.engine import Records, open_records
from tests.chaosproxy import ChaosProxy
from tests.faults.images import Study, make_study
from tests.forked import ForkedProgram

SITES = ("gkb1", "magnit", "zlat")
DEADLINE_S = 1.5
TIMEOUTS = {
    "connect_s": 0.5,
    "search_s": 1.0,
    "first_byte_s": 1.5,
    "idle_s": 2.0,
    "metadata_s": 3.0,
    "store_s": 2.0,
}
COPIED = make_study("copied", instances=2)
BESIDE = make_study("beside", instances=1)
ALONE = make_study("alone", instances=3)


@dataclass
class Hospital:
    """One real Orthanc and the proxy that the gateway knows it by."""

    server: OrthancServer
    proxy: ChaosProxy

    def load(self, study: Study) -> None:
        """Store a study, past the proxy."""
        for instance in study.files:
            answer = requests.post(
                f"{self.server.url}/instances", instance, auth=self.server.auth, timeout=60
            )
            answer.raise_for_status()

    def delete(self, sop_uid: str) -> None:
        """Delete one instance, past the proxy."""
        found = requests.post(
            f"{self.server.url}/tools/lookup", sop_uid, auth=self.server.auth, timeout=10
        )
        for entry in found.json():
            path = f"{self.server.url}/instances/{entry['ID']}"
            requests.delete(path, auth=self.server.auth, timeout=10).raise_for_status()

    def instances_of(self, study_uid: str) -> set[str]:
        """SOP instance UIDs that it holds of a study, asked past the proxy."""
        return {entry["MainDicomTags"]["SOPInstanceUID"] for entry in self._entries(study_uid)}

    def count_of(self, study_uid: str) -> int:
        """Instances that it holds of a study, each of them counted."""
        return len(self._entries(study_uid))

    def _entries(self, study_uid: str) -> list[dict[str, Any]]:
        found = requests.post(
            f"{self.server.url}/tools/find",
            json={"Level": "Instance", "Query": {"StudyInstanceUID": study_uid}, "Expand": True},
            auth=self.server.auth,
            timeout=10,
        )
        return found.json()


class GatewayProcess(ForkedProgram):
    """`gateway web` with one worker, and what the kernel knows of that worker."""

    def __init__(self, folder: Path, region: Path, **environ: str) -> None:
        self.port = free_port()
        super().__init__(
            "gateway",
            [
                sys.executable,
                "-m",
                "gateway.cli",
                "web",
                f"--region={region}",
                f"--port={self.port}",
            ],
            folder / "gateway.log",
            environ={
                "GATEWAY_WEB_WORKERS": "1",
                "GATEWAY_SEARCH_DEADLINE_S": str(DEADLINE_S),
                "PYTHONPATH": str(Path(__file__).parents[2]),
                **environ,
            },
            folder=folder,
            ready=lambda: answers(self.port, "/healthz"),
        )
        self.region_file = region

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def dicomweb(self) -> str:
        return self.url + "/dicom-web"

    def get(self, path: str, **options: Any) -> requests.Response:
        return requests.get(self.url + path, timeout=20, **options)

    @property
    def worker(self) -> int:
        """Process id of the one gunicorn worker."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return int(children[0])

    @property
    def open_files(self) -> int:
        """Sockets and files that the worker holds open."""
        return len(os.listdir(f"/proc/{self.worker}/fd"))

    @property
    def threads(self) -> int:
        return len(os.listdir(f"/proc/{self.worker}/task"))

    @property
    def rss_mb(self) -> float:
        pages = int(Path(f"/proc/{self.worker}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def alarms(self) -> list[tuple[str, str, dict[str, Any]]]:
        """(kind, subject, facts) of each open alarm."""
        with closing(self._records()) as records:
            return [
                (alarm.kind, alarm.subject, dict(alarm.facts)) for alarm in load_alarms(records)
            ]

    def close_alarms(self, subject: str) -> None:
        with closing(self._records()) as records:
            close_alarms(records, subject, "tests", utc_now())

    def _records(self) -> Records:
        return open_records(f"sqlite:///{self.region_file.parent}/.gateway/gateway.db")

    def log_text(self) -> str:
        return self.log_file.read_text(encoding="utf-8", errors="replace")


Region = dict[str, Hospital]
StartGateway = Callable[..., GatewayProcess]


def write_region(
    file: Path, hospitals: Region, sites: tuple[str, ...] = SITES, cached: tuple[str, ...] = ()
) -> None:
    """region.toml in one step, as a careful editor writes it; images of `cached` are kept."""
    lines = ["[region]", 'name_ru = "Область"', 'name_en = "Region"', f'home_site = "{sites[-1]}"']
    for site_id in sites:
        hospital = hospitals[site_id]
        (file.parent / site_id).write_text(hospital.server.password, encoding="utf-8")
        lines += ["[[site]]", f'id = "{site_id}"', f'name_ru = "{site_id}"']
        lines += [f'name_en = "{site_id}"', f'url = "{hospital.proxy.url}"']
        lines += [f'username = "{hospital.server.username}"', f'password_file = "{site_id}"']
        lines += ["cache = true"] if site_id in cached else []
        lines += ["[site.timeouts]", *(f"{name} = {value}" for name, value in TIMEOUTS.items())]
    draft = file.with_suffix(".new")
    draft.write_text("\n".join(lines), encoding="utf-8")
    draft.replace(file)


@pytest.fixture(scope="session")
def built_region(start_orthanc) -> Iterator[Region]:
    """The hospitals with their studies; they live as long as the session."""
    hospitals: Region = {}
    try:
        for site_id in SITES:
            server = start_orthanc(site_id)
            hospitals[site_id] = Hospital(server, ChaosProxy(server.http_port))
        for site_id, study in (
            ("gkb1", COPIED), ("gkb1", BESIDE), ("magnit", COPIED), ("zlat", ALONE)
        ):  # fmt: skip
            hospitals[site_id].load(study)
        yield hospitals
    finally:
        for hospital in hospitals.values():
            hospital.proxy.stop()


@pytest.fixture
def region(built_region: Region) -> Iterator[Region]:
    """The same hospitals, every proxy working well at the start."""
    for hospital in built_region.values():
        hospital.proxy.reset()
    yield built_region
    for hospital in built_region.values():
        hospital.proxy.drop()


@pytest.fixture
def start_gateway(region: Region, tmp_path: Path) -> Iterator[StartGateway]:
    """start_gateway(GATEWAY_MAX_RESULTS="5") -> a running GatewayProcess of this test alone."""
    started: list[GatewayProcess] = []

    def start(**environ: str) -> GatewayProcess:
        file = tmp_path / "region.toml"
        write_region(file, region)
        process = GatewayProcess(tmp_path, file, **environ)
        started.append(process)
        process.start()
        return process

    yield start
    for process in started:
        end(process)


def end(process: GatewayProcess) -> None:
    """End it at once, master and worker; no fault of a site may have been one of the gateway."""
    if process.alive:
        worker = process.worker
        process.kill()
        with suppress(ProcessLookupError):  # it ends by itself within a second
            os.kill(worker, signal.SIGKILL)
    log = process.log_text()
    assert "Traceback" not in log, log


@pytest.fixture
def gateway(start_gateway: StartGateway) -> GatewayProcess:
    """A gateway of this test alone, which has heard of no fault yet."""
    return start_gateway()


@pytest.fixture(scope="session")
def lasting_gateway(
    built_region: Region, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("gateway")
    write_region(folder / "region.toml", built_region)
    process = GatewayProcess(folder, folder / "region.toml")
    process.start()
    yield process
    end(process)


@pytest.fixture
def shared(region: Region, lasting_gateway: GatewayProcess) -> Iterator[GatewayProcess]:
    """One gateway for many tests whose faults are few: each ends with every site well again."""
    yield lasting_gateway
    for hospital in region.values():
        hospital.proxy.reset()
    for _ in range(2):  # answers that outweigh the failures, so that no breaker opens
        answer = lasting_gateway.get("/dicom-web/series")
        assert answer.headers["X-Gateway-Sites"] == "ok=3;failed=0", "a breaker has opened"
