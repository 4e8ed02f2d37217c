"""The open data: figures of the same snapshots as the pages, and nothing of any patient."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta

import pytest
import schemathesis
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from gateway.bootstrap import Gateway
from gateway.clock import utc_now
from gateway.errors import SettingsError
from gateway.model.access import LOCAL_OPERATOR, NOBODY, Actor, Duty, Reach, Role
from gateway.model.rollout.figures import SnapshotKind
from gateway.model.rollout.measures import Savings
from gateway.records.register import Change, add_revisions
from gateway.records.snapshots import Order
from gateway.rollout.report import correct, take
from gateway.settings import load_settings
from gateway.web import create_app
from gateway.web.metrics import Rows
from tests.fuzz.test_openapi import CHECKS
from tests.model.rollout.small_register import facility, unit
from tests.sightings import Region as Sites
from tests.sightings import a_study
from tests.web.rows import ROWS, U
from tests.web.signing_in import login_gateway

API = "/api/v1/rollout"
MONTH, DAY = date(2026, 2, 28), date(2026, 3, 11)
SEEN_AT = utc_now().replace(year=2026, month=3, day=10, hour=20)
CANARY = "КАНАРЕЙКА"
"""What images say of the machine that made them."""
SECRETS = (U, "1.2.99", "Иванов", "Пётр", "SMITH", "DOE^", "Врачёв", "КТ ОГК")
"""UIDs, patients and doctors of the index, and descriptions of studies."""
BY_ROLE = {role: Actor(role, (Duty(role, Reach()),)) for role in Role}


def fill(gateway: Gateway) -> None:
    """Two facilities, and images of which every text that a sender may write is a canary."""
    now = utc_now()
    january = date(2026, 1, 5)
    add_revisions(
        gateway.records,
        facilities=[
            Change(facility("h1", site_id="gkb1", joined_on=january), january),
            Change(facility("h2", municipality="Район", planned_on=date(2026, 2, 1)), january),
        ],
        units=[
            Change(replace(unit("u1", "h1", serial="0042"), manufacturer="M", model="X"), january),
            Change(unit("u2", "h1", "analogue"), january),
            Change(unit("v1", "h2", "digital"), january),
        ],
        author="test", reason="", now=now - timedelta(hours=1),
    )  # fmt: skip
    told = {
        "Manufacturer": "M", "ManufacturerModelName": "X", "DeviceSerialNumber": "0042",
        "StationName": CANARY, "InstitutionName": CANARY,
    }  # fmt: skip
    other = {"StationName": CANARY + "2", "InstitutionName": CANARY, "DeviceSerialNumber": CANARY}
    sites = Sites(gateway.records)
    sites.show(*(a_study(n, told) for n in range(40)), now=SEEN_AT)
    sites.show(a_study(99, other), now=SEEN_AT)
    orders = [Order(MONTH, SnapshotKind.MONTH), Order(DAY, SnapshotKind.NIGHTLY)]
    take(gateway.records, orders, Savings(), now)
    correct(gateway.records, MONTH, "a unit was counted twice", Savings(), now)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with login_gateway(tmp_path_factory.mktemp("rollout"), ROWS) as (gateway, _):
        fill(gateway)
        yield gateway


@pytest.fixture(scope="module")
def client(gateway: Gateway) -> FlaskClient:
    """Each request as somebody else's: how much one may ask in a minute is tried elsewhere."""
    numbers = itertools.count()
    return create_app(
        gateway, lambda: replace(LOCAL_OPERATOR, subject=f"person{next(numbers)}")
    ).test_client()


def ask(client: FlaskClient, path: str, **more):
    answer = client.get(API + path, **more)
    assert answer.status_code == 200, answer.text
    return answer.get_json()


def test_each_share_has_its_part_its_whole_and_its_percent(client) -> None:
    told = ask(client, "/region")
    assert told["snapshot"]["day"] == "2026-03-11"
    assert (told["snapshot"]["kind"], told["snapshot"]["version"]) == ("nightly", 1)
    figures = told["figures"]
    assert figures["digital"] == {"part": 2, "whole": 3, "percent": 67}
    assert figures["connected"] == {"part": 1, "whole": 3, "percent": 33}
    assert figures["by_evidence"] == {
        "proven": 1, "silent": 0, "never": 1, "undeclared": 0, "analogue": 1,
    }  # fmt: skip
    assert figures["facilities"] == {"joined": 1, "planned": 0, "late": 1}
    assert figures["studies_30_days"] == {
        "about": 40, "text": "40", "facilities_with_fewer": 0,
    }  # fmt: skip
    assert told["by_modality"]["DX"]["about"] == 40


