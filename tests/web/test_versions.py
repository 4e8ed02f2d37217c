"""What the administrator sees of versions, and who else does not."""

from collections.abc import Iterator

import pytest
from werkzeug.test import TestResponse

from gateway.bootstrap import Gateway
from gateway.clock import utc_now
from gateway.model.access import Actor, Duty, Reach, Role
from gateway.model.sites import QuirkProfile
from gateway.model.versions import FLOORS, Component
from gateway.records.probes import order_probe, save_profile
from gateway.web import create_app
from gateway.web.console.versions import own_components
from tests.web.rows import ROWS
from tests.web.signing_in import login_gateway


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with login_gateway(tmp_path_factory.mktemp("versions"), ROWS) as (gateway, _):
        for site_id, version in (("gkb1", "1.10.1"), ("zlat", "1.12.11")):
            order_probe(gateway.records, site_id, utc_now())
            profile = QuirkProfile("Orthanc", version, "1.17", probed_at=utc_now())
            save_profile(gateway.records, site_id, profile)
        yield gateway


def asked(gateway: Gateway, role: Role) -> TestResponse:
    actor = Actor("someone", (Duty(role, Reach()),))
    return create_app(gateway, lambda: actor).test_client().get("/console/versions")


def test_an_orthanc_below_the_floor_is_named_with_its_holes_first(gateway: Gateway) -> None:
    page = asked(gateway, Role.REGIONAL_ADMIN).get_data(as_text=True)
    assert page.index("1.10.1") < page.index("Orthanc 1.12.11")
    assert page.count("▲ нужна 1.12.11") == 1
    assert "CVE-2026-5442" in page


def test_only_an_administrator_sees_it(gateway: Gateway) -> None:
    others = [role for role in Role if role not in (Role.REGIONAL_ADMIN, Role.OPERATOR)]
    assert {asked(gateway, role).status_code for role in others} == {403}


def test_no_package_of_this_installation_is_below_its_floor() -> None:
    assert [one for one in own_components() if one.is_below] == []
    assert {"gunicorn", "werkzeug", "Python", "OpenSSL"} <= {one.name for one in own_components()}


@pytest.mark.parametrize(
    ("version", "is_below"),
    [("3.0.5", True), ("3.0.6", False), ("3.1", False), ("3", True), ("", False), ("dev", False)],
)
def test_versions_are_compared_as_numbers(version: str, is_below: bool) -> None:
    assert FLOORS["werkzeug"].version == "3.0.6"
    assert Component("werkzeug", version).is_below is is_below
