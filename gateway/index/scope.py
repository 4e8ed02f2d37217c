"""Which rows of the index a search may see: those of the asked sites, seen by a given moment.

Nearly every search asks the whole region. Then no row needs a test of its site, and a search costs
the same with 3 and with 300 sites. Measured with 300: the test was two thirds of a walk through
studies on SQLite, and their list a third of a search by PatientID on PostgreSQL.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles

from gateway.index.patterns import Term, is_one_of
from gateway.records.studies import site_cursor, study

FEW_SITES = 8
"""So many are a good way into the table; more are only a test of each row found otherwise."""


@dataclass(frozen=True)
class Scope:
    """The sites that are asked.

    covers   every row of the index is of one of them
    has_odd  some row, of whatever site, has columns that do not tell all
    """

    site_ids: frozenset[str]
    covers: bool
    has_odd: bool

    @property
    def is_way(self) -> bool:
        """Whether the sites alone lead to few rows, if they have few."""
        return not self.covers and len(self.site_ids) <= FEW_SITES

    def of(self, column: sa.Column[str]) -> list[Term]:
        """The rows of these sites in any table."""
        return [] if self.covers else [is_one_of(column, sorted(self.site_ids))]

    def terms(self, as_of: datetime | None, *, has_way: bool = False) -> list[Term]:
        """The rows of `study` of these sites, first seen by then.

        has_way  something else leads to few rows: a site may be the archive, which has them all
        """
        site, seen = study.c.site_id, study.c.first_seen_at
        terms: list[Term] = []
        if self.is_way and not has_way:
            terms.append(site.in_(sorted(self.site_ids)))
        elif not self.covers:
            tested = _only_tested(site, type_=site.type)
            terms.append(is_one_of(tested, sorted(self.site_ids)))
        if as_of is not None:
            terms.append(_only_tested(seen, type_=seen.type) <= as_of)
        return terms


_KNOWN = sa.select(sa.func.aggregate_strings(site_cursor.c.site_id, ",")).scalar_subquery()
_ODD = sa.exists().where(study.c.odd == sa.true())  # in the words of the partial index
_LOOK = sa.select(_KNOWN, _ODD)


def find_scope(connection: sa.Connection, site_ids: Collection[str]) -> Scope:
    """What these sites mean in this transaction."""
    known, has_odd = connection.execute(_LOOK).one()
    asked = frozenset(site_ids)
    return Scope(asked, asked.issuperset((known or "").split(",") if known else ()), bool(has_odd))


class _only_tested(sa.sql.functions.GenericFunction[Any]):
    """The same value, but no way into the table for SQLite: its planner has no statistics and would
    look up each of 300 sites, or half of all rows by their first_seen_at.
    """

    inherit_cache = True


@compiles(_only_tested)
def _plain(element: Any, compiler: Any, **how: Any) -> str:
    return str(compiler.process(element.clauses, **how))


@compiles(_only_tested, "sqlite")
def _with_plus(element: Any, compiler: Any, **how: Any) -> str:
    return f"+{_plain(element, compiler, **how)}"
