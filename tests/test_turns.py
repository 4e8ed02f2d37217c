"""So many turns in a minute over all processes, with Redis and without."""

import pytest

from gateway import turns
from gateway.turns import Turns


@pytest.mark.real
def test_processes_share_their_turns(redis_server, monkeypatch):
    moment = turns.utc_now().replace(second=15)
    monkeypatch.setattr(turns, "utc_now", lambda: moment)
    one, other = (Turns(redis_server.url, "shared", 3) for _ in range(2))
    assert [one.take(), other.take(), one.take()] == [0.0] * 3
    assert 44 <= other.take() <= 45
    assert Turns(redis_server.url, "another kind", 3).take() == 0.0


def test_without_redis_a_process_counts_for_itself(monkeypatch):
    now = 1000.0
    monkeypatch.setattr(turns, "monotonic_s", lambda: now)
    mine = Turns("redis://127.0.0.1:1/0", "alone", 2)
    assert [mine.take(), mine.take(), mine.take()] == [0.0, 0.0, 60.0]
    now += 61
    assert mine.take() == 0.0
