"""A believable region without a database: 566 facilities, some 1,300 units, two years of months."""

import random
from calendar import monthrange
from datetime import UTC, date, datetime, timedelta

from gateway.model.rollout.figures import (
    Evidence, Figures, Forecast, Minutes, Money, Scope, ScopeKind, Share, Snapshot, SnapshotKind,
    UnitEvidence,
)
from gateway.model.rollout.register import (
    X_RAY, Capture, Facility, FacilityKind, Unit, UnitKind, UnitState,
)
from gateway.web.rollout.shown import Frozen, Point, Shown

TODAY = date(2026, 11, 21)
TOWNS = [
    ("Челябинск", 55.16, 61.40, 90), ("Магнитогорск", 53.41, 58.98, 45), ("Златоуст", 55.17, 59.67, 24),
    ("Миасс", 55.05, 60.11, 22), ("Копейск", 55.10, 61.62, 18), ("Троицк", 54.08, 61.56, 14),
    ("Озёрск", 55.76, 60.71, 12), ("Снежинск", 56.08, 60.73, 8), ("Сатка", 55.04, 59.03, 12),
    ("Кыштым", 55.71, 60.54, 9), ("Коркино", 54.89, 61.40, 9), ("Южноуральск", 54.44, 61.27, 8),
    ("Аша", 54.99, 57.28, 11), ("Карталы", 53.05, 60.65, 12), ("Верхнеуральск", 53.88, 59.22, 12),
    ("Чебаркуль", 54.98, 60.37, 10), ("Бреды", 52.43, 60.34, 11), ("Агаповка", 53.30, 59.14, 12),
    ("Кунашак", 55.70, 61.56, 10), ("Варна", 53.38, 60.98, 10), ("Нязепетровск", 56.05, 59.60, 8),
    ("Увельский", 54.45, 61.36, 9), ("Октябрьское", 54.41, 62.74, 9), ("Аргаяш", 55.49, 60.88, 11),
]
MAKERS = [("НИПК Электрон", "Окo-1"), ("Siemens", "Multix Fusion"), ("GE", "Optima XR646"),
          ("Philips", "DigitalDiagnost"), ("Амико", "АРЦ-ОКО"), ("Гелпик", "ДИАКОМ")]
KINDS = [UnitKind.RADIOGRAPHY] * 8 + [UnitKind.FLUOROGRAPHY] * 5 + [UnitKind.MAMMOGRAPHY] * 2 + [
    UnitKind.RADIOGRAPHY_MOBILE] * 3 + [UnitKind.C_ARM, UnitKind.DENTAL, UnitKind.DENTAL,
    UnitKind.CT, UnitKind.MRI, UnitKind.ULTRASOUND, UnitKind.DENSITOMETER, UnitKind.ANGIOGRAPHY]
FUNDING = ["Модернизация первичного звена", "Областной бюджет", "Средства ОМС"]


def months(until: date) -> list[date]:
    days, y, m = [date(2025, 1, 1)], 2025, 1
    while date(y, m, monthrange(y, m)[1]) < until:
        days.append(date(y, m, monthrange(y, m)[1]))
        y, m = (y, m + 1) if m < 12 else (y + 1, 1)
    return [*days, until]


def figures(units, proofs, facilities, day, made, proven, rng):
    x = [u for u in units if u.counts and u.kind in X_RAY]
    digital = [u for u in x if u.is_digital and made[u.unit_id] <= day]
    linked = [u for u in digital if proven.get(u.unit_id, date.max) <= day]
    ev = {e: 0 for e in Evidence}
    for u in x:
        ev[proofs[u.unit_id].evidence] += 1
    states, capture = {}, {}
    for u in units:
        states[u.state] = states.get(u.state, 0) + 1
    for u in x:
        capture[u.capture] = capture.get(u.capture, 0) + 1
    renewed = [u for u in digital if u.renewed]
    money = {}
    for u in renewed:
        money[u.funding] = money.get(u.funding, 0) + (u.cost or 0)
    joined = [f for f in facilities if f.joined_on and f.joined_on <= day]
    late = [f for f in facilities if not f.joined_on and f.planned_on and f.planned_on < day]
    planned = [f for f in facilities if not f.joined_on and f.planned_on and f.planned_on >= day]
    n = len(linked) * 11
    return Figures(
        Share(len(digital), len(x)), Share(len(linked), len(x)),
        Share(len({u.facility_id for u in linked}), len(facilities)), ev, capture, states,
        len(joined), len(planned), len(late), n, n * 27,
        {"DX": n * 15, "CT": n * 5, "MG": n * 3, "CR": n * 3, "XA": 3} if n else {},
        Minutes(Share(int(n * 0.9), n), 0.8, 3.4), Minutes(Share(int(n * 0.7), n), 1.6, 12.4),
        Minutes(Share(int(n * 0.85), n), 1.1, 6.0),
        Money(money, len(renewed), sum(money.values()) // len(renewed) if renewed else None,
              len(renewed) * 500_000, len(renewed) * 3_000_000),
    )


