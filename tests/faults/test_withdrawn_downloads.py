"""A download that runs ends when the right to it is withdrawn, and looks broken (trust.md H58)."""

import os
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests

from gateway.clock import utc_now
from gateway.demo.servers import Program, answers, free_port
from gateway.model.access import Purpose
from gateway.records.engine import open_records
from gateway.records.keyring import load_keyring
from gateway.records.sessions import start_session
from gateway.records.sharing import add_grant, revoke
from tests.faults.callers import open_request
from tests.forked import run_gateway
from tests.running import RunningGateway, region_toml, start_gateway
from tests.waiting import wait_until
from tests.web.signing_in import add_person

pytestmark = pytest.mark.real

SITE, OTHER, HUGE = "gkb1", "gkb2", "1.2.100000.1024"  # as many megabytes


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    folder, port = tmp_path_factory.mktemp("withdrawn"), free_port()
    site = Program(
        "endless",
        [sys.executable, "-m", "tests.faults.endless_site", str(port)],
        folder / "site.log",
        ready=lambda: answers(port, "/dicom-web/studies"),
    ).start()
    sites = {OTHER: "http://127.0.0.1:9", SITE: f"http://127.0.0.1:{port}"}
    servers = dict.fromkeys(sites, SimpleNamespace(username="u", password="p"))
    more = 'kind = "dicomweb"\n'
    for site_id in sites:
        (folder / f"{site_id}.password").write_text("p")
    (folder / "region.toml").write_text(region_toml(sites, servers, SITE) + more)
    command(folder, "init")
    settings = {"GATEWAY_ACCESS": "login"}
    found = start_gateway(folder, sites, servers, home=SITE, settings=settings, more=more)
    yield found
    found.program.stop()
    site.stop()


def command(folder: Path, *words: str) -> str:
    environ = os.environ | {"GATEWAY_STATE_DIR": str(folder / "state")}
    done = run_gateway(words, folder, environ, 60)
    done.check_returncode()
    return done.stdout


def download(gateway: RunningGateway) -> tuple[str, socket.socket]:
    """(client id, connection) of a program that takes its time over a huge study."""
    told = command(gateway.folder, "clients", "add", "Архив", "--site", SITE)
    client_id, secret = re.findall(r"=(\S+)", told)
    form = {"grant_type": "client_credentials"}
    url = f"{gateway.url}/oauth/token"
    token = requests.post(url, data=form, auth=(client_id, secret), timeout=60).json()
    header = f"Authorization: Bearer {token['access_token']}"
    port = int(gateway.url.rpartition(":")[2])
    sock = open_request(port, f"/dicom-web/studies/{HUGE}", header)
    assert sock.recv(1024).startswith(b"HTTP/1.1 200")
    return client_id, sock


def is_reset(sock: socket.socket) -> bool:
    """Take a little of it."""
    try:
        assert sock.recv(16 * 1024), "the answer was ended politely"
    except ConnectionResetError:
        return True
    return False


def test_a_revoked_program_loses_its_download_and_another_keeps_its_own(
    gateway: RunningGateway,
) -> None:
    client_id, sock = download(gateway)
    _, other = download(gateway)
    with sock, other:
        command(gateway.folder, "clients", "revoke", client_id)
        wait_until(lambda: is_reset(sock), 60, "the end of the download")
        assert other.recv(1024)
        assert not is_reset(other)


def test_a_colleague_loses_the_download_with_the_grant_whatever_the_own_post_allows(
    gateway: RunningGateway,
) -> None:
    state, now = gateway.folder / "state", utc_now()
    keyring = load_keyring(state / "gateway.key")
    with closing(open_records(f"sqlite:///{state / 'gateway.db'}")) as records:
        account_id, _ = add_person(records, keyring, "colleague", f"doctor@{OTHER}")
        cookie = start_session(records, account_id, "::1", Purpose.TREATMENT, now)
        soon = now + timedelta(hours=1)
        share_id = add_grant(records, HUGE, account_id, "x", "x", now, soon, downloads=True)
        port = int(gateway.url.rpartition(":")[2])
        header = f"Cookie: gateway={cookie}"
        with open_request(port, f"/dicom-web/studies/{HUGE}", header) as sock:
            assert sock.recv(1024).startswith(b"HTTP/1.1 200")
            assert revoke(records, HUGE, share_id, utc_now())
            wait_until(lambda: is_reset(sock), 60, "the end of the download")
