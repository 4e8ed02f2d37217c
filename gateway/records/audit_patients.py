"""Whose studies the audit tells of, without telling who that is: a keyed digest of each PatientID
beside the studies that were touched, kept when the index forgets them (trust.md 1).

The digest is of no use without the gateway's key; with it, it answers "who touched this patient".
"""

import hashlib
import hmac
from collections.abc import Collection

import sqlalchemy as sa

from gateway.records.audit import audit_entry, load_cursor, write_cursor
from gateway.records.engine import Records, metadata
from gateway.records.persons import find_members
from gateway.records.studies import study

CURSOR = "patients"
MOST_STUDIES = 2000
"""Of one patient that are asked for at once."""
AT_ONCE = 5000

audit_patient = sa.Table(
    "audit_patient",
    metadata,
    sa.Column("patient", sa.String(32), primary_key=True),
    sa.Column("study_uid", sa.String(64), primary_key=True),
)


class Digests:
    """Keyed digests of PatientIDs.

    key  of the gateway's key ring, for this purpose alone
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of(self, patient_id: str, issuer: str = "") -> str:
        """Of an identifier; without an issuer: whoever issued it."""
        told = f"{issuer.strip()}\n{patient_id.strip()}".encode()
        return hmac.new(self._key, told, hashlib.sha256).hexdigest()[:32]


def note_patients(records: Records, digests: Digests) -> int:
    """Note whose the studies are that rows have told of since the last time; how many rows."""
    after = load_cursor(records, CURSOR)
    rows = sa.select(audit_entry.c.number, audit_entry.c.study_uid)
    page = rows.where(audit_entry.c.number > after).order_by(audit_entry.c.number).limit(AT_ONCE)
    with records.read() as connection:
        found = connection.execute(page).all()
        uids = sorted({row.study_uid for row in found} - {""})
        whose = sa.select(study.c.study_uid, study.c.patient_id, study.c.issuer)
        known = [
            row
            for n in range(0, len(uids), 500)
            for row in connection.execute(whose.where(study.c.study_uid.in_(uids[n : n + 500])))
        ]
    if not found:
        return 0
    marks = {
        (digests.of(row.patient_id, issuer), row.study_uid)
        for row in known
        if row.patient_id
        for issuer in (row.issuer, "")
    }
    with records.write() as connection:
        if marks:
            rows_of = [{"patient": mark, "study_uid": uid} for mark, uid in sorted(marks)]
            insert = records.insert(audit_patient).on_conflict_do_nothing()
            connection.execute(insert, rows_of)
        write_cursor(connection, records, CURSOR, found[-1].number)
    return len(found)


def find_studies(
    records: Records, digests: Digests | None, patient_id: str, issuer: str
) -> tuple[frozenset[str], frozenset[str]]:
    """A patient's studies, by this identifier and all that are linked with it; and the digests that
    a search for any of them left.

    issuer   "": whoever issued it
    digests  None: there is no key, so that only what the index still knows is found
    """
    with records.read() as connection:
        members = find_members(connection, {patient_id})
        named = {
            one.person for one in members
            if one.person_id.patient_id == patient_id and issuer in ("", one.person_id.issuer)
        }  # fmt: skip
        linked = [one.person_id for one in members if one.person in named]
        ids = {(issuer, patient_id), *((one.issuer, one.patient_id) for one in linked)}
        uids: set[str] = set()
        for whose, number in tuple(ids):
            question = sa.select(study.c.study_uid, study.c.issuer)
            question = question.where(study.c.patient_id == number)
            if whose:
                question = question.where(study.c.issuer == whose)
            for row in connection.execute(question.limit(MOST_STUDIES)):
                uids.add(row.study_uid)
                ids.add((row.issuer, number))
        if digests is None:
            return frozenset(uids), frozenset()
        exact = {digests.of(number, whose) for whose, number in ids}
        uids |= _noted(connection, exact)
        return frozenset(uids), frozenset(exact | {digests.of(number) for _, number in ids})


def _noted(connection: sa.Connection, marks: Collection[str]) -> set[str]:
    question = sa.select(audit_patient.c.study_uid)
    found = connection.execute(question.where(audit_patient.c.patient.in_(sorted(marks))))
    return set(found.scalars())
