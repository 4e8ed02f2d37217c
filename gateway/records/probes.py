"""What the last probe of each site showed, one row per site.

The row is also the order to probe: `due_since` is set by the keeper and cleared by whoever probed,
a worker or the keeper itself. A silent site keeps the quirks that it last showed.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from gateway.model.sites import QuirkProfile
from gateway.records.engine import Records, UtcDateTime, metadata

site_probe = sa.Table(
    "site_probe",
    metadata,
    sa.Column("site_id", sa.String(32), primary_key=True),
    sa.Column("profile", sa.JSON, nullable=False),
    sa.Column("problem", sa.Text, nullable=False),
    sa.Column("probed_at", UtcDateTime),
    sa.Column("answered_at", UtcDateTime),
    sa.Column("due_since", UtcDateTime),
)


@dataclass(frozen=True)
class SiteProbe:
    """A site's row.

    profile      what it was last seen to do; `probed_at` and `problem` are of the last probe
    answered_at  the last probe that it answered
    due_since    when the next probe was ordered; None if none is due
    """

    site_id: str
    profile: QuirkProfile
    answered_at: datetime | None
    due_since: datetime | None


def load_probes(records: Records) -> Mapping[str, SiteProbe]:
    """Every site that was ever probed or is to be, by site id."""
    with records.read() as connection:
        rows = connection.execute(sa.select(site_probe)).mappings().all()
    return {row["site_id"]: _from_row(row) for row in rows}


def load_probe(records: Records, site_id: str) -> SiteProbe | None:
    """One site's row, or None if it was never to be probed."""
    question = sa.select(site_probe).where(site_probe.c.site_id == site_id)
    with records.read() as connection:
        row = connection.execute(question).mappings().one_or_none()
    return _from_row(row) if row else None


def load_profiles(records: Records) -> Mapping[str, QuirkProfile]:
    """The profile of every site that was probed at least once, by site id."""
    return {
        site_id: probe.profile
        for site_id, probe in load_probes(records).items()
        if probe.profile.probed_at
    }


def order_probe(records: Records, site_id: str, now: datetime) -> None:
    """Say that the site is to be probed; an order that already stands keeps its time."""
    row = {"site_id": site_id, "profile": {}, "problem": "", "due_since": now}
    order = records.insert(site_probe).values(row)
    order = order.on_conflict_do_update(
        index_elements=["site_id"],
        set_={"due_since": sa.func.coalesce(site_probe.c.due_since, now)},
    )
    with records.write() as connection:
        connection.execute(order)


def save_profile(
    records: Records, site_id: str, profile: QuirkProfile, order: datetime | None = None
) -> None:
    """Record what a probe showed (`profile.probed_at` must be set) and end the order for it.

    order  `due_since` as it was before the probe: an order that came meanwhile stays

    With `profile.problem` only the problem and the time are taken: the site's quirks are those
    that it showed when it last answered. An older probe never overwrites a younger one.
    """
    row: dict[str, Any] = {
        "problem": profile.problem,
        "probed_at": profile.probed_at,
    }
    if not profile.problem:
        row |= {"profile": _to_json(profile), "answered_at": profile.probed_at}
    due = site_probe.c.due_since
    still_due = sa.case((due == order, sa.null()), else_=due)
    save = records.insert(site_probe).values({"site_id": site_id, "profile": {}, **row})
    save = save.on_conflict_do_update(
        index_elements=["site_id"],
        set_=row | {"due_since": still_due},
        where=sa.or_(site_probe.c.probed_at.is_(None), site_probe.c.probed_at <= profile.probed_at),
    )
    with records.write() as connection:
        connection.execute(save)


def _to_json(profile: QuirkProfile) -> dict[str, Any]:
    values = asdict(profile)
    del values["probed_at"], values["problem"]
    return values


def _from_row(row: Mapping[Any, Any]) -> SiteProbe:
    # A newer or older gateway may have written this row: take the keys that we know.
    known = {f.name for f in fields(QuirkProfile)} & set(row["profile"])
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in row["profile"].items()
        if key in known
    }
    profile = replace(QuirkProfile(**values), probed_at=row["probed_at"], problem=row["problem"])
    return SiteProbe(row["site_id"], profile, row["answered_at"], row["due_since"])
