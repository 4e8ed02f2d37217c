"""What a site is found to hold of a study; a real Orthanc of each generation tells."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
import requests

from gateway.clock import Deadline
from gateway.dicom.part10 import Identity, identify
from gateway.model.sites import Site
from gateway.orthanc.holdings import find_stored, list_copies, orthanc_id
from gateway.orthanc.wire import Wire
from tests.orthanc.conftest import as_site
from tests.studies import an_instance

pytestmark = pytest.mark.real

PLAIN = [an_instance(800, number=n, PatientID="P 800 ") for n in (1, 2)]
RUSSIAN = an_instance(801, PatientID="Карта-7")


@pytest.fixture(scope="module")
def site(orthanc_generation: str, start_orthanc: Any) -> Site:
    server = start_orthanc(generation=orthanc_generation)
    for instance in (*PLAIN, RUSSIAN):
        answer = requests.post(
            f"{server.url}/instances", data=instance.data, auth=server.auth, timeout=30
        )
        assert answer.status_code == 200
    return as_site(server)


@pytest.fixture
def wire() -> Iterator[Wire]:
    with closing(Wire()) as made:
        yield made


def stored(wire: Wire, site: Site, *instances: Identity) -> dict[str, tuple[str, ...]]:
    return find_stored(wire, site, instances[0].study_uid, instances, Deadline(30))


def test_stored_instances_are_found_by_the_ids_that_follow_from_them(
    wire: Wire, site: Site
) -> None:
    first, second = (identify(one.data, whole=True) for one in PLAIN)
    everything = list_copies(wire, site, first.study_uid, Deadline(30))
    assert everything == {
        one.sop_instance_uid: (f"/instances/{orthanc_id(one)}",) for one in (first, second)
    }
    assert stored(wire, site, first, second) == everything
    one_alone = {first.sop_instance_uid: everything[first.sop_instance_uid]}
    assert stored(wire, site, first) == one_alone


def test_an_instance_that_is_not_there_is_not_found(wire: Wire, site: Site) -> None:
    first, _ = (identify(one.data, whole=True) for one in PLAIN)
    absent = replace(first, sop_instance_uid=f"{first.sop_instance_uid}.9")
    found = stored(wire, site, first, absent)
    assert found == list_copies(wire, site, first.study_uid, Deadline(30))
    assert absent.sop_instance_uid not in found
    assert stored(wire, site, replace(first, study_uid="1.2.3")) == {}


def test_an_instance_whose_id_does_not_follow_is_found_by_its_uid(wire: Wire, site: Site) -> None:
    one = identify(RUSSIAN.data, whole=True)
    found = stored(wire, site, one)
    assert found.keys() == {one.sop_instance_uid}
    assert found == list_copies(wire, site, one.study_uid, Deadline(30))
