"""Who answers, what the service can do, who may call it from a browser."""

import xml.etree.ElementTree as ET

import pytest
import requests

from tests.journeys.conftest import Region

pytestmark = pytest.mark.real


def test_health_asks_nobody_and_readiness_asks_everybody(region: Region) -> None:
    alive = requests.get(region.gateway.url + "/healthz", timeout=10)
    ready = requests.get(region.gateway.url + "/readyz", timeout=10)
    checks = ready.json()["checks"]
    redis = checks.pop("redis")  # none was started for these tests
    assert (alive.status_code, ready.status_code, ready.json()["status"]) == (200, 200, "degraded")
    assert checks == {"database": "ok"} | {f"site {name}": "ok" for name in region.servers}
    assert redis.startswith("Redis does not answer")


def test_the_status_of_each_site_tells_when_and_how_fast_it_answered(region: Region) -> None:
    found = requests.get(region.gateway.url + "/status/sites", timeout=10).json()["sites"]
    told = {
        site["id"]: (site["answers"], site["breaker"], site["last_answer_ms"] > 0) for site in found
    }
    assert told == dict.fromkeys(region.servers, (True, "closed", True))
    assert max(site["last_answer_s_ago"] for site in found) < 60


def test_capabilities_describe_every_resource(region: Region) -> None:
    answer = requests.options(region.gateway.dicomweb + "/", timeout=10)
    wadl = "{http://wadl.dev.java.net/2009/02}"
    paths = [r.get("path") for r in ET.fromstring(answer.content).iter(f"{wadl}resource")]
    assert answer.headers["Content-Type"] == "application/vnd.sun.wadl+xml"
    wanted = {
        "studies",
        "studies/{study}/series/{series}/instances/{instance}/frames/{frames}",
        "studies/{study}/metadata",
    }
    assert wanted - set(paths) == set()


@pytest.mark.parametrize("path", ["/dicom-web/studies", "/dicom-web/studies/1.2.3/metadata"])
def test_an_origin_that_is_not_listed_gets_no_permission(region: Region, path: str) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    answer = requests.options(region.gateway.url + path, headers=asked, timeout=10)
    granted = [name for name in answer.headers if name.lower().startswith("access-control")]
    assert (answer.status_code, granted, "Origin" in answer.headers["Vary"]) == (204, [], True)


def test_the_first_page_names_every_site_in_both_languages(region: Region) -> None:
    page = requests.get(region.gateway.url + "/", timeout=10)
    assert (page.status_code, page.text.count("● отвечает"), "cannot be reached" in page.text) == (
        200,
        4,
        False,
    )
    policy = page.headers["Content-Security-Policy"]
    assert ("unsafe" in policy, "<script" in page.text, "style=" in page.text) == (
        False,
        False,
        False,
    )
