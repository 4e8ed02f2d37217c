"""Settles what the index must know of its patients: links between identifiers, and alarms of UIDs
that two patients or two studies share.

The writer of the index notes what it has changed (records/persons.py: due). Here each note is taken
and its surroundings are judged anew, so that it does not matter in which order the rows came, or
how often; a note goes in the transaction that writes what follows from it.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

import sqlalchemy as sa

from gateway.dicom.attributes import tag_of
from gateway.dicom.matching import has_wildcard
from gateway.dicom.query import Condition, Query
from gateway.log import log
from gateway.model.alarms import SERIES_OF_TWO_STUDIES, STUDY_OF_TWO_PATIENTS, TORN_LINK
from gateway.model.links import Facts, LinkPlan, facts_of, plan_links
from gateway.model.persons import Identity, Pair, PersonId, find_different
from gateway.records.alarms import find_alarms, write_alarm, write_clearance
from gateway.records.engine import Records
from gateway.records.persons import (
    Link,
    Member,
    find_identities,
    find_links,
    find_links_by_id,
    find_members,
    save_decision,
    save_links,
    save_members,
    take_due,
)
from gateway.records.studies import series, study

AT_ONCE = 200
MOST_ROUNDS = 20
MOST_LINKED = 20
"""Identifiers that one search is widened by; a person with more of them has been linked wrongly."""

Issuers = Mapping[str, str]
"""Issuer of the PatientIDs of each site, by its id; "" for a site that issues none (an archive)."""


def settle(records: Records, issuers: Issuers, now: datetime, most: int = AT_ONCE) -> int:
    """Judge what has changed in the index; returns how many notes were settled, 0 at the end.

    raises  RecordsUnavailable: nothing is settled then
    """
    with records.write() as connection:
        patient_ids, uids = take_due(connection, most)
        if uids:
            _check_studies(connection, uids, issuers, now)
            _check_series(connection, uids, now)
        if patient_ids:
            _link_persons(connection, patient_ids, issuers, now)
    return len(patient_ids) + len(uids)


# UIDs that two share


def _check_studies(
    connection: sa.Connection, uids: Collection[str], issuers: Issuers, now: datetime
) -> None:
    seen = _find_collisions(connection, uids, issuers)
    for uid, sites in seen.items():
        write_alarm(connection, STUDY_OF_TWO_PATIENTS, uid, {"sites": sites}, now)
        log.warning("one study UID, different patients", study=uid, sites=sites)
    _clear(connection, STUDY_OF_TWO_PATIENTS, set(uids) - seen.keys(), now)


def _find_collisions(
    connection: sa.Connection, uids: Collection[str], issuers: Issuers
) -> dict[str, list[str]]:
    """Studies whose holders name different patients, with these holders."""
    held: dict[str, dict[str, Identity]] = {}
    for site_id, uid, identity in find_identities(connection, study.c.study_uid, uids, issuers):
        held.setdefault(uid, {})[site_id] = identity
    return {
        uid: sorted(holders)
        for uid, holders in held.items()
        if len(holders) > 1 and find_different(holders.values())
    }


def find_collision(records: Records, study_uid: str, issuers: Issuers) -> list[str]:
    """Sites that hold this study if they name different patients; [] if nothing is wrong.

    raises  RecordsUnavailable
    """
    with records.read() as connection:
        return _find_collisions(connection, [study_uid], issuers).get(study_uid, [])


def is_of_another_patient(
    records: Records, study_uid: str, identity: Identity, issuers: Issuers
) -> list[str]:
    """Sites that hold this study of a patient who is not this one: a store is to be refused.

    identity  of what comes (model/persons.py: identity_of), with the issuer of the site it is for
    raises    RecordsUnavailable
    """
    with records.read() as connection:
        held = find_identities(connection, study.c.study_uid, [study_uid], issuers)
        return sorted(site for site, _, there in held if find_different([identity, there]))


def _check_series(connection: sa.Connection, uids: Collection[str], now: datetime) -> None:
    """SOP instance UIDs are not in the index: of those nobody can say."""
    other = series.alias()
    shared = sa.select(series.c.series_uid).distinct().join(
        other,
        sa.and_(
            other.c.series_uid == series.c.series_uid, other.c.study_uid != series.c.study_uid
        ),
    )  # fmt: skip
    found = set(connection.execute(shared.where(series.c.study_uid.in_(uids))).scalars())
    asked = found | {
        alarm.subject
        for alarm in find_alarms(connection, SERIES_OF_TWO_STUDIES)
        if uids & set(alarm.facts["studies"])
    }
    if not asked:
        return
    where = sa.select(series.c.series_uid, series.c.study_uid, series.c.site_id)
    places: dict[str, set[tuple[str, str]]] = {uid: set() for uid in asked}
    for uid, study_uid, site_id in connection.execute(where.where(series.c.series_uid.in_(asked))):
        places[uid].add((study_uid, site_id))
    ended = set()
    for uid, there in places.items():
        studies = sorted({study_uid for study_uid, _ in there})
        if len(studies) < 2:
            ended.add(uid)
            continue
        facts = {"studies": studies, "sites": sorted({site_id for _, site_id in there})}
        write_alarm(connection, SERIES_OF_TWO_STUDIES, uid, facts, now)
        log.warning("one series UID in two studies", series=uid, **facts)
    _clear(connection, SERIES_OF_TWO_STUDIES, ended, now)


def _clear(
    connection: sa.Connection, kind: str, subjects: Collection[str], now: datetime
) -> None:
    if subjects:
        write_clearance(connection, kind, subjects, now)


# Links


@dataclass
class _Surroundings:
    """Every identifier that is alike one of the first, or linked with one, however far."""

    identities: dict[PersonId, set[Identity]] = field(default_factory=dict)
    links: dict[Pair, Link] = field(default_factory=dict)

    def plan(self) -> tuple[LinkPlan, dict[PersonId, Facts]]:
        facts = {one: facts_of(said) for one, said in self.identities.items()}
        known = {one: fact for one, fact in facts.items() if fact is not None}
        decided = {
            pair: link.state == "confirmed"
            for pair, link in self.links.items()
            if link.state in ("confirmed", "rejected")
        }
        return plan_links(known, decided), known


def _surroundings(
    connection: sa.Connection, first: Collection[PersonId], issuers: Issuers
) -> _Surroundings:
    found = _Surroundings()
    fresh = set(first)
    seen_alike: set[str] = set()
    for _ in range(MOST_ROUNDS):
        if not fresh:
            break
        for person_id in fresh:
            found.identities[person_id] = set()
        ids = {person_id.patient_id for person_id in fresh}
        for _, _, one in find_identities(connection, study.c.patient_id, ids, issuers):
            if one.person_id in fresh:
                found.identities[one.person_id].add(one)
        facts = [facts_of(found.identities[person_id]) for person_id in fresh]
        alike = {key for fact in facts if fact for key in fact.alike} - seen_alike
        seen_alike |= alike
        near = find_identities(connection, study.c.alike, alike, issuers)
        neighbours = {one.person_id for _, _, one in near}
        for link in find_links(connection, fresh):
            found.links[link.pair] = link
            neighbours |= set(link.pair)
        fresh = {one for one in neighbours if one is not None} - found.identities.keys()
    return found


def _link_persons(
    connection: sa.Connection, patient_ids: Collection[str], issuers: Issuers, now: datetime
) -> None:
    said = find_identities(connection, study.c.patient_id, patient_ids, issuers)
    first = {one.person_id for _, _, one in said if one.person_id}
    # Identifiers that no study has any more leave their links behind.
    linked = {one for link in find_links_by_id(connection, patient_ids) for one in link.pair}
    first |= {one for one in linked if one.patient_id in patient_ids}
    _relink(connection, first, issuers, now)


def _relink(
    connection: sa.Connection, first: Collection[PersonId], issuers: Issuers, now: datetime
) -> LinkPlan:
    around = _surroundings(connection, first, issuers)
    plan, known = around.plan()
    save_links(connection, around.links.values(), plan.links, now)
    members = [
        Member(one, name_of(group), known[one].alike) for group in plan.groups for one in group
    ]
    save_members(connection, around.identities, members)
    torn = {name_of(group) for group in plan.torn}
    for person in torn:
        write_alarm(connection, TORN_LINK, person, {}, now)
    _clear(connection, TORN_LINK, {name_of([one]) for one in around.identities} - torn, now)
    return plan


# Search by any of them


def widen(records: Records, query: Query, issuers: Issuers) -> Query:
    """The query, which now also takes what is linked with the PatientID that it asks for.

    Only whole PatientIDs at the top of a dataset are widened, and IssuerOfPatientID, if it is
    asked for beside them, says whose they are. The notes say how many identifiers were added.
    raises  RecordsUnavailable
    """
    asked = _asked(query, "PatientID")
    if not asked:
        return query
    with records.read() as connection:
        members = find_members(connection, asked)
    if not members:
        return query
    owners = _asked(query, "IssuerOfPatientID")
    if not owners and any(one.keyword == "IssuerOfPatientID" for one in query.conditions):
        return query
    named = {
        member
        for member in members
        if member.person_id.patient_id in asked
        and (not owners or member.person_id.issuer in owners)
    }
    others = [
        member
        for member in members
        if member.person in {one.person for one in named} and member not in named
    ][:MOST_LINKED]
    if not others:
        return query
    added = tuple(alternative for other in others for alternative in _alternatives(other))
    whose = ", ".join(sorted({member.person_id.issuer for member in named}))
    many = f"{len(others)} other identifier" + ("s" if len(others) > 1 else "")
    note = f"This PatientID of {whose} is linked with {many}; their studies are included"
    return replace(query, linked=added, notes=(*query.notes, note))


def _asked(query: Query, keyword: str) -> frozenset[str]:
    """The exact values that a key of the query may have; empty if it asks for anything else."""
    here = [one for one in query.conditions if one.keyword == keyword and not one.path]
    if len(here) != 1 or here[0].empty or (here[0].all_of and len(here[0].values) > 1):
        return frozenset()
    return frozenset(key for key in here[0].values if not has_wildcard(key))


def _alternatives(member: Member) -> Iterator[tuple[Condition, ...]]:
    """How a row shows that it is this member's: by its issuer, or, where it names none as in an
    archive, by name and birth date too.
    """
    patient_id = _condition("PatientID", "LO", member.person_id.patient_id)
    yield patient_id, _condition("IssuerOfPatientID", "LO", member.person_id.issuer)
    nameless = Condition("00100021", "IssuerOfPatientID", "LO", empty=True)
    for alike in sorted(member.alike):
        birth_date, _, name = alike.split("|", 2)
        who = (_condition("PatientName", "PN", name), _condition("PatientBirthDate", "DA", birth_date))
        yield patient_id, nameless, *who


def _condition(keyword: str, vr: str, value: str) -> Condition:
    tag = tag_of(keyword)
    assert tag is not None  # noqa: S101 - keywords of ours
    return Condition(tag, keyword, vr, (value,))


def name_of(group: Iterable[PersonId]) -> str:
    """Our id of a person: a digest of the first identifier."""
    return hashlib.blake2b("\n".join(min(group)).encode(), digest_size=16).hexdigest()


def decide(
    records: Records, pair: Pair, *, same: bool, by: str, issuers: Issuers, now: datetime
) -> bool:
    """A person says whether two identifiers are one person's; the next word replaces this one.

    returns  False, and nothing is kept, if the link would join two state numbers or a rejected pair
    raises   RecordsUnavailable
    """
    with records.write() as connection:
        around = _surroundings(connection, set(pair), issuers)
        if same:
            _, known = around.plan()
            decided = {
                link.pair: link.state == "confirmed"
                for link in around.links.values()
                if link.state in ("confirmed", "rejected")
            }
            plan = plan_links(known, decided | {pair: True})
            if not any(set(pair) <= group for group in plan.groups):
                return False
        save_decision(connection, pair, same=same, by=by, now=now)
        _relink(connection, set(pair), issuers, now)
    log.info("identifiers were judged by a person", same=same)
    return True