def test_a_facility_without_units_has_no_percent_and_one_that_is_not_there_is_not_found(client):
    found = {one["facility_id"]: one for one in ask(client, "/facilities")["facilities"]}
    assert sorted(found) == ["h1", "h2"]
    one = ask(client, "/facilities/h1")
    assert one["figures"] == found["h1"]["figures"]
    assert one["name"] == {"ru": "h1", "en": "h1"}
    arrived = "2026-03-11"
    assert one["units"] == [
        {"unit_id": "u1", "evidence": "proven", "first_on": arrived, "last_on": arrived},
        {"unit_id": "u2", "evidence": "analogue", "first_on": None, "last_on": None},
    ]
    assert client.get(f"{API}/facilities/nobody").status_code == 404
    assert client.get(f"{API}/facilities/nobody/curve").status_code == 404
    kinds = {one["name"]: one["figures"] for one in ask(client, "/unit-kinds")["unit_kinds"]}
    assert kinds["mammography"]["digital"] == {"part": 0, "whole": 0, "percent": None}
    assert kinds["radiography"]["studies_30_days"] is None  # nothing smaller than a facility


def test_municipalities_and_kinds_of_facilities_add_up_to_the_region(client) -> None:
    region = ask(client, "/region")["figures"]["digital"]
    for path, name in (
        ("/municipalities", "municipalities"),
        ("/facility-kinds", "facility_kinds"),
    ):
        parts = [one["figures"]["digital"] for one in ask(client, path)[name]]
        assert sum(one["part"] for one in parts) == region["part"]
        assert sum(one["whole"] for one in parts) == region["whole"]


def test_a_corrected_month_and_what_was_told_before_can_both_be_asked_for(client) -> None:
    versions = ask(client, "/months/2026-02/versions")["versions"]
    assert [(one["version"], one["reason"]) for one in versions] == [
        (1, ""), (2, "a unit was counted twice"),
    ]  # fmt: skip
    assert ask(client, "/region?month=2026-02")["snapshot"]["version"] == 2
    assert ask(client, "/region?month=2026-02&version=1")["snapshot"]["version"] == 1
    assert ask(client, "/region?day=2026-03-10")["snapshot"]["day"] == "2026-02-28"
    listed = [(one["day"], one["version"]) for one in ask(client, "/snapshots")["snapshots"]]
    assert listed == [("2026-02-28", 1), ("2026-02-28", 2), ("2026-03-11", 1)]


def test_curves_forecast_and_discrepancies(client) -> None:
    days = [one["day"] for one in ask(client, "/curve")["points"]]
    assert days == ["2026-02-28", "2026-03-11"]
    assert [one["day"] for one in ask(client, "/curve?since=2026-03-01")["points"]] == days[1:]
    curve = ask(client, "/facilities/h1/curve")["points"]
    assert curve[-1]["digital"] == {"part": 1, "whole": 2, "percent": 50}
    forecast = ask(client, "/forecast")
    assert forecast["holding_back"] == [{"facility_id": "h1", "units": 1}]
    amiss = ask(client, "/discrepancies")
    assert amiss["region"] == {"silent": 0, "never": 1, "undeclared": 0, "unknown_senders": 1}
    assert amiss["facilities"] == [{"facility_id": "h2", "silent": 0, "never": 1, "undeclared": 0}]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/region?day=yesterday", 400), ("/region?day=2026-02-30", 400),
        ("/region?month=2026", 400), ("/region?month=2026-02&version=x", 400),
        ("/region?month=2026-02&version=٢", 400), ("/region?version=1", 400),
        ("/region?month=2026-02&day=2026-02-01", 400), ("/curve?since=1", 400),
        ("/region?month=9999-12", 404), ("/region?day=0001-01-01", 404),
        ("/region?month=2026-02&version=3", 404), ("/months/2026-01/versions", 404),
        ("/months/x/versions", 400), ("/nothing", 404),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_refused(client, path: str, status: int) -> None:
    assert client.get(API + path).status_code == status


