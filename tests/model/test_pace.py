"""How a destination is asked more, less, or not at all."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from gateway.model.deliveries import Event
from gateway.model.destinations import Limits
from gateway.model.pace import FULL, Pace, after
from gateway.model.windows import next_opening

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
LIMITS = Limits(parallel=8, breaker_failures=3, breaker_s=60)


def told(pace, *words, reason="timeout"):
    for event in words:
        pace = after(pace, event, "" if event is Event.SENT else reason, LIMITS, NOW)
    return pace


def test_failures_halve_and_successes_add_one_by_one():
    pace = told(Pace(8.0), Event.FAILED, Event.FAILED)
    assert pace.room(LIMITS, NOW) == 2
    pace = told(pace, *[Event.SENT] * 50)
    assert (pace.room(LIMITS, NOW), pace.failures) == (8, 0)


def test_after_failures_it_rests_and_then_one_tries():
    pace = told(Pace(8.0), *[Event.FAILED] * 3)
    assert pace.room(LIMITS, NOW) == 0
    assert pace.room_for_emergencies() > 0, "these have their own back-off"
    later = NOW + timedelta(seconds=60)
    assert pace.room(LIMITS, later) == 1
    assert told(pace, Event.SENT).rests_until is None


def test_a_full_one_rests_at_once_and_no_proof_of_old_studies_wakes_it():
    pace = told(Pace(8.0), Event.FAILED, reason=FULL)
    assert pace.room(LIMITS, NOW) == 0
    assert told(pace, Event.PROVEN) == pace
    assert told(pace, Event.SENT).room(LIMITS, NOW) > 0


def test_one_that_refuses_our_password_is_not_asked_again():
    pace = told(Pace(8.0), Event.DENIED, reason="denied")
    assert pace.blocked
    assert (pace.room(LIMITS, NOW + timedelta(days=9)), pace.room_for_emergencies()) == (0, 0)


def test_what_the_hospital_does_wrong_is_not_the_destinations():
    assert told(Pace(8.0), *[Event.FAILED] * 9, reason="source_silent") == Pace(8.0)


def test_outside_its_hours_only_emergencies_go():
    limits = Limits(windows=("20:00-06:00",), time_zone="UTC")
    assert (Pace(4.0).room(limits, NOW), Pace(4.0).room_for_emergencies()) == (0, 2)


@pytest.mark.parametrize(
    ("windows", "hour", "opens"),
    [
        ((), 9, 9), (("08:00-10:00",), 9, 9), (("10:00-12:00",), 9, 10),
        (("20:00-06:00",), 9, 20), (("20:00-06:00",), 23, 23), (("20:00-06:00",), 5, 5),
        (("20:00-24:00", "12:00-13:00"), 9, 12), (("01:00-02:00",), 9, 25),
    ],
)  # fmt: skip
def test_hours_begin_in_the_places_own_time(windows, hour, opens):
    zone = ZoneInfo("Asia/Yekaterinburg")
    day = datetime(2026, 11, 22, tzinfo=zone)
    found = next_opening(windows, zone, (day + timedelta(hours=hour)).astimezone(UTC))
    assert found == day + timedelta(hours=opens)
