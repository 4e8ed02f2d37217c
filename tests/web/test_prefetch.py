"""When the next series is read ahead, and when it is left: no server, no clock of its own."""

from types import SimpleNamespace

import pytest

from gateway.errors import SiteTimeout
from gateway.model.sites import Site
from gateway.model.standing import Standing
from gateway.web import prefetch
from gateway.web.opening import Target
from gateway.web.prefetch import GONE_S, MOST_WAITING, SLOW_S, Prefetcher
from gateway.web.scope import Scope

NORTH = Site("north", "north", "north", "http://127.0.0.1:1")
SCOPE = Scope([NORTH], "http://images.example/dicom-web")
SERIES = [f"1.2.{n}" for n in range(1, 30)]


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
            records=None,
            wire=SimpleNamespace(
                standing=lambda _: self.standing,
                slice_s=lambda _: self.slice_s,
                is_idle=lambda _: self.idle,
            ),
            pool=SimpleNamespace(submit=lambda *work: self.submitted.append(work)),
        )
        self.prefetcher = Prefetcher(gateway, self.warm)

    def warm(self, wish, may_go_on) -> None:
        if self.fails:
            raise SiteTimeout("north", 1.0)
        assert may_go_on() is self.idle
        self.warmed.append(wish.target.series)
        assert wish.path == f"/dicom-web/studies/1.2/series/{wish.target.series}/metadata?"

    def open(self, series_uid: str) -> None:
        self.prefetcher.read("1.2")
        target = Target("1.2", series_uid, below="/metadata")
        path = f"/dicom-web/studies/1.2/series/{series_uid}/metadata?"
        self.prefetcher.opened(SCOPE, target, path, NORTH)

    def work(self) -> list[str]:
        submitted, self.submitted = self.submitted, []
        for run, *arguments in submitted:
            run(*arguments)
        return self.warmed


@pytest.fixture
def bench(monkeypatch) -> Bench:
    bench = Bench(1)
    monkeypatch.setattr(prefetch, "load_series_order", lambda *_: SERIES)
    monkeypatch.setattr(prefetch, "monotonic_s", lambda: bench.now)
    return bench


def test_after_a_series_comes_the_next_one(bench):
    bench.open(SERIES[3])
    assert bench.work() == [SERIES[4]]


@pytest.mark.parametrize("last", [SERIES[-1], "9.9"], ids=["the last", "one that is unknown"])
def test_after_such_a_series_comes_none(bench, last):
    bench.open(last)
    assert (bench.submitted, bench.work()) == ([], [])


def test_by_itself_nothing_is_read_ahead(bench):
    still = Bench(0)
    still.open(SERIES[0])
    assert still.submitted == []


def test_several_series_may_be_read_ahead(bench):
    eager = Bench(3)
    eager.now = bench.now
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


def test_when_the_reader_has_gone_nothing_is_read_for_him(bench):
    bench.open(SERIES[0])
    bench.now += GONE_S + 1
    assert bench.work() == []
    bench.open(SERIES[0])  # and when he comes again it is
    assert bench.work() == [SERIES[1]]


def test_while_the_site_is_busy_it_waits_until_the_reader_goes(bench, monkeypatch):
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
    assert len(waits) < 3 + GONE_S + 2


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
