"""What must always be true of arrivals and deliveries, looked at every minute (routing.md 2.9).

Each thing that is not so is one alarm, whose subject is a site or a destination; it goes by itself
with its cause. Nothing here is a patient's.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from gateway.model import alarms
from gateway.model.deliveries import FINAL, State
from gateway.model.pace import Pace
from gateway.model.sites import QuirkProfile, Region
from gateway.model.storages import Storage, storage_of
from gateway.records.arrivals import Arrived, arrival
from gateway.records.deliveries import delivery
from gateway.records.dispatch import load_paces
from gateway.records.engine import Records
from gateway.records.leases import Fence
from gateway.records.notices import Way, load_unsent
from gateway.records.probes import load_profiles
from gateway.records.reconciling import TO_MEND, Verdict, reconciled
from gateway.records.storages import load_intake
from gateway.records.studies import IndexState, load_index_states
from gateway.routing.house import CLOCK_OFF_S, keep_alarms
from gateway.routing.plan import NO_RULES

LATE = timedelta(seconds=60)
RECENTLY = timedelta(minutes=10)
OLD: Mapping[str, timedelta] = {"routine": timedelta(days=1), "bulk": timedelta(days=7)}
"""How long a delivery of a lane may wait at a destination that takes others. Hours of a rule or of
a destination make a night's wait right."""
MARGIN_H = 24.0
TO_MEND_AT_MAIL = frozenset(
    {"mail_password", "mail_certificate", "mail_recipients", "mail_unsupported"}
)
NEVER = Storage(0, 0)
MOVING = (
    State.SENDING, State.SENT, State.VERIFYING, State.DELIVERED, State.RETRY_WAIT, State.PARKED,
    State.BLOCKED, State.CONFLICT,
)  # fmt: skip
OPEN = (State.PLANNED, State.SENDING, State.SENT, State.VERIFYING, State.RETRY_WAIT)
FOR_PEOPLE: Mapping[State, str] = {
    State.PARKED: alarms.DELIVERIES_PARKED,
    State.CONFLICT: alarms.DELIVERIES_IN_CONFLICT,
    State.SOURCE_LOST: alarms.SOURCE_LOST,
}
KINDS = (
    alarms.ARRIVALS_WAIT, alarms.STUDIES_WITHOUT_RULES, alarms.STUDIES_NOT_JUDGED,
    alarms.STUDIES_NOT_PLANNED, alarms.SOURCE_LOST, alarms.DELIVERIES_PARKED,
    alarms.DELIVERIES_IN_CONFLICT, alarms.DELIVERIES_STUCK, alarms.DESTINATION_SILENT,
    alarms.DESTINATION_BLOCKED, alarms.DESTINATION_UNKNOWN, alarms.EMERGENCY_LATE,
    alarms.DELIVERIES_OLD, alarms.SOURCE_RECYCLES, alarms.SITE_SILENT, alarms.NOTICES_WAIT,
    alarms.ADDRESS_LIST_UNKNOWN, alarms.DELIVERED_LOST, alarms.SITE_CLOCK_OFF,
)  # fmt: skip

Found = dict[tuple[str, str], dict[str, Any]]
"""(kind, subject) -> facts."""


def check_invariants(records: Records, region: Region, now: datetime, fence: Fence | None) -> Found:
    """Raise an alarm for everything that is not as it must be, and clear those that are again.

    raises  LeaseLost if another keeper leads; RecordsUnavailable
    """
    found = find_broken(records, region, now)
    keep_alarms(records, KINDS, found, now, fence)
    return found


def find_broken(records: Records, region: Region, now: datetime) -> Found:
    """What is not as it must be now."""
    profiles = load_profiles(records)
    with records.read() as connection:
        return {
            **_of_arrivals(connection, region, now),
            **_of_people(connection),
            **_of_destinations(connection, region, load_paces(records), now),
            **_of_emergencies(connection, now),
            **_of_audits(connection),
            **_of_sources(connection, region, profiles, now),
            **_of_sites(region, load_index_states(records), profiles, now),
            **_of_notices(region, load_unsent(records), now),
        }


