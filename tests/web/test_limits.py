"""Who asks too much is told to wait, and nobody else is (trust.md H86)."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import ThreadingHTTPServer

import pytest
from flask.testing import FlaskClient

from gateway.errors import TooManyTries
from gateway.model.access import NOBODY, Actor, Duty, Purpose, Reach, Role
from gateway.web import create_app, limits
from gateway.web.limits import Limits
from tests.faults.endless_site import Endless
from tests.web.indexed import stubborn_sites
from tests.web.rows import ROWS, U
from tests.web.signing_in import login_gateway

MOST = 3
EVERYWHERE = Duty(Role.DOCTOR, Reach())
ONE, OTHER = (Actor(name, (EVERYWHERE,), Purpose.TREATMENT) for name in ("one", "other"))


class Door:
    def __init__(self, gateway) -> None:
        self.actor = NOBODY
        self.client: FlaskClient = create_app(gateway, lambda: self.actor).test_client()

    def statuses(
        self, actor: Actor, path: str, count: int, method: str = "GET", **more
    ) -> list[int]:
        self.actor = actor
        found = []
        for _ in range(count):
            with self.client.open(path, method=method, **more) as answer:
                found.append(answer.status_code)
        return found


@pytest.fixture
def door(tmp_path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    few = tuple(replace(rate, most=MOST) for rate in limits.RATES)
    monkeypatch.setattr(limits, "RATES", few)
    names = ("SIGN_IN", "TOKEN", "SEARCH", "DOWNLOAD", "EXPORT", "EMERGENCY")
    for name, rate in zip(names, few, strict=True):
        monkeypatch.setattr(limits, name, rate)
    of_action = {action: few[limits.RATES.index(few[2])] for action in (limits.Action.SEARCH,)}
    monkeypatch.setattr(limits, "OF_ACTION", of_action)
    with stubborn_sites(ROWS) as urls, login_gateway(tmp_path, ROWS, live=urls) as (gateway, _):
        yield Door(gateway)


def test_searches_are_counted_for_each_person(door: Door) -> None:
    assert door.statuses(ONE, "/dicom-web/studies", MOST + 1) == [200] * MOST + [429]
    assert door.statuses(OTHER, "/sites/gkb1/dicom-web/studies", 1) == [200]
    answer = door.client.get("/dicom-web/studies")
    assert answer.status_code == 200
    door.actor = ONE
    refused = door.client.get("/dicom-web/studies")
    assert (refused.status_code, refused.content_type) == (429, "application/problem+json")
    assert 1 <= int(refused.headers["Retry-After"]) <= 60


def test_metadata_and_frames_are_not_counted(door: Door) -> None:
    path = f"/dicom-web/studies/{U}.2/series/{U}.2.1/instances/{U}.2.1.1/frames/1"
    assert 429 not in door.statuses(ONE, path, 3 * MOST)
    assert 429 not in door.statuses(ONE, f"/dicom-web/studies/{U}.2/metadata", 3 * MOST)


@pytest.mark.parametrize(
    "path", ["/login", "/login/code", "/open", "/oauth/token", "/oauth/introspect"]
)
def test_tries_to_sign_in_are_counted_for_each_address(door: Door, path: str) -> None:
    def tried(address: str, count: int) -> list[int]:
        told = {"X-Forwarded-For": address}
        return door.statuses(NOBODY, path, count, "POST", headers=told)

    assert tried("203.0.113.1", MOST + 1)[-1] == 429
    assert 429 not in tried("203.0.113.2", 1)
    assert door.statuses(NOBODY, "/login", 2 * MOST) == [200] * 2 * MOST


def test_numbers_are_not_tried_out_by_emergencies(door: Door) -> None:
    """A number of several studies shows where and of which day they are, without an alarm."""
    assert door.statuses(ONE, "/emergency", MOST + 1, "POST")[-1] == 429
    assert 429 not in door.statuses(ONE, "/emergency", MOST + 1)
    assert 429 not in door.statuses(OTHER, "/emergency", 1, "POST")


def test_whole_studies_are_counted(door: Door) -> None:
    found = door.statuses(ONE, f"/dicom-web/studies/{U}.2", MOST + 1)
    assert found[-1] == 429
    assert 429 not in found[:-1]


def test_a_download_that_has_ended_leaves_its_place(tmp_path) -> None:
    """As many as may run at once, and more, one after the other."""
    site = ThreadingHTTPServer(("127.0.0.1", 0), Endless)
    threading.Thread(target=site.serve_forever, args=(0.05,), daemon=True).start()
    live = {"gkb1": f"http://127.0.0.1:{site.server_port}"}
    try:
        with login_gateway(tmp_path, {"gkb1": ()}, live=live) as (gateway, _):
            door, count = Door(gateway), limits.DOWNLOADS_AT_ONCE + 2
            found = door.statuses(ONE, "/dicom-web/studies/1.2.1.1", count)
    finally:
        site.shutdown()
        site.server_close()
    assert found == [200] * count


def test_so_many_downloads_run_at_once_for_one_person_and_no_more() -> None:
    counted = Limits("redis://127.0.0.1:1/0")
    for _ in range(limits.DOWNLOADS_AT_ONCE):
        counted._begin("one")
    with pytest.raises(TooManyTries):
        counted._begin("one")
    counted._begin("other")
    counted._end("one")
    counted._begin("one")
