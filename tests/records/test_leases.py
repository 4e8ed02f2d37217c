from datetime import UTC, datetime, timedelta

from gateway.records.leases import release_lease, take_lease

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SPAN_S = 10.0


def _after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def test_one_holder_leads_and_prolongs(records):
    assert take_lease(records, "keeper", "a", NOON, SPAN_S) == 1
    assert take_lease(records, "keeper", "b", _after(9), SPAN_S) == 0
    assert take_lease(records, "keeper", "a", _after(9), SPAN_S) == 1
    assert take_lease(records, "keeper", "b", _after(18), SPAN_S) == 0


def test_spare_takes_over_when_the_lease_has_ended(records):
    take_lease(records, "keeper", "a", NOON, SPAN_S)
    assert take_lease(records, "keeper", "b", _after(10.1), SPAN_S) == 2
    assert take_lease(records, "keeper", "a", _after(10.2), SPAN_S) == 0


def test_released_lease_is_free_at_once(records):
    take_lease(records, "keeper", "a", NOON, SPAN_S)
    release_lease(records, "keeper", "b", NOON)
    assert take_lease(records, "keeper", "b", NOON, SPAN_S) == 0
    release_lease(records, "keeper", "a", NOON)
    assert take_lease(records, "keeper", "b", NOON, SPAN_S) == 2


def test_leases_of_other_names_stand_apart(records):
    assert take_lease(records, "keeper", "a", NOON, SPAN_S) == 1
    assert take_lease(records, "snapshot", "b", NOON, SPAN_S) == 1
