"""Evidence through a real keeper: what is stored at a hospital's Orthanc proves its unit."""

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest

from gateway.clock import utc_now
from gateway.model.rollout.register import (
    Capture,
    Facility,
    FacilityKind,
    Unit,
    UnitKind,
    UnitState,
)
from gateway.model.rollout.suggestions import Suggester
from gateway.records.evidence import load_studies
from gateway.records.indexing import load_sums
from gateway.records.studies import load_index_states
from gateway.rollout import saying
from gateway.rollout.evidence import look, suggest
from tests.index.kills import delete, keepers, listed
from tests.running import load
from tests.studies import a_study
from tests.waiting import wait_until

pytestmark = pytest.mark.real

ZONE = ZoneInfo("Asia/Yekaterinburg")
ME = "00aa11bb22cc33dd"
HOSPITAL = Facility("f1", "ГКБ 1", "", FacilityKind.HOSPITAL, "Город", site_id="gkb1")
FACILITIES = {"f1": HOSPITAL}
XRAY = {"Modality": "DX", "Manufacturer": "АМИКО", "ManufacturerModelName": "ПроГраф",
        "DeviceSerialNumber": "0042"}  # fmt: skip
MAMMOGRAPH = {"Modality": "MG", "Manufacturer": "HOLOGIC, Inc.", "StationName": "MG-ROOM7"}


def a_unit(unit_id, kind, *texts):
    return Unit(unit_id, "f1", kind, *texts, None, Capture.DIGITAL, UnitState.ACTIVE)


UNITS = {
    one.unit_id: one
    for one in (
        a_unit("xray", UnitKind.RADIOGRAPHY, "Amico", "Програф", "42"),
        a_unit("mammograph", UnitKind.MAMMOGRAPHY, "Hologic", "Dimensions", ""),
    )
}


def test_what_is_stored_at_a_hospital_proves_its_unit(
    start_orthanc, orthanc_generation, records, tmp_path
):
    servers = {
        name: start_orthanc(name, generation=orthanc_generation) for name in ("gkb1", "archive")
    }
    hospital, archive = servers["gkb1"], servers["archive"]
    load(hospital, a_study(1, (1,), StudyDate="20240105", **XRAY))

    def seen(day=None, **known):
        return look(records, UNITS, FACILITIES, day or utc_now().astimezone(ZONE).date(), **known)

    def studies():
        days = load_studies(records, date(1990, 1, 1), date(2099, 1, 1))
        return {site_id: sum(found.values()) for site_id, found in days.items()}

    def waits_for(what, expected):
        wait_until(lambda: what() == expected, 60, "evidence")

    def is_read(site_id):
        state = load_index_states(records).get(site_id)
        return state is not None and state.phase == "following"

    with keepers(tmp_path, servers, records) as start:
        start()
        wait_until(lambda: is_read("gkb1") and is_read("archive"), 60, "the first fill")
        old = seen().units["xray"]
        assert (old.last_on, old.studies_30) == (date(2024, 1, 5), 0), "an archive proves nothing"

        fresh = a_study(2, (2, 1), **XRAY)
        load(hospital, fresh)
        waits_for(lambda: seen().units["xray"].studies_30, 1)
        load(archive, fresh)
        wait_until(lambda: load_sums(records, "archive") == (1, 2, 3), 60, "the copy")
        assert studies() == {"gkb1": 2}, "a copy counts where it first arrived"
        for study in listed(hospital, "studies"):
            delete(hospital, "studies", study)
        wait_until(lambda: load_sums(records, "gkb1")[0] == 0, 60, "the deletion")
        assert (seen().units["xray"].studies_30, studies()) == (1, {"gkb1": 2})

        load(hospital, a_study(3, (1,), **MAMMOGRAPH))
        waits_for(lambda: len(seen().unknown), 1)
        found = seen()
        (stranger,) = found.unknown
        suggester = Suggester(UNITS, FACILITIES)
        told = suggest(suggester, found.unknown, found.matched, found.alive)[stranger.sender_id]
        assert [one.unit_id for one in told.near] == ["mammograph"]
        assert told.new.kind is UnitKind.MAMMOGRAPHY

    now = utc_now()
    made = saying.accept(records, stranger.sender_id, "mammograph", author=ME, now=now)
    assert seen().units["mammograph"].studies_30 == 1
    before = now - timedelta(seconds=1)
    assert "mammograph" not in seen(known_at=before).units
    saying.undo(records, made, author=ME, now=utc_now())
    assert "mammograph" not in seen().units
    assert [one.sender_id for one in seen().unknown] == [stranger.sender_id]
