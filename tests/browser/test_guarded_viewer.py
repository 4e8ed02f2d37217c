"""Behind a sign-in: the gateway's own viewer by the session, another's by a token, and programs."""

import json
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyotp
import pytest
import requests
from dicomweb_client.api import DICOMwebClient
from playwright.sync_api import Browser, BrowserContext, Page, expect

from gateway.demo.servers import REPOSITORY, free_port
from gateway.web.viewer import MEDIA_TYPES, configuration
from tests.browser.conftest import Hospitals, save
from tests.browser.test_sign_in import PASSWORD, Clinic
from tests.browser.test_viewer import PATIENCE_MS, wait_for_pixels
from tests.running import region_toml, start_gateway

pytestmark = [pytest.mark.browser, pytest.mark.real]

SITE, OTHER_SITE = "gkb1", "zlat"
FETCH = """async ([study]) => {
  const kept = Object.entries(sessionStorage).find(([name]) => name.startsWith("oidc.user:"));
  const Authorization = `Bearer ${JSON.parse(kept[1]).access_token}`;
  const rows = await fetch(`${study}/metadata`, { headers: { Authorization } });
  const [row] = await rows.json();
  const [series, instance] = ["0020000E", "00080018"].map((tag) => row[tag].Value[0]);
  const place = `${study}/series/${series}/instances/${instance}/frames/1`;
  const Accept = 'multipart/related; type="application/octet-stream"; transfer-syntax=*';
  const frame = await fetch(place, { headers: { Authorization, Accept } });
  const nobody = await fetch(place, { headers: { Accept } });
  return [rows.status, frame.status, nobody.status, (await frame.arrayBuffer()).byteLength];
}"""
"""What the viewer's own scripts do, from another origin, with the token that OHIF was given."""


@dataclass
class Guarded:
    """A gateway with logins in front of the hospitals, and another's viewer at its own address."""

    clinic: Clinic
    hospitals: Hospitals
    viewer_url: str
    viewer_id: str

    def arrive(self, page: Page, login: str) -> None:
        """A doctor of one hospital, in front of the sign-in page, for the first time."""
        page.fill("#login", login)
        page.fill("#password", self.clinic.newcomer(login))
        page.click("button")
        page.fill("#password", PASSWORD)
        page.fill("#again", PASSWORD)
        page.click("button")
        secret = page.inner_text("code").replace(" ", "")
        page.fill("#code", pyotp.TOTP(secret).now())
        page.click("button")

    def program(self) -> tuple[str, str]:
        told = self.clinic.command("clients", "add", "МИС", "--site", SITE)
        client_id, secret = re.findall(r"=(\S+)", told)
        return client_id, secret


class OtherHost(BaseHTTPRequestHandler):
    """Serves the same OHIF, configured by somebody else to ask the gateway for a token."""

    config = ""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        file = REPOSITORY / ".viewer" / path.removeprefix("/viewer/")
        if path == "/viewer/app-config.js":
            body, kind = self.config.encode(), "text/javascript"
        elif path.startswith("/viewer/app/") and file.is_file():
            body, kind = file.read_bytes(), MEDIA_TYPES.get(file.suffix, "text/plain")
        else:
            body, kind = (REPOSITORY / ".viewer" / "index.html").read_bytes(), "text/html"
        with suppress(BrokenPipeError, ConnectionResetError):  # the browser has gone on
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def other_config(gateway_url: str, viewer_url: str, client_id: str) -> str:
    """As README says it for an OHIF of another host."""
    oidc = {
        "authority": gateway_url,
        "metadataUrl": f"{gateway_url}/.well-known/oauth-authorization-server",
        "client_id": client_id,
        "redirect_uri": f"{viewer_url}/viewer/callback",
        "response_type": "code",
        "scope": "images.read",
        "automaticSilentRenew": False,
    }
    config = configuration(f"{gateway_url}/dicom-web") | {"oidc": [oidc]}
    return f"window.config = {json.dumps(config)};\n"


