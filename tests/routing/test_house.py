"""The gateway's own disk and Redis: one alarm for each mark and cause, gone with it."""

import shutil
import socket
from collections import namedtuple
from datetime import timedelta

import pytest
from redis import Redis

from gateway.demo.servers import free_port
from gateway.records.accounts import NO_LINK, begin_try
from gateway.records.alarms import load_alarms
from gateway.routing.house import check_house
from gateway.settings import Settings
from tests.arrived import NOW

Usage = namedtuple("Usage", "total used free")
pytestmark = pytest.mark.real


@pytest.fixture
def look(records, redis_server, tmp_path, monkeypatch):
    """look(percent) -> what is open when the disk is so full."""

    def check(percent, url=redis_server.url):
        monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(110, percent, 100 - percent))
        settings = Settings(state_dir=tmp_path, redis_url=url)
        check_house(records, settings, NOW + timedelta(seconds=percent), None)
        return {(one.kind, one.subject) for one in load_alarms(records)}

    return check


def test_a_disk_that_fills_is_told_at_80_90_and_95_percent(look):
    marks = [("disk_fills", f"state {mark} %") for mark in (80, 90, 95)]
    assert look(79) == set()
    assert look(80) == set(marks[:1])
    assert look(94) == set(marks[:2])
    assert look(95) == set(marks)
    assert look(50) == set()


def test_a_redis_that_is_away_or_throws_jobs_away(look, redis_server):
    assert look(1, f"redis://127.0.0.1:{free_port()}/0") == {("redis_away", "redis")}
    client = Redis.from_url(redis_server.url)
    client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        assert look(2) == {("redis_evicts", "redis")}
    finally:
        client.config_set("maxmemory-policy", "noeviction")
        client.close()
    assert look(3) == set()


@pytest.mark.parametrize("ahead_s", [31, -3600])
def test_a_host_whose_clock_is_wrong_is_told_until_it_is_right(look, records, monkeypatch, ahead_s):
    """F40"""
    monkeypatch.setattr(records, "check_clock", lambda: ahead_s)
    assert look(1) == {("gateway_clock_off", socket.gethostname())}
    monkeypatch.setattr(records, "check_clock", lambda: 29.0)
    assert look(2) == set()


def test_links_that_are_guessed_are_told_until_an_hour_of_silence(look, records):
    """H50: whoever tries, from wherever, they are counted together."""
    at = NOW - timedelta(minutes=59, seconds=30)
    for number in range(19):
        begin_try(records, NO_LINK, f"10.0.0.{number}", False, at)
    begin_try(records, "link 0123456789abcdef", "10.0.0.99", False, at)
    assert look(1) == set()
    begin_try(records, NO_LINK, "10.0.0.20", False, at)
    assert look(2) == {("links_guessed", "open")}
    assert look(31) == set()
