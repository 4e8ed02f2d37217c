from dataclasses import replace
from datetime import UTC, datetime, timedelta

from gateway.model.events import Event
from gateway.records.events import forget_events, load_last_starts, save_event

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
STARTED = Event("gkb1", "Started", "", "", 1, NOON, "1.0", "1.10.1", "a" * 64)


def test_replayed_event_is_recorded_once(records):
    assert [save_event(records, STARTED, NOON), save_event(records, STARTED, NOON)] == [True, False]


def test_last_start_of_each_site_is_known(records):
    save_event(records, STARTED, NOON)
    save_event(records, replace(STARTED, digest="b"), NOON + timedelta(minutes=5))
    save_event(records, replace(STARTED, digest="c", site_id="zlat"), NOON)
    save_event(records, replace(STARTED, digest="d", name="NewInstance", site_id="magnit"), NOON)
    assert load_last_starts(records) == {"gkb1": NOON + timedelta(minutes=5), "zlat": NOON}


def test_old_events_are_forgotten(records):
    save_event(records, STARTED, NOON)
    save_event(records, replace(STARTED, digest="b", site_id="zlat"), NOON + timedelta(days=1))
    assert forget_events(records, NOON + timedelta(hours=1)) == 1
    assert load_last_starts(records) == {"zlat": NOON + timedelta(days=1)}