@pytest.fixture(scope="module")
def guarded(hospitals: Hospitals, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder, port = tmp_path_factory.mktemp("guarded"), free_port()
    servers = {site: hospitals.servers[site] for site in (SITE, OTHER_SITE)}
    urls = {site: server.url for site, server in servers.items()}
    for site, server in servers.items():
        (folder / f"{site}.password").write_text(server.password)
    (folder / "region.toml").write_text(region_toml(urls, servers, SITE), encoding="utf-8")
    clinic = Clinic("", folder)
    clinic.command("init")
    handler = type("Other", (OtherHost,), {})
    other = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    viewer_url = f"http://127.0.0.1:{other.server_port}"
    told = clinic.command("clients", "add", "OHIF", "--redirect", f"{viewer_url}/viewer/callback")
    viewer_id = told.strip().partition("=")[2]
    threading.Thread(target=other.serve_forever, args=(0.05,), daemon=True).start()
    settings = {
        "GATEWAY_ACCESS": "login",
        "GATEWAY_CORS_ORIGINS": viewer_url,
        "GATEWAY_VIEWER_DIR": str(REPOSITORY / ".viewer"),
    }
    gateway = start_gateway(folder, urls, servers, home=SITE, settings=settings, port=port)
    clinic.url = gateway.url
    handler.config = other_config(gateway.url, viewer_url, viewer_id)
    yield Guarded(clinic, hospitals, viewer_url, viewer_id)
    gateway.program.stop()
    other.shutdown()
    other.server_close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    yield context
    context.close()


def test_the_viewer_works_through_the_session_and_ends_with_it(
    guarded: Guarded, context: BrowserContext, tmp_path: Path
) -> None:
    page, url = context.new_page(), guarded.clinic.url
    page.goto(f"{url}/viewer/")
    assert page.url == f"{url}/login?back=/viewer/"
    guarded.arrive(page, "smirnova")
    expect(page.get_by_text("Кузнецова").first).to_be_visible(timeout=PATIENCE_MS)
    study = guarded.hospitals.study("ct200", SITE)["study_uid"]
    page.goto(f"{url}/viewer/viewer?StudyInstanceUIDs={study}")
    assert wait_for_pixels(page) > 25
    save(page, tmp_path, "session")
    # Another hospital's images are none for this doctor.
    foreign = guarded.hospitals.study("same-id", OTHER_SITE)["study_uid"]
    ask = partial(page.evaluate, "async (u) => (await fetch(u)).status")
    assert ask(f"/dicom-web/studies/{study}/metadata") == 200
    assert ask(f"/dicom-web/studies/{foreign}/metadata") == 404
    # A picture's tag sends no header: the session's cookie comes with it.
    shown = "(u) => new Promise((d) => { const i = new Image(); i.onload = () => d(i.width); "
    shown += "i.onerror = () => d(0); i.src = u; })"
    assert page.evaluate(shown, f"/dicom-web/studies/{study}/thumbnail") > 0
    (kept,) = [c["value"] for c in context.cookies() if c["name"] == "gateway"]
    page.goto(f"{url}/account")
    page.click("form[action='/logout'] button")
    page.wait_for_url(f"{url}/login")
    metadata = f"{url}/dicom-web/studies/{study}/metadata"
    assert requests.get(metadata, cookies={"gateway": kept}, timeout=60).status_code == 401


def test_anothers_viewer_is_let_in_by_the_person_and_fetches_images_with_its_token(
    guarded: Guarded, context: BrowserContext, tmp_path: Path
) -> None:
    page = context.new_page()
    study = guarded.hospitals.study("ct200", SITE)["study_uid"]
    page.goto(f"{guarded.viewer_url}/viewer/")
    page.wait_for_url(re.compile(re.escape(guarded.clinic.url + "/login")), timeout=PATIENCE_MS)
    guarded.arrive(page, "volkova")
    expect(page.get_by_text("OHIF")).to_be_visible(timeout=PATIENCE_MS)
    save(page, tmp_path, "consent")
    page.click("button[value='yes']")
    expect(page.get_by_text("Кузнецова").first).to_be_visible(timeout=PATIENCE_MS)
    save(page, tmp_path, "other")
    assert page.get_by_text("Беляев").count() == 0  # of another hospital
    fetched = page.evaluate(FETCH, [f"{guarded.clinic.url}/dicom-web/studies/{study}"])
    assert fetched[:3] == [200, 200, 401]
    assert fetched[3] > 1000


def token_of(guarded: Guarded) -> str:
    client_id, secret = guarded.program()
    done = subprocess.run(
        ["curl", "-sS", "--fail-with-body", "-u", f"{client_id}:{secret}",
         "-d", "grant_type=client_credentials", f"{guarded.clinic.url}/oauth/token"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return str(json.loads(done.stdout)["access_token"])


def test_curl_takes_a_token_and_fetches_a_study(guarded: Guarded, tmp_path: Path) -> None:
    study = guarded.hospitals.study("ct200", SITE)["study_uid"]
    file = tmp_path / "study.zip"
    subprocess.run(
        ["curl", "-sS", "--fail-with-body", "-H", f"Authorization: Bearer {token_of(guarded)}",
         "-H", "Accept: application/zip", "-o", str(file),
         f"{guarded.clinic.url}/dicom-web/studies/{study}"],
        timeout=60, check=True,
    )  # fmt: skip
    assert file.read_bytes()[:2] == b"PK"


def test_dicomweb_client_works_with_a_token(guarded: Guarded) -> None:
    headers = {"Authorization": f"Bearer {token_of(guarded)}"}
    client = DICOMwebClient(url=f"{guarded.clinic.url}/dicom-web", headers=headers)
    study = guarded.hospitals.study("iso144")["study_uid"]
    mine = guarded.hospitals.study("ct200", SITE)["study_uid"]
    found = {row["0020000D"]["Value"][0] for row in client.search_for_studies(limit=100)}
    assert (mine in found, study in found) == (True, False)
    assert client.retrieve_study_metadata(mine)
    with pytest.raises(requests.HTTPError, match="404"):
        client.retrieve_study_metadata(guarded.hospitals.study("same-id", OTHER_SITE)["study_uid"])
    nobody = DICOMwebClient(url=f"{guarded.clinic.url}/dicom-web")
    with pytest.raises(requests.HTTPError, match="401"):
        nobody.search_for_studies()
