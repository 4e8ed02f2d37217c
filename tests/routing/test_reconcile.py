"""What a hospital and its archive hold, compared: real Orthancs, SQLite and PostgreSQL."""

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from gateway.clock import utc_now
from gateway.errors import LeaseLost
from gateway.model.deliveries import State
from gateway.model.routing.actions import SetTag
from gateway.model.sites import Region
from gateway.records.arrivals import Arrived, load_arrival, touch_arrivals
from gateway.records.deliveries import Wanted, delivery
from gateway.records.engine import Records
from gateway.records.planning import Decided, save_decided
from gateway.records.reconciling import (
    Figures,
    Verdict,
    load_figures,
    load_findings,
    load_pairs,
)
from gateway.routing.invariants import find_broken
from gateway.routing.reconcile import Comparison, mend, reconcile
from gateway.worker.audits import Audits
from tests.index.conftest import catch_up
from tests.routing.conftest import Pair, bring, delete, other_content, site_of
from tests.running import load
from tests.studies import Instance, a_study

pytestmark = pytest.mark.real


@pytest.fixture
def region(pair: Pair) -> Region:
    archive = site_of(pair.archive, role="archive")
    return Region("Край", "Region", "gkb1", (pair.source, archive), (pair.destination("orthanc"),))


def sent(
    records: Records, pair: Pair, study: list[Instance], state: State = State.DELIVERED, **how: Any
) -> str:
    """The study's delivery to `archive` is in this state; what is there is the test's to say."""
    uid, now = study[0].study_uid, utc_now()
    row = {"study_uid": uid, "mark": "m", "instance_count": len(study), "changed_at": now}
    with records.write() as connection:
        touch_arrivals(connection, "gkb1", [row], now, filling=False)
    seen = load_arrival(records, "gkb1", uid)
    assert seen is not None
    wanted = Wanted("archive", "routine", "gkb1/r", now, **how)
    decided = Decided(Arrived.PLANNED, manifest=pair.manifest(uid), wanted=(wanted,))
    assert save_decided(records, seen, decided, now, None) == 1
    set_state(records, uid, state)
    return uid


def set_state(records: Records, uid: str, state: State, days_ago: float = 8) -> None:
    """Since so many days ago it has been so: what is new is always compared with hashes."""
    since = utc_now() - timedelta(days=days_ago)
    values = {"state": state, "changed_at": since}
    change = sa.update(delivery).where(delivery.c.study_uid == uid).values(values)
    with records.write() as connection:
        connection.execute(change)


def states(records: Records) -> dict[str, str]:
    with records.read() as connection:
        found = connection.execute(sa.select(delivery.c.study_uid, delivery.c.state))
        return {row.study_uid: row.state for row in found}


def compare(records: Records, region: Region, sample: float = 0.0, **more: Any) -> Figures:
    destination = region.destination("archive")
    assert destination is not None
    return reconcile(records, region, Comparison(region.sites[0], destination, sample), **more)


def findings(records: Records) -> dict[str, tuple[Verdict, int]]:
    found = load_findings(records, "gkb1", "archive")
    return {one.study_uid: (one.verdict, one.lacking) for one in found}


def test_what_is_absent_is_found_and_sent_again(
    records: Records, pair: Pair, region: Region, follow: Any
) -> None:
    whole, part, none, other, way = (bring(pair, a_study(700 + n, (3,))) for n in range(5))
    load(pair.archive, [*whole, *part[:2], *map(other_content, other)])
    for study in (whole, part, none, other):
        sent(records, pair, study)
    sent(records, pair, way, State.PLANNED)
    catch_up(follow(region.sites[1]))

    found = compare(records, region)
    assert (found.complete, found.partial, found.missing, found.waiting) == (2, 1, 1, 1)
    assert (found.compared, found.studies, found.completeness) == (2, 5, 0.4)
    absent = {
        part[0].study_uid: (Verdict.PARTIAL, 1),
        none[0].study_uid: (Verdict.MISSING, 3),
    }
    assert findings(records) == absent
    assert load_figures(records) == {("gkb1", "archive"): found}
    assert load_pairs(records) == [("gkb1", "archive")]

    # The index cannot see another content; who looks with hashes does.
    deep = compare(records, region, 1.0)
    assert (deep.complete, deep.conflicting, deep.compared) == (1, 1, 4)
    assert findings(records)[other[0].study_uid] == (Verdict.CONFLICTING, 0)

    assert mend(records, "gkb1", "archive") == 2
    assert mend(records, "gkb1", "archive") == 0
    assert {uid for uid, state in states(records).items() if state == "planned"} == {
        part[0].study_uid, none[0].study_uid, way[0].study_uid
    }  # fmt: skip
    for study in (part, none):
        outcome = pair.deliver(study, "orthanc")
        assert sum(one.state == "sent" for one in outcome.instances.values()) == (
            1 if study is part else 3
        )
        set_state(records, study[0].study_uid, State.DELIVERED)
    catch_up(follow(region.sites[1]))
    after = compare(records, region)
    assert (after.complete, after.waiting, after.compared) == (4, 1, 0)
    assert findings(records) == {}


