"""Studies by a number that a person has in hand, as the console finds them; nothing of a patient
leaves the database with them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa

from gateway.model.deliveries import State
from gateway.records.arrivals import arrival
from gateway.records.deliveries import delivery
from gateway.records.engine import Records
from gateway.records.studies import study


@dataclass(frozen=True)
class Found:
    """A study at a site.

    modalities  "CT, SR"; "" if the index does not have the study any more
    arrived     where it stands there; "" if it never came to rest
    deliveries  where it goes from there, by destination: the state of the newest
    """

    site_id: str
    study_uid: str
    study_date: str
    modalities: str
    arrived: str
    deliveries: Mapping[str, State] = field(default_factory=dict)


def find_studies(
    records: Records, words: str, within: frozenset[str] | None, most: int
) -> list[Found]:
    """What has this StudyInstanceUID, AccessionNumber or PatientID, the newest study first.

    within  only at these sites; None: at every one
    """
    s, a = study.c, arrival.c
    known = sa.select(s.site_id, s.study_uid).where(
        sa.or_(s.study_uid == words, s.accession_number == words, s.patient_id == words)
    )
    seen = sa.select(a.site_id, a.study_uid).where(a.study_uid == words)  # gone from its site, too
    place = sa.union(known, seen).subquery()
    of_study = sa.and_(s.site_id == place.c.site_id, s.study_uid == place.c.study_uid)
    of_arrival = sa.and_(a.site_id == place.c.site_id, a.study_uid == place.c.study_uid)
    question = (
        sa.select(place.c.site_id, place.c.study_uid, s.study_date, s.modalities, a.state)
        .select_from(place.outerjoin(study, of_study).outerjoin(arrival, of_arrival))
        .order_by(s.study_date.desc(), place.c.study_uid, place.c.site_id)
        .limit(most)
    )
    if within is not None:
        question = question.where(place.c.site_id.in_(sorted(within)))
    with records.read() as connection:
        rows = connection.execute(question).all()
        ways = _ways(connection, {row.study_uid for row in rows})
    return [
        Found(
            row.site_id, row.study_uid, row.study_date or "",
            ", ".join((row.modalities or "").strip("|").split("|")), row.state or "",
            ways.get((row.site_id, row.study_uid), {}),
        )
        for row in rows
    ]  # fmt: skip


def _ways(
    connection: sa.Connection, study_uids: set[str]
) -> dict[tuple[str, str], dict[str, State]]:
    d = delivery.c
    question = sa.select(d.site_id, d.study_uid, d.destination, d.state).where(
        d.study_uid.in_(sorted(study_uids))
    )
    found: dict[tuple[str, str], dict[str, State]] = {}
    for row in connection.execute(question.order_by(d.epoch)):
        found.setdefault((row.site_id, row.study_uid), {})[row.destination] = State(row.state)
    return found
