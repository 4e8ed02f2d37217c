"""Patterns with `*` and `?` as terms over a column that is compared by code point. Pure."""

import re

import sqlalchemy as sa

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
    """What stands before the first wildcard."""
    return re.split(r"[*?]", pattern, maxsplit=1)[0]
