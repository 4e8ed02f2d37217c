"""`/rollout/programme`: what was spent, what was delivered and is to come, what it saves, and how
the facilities join.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from flask import Blueprint, Response

from gateway.model.access import Action
from gateway.model.rollout.forecast import COMING
from gateway.model.rollout.measures import is_late
from gateway.model.rollout.register import X_RAY, Facility, Unit
from gateway.web.permissions import needs
from gateway.web.rollout.charts import joining_chart, money_chart, months_chart
from gateway.web.rollout.frame import Desk
from gateway.web.rollout.language import Language
from gateway.web.rollout.shown import Shown


@dataclass(frozen=True)
class Month:
    """Units that became digital by the programme in a month, and those that are to by plan."""

    first: date
    renewed: int
    planned: int


@dataclass(frozen=True)
class Joined:
    """Facilities at the end of a month, all until then."""

    first: date
    joined: int
    planned: int


def add_routes(door: Blueprint, desk: Desk) -> None:
    """/rollout/programme"""

    @door.get("/programme")
    @needs(Action.READ_FIGURES)
    def programme() -> Response:
        shown = desk.teller.now()
        return desk.page("programme", shown, lambda language: tell_programme(shown, language))


def deliveries(shown: Shown) -> list[Month]:
    """By month, from the first to the last that has any."""
    renewed = Counter(day.replace(day=1) for day in shown.renewed_on.values())
    planned = Counter(
        unit.renewal_on.replace(day=1)
        for unit in shown.units.values()
        if unit.renewal_on is not None
        and unit.kind in X_RAY
        and not unit.merged_into
        and unit.renewal_on > shown.snapshot.day
        and (unit.state in COMING or (unit.counts and not unit.is_digital))
    )
    days = [*renewed, *planned]
    return [Month(one, renewed[one], planned[one]) for one in months_of(days)]


def joining(shown: Shown) -> list[Joined]:
    """How many had joined, and how many were to have, by month."""
    standing = [one for one in shown.facilities.values() if not one.merged_into]
    joined = [
        one.joined_on for one in standing if one.joined_on and one.joined_on <= shown.snapshot.day
    ]
    planned = [on for one in standing if (on := one.planned_on or one.joined_on)]
    found = []
    for first in months_of([*joined, *planned]):
        end = _next(first)
        found.append(Joined(first, sum(d < end for d in joined), sum(d < end for d in planned)))
    return found


def late_ones(shown: Shown) -> list[Facility]:
    """Facilities whose day has passed, the latest first."""
    found = [
        one
        for one in shown.facilities.values()
        if not one.merged_into and is_late(one, shown.snapshot.day)
    ]
    return sorted(found, key=lambda one: (one.planned_on or date.max, one.facility_id))


def coming_ones(shown: Shown) -> list[tuple[Unit, Facility]]:
    """What is ordered or stands unpacked, by its day."""
    found = [
        (unit, shown.facilities[unit.facility_id])
        for unit in shown.units.values()
        if unit.state in COMING and not unit.merged_into and unit.facility_id in shown.facilities
    ]
    return sorted(found, key=lambda one: (one[0].renewal_on or date.max, one[0].unit_id))


def months_of(days: list[date]) -> list[date]:
    """The first days of all months from the first of these to the last; none of none."""
    if not days:
        return []
    found, last = [min(days).replace(day=1)], max(days)
    while _next(found[-1]) <= last:
        found.append(_next(found[-1]))
    return found


def _next(first: date) -> date:
    return date(first.year + first.month // 12, first.month % 12 + 1, 1)


def tell_programme(shown: Shown, language: Language) -> Mapping[str, Any]:
    """What the page and the monthly report say of it."""
    by_month, joined = deliveries(shown), joining(shown)
    money = shown.snapshot.region.money
    funding = {
        language.called(name, shown.english) or language.say("не указано", "not named"): spent
        for name, spent in sorted(money.by_funding.items(), key=lambda one: -one[1])
    }
    return {
        "money": money,
        "funding": funding,
        "money_chart": money_chart(funding, language),
        "by_month": by_month,
        "deliveries_chart": months_chart([vars(one) for one in by_month], language),
        "joined": joined,
        "joining_chart": joining_chart([vars(one) for one in joined], shown.snapshot.day, language),
        "late": late_ones(shown),
        "coming": coming_ones(shown),
    }
