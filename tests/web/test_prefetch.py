"""When the next series is read ahead, and when it is left: no server, no clock of its own."""

import threading
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from gateway.errors import SiteTimeout
from gateway.model.sites import Site
from gateway.model.standing import Standing
from gateway.web import prefetch
from gateway.web.opening import Target
from gateway.web.prefetch import (
    MOST_INSTANCES,
    MOST_WAITING,
    QUIET_S,
    SLOW_S,
    STALE_S,
    Prefetcher,
)
from gateway.web.scope import Scope

NORTH = Site("north", "north", "north", "http://127.0.0.1:1")
SCOPE = Scope([NORTH], "http://images.example/dicom-web", {"north": NORTH})
SERIES = [f"1.2.{n}" for n in range(1, 30)]
LARGE = "1.2.99"


class Bench:
    """A prefetcher whose work is done when the test says so."""

    def __init__(self, series_ahead: int) -> None:
        self.now, self.idle, self.slice_s = 100.0, True, 0.01
        self.standing = Standing()
        self.standing.answered(self.now, 0.01)
        self.warmed: list[str] = []
        self.fails = False
        self.submitted: list[tuple] = []
        gateway = SimpleNamespace(
            settings=SimpleNamespace(prefetch_series=series_ahead),
            region=SimpleNamespace(sites=[NORTH]),
            records=None,
            wire=SimpleNamespace(
                standing=lambda _: self.standing,
                slice_s=lambda _: self.slice_s,
                is_idle=lambda _: self.idle,
            ),
        )
        self.gateway = gateway
        self.prefetcher = Prefetcher(gateway, self.warm)

    def thread(self, target, args, daemon) -> SimpleNamespace:
        assert daemon  # the gateway's end does not wait for it
        return SimpleNamespace(start=lambda: self.submitted.append((target, *args)))

    def warm(self, wish, may_go_on) -> None:
        if self.fails:
            raise SiteTimeout("north", 1.0)
        assert may_go_on() is self.idle
        self.warmed.append(wish.target.series)
        assert wish.scope is SCOPE  # the sites that its reader was let through to
        assert wish.path == f"/dicom-web/studies/1.2/series/{wish.target.series}/metadata?"

    def open(self, series_uid: str) -> None:
        target = Target("1.2", series_uid, below="/metadata")
        path = f"/dicom-web/studies/1.2/series/{series_uid}/metadata?"
        self.prefetcher.opened(SCOPE, target, path, NORTH)
        self.now += QUIET_S

    def work(self) -> list[str]:
        submitted, self.submitted = self.submitted, []
        for run, *arguments in submitted:
            run(*arguments)
        return self.warmed


@pytest.fixture
def make_bench(monkeypatch) -> Callable[[int], Bench]:
    made: list[Bench] = []
    counts = dict.fromkeys(SERIES, MOST_INSTANCES) | {LARGE: MOST_INSTANCES + 1}
    monkeypatch.setattr(prefetch, "load_series_order", lambda *_: counts)
    monkeypatch.setattr(prefetch, "monotonic_s", lambda: made[-1].now)
    threads = SimpleNamespace(Lock=threading.Lock, Thread=lambda **about: made[-1].thread(**about))
    monkeypatch.setattr(prefetch, "threading", threads)

    def make(series_ahead: int) -> Bench:
        made.append(Bench(series_ahead))
        return made[-1]

    return make


@pytest.fixture
def bench(make_bench) -> Bench:
    return make_bench(1)


def test_after_a_series_comes_the_next_one(bench):
    bench.open(SERIES[3])
    assert bench.work() == [SERIES[4]]


@pytest.mark.parametrize(
    "last",
    [LARGE, SERIES[-1], "9.9"],
    ids=["the last", "one before a very large one", "one that is unknown"],
)
def test_after_such_a_series_comes_none(bench, last):
    bench.open(last)
    assert (bench.submitted, bench.work()) == ([], [])


def test_by_itself_nothing_is_read_ahead(make_bench):
    still = make_bench(0)
    still.open(SERIES[0])
    assert still.submitted == []


def test_several_series_may_be_read_ahead(make_bench):
    eager = make_bench(3)
    eager.open(SERIES[0])
    assert eager.work() == SERIES[1:4]


def test_one_site_is_asked_for_one_series_at_a_time_and_few_wait(bench):
    for series_uid in SERIES[:20]:
        bench.open(series_uid)
    assert len(bench.submitted) == 1
    assert bench.work() == SERIES[21 - MOST_WAITING : 21]


def test_a_series_waits_once(bench):
    for _ in range(5):
        bench.open(SERIES[0])
    assert bench.work() == [SERIES[1]]


def test_a_wish_that_waited_for_too_long_is_dropped(bench):
    bench.open(SERIES[0])
    bench.now += STALE_S + 1
    assert bench.work() == []
    bench.open(SERIES[0])  # and a new one is not
    assert bench.work() == [SERIES[1]]


def test_while_the_site_is_busy_it_waits_until_the_wish_is_old(bench, monkeypatch):
    waits = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        bench.now += 1.0
        bench.idle = len(waits) == enough

    monkeypatch.setattr(prefetch.time, "sleep", sleep)
    bench.idle, enough = False, 3
    bench.open(SERIES[0])
    assert (bench.work(), len(waits)) == ([SERIES[1]], 3)
    bench.idle, enough = False, 10_000
    bench.open(SERIES[1])
    assert bench.work() == [SERIES[1]]
    assert len(waits) < 3 + STALE_S + 2


def test_a_slow_site_is_left_alone(bench):
    bench.slice_s = SLOW_S + 1
    bench.open(SERIES[0])
    assert bench.submitted == []


def test_a_site_that_fails_is_left_alone(bench):
    bench.open(SERIES[0])
    bench.standing.failed(bench.now + 1, "timeout")
    assert bench.work() == []
    bench.open(SERIES[1])
    assert bench.submitted == []


def test_what_fails_takes_the_other_wishes_with_it(bench):
    for series_uid in SERIES[:4]:
        bench.open(series_uid)
    bench.fails = True
    assert bench.work() == []
    bench.fails = False
    bench.open(SERIES[8])
    assert bench.work() == [SERIES[9]]


def test_a_site_that_is_of_the_region_no_more_is_not_asked(bench):
    bench.open(SERIES[0])
    bench.gateway.region.sites.clear()
    assert bench.work() == []


def test_right_after_an_answer_of_the_site_it_waits(bench, monkeypatch):
    waits = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        bench.now += seconds

    monkeypatch.setattr(prefetch.time, "sleep", sleep)
    bench.open(SERIES[0])
    bench.standing.answered(bench.now, 0.01)
    assert bench.work() == [SERIES[1]]
    assert sum(waits) >= QUIET_S


def test_metadata_of_one_instance_promise_no_series(bench):
    target = Target("1.2", SERIES[0], "1.2.1.1", below="/metadata")
    bench.prefetcher.opened(SCOPE, target, f"{target.path}?", NORTH)
    assert bench.submitted == []
