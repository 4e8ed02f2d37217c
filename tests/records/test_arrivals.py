"""Arrivals: touched with the index, due until somebody has looked."""

import threading
from datetime import timedelta

from gateway.records.arrivals import (
    Arrived,
    load_due,
    load_due_sites,
    load_unruled_sites,
    look_again,
    touch_gone,
)
from gateway.records.indexing import Cursor, IndexWriter
from gateway.records.planning import Decided, save_decided, save_looks
from tests.arrived import NOW, SITE, a_manifest, arrival_of, plan, touch


def due(records, now=NOW):
    return [seen.study_uid for seen in load_due(records, SITE, now, 100)]


def decide(records, study_uid, state, now=NOW):
    save_decided(records, arrival_of(records, study_uid), Decided(state, "why"), now, None)


def test_a_study_is_due_until_it_is_decided_and_again_when_it_changes(records):
    touch(records, "1.2.1", 3, NOW)
    assert due(records) == ["1.2.1"]
    decide(records, "1.2.1", Arrived.HELD)
    assert due(records) == []
    touch(records, "1.2.1", 3, NOW)
    assert due(records) == [], "the index read it again and found nothing new"
    touch(records, "1.2.1", 4, NOW)
    assert due(records) == ["1.2.1"]
    seen = arrival_of(records, "1.2.1")
    assert (seen.state, seen.reason, seen.first_seen_at) == (Arrived.HELD, "why", NOW)


def test_what_changes_while_it_is_judged_stays_due(records):
    seen = touch(records, "1.2.1", 3, NOW)
    touch(records, "1.2.1", 4, NOW + timedelta(seconds=1))
    save_decided(records, seen, Decided(Arrived.DROPPED, "why"), NOW, None)
    later = NOW + timedelta(seconds=2)
    assert due(records, later) == ["1.2.1"]
    save_looks(records, [(seen, Decided(Arrived.DROPPED, "why"))], NOW, None)
    assert due(records, later) == ["1.2.1"]


def test_the_backlog_stands_behind_what_is_new(records):
    touch(records, "1.2.1", 3, NOW, filling=True)
    touch(records, "1.2.2", 3, NOW + timedelta(seconds=5))
    assert due(records, NOW + timedelta(seconds=9)) == ["1.2.2", "1.2.1"]
    assert not touch(records, "1.2.1", 4, NOW).backlog, "an image came: it is new"


def test_a_study_that_left_the_index_is_looked_at(records):
    touch(records, "1.2.1", 3, NOW)
    decide(records, "1.2.1", Arrived.HELD)
    with records.write() as connection:
        touch_gone(connection, SITE, ["1.2.1", "1.2.9"], NOW)
    assert due(records) == ["1.2.1"]


def test_studies_without_rules_wait_and_are_woken(records):
    touch(records, "1.2.1", 3, NOW)
    writer = IndexWriter(records, SITE, None, threading.Lock())
    writer.save(Cursor(0, "", "following", 0, 0, NOW))
    assert load_due_sites(records, NOW) == {SITE}
    decide(records, "1.2.1", Arrived.UNRULED)
    assert (load_due_sites(records, NOW), load_unruled_sites(records)) == (frozenset(), {SITE})
    assert look_again(records, SITE, NOW, Arrived.UNRULED) == 1
    assert (due(records), load_unruled_sites(records)) == (["1.2.1"], frozenset())


def test_a_new_manifest_is_a_new_epoch_and_the_same_one_is_none(records):
    touch(records, "1.2.1", 3, NOW)
    assert plan(records, "1.2.1", NOW) == 1
    assert plan(records, "1.2.1", NOW) == 0
    assert plan(records, "1.2.1", NOW, ("archive", "second")) == 1
    seen = arrival_of(records, "1.2.1")
    assert (seen.epoch, seen.manifest_hash) == (1, a_manifest("1.2.1", 3).hash)
    touch(records, "1.2.1", 4, NOW)
    assert plan(records, "1.2.1", NOW) == 1
    assert arrival_of(records, "1.2.1").epoch == 2
