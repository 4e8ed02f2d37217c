"""Looks at studies that arrived and decides what becomes of them; worker/arrivals.py has the clock.

Everything here may be done twice: what a study holds is its epoch, and an epoch has one delivery
for each destination.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from gateway.clock import Deadline
from gateway.errors import NotFound, RuleSetRefused
from gateway.model.sites import Site
from gateway.orthanc.manifests import read_manifest
from gateway.orthanc.wire import Wire
from gateway.records.arrivals import Arrival, Arrived, load_due, look_again
from gateway.records.deliveries import load_delivered
from gateway.records.engine import Records
from gateway.records.leases import Fence
from gateway.records.planning import Decided, save_decided, save_looks
from gateway.records.rules import Version, active_versions
from gateway.routing.gather import gather
from gateway.routing.plan import first_look_at, judge_unruled, plan_study

PORTION = 50
TRY_AGAIN = timedelta(seconds=60)


@dataclass(frozen=True)
class Intake:
    """What is needed to judge studies.

    fence  of the keeper that leads: who leads no longer decides nothing
    turn   shared by all writers of a process, as SQLite lets one write
    """

    records: Records
    wire: Wire
    fence: Fence | None
    turn: threading.Lock


def sort_due(
    intake: Intake, site: Site, now: datetime
) -> tuple[list[Arrival], tuple[Version, ...]]:
    """Studies of a site that must be looked at one by one now, and the rules to judge them by.

    What can be told without a look is written at once: that no rules are active, or that it is too
    early.

    raises  RecordsUnavailable, LeaseLost
    """
    while due := load_due(intake.records, site.site_id, now, PORTION):
        ready, versions = _sort(intake, site, due, now)
        if ready:
            return ready, versions
    return [], ()


def _sort(
    intake: Intake, site: Site, due: Sequence[Arrival], now: datetime
) -> tuple[list[Arrival], tuple[Version, ...]]:
    """After it those that are not ready are not due any more."""
    try:
        versions = active_versions(intake.records, site.site_id, now)
    except RuleSetRefused as error:
        refused = Decided(Arrived.FAILED, f"rules: {error.why}", look_at=now + TRY_AGAIN)
        _save(intake, [(seen, refused) for seen in due], now)
        return [], ()
    if unruled := judge_unruled(site, versions):
        _save(intake, [(seen, unruled) for seen in due], now)
        return [], ()
    rule_sets = [version.rule_set for version in versions]
    early = [
        (seen, Decided(None, look_at=look_at))
        for seen in due
        if (look_at := first_look_at(rule_sets, seen)) > now
    ]
    _save(intake, early, now)
    waiting = {seen.study_uid for seen, _ in early}
    return [seen for seen in due if seen.study_uid not in waiting], versions


def _save(intake: Intake, looks: Sequence[tuple[Arrival, Decided]], now: datetime) -> None:
    if looks:
        with intake.turn:
            save_looks(intake.records, looks, now, intake.fence)


def look_at_study(
    intake: Intake, site: Site, seen: Arrival, versions: Sequence[Version], now: datetime
) -> Decided:
    """Judge one study and write what was decided of it.

    raises  SiteError: nothing was written, it is still due; RecordsUnavailable, LeaseLost
    """
    try:
        decided = _judge(intake, site, seen, versions, now)
    except NotFound:
        decided = Decided(Arrived.GONE, "source_gone")
    with intake.turn:
        save_decided(intake.records, seen, decided, now, intake.fence)
    return decided


def _judge(
    intake: Intake, site: Site, seen: Arrival, versions: Sequence[Version], now: datetime
) -> Decided:
    rule_sets = [version.rule_set for version in versions]
    facts = gather(
        intake.records, intake.wire, site, seen.study_uid, rule_sets, now,
        already_at=_already_at(intake.records, seen),
    )  # fmt: skip
    told = " ".join(f"{version.owner}:{version.number}" for version in versions)
    decided = plan_study(rule_sets, facts, seen, told, now)
    if decided.state is None or not decided.wanted:
        return decided
    deadline = Deadline(site.timeouts.metadata_s)
    manifest = read_manifest(intake.wire, site, seen.study_uid, deadline)
    return replace(decided, manifest=manifest)


def _already_at(records: Records, seen: Arrival) -> frozenset[str]:
    """Nobody has all of a study that has changed since it was decided."""
    if seen.growing_since is not None:
        return frozenset()
    return load_delivered(records, seen.site_id, seen.study_uid)


def put_aside(
    intake: Intake, seen: Arrival, reason: str, now: datetime, wait: timedelta = TRY_AGAIN
) -> None:
    """This study cannot be judged now; the others need not wait for it.

    reason  a code, never patient data
    """
    _save(intake, [(seen, Decided(Arrived.FAILED, reason, look_at=now + wait))], now)


def wake_unruled(intake: Intake, site: Site, now: datetime) -> int:
    """Studies that wait for rules are due as soon as there are some; how many."""
    try:
        versions = active_versions(intake.records, site.site_id, now)
    except RuleSetRefused:
        return 0
    if judge_unruled(site, versions):
        return 0
    with intake.turn:
        return look_again(intake.records, site.site_id, now, Arrived.UNRULED)
