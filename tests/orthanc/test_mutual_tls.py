"""A site behind a real nginx that asks everybody for a certificate: every way to it shows ours."""

import os
import ssl
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.clock import Deadline, utc_now
from gateway.demo.servers import free_port
from gateway.dicom.attributes import Level
from gateway.dicom.multipart import closing as closing_line
from gateway.dicom.multipart import part_head
from gateway.dicom.query import parse_query
from gateway.errors import SiteError, SiteUntrusted
from gateway.model.sites import Site
from gateway.orthanc import dicomweb, rest
from gateway.orthanc.holdings import list_copies
from gateway.orthanc.probe import probe_site
from gateway.orthanc.storing import send_store
from gateway.orthanc.trust import context_of
from gateway.orthanc.wire import Wire
from tests.authority import Authority
from tests.nginx import Nginx
from tests.orthanc.conftest import as_site
from tests.studies import an_instance

pytestmark = pytest.mark.real

DOOR = """
server {{
    listen 127.0.0.1:{port} ssl;
    listen 127.0.0.2:{port} ssl;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    ssl_client_certificate {authority};
    ssl_verify_client on;
    location / {{ proxy_pass http://127.0.0.1:{orthanc}; }}
}}
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "region")


@pytest.fixture(scope="module")
def site(
    start_orthanc: Any, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    server, port = start_orthanc("gkb1"), free_port()
    certificate, key = authority.issue("gkb1")
    door = DOOR.format(
        port=port, certificate=certificate, key=key, authority=authority.file,
        orthanc=server.http_port,
    )  # fmt: skip
    ours, our_key = authority.issue("gateway-at-gkb1")
    with Nginx(tmp_path_factory.mktemp("door"), port, door):
        yield replace(
            as_site(server), url=f"https://localhost:{port}", ca_file=str(authority.file),
            client_certificate_file=str(ours), client_key_file=str(our_key),
        )  # fmt: skip


def search(site: Site) -> int:
    query = parse_query(Level.STUDY, [], max_results=10)
    with closing(Wire()) as wire:
        return len(dicomweb.search(wire, site, query, Deadline(30)).rows)


def test_search_control_and_probe_come_through_with_our_certificate(site: Site) -> None:
    assert search(site) in (0, 1)  # after the store below
    assert rest.system(site)["Version"] == "1.10.1"
    assert probe_site(site, utc_now()).problem == ""


def test_a_store_comes_through_in_pieces(site: Site) -> None:
    instance = an_instance(810)
    head = part_head("b", [("Content-Type", "application/dicom")])
    with closing(Wire()) as wire:
        body = [[head, instance.data], [b"\r\n", closing_line("b")]]
        assert send_store(wire, site, "b", body, 30).status == 200
        stored = list_copies(wire, site, instance.study_uid, Deadline(30))
    assert stored.keys() == {instance.instance_uid}


def test_without_it_no_way_leads_in(site: Site) -> None:
    nameless = replace(site, client_certificate_file="", client_key_file="")
    for ask in (search, rest.system):
        with pytest.raises(SiteError):
            ask(nameless)
    assert probe_site(nameless, utc_now()).problem != ""


def test_a_certificate_of_another_authority_is_refused(
    site: Site, tmp_path_factory: pytest.TempPathFactory
) -> None:
    foreign, key = Authority(tmp_path_factory.mktemp("foreign"), "other").issue("gateway")
    with pytest.raises(SiteError):
        search(replace(site, client_certificate_file=str(foreign), client_key_file=str(key)))


def test_a_site_of_another_authority_or_name_is_not_trusted(
    site: Site, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = Authority(tmp_path_factory.mktemp("foreign"), "other")
    for strange in (
        replace(site, ca_file=str(other.file)),
        replace(site, ca_file=""),
        replace(site, url=site.url.replace("localhost", "127.0.0.2")),
    ):
        with pytest.raises(SiteUntrusted):
            search(strange)


def test_a_file_that_cannot_be_used_is_named(site: Site, tmp_path: Path) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    for files in ((str(broken), str(broken)), ("/nowhere/a.pem", "/nowhere/a.key")):
        with pytest.raises(SiteUntrusted, match="certificate cannot be used"):
            search(replace(site, client_certificate_file=files[0], client_key_file=files[1]))


def test_a_renewed_certificate_is_taken_without_a_restart(site: Site) -> None:
    before = context_of(site)
    assert context_of(site) is before
    os.utime(site.client_certificate_file, ns=(1, 1))
    assert context_of(site) is not before
    assert context_of(site).verify_mode is ssl.CERT_REQUIRED


def test_no_two_sites_share_a_context(site: Site) -> None:
    assert context_of(site) is not context_of(replace(site, site_id="zlat"))
