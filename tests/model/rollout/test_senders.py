"""What the series of a study say of their machines, however dirty."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dicom.attributes import make, tag_of
from gateway.model.rollout.senders import (
    DERIVED,
    IMAGES,
    LONGEST,
    MOST_SENDERS,
    Sender,
    at_site,
    cleaned,
    day_of_old,
    image_modality,
    shown_by,
    study_key,
)

ZONE = ZoneInfo("Asia/Yekaterinburg")
READ = (
    "Modality", "Manufacturer", "ManufacturerModelName", "DeviceSerialNumber", "StationName",
    "InstitutionName", "SeriesDate", "SeriesTime", "StudyDate", "StudyTime",
    "TimezoneOffsetFromUTC", "NumberOfSeriesRelatedInstances",
)  # fmt: skip
DIRTY = st.one_of(
    st.none(), st.text(max_size=80), st.integers(), st.floats(), st.booleans(),
    st.dictionaries(st.sampled_from(["Alphabetic", "x"]), st.text(max_size=5), max_size=2),
    st.lists(st.text(max_size=3), max_size=2),
    st.sampled_from(["20260311", "99991231", "00010101", "235960", "000000", "+1400", "-9999"]),
)  # fmt: skip
ELEMENT = st.one_of(
    st.none(), st.builds(lambda found: {"vr": "LO", "Value": found}, st.lists(DIRTY, max_size=3)),
    st.just({"vr": "LO", "Value": "x"}), st.just({"vr": "LO"}),
)  # fmt: skip
RECORDS = st.dictionaries(st.sampled_from([tag_of(name) for name in READ]), ELEMENT)


def series(**said):
    return {tag_of(name): make(name, value) for name, value in said.items()}


@given(RECORDS, st.lists(RECORDS, max_size=3))
def test_whatever_a_site_says_something_clean_is_read_of_it(study, found):
    shown = shown_by(study, found, ZONE)
    assert len(shown.senders) <= len(found)
    for sender, modality in shown.senders:
        assert modality in {*IMAGES, "OT"}
        for said in vars(sender).values():
            assert len(said) <= LONGEST
            assert said == cleaned(said)
            said.encode()
    assert shown.taken_at is None or shown.taken_at.tzinfo is UTC


def test_no_more_machines_are_read_of_a_study_than_anybody_is_examined_at():
    found = [series(Modality="DX", StationName=f"S{at:04}") for at in range(1000)]
    assert len(shown_by({}, found, ZONE).senders) == MOST_SENDERS


def test_a_machine_counts_by_the_modality_of_most_of_its_images():
    found = [
        series(Modality="CT", StationName="PETCT", NumberOfSeriesRelatedInstances=3),
        series(Modality="PT", StationName="PETCT", NumberOfSeriesRelatedInstances=200),
        series(Modality="SR", StationName="DESK"),
    ]
    assert shown_by({}, found, ZONE).senders == ((Sender("", station="PETCT"), "PT"),)


def test_the_institution_of_the_study_serves_where_a_series_names_none():
    (told,) = shown_by(series(InstitutionName="ГКБ 1"), [series(Modality="DX")], ZONE).senders
    assert told == (Sender("", institution="ГКБ 1"), "DX")


@pytest.mark.parametrize(
    ("said", "read"),
    [("dx ", "DX"), ("SR", ""), ("seg", ""), ("", "OT"), ("CT\\MR", "OT"), ("NEW", "OT")],
)
def test_modalities_are_those_of_machines(said, read):
    assert image_modality(said) == read
    assert not IMAGES & DERIVED


def test_a_machine_is_the_same_at_every_site_and_no_text_runs_into_the_next():
    one = Sender("gkb1", "A", "B")
    assert one.machine == at_site(one, "archive").machine
    assert one.machine != Sender("gkb1", "AB", "").machine
    assert len(study_key("1.2.3")) == 16


@given(st.text(max_size=8), st.none() | st.datetimes(timezones=st.just(UTC)))
def test_no_day_of_the_past_is_in_the_future(study_date, changed_at):
    day = day_of_old(study_date, changed_at, date(2026, 3, 11), ZONE)
    assert date(1990, 1, 1) <= day <= date(2026, 3, 11)


def test_a_change_at_the_end_of_the_calendar_tells_no_day():
    never = datetime(9999, 12, 31, 23, tzinfo=UTC)
    assert day_of_old("20240105", never, date(2026, 3, 11), ZONE) == date(2024, 1, 5)


def test_the_day_of_a_change_is_that_of_the_sites_zone():
    late = datetime(2026, 3, 10, 20, 30, tzinfo=UTC)
    assert day_of_old("", late, date(2026, 3, 11), ZONE) == date(2026, 3, 11)
