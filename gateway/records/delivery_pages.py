"""What the console reads of arrivals and deliveries: counts that cost little, and lists in pages.

A page begins after a row that was shown, by the order in which rows were made: what changes, or
comes, between two pages moves no row to another page.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from gateway.model.deliveries import FINAL, State
from gateway.records.arrivals import Arrival, Arrived, arrival, read_arrivals
from gateway.records.deliveries import delivery
from gateway.records.delivery_desk import Filter, Shown, read_shown
from gateway.records.engine import Records

UNENDED = tuple(state for state in State if state not in FINAL)


def count_open(
    records: Records, within: frozenset[str] | None = None
) -> Mapping[tuple[str, str, State], int]:
    """How many deliveries have not ended, by destination, lane and state.

    within  only those of these sites
    """
    d = delivery.c
    keys = (d.destination, d.lane, d.state)
    open_ones = Filter(UNENDED, within=within).where
    question = sa.select(*keys, sa.func.count()).where(open_ones).group_by(*keys)
    with records.read() as connection:
        rows = connection.execute(question).all()
    return {(destination, lane, State(state)): n for destination, lane, state, n in rows}


def count_delivered(
    records: Records,
    destinations: Collection[str],
    since: datetime,
    within: frozenset[str] | None = None,
) -> Mapping[str, tuple[int, int]]:
    """Deliveries proven since then and their bytes, of each of these destinations."""
    d = delivery.c
    found: dict[str, tuple[int, int]] = {}
    with records.read() as connection:
        for name in destinations:  # each is one stretch of an index
            proven = Filter((State.DELIVERED,), name, within=within).where
            question = sa.select(
                sa.func.count(), sa.func.coalesce(sa.func.sum(d.size_bytes), 0)
            ).where(proven, d.changed_at >= since)
            count, size = connection.execute(question).one()
            found[name] = (count, int(size))
    return found


def count_chosen(records: Records, chosen: Filter) -> int:
    """How many deliveries a filter means."""
    with records.read() as connection:
        question = sa.select(sa.func.count()).select_from(delivery).where(chosen.where)
        return int(connection.execute(question).scalar_one())


def narrowed(chosen: Filter, able: Collection[State]) -> Filter | None:
    """Those of a filter whose state is one of `able`; None if it means none of these."""
    states = tuple(state for state in chosen.states or tuple(State) if state in able)
    return replace(chosen, states=states) if states else None


def list_page(records: Records, chosen: Filter, most: int, after: str = "") -> list[Shown] | None:
    """Those that the filter means, the newest first.

    after    id of the last delivery of the page before
    returns  None if there is no such delivery
    """
    d = delivery.c
    question = sa.select(delivery).where(chosen.where)
    with records.read() as connection:
        if after:
            made_at = connection.execute(
                sa.select(d.made_at).where(d.delivery_id == after)
            ).scalar_one_or_none()
            if made_at is None:
                return None
            older = sa.and_(d.made_at == made_at, d.delivery_id < after)
            question = question.where(sa.or_(d.made_at < made_at, older))
        newest = question.order_by(d.made_at.desc(), d.delivery_id.desc()).limit(most)
        return read_shown(connection, newest)


def list_arrivals(
    records: Records, state: Arrived, site_id: str, most: int, after: str = ""
) -> list[Arrival]:
    """Studies of one site in one state, by UID.

    after  UID of the last study of the page before
    """
    a = arrival.c
    question: sa.Select[Any] = sa.select(arrival).where(
        a.state == state, a.site_id == site_id, a.study_uid > after
    )
    with records.read() as connection:
        return read_arrivals(connection, question.order_by(a.study_uid).limit(most))
