"""What arrived in the sample region before today: studies by day of the units of hospitals that
have joined, some of which fell silent, never sent, or send though the register knows only film.

No study stands behind it, only counts. The sample studies themselves (catalogue.py) come on top at
the units of the demo hospitals.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from random import Random

import sqlalchemy as sa

from gateway.demo.catalogue import DEVICES
from gateway.demo.machines import MODALITY
from gateway.demo.sample_register import FIRST_AUDIT, SEED
from gateway.model.rollout.matching import site_of_facility
from gateway.model.rollout.minutes import Moment
from gateway.model.rollout.register import (
    X_RAY,
    Facility,
    Revision,
    Unit,
    UnitKind,
    UnitState,
    as_of,
)
from gateway.model.rollout.senders import Sender
from gateway.records.engine import Records
from gateway.records.sightings import Books, sender

SILENT, NEVER = 0.12, 0.22
"""Shares of the digital units of joined facilities that fell silent, and that never sent."""
SENDS_ON_FILM = 0.05
"""Share of the film units whose images arrive all the same."""
UNKNOWN = (
    ("Rayence", "Xmaru 1717", "RX-55120"), ("Konica Minolta", "Aero DR", "KM88-2107"),
    ("DRGEM", "GXR-32S", "DG320451"), ("Italray", "Clinomat", "IT-9031"),
    ("Canon", "CXDI-401C", "CX401-77"),
)  # fmt: skip
CLOCK_DAYS = 120
A_DAY: Mapping[UnitKind, int] = {
    UnitKind.CT: 14, UnitKind.MRI: 9, UnitKind.FLUOROGRAPHY: 22, UnitKind.RADIOGRAPHY: 12,
    UnitKind.ULTRASOUND: 11,
}  # fmt: skip
"""Studies of a unit on a working day; 4 of the others."""


@dataclass(frozen=True)
class Sending:
    """A machine and the days on which it sent."""

    sender: Sender
    modality: str
    a_day: int
    first: date
    last: date


def sendings(
    facilities: list[Revision[Facility]], units: list[Revision[Unit]], today: date
) -> Iterator[Sending]:
    """Who sent when, of the register as it is today."""
    random = Random(SEED)  # noqa: S311 - invented counts, no secrets
    places = as_of(facilities, today)
    since: dict[str, date] = {}
    for revision in units:
        unit = revision.thing
        if unit.counts and (unit.is_digital or unit.kind not in X_RAY):
            since.setdefault(unit.unit_id, max(revision.valid_from, FIRST_AUDIT))
    real = {f"{site_id}-{modality.lower()}" for site_id, modality in DEVICES}
    for unit_id, unit in sorted(as_of(units, today).items()):
        site_id = site_of_facility(unit.facility_id, places)
        joined = _joined(unit.facility_id, places)
        # One draw for each unit, whatever becomes of it: the others stay as they are.
        chance, weeks = random.random(), random.randrange(1, 9)
        if not site_id or joined is None or not unit.counts:
            continue
        if unit_id in real:  # its sample studies come on top, and are told from the next night on
            chance = 1.0
        start = max(since.get(unit_id, joined), joined) + timedelta(weeks=weeks)
        last = today
        if not unit.is_digital:
            if chance > SENDS_ON_FILM:
                continue
        elif chance < NEVER or unit.state is UnitState.IDLE:
            continue
        elif chance < NEVER + SILENT:
            last = today - timedelta(days=40 + int(chance * 300))
        if start <= last:
            machine = Sender(
                site_id, unit.manufacturer, unit.model, unit.serial, unit_id.upper()[:16],
                places[unit.facility_id].name_ru[:64],
            )  # fmt: skip
            modality = MODALITY.get(unit.kind, "DX")
            yield Sending(machine, modality, A_DAY.get(unit.kind, 4), start, last)
    yield from _unknown(places, today)


def _joined(facility_id: str, places: Mapping[str, Facility]) -> date | None:
    one: Facility | None = places[facility_id]
    if one is not None and one.joined_on is None:
        one = places.get(one.parent_id)
    return one.joined_on if one is not None else None


def _unknown(places: Mapping[str, Facility], today: date) -> Iterator[Sending]:
    sites = sorted(one.site_id for one in places.values() if one.site_id.startswith("hosp"))
    for turn, (maker, model, serial) in enumerate(UNKNOWN[: len(sites)]):
        site_id = sites[turn * len(sites) // len(UNKNOWN)]
        place = next(one for one in places.values() if one.site_id == site_id)
        machine = Sender(site_id, maker, model, serial, "", place.name_ru[:64])
        yield Sending(machine, "DX", 5, today - timedelta(days=60 + turn), today)


def write_sendings(records: Records, found: list[Sending], today: date, now: datetime) -> None:
    """Count them as if they had been seen at those days (records/sightings.py)."""
    random = Random(SEED + 1)  # noqa: S311 - as above
    books = Books()
    with records.write() as connection:
        for one in found:
            row = {**vars(one.sender), "machine": one.sender.machine, "noted_at": now}
            added = connection.execute(sa.insert(sender).values(row).returning(sender.c.sender_id))
            _count(books, one, int(added.scalar_one()), today, random)
        books.write(connection)


def _count(books: Books, one: Sending, sender_id: int, today: date, random: Random) -> None:
    for ago in range((one.last - one.first).days + 1):
        day = one.last - timedelta(days=ago)
        if day.weekday() == 6 or (ago and random.random() < 0.2):
            continue
        studies = random.randint(1, 2 * one.a_day - 1) // (2 if day.weekday() == 5 else 1) or 1
        books.sender(sender_id, day, one.modality, studies)
        books.study(day, one.sender.site_id, studies)
        if (today - day).days < CLOCK_DAYS:
            visible = random.choice((24, 42, 66, 84, 102, 240))
            books.clock(day, one.sender.site_id, Moment.VISIBLE, visible, studies)
            archived = visible + random.choice((60, 180, 600))
            books.clock(day, one.sender.site_id, Moment.ARCHIVED, archived, studies)
