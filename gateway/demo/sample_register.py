"""The register of the sample region: 240 organisations, 176 territorial units, 150 feldsher points
and about 1,300 modality units, with their history since the first audit. Writes nothing.

Deterministic: the same seed makes the same rows. 38 % of the X-ray equipment was digital on
2025-01-01 and 56 % on 2026-01-01, as in the programme that the sample is like.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from random import Random

from gateway.demo.catalogue import DEVICES
from gateway.demo.layout import SITES
from gateway.demo.machines import (
    DEMO_KINDS,
    DIGITISER_PRICE,
    FILM,
    FUNDING,
    MODELS,
    ODDS,
    PRICE,
    STOCK,
)
from gateway.demo.places import (
    CHELYABINSK,
    CLINICS,
    MAGNITOGORSK,
    TOWNS,
    VILLAGES,
    ZLATOUST,
    Town,
)
from gateway.model.rollout.register import (
    X_RAY,
    Capture,
    Facility,
    FacilityKind,
    Unit,
    UnitKind,
    UnitState,
)

SEED = 38_56
FIRST_AUDIT = date(2024, 12, 31)
"""The first day that the register knows of: the figure of 2025-01-01 is that of its end."""
X_RAY_UNITS, DIGITAL_2025, RENEWED_2025, RENEWED_2026 = 1043, 396, 188, 120
ORGANISATIONS = (
    (FacilityKind.HOSPITAL, 57), (FacilityKind.CLINIC, 84), (FacilityKind.PRIVATE, 95),
)  # fmt: skip
"""Besides the four of the demo region."""
TERRITORIAL_UNITS, FELDSHER_POINTS = 176, 150
JOINED, LATE = 70, 22
PLANNED, ORDERED = 230, 55
"""Units that are to be renewed after the sample's own time, and those of them that are bought."""
UNDECLARED = "zlat-cr"
"""Takes film, says the register; its images arrive all the same."""
_HOMES = {"gkb1": CHELYABINSK, "magnit": MAGNITOGORSK, "zlat": ZLATOUST, "archive": CHELYABINSK}


@dataclass
class Batch:
    """What was written together."""

    written_on: date
    reason: str
    facilities: list[tuple[Facility, date]] = field(default_factory=list)
    units: list[tuple[Unit, date]] = field(default_factory=list)


def sample_batches(seed: int = SEED) -> list[Batch]:
    """The whole register in the order in which it was written."""
    random = Random(seed)  # noqa: S311 - invented hospitals, no secrets
    facilities = list(_facilities(random))
    joins = list(_joins(facilities))
    units, keys = _units(facilities, random)
    first = Batch(FIRST_AUDIT, "Первичный аудит оборудования")
    first.facilities = [(one, FIRST_AUDIT) for one in facilities]
    first.units = [(one, FIRST_AUDIT) for one in units]
    batches = [first, *joins, *_renewals(units, keys, random)]
    return sorted(batches, key=lambda batch: batch.written_on)


def _facilities(random: Random) -> Iterator[Facility]:
    for site in SITES:
        town = _HOMES[site.site_id]
        kind = FacilityKind.CLINIC if site.role == "archive" else FacilityKind.HOSPITAL
        yield _placed(site.site_id, site.name_ru, site.name_en, kind, town, random)
    hospitals: dict[Town, list[str]] = {}
    for kind, count in ORGANISATIONS:
        for number in range(count):
            town = TOWNS[number % len(TOWNS)] if random.random() < 0.7 else random.choice(TOWNS[:9])
            one = _organisation(kind, number, town, random)
            if kind is FacilityKind.HOSPITAL:
                hospitals.setdefault(town, []).append(one.facility_id)
            yield one
    for number in range(TERRITORIAL_UNITS + FELDSHER_POINTS):
        town = random.choice(sorted(hospitals))
        yield _part(number, town, random.choice(hospitals[town]), random)


def _organisation(kind: FacilityKind, number: int, town: Town, random: Random) -> Facility:
    words = {
        FacilityKind.HOSPITAL: ("hosp", "Больница", "Hospital"),
        FacilityKind.CLINIC: ("clin", "Поликлиника", "Out-patient Clinic"),
    }
    if kind is FacilityKind.PRIVATE:
        ru, en = CLINICS[number % len(CLINICS)]
        turn = number // len(CLINICS) + 1
        name = (f"ООО «{ru}» — {turn} ({town.ru})", f"{en} {turn} LLC ({town.en})")
        return _placed(f"priv-{number + 1:03d}", *name, kind, town, random)
    short, ru, en = words[kind]
    name = (f"{ru} № {number + 1} ({town.ru})", f"{en} No. {number + 1} ({town.en})")
    return _placed(f"{short}-{number + 1:02d}", *name, kind, town, random)


