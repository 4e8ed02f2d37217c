"""Certificates, keys and versions: people are told 30, 7 and 1 days before the end."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.clock import utc_now
from gateway.errors import SiteUnreachable, SiteUntrusted
from gateway.model.sites import QuirkProfile, Region, Site
from gateway.orthanc.trust import certificate_ends_at
from gateway.records.alarms import load_alarms
from gateway.records.clients import save_signing_key
from gateway.routing.upkeep import check_upkeep
from gateway.settings import Settings
from tests.arrived import NOW
from tests.authority import Authority
from tests.fakes import a_site

SITE = a_site("gkb1", url="https://127.0.0.1:1")
REGION = Region("Область", "Region", "gkb1", (SITE, a_site("zlat")))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def look(records):
    """look(days) -> what is open so many days before the certificate of gkb1 ends."""

    def check(days, profiles=None, settings=None, now=NOW):
        def show(site):
            if days is None:
                raise SiteUnreachable(site.site_id)
            return now + timedelta(days=days) if site.site_id == "gkb1" else None

        check_upkeep(records, settings or Settings(), REGION, profiles or {}, now, None, show)
        return {(one.kind, one.subject) for one in load_alarms(records)}

    return check


@pytest.mark.parametrize(
    ("days", "told"),
    [(31, ""), (30, "30 d"), (8, "30 d"), (7, "7 d"), (1, "1 d"), (0, "0 d"), (-5, "0 d")],
)
def test_a_certificate_is_told_of_in_time(look, days, told):
    assert look(days) == ({("certificate_ends", f"gkb1 {told}")} if told else set())


def test_the_alarm_goes_when_the_certificate_is_replaced_not_when_the_site_is_silent(look):
    assert look(5) == {("certificate_ends", "gkb1 7 d")}
    assert look(None) == {("certificate_ends", "gkb1 7 d")}
    assert look(300) == set()


def test_own_certificate_those_for_sites_and_the_key_of_tokens_are_watched(
    records, authority, tmp_path: Path
):
    now = utc_now()
    own, key = authority.issue("own", days=20)
    ours, our_key = authority.issue("at-gkb1", days=0.5)
    site = replace(SITE, client_certificate_file=str(ours), client_key_file=str(our_key))
    settings = Settings(tls_certificate_file=str(own), tls_key_file=str(key))
    save_signing_key(records, "k", "sealed", "{}", now - timedelta(days=360))
    region = replace(REGION, sites=(site,))
    check_upkeep(records, settings, region, {}, now, None, lambda _: None)
    assert {one.subject for one in load_alarms(records)} == {
        "gateway 30 d", "client-gkb1 1 d", "signing-key 7 d",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("version", "told"),
    [("1.10.1", True), ("1.12.10", True), ("1.12.11", False), ("1.13", False), ("mainline", False)],
)
def test_a_site_with_a_known_hole_is_told_of(look, version, told):
    profile = QuirkProfile(software="Orthanc", version=version)
    assert look(None, {"gkb1": profile, "gone": profile}) == (
        {("version_has_hole", "gkb1")} if told else set()
    )


@pytest.fixture
def tls_site(authority) -> Iterator[tuple[Site, ssl.SSLContext]]:
    """A server that shakes hands and says nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with suppress(OSError), context.wrap_socket(sock, server_side=True):
                pass

    thread = threading.Thread(target=serve)
    thread.start()
    port = listener.getsockname()[1]
    yield replace(SITE, url=f"https://localhost:{port}", ca_file=str(authority.file)), context
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def test_the_end_is_read_off_the_handshake(authority, tls_site):
    site, context = tls_site
    context.load_cert_chain(*authority.issue("good", days=12))
    found = certificate_ends_at(site)
    assert found is not None
    assert timedelta(days=11.9) < found - utc_now() < timedelta(days=12)
    with pytest.raises(SiteUntrusted):
        certificate_ends_at(replace(site, ca_file=""))


def test_one_that_has_ended_has_ended_now(authority, tls_site):
    site, context = tls_site
    context.load_cert_chain(*authority.issue("ended", days=-1))
    found = certificate_ends_at(site)
    assert found is not None
    assert found <= utc_now()


OPEN, CLOSED = QuirkProfile(answers_anyone=True), QuirkProfile()


@pytest.mark.parametrize(
    ("url", "profile", "signed", "risks"),
    [
        ("https://pacs.example", CLOSED, (), []),
        ("https://pacs.example", OPEN, (), ["answers_anyone"]),
        ("http://pacs.example", OPEN, (), ["plain_http", "answers_anyone"]),
        ("http://pacs.example", OPEN, ("plain_http",), ["answers_anyone"]),
        ("http://pacs.example", OPEN, ("plain_http", "answers_anyone"), []),
        ("http://127.0.0.1:8042", OPEN, (), []),
        ("http://localhost:8042", OPEN, (), []),
        ("http://[::1]:8042", OPEN, (), []),
    ],
)
def test_an_unguarded_site_is_told_of_until_the_operator_signs(
    records, url: str, profile: QuirkProfile, signed: tuple[str, ...], risks: list[str]
) -> None:
    def facts() -> list[dict]:
        return [o.facts for o in load_alarms(records) if o.kind == "site_unguarded"]

    for site in (replace(SITE, url=url, signed=signed), replace(SITE, url="https://pacs.example")):
        region = replace(REGION, sites=(site,))
        known = {"gkb1": profile if site.url == url else CLOSED}
        check_upkeep(records, Settings(), region, known, NOW, None, lambda _: None)
        assert facts() == ([{"risks": risks}] if risks and site.url == url else [])
