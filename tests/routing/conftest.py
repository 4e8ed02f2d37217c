"""A hospital and an archive, both real, and what a worker needs to bring studies from one to the
other. They are shared: each test takes study numbers of its own."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from gateway.clock import Deadline
from gateway.demo.servers import OrthancServer, free_port
from gateway.model.destinations import Destination, Kind, Limits
from gateway.model.manifests import Manifest
from gateway.model.sites import Secret, Site, Timeouts
from gateway.orthanc.manifests import read_manifest
from gateway.orthanc.wire import Wire
from gateway.routing.consignment import Consignment, Outcome
from gateway.routing.deliver import deliver
from gateway.routing.prove import verify
from tests.chaosproxy import ChaosProxy
from tests.index.conftest import follow, records
from tests.running import load
from tests.studies import Instance, an_instance

__all__ = ["follow", "records"]

PLANNED_AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
PATIENT = Timeouts(connect_s=10, search_s=60, first_byte_s=60, idle_s=60, metadata_s=60, store_s=60)
KEY = Secret("a key of tests alone")


def alive() -> bool:
    return True


def never() -> float:
    """A draw by which FETCH reads nothing back."""
    return 0.999


def always() -> float:
    return 0.0


def site_of(server: OrthancServer, url: str = "", **other: Any) -> Site:
    return Site(
        server.site_id,
        "Больница",
        "Hospital",
        url or server.url,
        username=server.username,
        password=Secret(server.password),
        timeouts=PATIENT,
        **other,
    )


@dataclass
class Pair:
    """hospital sends, archive keeps; each behind a proxy that does wrong on demand."""

    hospital: OrthancServer
    archive: OrthancServer
    source_proxy: ChaosProxy
    proxy: ChaosProxy

    @property
    def source(self) -> Site:
        return site_of(self.hospital, self.source_proxy.url)

    def destination(self, kind: Kind = "dicomweb", **other: Any) -> Destination:
        server = other.pop("server", site_of(self.archive, self.proxy.url, role="archive"))
        limits = other.pop("limits", Limits())
        return Destination(
            "archive", "Архив", "Archive", kind, server, limits=limits, pseudonym_key=KEY, **other
        )

    def manifest(self, study_uid: str) -> Manifest:
        with closing(Wire()) as wire:
            return read_manifest(wire, self.source, study_uid, Deadline(60))

    def consignment(
        self, study: list[Instance], kind: Kind = "dicomweb", **other: Any
    ) -> Consignment:
        """Of what the hospital holds now, unless a manifest is given."""
        of_consignment = {
            name: other.pop(name) for name in ("actions", "verify_by", "manifest") if name in other
        }
        manifest = of_consignment.get("manifest") or self.manifest(study[0].study_uid)
        return Consignment(
            self.source,
            self.destination(kind, **other),
            manifest,
            PLANNED_AT,
            of_consignment.get("actions", ()),
            of_consignment.get("verify_by"),
        )

    def deliver(self, study: list[Instance], kind: Kind = "dicomweb", **other: Any) -> Outcome:
        lives = other.pop("alive", alive)
        with closing(Wire()) as wire:
            return deliver(wire, self.consignment(study, kind, **other), lives)

    def verify(self, study: list[Instance], kind: Kind = "dicomweb", **other: Any) -> Outcome:
        draw = other.pop("draw", never)
        with closing(Wire()) as wire:
            return verify(wire, self.consignment(study, kind, **other), alive, draw)

    def held(self, study_uid: str) -> set[str]:
        """What the archive holds of a study, asked past the proxy."""
        return {entry["MainDicomTags"]["SOPInstanceUID"] for entry in self._entries(study_uid)}

    def files(self, study_uid: str) -> list[bytes]:
        ids = [entry["ID"] for entry in self._entries(study_uid)]
        paths = [f"{self.archive.url}/instances/{one}/file" for one in ids]
        return [requests.get(path, auth=self.archive.auth, timeout=60).content for path in paths]

    def _entries(self, study_uid: str) -> list[dict[str, Any]]:
        answer = requests.post(
            f"{self.archive.url}/tools/find",
            json={"Level": "Instance", "Query": {"StudyInstanceUID": study_uid}, "Expand": True},
            auth=self.archive.auth,
            timeout=60,
        )
        return answer.json()


def delete(server: OrthancServer, sop_uid: str) -> None:
    found = requests.post(f"{server.url}/tools/lookup", sop_uid, auth=server.auth, timeout=60)
    for entry in found.json():
        path = f"{server.url}/instances/{entry['ID']}"
        requests.delete(path, auth=server.auth, timeout=60).raise_for_status()


def other_content(instance: Instance) -> Instance:
    """Another image under the same UIDs."""
    *_, study, series, number = map(int, instance.instance_uid.split("."))
    changed = an_instance(study, series, number, StudyDescription="другое")
    assert changed.instance_uid == instance.instance_uid
    return replace(changed)


@pytest.fixture(scope="session")
def built_pair(start_orthanc: Any, orthanc_generation: str) -> Iterator[Pair]:
    """Both of one generation; each knows the other as a DICOM node."""
    ports = {name: free_port() for name in ("gkb1", "archive")}
    nodes = {name: [name.upper(), "127.0.0.1", port] for name, port in ports.items()}
    servers = {
        name: start_orthanc(
            name,
            generation=orthanc_generation,
            settings={"DicomModalities": nodes, "DicomPort": port},
        )
        for name, port in ports.items()
    }
    hospital, archive = servers["gkb1"], servers["archive"]
    with ChaosProxy(hospital.http_port) as source_proxy, ChaosProxy(archive.http_port) as proxy:
        yield Pair(hospital, archive, source_proxy, proxy)


@pytest.fixture
def pair(built_pair: Pair) -> Iterator[Pair]:
    built_pair.source_proxy.reset()
    built_pair.proxy.reset()
    yield built_pair
    built_pair.source_proxy.drop()
    built_pair.proxy.drop()


def bring(pair: Pair, study: list[Instance]) -> list[Instance]:
    """Load it at the hospital."""
    load(pair.hospital, study)
    return study
