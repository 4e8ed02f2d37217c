"""Takes the snapshots of the rollout: reads what is known of a day, measures it, keeps what may be
told. Which are due follows from those that were taken, so a night that was missed is made up for.
"""

from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from gateway.clock import monotonic_s
from gateway.errors import BadRequest, NotFound
from gateway.log import log
from gateway.model.rollout.figures import Snapshot, SnapshotKind
from gateway.model.rollout.forecast import declared_shares, forecast, month_ends
from gateway.model.rollout.measures import (
    Inventory,
    Savings,
    Seen,
    UnitImages,
    measure,
)
from gateway.model.rollout.register import as_of
from gateway.model.rollout.suppression import tell_studies, withhold, withhold_unit
from gateway.model.sites import Region
from gateway.records.engine import Records
from gateway.records.register import first_day
from gateway.records.snapshots import (
    Order,
    Taken,
    list_taken,
    order_snapshots,
    save_snapshot,
    versions,
)
from gateway.rollout.evidence import flows, homes_of, look
from gateway.rollout.register import Register, load_register
from gateway.settings import Settings

NIGHT_BEGINS = timedelta(hours=1)
"""After midnight: what arrived just before it has been counted by then."""
MOST_NIGHTS = 31
"""Nights that are made up for; the months before them are all the same."""
LONGEST_REASON = 500
HOME_ZONE = "Europe/Moscow"


def savings_of(settings: Settings) -> Savings:
    return Savings(settings.rollout_saving_low, settings.rollout_saving_high)


def make_snapshot(
    records: Records,
    history: Register,
    wanted: Order,
    savings: Savings,
    now: datetime,
    version: int = 1,
    reason: str = "",
) -> Snapshot:
    """Measure the end of a day as it is known `now`; nothing is kept.

    What was written after `now` is left out, so that who reads the register by `taken_at` later
    finds the same.
    raises  RecordsUnavailable
    """
    day = wanted.day
    facilities = as_of(history.facilities, day, now)
    today = Inventory(facilities, as_of(history.units, day, now))
    homes = homes_of(history.units, day, now)
    looked = look(records, today.units, facilities, day, homes=homes, known_at=now)
    seen = Seen(
        {
            unit_id: UnitImages(one.first_on, one.last_on, one.studies, one.studies_30)
            for unit_id, one in looked.units.items()
        },
        flows(records, facilities, day),
        looked.unknown_30,
    )
    figures, units = measure(today, seen, day, savings)
    told = tell_studies(today, seen)
    first = min((one.valid_from for one in history.units), default=day)
    ends = [end for end in month_ends(first, day) if end < day]
    points = declared_shares(history.facilities, history.units, [*ends, day], now)
    return Snapshot(
        day=day,
        kind=wanted.kind,
        version=version,
        taken_at=now,
        reason=reason,
        figures={scope: withhold(one, scope, told) for scope, one in figures.items()},
        units=tuple(withhold_unit(one) for one in units),
        forecast=forecast(today, points, day),
        unknown_senders=seen.unknown_senders,
        told=told,
    )


def take(
    records: Records,
    wanted: Iterable[Order],
    savings: Savings,
    now: datetime,
    go_on: Callable[[], bool] = lambda: True,
) -> list[Order]:
    """Measure and keep those that are not there yet; the register is read once for all.

    go_on    asked before each
    returns  those that were taken here
    raises   RecordsUnavailable
    """
    history = load_register(records)
    done = []
    for one in wanted:
        if not go_on():
            break
        began_s = monotonic_s()
        if save_snapshot(records, make_snapshot(records, history, one, savings, now)):
            facts = {"day": str(one.day), "kind": str(one.kind)}
            log.info("snapshot is taken", seconds=round(monotonic_s() - began_s, 2), **facts)
            done.append(one)
    return done


def correct(
    records: Records, month: date, reason: str, savings: Savings, now: datetime
) -> Snapshot:
    """Measure a frozen month again, by what is known now: another version of it, with why.

    month   any day of it
    raises  NotFound if it is not frozen; BadRequest for no reason, or while another correction of
            it is being written; RecordsUnavailable
    """
    said = " ".join(reason.split())
    if not said or len(said) > LONGEST_REASON:
        raise BadRequest("reason", f"say why in up to {LONGEST_REASON} letters")
    taken = versions(records, month)
    if not taken:
        raise NotFound("month")
    wanted, version = Order(taken[-1].day, SnapshotKind.MONTH), taken[-1].version + 1
    snapshot = make_snapshot(records, load_register(records), wanted, savings, now, version, said)
    if not save_snapshot(records, snapshot):
        raise BadRequest("month", "somebody else has just corrected it; look at that first")
    log.info("month is corrected", month=f"{wanted.day:%Y-%m}", version=version)
    return snapshot


def zone_of(region: Region) -> ZoneInfo:
    """Of the region's own clock, that of the home site."""
    home = region.site(region.home_site)
    return ZoneInfo(home.time_zone if home else HOME_ZONE)


def last_day(region: Region, now: datetime) -> date:
    """The last day that is over at the region's own clock."""
    return (now.astimezone(zone_of(region)) - NIGHT_BEGINS).date() - timedelta(days=1)


def month_end(day: date) -> date:
    """The last day of its month."""
    return next(month_ends(day, date.max))


def find_due(taken: Iterable[Taken], first_on: date | None, last: date) -> list[Order]:
    """What is to be taken, the oldest first: every month since the register begins, and the nights
    since the last one that was taken. Pure.

    first_on  None: nothing is known yet, so nothing is told
    last      the last day that is over
    """
    if first_on is None or first_on > last:
        return []
    known = {Order(one.day, one.kind) for one in taken}
    nights = [one.day for one in known if one.kind is SnapshotKind.NIGHTLY]
    since = max(nights, default=last - timedelta(days=1))
    count = min((last - since).days, MOST_NIGHTS, (last - first_on).days + 1)
    wanted = [
        Order(last - timedelta(days=ago), SnapshotKind.NIGHTLY) for ago in reversed(range(count))
    ]
    wanted += [Order(day, SnapshotKind.MONTH) for day in month_ends(first_on, last)]
    return sorted(set(wanted) - known)


def order_due(records: Records, region: Region, now: datetime) -> None:
    """Write down what is due, for whoever takes it first."""
    due = find_due(list_taken(records), first_day(records), last_day(region, now))
    order_snapshots(records, due, now)


def backfill(records: Records, savings: Savings, until: date, now: datetime) -> list[Order]:
    """Take every month up to that day that has no report yet, and that day itself.

    returns  those that were taken here
    """
    taken = [one for one in list_taken(records) if one.day <= until]
    return take(records, find_due(taken, first_day(records), until), savings, now)
