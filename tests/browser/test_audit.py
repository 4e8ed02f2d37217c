"""The auditor's page in a browser: asked, paged and exported, on a phone and on a desk."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from werkzeug.serving import make_server

from gateway.clock import utc_now
from gateway.demo.servers import free_port
from gateway.model.access import Role
from gateway.records.audit import append
from gateway.web import create_app
from tests.browser.conftest import PHONE, save
from tests.records.test_audit import entry
from tests.web.rows import ROWS, U
from tests.web.signing_in import add_person, login_gateway
from tests.web.test_audit_desk import person

pytestmark = pytest.mark.browser

FAULTS = Path(__file__).with_name("faults_of_page.js").read_text(encoding="utf-8")
DESK = (1440, 900)


@dataclass(frozen=True)
class Served:
    """A gateway with an auditor signed in."""

    url: str


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder, port = tmp_path_factory.mktemp("audit"), free_port()
    url = f"http://127.0.0.1:{port}"
    with login_gateway(folder, ROWS, public_url=url) as (gateway, keyring):
        doctor, _ = add_person(gateway, keyring, "ivanova", "doctor@gkb1")
        auditor, _ = add_person(gateway, keyring, "petrova", "auditor")
        now = utc_now()
        facts = [
            {"action": "sign_in", "outcome": "done", "study_uid": ""},
            {"action": "search", "study_uid": "", "detail": keyring.seal("PatientName=Иванов*")},
            {"action": "retrieve", "outcome": "done", "status": 200, "size_bytes": 525_000_000},
            {"action": "retrieve", "outcome": "cut", "status": 200, "size_bytes": 1_000_000},
            {"action": "store", "outcome": "done", "instances": 120, "target": "/dicom-web"},
            {"action": "retrieve", "outcome": "refused", "reason": "outside", "site_id": "zlat"},
        ]  # fmt: skip
        lines = [
            entry(
                n, at=now - timedelta(minutes=n), actor=doctor, request=f"r{n}",
                address="10.20.30.40", **{"site_id": "gkb1", "study_uid": f"{U}.1"} | facts[n % 6],
            )
            for n in range(130)
        ]  # fmt: skip
        append(gateway.records, lines)
        app = create_app(gateway, lambda: person(auditor, Role.AUDITOR))
        server = make_server("127.0.0.1", port, app, threaded=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield Served(url)
        server.shutdown()
        thread.join(60)
        server.server_close()


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_the_page_answers_and_has_no_fault(
    served: Served, browser: Browser, size: tuple[int, int], tmp_path: Path
) -> None:
    context = browser.new_context(viewport={"width": size[0], "height": size[1]})
    page = context.new_page()
    errors: list[str] = []
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    page.goto(served.url + "/audit")
    assert page.evaluate(FAULTS) == []
    save(page, tmp_path, "empty", whole=True)
    page.get_by_label("Кто: имя для входа или id").fill("ivanova")
    page.get_by_role("button", name="Показать").click()
    expect(page.locator("tbody tr[id^=line-]")).to_have_count(100)
    assert page.url == served.url + "/audit"  # nothing of the question is in the address
    assert page.evaluate(FAULTS) == []
    save(page, tmp_path, "asked", whole=True)
    page.get_by_role("button", name="Дальше").click()
    expect(page.locator("tbody tr[id^=line-]")).to_have_count(30)
    page.get_by_role("button", name="В начало").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    table = download.value.path().read_text(encoding="utf-8-sig")
    assert len(table.splitlines()) == 131
    page.get_by_label("UID исследования").fill(f"{U}.1")
    page.locator("#action").select_option("refused")
    page.get_by_role("button", name="Показать").click()
    expect(page.locator("tbody tr[id^=line-]")).to_have_count(21)
    context.close()
    assert errors == []