def test_what_was_proven_in_the_last_week_is_compared_with_hashes_and_a_sample_of_the_rest(
    records: Records, pair: Pair, region: Region, follow: Any
) -> None:
    """F24: the archive has the same number of images, and other ones."""
    new, old, older = (bring(pair, a_study(750 + n, (1,))) for n in range(3))
    load(pair.archive, [other_content(study[0]) for study in (new, old, older)])
    for study, days_ago in ((new, 6.9), (old, 7.1), (older, 700)):
        set_state(records, sent(records, pair, study), State.DELIVERED, days_ago)
    catch_up(follow(region.sites[1]))
    draws = iter([0.06, 0.04])  # of those that are not new, 5 in 100 are compared
    destination = region.destination("archive")
    assert destination is not None
    by_default = Comparison(region.sites[0], destination, draw=lambda: next(draws))
    found = reconcile(records, region, by_default)
    assert (found.complete, found.conflicting, found.compared) == (1, 2, 2)
    assert findings(records) == {
        study[0].study_uid: (Verdict.CONFLICTING, 0) for study in (new, older)
    }


def test_every_night_what_an_archive_lost_is_sent_again_with_an_alarm_until_it_is_there(
    records: Records, pair: Pair, region: Region
) -> None:
    """F24: restored from an older backup, it has acknowledged what it does not hold."""
    study = bring(pair, a_study(705, (2,)))
    uid = sent(records, pair, study)
    night = Audits(records, lambda: region)

    def alarms() -> set[str]:
        return {kind for kind, _ in find_broken(records, region, utc_now())}

    night.look()
    assert states(records) == {uid: "planned"}
    assert "delivered_lost" in alarms()
    pair.deliver(study, "orthanc")
    set_state(records, uid, State.DELIVERED)
    assert "delivered_lost" not in alarms()
    night.look()
    assert states(records) == {uid: "delivered"}, "the next comparison is due the next night"


def test_only_the_series_that_a_rule_sends_are_expected(
    records: Records, pair: Pair, region: Region
) -> None:
    study = bring(pair, a_study(710, (2, 1)))
    load(pair.archive, study[2:])
    sent(records, pair, study, series=(study[2].series_uid,))
    assert compare(records, region).complete == 1


def test_what_a_rule_changes_on_the_way_is_no_conflict(
    records: Records, pair: Pair, region: Region
) -> None:
    study = bring(pair, a_study(711, (2,)))
    uid = sent(records, pair, study, edits=(SetTag("StationName", "X"),))
    load(pair.archive, study)
    # The archive has the unchanged images: they are not what the rule sends.
    assert compare(records, region, 1.0).conflicting == 1
    assert findings(records) == {uid: (Verdict.CONFLICTING, 0)}


def test_a_silent_archive_is_not_taken_for_an_empty_one(
    records: Records, pair: Pair, region: Region
) -> None:
    study = bring(pair, a_study(712, (2,)))
    sent(records, pair, study)
    pair.proxy.drop()
    uid = study[0].study_uid
    destination = pair.destination("orthanc", server=site_of(pair.archive, "http://127.0.0.1:9"))
    away = Region("Край", "Region", "gkb1", region.sites, (destination,))
    found = compare(records, away)
    assert (found.unknown, found.missing, found.completeness) == (1, 0, 0.0)
    assert [one.reason for one in load_findings(records, "gkb1", "archive")] == ["unreachable"]
    assert mend(records, "gkb1", "archive") == 0
    assert states(records) == {uid: "delivered"}


def test_a_comparison_that_was_ended_leaves_the_last_figures(
    records: Records, pair: Pair, region: Region
) -> None:
    study = bring(pair, a_study(713, (2,)))
    load(pair.archive, study)
    sent(records, pair, study)
    found = compare(records, region)
    delete(pair.archive, study[0].instance_uid)
    with pytest.raises(LeaseLost):
        compare(records, region, alive=lambda: False)
    assert load_figures(records) == {("gkb1", "archive"): found}
    assert compare(records, region).partial == 1
