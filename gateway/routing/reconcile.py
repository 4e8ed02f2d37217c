"""Does each destination still have what was sent there? Compared by the index first, image by image
where it says otherwise, and with hashes all that is new and a sample of the rest that nobody can
foresee (trust.md H85, F24).

The comparison is the one that proves deliveries (prove.py); it changes nothing. `mend` lets the
deliveries of what is absent begin anew: only what is absent is sent.
"""

import random
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta

from gateway.clock import utc_now
from gateway.errors import LeaseLost
from gateway.model.deliveries import Event, State
from gateway.model.destinations import Destination
from gateway.model.sites import Region, Site
from gateway.orthanc.wire import Wire
from gateway.records.delivery_desk import reopen
from gateway.records.engine import Records
from gateway.records.reconciling import (
    TO_MEND,
    Expected,
    Figures,
    Finding,
    Verdict,
    load_findings,
    load_work,
    save_figures,
    save_findings,
    walk_expected,
)
from gateway.routing.consignment import Consignment, Outcome
from gateway.routing.prove import verify

SAMPLE = 0.05
NEW = timedelta(days=7)
REASON = "audit"
MOST_MENDED = 100_000

_draw = random.SystemRandom().random


@dataclass(frozen=True)
class Comparison:
    """What to compare.

    sample  share of the studies that the index says are whole, which are compared all the same,
            with everything that the destination's `verify` names; so is what was proven lately
    """

    source: Site
    destination: Destination
    sample: float = SAMPLE
    draw: Callable[[], float] = _draw


def reconcile(
    records: Records,
    region: Region,
    comparison: Comparison,
    alive: Callable[[], bool] = lambda: True,
) -> Figures:
    """Compare all that a destination should have of a site, and keep what was found.

    alive   asked between two studies; False ends it, and the last figures stay
    raises  LeaseLost if it was ended; RecordsUnavailable. What sites do wrong is a verdict
    """
    site_id, destination = comparison.source.site_id, comparison.destination.destination_id
    began_at, counts = utc_now(), Counter[str]()
    followed = destination if region.site(destination) else ""
    with closing(Wire()) as wire:
        for page in walk_expected(records, site_id, destination, followed):
            findings = []
            for expected in page:
                if not alive():
                    raise LeaseLost("the reconciliation was ended")
                finding = _judge(records, wire, comparison, expected, counts)
                counts[finding.verdict] += 1
                if finding.verdict not in (Verdict.COMPLETE, Verdict.WAITING):
                    findings.append(finding)
            save_findings(records, findings)
    figures = Figures(site_id, destination, began_at, utc_now(), **counts)
    save_figures(records, figures)
    return figures


def _judge(
    records: Records, wire: Wire, comparison: Comparison, expected: Expected, counts: Counter[str]
) -> Finding:
    def found(verdict: Verdict, lacking: int = 0, reason: str = "") -> Finding:
        return Finding(
            comparison.source.site_id, comparison.destination.destination_id, expected.study_uid,
            verdict, lacking, reason, utc_now(),
        )  # fmt: skip

    if expected.state is not State.DELIVERED:
        return found(Verdict.WAITING)
    whole = expected.there is not None and expected.there >= expected.instance_count
    is_new = expected.changed_at > utc_now() - NEW
    sampled = is_new or comparison.draw() < comparison.sample
    if whole and not sampled:
        return found(Verdict.COMPLETE)
    work = load_work(records, expected.delivery_id)
    if work is None:
        return found(Verdict.WAITING)
    counts["compared"] += 1
    consignment = Consignment(
        comparison.source, comparison.destination, work.manifest, work.made_at, work.actions,
        work.verify if sampled else "SET",
    )  # fmt: skip
    outcome = verify(wire, consignment, lambda: True)
    return found(*_verdict(outcome, expected.instance_count))


def _verdict(outcome: Outcome, count: int) -> tuple[Verdict, int, str]:
    lacking = sum(one.state == "missing" for one in outcome.instances.values())
    if outcome.event is Event.PROVEN:
        return Verdict.COMPLETE, 0, ""
    if outcome.event is Event.CONFLICT:
        return Verdict.CONFLICTING, lacking, outcome.reason
    if outcome.event is Event.INCOMPLETE:
        verdict = Verdict.MISSING if lacking >= count else Verdict.PARTIAL
        return verdict, lacking, outcome.reason
    return Verdict.UNKNOWN, 0, outcome.reason


def mend(records: Records, site_id: str, destination: str) -> int:
    """Send again what the last reconciliation did not find; how many studies.

    Conflicts are left to a person: two contents under one UID cannot both be kept.
    """
    found = load_findings(records, site_id, destination, MOST_MENDED)
    return sum(
        reopen(records, site_id, one.study_uid, destination, REASON, utc_now())
        for one in found
        if one.verdict in TO_MEND
    )