def _of_arrivals(connection: sa.Connection, region: Region, now: datetime) -> Found:
    a = arrival.c
    sites = a.site_id.in_([site.site_id for site in region.sites])
    planned = sa.and_(
        delivery.c.site_id == a.site_id,
        delivery.c.study_uid == a.study_uid,
        delivery.c.epoch == a.epoch,
    )
    judged = sa.and_(a.judged_at > now - RECENTLY, a.judged_at <= now)
    questions: Mapping[str, sa.ColumnElement[bool]] = {
        alarms.ARRIVALS_WAIT: sa.and_(
            sites, a.due_at < now - LATE, a.backlog == sa.false(), a.state != Arrived.FAILED
        ),
        alarms.STUDIES_WITHOUT_RULES: sa.and_(
            sites, a.state == Arrived.UNRULED, a.reason == NO_RULES
        ),
        alarms.STUDIES_NOT_JUDGED: sa.and_(sites, a.state == Arrived.FAILED),
        # Nobody has looked at what it should hold, or its deliveries were lost.
        alarms.STUDIES_NOT_PLANNED: sa.and_(
            sites, judged, a.state == Arrived.PLANNED, ~sa.exists().where(planned)
        ),
        alarms.SOURCE_LOST: sa.and_(a.state == Arrived.GONE, a.epoch == 0),
    }
    found: Found = {}
    for kind, where in questions.items():
        question = sa.select(a.site_id, sa.func.count(), sa.func.min(a.changed_at))
        for site_id, count, oldest in connection.execute(question.where(where).group_by(a.site_id)):
            found[kind, site_id] = {"studies": count, "oldest": _moment(oldest)}
    return found


def _of_people(connection: sa.Connection) -> Found:
    """What waits until a person has looked."""
    d = delivery.c
    question = sa.select(d.state, d.destination, d.site_id, sa.func.count()).where(
        d.state.in_(sorted(FOR_PEOPLE))
    )
    found: Found = {}
    rows = connection.execute(question.group_by(d.state, d.destination, d.site_id))
    for state, destination, site_id, count in rows:
        kind = FOR_PEOPLE[State(state)]
        subject = site_id if kind == alarms.SOURCE_LOST else destination
        facts = found.setdefault((kind, subject), {"deliveries": 0})
        facts["deliveries"] += count
    return found


def _of_destinations(
    connection: sa.Connection, region: Region, paces: Mapping[str, Pace], now: datetime
) -> Found:
    d = delivery.c
    late = sa.and_(d.next_at < now - LATE)
    question = sa.select(d.destination, sa.func.count(), sa.func.min(d.made_at)).where(late)
    found: Found = {}
    known = {each.destination_id for each in region.destinations}
    for name, pace in paces.items():
        if pace.blocked and name in known:
            found[alarms.DESTINATION_BLOCKED, name] = {"reason": pace.reason}
        elif pace.rests_until is not None and name in known:
            facts = {"reason": pace.reason, "failures": pace.failures}
            found[alarms.DESTINATION_SILENT, name] = facts
    told = {subject for _, subject in found}
    for name, count, oldest in connection.execute(question.group_by(d.destination)):
        facts = {"deliveries": count, "oldest": _moment(oldest)}
        if name not in known:
            found[alarms.DESTINATION_UNKNOWN, name] = facts
        elif name not in told and not _moves(connection, name, now):
            found[alarms.DELIVERIES_STUCK, name] = facts
    explained = {subject for _, subject in found}
    for name, facts in _old(connection, now).items():
        if name in known and name not in explained:  # else the cause has its alarm already
            found[alarms.DELIVERIES_OLD, name] = facts
    return found


def _old(connection: sa.Connection, now: datetime) -> Mapping[str, dict[str, Any]]:
    """By destination, the most urgent lane whose oldest undelivered study has waited too long."""
    d = delivery.c
    found: dict[str, dict[str, Any]] = {}
    for lane, longest in OLD.items():
        old = sa.and_(d.lane == lane, d.state.in_(sorted(OPEN)), d.made_at < now - longest)
        question = sa.select(d.destination, sa.func.count(), sa.func.min(d.made_at)).where(old)
        for name, count, oldest in connection.execute(question.group_by(d.destination)):
            facts = {"deliveries": count, "lane": lane, "oldest": _moment(oldest)}
            found.setdefault(name, facts)
    return found


def _moves(connection: sa.Connection, destination: str, now: datetime) -> bool:
    """Whether any of its deliveries has changed lately: then the others only wait their turn."""
    d = delivery.c
    recent = sa.select(d.delivery_id).where(
        d.state.in_(sorted(MOVING)), d.destination == destination, d.changed_at > now - LATE
    )
    return connection.execute(recent.limit(1)).first() is not None


