"""What goes wrong in a browser is told as a page with a way out, to programs as before."""

import re
from collections.abc import Iterator
from html import unescape

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from gateway import errors
from gateway.model.access import Actor, Duty, Reach, Role
from gateway.web import create_app
from gateway.web.problem_page import WORDS
from tests.web.indexed import indexed_gateway, stubborn_sites
from tests.web.rows import ROWS
from tests.web.signing_in import login_gateway

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
MINISTRY = Actor("minister", (Duty(Role.MINISTRY, Reach()),), kind="session")
FAULTS = {
    "gone": errors.Gone("study"),
    "only-to-view": errors.OnlyToView(),
    "stale": errors.StaleForm("old"),
    "foreign": errors.ForeignPage("other"),
    "often": errors.TooManyTries(12.2),
    "differ": errors.PatientsDiffer("1.2", ("gkb1", "zlat")),
    "silent": errors.NoSiteAnswered({"gkb1": "timeout"}),
    "site": errors.SiteTimeout("gkb1", 2.0),
    "database": errors.RecordsUnavailable("away"),
    "audit": errors.AuditUnavailable("full"),
    "issuer": errors.IssuerUnavailable("away"),
    "busy": errors.GatewayBusy("much"),
    "disk": errors.NoRoom("full"),
    "fault": RuntimeError("nobody foresaw it"),
}


def opened(client: FlaskClient, path: str, **more: str) -> TestResponse:
    return client.get(path, headers=BROWSER | more)


def words(answer: TestResponse) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", answer.get_data(as_text=True))).split())


def assert_is_page(answer: TestResponse, status: int) -> None:
    page = answer.get_data(as_text=True)
    assert (answer.status_code, answer.mimetype) == (status, "text/html")
    assert (page.count("<h1>"), page.count("<title>")) == (1, 1)
    assert '<html lang="ru">' in page
    assert 'class="button' in page or "http://localhost" in page
    assert answer.headers["X-Request-Id"] in page
    assert "style-src 'self'" in answer.headers["Content-Security-Policy"]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """Open to everybody on this machine; below /fault/ each error of ours."""
    folder = tmp_path_factory.mktemp("open")
    away = {"viewer_dir": folder / "no viewer"}
    with stubborn_sites(ROWS) as urls, indexed_gateway(folder, ROWS, live=urls, **away) as gateway:
        app = create_app(gateway)

        def fail(name: str) -> None:
            raise FAULTS[name]

        fail.needs = "open"  # type: ignore[attr-defined]
        app.add_url_rule("/fault/<name>", "fail", fail)
        yield app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("gone", 410), ("only-to-view", 403), ("stale", 403), ("foreign", 403), ("often", 429),
        ("differ", 409), ("silent", 503), ("site", 504), ("database", 503), ("audit", 503),
        ("issuer", 503), ("busy", 503), ("disk", 507), ("fault", 500),
    ],
)  # fmt: skip
def test_each_error_is_a_page_with_a_way_out(client: FlaskClient, name: str, status: int) -> None:
    answer = opened(client, f"/fault/{name}")
    assert_is_page(answer, status)
    plain = client.get(f"/fault/{name}")
    assert (plain.status_code, plain.mimetype) == (status, "application/problem+json")
    assert answer.headers.get("Retry-After") == plain.headers.get("Retry-After")
    wait = plain.headers.get("Retry-After")
    assert ("Можно повторить через" in words(answer)) == (wait is not None)
    assert wait is None or f"через {wait} с." in words(answer)


def test_hospitals_are_named_as_people_know_them(client: FlaskClient) -> None:
    assert "Больница gkb1" in words(opened(client, "/fault/silent"))
    assert "Больница zlat" in words(opened(client, "/fault/differ"))


def test_a_page_that_there_is_not_says_so(client: FlaskClient) -> None:
    assert_is_page(opened(client, "/no/such/page"), 404)
    assert_is_page(client.post("/upload", headers=BROWSER), 405)
    assert client.post("/upload", headers=BROWSER).headers["Allow"]
    named = opened(client, "/report/of-nobody")
    assert_is_page(named, 400)
    assert "study" in words(named)


def test_a_name_that_is_not_ours_leads_to_the_one_that_is(client: FlaskClient) -> None:
    answer = opened(client, "/", Host="other.example")
    assert answer.status_code == 400
    assert 'href="http://127.0.0.1:8080/"' in answer.get_data(as_text=True)
    assert "other.example" not in answer.get_data(as_text=True)


def test_programs_are_told_as_before(client: FlaskClient) -> None:
    wrong = "/dicom-web/studies?limit=x"
    assert opened(client, wrong).mimetype == "application/problem+json"
    assert client.get("/no/such/page").mimetype == "application/problem+json"
    navigated = opened(client, wrong, **{"Sec-Fetch-Mode": "navigate"})
    assert_is_page(navigated, 400)
    assert "limit" in words(navigated)


def test_what_was_asked_is_never_a_tag_of_the_page(client: FlaskClient) -> None:
    page = opened(client, "/fault/silent?x=%22%3E%3Cscript%3E").get_data(as_text=True)
    assert "<script" not in page


def test_who_may_not_is_led_to_what_they_may(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("ministry")
    with login_gateway(folder, ROWS) as (gateway, _):
        client = create_app(gateway, lambda: MINISTRY).test_client()
        for path in ("/", "/audit", "/upload", "/emergency"):
            answer = opened(client, path)
            assert_is_page(answer, 403)
            assert 'href="/account"' in answer.get_data(as_text=True)


def test_a_form_after_the_end_of_the_session_leads_to_the_sign_in(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("ended")
    with login_gateway(folder, ROWS) as (gateway, _):
        client = create_app(gateway).test_client()
        for path in ("/emergency", "/audit", "/console/alarms/close"):
            answer = client.post(path, headers=BROWSER)
            if answer.status_code != 404:
                assert_is_page(answer, 401)
                assert 'href="/login"' in answer.get_data(as_text=True)


def test_every_error_that_a_person_may_meet_has_words() -> None:
    told = {kind for kinds, _, _ in WORDS for kind in kinds}
    assert {type(error) for error in FAULTS.values()} - told <= {
        errors.SiteTimeout, RuntimeError
    }  # fmt: skip


def test_a_viewer_that_is_not_installed_says_how_to_install_it(app: Flask) -> None:
    answer = opened(app.test_client(), "/viewer/")
    assert answer.status_code == 503
    assert ".ci/viewer" in words(answer)
    assert "style-src 'self'" in answer.headers["Content-Security-Policy"]
