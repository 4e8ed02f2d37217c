"""What a person sees who judges links between identifiers: for a terminal, never for a log."""

from collections.abc import Iterable
from dataclasses import dataclass

import orjson
import sqlalchemy as sa

from gateway.dicom.attributes import text
from gateway.model.persons import PersonId
from gateway.records.engine import Records
from gateway.records.persons import (
    Link,
    find_links,
    find_links_in,
    find_members,
    find_record,
)


@dataclass(frozen=True)
class Shown:
    """One identifier and what its newest study says of the patient."""

    issuer: str
    patient_id: str
    name: str
    birth_date: str
    sex: str
    studies: int


@dataclass(frozen=True)
class ShownLink:
    """A link and its two ends."""

    link: Link
    ends: tuple[Shown, Shown]


@dataclass(frozen=True)
class Person:
    """Identifiers that are one person's, and the links that say so; `person` is our own id."""

    person: str
    members: tuple[Shown, ...]
    links: tuple[Link, ...]


def load_suggestions(records: Records, limit: int) -> list[ShownLink]:
    """The links that have waited longest for a person's word; raises RecordsUnavailable."""
    with records.read() as connection:
        links = find_links_in(connection, ["suggested"], limit)
        return [_show_link(connection, link) for link in links]


def load_torn(records: Records, limit: int) -> list[ShownLink]:
    """Confirmed links that join nobody, because they have become impossible."""
    with records.read() as connection:
        joined = {member.person_id: member.person for member in find_members(connection)}
        torn = [
            link
            for link in find_links_in(connection, ["confirmed"], None)
            if joined.get(link.pair.first, "") != joined.get(link.pair.second)
        ]
        return [_show_link(connection, link) for link in torn[:limit]]


def load_persons(records: Records, limit: int) -> list[Person]:
    """People with several identifiers, in the order of our ids; raises RecordsUnavailable."""
    groups: dict[str, list[PersonId]] = {}
    with records.read() as connection:
        for member in find_members(connection):
            if member.person in groups or len(groups) < limit:
                groups.setdefault(member.person, []).append(member.person_id)
        return [
            Person(
                person,
                tuple(_show(connection, one) for one in ids),
                tuple(_between(find_links(connection, ids), ids)),
            )
            for person, ids in groups.items()
        ]


def _between(links: Iterable[Link], ids: Iterable[PersonId]) -> list[Link]:
    joined = [link for link in links if link.state in ("automatic", "confirmed")]
    return sorted((one for one in joined if set(one.pair) <= set(ids)), key=lambda one: one.pair)


def _show_link(connection: sa.Connection, link: Link) -> ShownLink:
    first, second = link.pair
    return ShownLink(link, (_show(connection, first), _show(connection, second)))


def _show(connection: sa.Connection, person_id: PersonId) -> Shown:
    raw, studies = find_record(connection, person_id)
    record = orjson.loads(raw) if raw else {}
    name, birth_date, sex = (
        text(record, keyword) for keyword in ("PatientName", "PatientBirthDate", "PatientSex")
    )
    return Shown(person_id.issuer, person_id.patient_id, name, birth_date, sex, studies)
