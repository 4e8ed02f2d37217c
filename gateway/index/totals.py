"""How many studies a list has: exactly, or not said at all; never at the cost of the answer.

Few are counted for each search. The whole index is too dear for that: it is counted beside, in
slices, about once a minute for each set of sites and process, and carried forward (or back) to the
asked moment by what was first seen between. A study that is deleted ends the count, of which nobody
knows any more whether it was in it. Until it is counted anew the total is unknown.
"""

import threading
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from weakref import WeakKeyDictionary

import sqlalchemy as sa

from gateway.clock import monotonic_s, utc_now
from gateway.errors import RecordsRefused, RecordsUnavailable
from gateway.index.scope import Scope, find_scope
from gateway.log import log
from gateway.records.engine import Records
from gateway.records.studies import study, study_deletion

MANY = 10_000
"""So many rows are counted for one search: some milliseconds on either database."""
SLICE = 5000
PAUSE_S = 0.01
"""Between two slices: SQLite holds up all other requests of a process while it counts."""
SETTLED = timedelta(minutes=1)
"""Rows that were seen longer ago than that are committed."""
FRESH_S = 60.0
SHARE = 0.02
"""Of a process' time that counting may take: a larger index is counted less often."""
TOO_OLD_S = 600.0
MOST_KEPT = 1000


@dataclass(frozen=True)
class _Count:
    """Studies first seen until then, as long as no more rows than `deleted` are deleted."""

    until: datetime
    total: int
    deleted: int
    counted_at: float
    seconds: float

    @property
    def age_s(self) -> float:
        return monotonic_s() - self.counted_at

    def is_fresh(self, *, holds: bool) -> bool:
        """Whether it need not, or may not yet, be counted anew."""
        return self.age_s <= max(FRESH_S if holds else 0.0, self.seconds / SHARE)


@dataclass
class _Kept:
    """What is known of one database."""

    counts: dict[frozenset[str], _Count] = field(default_factory=dict)
    waiting: dict[frozenset[str], None] = field(default_factory=dict)
    runs: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


_kept: WeakKeyDictionary[Records, _Kept] = WeakKeyDictionary()


def count_studies(
    records: Records, connection: sa.Connection, scope: Scope, as_of: datetime | None
) -> int | None:
    """Distinct studies of these sites first seen until `as_of`, or until now.

    returns  None while they are being counted, and while too many come or go to keep up with
    """
    kept = _kept.setdefault(records, _Kept())
    base = kept.counts.get(scope.site_ids)
    if base is None and scope.site_ids not in kept.waiting:
        total, last = _count_slice(connection, scope, as_of, "")
        if not last:
            return total
    holds = base is not None and base.deleted == _count_deleted(connection, scope)
    if base is None or not base.is_fresh(holds=holds):
        _order(kept, records, scope.site_ids)
    if base is None or not holds or base.age_s > max(TOO_OLD_S, base.seconds / SHARE * 2):
        return None
    moment = as_of or utc_now()
    first, last_moment = sorted((base.until, moment))
    between = _count_between(connection, scope, first, last_moment)
    if between is None:
        return None
    return base.total + (between if moment > base.until else -between)


def _count_some(connection: sa.Connection, uids: sa.Select[str]) -> int | None:
    """How many different UIDs a statement gives; None if it has more than MANY rows."""
    some = uids.limit(MANY + 1).subquery()
    (uid,) = some.c
    question = sa.select(sa.func.count(), sa.func.count(uid.distinct())).select_from(some)
    rows, total = connection.execute(question).one()
    return None if rows > MANY else int(total)


def _order(kept: _Kept, records: Records, site_ids: frozenset[str]) -> None:
    """Have it counted by a thread, one after the other."""
    with kept.lock:
        kept.waiting.setdefault(site_ids)
        if not kept.runs:
            kept.runs = True
            threading.Thread(target=_count_waiting, args=(kept, records), daemon=True).start()


def _count_waiting(kept: _Kept, records: Records) -> None:
    while True:
        with kept.lock:
            site_ids = next(iter(kept.waiting), None)
            if site_ids is None:
                kept.runs = False
                return
        try:
            found = _count_all(records, site_ids)
        except (RecordsUnavailable, RecordsRefused) as error:
            log.warning("studies not counted", why=str(error))
        else:
            if len(kept.counts) >= MOST_KEPT:
                kept.counts.clear()
            kept.counts[site_ids] = found
        with kept.lock:
            del kept.waiting[site_ids]


def _count_all(records: Records, site_ids: frozenset[str]) -> _Count:
    until = utc_now() - SETTLED
    total, after, seconds = 0, "", 0.0
    with records.read() as connection:
        deleted = _count_deleted(connection, find_scope(connection, site_ids))
    while True:
        begin = monotonic_s()
        with records.read() as connection:
            scope = find_scope(connection, site_ids)
            found, after = _count_slice(connection, scope, until, after)
        total += found
        seconds += monotonic_s() - begin
        if not after:
            return _Count(until, total, deleted, monotonic_s(), seconds)
        time.sleep(PAUSE_S)


def _count_slice(
    connection: sa.Connection, scope: Scope, moment: datetime | None, after: str
) -> tuple[int, str]:
    """How many of the next SLICE studies there are, and the last of them; "" if there are no more.

    In the order of its index, so that no database sorts a million UIDs.
    """
    terms = [*scope.terms(moment), study.c.study_uid > after]
    each = sa.select(study.c.study_uid).where(*terms).distinct()
    some = each.order_by(study.c.study_uid).limit(SLICE).subquery()
    question = sa.select(sa.func.count(), sa.func.max(some.c.study_uid))
    found, last = connection.execute(question).one()
    return found, last if found == SLICE else ""


def _count_deleted(connection: sa.Connection, scope: Scope) -> int:
    """How many rows of these sites were ever deleted: it only grows."""
    rows = sa.func.coalesce(sa.func.sum(study_deletion.c.rows), 0)
    mine = scope.of(study_deletion.c.site_id)
    return int(connection.execute(sa.select(rows).where(*mine)).scalar_one())


def _count_between(
    connection: sa.Connection, scope: Scope, first: datetime, last: datetime
) -> int | None:
    """Studies that nobody in scope had until `first` and somebody had until `last`."""
    earlier = study.alias()
    known = sa.exists().where(
        earlier.c.study_uid == study.c.study_uid,
        earlier.c.first_seen_at <= first,
        *scope.of(earlier.c.site_id),
    )
    new = sa.select(study.c.study_uid)
    return _count_some(
        connection, new.where(*scope.terms(last), study.c.first_seen_at > first, ~known)
    )
