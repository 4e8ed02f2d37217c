"""Reads what was counted of senders (records/sightings.py), summed by the database."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

import sqlalchemy as sa

from gateway.model.rollout.minutes import Moment
from gateway.model.rollout.senders import Sender
from gateway.records.engine import Records
from gateway.records.sightings import clock_day, sender, sender_day, study_day

WINDOW_DAYS = 30
"""The last so many days, that day among them, are what "alive" is judged by."""
MOST_NAMED = 1000
"""Numbers in one question."""


@dataclass(frozen=True)
class SenderFacts:
    """What was counted of a sender up to a day.

    studies      of the day itself
    by_modality  of the last WINDOW_DAYS
    """

    sender_id: int
    sender: Sender
    first_on: date
    last_on: date
    studies: int = 0
    by_modality: Mapping[str, int] = field(default_factory=dict)

    @property
    def studies_30(self) -> int:
        return sum(self.by_modality.values())


def window_of(day: date) -> tuple[date, date]:
    """First and last of the WINDOW_DAYS that end with that day."""
    return day - timedelta(days=WINDOW_DAYS - 1), day


def load_senders(
    records: Records, day: date, only: Collection[int] | None = None
) -> list[SenderFacts]:
    """Every sender that has shown a study by the end of that day.

    only  of these alone, by their numbers
    """
    if only is not None and not only:
        return []
    mine = sender_day.c.sender_id == sender.c.sender_id
    past = sa.and_(mine, sender_day.c.day <= day)
    first, last = (
        sa.select(of(sender_day.c.day)).where(past).scalar_subquery()
        for of in (sa.func.min, sa.func.max)
    )
    names = list(Sender.__dataclass_fields__)
    question = sa.select(
        sender.c.sender_id, first.label("first_on"), last.label("last_on"),
        *(sender.c[name] for name in names),
    )  # fmt: skip
    if only is not None:
        question = question.where(sender.c.sender_id.in_(only))
    recent, today = (_by_modality(records, start, day, only) for start in (window_of(day)[0], day))
    with records.read() as connection:
        rows = connection.execute(question).mappings()
        return [
            SenderFacts(
                row["sender_id"], Sender(**{name: row[name] for name in names}),
                row["first_on"], row["last_on"],
                sum(today.get(row["sender_id"], {}).values()), recent.get(row["sender_id"], {}),
            )
            for row in rows
            if row["first_on"] is not None
        ]  # fmt: skip


def load_names(records: Records, known: Collection[int] = ()) -> dict[int, Sender]:
    """What each sender says, by its number, but of those that are known: it never changes."""
    names = [sender.c[name] for name in Sender.__dataclass_fields__]
    numbers, question = sa.select(sender.c.sender_id), sa.select(sender.c.sender_id, *names)
    with records.read() as connection:
        if known:
            unknown = [n for n in connection.scalars(numbers) if n not in known]
            if not unknown:
                return {}
            if len(unknown) <= MOST_NAMED:
                question = question.where(sender.c.sender_id.in_(unknown))
        return {number: Sender(*said) for number, *said in connection.execute(question)}


def load_alive(records: Records, day: date) -> frozenset[int]:
    """Senders with a study in the WINDOW_DAYS that end with that day, by their numbers."""
    within = sender_day.c.day.between(*window_of(day))
    with records.read() as connection:
        question = sa.select(sender_day.c.sender_id).where(within).distinct()
        return frozenset(connection.scalars(question))


def _by_modality(
    records: Records, first: date, last: date, only: Collection[int] | None = None
) -> Mapping[int, Mapping[str, int]]:
    by = (sender_day.c.sender_id, sender_day.c.modality)
    question = sa.select(*by, sa.func.sum(sender_day.c.studies)).group_by(*by)
    if only is not None:
        question = question.where(sender_day.c.sender_id.in_(only))
    found: dict[int, dict[str, int]] = defaultdict(dict)
    with records.read() as connection:
        within = sender_day.c.day.between(first, last)
        for sender_id, modality, studies in connection.execute(question.where(within)):
            found[sender_id][modality] = int(studies)
    return found


def load_sender(records: Records, sender_id: int) -> Sender | None:
    """What a sender says; None: there is no such sender."""
    names = list(Sender.__dataclass_fields__)
    question = sa.select(*(sender.c[name] for name in names)).where(sender.c.sender_id == sender_id)
    with records.read() as connection:
        row = connection.execute(question).mappings().one_or_none()
    return None if row is None else Sender(**row)


def load_days(
    records: Records, sender_ids: list[int], first: date, last: date
) -> Mapping[date, Mapping[str, int]]:
    """Studies of these senders by day and modality; a day of none is absent."""
    by = (sender_day.c.day, sender_day.c.modality)
    question = sa.select(*by, sa.func.sum(sender_day.c.studies)).group_by(*by).order_by(*by)
    within = sender_day.c.day.between(first, last)
    found: dict[date, dict[str, int]] = defaultdict(dict)
    with records.read() as connection:
        mine = sender_day.c.sender_id.in_(sender_ids)
        for day, modality, studies in connection.execute(question.where(mine, within)):
            found[day][modality] = int(studies)
    return found


def load_studies(records: Records, first: date, last: date) -> Mapping[str, Mapping[date, int]]:
    """Studies that reached each site, by day, each once; a day of none is absent."""
    question = sa.select(study_day.c.site_id, study_day.c.day, study_day.c.studies)
    found: dict[str, dict[date, int]] = defaultdict(dict)
    with records.read() as connection:
        for site_id, day, studies in connection.execute(
            question.where(study_day.c.day.between(first, last))
        ):
            found[site_id][day] = studies
    return found


def load_modalities(records: Records, first: date, last: date) -> Mapping[str, Mapping[str, int]]:
    """Studies of each site by modality; one that two machines made counts at both."""
    by = (sender.c.site_id, sender_day.c.modality)
    question = sa.select(*by, sa.func.sum(sender_day.c.studies)).group_by(*by)
    question = question.join_from(
        sender_day, sender, sender_day.c.sender_id == sender.c.sender_id
    ).where(sender_day.c.day.between(first, last))
    found: dict[str, dict[str, int]] = defaultdict(dict)
    with records.read() as connection:
        for site_id, modality, studies in connection.execute(question):
            found[site_id][modality] = int(studies)
    return found


def load_clock(
    records: Records, first: date, last: date
) -> Mapping[tuple[str, Moment], Mapping[int, int]]:
    """Studies of these days by site and moment: how many took so many seconds.

    Sums of several sites are added up, then read by model/rollout/minutes.py: minutes_of.
    """
    by = (clock_day.c.site_id, clock_day.c.moment, clock_day.c.seconds)
    question = sa.select(*by, sa.func.sum(clock_day.c.studies)).group_by(*by)
    found: dict[tuple[str, Moment], Counter[int]] = defaultdict(Counter)
    with records.read() as connection:
        for site_id, moment, seconds, studies in connection.execute(
            question.where(clock_day.c.day.between(first, last))
        ):
            found[site_id, Moment(moment)][seconds] = int(studies)
    return found
