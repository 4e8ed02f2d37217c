"""The list of what a site may be asked, and the addresses that its name may lead to."""

from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from gateway.clock import utc_now
from gateway.errors import SiteUntrusted
from gateway.orthanc import rest
from gateway.orthanc.probe import probe_site
from gateway.orthanc.trust import check_question
from tests.fakes import a_site
from tests.orthanc.conftest import make_site

PLAIN = a_site("gkb1")
OTHER = replace(PLAIN, kind="dicomweb")


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/dicom-web/studies?limit=1"),
        ("POST", "/dicom-web/studies"),
        ("GET", "/changes?since=1&limit=2"),
        ("POST", "/tools/find"),
        ("GET", "/instances/0a/file"),
        ("POST", "/modalities/archive/store"),
    ],
)
def test_what_the_gateway_needs_is_on_the_list(method: str, target: str) -> None:
    check_question(PLAIN, method, target)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("DELETE", "/studies/0a"),
        ("PUT", "/modalities/archive"),
        ("POST", "/tools/execute-script"),
        ("POST", "/tools/reset"),
        ("GET", "/tools/log-level"),
        ("GET", "/modalities"),
        ("POST", "/studies/0a/anonymize"),
        ("GET", "/dicom-web/../tools/log-level"),
        ("GET", "/dicom-web/studies/%2E%2E/x"),
        ("GET", "/dicom-web//studies"),
        ("GET", "/dicom-web/servers"),
        ("GET", "http://elsewhere/studies"),
        ("GET", ""),
    ],
)
def test_all_else_is_asked_of_no_site(method: str, target: str) -> None:
    for site in (PLAIN, OTHER):
        with pytest.raises(ValueError, match=r"list of what|lead elsewhere"):
            check_question(site, method, target)


def test_what_only_orthanc_has_is_asked_of_orthanc_alone() -> None:
    with pytest.raises(ValueError, match="list of what"):
        check_question(OTHER, "GET", "/changes")


@pytest.mark.parametrize(
    ("url", "networks", "address", "may"),
    [
        ("https://pacs.example", (), "10.20.0.7", True),
        ("https://pacs.example", (), "127.0.0.1", True),
        ("https://pacs.example", (), "169.254.169.254", False),
        ("https://pacs.example", (), "::ffff:169.254.169.254", False),
        ("https://pacs.example", (), "fe80::1%eth0", False),
        ("https://pacs.example", (), "0.0.0.0", False),  # noqa: S104
        ("https://pacs.example", ("10.20.0.0/16",), "10.20.0.7", True),
        ("https://pacs.example", ("10.20.0.0/16",), "10.21.0.7", False),
        ("https://pacs.example", ("10.20.0.0/16",), "127.0.0.1", False),
        ("http://127.0.0.1:8042", (), "127.0.0.1", True),
    ],
)
def test_a_name_leads_only_to_where_it_may(
    url: str, networks: tuple[str, ...], address: str, may: bool
) -> None:
    site = a_site("gkb1", url=url, addresses=tuple(map(ip_network, networks)))
    assert site.may_be_at(address) is may


def test_control_and_probe_judge_the_address_before_anything_is_sent(site_of_bytes: Any) -> None:
    heard: list[bytes] = []
    url = site_of_bytes(lambda sock: heard.append(b"asked"))
    site = make_site(url, addresses=(ip_network("10.0.0.0/8"),), kind="dicomweb")
    with pytest.raises(SiteUntrusted, match="its name leads"):
        rest.system(replace(site, kind="orthanc"))
    assert "its name leads" in probe_site(site, utc_now()).problem
    assert heard == []
