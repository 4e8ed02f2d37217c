"""One person's identifiers at several hospitals, who decided it, and what is to be checked again.

A link is a pair of identifiers, the smaller first (model/persons.py: Pair). person_member is made
of the links each time they change, so that a search needs one look. Decisions are only added.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from gateway.model.links import LinkState
from gateway.model.persons import Identity, Pair, PersonId
from gateway.records.engine import BigId, UtcDateTime, metadata
from gateway.records.studies import study

PERSON, STUDY = "person", "study"
SOME = 400
"""Values in one IN: a few of these lists stay below what SQLite takes."""
FEW = 20
"""Identifiers with one name, birth date and sex, as they usually are at most."""


def _ordered(length: int | None = None) -> sa.types.TypeEngine[str]:
    kind = sa.Text if length is None else sa.String
    return kind(length, collation="C").with_variant(kind(length), "sqlite")


due = sa.Table(
    "due",
    metadata,
    sa.Column("kind", sa.String(16), primary_key=True),
    # PERSON: issuer and PatientID, a line break between; STUDY: a study's UID
    sa.Column("key", _ordered(), primary_key=True),
    sa.Column("asked_at", UtcDateTime, nullable=False),
)
person_link = sa.Table(
    "person_link",
    metadata,
    sa.Column("name", sa.String(16), primary_key=True),  # Link.name
    sa.Column("first_issuer", sa.String(64), nullable=False),
    sa.Column("first_id", sa.String(64), nullable=False),
    sa.Column("second_issuer", sa.String(64), nullable=False),
    sa.Column("second_id", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("noted_at", UtcDateTime, nullable=False),
    sa.Column("decided_by", sa.Text),
    sa.Column("decided_at", UtcDateTime),
)
sa.Index("person_link_by_first_id", person_link.c.first_id)
sa.Index("person_link_by_second_id", person_link.c.second_id)
sa.Index("person_link_by_state", person_link.c.state, person_link.c.noted_at)
person_member = sa.Table(
    "person_member",
    metadata,
    sa.Column("patient_id", _ordered(64), primary_key=True),
    sa.Column("issuer", _ordered(64), primary_key=True),
    sa.Column("person", sa.String(32), nullable=False),
    sa.Column("alike", _ordered(), nullable=False),  # Facts.alike, one in each line
)
sa.Index("person_member_by_person", person_member.c.person)
person_decision = sa.Table(
    "person_decision",
    metadata,
    sa.Column("id", BigId, primary_key=True),
    sa.Column("first_issuer", sa.String(64), nullable=False),
    sa.Column("first_id", sa.String(64), nullable=False),
    sa.Column("second_issuer", sa.String(64), nullable=False),
    sa.Column("second_id", sa.String(64), nullable=False),
    sa.Column("verdict", sa.String(16), nullable=False),
    sa.Column("decided_by", sa.Text, nullable=False),
    sa.Column("decided_at", UtcDateTime, nullable=False),
)
_FOUR = ("first_issuer", "first_id", "second_issuer", "second_id")


@dataclass(frozen=True)
class Link:
    """One pair and how it stands.

    name  what people call it by, made of the pair: no patient's data
    """

    name: str
    pair: Pair
    state: LinkState
    noted_at: datetime
    decided_by: str | None
    decided_at: datetime | None


@dataclass(frozen=True)
class Member:
    """One of a linked person's identifiers; `person` is our id of the group."""

    person_id: PersonId
    person: str
    alike: frozenset[str]


def name_of(*members: PersonId) -> str:
    """Our word of 16 letters for these identifiers."""
    parts = "\n".join(part for member in members for part in member)
    return hashlib.blake2b(parts.encode(), digest_size=8).hexdigest()


def take_turn(connection: sa.Connection) -> None:
    """Nobody else decides about links until the caller's transaction ends."""
    if connection.dialect.name == "postgresql":  # SQLite lets one write anyway
        connection.execute(sa.text("LOCK TABLE person_link IN SHARE ROW EXCLUSIVE MODE"))


# What is to be checked