def _part(number: int, town: Town, parent_id: str, random: Random) -> Facility:
    ru, en = VILLAGES[number]
    if number < TERRITORIAL_UNITS:
        name = (f"Врачебная амбулатория, с. {ru}", f"Outpatient Unit, {en}")
        place, kind = f"terr-{number + 1:03d}", FacilityKind.TERRITORIAL_UNIT
    else:
        name = (f"ФАП, д. {ru}", f"Feldsher Point, {en}")
        place = f"fap-{number - TERRITORIAL_UNITS + 1:03d}"
        kind = FacilityKind.FELDSHER_POINT
    planned = date(2027, 1, 1) + timedelta(days=random.randrange(720))
    one = _placed(place, *name, kind, town, random, spread=0.35)
    return replace(one, parent_id=parent_id, planned_on=planned)


def _placed(
    facility_id: str, name_ru: str, name_en: str, kind: FacilityKind, town: Town,
    random: Random, spread: float = 0.05,
) -> Facility:  # fmt: skip
    latitude = town.latitude + random.uniform(-spread, spread) * 0.6
    longitude = town.longitude + random.uniform(-spread, spread)
    oid = f"1.2.643.5.1.13.13.12.2.99.{random.randrange(1000, 99999)}"
    return Facility(
        facility_id, name_ru, name_en, kind, town.ru, round(latitude, 5), round(longitude, 5), oid,
        municipality_en=town.en,
    )  # fmt: skip


