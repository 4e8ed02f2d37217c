"""F14: the keeper tells of a site whose name cannot be looked up, until it can be."""

import socket

from gateway.orthanc import addresses
from gateway.records.alarms import load_alarms
from gateway.region_file import RegionFile
from gateway.settings import Settings
from gateway.worker.keeper import Keeper
from tests.waiting import wait_until
from tests.worker.conftest import write_region


def test_a_name_that_is_not_known_is_an_alarm_until_it_is(tmp_path, records, monkeypatch):
    known = []

    def look_up(_host, _port):
        if not known:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return known

    monkeypatch.setattr(addresses, "look_up", look_up)
    region = write_region(tmp_path / "region.toml", north="http://north.example:1")
    settings = Settings(region=region, state_dir=tmp_path, redis_url="redis://127.0.0.1:1/0")
    keeper = Keeper(settings, RegionFile(region), records)

    def told() -> list[tuple[str, str]]:
        keeper.tick()
        return [(one.kind, one.subject) for one in load_alarms(records)]

    try:
        alarm = ("site_name_not_resolved", "north")
        wait_until(lambda: alarm in told(), 60, "the alarm")
        known.append((socket.AF_INET, ("127.0.0.1", 1)))
        wait_until(lambda: alarm not in told(), 60, "its end")
    finally:
        keeper.close()
