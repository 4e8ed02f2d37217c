"""A region of three hospitals and an archive, of either generation of Orthanc, and the gateway."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest
from pydicom.uid import JPEG2000Lossless, RLELossless

from gateway.demo.servers import OrthancServer
from tests.conftest import StartOrthanc
from tests.running import RunningGateway, load, start_gateway
from tests.studies import Instance, a_study, an_instance

HOSPITALS = ("gkb1", "magnit", "zlat")


@dataclass(frozen=True)
class Region:
    """Running servers and what was loaded into each site."""

    gateway: RunningGateway
    servers: dict[str, OrthancServer]
    loaded: dict[str, list[Instance]]


def region_content() -> dict[str, list[Instance]]:
    """Studies with the troubles of real regions; numbers are those of the studies' UIDs."""
    split = a_study(50, (3,), StudyDate="20260301")
    return {
        "gkb1": [
            *a_study(1, (2, 1), StudyDate="20260101"),
            *a_study(2, (1,), StudyDate="20260102", PatientName="Петров^Пётр", PatientID="111"),
            *split,
            an_instance(60, StudyDate="20260115", syntax=JPEG2000Lossless),
            an_instance(61, StudyDate="20260116", syntax=RLELossless),
        ],
        "magnit": [
            *a_study(10, (1,), StudyDate="20260103", PatientName="Сидорова^Анна", PatientID="111"),
            *a_study(11, (1,), StudyDate="20260104", charset="ISO_IR 144", Modality="MR"),
            *split[:1],
        ],
        "zlat": [
            an_instance(20, StudyDate="20260105", frames=5, Modality="US"),
            *[an_instance(30 + n, StudyDate=f"202602{n:02d}") for n in range(1, 13)],
        ],
        "archive": [],
    }


@pytest.fixture(scope="session")
def region(
    orthanc_generation: str,
    start_orthanc: StartOrthanc,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Region]:
    """Read-only for the tests."""
    yield from start_region(orthanc_generation, start_orthanc, tmp_path_factory, region_content())


@pytest.fixture(scope="session")
def empty_region(
    orthanc_generation: str,
    start_orthanc: StartOrthanc,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Region]:
    """For the tests that store; each takes studies of its own."""
    empty: dict[str, list[Instance]] = {"zlat": [], "archive": []}
    yield from start_region(orthanc_generation, start_orthanc, tmp_path_factory, empty)


def start_region(
    orthanc_generation: str,
    start_orthanc: StartOrthanc,
    tmp_path_factory: pytest.TempPathFactory,
    loaded: dict[str, list[Instance]],
    home: str = "archive",
    settings: Mapping[str, str] | None = None,
) -> Iterator[Region]:
    """Start a server for each site, load it, and put a gateway in front."""
    servers = {name: start_orthanc(name, generation=orthanc_generation) for name in loaded}
    for name, server in servers.items():
        load(server, loaded[name])
    gateway = start_gateway(
        tmp_path_factory.mktemp("gateway"),
        {name: server.url for name, server in servers.items()},
        servers,
        home=home,
        settings=settings,
    )
    yield Region(gateway, servers, loaded)
    gateway.program.stop()
