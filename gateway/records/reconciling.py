"""What the last reconciliation of a site with a destination found: figures, and each study that is
not whole there. The next one replaces it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa

from gateway.model.deliveries import State
from gateway.records.arrivals import arrival
from gateway.records.deliveries import Work, delivery, work_of
from gateway.records.engine import Records, UtcDateTime, metadata
from gateway.records.studies import study

PAGE = 500


class Verdict(StrEnum):
    """How a study stands at a destination that should have it.

    WAITING   its delivery has not ended yet: nothing is wrong, and nothing is proven
    UNKNOWN   the destination, or the source, could not tell
    """

    COMPLETE = "complete"
    PARTIAL = "partial"
    MISSING = "missing"
    CONFLICTING = "conflicting"
    WAITING = "waiting"
    UNKNOWN = "unknown"


TO_MEND = frozenset({Verdict.PARTIAL, Verdict.MISSING})

reconciliation = sa.Table(
    "reconciliation",
    metadata,
    sa.Column("site_id", sa.String(32), primary_key=True),
    sa.Column("destination", sa.String(32), primary_key=True),
    sa.Column("began_at", UtcDateTime, nullable=False),
    sa.Column("ended_at", UtcDateTime, nullable=False),
    *(sa.Column(verdict, sa.Integer, nullable=False) for verdict in Verdict),
    sa.Column("compared", sa.Integer, nullable=False),  # image by image, not by the index alone
)

reconciled = sa.Table(
    "reconciled",
    metadata,
    sa.Column("site_id", sa.String(32), primary_key=True),
    sa.Column("destination", sa.String(32), primary_key=True),
    sa.Column("study_uid", sa.String(64), primary_key=True),
    sa.Column("verdict", sa.String(16), nullable=False),
    sa.Column("lacking", sa.Integer, nullable=False),  # instances that the destination has not
    sa.Column("reason", sa.Text, nullable=False),  # a code of model/delivery_words.py
    sa.Column("found_at", UtcDateTime, nullable=False),
)


@dataclass(frozen=True)
class Expected:
    """A study that a destination should have.

    changed_at      when the delivery was last said to be anything: if delivered, when it was proven
    instance_count  of what is sent there
    there           instances that the index knows there; None if it knows nothing of it there
    """

    delivery_id: str
    study_uid: str
    state: State
    changed_at: datetime
    instance_count: int
    there: int | None


@dataclass(frozen=True)
class Finding:
    """One study that is not whole at a destination."""

    site_id: str
    destination: str
    study_uid: str
    verdict: Verdict
    lacking: int
    reason: str
    found_at: datetime


@dataclass(frozen=True)
class Figures:
    """Counts of one reconciliation; `compared` of the studies were compared image by image."""

    site_id: str
    destination: str
    began_at: datetime
    ended_at: datetime
    complete: int = 0
    partial: int = 0
    missing: int = 0
    conflicting: int = 0
    waiting: int = 0
    unknown: int = 0
    compared: int = 0

    @property
    def studies(self) -> int:
        return sum(int(getattr(self, verdict)) for verdict in Verdict)

    @property
    def completeness(self) -> float | None:
        """The share of studies that are proven to be whole there; None if there are none."""
        return self.complete / self.studies if self.studies else None


def walk_expected(
    records: Records, site_id: str, destination: str, destination_site: str
) -> Iterator[list[Expected]]:
    """What the destination should have of the site, as it is now; PAGE at a time, by UID.

    destination_site  under which the index has the destination; "" if it does not follow it
    What a person has excluded is not expected.
    """
    current = sa.and_(
        arrival.c.site_id == delivery.c.site_id,
        arrival.c.study_uid == delivery.c.study_uid,
        arrival.c.epoch == delivery.c.epoch,
    )
    there = sa.and_(study.c.site_id == destination_site, study.c.study_uid == delivery.c.study_uid)
    d = delivery.c
    columns = (
        d.delivery_id, d.study_uid, d.state, d.changed_at, d.instance_count, study.c.instance_count,
    )  # fmt: skip
    question = (
        sa.select(*columns)
        .select_from(delivery.join(arrival, current).outerjoin(study, there))
        .where(d.site_id == site_id, d.destination == destination, d.state != State.EXCLUDED)
        .order_by(d.study_uid)
        .limit(PAGE)
    )
    after = ""
    while True:
        with records.read() as connection:
            rows = connection.execute(question.where(d.study_uid > after)).all()
        if rows:
            yield [Expected(row[0], row[1], State(row[2]), *row[3:]) for row in rows]
            after = rows[-1].study_uid
        if len(rows) < PAGE:
            return


def load_work(records: Records, delivery_id: str) -> Work | None:
    """What a delivery brings, for one who only looks; None if it is gone."""
    mine = sa.select(delivery).where(delivery.c.delivery_id == delivery_id)
    with records.read() as connection:
        row = connection.execute(mine).one_or_none()
        return work_of(connection, row) if row is not None else None


def save_findings(records: Records, findings: Sequence[Finding]) -> None:
    """Keep what was found, over what an earlier reconciliation found of the same studies."""
    if not findings:
        return
    insert = records.insert(reconciled)
    keys = ["site_id", "destination", "study_uid"]
    fresh = {c.name: insert.excluded[c.name] for c in reconciled.c if c.name not in keys}
    with records.write() as connection:
        connection.execute(
            insert.on_conflict_do_update(index_elements=keys, set_=fresh),
            [asdict(finding) for finding in findings],
        )


def save_figures(records: Records, figures: Figures) -> None:
    """The reconciliation ended: its figures count, and what it did not find again is gone."""
    insert = records.insert(reconciliation).values(asdict(figures))
    keys = ["site_id", "destination"]
    fresh = {c.name: insert.excluded[c.name] for c in reconciliation.c if c.name not in keys}
    old = sa.and_(
        reconciled.c.site_id == figures.site_id,
        reconciled.c.destination == figures.destination,
        reconciled.c.found_at < figures.began_at,
    )
    with records.write() as connection:
        connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=fresh))
        connection.execute(sa.delete(reconciled).where(old))


def load_figures(records: Records) -> Mapping[tuple[str, str], Figures]:
    """Of the last reconciliations, by (site id, destination)."""
    with records.read() as connection:
        rows = connection.execute(sa.select(reconciliation)).mappings().all()
    return {(row["site_id"], row["destination"]): Figures(**row) for row in rows}


def load_findings(
    records: Records, site_id: str, destination: str, most: int = 100
) -> list[Finding]:
    """Studies that are not whole, by UID."""
    mine = sa.and_(reconciled.c.site_id == site_id, reconciled.c.destination == destination)
    question = sa.select(reconciled).where(mine).order_by(reconciled.c.study_uid).limit(most)
    with records.read() as connection:
        rows = connection.execute(question).mappings().all()
    return [Finding(**{**row, "verdict": Verdict(row["verdict"])}) for row in rows]


def load_pairs(records: Records) -> list[tuple[str, str]]:
    """(site id, destination) of all that has deliveries, sorted."""
    pair = (delivery.c.site_id, delivery.c.destination)
    with records.read() as connection:
        rows = connection.execute(sa.select(*pair).distinct().order_by(*pair)).all()
    return [(site_id, destination) for site_id, destination in rows]
