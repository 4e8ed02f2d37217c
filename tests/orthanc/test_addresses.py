"""F14: a resolver that hangs or fails, patched at the one door to it."""

import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from structlog.testing import capture_logs

from gateway.clock import Deadline
from gateway.errors import SiteTimeout, SiteUnreachable
from gateway.orthanc import addresses
from gateway.orthanc.addresses import FRESH_S, LAST_GOOD_S, Addresses
from gateway.orthanc.wire import Wire
from tests.fakes import a_site
from tests.waiting import wait_until

FIRST = [(socket.AF_INET, ("192.0.2.1", 8042))]
OTHER = [(socket.AF_INET, ("192.0.2.2", 8042))]


class Resolver:
    """Says what the test wants; counts how often it is asked."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.asked = 0
        self.says: Callable[[], object] = lambda: FIRST
        self.may_end = threading.Event()

    def look_up(self, _host: str, _port: int) -> object:
        self.asked += 1
        return self.says()

    def hangs(self) -> object:
        assert self.may_end.wait(60)
        return OTHER

    def fails(self) -> object:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    resolver = Resolver()
    monkeypatch.setattr(addresses, "look_up", resolver.look_up)
    monkeypatch.setattr(addresses, "monotonic_s", lambda: resolver.now)
    monkeypatch.setattr(addresses, "RESOLVE_S", 0.05)
    monkeypatch.setattr(addresses, "RESOLVE_AGAIN_S", 0.05)
    yield resolver
    resolver.may_end.set()


def find(names: Addresses) -> object:
    return names.find("hospital.example", 8042, 30.0)


def end_of_lookups(names: Addresses) -> None:
    wait_until(lambda: all(one.ended.is_set() for one in names._names.values()), 60, "the lookups")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_an_address_is_not_looked_up(resolver, host):
    assert [address for _, address in Addresses().find(host, 1, 1.0)] == [(host, 1)]
    assert resolver.asked == 0


def test_a_name_is_looked_up_now_and_then_and_a_new_address_is_taken(resolver):
    names = Addresses()
    assert [find(names), find(names), resolver.asked] == [FIRST, FIRST, 1]
    resolver.now += FRESH_S
    resolver.says = lambda: OTHER
    assert [find(names), resolver.asked] == [OTHER, 2]


def test_while_the_resolver_hangs_the_last_address_serves_and_one_thread_waits(resolver):
    names = Addresses()
    assert find(names) == FIRST
    resolver.now += FRESH_S
    resolver.says = resolver.hangs
    with capture_logs() as logs:
        assert [find(names) for _ in range(5)] == [FIRST] * 5
        resolver.now += 1
        assert [find(names) for _ in range(5)] == [FIRST] * 5
        assert (resolver.asked, names.is_failing("hospital.example")) == (2, True)
        resolver.may_end.set()
        end_of_lookups(names)
        assert (find(names), names.is_failing("hospital.example")) == (OTHER, False)
    assert [line["event"] for line in logs] == ["name not resolved", "name resolved again"]


@pytest.mark.parametrize("trouble", ["hangs", "fails"])
def test_the_last_address_serves_for_ten_minutes(resolver, trouble):
    names = Addresses()
    assert find(names) == FIRST
    resolver.says = getattr(resolver, trouble)
    resolver.now += LAST_GOOD_S - 1
    assert find(names) == FIRST
    resolver.now += 1
    with pytest.raises(OSError, match="its name is not"):
        find(names)


@pytest.mark.parametrize(("trouble", "error"), [("hangs", SiteTimeout), ("fails", SiteUnreachable)])
def test_a_site_whose_name_was_never_known_fails_soon(resolver, trouble, error):
    resolver.says = getattr(resolver, trouble)
    site, wire = a_site("north", url="http://hospital.example:8042"), Wire()
    for _ in range(3):
        with pytest.raises(error):
            wire.open(site, "GET", "/system", deadline=Deadline(30.0))
        resolver.now += 1.0
    assert wire.unresolved() == {"north"}
    assert resolver.asked == (1 if trouble == "hangs" else 3)
