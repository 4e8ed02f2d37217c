"""A replay that somebody asked for on the console, done by the keeper's thread."""

from datetime import date, timedelta

import pytest

from gateway.clock import utc_now
from gateway.model.routing.document import parse_rule_set
from gateway.model.sites import Region, Site
from gateway.records.replays import (
    CANCELLED,
    DONE,
    SILENT,
    cancel_replay,
    count_open_replays,
    load_replay,
    load_replays,
    order_replay,
    take_replay,
    tell_progress,
)
from gateway.records.rules import activate, save_version
from gateway.worker.replays import Replays

RULES, MISTAKES = parse_rule_set("""
site: north
rules:
  - id: new
    name: Новые
    state: active
    when: {all: [{field: StudyDate, op: after, value: 2026-01-31}]}
    then: [{do: send, target: archive}]
otherwise: [{do: hold, reason: нет правила}]
""")
SITE = Site("north", "Север", "North", "http://127.0.0.1:9")
REGION = Region("Край", "Region", "north", (SITE,))
DAY = date(2026, 2, 1)


@pytest.fixture
def asked(records):
    assert RULES is not None, MISTAKES
    return order_replay(records, RULES, DAY, 3, "ivanova", utc_now())


def test_a_replay_is_done_and_keeps_its_result(records, asked):
    number = save_version(records, RULES, "ivanova", "x", 0, utc_now())
    activate(records, "north", number, utc_now() + timedelta(days=1), "ivanova", utc_now())
    worker = Replays(records, lambda: REGION)
    assert (worker.work(), worker.work()) == (True, False)
    found = load_replay(records, asked)
    assert (found.state, found.days_done, found.studies) == (DONE, 3, 0)
    assert found.result["sends"] == {}
    assert found.rule_set == RULES
    assert [one.replay_id for one in load_replays(records, "north")] == [asked]


def test_a_cancelled_replay_is_not_done(records, asked):
    assert count_open_replays(records) == 1
    assert cancel_replay(records, asked)
    assert not Replays(records, lambda: REGION).work()
    assert load_replay(records, asked).state == CANCELLED
    assert not cancel_replay(records, asked)
    assert count_open_replays(records) == 0


def test_a_replay_that_is_cancelled_while_it_runs_stops(records, asked):
    taken = take_replay(records, utc_now())
    assert tell_progress(records, taken.replay_id, 1, 10, utc_now())
    cancel_replay(records, asked)
    assert not tell_progress(records, taken.replay_id, 2, 20, utc_now())


def test_a_replay_whose_keeper_died_is_begun_anew(records, asked):
    now = utc_now()
    assert take_replay(records, now).replay_id == asked
    assert take_replay(records, now) is None
    assert take_replay(records, now + SILENT + timedelta(seconds=1)).replay_id == asked
