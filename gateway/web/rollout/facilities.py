"""`/rollout/facilities`: every facility with its shares, a small curve each, and all of them on a
map that is drawn from the coordinates of the register alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import cos, radians
from typing import Any

from flask import Blueprint, Response, request

from gateway.model.access import Action
from gateway.model.rollout.figures import Evidence, Figures, Scope, ScopeKind, Share
from gateway.model.rollout.register import Facility
from gateway.model.wording import Words
from gateway.web.console.frame import choice_of, text_of
from gateway.web.permissions import needs
from gateway.web.rollout.frame import Desk, link
from gateway.web.rollout.language import Language
from gateway.web.rollout.shown import HEIGHT, WIDTH, Shown
from gateway.web.rollout.words import FACILITY_KINDS


class Standing(StrEnum):
    """How far a facility is; each has a shape of its own on the map."""

    WHOLE = "whole"
    PARTLY = "partly"
    NONE = "none"
    EMPTY = "empty"


STANDINGS: Mapping[str, tuple[str, Words]] = {
    Standing.WHOLE: ("●", Words("все аппараты подтверждены", "all units proven")),
    Standing.PARTLY: ("◆", Words("подтверждена часть", "some units proven")),
    Standing.NONE: ("▲", Words("не подтверждён ни один", "none proven")),
    Standing.EMPTY: ("○", Words("рентгена нет", "no X-ray unit")),
}
NOTHING = Figures(Share(0, 0), Share(0, 0), Share(0, 0), {}, {}, {})


@dataclass(frozen=True)
class Row:
    """One facility of the table."""

    facility: Facility
    figures: Figures
    standing: Standing
    town: Words
    sparks: tuple[str, str]

    @property
    def on_film(self) -> int:
        return self.figures.digital.whole - self.figures.digital.part

    @property
    def quiet(self) -> int:
        """Units that are declared digital and send nothing."""
        found = self.figures.by_evidence
        return found.get(Evidence.SILENT, 0) + found.get(Evidence.NEVER, 0)


def _part(share: Share) -> float:
    return share.part / share.whole if share.whole else -1.0


SORTS: Mapping[str, Callable[[Row, Language], Any]] = {
    "name": lambda row, lang: lang.words(row.facility.name).casefold(),
    "municipality": lambda row, lang: lang.words(row.town),
    "units": lambda row, _: row.figures.digital.whole,
    "declared": lambda row, _: _part(row.figures.digital),
    "proven": lambda row, _: _part(row.figures.connected),
    "film": lambda row, _: row.on_film,
    "quiet": lambda row, _: row.quiet,
}
FALLING = frozenset({"units", "film", "quiet"})
"""What one asks for with the most first."""


@dataclass(frozen=True)
class Asked:
    """What a table is asked for."""

    words: str
    municipality: str
    kind: str
    standing: str
    sort: str
    turned: bool

    def address(self, sort: str) -> str:
        """Of the same table sorted by a column; by the same one, turned."""
        values = {k: v for k, v in vars(self).items() if k not in ("sort", "turned") and v}
        turned = "1" if sort == self.sort and not self.turned else None
        return link("facilities", **values, sort=sort, turned=turned, _anchor="table")

    def order(self, sort: str) -> str:
        """As aria-sort tells it."""
        if sort != self.sort:
            return "none"
        return "descending" if (sort in FALLING) is not self.turned else "ascending"


def add_routes(door: Blueprint, desk: Desk) -> None:
    """/rollout/facilities"""

    @door.get("/facilities")
    @needs(Action.READ_FIGURES)
    def facilities() -> Response:
        shown = desk.teller.now()
        asked = _read(request.args)
        return desk.page("facilities", shown, lambda language: _tell(shown, asked, language))


def rows_of(shown: Shown) -> list[Row]:
    """Every facility that stands by itself."""
    found = []
    for one in shown.facilities.values():
        if one.merged_into:
            continue
        scope = Scope(ScopeKind.FACILITY, one.facility_id)
        figures = shown.snapshot.figures.get(scope, NOTHING)
        town = Words(one.municipality, shown.english.get(one.municipality, one.municipality))
        sparks = shown.sparks.get(scope, ("", ""))
        found.append(Row(one, figures, standing_of(figures), town, sparks))
    return found


def towns_of(shown: Shown, language: Language) -> dict[str, tuple[str, Figures]]:
    """What each municipality is called, and its figures, in the order of what they are called."""
    found = {
        name: (language.called(name, shown.english), figures)
        for name, figures in shown.scopes(ScopeKind.MUNICIPALITY).items()
    }
    return dict(sorted(found.items(), key=lambda one: one[1][0]))


def standing_of(figures: Figures) -> Standing:
    """By the units that are proven."""
    if not figures.connected.whole:
        return Standing.EMPTY
    if not figures.connected.part:
        return Standing.NONE
    whole = figures.connected.part == figures.connected.whole
    return Standing.WHOLE if whole else Standing.PARTLY


def _read(given: Mapping[str, str]) -> Asked:
    return Asked(
        text_of(given, "words"),
        text_of(given, "municipality"),
        choice_of(given, "kind", FACILITY_KINDS),
        choice_of(given, "standing", STANDINGS),
        choice_of(given, "sort", SORTS) or "film",
        choice_of(given, "turned", {"1": ""}) == "1",
    )


def _tell(shown: Shown, asked: Asked, language: Language) -> Mapping[str, Any]:
    everything = rows_of(shown)
    rows = [row for row in everything if _fits(row, asked)]
    rows.sort(key=lambda row: SORTS["name"](row, language))
    falling = (asked.sort in FALLING) is not asked.turned
    rows.sort(key=lambda row: SORTS[asked.sort](row, language), reverse=falling)
    return {
        "rows": rows,
        "asked": asked,
        "all": len(everything),
        "standings": STANDINGS,
        "municipalities": {
            town.ru: language.words(town)
            for town in sorted({row.town for row in everything}, key=language.words)
        },
        "towns": towns_of(shown, language),
        "map": _map(rows, language),
        "unplaced": sum(row.facility.latitude is None for row in rows),
        "size": (WIDTH, HEIGHT),
    }


def _fits(row: Row, asked: Asked) -> bool:
    one = row.facility
    named = f"{one.name_ru} {one.name_en} {one.facility_id}".casefold()
    return (
        asked.words.casefold() in named
        and asked.municipality in ("", one.municipality)
        and asked.kind in ("", one.kind)
        and asked.standing in ("", row.standing)
    )


def _map(rows: Sequence[Row], language: Language) -> dict[str, Any]:
    """Places in kilometres east and north of the middle, so that both axes have one scale."""
    placed = [
        (row, row.facility.latitude, row.facility.longitude)
        for row in rows
        if row.facility.latitude is not None and row.facility.longitude is not None
    ]
    middle = sum(lat for _, lat, _ in placed) / len(placed) if placed else 0.0
    km_east, km_north = 111.32 * cos(radians(middle)), 110.57
    towns: dict[Words, list[tuple[float, float]]] = {}
    points = []
    for row, lat, lon in placed:
        x, y = round(lon * km_east, 2), round(lat * km_north, 2)
        towns.setdefault(row.town, []).append((x, y))
        one, share = row.facility, row.figures.connected
        name = language.words(one.name)
        told = f"{language.percent(share)} ({language.of(share)})" if share.whole else "—"
        points.append([x, y, str(row.standing), name, told, one.facility_id])
    return {
        "kind": "map",
        "points": points,
        "towns": [
            [*(_middle([*axis]) for axis in zip(*of, strict=True)), language.words(town), len(of)]
            for town, of in sorted(towns.items(), key=lambda item: -len(item[1]))
        ],
        "names": {code: language.words(words) for code, (_, words) in STANDINGS.items()},
        "address": link("facility", facility_id="ID"),
        "proven": language.say("Подтверждено", "Proven"),
    }


def _middle(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