def _of_emergencies(connection: sa.Connection, now: datetime) -> Found:
    """Half of the two minutes have gone."""
    d = delivery.c
    late = sa.and_(d.lane == "emergency", d.state.in_(sorted(OPEN)), d.made_at < now - LATE)
    question = sa.select(d.destination, sa.func.count(), sa.func.min(d.made_at)).where(late)
    return {
        (alarms.EMERGENCY_LATE, name): {"deliveries": count, "oldest": _moment(oldest)}
        for name, count, oldest in connection.execute(question.group_by(d.destination))
    }


def _of_audits(connection: sa.Connection) -> Found:
    """What the last comparison missed at a destination, until it is proven to be there again."""
    r, d = reconciled.c, delivery.c
    same = sa.and_(
        d.site_id == r.site_id, d.study_uid == r.study_uid, d.destination == r.destination
    )
    again = sa.and_(
        r.verdict.in_(sorted(TO_MEND)), sa.exists().where(same, d.state.in_(sorted(OPEN)))
    )
    amiss = sa.or_(again, r.verdict == Verdict.CONFLICTING)
    question = sa.select(r.destination, sa.func.count(), sa.func.min(r.found_at)).where(amiss)
    return {
        (alarms.DELIVERED_LOST, name): {"studies": count, "oldest": _moment(oldest)}
        for name, count, oldest in connection.execute(question.group_by(r.destination))
    }


def _of_sources(
    connection: sa.Connection, region: Region, profiles: Mapping[str, QuirkProfile], now: datetime
) -> Found:
    """Studies that their hospital's Orthanc deletes, the oldest first, before they are delivered:
    it does so in silence (routing.md E16)."""
    storages = {
        site.site_id: storage_of(site, profiles.get(site.site_id, QuirkProfile()))
        for site in region.sites
    }
    storages = {site_id: one for site_id, one in storages.items() if one != NEVER}
    if not storages:
        return {}
    d = delivery.c
    undelivered = sa.and_(d.state.not_in(sorted({State.EXCLUDED, *FINAL})))
    question = (
        sa.select(d.site_id, sa.func.count(), sa.func.min(arrival.c.first_seen_at))
        .join(arrival, sa.and_(arrival.c.site_id == d.site_id,
                               arrival.c.study_uid == d.study_uid))
        .where(undelivered, d.site_id.in_(sorted(storages)))
    )  # fmt: skip
    found: Found = {}
    for site_id, count, oldest in connection.execute(question.group_by(d.site_id)):
        left_h = storages[site_id].hours_left(*load_intake(connection, site_id, oldest, now))
        if left_h is not None and left_h < MARGIN_H:
            facts = {"deliveries": count, "oldest": _moment(oldest), "hours_left": int(left_h)}
            found[alarms.SOURCE_RECYCLES, site_id] = facts
    return found


def _of_sites(
    region: Region,
    states: Mapping[str, IndexState],
    profiles: Mapping[str, QuirkProfile],
    now: datetime,
) -> Found:
    """A site whose change feed could not be read: what arrives there is not seen; and one whose
    clock is wrong.

    Where all are unread it is the keeper that was away, unless the last probe failed as well.
    """
    read_at = {
        site.site_id: state.read_at
        for site in region.sites
        if (state := states.get(site.site_id)) and state.read_at
    }
    off = {
        site.site_id: profile.clock_ahead_s
        for site in region.sites
        if abs((profile := profiles.get(site.site_id, QuirkProfile())).clock_ahead_s) > CLOCK_OFF_S
    }
    reads = any(at >= now - LATE for at in read_at.values())
    silent: Found = {
        (alarms.SITE_SILENT, site_id): {"oldest": _moment(at)}
        for site_id, at in read_at.items()
        if at < now - LATE and (reads or profiles.get(site_id, QuirkProfile()).problem)
    }
    return silent | {(alarms.SITE_CLOCK_OFF, name): {"seconds": s} for name, s in off.items()}


def _of_notices(
    region: Region, unsent: Mapping[tuple[str, Way], tuple[int, datetime, str]], now: datetime
) -> Found:
    """A server that is away may come back by itself; what must be mended is told at once."""
    found: Found = {}
    for (list_id, _), (count, since, reason) in unsent.items():
        known = region.address_list(list_id) is not None
        kind = alarms.NOTICES_WAIT if known else alarms.ADDRESS_LIST_UNKNOWN
        if not known or reason in TO_MEND_AT_MAIL or since < now - RECENTLY:
            facts = {"messages": count, "oldest": _moment(since)}
            found[kind, list_id] = facts | ({"reason": reason} if reason else {})
    return found


def _moment(found: datetime) -> str:
    return found.isoformat(timespec="seconds")
