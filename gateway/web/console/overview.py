"""`/console`: what waits, runs, failed and is parked, of every destination and lane; what arrived
and goes nowhere; how the sites stand; and what to do about the open alarms.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from flask import Blueprint, Response

from gateway.bootstrap import Gateway, Reread
from gateway.clock import utc_now
from gateway.model.access import Action
from gateway.model.deliveries import State
from gateway.model.routing.rule_sets import LANES
from gateway.records.arrivals import count_arrivals
from gateway.records.delivery_pages import count_delivered, count_open
from gateway.web.console.alarms import tell, visible
from gateway.web.console.frame import reach, show
from gateway.web.console.sites import read_sites, within_reach
from gateway.web.console.words import GROUPS, STATES_OF_ARRIVALS
from gateway.web.permissions import needs

COUNTS_AGE_S = 2.0
DAY = timedelta(hours=24)
COLUMNS = ("due", "running", "again", "people", "excluded")


@dataclass(frozen=True)
class Row:
    """One destination and lane; `counts` by group of states."""

    destination: str
    lane: str
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Counts:
    """Everything that is counted; delivered: deliveries and bytes of the last day."""

    rows: tuple[Row, ...]
    delivered: Mapping[str, tuple[int, int]]
    arrivals: Mapping[str, Mapping[str, int]]

    def total(self, group: str) -> int:
        return sum(row.counts[group] for row in self.rows)


def add_routes(door: Blueprint, gateway: Gateway) -> None:
    """/console"""
    counts_now = Reread(lambda: read_counts(gateway, None), COUNTS_AGE_S)
    sites_now = read_sites(gateway)

    @door.get("/")
    @needs(Action.READ_DELIVERIES)
    def overview() -> Response:
        within = reach()
        counts = counts_now.get() if within is None else read_counts(gateway, within)
        return show(
            gateway, "overview", counts=counts, columns=COLUMNS, groups=GROUPS,
            states_of_arrivals=STATES_OF_ARRIVALS, alarms=visible(gateway), tell=tell,
            sites=within_reach(sites_now.get()),
        )  # fmt: skip


def read_counts(gateway: Gateway, within: frozenset[str] | None) -> Counts:
    """Of these sites or of all; a destination without an open delivery has one row of nothing."""
    records = gateway.records
    open_ones = count_open(records, within)
    known = [one.destination_id for one in gateway.region.destinations]
    others = {destination for destination, _, _ in open_ones}.difference(known)
    names = [*known, *sorted(others)]
    rows = []
    for name in names:
        lanes = [lane for lane in LANES if any(key[:2] == (name, lane) for key in open_ones)]
        rows += [Row(name, lane, _grouped(open_ones, name, lane)) for lane in lanes or ("",)]
    arrivals: dict[str, dict[str, int]] = defaultdict(dict)
    for (site_id, arrived), count in count_arrivals(records).items():
        if within is None or site_id in within:
            arrivals[site_id][arrived] = count
    return Counts(
        tuple(rows), count_delivered(records, names, utc_now() - DAY, within), dict(arrivals)
    )  # fmt: skip


def _grouped(
    counts: Mapping[tuple[str, str, State], int], destination: str, lane: str
) -> Mapping[str, int]:
    return {
        group: sum(counts.get((destination, lane, state), 0) for state in GROUPS[group].states)
        for group in COLUMNS
    }
