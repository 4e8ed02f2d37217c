"""Evidence is counted with the study that gives it, once."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from gateway.dicom.attributes import tag_of
from gateway.model.rollout.minutes import WRONG, Moment
from gateway.model.rollout.senders import Sender, shown_by
from gateway.records.alarms import load_alarms
from gateway.records.evidence import (
    load_days,
    load_modalities,
    load_sender,
    load_senders,
)
from gateway.records.indexing import Cursor, IndexRow, IndexWriter
from gateway.records.sightings import NEW_IN_A_DAY, sender
from tests.sightings import NOW, TODAY, XRAY, ZONE, Region, a_study, element


@pytest.fixture
def region(records):
    return Region(records)


def test_a_study_is_evidence_on_the_day_of_its_site_on_which_it_arrived(region):
    region.show(a_study(1), a_study(2))
    assert region.counted() == {("gkb1", "0042"): ("2026-03-11", "2026-03-11", 2)}
    assert region.studies() == {"gkb1": {"2026-03-11": 2}}
    assert load_modalities(region.records, TODAY, TODAY) == {"gkb1": {"DX": 2}}
    (one,) = load_senders(region.records, TODAY)
    assert one.sender == Sender("gkb1", "АМИКО", "ПроГраф", "0042")
    assert (one.studies, one.by_modality) == (2, {"DX": 2})
    assert load_sender(region.records, one.sender_id) == one.sender
    assert load_days(region.records, [one.sender_id], TODAY, TODAY) == {TODAY: {"DX": 2}}
    assert load_senders(region.records, TODAY - timedelta(days=1)) == []
    later = load_senders(region.records, TODAY + timedelta(days=30))
    assert [(one.last_on, one.studies_30) for one in later] == [(TODAY, 0)]


def test_a_study_that_is_read_again_or_deleted_and_sent_again_counts_once(region):
    region.show(a_study(1))
    once = region.counted(), region.studies()
    later = NOW + timedelta(days=3)
    region.show(a_study(1), now=later)
    region.show(gone=["1.2.1"], now=later)
    assert (region.counted(TODAY), region.studies()) == once, "deletion takes no evidence away"
    region.show(a_study(1), now=later)
    assert (region.counted(TODAY + timedelta(days=3)), region.studies()) == once


def test_a_copy_at_another_hospital_or_the_archive_counts_where_it_first_arrived(region):
    region.show(a_study(1))
    renamed = {**XRAY, "StationName": "COPIED", "InstitutionName": "ГКБ 2"}
    region.show(a_study(1, renamed), site_id="gkb2", now=NOW + timedelta(hours=1))
    region.show(a_study(1, renamed), site_id="archive", now=NOW + timedelta(hours=2))
    assert region.counted() == {("gkb1", "0042"): ("2026-03-11", "2026-03-11", 1)}
    assert region.studies() == {"gkb1": {"2026-03-11": 1}}


def test_the_archive_gives_way_to_the_hospital_and_the_day_stays(region):
    region.show(a_study(1, SeriesDate="20260311"), a_study(2), site_id="archive")
    assert region.counted() == {("archive", "0042"): ("2026-03-11", "2026-03-11", 2)}
    later = NOW + timedelta(days=2)
    named = {**XRAY, "StationName": "ROOM1"}
    region.show(a_study(1, named), site_id="gkb1", now=later)
    region.show(a_study(1), site_id="gkb2", now=later)
    assert region.counted(TODAY + timedelta(days=2)) == {
        ("archive", "0042"): ("2026-03-11", "2026-03-11", 1),
        ("gkb1", "0042"): ("2026-03-11", "2026-03-11", 1),
    }
    assert region.studies() == {"archive": {"2026-03-11": 1}, "gkb1": {"2026-03-11": 1}}
    region.show(a_study(2), site_id="gkb1", now=later)
    assert ("archive", "0042") not in region.counted(TODAY + timedelta(days=2))
    assert region.studies() == {"gkb1": {"2026-03-11": 2}}


def test_reports_marks_and_plans_are_no_evidence_of_a_machine(region):
    region.show(a_study(1, {**XRAY, "Modality": "SR"}, {**XRAY, "Modality": "SEG"}))
    assert (region.counted(), region.studies()) == ({}, {})
    region.show(a_study(1, {**XRAY, "Modality": "SR"}, {**XRAY, "Modality": "MG"}))
    assert load_modalities(region.records, TODAY, TODAY) == {"gkb1": {"MG": 1}}


def test_a_study_of_two_machines_counts_at_both_and_once_at_the_site(region):
    other = {"DeviceSerialNumber": "7", "Modality": "CT"}
    region.show(a_study(1, XRAY))
    region.show(a_study(1, XRAY, other), now=NOW + timedelta(days=1))
    assert region.counted(TODAY + timedelta(days=1)) == {
        ("gkb1", "0042"): ("2026-03-11", "2026-03-11", 1),
        ("gkb1", "7"): ("2026-03-12", "2026-03-12", 1),
    }
    assert region.studies() == {"gkb1": {"2026-03-11": 1}}


OLD = datetime(2024, 5, 1, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("study_date", "changed_at", "day"),
    [
        pytest.param("20240102", OLD, "2024-01-02", id="its own date, if that is earlier"),
        pytest.param("20250102", OLD, "2024-05-01", id="the site's, if that is earlier"),
        pytest.param("", OLD, "2024-05-01", id="the site's alone"),
        pytest.param("20240102", None, "2024-01-02", id="its own alone"),
        pytest.param("18991230", OLD, "2024-05-01", id="no date of before there were images"),
        pytest.param("20990101", OLD, "2024-05-01", id="no date that is to come"),
        pytest.param("", None, "1990-01-01", id="none at all makes nothing alive"),
    ],
)
def test_what_lay_at_a_site_before_we_looked_is_of_its_own_day(region, study_date, changed_at, day):
    region.show(a_study(1, study_date=study_date, changed_at=changed_at), filling=True)
    assert region.counted() == {("gkb1", "0042"): (day, day, 0)}
    assert region.clock() == {}, "nobody knows how long it took"


def test_a_study_of_before_this_version_keeps_the_day_on_which_it_arrived(region):
    """The index has it, evidence has not, and a sweep reads it again."""
    cursor = Cursor(1, "", "following", 0, 0, NOW)
    before = NOW - timedelta(days=90)
    IndexWriter(region.records, "gkb1", None, region.turn).save(cursor, [a_study(1)], now=before)
    region.show(a_study(1))
    assert region.counted() == {("gkb1", "0042"): ("2025-12-11", "2025-12-11", 0)}
    assert region.clock() == {}


def test_dirty_and_hostile_texts_are_cut_and_cleaned(region):
    dirty = {
        "Manufacturer": "  GE\0 \x1b[31mMEDICAL \u202e ", "ManufacturerModelName": "M" * 500,
        "DeviceSerialNumber": 42, "StationName": "A\\B", "Modality": "x" * 99,
    }  # fmt: skip
    series = element(**{name: value for name, value in dirty.items() if name != "StationName"})
    series[tag_of("StationName")] = {"vr": "SH", "Value": [{"Alphabetic": "A\\B"}, "C"]}
    row = a_study(1)
    region.show(IndexRow(row.study, [], shown_by({}, [series], ZONE)))
    (one,) = load_senders(region.records, TODAY)
    assert one.sender == Sender("gkb1", "GE [31mMEDICAL", "M" * 64, "42", "A")
    assert one.by_modality == {"OT": 1}


def test_ten_thousand_names_of_stations_do_not_fill_the_database(region):
    def study(number):
        return a_study(number, *({"StationName": f"S{number}-{at}"} for at in range(100)))

    region.show(*(study(number) for number in range(100)))
    with region.records.read() as connection:
        kept = connection.execute(sa.select(sa.func.count()).select_from(sender)).scalar_one()
    assert kept == NEW_IN_A_DAY + 1, "and one for all others"
    nobody = [one for one in load_senders(region.records, TODAY) if not one.sender.station]
    assert [one.studies_30 for one in nobody] == [100], "studies, not machines"
    assert region.studies() == {"gkb1": {"2026-03-11": 100}}
    assert [one.kind for one in load_alarms(region.records)] == ["senders_without_end"]


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        pytest.param({"SeriesDate": "20260311", "SeriesTime": "012830"}, 90, id="by the series"),
        pytest.param({"SeriesDate": "20260311", "SeriesTime": "0128"}, 120, id="to the minute"),
        pytest.param(
            {"SeriesDate": "20260310", "SeriesTime": "202900.5",
             "TimezoneOffsetFromUTC": "+0000"}, 60, id="in the zone that it names",
        ),
        pytest.param({"SeriesDate": "20260311", "SeriesTime": "013020"}, 0, id="a clock ahead"),
        pytest.param({"SeriesDate": "20260311", "SeriesTime": "013130"}, WRONG, id="too far ahead"),
        pytest.param({"SeriesDate": "20240311", "SeriesTime": "013000"}, WRONG, id="too old"),
    ],
)  # fmt: skip
def test_the_clock_runs_from_the_series_to_the_index(region, said, seconds):
    region.show(a_study(1, {**XRAY, **said}))
    assert region.clock() == {("gkb1", Moment.VISIBLE): {seconds: 1}}


def test_the_clock_takes_the_last_series_then_the_study_then_none(region):
    early = {"SeriesDate": "20260311", "SeriesTime": "010000"}
    late = {"SeriesDate": "20260311", "SeriesTime": "012700"}
    region.show(a_study(1, {**XRAY, **early}, {**XRAY, **late}))
    region.show(a_study(2, XRAY, StudyDate="20260311", StudyTime="012500"))
    region.show(a_study(3, {**XRAY, "SeriesDate": "20260311", "SeriesTime": "dirty"}))
    assert region.clock() == {("gkb1", Moment.VISIBLE): {180: 1, 300: 1}}
