"""A patient opens a link on a phone and on a desk; its secret leaves the address bar at once."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from werkzeug.serving import make_server

from gateway.clock import utc_now
from gateway.demo.servers import free_port
from gateway.model.credentials import new_secret
from gateway.records.sharing import add_link
from gateway.web import create_app
from gateway.web.sharing import factor_of
from tests.browser.conftest import PHONE, save
from tests.web.rows import ROWS, U
from tests.web.signing_in import login_gateway

pytestmark = pytest.mark.browser
WIDE = (1440, 900)
OVERFLOW = "document.documentElement.scrollWidth - window.innerWidth"


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address that a doctor has sent."""
    with login_gateway(tmp_path_factory.mktemp("link"), ROWS) as (gateway, keyring):
        port, now, secret = free_port(), utc_now(), new_secret()
        factor = factor_of(keyring, secret, "19700101")
        until = now + timedelta(hours=1)
        add_link(gateway.records, f"{U}.1", secret, factor, "doctor", "выписка", now, until)
        server = make_server("127.0.0.1", port, create_app(gateway), threaded=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{port}/open#{secret}"
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("size", [PHONE, WIDE], ids=["phone", "desk"])
def test_a_patient_comes_from_the_link_to_the_study(
    browser: Browser, link: str, tmp_path: Path, size: tuple[int, int]
) -> None:
    context = browser.new_context(viewport={"width": size[0], "height": size[1]})
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    page.goto(link.partition("#")[0])
    assert page.locator("#no-secret").is_visible()
    page.goto(link)
    expect(page.locator("#no-secret")).to_be_hidden()
    assert page.url == link.partition("#")[0]
    save(page, tmp_path, "1-open")
    assert page.evaluate(OVERFLOW) <= 0
    page.fill("#birth", "02.01.1970")
    page.click("button")
    assert "5" in page.locator("[role=alert]").inner_text()
    page.fill("#birth", "01.01.1970")
    page.click("button")
    assert page.url.endswith("/open/study")
    assert page.locator(f"a[href$='{U}.1']").count() == 2
    assert page.evaluate(OVERFLOW) <= 0
    save(page, tmp_path, "2-study")
    context.close()
    assert errors == []
    secret = link.partition("#")[2]
    assert not any(secret in url for url in asked if "#" not in url)