def test_an_answer_is_not_fetched_twice(client) -> None:
    for path in ("/region", "/facilities", "/curve", "/snapshots"):
        first = client.get(API + path)
        again = client.get(API + path, headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")
    month, night = client.get(f"{API}/region?month=2026-02"), client.get(f"{API}/region")
    assert month.headers["ETag"] != night.headers["ETag"]


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.OPERATOR])
def test_who_may_read_figures_may_read_them_and_nobody_else(gateway, role: Role) -> None:
    client = create_app(gateway, lambda: BY_ROLE[role]).test_client()
    may = role in (Role.MINISTRY, Role.REGIONAL_ADMIN)
    assert client.get(f"{API}/region").status_code == (200 if may else 403)


def test_everybody_may_only_where_the_region_opens_its_data(tmp_path, gateway) -> None:
    assert create_app(gateway, lambda: NOBODY).test_client().get(f"{API}/region").status_code == 401
    with login_gateway(tmp_path, ROWS, rollout_open_data="on") as (opened, _):
        client = create_app(opened).test_client()
        assert client.get(f"{API}/region").status_code == 404  # there is no snapshot
        assert client.get("/audit").status_code != 200
    with pytest.raises(SettingsError, match="GATEWAY_ROLLOUT_OPEN_DATA"):
        load_settings({"GATEWAY_ROLLOUT_OPEN_DATA": "yes"})


def test_no_answer_has_a_patient_a_study_or_a_uid(gateway, client) -> None:
    """Every GET route below /rollout and /api/v1/rollout, as a person of the ministry reads it."""
    client = create_app(gateway, lambda: BY_ROLE[Role.MINISTRY]).test_client()
    values = {"month": "2026-02", "unit_id": "u1", "kind": "unit"}
    asked = 0
    for rule in client.application.url_map.iter_rules():
        if not rule.rule.startswith(("/rollout", API)) or "GET" not in (rule.methods or ()):
            continue
        named = {name: values.get(name, "h1") for name in rule.arguments}
        with client.application.test_request_context():
            path = client.application.url_for(rule.endpoint, **named)
        answer = client.get(path)
        asked += answer.status_code == 200
        told = answer.data.decode("utf-8", "replace")
        # Who corrects the register must see what unknown senders say of themselves; nobody else.
        secrets = [*SECRETS, *([CANARY] if path.startswith(API) else [])]
        assert [secret for secret in secrets if secret in told] == [], path
    assert asked >= 12


@pytest.fixture(scope="module")
def operations(client: FlaskClient) -> st.SearchStrategy[schemathesis.Case]:
    schema = schemathesis.openapi.from_wsgi("/openapi.json", client.application)
    wanted = schema.include(path_regex=f"^{API}")
    return st.one_of(*[found.ok().as_strategy() for found in wanted.get_all_operations()])


@given(data=st.data())
def test_the_doors_answer_as_the_document_says(operations, data) -> None:
    case = data.draw(operations)
    case.validate_response(case.call(headers={"Accept-Encoding": "identity"}), checks=CHECKS)


def test_every_example_of_the_document_keeps_to_its_schema(client) -> None:
    document = client.get("/openapi.json").get_json()
    paths = {path: found["get"] for path, found in document["paths"].items() if API in path}
    assert len(paths) == 12
    validate = pytest.importorskip("jsonschema").validate
    for told in paths.values():
        content = told["responses"]["200"]["content"]["application/json"]
        validate(content["example"], content["schema"])
        assert "·" in told["summary"]


def test_prometheus_reads_the_same_figures(gateway, client) -> None:
    registry = CollectorRegistry()
    registry.register(Rows(gateway))
    told = generate_latest(registry).decode()
    lines = dict(line.rsplit(" ", 1) for line in told.splitlines() if "gateway_rollout" in line)
    for name, part in (("digital_units", "part"), ("units", "whole")):
        found = [
            float(v) for key, v in lines.items() if key.startswith(f"gateway_rollout_{name}{{")
        ]
        assert sum(found) == ask(client, "/region")["figures"]["digital"][part]
    assert lines['gateway_rollout_evidence_units{evidence="proven"}'] == "1.0"
    assert lines['gateway_rollout_connected_units{municipality="Район"}'] == "0.0"
    assert lines["gateway_rollout_unknown_senders"] == "1.0"
    assert CANARY not in told
