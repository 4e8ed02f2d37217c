"""Keeps the short tables of the study index in step with its rows: words of names, modality sets.

Called inside the transaction that changes the rows. One writer at a time (records/indexing.py), so
that no word goes while another study that has it comes.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from gateway.dicom.names import latin
from gateway.records.engine import Records
from gateway.records.studies import modality_set, name_with_word, name_word, study

PART = 500


def save_words(
    records: Records, connection: sa.Connection, studies: Sequence[Mapping[str, Any]]
) -> None:
    """Make sure that the short tables know what these rows of `study` have."""
    words: set[str] = set()
    names: set[tuple[str, str]] = set()
    sets: set[str] = set()
    for row in studies:
        if not row["odd"]:
            sets.add(row["modalities"])
            own = row["name_key"].split()
            words.update(own)
            names.update((word, row["name_latin"]) for word in own)
    tables: tuple[tuple[sa.Table, list[dict[str, str]]], ...] = (
        (name_word, [{"word": word, "latin": latin(word)} for word in sorted(words)]),
        (name_with_word, [{"word": word, "name_latin": name} for word, name in sorted(names)]),
        (modality_set, [{"modalities": one} for one in sorted(sets)]),
    )
    for table, rows in tables:
        if rows:
            connection.execute(records.insert(table).on_conflict_do_nothing(), rows)


def names_of(connection: sa.Connection, rows: sa.ColumnElement[bool]) -> frozenset[str]:
    """The Latin names of these rows of `study`: to be given to `forget_names` when they changed."""
    question = sa.select(study.c.name_latin).where(rows).distinct()
    return frozenset(connection.execute(question).scalars())


def forget_names(connection: sa.Connection, names: Collection[str]) -> None:
    """Drop the words of those of these names that no study has any more."""
    pair = name_with_word
    for some in _parts(sorted(names)):
        held = sa.exists().where(study.c.name_latin == pair.c.name_latin)
        unheld = sa.and_(pair.c.name_latin.in_(some), ~held)
        words = connection.execute(sa.select(pair.c.word).where(unheld).distinct()).scalars().all()
        connection.execute(sa.delete(pair).where(unheld))
        for part in _parts(sorted(words)):
            used = sa.exists().where(pair.c.word == name_word.c.word)
            connection.execute(sa.delete(name_word).where(name_word.c.word.in_(part), ~used))


def _parts(values: Sequence[str]) -> Iterator[Sequence[str]]:
    return (values[start : start + PART] for start in range(0, len(values), PART))
