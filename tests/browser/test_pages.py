"""Every page for people outside of the console and the ministry's: seen as each role on a phone and
on a desk, light and dark, also where something is wrong. Pictures are kept in build/pages.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from werkzeug.serving import make_server

from gateway.clock import utc_now
from gateway.demo.servers import REPOSITORY, free_port
from gateway.model.access import Purpose
from gateway.model.credentials import new_secret
from gateway.model.sharing import LONGEST
from gateway.records import sharing
from gateway.records.sessions import start_session
from gateway.web import create_app
from gateway.web.sharing import factor_of
from tests.browser.conftest import PHONE, save
from tests.web.indexed import stubborn_sites
from tests.web.rows import ROWS, U
from tests.web.signing_in import add_person, login_gateway

pytestmark = pytest.mark.browser

FAULTS = Path(__file__).with_name("faults_of_page.js").read_text(encoding="utf-8")
PICTURES = REPOSITORY / "build" / "pages"
DESK = (1440, 900)
STUDY = f"{U}.1"
PEOPLE = {
    "nobody": ("/login", "/open", "/no/such/page"),
    "patient": ("/open/study", f"/report/{STUDY}", "/audit"),
    "doctor": (
        "/", "/account", "/account/password", "/upload", "/emergency", f"/share/{STUDY}",
        f"/report/{STUDY}", "/report/1.2.3", "/report/none", f"/share/{U}.99", "/rollout",
        "/console", "/login/code",
    ),
    "guest": ("/account",),
    "hospital_it": ("/", "/account", "/console", "/console/rules", "/rollout/register"),
    "regional_admin": ("/account", "/console/versions", "/rollout"),
    "ministry": ("/account", "/", "/rollout"),
    "auditor": ("/account", "/audit", "/audit/emergencies"),
}  # fmt: skip
POSTS = {
    "doctor": "doctor@gkb1", "guest": "doctor@zlat", "hospital_it": "hospital_it@gkb1",
    "regional_admin": "regional_admin", "ministry": "ministry", "auditor": "auditor",
}  # fmt: skip


@dataclass(frozen=True)
class Town:
    """A gateway, and the cookie by which each of its people is known."""

    url: str
    cookies: dict[str, tuple[str, str]]


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """zlat does not answer; the other sites do."""
    folder, port = tmp_path_factory.mktemp("town"), free_port()
    url, cookies = f"http://127.0.0.1:{port}", dict[str, tuple[str, str]]()
    answering = {site_id: rows for site_id, rows in ROWS.items() if site_id != "zlat"}
    with (
        stubborn_sites(answering) as live,
        login_gateway(folder, ROWS, live=live, public_url=url) as (gateway, keyring),
    ):
        records, now, ids = gateway.records, utc_now(), dict[str, str]()
        for login, post in POSTS.items():
            ids[login], _ = add_person(gateway, keyring, login, post)
            for _ in range(2):  # the other one is shown on /account
                secret = start_session(records, ids[login], "::1", Purpose.TREATMENT, now)
            cookies[login] = ("gateway", secret)
        given = ("второе мнение перед операцией", now, now + LONGEST)
        sharing.add_grant(records, STUDY, ids["guest"], ids["doctor"], *given, downloads=True)
        reason = "больной без сознания, снимки нужны до операции"
        for who in ("guest", "doctor"):
            sharing.add_emergency(records, STUDY, ids[who], reason, now - timedelta(hours=1))
        secret = new_secret()
        factor = factor_of(keyring, secret, "19700101")
        link = sharing.add_link(records, STUDY, secret, factor, ids["doctor"], *given)
        cookies["patient"] = ("gateway-link", sharing.open_link(records, link, now))
        server = make_server("127.0.0.1", port, create_app(gateway), threaded=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield Town(url, cookies)
        server.shutdown()
        thread.join(60)
        server.server_close()


@pytest.mark.parametrize(
    ("size", "scheme"), [(PHONE, "light"), (DESK, "dark")], ids=["phone", "desk"]
)
@pytest.mark.parametrize("who", PEOPLE)
def test_nobody_stumbles_over_a_page(
    town: Town, browser: Browser, who: str, size: tuple[int, int], scheme: str
) -> None:
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme=scheme
    )
    if who in town.cookies:
        name, value = town.cookies[who]
        context.add_cookies([{"name": name, "value": value, "url": town.url}])
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda m: wrong.append(m.text) if "Policy" in m.text else None)
    PICTURES.mkdir(parents=True, exist_ok=True)
    faults: dict[str, list[str]] = {}
    for n, path in enumerate(PEOPLE[who]):
        page.goto(town.url + path)
        save(page, PICTURES, f"{who}-{n:02}-{size[0]}", whole=True)
        if found := page.evaluate(FAULTS):
            faults[path] = found
    context.close()
    assert (faults, wrong) == ({}, [])
