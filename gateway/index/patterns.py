"""Patterns with `*` and `?`, and lists of values, as terms over a column. Pure.

The columns are compared by code point (records/studies.py).
"""

import json
import re
from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.compiler import compiles

Column = sa.Column[str]
Term = sa.ColumnElement[bool]
HIGHEST = "\U0010ffff"
"""Above every letter that a key has."""


def begins(column: Column, start: str) -> Term:
    """A range, so that an index of the column finds its rows."""
    return sa.and_(column >= start, column < start + HIGHEST)


def like(column: Column, pattern: str) -> Term:
    """`*` and `?` as `%` and `_`, all else literal; the literal start is a range for the index."""
    pattern = re.sub(r"\*+", "*", pattern)
    escaped = "".join(
        {"*": "%", "?": "_"}.get(letter, f"\\{letter}" if letter in "\\%_" else letter)
        for letter in pattern
    )
    start = literal_start(pattern)
    if pattern == start + "*" and start:
        return begins(column, start)
    found: Term = column.like(escaped, escape="\\")
    return sa.and_(begins(column, start), found) if start else found


def literal_start(pattern: str) -> str:
    return re.split(r"[*?]", pattern, maxsplit=1)[0]


def among(column: sa.ColumnElement[str], values: Collection[str]) -> Term:
    """One of these values, in one bound parameter: thousands of them cost no parsing of SQL."""
    return column.in_(sa.select(_Texts(json.dumps(sorted(set(values)), ensure_ascii=False))))


class _Texts(sa.sql.functions.GenericFunction[str]):
    """The texts of a JSON list, a row each."""

    inherit_cache = True
    type = sa.Text()


@compiles(_Texts, "postgresql")
def _postgresql_texts(element: Any, compiler: Any, **how: Any) -> str:
    return f"jsonb_array_elements_text(CAST({compiler.process(element.clauses, **how)} AS jsonb))"


@compiles(_Texts, "sqlite")
def _sqlite_texts(element: Any, compiler: Any, **how: Any) -> str:
    return f"value FROM json_each({compiler.process(element.clauses, **how)})"


def is_one_of(column: sa.ColumnElement[str], wanted: Sequence[str]) -> Term:
    """As `among`, for up to some hundred values: PostgreSQL makes no join of them."""
    term: Term = _IsOneOf(column, sa.bindparam(None, list(wanted), type_=_TextList()))
    return term


class _TextList(sa.types.TypeDecorator[Sequence[str]]):
    """A list of texts in one parameter."""

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        is_postgresql = dialect.name == "postgresql"
        return dialect.type_descriptor(postgresql.ARRAY(sa.Text) if is_postgresql else sa.Text())

    def process_bind_param(self, value: Sequence[str] | None, dialect: sa.Dialect) -> Any:
        return value if value is None or dialect.name == "postgresql" else json.dumps(value)


class _IsOneOf(sa.sql.functions.GenericFunction[bool]):
    type = sa.Boolean()
    inherit_cache = True

    def self_group(self, against: Any = None) -> Any:
        """As it stands: SQLite looks for no index behind `... IN (...) = 1`."""
        return self


@compiles(_IsOneOf, "postgresql")
def _any_of(element: Any, compiler: Any, **how: Any) -> str:
    column, values = (compiler.process(clause, **how) for clause in element.clauses)
    return f"{column} = ANY ({values})"


@compiles(_IsOneOf, "sqlite")
def _in_json(element: Any, compiler: Any, **how: Any) -> str:
    column, values = (compiler.process(clause, **how) for clause in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({values}))"  # noqa: S608 - columns only
