"""Settles what the index knows of its patients: links between identifiers, and alarms of study UIDs
that two patients share.

The writer of the index notes what it has changed (records/persons.py: due). Here each note is taken
and its surroundings are judged anew, so that it does not matter in which order the rows came, or
how often; a note goes in the transaction that writes what follows from it.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

import sqlalchemy as sa

from gateway.errors import LinkRefused, PatientsDiffer
from gateway.log import log
from gateway.model.alarms import STUDY_OF_TWO_PATIENTS, TORN_LINK
from gateway.model.links import MOST_SAID, Facts, LinkPlan, facts_of, plan_links
from gateway.model.persons import Identity, Pair, PersonId, find_different
from gateway.records.alarms import write_alarm, write_clearance
from gateway.records.engine import Records
from gateway.records.leases import Fence
from gateway.records.persons import (
    Link,
    Member,
    find_alike,
    find_holders,
    find_link,
    find_links,
    find_said,
    name_of,
    save_decision,
    save_links,
    save_members,
    take_due,
    take_turn,
)

AT_ONCE = 500
CROWD = 500
"""More identifiers that are alike are not looked at one by one. Far above links.MOST_ALIKE, so that
their links have ended before."""


def settle(records: Records, now: datetime, most: int = AT_ONCE, fence: Fence | None = None) -> int:
    """Judge what has changed in the index; returns how many notes were settled, 0 at the end.

    fence   of the keeper that leads: frozen in here, it keeps no lock for longer than it leads
    raises  RecordsUnavailable, LeaseLost: nothing is settled then
    """
    with records.write() as connection:
        if fence:
            fence.check(connection)
        take_turn(connection)
        persons, study_uids = take_due(connection, most)
        if study_uids:
            _check_studies(connection, study_uids, now)
        if persons:
            _link(connection, persons, now)
    return len(persons) + len(study_uids)


# Study UIDs that two patients share


def _check_studies(connection: sa.Connection, uids: Collection[str], now: datetime) -> None:
    held: dict[str, dict[str, Identity]] = {}
    for uid, site_id, identity in find_holders(connection, uids):
        held.setdefault(uid, {})[site_id] = identity
    shared = {
        uid: sorted(holders) for uid, holders in held.items() if find_different(holders.values())
    }
    for uid, sites in shared.items():
        if write_alarm(connection, STUDY_OF_TWO_PATIENTS, uid, {"sites": sites}, now):
            log.warning("one study UID, different patients", study=uid, sites=sites)
    write_clearance(connection, STUDY_OF_TWO_PATIENTS, uids - shared.keys(), now)


def check_one_patient(records: Records, study_uid: str, site_ids: Collection[str]) -> None:
    """Refuse a study that the index knows of different patients at these sites.

    raises  PatientsDiffer, RecordsUnavailable
    """
    with records.read() as connection:
        found = find_holders(connection, [study_uid])
        held = {site_id: identity for _, site_id, identity in found if site_id in site_ids}
    if find_different(held.values()):
        raise PatientsDiffer(study_uid, sorted(held))


# Links


@dataclass(frozen=True)
class _Surroundings:
    """Every identifier that is alike one of the first, or linked with one, however far.

    facts  None for an identifier that is not to be linked
    """

    facts: dict[PersonId, Facts | None]
    links: dict[Pair, Link]

    def plan(self, decided: dict[Pair, bool]) -> LinkPlan:
        """decided  what people say now, beside or instead of what they have said before"""
        before = {
            pair: link.state == "confirmed"
            for pair, link in self.links.items()
            if link.state in ("confirmed", "rejected")
        }
        known = {person_id: facts for person_id, facts in self.facts.items() if facts is not None}
        return plan_links(known, before | decided)


def _look_around(connection: sa.Connection, first: Collection[PersonId]) -> _Surroundings:
    found = _Surroundings({}, {})
    crowds: set[str] = set()
    seen: set[str] = set()
    fresh = set(first)
    while fresh:
        said = find_said(connection, fresh, MOST_SAID + 1)
        facts = {person_id: facts_of(identities) for person_id, identities in said.items()}
        fresh_alike = {key for one in facts.values() if one for key in one.alike} - seen
        alike = find_alike(connection, fresh_alike, CROWD + 1)
        seen |= fresh_alike
        crowds |= {key for key, some in alike.items() if len(some) > CROWD}
        for person_id, one in facts.items():
            found.facts[person_id] = one and replace(one, alike=one.alike - crowds)
        links = {link.pair: link for link in find_links(connection, fresh)}
        found.links.update(links)
        near = {one for key in fresh_alike - crowds for one in alike[key]}
        near |= {one for pair in links for one in pair}
        fresh = near - found.facts.keys()
    return found


def _link(connection: sa.Connection, first: Collection[PersonId], now: datetime) -> None:
    around = _look_around(connection, first)
    plan = around.plan({})
    save_links(connection, around.links.values(), plan.links, now)
    members = []
    for group in plan.groups:
        for one in group:
            facts = around.facts[one]
            alike = facts.alike if facts else frozenset[str]()
            members.append(Member(one, name_of(min(group)), alike))
    save_members(connection, around.facts, members)
    torn = {name_of(min(group)): group for group in plan.torn}
    for name, group in torn.items():
        named = sorted(plan_pair for plan_pair in around.links if set(plan_pair) <= group)
        links = [around.links[pair].name for pair in named]
        write_alarm(connection, TORN_LINK, name, {"links": links}, now)
    write_clearance(
        connection, TORN_LINK, {name_of(one) for one in around.facts} - torn.keys(), now
    )


Word = Literal["confirm", "reject", "separate"]
SPOKEN_OF: dict[Word, frozenset[str]] = {
    "confirm": frozenset({"suggested", "rejected"}),
    "reject": frozenset({"suggested"}),
    "separate": frozenset({"automatic", "confirmed"}),
}
"""States of a link that each word can be said of."""


def decide(records: Records, name: str, word: Word, by: str, now: datetime) -> None:
    """A person says whether two identifiers are one person's; the next word replaces this one.

    name    of the link (Link.name)
    raises  LinkRefused, and nothing is kept, if there is no such link, the word does not fit its
            state, or the link would join two state numbers or a pair that was rejected
    """
    with records.write() as connection:
        take_turn(connection)
        link = find_link(connection, name)
        if link is None:
            raise LinkRefused("unknown")
        if link.state not in SPOKEN_OF[word]:
            raise LinkRefused("state")
        same = word == "confirm"
        if same:
            plan = _look_around(connection, link.pair).plan({link.pair: True})
            if not any(set(link.pair) <= group for group in plan.groups):
                raise LinkRefused("contradiction")
        save_decision(connection, link, same=same, by=by, now=now)
        _link(connection, link.pair, now)
    log.info("link between identifiers was judged", link=name, word=word)
