"""Which studies a PatientName key takes: those of a few names, or all that a term takes.

The names that a key takes are found in the short tables of records/words.py. If there are many,
their studies are many too: then a walk through all studies in their order soon fills a page, and
each is judged by the columns of its name.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from gateway.dicom.matching import (
    MIN_FUZZY,
    has_wildcard,
    name_forms,
    name_holds,
    word_nearly_holds,
)
from gateway.dicom.names import latin_readings
from gateway.index.patterns import Column, Term, among, begins, like, literal_start
from gateway.records.studies import patient_name, study, word_ending, word_of_name

MANY_NAMES = 3_000
"""Of more, the studies are not looked up name by name."""
MANY_WORDS = 5_000
"""With a part of a key; more are no way to few names."""
MANY_NEAR_WORDS = 20_000
"""Words that are compared with one that may have an error."""
MANY_JUDGED = 2_000
"""Names that are compared with a key of several words, one of which may have an error."""


@dataclass(frozen=True)
class Names:
    """As terms.Part: a test of each row, whether it is exact, and a way to the same rows."""

    term: Term
    way: Term | None
    exact: bool = True


def names_of_key(connection: sa.Connection, key: str, *, fuzzy: bool) -> Names | None:
    """matching.name_holds on the columns of a name; None if only the record can tell (groups)."""
    if "=" in key:
        return None
    forms, latin_forms = name_forms(key)
    near = _near_words(connection, forms, latin_forms) if fuzzy else []
    names = _names_of_forms(connection, forms, latin_forms)
    for some in near:
        if names is not None:
            more = some.find_names(connection, key)
            names = None if more is None or len(names | more) > MANY_NAMES else names | more
    if names is not None:
        way = among(study.c.name_key, names) if names else sa.false()
        # As a test of each row, PostgreSQL is to keep the names in a hash and not to join them.
        return Names(way.is_(sa.true()), way)
    term = sa.or_(_on_study(forms, latin_forms), *(some.on_study() for some in near))
    return Names(term, None, exact=all(some.is_exact for some in near))


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


def _on_study(forms: Sequence[str], latin_forms: Sequence[str]) -> Term:
    """The term for a walk through studies."""
    one = _takes(study.c.name_key, study.c.name_latin, forms, latin_forms)
    any_of = _takes(patient_name.c.folded, patient_name.c.latin, forms, latin_forms)
    several = sa.exists().where(patient_name.c.name_key == study.c.name_key, any_of)
    return sa.or_(
        sa.and_(study.c.name_latin != "", one), sa.and_(study.c.name_latin == "", several)
    )


def _takes(folded: Column, latin: Column, forms: Iterable[str], latin_forms: Iterable[str]) -> Term:
    return sa.or_(
        sa.false(),
        *(_form(folded, form) for form in forms),
        *(_form(latin, form) for form in latin_forms),
    )


def _names_of_forms(
    connection: sa.Connection, forms: Iterable[str], latin_forms: Iterable[str]
) -> frozenset[str] | None:
    """The name_key of all names that any form takes; None if they are many."""
    questions = []
    any_of: set[str] = set()
    pairs = [(patient_name.c.folded, form) for form in forms]
    pairs += [(patient_name.c.latin, form) for form in latin_forms]
    for column, form in pairs:
        question = sa.select(patient_name.c.name_key).where(_form(column, form))
        if not literal_start(form):
            part = max(re.split(r"[*? ]", form), key=len)
            words = _words_with_part(connection, part, is_latin=column is patient_name.c.latin)
            if words is None:
                return None
            if form == f"*{part}*":
                any_of |= words
                continue
            same = word_of_name.c.name_key == patient_name.c.name_key
            question = question.where(same, among(word_of_name.c.word, words))
        questions.append(question)
    if any_of:
        names = sa.select(word_of_name.c.name_key)
        questions.append(names.where(among(word_of_name.c.word, any_of)))
    found: set[str] = set()
    for question in questions:
        rows = connection.execute(question.limit(MANY_NAMES + 1)).scalars().all()
        found.update(rows)
        if max(len(rows), len(found)) > MANY_NAMES:
            return None
    return frozenset(found)


def _words_with_part(connection: sa.Connection, part: str, *, is_latin: bool) -> set[str] | None:
    """Words that have a part, themselves or in Latin letters; None if they are many."""
    if not part:
        return None
    question = sa.select(word_ending.c.form, word_ending.c.word)
    question = question.where(begins(word_ending.c.ending, part))
    found = connection.execute(question.limit(MANY_WORDS + 1)).all()
    if len(found) > MANY_WORDS:
        return None
    return _words_of_forms(((form, word) for form, word in found), is_latin=is_latin)


def _words_of_forms(found: Iterable[tuple[str, str]], *, is_latin: bool) -> set[str]:
    """The words of (form, word) whose form is a Latin reading, or is the word itself."""
    if not is_latin:
        return {word for form, word in found if form == word}
    return {word for form, word in found if form != word or form in latin_readings(word)}


@dataclass(frozen=True)
class _Near:
    """Names whose words are those of a key, with errors.

    words   for each word of the key, those of names that may be meant; None if they are many
    floats  the key may begin at any word of the name
    """

    words: tuple[frozenset[str] | None, ...]
    floats: bool

    @property
    def is_exact(self) -> bool:
        """Of several words only one may have an error: that is judged name by name."""
        return len(self.words) == 1 and self.words[0] is not None

    def _at(self, table: sa.FromClause, place: int) -> Term:
        words = self.words[place]
        known = sa.true() if words is None else among(table.c.word, words)
        return known if self.floats else sa.and_(known, table.c.place == place)

    def on_study(self) -> Term:
        """Takes the studies of all these names, and more if not `is_exact`."""
        return sa.and_(*self._beside(study.c.name_key, range(len(self.words))))

    def _beside(self, name: Column, places: Iterable[int]) -> list[Term]:
        table = word_of_name.alias()
        return [sa.exists().where(table.c.name_key == name, self._at(table, at)) for at in places]

    def find_names(self, connection: sa.Connection, key: str) -> frozenset[str] | None:
        """The name_key of each; None if they are many."""
        sizes = [(len(words), at) for at, words in enumerate(self.words) if words is not None]
        if not sizes:
            return None
        _, first = min(sizes)
        others = [at for at in range(len(self.words)) if at != first]
        question = sa.select(word_of_name.c.name_key).where(
            self._at(word_of_name, first), *self._beside(word_of_name.c.name_key, others)
        )
        most = MANY_NAMES if self.is_exact else MANY_JUDGED
        names = connection.execute(question.limit(most + 1)).scalars().all()
        if len(names) > most:
            return None
        if self.is_exact:
            return frozenset(names)
        return frozenset(
            name
            for name in names
            if any(name_holds(key, group, fuzzy=True) for group in name.split("="))
        )


def _near_words(
    connection: sa.Connection, forms: Iterable[str], latin_forms: Iterable[str]
) -> list[_Near]:
    """How the words of a key may be meant; forms with the same number of words go together."""
    found: dict[tuple[int, bool], list[set[str] | None]] = {}
    pairs = [(form, False) for form in forms] + [(form, True) for form in latin_forms]
    for form, is_latin in pairs:
        words = form.strip("* ").split()
        if not words or has_wildcard("".join(words)):
            continue
        places = found.setdefault((len(words), form.startswith("*")), [set() for _ in words])
        for at, word in enumerate(words):
            is_open = form.endswith("*") and at == len(words) - 1
            more = _words_near(connection, word, is_open=is_open, is_latin=is_latin)
            known = places[at]
            places[at] = None if more is None or known is None else known | more
    return [
        _Near(tuple(None if some is None else frozenset(some) for some in places), floats)
        for (_, floats), places in found.items()
    ]


def _words_near(
    connection: sa.Connection, word: str, *, is_open: bool, is_latin: bool
) -> set[str] | None:
    """Words of names that a word of a key means, with one error at most; None if they are many."""
    ending = _ending_of_near(word, is_open=is_open)
    question = sa.select(word_ending.c.form, word_ending.c.word).where(ending)
    found = connection.execute(question.limit(MANY_NEAR_WORDS + 1)).all()
    if len(found) > MANY_NEAR_WORDS:
        return None

    def is_meant(form: str) -> bool:
        if form.startswith(word) if is_open else form == word:
            return True
        return word_nearly_holds(word, form, is_open=is_open)

    meant = ((form, there) for form, there in found if is_meant(form))
    return _words_of_forms(meant, is_latin=is_latin)


def _ending_of_near(word: str, *, is_open: bool) -> Term:
    """An error leaves one half of a word whole, or swaps the letters between them."""
    ending = word_ending.c.ending

    def same(text: str) -> Term:
        return begins(ending, text) if is_open else ending == text

    if len(word) < MIN_FUZZY:
        return same(" " + word)
    half = len(word) // 2
    swapped = word[: half - 1] + word[half] + word[half - 1] + word[half + 1 :]
    return sa.or_(begins(ending, " " + word[:half]), same(word[half:]), same(" " + swapped))
