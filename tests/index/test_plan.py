"""What the follower decides: pure, over feeds that repeat, shuffle and lose entries."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.index.plan import (
    Doubt,
    Seen,
    is_due,
    is_in_window,
    judge_place,
    plan_cursor,
    plan_due,
    plan_touched,
    plan_unlisted,
    split_fingerprint,
)
from gateway.orthanc.feed import Counts, Entry, Listed, Page
from gateway.records.indexing import Cursor, Known

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


def an_id(number):
    return "-".join([f"{number:08x}"] * 5)


def an_entry(seq, change="NewInstance", level="Instance", number=None):
    return Entry(seq, change, level, an_id(seq if number is None else number), "20260101T101010")


def a_cursor(seq, fingerprint=""):
    return Cursor(seq, fingerprint, "following", 0, 0, NOW)


def a_page(*entries, last=None, done=True):
    last = max((e.seq for e in entries), default=0) if last is None else last
    return Page(tuple(entries), last, done)


HERE = an_entry(7)

PLACES = {
    "number falls back": (a_cursor(7, HERE.fingerprint), a_page(last=3), "replaced"),
    "same entry": (a_cursor(7, HERE.fingerprint), a_page(HERE, an_entry(8)), "same"),
    "other entry at that number": (
        a_cursor(7, HERE.fingerprint),
        a_page(an_entry(7, number=99), an_entry(8)),
        "replaced",
    ),
    "entry is gone": (a_cursor(7, HERE.fingerprint), a_page(an_entry(8)), "gone"),
    "nothing was known of the entry": (a_cursor(7), a_page(an_entry(8)), "same"),
    "empty feed of an empty site": (a_cursor(0), a_page(), "same"),
}


@pytest.mark.parametrize(("cursor", "page", "place"), PLACES.values(), ids=PLACES)
def test_place_in_the_feed_is_judged(cursor, page, place):
    assert judge_place(cursor, page) == place


entries = st.lists(
    st.builds(
        an_entry,
        seq=st.integers(1, 60),
        change=st.sampled_from(["NewInstance", "NewSeries", "NewStudy", "StableStudy"]),
        level=st.sampled_from(["Study", "Series", "Instance"]),
        number=st.integers(1, 9),
    ),
    max_size=40,
)


@given(entries, st.integers(0, 60), st.randoms())
def test_what_is_touched_does_not_depend_on_order_or_repetition(found, after, chance):
    shuffled = [*found, *found[: len(found) // 2]]
    chance.shuffle(shuffled)

    def resources(some):
        return {(entry.level, entry.orthanc_id) for entry in plan_touched(some, after)}

    expected = {(entry.level, entry.orthanc_id) for entry in found if entry.seq > after}
    assert resources(found) == resources(shuffled) == expected
    assert len(plan_touched(shuffled, after)) == len(expected)


@given(entries, st.integers(0, 60), st.booleans())
def test_cursor_never_moves_back_nor_beyond_what_was_seen(found, before, done):
    page = a_page(*found, done=done)
    seq, _ = plan_cursor(a_cursor(before), page)
    assert seq >= before
    assert seq <= max([before, page.last])
    assert all(entry.seq <= seq for entry in found)


@given(entries, st.integers(1, 40))
def test_pages_read_one_after_the_other_touch_everything(found, size):
    feed = sorted({entry.seq: entry for entry in found}.values(), key=lambda entry: entry.seq)
    cursor, touched = a_cursor(0), set()
    while behind := [entry for entry in feed if entry.seq > cursor.seq]:
        page = a_page(*behind[:size], done=len(behind) <= size)
        touched |= {(e.level, e.orthanc_id) for e in plan_touched(page.entries, cursor.seq)}
        cursor = a_cursor(*plan_cursor(cursor, page))
    assert touched == {(entry.level, entry.orthanc_id) for entry in feed}


def test_entries_of_patients_and_of_hostile_names_touch_nothing():
    hostile = Entry(3, "NewStudy", "Study", "../../system", "")
    patient = an_entry(1, "NewPatient", "Patient")
    stable = an_entry(2, "StableSeries", "Series")
    assert plan_touched([patient, stable, hostile], 0) == []


def test_cursor_moves_past_entries_that_were_deleted():
    assert plan_cursor(a_cursor(7, HERE.fingerprint), a_page(last=12)) == (12, "")


def test_fingerprint_names_the_resource():
    assert split_fingerprint(HERE.fingerprint) == ("Instance", an_id(7))
    assert split_fingerprint("") is None


def _known(uid, mark):
    return Known(uid, an_id(1), mark, 1, 1)


def test_only_what_differs_is_read():
    listed = [Listed("1.1", an_id(1), "a"), Listed("1.2", an_id(2), "b"), Listed("1.3", "", "c")]
    known = {"1.1": _known("1.1", "a"), "1.2": _known("1.2", "older")}
    assert [study.study_uid for study in plan_due(listed, known)] == ["1.2", "1.3"]


@given(st.lists(st.integers(0, 40)), st.lists(st.integers(0, 40)))
def test_what_no_page_of_the_list_has_named_is_unlisted(first, second):
    seen = Seen()
    for page in (first, second):  # looking between two pages must not spoil it
        seen.add(f"1.{number}" for number in page)
        assert all(f"1.{number}" in seen for number in page)
    unlisted = plan_unlisted([_known(f"1.{number}", "") for number in range(41)], seen)
    named = {f"1.{number}" for number in [*first, *second]}
    assert {study.study_uid for study in unlisted} == {f"1.{n}" for n in range(41)} - named


def test_difference_must_last_and_is_settled_once():
    doubt, one = Doubt(), Counts(1, 1, 1)
    assert [doubt.weigh(one), doubt.weigh(one)] == [False, True]
    doubt.settle(one)
    assert [doubt.weigh(one), doubt.weigh(one)] == [False, False]


def test_difference_that_changes_all_the_time_is_looked_into_at_last():
    doubt = Doubt()
    weighed = [doubt.weigh(Counts(0, 0, number)) for number in range(1, 11)]
    assert weighed == [False] * 9 + [True]


def test_difference_that_passes_is_forgotten():
    doubt, one, none = Doubt(), Counts(1, 1, 1), Counts(0, 0, 0)
    assert [doubt.weigh(d) for d in (one, none, one, none)] == [False] * 4


@pytest.mark.parametrize(
    ("window", "inside", "outside"),
    [
        ("00:00-24:00", ["00:00", "12:00", "23:59"], []),
        ("20:00-06:00", ["20:00", "23:59", "05:59"], ["06:00", "19:59"]),
        ("08:30-17:00", ["08:30", "16:59"], ["08:29", "17:00"]),
    ],
)
def test_window_is_kept(window, inside, outside):
    def at(text):
        hour, minute = text.split(":")
        return NOW.replace(hour=int(hour), minute=int(minute))

    assert [is_in_window(window, at(text)) for text in inside] == [True] * len(inside)
    assert [is_in_window(window, at(text)) for text in outside] == [False] * len(outside)


def test_clock_set_back_does_not_put_off_the_comparison():
    assert is_due(None, NOW, 60)
    assert not is_due(NOW - timedelta(seconds=59), NOW, 60)
    assert is_due(NOW - timedelta(seconds=60), NOW, 60)
    assert is_due(NOW + timedelta(hours=1), NOW, 60)
