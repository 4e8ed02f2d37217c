"""Snapshots of the rollout: what was told of a day is never changed, and never taken away.

There is no statement here that changes or deletes a row of `rollout_snapshot`, and the database
refuses one (migration 0024). A correction of a month is another version beside the first.
A row has the whole report, packed, and beside it what curves are drawn of, so that ten years of
them cost no ten years of reports.
"""

import zlib
from calendar import monthrange
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any

import orjson
import sqlalchemy as sa

from gateway.model.rollout.figures import (
    REGION,
    Clock,
    Count,
    Evidence,
    Figures,
    Forecast,
    Minutes,
    Money,
    Scope,
    ScopeKind,
    Share,
    Snapshot,
    SnapshotKind,
    Told,
    UnitEvidence,
)
from gateway.records.engine import Records, UtcDateTime, metadata

Row = Sequence[Any]
FORM = 1
"""Of the packed report; readers know all earlier ones."""

rollout_snapshot = sa.Table(
    "rollout_snapshot",
    metadata,
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("kind", sa.String(16), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("taken_at", UtcDateTime, nullable=False),
    sa.Column("reason", sa.String(500), nullable=False),
    sa.Column("form", sa.Integer, nullable=False),
    # Of the region, for its curve.
    sa.Column("digital_part", sa.Integer, nullable=False),
    sa.Column("digital_whole", sa.Integer, nullable=False),
    sa.Column("connected_part", sa.Integer, nullable=False),
    sa.Column("connected_whole", sa.Integer, nullable=False),
    sa.Column("proven_part", sa.Integer, nullable=False),
    sa.Column("proven_whole", sa.Integer, nullable=False),
    sa.Column("studies", sa.Integer),  # as told; NULL: not told
    sa.Column("shares", sa.LargeBinary, nullable=False),  # of every scope, packed
    sa.Column("body", sa.LargeBinary, nullable=False),  # the report, packed
)

# What a worker is to take; gone when it is there.
snapshot_order = sa.Table(
    "snapshot_order",
    metadata,
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("kind", sa.String(16), primary_key=True),
    sa.Column("ordered_at", UtcDateTime, nullable=False),
)

of = rollout_snapshot.c
_OF_POINT = (
    of.day, of.kind, of.version, of.digital_part, of.digital_whole, of.connected_part,
    of.connected_whole, of.proven_part, of.proven_whole, of.studies,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Point:
    """What curves are drawn of: one scope at the end of one day.

    studies  of the 30 days before, as told; None: not told
    """

    day: date
    digital: Share
    connected: Share
    proven_facilities: Share
    studies: int | None


@dataclass(frozen=True)
class Taken:
    """That a snapshot was taken, without what it says."""

    day: date
    kind: SnapshotKind
    version: int
    taken_at: datetime
    reason: str


@dataclass(frozen=True, order=True)
class Order:
    """A snapshot that is to be taken."""

    day: date
    kind: SnapshotKind


def save_snapshot(records: Records, snapshot: Snapshot) -> bool:
    """Keep it, for ever; its order is carried out.

    returns  False if this version of that day was there before: then that one stays
    """
    row = _row_of(snapshot)
    insert = records.insert(rollout_snapshot).values(row)
    mine = sa.and_(
        snapshot_order.c.day == snapshot.day, snapshot_order.c.kind == str(snapshot.kind)
    )
    with records.write() as connection:
        kept = connection.execute(insert.on_conflict_do_nothing().returning(of.day)).first()
        connection.execute(sa.delete(snapshot_order).where(mine))
    return kept is not None


def latest(records: Records) -> Snapshot | None:
    """That of the last day; of a month's last day the frozen one, as last corrected."""
    return _one(records, sa.true())


def at(records: Records, day: date) -> Snapshot | None:
    """What was known at the end of that day: of it or of the last day before that has one."""
    return _one(records, of.day <= day)


def of_month(records: Records, month: date, version: int | None = None) -> Snapshot | None:
    """The frozen report of a month.

    month    any day of it
    version  None: the last
    """
    wanted = [of.kind == str(SnapshotKind.MONTH), _in_month(month)]
    if version is not None:
        wanted.append(of.version == version)
    return _one(records, sa.and_(*wanted))


def versions(records: Records, month: date) -> list[Taken]:
    """Of the frozen report of a month, the first one first; none: it has not been taken.

    month  any day of it
    """
    return _taken(records, sa.and_(of.kind == str(SnapshotKind.MONTH), _in_month(month)))


def list_taken(records: Records, since: date | None = None) -> list[Taken]:
    """All snapshots from that day on, by day, kind and version."""
    return _taken(records, sa.true() if since is None else of.day >= since)


def list_reports(records: Records) -> list[Taken]:
    """Every version of each frozen month, and the last night; by day, the last version last."""
    columns = (of.day, of.kind, of.version, of.taken_at, of.reason)
    with records.read() as connection:
        rows = connection.execute(_for_curve(columns, None, nightly=False)).all()
    return [Taken(row[0], SnapshotKind(row[1]), row[2], row[3], row[4]) for row in rows]


def curve(
    records: Records, scope: Scope = REGION, *, since: date | None = None, nightly: bool = False,
    known_at: datetime | None = None,
) -> list[Point]:  # fmt: skip
    """The shares of one scope at each month end, as last corrected, and of the last night.

    nightly   of every night, beside the month ends
    known_at  without corrections that were written later; None: with all of them
    Days at which the scope was not there are left out.
    """
    if scope != REGION:
        found = curves(records, scope.kind, since=since, nightly=nightly, known_at=known_at)
        return found.get(scope.name, [])
    question = _for_curve(_OF_POINT, since, nightly=nightly, known_at=known_at)
    with records.read() as connection:
        rows = connection.execute(question).all()
    return [
        Point(row[0], Share(row[3], row[4]), Share(row[5], row[6]), Share(row[7], row[8]), row[9])
        for row in _of_days(map(tuple, rows))
    ]


def curves(
    records: Records, kind: ScopeKind, *, since: date | None = None, nightly: bool = False,
    known_at: datetime | None = None,
) -> dict[str, list[Point]]:  # fmt: skip
    """The same of all scopes of one kind, by name, in one reading."""
    columns = (of.day, of.kind, of.version, of.shares)
    question = _for_curve(columns, since, nightly=nightly, known_at=known_at)
    with records.read() as connection:
        rows = connection.execute(question).all()
    found: dict[str, list[Point]] = {}
    for row in _of_days(map(tuple, rows)):
        for name, point in _points(row[0], row[3], kind).items():
            found.setdefault(name, []).append(point)
    return found


def order_snapshots(records: Records, wanted: Iterable[Order], now: datetime) -> None:
    """A worker shall take these; one that was ordered before stays as it was."""
    rows = [{"day": one.day, "kind": str(one.kind), "ordered_at": now} for one in wanted]
    if rows:
        with records.write() as connection:
            insert = records.insert(snapshot_order).on_conflict_do_nothing()
            connection.execute(insert, rows)


def load_orders(records: Records) -> dict[Order, datetime]:
    """What is ordered and not taken yet, with when it was ordered; the last day, which is what
    people look at, first.
    """
    with records.read() as connection:
        rows = connection.execute(
            sa.select(snapshot_order).order_by(snapshot_order.c.day.desc())
        ).all()
    return {Order(row.day, SnapshotKind(row.kind)): row.ordered_at for row in rows}


def _in_month(month: date) -> sa.ColumnElement[bool]:
    _, last = monthrange(month.year, month.month)
    return of.day.between(month.replace(day=1), month.replace(day=last))


def _one(records: Records, wanted: sa.ColumnElement[bool]) -> Snapshot | None:
    """The last of them; of one day the frozen one, as last corrected."""
    is_month = sa.case((of.kind == str(SnapshotKind.MONTH), 1), else_=0)
    question = (
        sa.select(of.day, of.kind, of.version, of.taken_at, of.reason, of.body)
        .where(wanted)
        .order_by(of.day.desc(), is_month.desc(), of.version.desc())
        .limit(1)
    )
    with records.read() as connection:
        row = connection.execute(question).one_or_none()
    if row is None:
        return None
    said = _unpack(row.body)
    return Snapshot(
        row.day, SnapshotKind(row.kind), row.version, row.taken_at, row.reason,
        said.figures, said.units, said.forecast, said.unknown_senders, said.told,
    )  # fmt: skip


def _taken(records: Records, wanted: sa.ColumnElement[bool]) -> list[Taken]:
    columns = (of.day, of.kind, of.version, of.taken_at, of.reason)
    with records.read() as connection:
        rows = connection.execute(
            sa.select(*columns).where(wanted).order_by(of.day, of.kind, of.version)
        ).all()
    return [Taken(row[0], SnapshotKind(row[1]), row[2], row[3], row[4]) for row in rows]


def _for_curve(
    columns: Sequence[sa.ColumnElement[Any]], since: date | None, *, nightly: bool,
    known_at: datetime | None = None,
) -> sa.Select[Any]:  # fmt: skip
    question = sa.select(*columns).order_by(of.day, of.kind.desc(), of.version)
    if not nightly:
        last = sa.select(sa.func.max(of.day)).scalar_subquery()
        question = question.where(sa.or_(of.kind == str(SnapshotKind.MONTH), of.day == last))
    if known_at is not None:  # a first version that came late is still the only one
        question = question.where(sa.or_(of.version == 1, of.taken_at <= known_at))
    return question if since is None else question.where(of.day >= since)


@lru_cache(maxsize=150)
def _points(day: date, shares: bytes, kind: ScopeKind) -> Mapping[str, Point]:
    """Of a frozen day; pages draw ten years of them again and again."""
    return {
        name: Point(day, Share(n[0], n[1]), Share(n[2], n[3]), Share(n[4], n[5]), n[6])
        for name, n in orjson.loads(zlib.decompress(shares)).get(kind, {}).items()
    }


def _of_days(rows: Iterable[Row]) -> Iterator[Row]:
    """One row for each day: the frozen one, as last corrected, comes last of its day."""
    return iter({row[0]: row for row in rows}.values())


@dataclass(frozen=True)
class _Said:
    """What a packed report says."""

    figures: Mapping[Scope, Figures]
    units: tuple[UnitEvidence, ...]
    forecast: Forecast
    unknown_senders: int
    told: Told


def _row_of(snapshot: Snapshot) -> dict[str, Any]:
    region = snapshot.region
    studies = snapshot.told.studies.get(REGION)
    return {
        "day": snapshot.day, "kind": str(snapshot.kind), "version": snapshot.version,
        "taken_at": snapshot.taken_at, "reason": snapshot.reason, "form": FORM,
        "digital_part": region.digital.part, "digital_whole": region.digital.whole,
        "connected_part": region.connected.part, "connected_whole": region.connected.whole,
        "proven_part": region.proven_facilities.part,
        "proven_whole": region.proven_facilities.whole,
        "studies": studies.value if studies else None,
        "shares": _pack(_shares(snapshot)),
        "body": _pack(_body(snapshot)),
    }  # fmt: skip


def _shares(snapshot: Snapshot) -> dict[str, dict[str, list[int | None]]]:
    found: dict[str, dict[str, list[int | None]]] = {}
    for scope, f in snapshot.figures.items():
        studies = snapshot.told.studies.get(scope)
        shares = (f.digital, f.connected, f.proven_facilities)
        numbers: list[int | None] = [n for share in shares for n in (share.part, share.whole)]
        found.setdefault(scope.kind, {})[scope.name] = [
            *numbers, studies.value if studies else None,
        ]  # fmt: skip
    return found


def _body(snapshot: Snapshot) -> dict[str, Any]:
    told = snapshot.told
    return {
        "figures": [[*_key(scope), figures] for scope, figures in snapshot.figures.items()],
        "units": [list(vars(unit).values()) for unit in snapshot.units],
        "forecast": snapshot.forecast,
        "unknown_senders": snapshot.unknown_senders,
        "told": {
            "studies": [[*_key(scope), *_count(one)] for scope, one in told.studies.items()],
            "by_modality": {name: _count(one) for name, one in told.by_modality.items()},
            **{
                name: [
                    [*_key(scope), *_count(c.within_two), *_count(c.studies), c.median, c.p95]
                    for scope, c in clocks.items()
                ]
                for name, clocks in (
                    ("visible", told.visible), ("archived", told.archived), ("told", told.told),
                )
            },
        },
    }  # fmt: skip


def _key(scope: Scope) -> tuple[str, str]:
    return str(scope.kind), scope.name


def _count(count: Count) -> tuple[int | None, int]:
    return count.value, count.fewer


def _pack(said: Any) -> bytes:
    return zlib.compress(orjson.dumps(said, option=orjson.OPT_NON_STR_KEYS), 6)


@lru_cache(maxsize=4)
def _unpack(body: bytes) -> _Said:
    """Of a frozen report it is always the same, and pages ask for the last one again and again."""
    said = orjson.loads(zlib.decompress(body))
    told = said["told"]
    return _Said(
        figures={_scope(*row[:2]): _figures(row[2]) for row in said["figures"]},
        units=tuple(_unit(row) for row in said["units"]),
        forecast=_forecast(said["forecast"]),
        unknown_senders=said["unknown_senders"],
        told=Told(
            {_scope(*row[:2]): Count(*row[2:]) for row in told["studies"]},
            {name: Count(*row) for name, row in told["by_modality"].items()},
            *({_scope(*row[:2]): _clock(row) for row in told[name]} for name in _MOMENTS),
        ),
    )


_MOMENTS = ("visible", "archived", "told")


def _scope(kind: str, name: str) -> Scope:
    return Scope(ScopeKind(kind), name)


def _clock(row: Sequence[Any]) -> Clock:
    return Clock(Count(*row[2:4]), Count(*row[4:6]), *row[6:])


def _unit(row: Sequence[Any]) -> UnitEvidence:
    unit_id, facility_id, evidence, first, last, studies = row
    return UnitEvidence(unit_id, facility_id, Evidence(evidence), _day(first), _day(last), studies)


def _day(said: str | None) -> date | None:
    return None if said is None else date.fromisoformat(said)


def _forecast(said: Mapping[str, Any]) -> Forecast:
    return Forecast(
        _day(said["straight"]), _day(said["straight_from"]), _day(said["straight_to"]),
        _day(said["by_plan"]), said["unplanned"],
        tuple((facility_id, units) for facility_id, units in said["holding_back"]),
    )  # fmt: skip


def _figures(said: Mapping[str, Any]) -> Figures:
    shares = {name: Share(**said[name]) for name in ("digital", "connected", "proven_facilities")}
    clocks = {
        name: Minutes(Share(**said[name]["within_two"]), said[name]["median"], said[name]["p95"])
        for name in _MOMENTS
    }
    evidence = {Evidence(name): count for name, count in said["by_evidence"].items()}
    made = shares | clocks | {"by_evidence": evidence, "money": Money(**said["money"])}
    return Figures(**{**said, **made})
