"""A believable region in real records: 566 facilities, 1,270 units, two years of frozen months.

Everything is drawn from one seed, so that every run shows the same pages.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from zlib import crc32

from gateway.model.rollout.figures import Snapshot, SnapshotKind
from gateway.model.rollout.forecast import declared_shares, forecast, month_ends
from gateway.model.rollout.measures import Flow, Inventory, Savings, Seen, UnitImages, measure
from gateway.model.rollout.register import (
    Capture,
    Facility,
    FacilityKind,
    Unit,
    UnitKind,
    UnitState,
    as_of,
)
from gateway.model.rollout.suppression import tell_studies, withhold
from gateway.records.engine import Records
from gateway.records.register import Change, add_revisions, load_facilities, load_units
from gateway.records.snapshots import save_snapshot

AUDIT, TODAY = date(2025, 1, 1), date(2026, 11, 21)
TOWNS = (
    ("Челябинск", 55.16, 61.40, 90), ("Магнитогорск", 53.41, 58.98, 45),
    ("Златоуст", 55.17, 59.67, 24), ("Миасс", 55.05, 60.11, 22), ("Копейск", 55.10, 61.62, 18),
    ("Троицк", 54.08, 61.56, 14), ("Озёрск", 55.76, 60.71, 12), ("Снежинск", 56.08, 60.73, 8),
    ("Сатка", 55.04, 59.03, 12), ("Кыштым", 55.71, 60.54, 9), ("Коркино", 54.89, 61.40, 9),
    ("Южноуральск", 54.44, 61.27, 8), ("Аша", 54.99, 57.28, 11), ("Карталы", 53.05, 60.65, 12),
    ("Верхнеуральск", 53.88, 59.22, 12), ("Чебаркуль", 54.98, 60.37, 10),
    ("Бреды", 52.43, 60.34, 11), ("Агаповка", 53.30, 59.14, 12), ("Кунашак", 55.70, 61.56, 10),
    ("Варна", 53.38, 60.98, 10), ("Нязепетровск", 56.05, 59.60, 8),
    ("Октябрьское", 54.41, 62.74, 9), ("Аргаяш", 55.49, 60.88, 11),
)  # fmt: skip
IN_ENGLISH = """Chelyabinsk Magnitogorsk Zlatoust Miass Kopeysk Troitsk Ozyorsk Snezhinsk Satka
    Kyshtym Korkino Yuzhnouralsk Asha Kartaly Verkhneuralsk Chebarkul Bredy Agapovka Kunashak Varna
    Nyazepetrovsk Oktyabrskoye Argayash"""
ENGLISH = dict(zip((one[0] for one in TOWNS), IN_ENGLISH.split(), strict=True))
MAKERS = (
    ("НИПК «Электрон»", "ОКО"), ("Siemens", "Multix Fusion"), ("GE", "Optima XR646"),
    ("Philips", "DigitalDiagnost"), ("Амико", "АРЦ"), ("Гелпик", "ДИАКОМ"),
)  # fmt: skip
KINDS = (
    [UnitKind.RADIOGRAPHY] * 8 + [UnitKind.FLUOROGRAPHY] * 5 + [UnitKind.RADIOGRAPHY_MOBILE] * 3
    + [UnitKind.MAMMOGRAPHY] * 2 + [UnitKind.DENTAL] * 2
    + [UnitKind.C_ARM, UnitKind.CT, UnitKind.MRI, UnitKind.ULTRASOUND, UnitKind.DENSITOMETER,
       UnitKind.ANGIOGRAPHY]
)  # fmt: skip
FUNDING = (
    ("Модернизация первичного звена", "Primary care modernisation"),
    ("Областной бюджет", "Regional budget"), ("Средства ОМС", "Health insurance"),
)  # fmt: skip
NAMES = {
    FacilityKind.HOSPITAL: ("Городская больница", "City hospital"),
    FacilityKind.CLINIC: ("Поликлиника", "Clinic"),
    FacilityKind.PRIVATE: ("Медицинский центр", "Medical centre"),
    FacilityKind.TERRITORIAL_UNIT: ("Врачебная амбулатория", "Surgery"),
    FacilityKind.FELDSHER_POINT: ("ФАП", "Feldsher point"),
}


@dataclass
class Region:
    """seen: first and last day on which images of a unit arrived."""

    facilities: list[Change[Facility]] = field(default_factory=list)
    units: list[Change[Unit]] = field(default_factory=list)
    seen: dict[str, tuple[date, date]] = field(default_factory=dict)


def write_region(records: Records, *, facilities: int = 566, months: int = 99) -> None:
    """The register and its snapshots; the last night's is of TODAY.

    months  of the past that are frozen, the latest of them
    """
    found = draw(facilities)
    written = datetime.combine(AUDIT, time(9), UTC)
    add_revisions(
        records, facilities=found.facilities, units=found.units, author="import",
        reason="аудит", now=written,
    )  # fmt: skip
    days = [AUDIT, *month_ends(AUDIT, TODAY)][-months - 1 :]
    for day in days:
        save_snapshot(records, take(records, found, day, SnapshotKind.MONTH))
    save_snapshot(records, take(records, found, TODAY, SnapshotKind.NIGHTLY))


def take(records: Records, region: Region, day: date, kind: SnapshotKind) -> Snapshot:
    facilities, units = load_facilities(records), load_units(records)
    register = Inventory(as_of(facilities, day), as_of(units, day))
    seen = seen_at(region, register, day)
    exact, evidence = measure(register, seen, day, Savings())
    told = tell_studies(register, seen)
    days = sorted({AUDIT, *month_ends(AUDIT, day), day})
    ahead = forecast(register, declared_shares(facilities, units, days), day)
    taken = datetime.combine(day, time(20, 20), UTC)
    figures = {scope: withhold(one, scope, told) for scope, one in exact.items()}
    return Snapshot(day, kind, 1, taken, "", figures, evidence, ahead, 7, told)


def seen_at(region: Region, register: Inventory, day: date) -> Seen:
    units: dict[str, UnitImages] = {}
    flows: dict[str, Flow] = {}
    for unit_id, (first, last) in region.seen.items():
        if first > day or unit_id not in register.units:
            continue
        until = min(last, day)
        recent = 40 + crc32(unit_id.encode()) % 160 if until > day - timedelta(30) else 0
        units[unit_id] = UnitImages(first, until, recent // 30, recent)
        of = flows.get(register.units[unit_id].facility_id, Flow())
        soon = {45: recent * 8 // 10, 200: recent // 10, 900: recent // 20}
        flows[register.units[unit_id].facility_id] = Flow(
            of.studies + recent // 30, of.studies_30 + recent,
            add(of.by_modality, {("DX", "CR", "MG", "CT")[recent % 4]: recent}),
            add(of.visible, soon), add(of.archived, {at * 2: n for at, n in soon.items()}),
            add(of.told, soon),
        )  # fmt: skip
    return Seen(units, flows, 7)


def add(one: Mapping, other: Mapping) -> dict:
    return {key: one.get(key, 0) + other.get(key, 0) for key in {**one, **other}}


def draw(count: int) -> Region:
    rng, found = random.Random(7), Region()  # noqa: S311 - a picture, no secret
    for number in range(count):
        facility = draw_facility(rng, number, count)
        found.facilities.append(Change(facility, AUDIT))
        many = number < count * 0.42
        for place in range(rng.choice((2, 3, 3, 4, 5, 6) if many else (0, 1, 1, 2))):
            draw_unit(rng, found, facility.facility_id, f"u{number:03}-{place}")
    return found


def draw_facility(rng: random.Random, number: int, count: int) -> Facility:
    town, lat, lon, _ = rng.choices(TOWNS, [one[3] for one in TOWNS])[0]
    if number < count * 0.42:
        kind = (FacilityKind.HOSPITAL, FacilityKind.CLINIC, FacilityKind.PRIVATE)[number % 3]
        spread = 0.05
    else:
        few = number < count * 0.73
        kind = FacilityKind.TERRITORIAL_UNIT if few else FacilityKind.FELDSHER_POINT
        spread = 0.22
    planned = date(2025, 3, 1) + timedelta(days=rng.randrange(900))
    on_time = planned < TODAY - timedelta(60) and rng.random() < 0.85
    ru, en = NAMES[kind]
    name_ru, name_en = f"{ru} № {number + 1}, {town}", f"{en} No. {number + 1}, {ENGLISH[town]}"
    return Facility(
        f"f{number:03}", name_ru, name_en, kind,
        town, lat + rng.gauss(0, spread), lon + rng.gauss(0, spread * 1.6),
        f"1.2.643.5.1.13.{number + 1}", "", planned,
        planned + timedelta(days=rng.randrange(-20, 90)) if on_time else None,
        ("gkb1", "zlat")[number] if number < 2 else "", municipality_en=ENGLISH[town],
    )  # fmt: skip


def funded(rng: random.Random) -> dict:
    return dict(zip(("funding", "funding_en"), rng.choice(FUNDING), strict=True))


def draw_unit(rng: random.Random, found: Region, facility_id: str, unit_id: str) -> None:
    maker, model = rng.choice(MAKERS)
    fate = rng.random()
    state = rng.choices(list(UnitState), (88, 3, 2, 3, 2, 2))[0]
    unit = Unit(
        unit_id, facility_id, rng.choice(KINDS), maker, model, f"SN{rng.randrange(10**6)}",
        rng.randrange(1998, 2026), Capture.DIGITAL if fate < 0.38 else Capture.ANALOGUE, state,
        renewal_on=None if rng.random() < 0.3 else TODAY + timedelta(days=rng.randrange(30, 700)),
    )  # fmt: skip
    if state in (UnitState.ORDERED, UnitState.INSTALLED):
        unit = replace(
            unit, capture=Capture.DIGITAL, renewed=True, **funded(rng),
            cost=rng.randrange(900, 9_000) * 1000,
        )  # fmt: skip
    if fate < 0.38:
        unit = replace(unit, renewal_on=None)
    found.units.append(Change(unit, AUDIT))
    since = AUDIT
    if 0.38 <= fate < 0.70 and unit.counts:
        since = AUDIT + timedelta(days=20 + int((fate - 0.38) / 0.32 * 640))
        how = Capture.DIGITAL if rng.random() < 0.7 else Capture.DIGITISER
        changed = replace(
            unit, capture=how, renewed=True, renewal_on=None, **funded(rng),
            cost=rng.randrange(300, 9_000) * 1000,
        )  # fmt: skip
        found.units.append(Change(changed, since))
    images = rng.random()
    first = max(since, date(2025, 4, 1)) + timedelta(days=rng.randrange(200))
    if fate < 0.70 and images < 0.88 and first < TODAY:
        silent = images > 0.78
        last = TODAY - timedelta(days=rng.randrange(31, 150) if silent else rng.randrange(6))
        found.seen[unit_id] = (min(first, last), last)
    elif fate >= 0.70 and images < 0.04:
        found.seen[unit_id] = (TODAY - timedelta(days=90), TODAY - timedelta(days=2))
