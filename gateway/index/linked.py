"""Widens a search by PatientID to all identifiers that are linked with it (index/persons.py)."""

from collections.abc import Iterator
from dataclasses import replace

from gateway.dicom.attributes import tag_of, vr_of
from gateway.dicom.matching import has_wildcard
from gateway.dicom.query import Condition, Query
from gateway.records.engine import Records
from gateway.records.persons import Member, find_members

MOST_LINKED = 50
"""Identifiers that one search is widened by."""
TOO_MANY = (
    f"The PatientID is linked with more than {MOST_LINKED} other identifiers, whose studies are "
    "not included; name its IssuerOfPatientID too"
)


def widen(records: Records, query: Query) -> Query:
    """The query, which now also takes what is linked with the PatientIDs that it asks for.

    Only whole PatientIDs at the top of a dataset are widened; an IssuerOfPatientID that is asked
    for beside them says whose they are. The notes say how many identifiers were added.
    raises  RecordsUnavailable
    """
    at_top = [one for one in query.conditions if not one.path]
    by_id = [one for one in at_top if one.keyword == "PatientID"]
    by_issuer = [one for one in at_top if one.keyword == "IssuerOfPatientID"]
    if len(by_id) != 1 or not all(map(_is_whole, [*by_id, *by_issuer])):
        return query
    asked = frozenset(by_id[0].values)
    issuers = {issuer for one in by_issuer for issuer in one.values}
    with records.read() as connection:
        members = find_members(connection, asked)
    named = [
        member
        for member in members
        if member.person_id.patient_id in asked
        and (not issuers or member.person_id.issuer in issuers)
    ]
    persons = {member.person for member in named}
    others = [member for member in members if member.person in persons and member not in named]
    if not others:
        return query
    if len(others) > MOST_LINKED:
        return replace(query, notes=(*query.notes, TOO_MANY))
    as_asked = (*by_id, *by_issuer)
    ids = tuple(sorted(asked | {other.person_id.patient_id for other in others}))
    conditions = [one for one in query.conditions if one not in as_asked]
    linked = (group for other in others for group in _ways_to_name(other))
    many = f"{len(others)} other identifier" + "s" * (len(others) > 1)
    note = f"The PatientID is linked with {many} of the same person; their studies are included"
    return replace(
        query,
        conditions=(*conditions, replace(by_id[0], values=ids)),
        any_of=(as_asked, *linked),
        notes=(*query.notes, note),
    )


def _is_whole(condition: Condition) -> bool:
    """Whether it asks for whole values, of which any is enough."""
    several = condition.all_of and len(condition.values) > 1
    wild = any(has_wildcard(key) for key in condition.values)
    return bool(condition.values) and not (condition.empty or several or wild)


def _ways_to_name(member: Member) -> Iterator[tuple[Condition, ...]]:
    """How a row shows that it is this member's: by its issuer, or, where it names none as in an
    archive, by name and birth date too.
    """
    patient_id = _is("PatientID", member.person_id.patient_id)
    yield patient_id, _is("IssuerOfPatientID", member.person_id.issuer)
    nobodys = replace(_is("IssuerOfPatientID"), empty=True)
    for alike in sorted(member.alike):
        birth_date, _, name = alike.split("|", 2)
        yield patient_id, nobodys, _is("PatientBirthDate", birth_date), _is("PatientName", name)


def _is(keyword: str, *keys: str) -> Condition:
    tag = tag_of(keyword) or ""
    return Condition(tag, keyword, vr_of(tag), keys)
