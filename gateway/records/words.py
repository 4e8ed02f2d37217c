"""Keeps the short tables of the study index in step with its rows: names, words, modality sets.

Called inside the transaction that changes the rows, after `wait_for_turn`: no word must go while
another study that has it comes.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from gateway.dicom.names import latin_readings
from gateway.records.engine import Records
from gateway.records.studies import modality_set, patient_name, study, word_ending, word_of_name

PART = 500
"""Values in one statement."""
TURN = 0x574F5244  # key of PostgreSQL's advisory lock: "WORD"


def wait_for_turn(connection: sa.Connection) -> None:
    """Until the end of this transaction no other process changes the short tables.

    `gateway sites forget` works beside the keeper; on SQLite the write lock is the turn.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(TURN)))


def save_words(
    records: Records, connection: sa.Connection, studies: Sequence[Mapping[str, Any]]
) -> None:
    """Make sure that the short tables know what these rows of `study` have."""
    sets = _new(connection, modality_set.c.modalities, {row["modalities"] for row in studies})
    names = _new(connection, patient_name.c.name_key, {row["name_key"] for row in studies} - {""})
    groups = [(name, group) for name in names for group in name.split("=") if group]
    places = [
        (word, place, name) for name, group in groups for place, word in enumerate(group.split())
    ]
    words = {word for word, _, _ in places}
    words -= _whole(connection, words)
    rows: tuple[tuple[sa.Table, Iterable[tuple[Any, ...]]], ...] = (
        (modality_set, ((one,) for one in sets)),
        (word_ending, ((*ending, word) for word in words for ending in _endings(word))),
        (word_of_name, places),
        (patient_name, ((*one, latin) for one in groups for latin in latin_readings(one[1]))),
    )
    for table, values in rows:
        made = [dict(zip(table.columns.keys(), value, strict=True)) for value in values]
        if made:
            connection.execute(records.insert(table).on_conflict_do_nothing(), made)


def names_of(connection: sa.Connection, rows: sa.ColumnElement[bool]) -> frozenset[str]:
    """The names of these rows of `study`: to be given to `forget_names` when they changed."""
    question = sa.select(study.c.name_key).where(rows).distinct()
    return frozenset(connection.execute(question).scalars())


def forget_names(connection: sa.Connection, names: Collection[str]) -> None:
    """Drop those of these names, and of their words, that no study has any more."""
    held = sa.select(study.c.name_key)
    gone = set(names) - {""}
    for part in _parts(gone):
        gone -= set(connection.execute(held.where(study.c.name_key.in_(part)).distinct()).scalars())
    for part in _parts(gone):
        for table in (word_of_name, patient_name):
            connection.execute(sa.delete(table).where(table.c.name_key.in_(part)))
    words = {word for name in gone for word in name.replace("=", " ").split()}
    used = sa.exists().where(word_of_name.c.word == word_ending.c.word)
    for word in sorted(_whole(connection, words, ~used)):
        for part in _parts(ending for ending, _ in _endings(word)):
            ours = sa.and_(word_ending.c.ending.in_(part), word_ending.c.word == word)
            connection.execute(sa.delete(word_ending).where(ours))


def _whole(
    connection: sa.Connection, words: Collection[str], *terms: sa.ColumnElement[bool]
) -> set[str]:
    """Those of these words that `word_ending` has, and for which the terms hold."""
    found: set[str] = set()
    for part in _parts(words):
        question = sa.select(word_ending.c.word).where(
            word_ending.c.ending.in_([" " + word for word in part]),
            word_ending.c.word.in_(part),
            *terms,
        )
        found.update(connection.execute(question).scalars())
    return found


def _endings(word: str) -> frozenset[tuple[str, str]]:
    """(ending, form) of a word; see the table `word_ending`."""
    forms = {word, *latin_readings(word)}
    starts = {(" " + form, form) for form in forms}
    return frozenset(starts | {(form[at:], form) for form in forms for at in range(len(form))})


def _new(connection: sa.Connection, column: sa.Column[str], values: Collection[str]) -> list[str]:
    """Those of the values that the column does not have, in their order."""
    new = set(values)
    for part in _parts(values):
        new -= set(connection.execute(sa.select(column).where(column.in_(part))).scalars())
    return sorted(new)


def _parts(values: Iterable[str]) -> Iterator[Sequence[str]]:
    ordered = sorted(set(values))
    return (ordered[start : start + PART] for start in range(0, len(ordered), PART))
