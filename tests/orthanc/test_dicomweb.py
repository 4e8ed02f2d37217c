"""Searches at a DICOMweb server that is no Orthanc."""

from collections.abc import Iterator

import pytest

from gateway.clock import Deadline
from gateway.dicom.attributes import Level
from gateway.dicom.query import parse_query
from gateway.errors import SiteRefused
from gateway.orthanc import dicomweb
from gateway.orthanc.wire import Wire
from tests.chaosproxy import ChaosProxy, Fault, http, once, says
from tests.fakes import a_site

ROWS = says(http("200 OK", b'[{"0020000D": {"vr": "UI", "Value": ["1.2.3"]}}]'))
QUERY = parse_query(Level.STUDY, [], max_results=10)


@pytest.fixture
def wire() -> Iterator[Wire]:
    wire = Wire()
    yield wire
    wire.close()


def search(wire: Wire, fault: Fault) -> tuple[list[str], int]:
    """(studies found, requests that it took)"""
    with ChaosProxy(site_port=1) as server:
        server.fault = fault
        site = a_site("north", url=server.url, kind="dicomweb")
        try:
            page = dicomweb.search(wire, site, QUERY, Deadline(5.0))
            return sorted(page.uids), len(server.seen)
        except SiteRefused as error:
            return [str(error.status)], len(server.seen)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_that_stumbles_is_asked_once_more(wire: Wire, status: int) -> None:
    """F5"""
    refuses = says(http(f"{status} Oops", b"<html>Traceback</html>"))
    assert search(wire, once(refuses, ROWS)) == (["1.2.3"], 2)
    assert search(wire, refuses) == ([str(status)], 2)


@pytest.mark.parametrize("status", [400, 404, 501, 507])
def test_what_it_means_is_not_asked_again(wire: Wire, status: int) -> None:
    assert search(wire, once(says(http(f"{status} No", b"")), ROWS)) == ([str(status)], 1)