def _joins(facilities: list[Facility]) -> Iterator[Batch]:
    """Who joined when; sets the planned days of the others in `facilities`."""
    days = {"gkb1": date(2025, 3, 3), "archive": date(2025, 3, 3), "magnit": date(2025, 4, 14),
            "zlat": date(2025, 6, 2)}  # fmt: skip
    turn = 0
    for place, one in enumerate(facilities):
        if one.parent_id:
            continue
        # Hospitals and clinics before private ones, as they stand.
        day = days.get(one.facility_id)
        if day is None and one.kind is not FacilityKind.PRIVATE and turn < JOINED:
            day = date(2025, 4, 1) + timedelta(days=turn * 590 // JOINED)
            turn += 1
        elif day is None:
            turn += 1
            late = turn % 7 == 0 and turn < JOINED + 7 * LATE
            start = date(2026, 3, 1) if late else date(2026, 12, 15)
            planned = start + timedelta(days=(turn * 37) % (200 if late else 500))
            facilities[place] = replace(one, planned_on=planned)
            continue
        planned = day - timedelta(days=(place * 11) % 60)
        facilities[place] = replace(one, planned_on=planned)
        joined = replace(facilities[place], joined_on=day, site_id=one.facility_id)
        yield Batch(day, "Подключение к региональной сети", [(joined, day)])


def _units(facilities: Sequence[Facility], random: Random) -> tuple[list[Unit], dict[str, float]]:
    """All units as the first audit found them, and how soon each is digital: the highest first."""
    found: list[Unit] = []
    keys: dict[str, float] = {}
    for (site_id, modality), device in DEVICES.items():
        kind, capture = DEMO_KINDS[modality]
        maker, model, serial, _ = device
        unit_id = f"{site_id}-{modality.lower()}"
        film = unit_id == UNDECLARED
        capture = Capture.ANALOGUE if film else capture
        found.append(
            Unit(unit_id, site_id, kind, maker, model, serial, 2019, capture, UnitState.ACTIVE)
        )
        keys[unit_id] = -1.0 if film else 3.0
    turns = dict.fromkeys(FacilityKind, 0)
    wanted: list[tuple[Facility, UnitKind]] = []
    for facility in facilities:
        if facility.facility_id in _HOMES or not STOCK[facility.kind]:
            continue
        stock = STOCK[facility.kind]
        wanted += [(facility, kind) for kind in stock[turns[facility.kind] % len(stock)]]
        turns[facility.kind] += 1
    wanted = _exactly(wanted, X_RAY_UNITS - sum(one.kind in X_RAY for one in found))
    for number, (facility, kind) in enumerate(wanted):
        unit_id = f"u-{number + 1:04d}"
        odds = ODDS.get(kind, 1.0)
        keys[unit_id] = 2.0 if odds == 1.0 else random.random() ** (1 / odds)
        found.append(_film(unit_id, facility.facility_id, kind, random))
    order = sorted((one for one in found if one.kind in X_RAY), key=lambda one: -keys[one.unit_id])
    digital = {one.unit_id for one in order[:DIGITAL_2025]}
    named = [
        _digital(one, random)
        if one.kind not in X_RAY or (one.unit_id in digital and one.unit_id.startswith("u-"))
        else one
        for one in found
    ]
    return named, keys


def _exactly(
    wanted: list[tuple[Facility, UnitKind]], count: int
) -> list[tuple[Facility, UnitKind]]:
    """With so many X-ray units: dental ones are added to hospitals, or taken away at the end."""
    more = count - sum(kind in X_RAY for _, kind in wanted)
    hospitals = [facility for facility, kind in wanted if kind is UnitKind.C_ARM]
    wanted = wanted + [(hospitals[n], UnitKind.DENTAL) for n in range(max(more, 0))]
    for _ in range(max(-more, 0)):
        last = max(n for n, (_, kind) in enumerate(wanted) if kind is UnitKind.DENTAL)
        del wanted[last]
    return wanted


def _film(unit_id: str, facility_id: str, kind: UnitKind, random: Random) -> Unit:
    maker, model = FILM.get(kind) or random.choice(MODELS[kind])
    serial, year = f"{random.randrange(10**4, 10**6)}-{unit_id[2:]}", random.randint(1992, 2012)
    chance = random.random()
    state = UnitState.IDLE if chance < 0.03 else UnitState.ACTIVE
    state = UnitState.REPAIR if chance > 0.96 else state
    return Unit(unit_id, facility_id, kind, maker, model, serial, year, Capture.ANALOGUE, state)


def _digital(unit: Unit, random: Random) -> Unit:
    """The same place with a digital unit, or in a few cases with a digitiser."""
    if unit.unit_id[:2] != "u-":
        return unit
    if unit.kind in FILM and random.random() < 0.3:
        return replace(unit, capture=Capture.DIGITISER)
    maker, model = random.choice(MODELS[unit.kind])
    year = random.randint(2013, 2024)
    return replace(unit, manufacturer=maker, model=model, year=year, capture=Capture.DIGITAL)


def _renewals(units: list[Unit], keys: dict[str, float], random: Random) -> Iterator[Batch]:
    """Month by month since the audit; sets the plans of those that are still to come."""
    waiting = [
        one for one in units
        if one.kind in X_RAY and one.capture is Capture.ANALOGUE and one.unit_id != UNDECLARED
    ]  # fmt: skip
    waiting.sort(key=lambda one: -keys[one.unit_id])
    first = _spread(RENEWED_2025, date(2025, 2, 3), date(2025, 12, 22))
    second = _spread(RENEWED_2026, date(2026, 1, 19), date(2026, 11, 16))
    days = [*first, *second]
    months: dict[tuple[int, int], Batch] = {}
    for turn, (unit, day) in enumerate(zip(waiting, days, strict=False)):
        batch = months.setdefault(
            (day.year, day.month), Batch(day, f"Ввод в эксплуатацию, {day:%m.%Y}")
        )
        batch.written_on = day
        if turn % 7 == 0:
            batch.units += _replaced(unit, day, turn, random)
        else:
            line = FUNDING[(0, 0, 1, 0, 2)[turn % 5]]
            price = DIGITISER_PRICE + random.randrange(-90, 140) * 1000
            renewed = replace(
                unit, capture=Capture.DIGITISER, funding=line.ru, funding_en=line.en, cost=price,
                renewed=True,
            )  # fmt: skip
            batch.units.append((renewed, day))
    yield from months.values()
    yield _plans(waiting[len(days) :], random)


def _spread(count: int, first: date, last: date) -> list[date]:
    """So many days, one after the other."""
    span = (last - first).days
    return [first + timedelta(days=span * n // (count - 1)) for n in range(count)]


def _replaced(unit: Unit, day: date, turn: int, random: Random) -> Iterator[tuple[Unit, date]]:
    """A new unit in the place of one that is written off at the same day."""
    maker, model = random.choice(MODELS[unit.kind])
    line = FUNDING[turn % 3]
    new = replace(
        unit, unit_id=f"n-{unit.unit_id[2:]}", manufacturer=maker, model=model, year=day.year,
        serial=f"N{random.randrange(10**5, 10**6)}-{turn}", capture=Capture.DIGITAL,
        state=UnitState.ORDERED, funding=line.ru, funding_en=line.en,
        cost=PRICE[unit.kind] // 1000 * random.randint(950, 1080), renewed=True,
    )  # fmt: skip
    yield new, max(day - timedelta(days=120), FIRST_AUDIT)
    yield replace(new, state=UnitState.INSTALLED), day - timedelta(days=12)
    yield replace(new, state=UnitState.ACTIVE), day
    yield replace(unit, state=UnitState.DECOMMISSIONED), day


def _plans(waiting: Sequence[Unit], random: Random) -> Batch:
    """What is planned, and what of it is bought but does not stand there yet."""
    batch = Batch(date(2026, 11, 17), "План замены на 2027–2028 годы")
    day = batch.written_on
    for turn, unit in enumerate(waiting[:PLANNED]):
        renewal = date(2027, 2, 1) + timedelta(days=turn * 690 // PLANNED)
        batch.units.append((replace(unit, renewal_on=renewal), day))
        if turn < ORDERED:
            new, _ = next(_replaced(unit, day, 1000 + turn, random))
            state = UnitState.INSTALLED if turn < ORDERED // 4 else UnitState.ORDERED
            batch.units.append((replace(new, state=state, renewal_on=renewal), day))
    return batch
