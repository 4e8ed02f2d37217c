"""Which studies a PatientName key takes: a term, and a way to them through the words of names.

A way takes all that the term takes and more, and an index answers it: the beginning of the Latin
name, or the names that have a word found in the short table of words. Without a way (too many
names) only a walk through the studies in their order is left, which then soon fills a page.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from os.path import commonprefix

import sqlalchemy as sa

from gateway.dicom.matching import (
    MIN_FUZZY,
    has_wildcard,
    name_forms,
    name_holds,
    nearly_begins,
    one_error,
)
from gateway.dicom.names import latin
from gateway.index.patterns import Column, Term, begins, like, literal_start
from gateway.records.studies import name_with_word, name_word, study

MANY_WORDS = 2_000
MANY_NAMES = 10_000
MANY_NEAR = 5_000


@dataclass(frozen=True)
class Names:
    """`term` takes the studies and no other if it is `exact`; `way` is None if there is no way."""

    term: Term
    way: Term | None
    exact: bool = True


def names_of_key(connection: sa.Connection, key: str, *, fuzzy: bool) -> Names | None:
    """matching.name_holds on the columns of a name; None if only the record can tell (groups)."""
    if "=" in key:
        return None
    forms, latin_forms = name_forms(key)
    takes = [_form(study.c.name_latin, form) for form in latin_forms]
    takes += [_form(study.c.name_key, form) for form in forms if not latin_is_enough(f"{form}")]
    term = sa.or_(sa.false(), *takes)
    if not takes:
        return Names(term, sa.false())
    way = _way(connection, forms, latin_forms)
    if not fuzzy or not _errs(forms + latin_forms):
        return Names(term, way)
    near = _near_names(connection, key, forms, latin_forms)
    if near is None:
        return Names(sa.true(), None, exact=False)
    like_near = study.c.name_key.in_([name for name, _ in near])
    way_near = study.c.name_latin.in_({spelled for _, spelled in near})
    if way is not None:
        way = sa.or_(way, way_near)
    return Names(sa.or_(term, like_near), way)


_CLOSED = frozenset("abdefghlmnoruvwxq0123456789 ")


def latin_is_enough(form: str) -> bool:
    """Whether all names that the form takes are taken by its Latin form, so that one index does.

    Not if letters after the cut may be read with those before: "С*" is no beginning of "SH...".
    """
    start = form.removesuffix("*")
    spelled = latin(start)
    if has_wildcard(start) or not any(map(str.isalnum, spelled)):
        return False
    if start == form:
        return True
    return spelled[-1] in _CLOSED and "c" not in start[-3:] and not spelled.endswith("nde")


def _form(column: Column, form: str) -> Term:
    """matching.name_holds for one form and one column."""
    if form in ("*", "* *"):
        return column != ""
    if has_wildcard(form):
        if form.endswith(" *") and not has_wildcard(form[:-2]):
            return sa.or_(column == form[:-2], begins(column, form[:-1]))
        if form.endswith(" *"):
            return sa.or_(like(column, form), like(column, form[:-2]))
        return like(column, form)
    words = form.split()
    shorter = [" ".join(words[:count]) for count in range(2, len(words) + 1)] or [form]
    same: Term = column.in_(shorter)
    return sa.or_(same, begins(column, form + " ")) if len(words) > 1 else same


def _way(
    connection: sa.Connection, forms: Iterable[str], latin_forms: Iterable[str]
) -> Term | None:
    starts = [_beginning(form) for form in latin_forms]
    starts += [_closed_beginning(form) for form in forms if not latin_is_enough(form)]
    start = commonprefix(starts)
    if start:
        return begins(study.c.name_latin, start)
    words: set[str] = set()
    for column, some in ((name_word.c.word, forms), (name_word.c.latin, latin_forms)):
        for form in some:
            if column is name_word.c.word and latin_is_enough(form):
                continue
            piece = max(re.split(r"[*? ]", form), key=len)
            if not piece:
                return None
            having = sa.select(name_word.c.word).where(like(column, f"*{piece}*"))
            words.update(connection.execute(having.limit(MANY_WORDS)).scalars())
            if len(words) >= MANY_WORDS:
                return None
    return _with_words(connection, words)


def _with_words(connection: sa.Connection, words: Iterable[str]) -> Term | None:
    names = sa.select(name_with_word.c.name_latin).where(name_with_word.c.word.in_(sorted(words)))
    some = names.limit(MANY_NAMES).subquery()
    count = connection.execute(sa.select(sa.func.count()).select_from(some)).scalar_one()
    return study.c.name_latin.in_(names) if count < MANY_NAMES else None


def _beginning(form: str) -> str:
    """With what all begins that _form takes."""
    start = literal_start(form)
    if start == form or form == start + "*" and start.endswith(" "):
        words = start.split()
        return " ".join(words[:2]) if start == form else " ".join(words)
    return start


def _closed_beginning(form: str) -> str:
    """The same of the Latin forms of all names that a folded form takes."""
    start = literal_start(form)
    while start and not latin_is_enough(start + "*"):
        start = start[:-1]
    return latin(start).rstrip() if start else ""


def _longest_words(forms: Iterable[str]) -> Iterable[tuple[str, bool]]:
    """Of each form that may have an error: its longest word, and whether more letters may follow."""
    for form in forms:
        words = form.strip("* ").split()
        if words and not has_wildcard("".join(words)):
            place = max(range(len(words)), key=lambda at: len(words[at]))
            yield words[place], form.endswith("*") and place == len(words) - 1


def _errs(forms: Iterable[str]) -> bool:
    return any(True for _ in _longest_words(forms))


def _near_names(
    connection: sa.Connection, key: str, forms: Iterable[str], latin_forms: Iterable[str]
) -> list[tuple[str, str]] | None:
    """(name_key, name_latin) of all names that the key takes with an error; None if too many.

    Such a name has a word that is the longest of the key, but for one error at most.
    """
    words: set[str] = set()
    for column, some in ((name_word.c.word, forms), (name_word.c.latin, latin_forms)):
        for word, is_open in _longest_words(some):
            question = sa.select(name_word.c.word, column).where(_half_of(column, word))
            for there, spelled in connection.execute(question):
                if _near(word, spelled, is_open=is_open):
                    words.add(there)
    way = _with_words(connection, words)
    if way is None:
        return None
    names = sa.select(study.c.name_key, study.c.name_latin).where(way).distinct()
    found = connection.execute(names.limit(MANY_NEAR)).all()
    if len(found) >= MANY_NEAR:
        return None
    return [(name, spelled) for name, spelled in found if name_holds(key, name, fuzzy=True)]


def _near(word: str, there: str, *, is_open: bool) -> bool:
    if there == word or (is_open and there.startswith(word)):
        return True
    return nearly_begins(word, there) if is_open else one_error(word, there)


def _half_of(column: Column, word: str) -> Term:
    """An error leaves one half of a word whole; two swapped letters may stand in its middle."""
    if len(word) < MIN_FUZZY:
        return like(column, f"{word}*")
    half = len(word) // 2
    return sa.or_(like(column, f"{word[: half - 1]}*"), like(column, f"*{word[half + 1 :]}*"))
