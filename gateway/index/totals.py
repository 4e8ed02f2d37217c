"""How many studies the whole index has: the one total that is too dear to count for each search.

It is counted once a minute for each set of sites and process, and carried forward (or back) to the
asked moment by what was first seen between. Studies that were deleted since are still in it, for a
minute at most.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from weakref import WeakKeyDictionary

import sqlalchemy as sa

from gateway.clock import utc_now
from gateway.index.terms import scope_terms
from gateway.records.engine import Records
from gateway.records.studies import study

FRESH = timedelta(minutes=1)
MOST_KEPT = 1000


@dataclass(frozen=True)
class _Count:
    """Studies first seen until then."""

    until: datetime
    counted_at: datetime
    total: int


_counts: WeakKeyDictionary[Records, dict[frozenset[str], _Count]] = WeakKeyDictionary()
_one_at_a_time = threading.Lock()


def count_studies(
    records: Records,
    connection: sa.Connection,
    site_ids: Sequence[str],
    as_of: datetime | None,
) -> int:
    """Distinct studies of these sites first seen until `as_of`, or until now."""
    now = utc_now()
    moment = as_of or now
    base = _base(records, connection, frozenset(site_ids), moment, now)
    if moment == base.until:
        return base.total
    first, last = sorted((base.until, moment))
    between = _count_between(connection, site_ids, first, last)
    return base.total + (between if moment > base.until else -between)


def _base(
    records: Records,
    connection: sa.Connection,
    scope: frozenset[str],
    moment: datetime,
    now: datetime,
) -> _Count:
    kept = _counts.setdefault(records, {})
    base = kept.get(scope)
    if base is None or now - base.counted_at > FRESH:
        with _one_at_a_time:
            base = kept.get(scope)
            if base is None or now - base.counted_at > FRESH:
                if len(kept) >= MOST_KEPT:
                    kept.clear()
                base = _Count(moment, now, _count_until(connection, scope, moment))
                kept[scope] = base
    return base


def _count_until(connection: sa.Connection, scope: frozenset[str], moment: datetime) -> int:
    # In the order of its index, so that no database sorts a million UIDs.
    each = sa.select(study.c.study_uid).where(*scope_terms(list(scope), moment)).distinct()
    return int(
        connection.execute(sa.select(sa.func.count()).select_from(each.subquery())).scalar_one()
    )


def _count_between(
    connection: sa.Connection, site_ids: Sequence[str], first: datetime, last: datetime
) -> int:
    """Studies that nobody in scope had until `first` and somebody had until `last`."""
    earlier = study.alias()
    known = sa.exists().where(
        earlier.c.study_uid == study.c.study_uid,
        earlier.c.first_seen_at <= first,
        earlier.c.site_id.in_(sorted(set(site_ids))),
    )
    new = sa.select(sa.func.count(study.c.study_uid.distinct())).where(
        *scope_terms(site_ids, last), study.c.first_seen_at > first, ~known
    )
    return int(connection.execute(new).scalar_one())
