"""A newcomer in front of the sign-in pages, on a phone and on a desk."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pyotp
import pytest
from playwright.sync_api import Browser, Page

from tests.browser.conftest import PHONE, Watch, save
from tests.forked import run_gateway
from tests.running import region_toml, start_gateway

pytestmark = [pytest.mark.browser, pytest.mark.real]

WIDE = (1440, 900)
PASSWORD = "три весёлых рентгена"


@dataclass
class Clinic:
    url: str
    folder: Path

    def command(self, *words: str) -> str:
        """What a command of the gateway says, in its folder."""
        environ = os.environ | {"GATEWAY_STATE_DIR": str(self.folder / "state")}
        done = run_gateway(words, self.folder, environ, 60)
        done.check_returncode()
        return done.stdout

    def newcomer(self, login: str) -> str:
        """The one-time password of a doctor."""
        told = self.command("users", "add", login, "--role", "doctor@gkb1")
        return re.findall(r"one-time password: (\S+)", told)[0]


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    """A gateway with logins; its one hospital is away, and nobody here needs it."""
    folder = tmp_path_factory.mktemp("clinic")
    site, account = {"gkb1": "http://127.0.0.1:9"}, SimpleNamespace(username="u", password="p")
    servers = {"gkb1": account}
    (folder / "gkb1.password").write_text("p")
    (folder / "region.toml").write_text(region_toml(site, servers, "gkb1"), encoding="utf-8")
    found = Clinic("", folder)
    assert "one-time password" in found.command("init")
    gateway = start_gateway(
        folder, site, servers, home="gkb1", settings={"GATEWAY_ACCESS": "login"}
    )
    found.url = gateway.url
    yield found
    gateway.program.stop()


def settled(page: Page, folder: Path, name: str) -> None:
    """The page fits its width; a picture of it is kept."""
    save(page, folder, name)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize("size", [PHONE, WIDE], ids=["phone", "desk"])
def test_a_newcomer_comes_from_a_one_time_password_to_the_account_and_out(
    browser: Browser, clinic: Clinic, watch: Watch, tmp_path: Path, size: tuple[int, int]
) -> None:
    context = browser.new_context(viewport={"width": size[0], "height": size[1]})
    page = context.new_page()
    page.on("pageerror", lambda error: watch.errors.append(str(error)))
    page.on(
        "console",
        lambda told: watch.errors.append(told.text) if told.type == "error" else None,
    )
    login = f"petrov{size[0]}"
    password = clinic.newcomer(login)

    page.goto(clinic.url + "/upload")
    assert page.url == clinic.url + "/login?back=/upload"
    settled(page, tmp_path, "1-login")
    page.fill("#login", login)
    page.fill("#password", password)
    page.select_option("#purpose", "ETREAT")
    page.click("button")
    settled(page, tmp_path, "2-password")
    page.fill("#password", PASSWORD)
    page.fill("#again", PASSWORD)
    page.click("button")
    settled(page, tmp_path, "3-authenticator")
    assert page.evaluate("document.querySelector('img.code').naturalWidth") > 100
    secret = page.inner_text("code").replace(" ", "")
    page.fill("#code", pyotp.TOTP(secret).now())
    page.click("button")
    assert page.url == clinic.url + "/upload"

    page.goto(clinic.url + "/account")
    settled(page, tmp_path, "4-account")
    assert "Неотложная помощь" in page.inner_text("main")
    (session,) = [c for c in context.cookies() if c["name"] == "gateway"]
    assert (session["httpOnly"], session["sameSite"]) == (True, "Strict")
    page.click("button")
    assert page.url == clinic.url + "/login"
    page.goto(clinic.url + "/account")
    assert page.url == clinic.url + "/login?back=/account"
    assert watch.errors == []
    context.close()
