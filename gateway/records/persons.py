"""One person's identifiers at several hospitals, who decided it, and what is to be checked again.

A link is a pair of identifiers, the smaller first (model/persons.py: Pair). person_member is made
of the links each time they change, so that a search needs one look. Decisions are only added.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from gateway.model.links import LinkState
from gateway.model.persons import Identity, Pair, PersonId
from gateway.records.engine import BigId, Records, UtcDateTime, metadata
from gateway.records.studies import study

PERSON, STUDY = "person", "study"
SOME = 400
"""Values in one IN: a few of these lists stay below what SQLite takes."""


def _ordered(length: int | None = None) -> sa.types.TypeEngine[str]:
    kind = sa.Text if length is None else sa.String
    return kind(length, collation="C").with_variant(kind(length), "sqlite")


due = sa.Table(
    "due",
    metadata,
    sa.Column("kind", sa.String(16), primary_key=True),
    sa.Column("key", _ordered(), primary_key=True),  # PERSON: a PatientID; STUDY: a study's UID
    sa.Column("asked_at", UtcDateTime, nullable=False),
)
person_link = sa.Table(
    "person_link",
    metadata,
    sa.Column("first_issuer", _ordered(64), primary_key=True),
    sa.Column("first_id", _ordered(64), primary_key=True),
    sa.Column("second_issuer", _ordered(64), primary_key=True),
    sa.Column("second_id", _ordered(64), primary_key=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("noted_at", UtcDateTime, nullable=False),
    sa.Column("decided_by", sa.Text),
    sa.Column("decided_at", UtcDateTime),
)
sa.Index("person_link_by_first_id", person_link.c.first_id)
sa.Index("person_link_by_second_id", person_link.c.second_id)
sa.Index("person_link_by_state", person_link.c.state)
person_member = sa.Table(
    "person_member",
    metadata,
    sa.Column("patient_id", _ordered(64), primary_key=True),
    sa.Column("issuer", _ordered(64), primary_key=True),
    sa.Column("person", sa.String(32), nullable=False),
    sa.Column("alike", _ordered(), nullable=False),  # Identity.alike, one in each line
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
    """One pair and how it stands."""

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


# What is to be checked


def ask_for_check(
    connection: sa.Connection, kind: str, keys: Collection[str], now: datetime
) -> None:
    """In the transaction that changes rows: whoever settles next sees them."""
    rows = [{"kind": kind, "key": key, "asked_at": now} for key in sorted(set(keys)) if key]
    if not rows:
        return
    insert = (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(due)
    # An update, not nothing: its lock holds off one who is about to take the old row.
    again = insert.on_conflict_do_update(
        index_elements=["kind", "key"], set_={"asked_at": insert.excluded.asked_at}
    )
    connection.execute(again, rows)


def ask_for_site(records: Records, site_id: str, now: datetime) -> None:
    """Check all persons of a site again: its issuer has changed."""
    question = sa.select(study.c.patient_id).where(study.c.site_id == site_id).distinct()
    with records.write() as connection:
        ask_for_check(connection, PERSON, connection.execute(question).scalars().all(), now)


def take_due(connection: sa.Connection, most: int) -> tuple[set[str], set[str]]:
    """(PatientIDs, study UIDs) to check, studies first; taken off the list with the caller's transaction."""
    question = sa.select(due.c.kind, due.c.key).order_by(due.c.kind.desc(), due.c.key).limit(most)
    taken = connection.execute(question.with_for_update(skip_locked=True)).all()
    found: dict[str, set[str]] = {PERSON: set(), STUDY: set()}
    for kind, key in taken:
        found[kind].add(key)
    for kind, keys in found.items():
        for some in _batches(keys):
            connection.execute(sa.delete(due).where(due.c.kind == kind, due.c.key.in_(some)))
    return found[PERSON], found[STUDY]


def _batches(keys: Collection[str]) -> Iterator[list[str]]:
    ordered = sorted(keys)
    return (ordered[start : start + SOME] for start in range(0, len(ordered), SOME))


# Who is who in the index


def find_identities(
    connection: sa.Connection,
    column: sa.Column[str],
    keys: Collection[str],
    issuers: Mapping[str, str],
) -> Iterator[tuple[str, str, Identity]]:
    """(site, study UID, identity) of every study of these sites whose column is one of the keys.

    issuers  issuer of the PatientIDs of each site, by its id; "" for a site that issues none
    """
    columns = (study.c[name] for name in ("site_id", "study_uid", "patient_id", "issuer", "alike",
                                          "numbers"))  # fmt: skip
    question = sa.select(*columns)
    for some in _batches(keys):
        for site_id, uid, patient_id, issuer, alike, numbers in connection.execute(
            question.where(column.in_(some))
        ):
            if site_id in issuers:
                birth_date, sex, name = (alike.split("|", 2) + ["", ""])[:3]
                found = Identity(
                    patient_id, issuer, name, birth_date, sex, frozenset(numbers.split())
                )
                yield site_id, uid, found.issued_by(issuers[site_id])


