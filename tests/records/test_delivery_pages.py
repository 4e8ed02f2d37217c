"""Lists of the console in pages, and its counts."""

from datetime import timedelta

from gateway.model.deliveries import Event, State
from gateway.model.destinations import Destination
from gateway.records.arrivals import Arrived
from gateway.records.deliveries import Report
from gateway.records.delivery_desk import Filter, exclude, retry
from gateway.records.delivery_pages import (
    count_chosen,
    count_delivered,
    count_open,
    list_arrivals,
    list_page,
    narrowed,
)
from gateway.records.dispatch import claim, save_report
from tests.arrived import NOW, SITE, plan, room, touch

ARCHIVE = Destination("archive", "Архив", "Archive", "dicomweb")


def make(records, *numbers, lane="routine"):
    for n in numbers:
        at = NOW + timedelta(seconds=n // 2)  # two of each moment
        touch(records, f"1.2.{n}", 1, at)
        plan(records, f"1.2.{n}", at, lane=lane)


def pages(records, chosen, size):
    found, after = [], ""
    while page := list_page(records, chosen, size, after):
        found += [one.study_uid for one in page]
        after = page[-1].delivery_id
    return found


def test_pages_hold_each_row_once_whatever_changes_between_them(records):
    make(records, *range(1, 8))
    first = list_page(records, Filter(), 3)
    exclude(records, Filter(study_uid="1.2.7"), "нет", "x", NOW + timedelta(hours=1))
    make(records, 20, 21)
    second = list_page(records, Filter(), 10, first[-1].delivery_id)
    seen = [one.study_uid for one in first + second]
    assert sorted(seen) == [f"1.2.{n}" for n in range(1, 8)]
    assert len(pages(records, Filter(), 2)) == 9


def test_a_page_after_a_row_that_never_was_is_none(records):
    assert list_page(records, Filter(), 3, "0" * 32) is None


def test_open_deliveries_are_counted_by_destination_lane_and_state(records):
    make(records, 1, 2)
    make(records, 3, lane="bulk")
    exclude(records, Filter(study_uid="1.2.1"), "нет", "x", NOW)
    assert count_open(records) == {
        ("archive", "routine", State.EXCLUDED): 1,
        ("archive", "routine", State.PLANNED): 1,
        ("archive", "bulk", State.PLANNED): 1,
    }


def test_delivered_ones_are_counted_since_a_moment(records):
    make(records, 2)
    later = NOW + timedelta(hours=1)
    for event in (Event.SENT, Event.PROVEN):
        (one,) = claim(records, room(), later, None)
        report = Report(event)
        save_report(records, one.delivery_id, one.fence, report, later, "w", ARCHIVE)
    assert count_open(records) == {}
    assert count_delivered(records, ["archive", "other"], later) == {
        "archive": (1, 1000), "other": (0, 0),
    }  # fmt: skip
    assert count_delivered(records, ["archive"], later + timedelta(seconds=1))["archive"] == (0, 0)


def test_a_filter_without_such_a_state_means_nothing(records):
    make(records, 2)
    assert narrowed(Filter((State.DELIVERED,)), [State.PARKED]) is None
    meant = narrowed(Filter(), [State.PARKED, State.PLANNED])
    assert meant is not None
    assert set(meant.states) == {State.PARKED, State.PLANNED}
    assert count_chosen(records, meant) == 1
    assert retry(records, meant, "x", NOW) == 0, "it is planned already"


def test_arrivals_of_one_state_come_in_the_order_of_their_uids(records):
    for n in (3, 1, 2):
        touch(records, f"1.2.{n}", 1, NOW)
    plan(records, "1.2.2", NOW)
    seen = list_arrivals(records, Arrived.SEEN, SITE, 10)
    assert [one.study_uid for one in seen] == ["1.2.1", "1.2.3"]
    assert [one.study_uid for one in list_arrivals(records, Arrived.SEEN, SITE, 1, "1.2.1")] == [
        "1.2.3"
    ]