def a_region(today: date = TODAY, seed: int = 7) -> Shown:
    rng = random.Random(seed)
    facilities, units, proofs, made, proven = {}, {}, {}, {}, {}
    total = sum(t[3] for t in TOWNS)
    for n in range(566):
        town, lat, lon, _ = rng.choices(TOWNS, [t[3] / total for t in TOWNS])[0]
        kind = [FacilityKind.HOSPITAL, FacilityKind.CLINIC, FacilityKind.PRIVATE][n % 3] if n < 240 else (
            FacilityKind.TERRITORIAL_UNIT if n < 416 else FacilityKind.FELDSHER_POINT)
        planned = date(2025, 3, 1) + timedelta(days=rng.randrange(900))
        joined = planned + timedelta(days=rng.randrange(-20, 90)) if planned < today - timedelta(60) and rng.random() < .85 else None
        spread = .04 if kind in (FacilityKind.HOSPITAL, FacilityKind.CLINIC, FacilityKind.PRIVATE) else .22
        word = {"hospital": "Городская больница", "clinic": "Поликлиника", "private": "Медицинский центр",
                "territorial_unit": "Врачебная амбулатория", "feldsher_point": "ФАП"}[kind]
        facilities[f"f{n:03}"] = Facility(
            f"f{n:03}", f"{word} № {n + 1}, {town}", f"Facility No {n + 1}, {town}", kind, town,
            lat + rng.gauss(0, spread), lon + rng.gauss(0, spread * 1.6), f"1.2.643.5.1.{n}", "",
            planned, joined, "gkb1" if n == 0 else "")
        for k in range(rng.choice([3, 4, 5, 6, 3, 2]) if n < 240 else rng.choice([1, 2, 1, 0])):
            uid = f"u{n:03}-{k}"
            maker, model = rng.choice(MAKERS)
            r = rng.random()
            digital = r < .70
            state = rng.choices(list(UnitState), [88, 3, 2, 3, 2, 2])[0]
            made[uid] = date(2024, 6, 1) if r < .38 else date(2025, 1, 2) + timedelta(days=int((r - .38) / .32 * 680))
            units[uid] = Unit(
                uid, f"f{n:03}", rng.choice(KINDS), maker, model, f"SN{n}{k}{rng.randrange(9999)}",
                rng.randrange(1998, 2026), (Capture.DIGITAL if rng.random() < .75 else Capture.DIGITISER) if digital else Capture.ANALOGUE,
                state, rng.choice(FUNDING) if .38 <= r < .7 else "", rng.randrange(900_000, 14_000_000) if .38 <= r < .7 else None,
                .38 <= r < .7, None if digital or rng.random() < .3 else today + timedelta(days=rng.randrange(30, 700)))
            if units[uid].counts:
                s = rng.random()
                e = (Evidence.PROVEN if s < .76 else Evidence.SILENT if s < .88 else Evidence.NEVER) if digital else (
                    Evidence.UNDECLARED if s < .05 else Evidence.ANALOGUE)
                if e in (Evidence.PROVEN, Evidence.SILENT):
                    proven[uid] = max(made[uid], date(2025, 4, 1)) + timedelta(days=rng.randrange(200))
                seen = proven.get(uid)
                last = None if e in (Evidence.NEVER, Evidence.ANALOGUE) else today - timedelta(
                    days=rng.randrange(0, 6) if e is not Evidence.SILENT else rng.randrange(31, 200))
                proofs[uid] = UnitEvidence(uid, f"f{n:03}", e, seen, last, rng.randrange(200))
    scopes = {Scope(ScopeKind.REGION): list(units.values())}
    for f in facilities.values():
        mine = [u for u in units.values() if u.facility_id == f.facility_id]
        scopes[Scope(ScopeKind.FACILITY, f.facility_id)] = mine
        scopes.setdefault(Scope(ScopeKind.MUNICIPALITY, f.municipality), []).extend(mine)
        scopes.setdefault(Scope(ScopeKind.FACILITY_KIND, f.kind), []).extend(mine)
    for u in units.values():
        if u.kind in X_RAY:
            scopes.setdefault(Scope(ScopeKind.UNIT_KIND, u.kind), []).append(u)

    def within(scope):
        return [f for f in facilities.values() if scope.kind in (ScopeKind.REGION, ScopeKind.UNIT_KIND)
                or scope.name in (f.facility_id, f.municipality, f.kind)]

    found = {s: figures(us, proofs, within(s), today, made, proven, rng) for s, us in scopes.items()}
    days = months(today)
    curves = {}
    for scope in scopes:
        points = []
        for day in days:
            f = figures(scopes[scope], proofs, [], day, made, proven, rng) if day != today else found[scope]
            points.append(Point(day, f.digital, f.connected, 0, f.money.renewed, f.money.spent, f.studies_30))
        curves[scope] = tuple(points)
    worst = sorted(((s.name, f.digital.whole - f.digital.part) for s, f in found.items() if s.kind is ScopeKind.FACILITY),
                   key=lambda x: -x[1])[:12]
    forecast = Forecast(date(2028, 1, 17), date(2027, 9, 3), date(2028, 7, 30), None,
                        sum(1 for u in units.values() if u.counts and u.kind in X_RAY and not u.is_digital and not u.renewal_on), tuple(worst))
    taken = datetime(2026, 11, 22, 0, 20, tzinfo=UTC)
    snapshot = Snapshot(today, SnapshotKind.NIGHTLY, 1, taken, "", found, tuple(proofs.values()), forecast, 7)
    frozen = tuple(Frozen(d, 1, "", datetime(d.year, d.month, d.day, 23, tzinfo=UTC)) for d in days[1:-1])
    return Shown("1-1", snapshot, facilities, units, curves, frozen)