# Links


def find_links(connection: sa.Connection, members: Collection[PersonId]) -> list[Link]:
    """Every link in which one of these is."""
    wanted = set(members)
    there = find_links_by_id(connection, {member.patient_id for member in members})
    return [link for link in there if wanted & set(link.pair)]


def find_links_by_id(connection: sa.Connection, patient_ids: Collection[str]) -> list[Link]:
    """The same for PatientIDs, whoever issued them."""
    found: dict[Pair, Link] = {}
    for some in _batches(patient_ids):
        for column in (person_link.c.first_id, person_link.c.second_id):
            found |= {link.pair: link for link in _links(connection, column.in_(some))}
    return list(found.values())


def load_suggestions(records: Records, limit: int) -> list[Link]:
    """The oldest links that wait for a person's word."""
    with records.read() as connection:
        return _links(connection, person_link.c.state == "suggested", limit)


def _links(
    connection: sa.Connection, where: sa.ColumnElement[bool], limit: int | None = None
) -> list[Link]:
    question = sa.select(person_link).where(where)
    question = question.order_by(person_link.c.noted_at, *(person_link.c[name] for name in _FOUR))
    return [
        Link(
            Pair(
                PersonId(row["first_issuer"], row["first_id"]),
                PersonId(row["second_issuer"], row["second_id"]),
            ),
            row["state"], row["noted_at"], row["decided_by"], row["decided_at"],
        )
        for row in connection.execute(question.limit(limit)).mappings()
    ]  # fmt: skip


def _is_pair(table: sa.Table, pair: Pair) -> sa.ColumnElement[bool]:
    row = _columns(pair)
    return sa.and_(*(table.c[name] == row[name] for name in _FOUR))


def _columns(pair: Pair) -> dict[str, str]:
    return dict(zip(_FOUR, (*pair.first, *pair.second), strict=True))


def save_links(
    connection: sa.Connection, before: Iterable[Link], now_are: Mapping[Pair, LinkState],
    now: datetime,
) -> None:  # fmt: skip
    """Write the differences; a row that a person decided keeps who and when."""
    known = {link.pair: link.state for link in before}
    for pair in sorted(known.keys() - now_are.keys()):
        connection.execute(sa.delete(person_link).where(_is_pair(person_link, pair)))
    for pair in sorted(now_are.keys() & known.keys()):
        if now_are[pair] != known[pair]:
            moved = sa.update(person_link).where(_is_pair(person_link, pair))
            connection.execute(moved.values(state=now_are[pair], noted_at=now))
    fresh = [
        {**_columns(pair), "state": now_are[pair], "noted_at": now}
        for pair in sorted(now_are.keys() - known.keys())
    ]
    if fresh:
        connection.execute(sa.insert(person_link), fresh)


def save_decision(
    connection: sa.Connection, pair: Pair, *, same: bool, by: str, now: datetime
) -> None:
    """A person's word on a pair: it stands until another is said; every word is kept."""
    verdict = "confirmed" if same else "rejected"
    said = {"decided_by": by, "decided_at": now}
    entry = {**_columns(pair), "verdict": verdict, **said}
    connection.execute(sa.insert(person_decision).values(entry))
    connection.execute(sa.delete(person_link).where(_is_pair(person_link, pair)))
    row = {**_columns(pair), "state": verdict, "noted_at": now, **said}
    connection.execute(sa.insert(person_link).values(row))


# Members


def save_members(
    connection: sa.Connection, checked: Collection[PersonId], members: Iterable[Member]
) -> None:
    """These identifiers belong to these groups now, and to no other."""
    gone = set(checked)
    for some in _batches({person_id.patient_id for person_id in checked}):
        rows = connection.execute(
            sa.select(person_member.c.issuer, person_member.c.patient_id).where(
                person_member.c.patient_id.in_(some)
            )
        ).all()
        for issuer, patient_id in rows:
            if PersonId(issuer, patient_id) in gone:
                connection.execute(
                    sa.delete(person_member).where(
                        person_member.c.patient_id == patient_id, person_member.c.issuer == issuer
                    )
                )
    fresh = [
        {**member.person_id._asdict(), "person": member.person,
         "alike": "\n".join(sorted(member.alike))}
        for member in members
    ]  # fmt: skip
    if fresh:
        connection.execute(sa.insert(person_member), fresh)


def find_members(connection: sa.Connection, patient_ids: Collection[str]) -> list[Member]:
    """All members of the groups in which one of these PatientIDs is, whoever issued it."""
    if not patient_ids:
        return []
    groups = sa.select(person_member.c.person).where(
        person_member.c.patient_id.in_(sorted(set(patient_ids)))
    )
    question = sa.select(person_member).where(person_member.c.person.in_(groups))
    order = (person_member.c.person, person_member.c.issuer, person_member.c.patient_id)
    return [
        Member(
            PersonId(row["issuer"], row["patient_id"]),
            row["person"],
            frozenset(row["alike"].split("\n")),
        )
        for row in connection.execute(question.order_by(*order)).mappings()
    ]