def ask_for_check(
    connection: sa.Connection,
    persons: Iterable[PersonId | None],
    study_uids: Iterable[str],
    now: datetime,
) -> None:
    """In the transaction that changes rows: whoever settles next sees them."""
    keys = {(PERSON, "\n".join(one)) for one in persons if one}
    keys |= {(STUDY, uid) for uid in study_uids}
    if not keys:
        return
    rows = [{"kind": kind, "key": key, "asked_at": now} for kind, key in sorted(keys)]
    insert = (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(due)
    # An update, not nothing: its lock holds off one who is about to take the old row.
    again = insert.on_conflict_do_update(
        index_elements=["kind", "key"], set_={"asked_at": insert.excluded.asked_at}
    )
    connection.execute(again, rows)


def take_due(connection: sa.Connection, most: int) -> tuple[set[PersonId], set[str]]:
    """(identifiers, study UIDs) to check, studies first; they leave the list with the caller's
    transaction.
    """
    question = sa.select(due.c.kind, due.c.key).order_by(due.c.kind.desc(), due.c.key).limit(most)
    taken = connection.execute(question.with_for_update(skip_locked=True)).all()
    for kind in (PERSON, STUDY):
        for some in _batches({row.key for row in taken if row.kind == kind}):
            connection.execute(sa.delete(due).where(due.c.kind == kind, due.c.key.in_(some)))
    persons = {PersonId(*row.key.split("\n", 1)) for row in taken if row.kind == PERSON}
    return persons, {row.key for row in taken if row.kind == STUDY}


def _batches(keys: Collection[str]) -> Iterator[list[str]]:
    ordered = sorted(keys)
    return (ordered[start : start + SOME] for start in range(0, len(ordered), SOME))


# Who is who in the index


def find_holders(
    connection: sa.Connection, study_uids: Collection[str]
) -> Iterator[tuple[str, str, Identity]]:
    """(study UID, site, whom its record is of) for every holder of these studies."""
    for some in _batches(study_uids):
        question = sa.select(study.c.study_uid, study.c.site_id, *_IDENTITY)
        for uid, site_id, *said in connection.execute(question.where(study.c.study_uid.in_(some))):
            yield uid, site_id, _identity(*said)


def find_said(
    connection: sa.Connection, persons: Collection[PersonId], most: int
) -> dict[PersonId, set[Identity]]:
    """What the studies of each identifier say of their patient; `most` of it are enough."""
    found: dict[PersonId, set[Identity]] = {person_id: set() for person_id in persons}
    question = sa.select(*_IDENTITY).distinct()
    for some in _batches({person_id.patient_id for person_id in persons}):
        limit = most * len(some)
        rows = list(connection.execute(question.where(study.c.patient_id.in_(some)).limit(limit)))
        if len(rows) == limit:  # the identifier that everybody has must not hide the others
            ones = [_is_of(person_id) for person_id in persons if person_id.patient_id in some]
            rows = [
                row for one in ones for row in connection.execute(question.where(one).limit(most))
            ]
        for row in rows:
            identity = _identity(*row)
            if identity.person_id in found:
                found[identity.person_id].add(identity)
    return found


def find_alike(
    connection: sa.Connection, alikes: Collection[str], most: int
) -> dict[str, set[PersonId]]:
    """Identifiers of which a study says each of these (Identity.alike); `most` are enough."""
    found: dict[str, set[PersonId]] = {alike: set() for alike in alikes}
    question = sa.select(study.c.alike, study.c.issuer, study.c.patient_id).distinct()
    for some in _batches(alikes):
        limit = FEW * len(some)
        rows = list(connection.execute(question.where(study.c.alike.in_(some)).limit(limit)))
        if len(rows) == limit:
            ones = [study.c.alike == alike for alike in some]
            rows = [
                row for one in ones for row in connection.execute(question.where(one).limit(most))
            ]
        for alike, issuer, patient_id in rows:
            person_id = PersonId.of(issuer, patient_id)
            if person_id is not None:
                found[alike].add(person_id)
    return found


def find_record(connection: sa.Connection, person_id: PersonId) -> tuple[bytes, int]:
    """(record of the newest study of an identifier, how many studies it has); (b"", 0) if none."""
    question = sa.select(study.c.record).where(_is_of(person_id))
    newest = question.order_by(study.c.study_date.desc(), study.c.study_uid).limit(1)
    count = sa.select(sa.func.count(study.c.study_uid.distinct())).where(_is_of(person_id))
    found = connection.execute(newest).scalar_one_or_none()
    return found or b"", connection.execute(count).scalar_one()


_IDENTITY = (
    study.c.patient_id, study.c.issuer, study.c.name_key, study.c.birth_date, study.c.sex,
    study.c.numbers,
)  # fmt: skip


def _identity(
    patient_id: str, issuer: str, name: str, birth_date: str, sex: str, numbers: str
) -> Identity:
    alphabetic = name.partition("=")[0]
    return Identity(patient_id, issuer, alphabetic, birth_date, sex, frozenset(numbers.split()))


def _is_of(person_id: PersonId) -> sa.ColumnElement[bool]:
    return sa.and_(study.c.patient_id == person_id.patient_id, study.c.issuer == person_id.issuer)


# Links


def find_links(connection: sa.Connection, members: Collection[PersonId]) -> list[Link]:
    """Every link in which one of these is."""
    wanted = set(members)
    found: dict[Pair, Link] = {}
    for some in _batches({member.patient_id for member in members}):
        for column in (person_link.c.first_id, person_link.c.second_id):
            found |= {link.pair: link for link in _links(connection, column.in_(some))}
    return [link for link in found.values() if wanted & set(link.pair)]


def find_link(connection: sa.Connection, name: str) -> Link | None:
    """The link of that name (Link.name)."""
    found = _links(connection, person_link.c.name == name)
    return found[0] if found else None


def find_links_in(
    connection: sa.Connection, states: Collection[LinkState], limit: int | None
) -> list[Link]:
    """The oldest links in one of these states."""
    return _links(connection, person_link.c.state.in_(states), limit)


def _links(
    connection: sa.Connection, where: sa.ColumnElement[bool], limit: int | None = None
) -> list[Link]:
    question = sa.select(person_link).where(where)
    question = question.order_by(person_link.c.noted_at, person_link.c.name)
    return [
        Link(
            row["name"],
            Pair(
                PersonId(row["first_issuer"], row["first_id"]),
                PersonId(row["second_issuer"], row["second_id"]),
            ),
            row["state"], row["noted_at"], row["decided_by"], row["decided_at"],
        )
        for row in connection.execute(question.limit(limit)).mappings()
    ]  # fmt: skip


def _columns(pair: Pair) -> dict[str, str]:
    return dict(zip(_FOUR, (*pair.first, *pair.second), strict=True))


def save_links(
    connection: sa.Connection, before: Iterable[Link], now_are: Mapping[Pair, LinkState],
    now: datetime,
) -> None:  # fmt: skip
    """Write the differences; a row that a person decided keeps who and when."""
    known = {link.pair: link for link in before}
    for some in _batches({known[pair].name for pair in known.keys() - now_are.keys()}):
        connection.execute(sa.delete(person_link).where(person_link.c.name.in_(some)))
    for pair, link in known.items():
        if now_are.get(pair, link.state) != link.state:
            moved = sa.update(person_link).where(person_link.c.name == link.name)
            connection.execute(moved.values(state=now_are[pair], noted_at=now))
    fresh = [
        {**_columns(pair), "name": name_of(*pair), "state": now_are[pair], "noted_at": now}
        for pair in sorted(now_are.keys() - known.keys())
    ]
    if fresh:
        connection.execute(sa.insert(person_link), fresh)


def save_decision(
    connection: sa.Connection, link: Link, *, same: bool, by: str, now: datetime
) -> None:
    """A person's word on a link: it stands until another is said; every word is kept."""
    verdict = "confirmed" if same else "rejected"
    said = {"decided_by": by, "decided_at": now}
    entry = {**_columns(link.pair), "verdict": verdict, **said}
    connection.execute(sa.insert(person_decision).values(entry))
    decided = sa.update(person_link).where(person_link.c.name == link.name)
    connection.execute(decided.values(state=verdict, noted_at=now, **said))


# Members


def save_members(
    connection: sa.Connection, checked: Collection[PersonId], members: Iterable[Member]
) -> None:
    """These identifiers belong to these groups now, and to no other."""
    this = sa.and_(
        person_member.c.issuer == sa.bindparam("of_issuer"),
        person_member.c.patient_id == sa.bindparam("of_id"),
    )
    gone = [{"of_issuer": issuer, "of_id": patient_id} for issuer, patient_id in sorted(checked)]
    if gone:
        connection.execute(sa.delete(person_member).where(this), gone)
    fresh = [
        {**member.person_id._asdict(), "person": member.person,
         "alike": "\n".join(sorted(member.alike))}
        for member in members
    ]  # fmt: skip
    if fresh:
        connection.execute(sa.insert(person_member), fresh)


def find_members(
    connection: sa.Connection, patient_ids: Collection[str] | None = None
) -> list[Member]:
    """All members of the groups in which one of these PatientIDs is, whoever issued it; of every
    group if none are given.
    """
    question = sa.select(person_member)
    if patient_ids is not None:
        groups = sa.select(person_member.c.person).where(
            person_member.c.patient_id.in_(sorted(patient_ids))
        )
        question = question.where(person_member.c.person.in_(groups))
    order = (person_member.c.person, person_member.c.issuer, person_member.c.patient_id)
    return [
        Member(
            PersonId(row["issuer"], row["patient_id"]),
            row["person"],
            frozenset(row["alike"].split("\n")),
        )
        for row in connection.execute(question.order_by(*order)).mappings()
    ]
