"""Who comes through which door: every route, every role, an own and a foreign hospital."""

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask import Blueprint, Flask, g, jsonify
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from gateway.bootstrap import Gateway
from gateway.dicom.attributes import text
from gateway.model.access import MAY, NOBODY, Action, Actor, Duty, Purpose, Reach, Role
from gateway.nginx import DECISION_PATH
from gateway.web import create_app, front_proxy, permissions
from gateway.web.permissions import action_of, needs
from tests.web.indexed import stubborn_sites, uids
from tests.web.rows import ROWS, U
from tests.web.signing_in import login_gateway

OWN, FOREIGN = "gkb1", "zlat"
CHEST, SMITH, DOE, NOWHERE = f"{U}.1", f"{U}.2", f"{U}.3", f"{U}.99"
OF_ONE_STUDY = {Role.PATIENT, Role.EXPERT}
VERBS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE")


class Door:
    """A gateway at which each request comes from the actor that it names."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.actor = NOBODY
        self.app = create_app(gateway, lambda: self.actor)

    def ask(self, actor: Actor, path: str, method: str = "GET", **kwargs) -> TestResponse:
        self.actor = actor
        # Buffered: read to its end and closed, as a server does it.
        return self.app.test_client().open(path, method=method, buffered=True, **kwargs)

    def listed(self, actor: Actor, path: str) -> list[str]:
        answer = self.ask(actor, path)
        assert answer.status_code == 200
        return uids(answer)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    folder = tmp_path_factory.mktemp("permissions")
    with stubborn_sites(ROWS) as urls, login_gateway(folder, ROWS, live=urls) as (gateway, _):
        yield Door(gateway)


@pytest.fixture(scope="module")
def bare(door: Door) -> Door:
    """The same routes, but each view only tells which sites and studies it was let through to."""
    found = Door(door.gateway)

    def reached() -> object:
        scope = g.decision.scope
        return jsonify(
            sites=None if scope.sites is None else sorted(scope.sites),
            studies=None if scope.studies is None else sorted(scope.studies),
        )

    for endpoint, view in found.app.view_functions.items():
        if hasattr(view, "needs"):
            found.app.view_functions[endpoint] = needs(view.needs)(lambda **_: reached())
    return found


def acting(role: Role, sites: set[str] | None = None, studies: set[str] | None = None) -> Actor:
    reach = Reach(
        None if sites is None else frozenset(sites), None if studies is None else frozenset(studies)
    )
    return Actor("someone", (Duty(role, reach),), Purpose.TREATMENT)


def of_role(role: Role) -> Actor:
    """At the own hospital, or of the one study that is held there alone."""
    return acting(role, None, {SMITH}) if role in OF_ONE_STUDY else acting(role, {OWN})


def path_of(rule: Rule, site_id: str, study: str) -> str:
    values = {
        "site_id": site_id, "study": study, "series": f"{study}.1", "instance": f"{study}.1.1",
        "frames": "1", "bulk": "7FE00010", "number": "1", "kind": "unit",
    }  # fmt: skip
    path = re.sub(r"<(path|int|any\([^)]*\)):", "<", rule.rule)
    for name in rule.arguments:
        path = path.replace(f"<{name}>", values.get(name, "x"))
    return path


def outcome(bare: Door, role: Role, rule: Rule, method: str, site_id: str, study: str) -> str:
    answer = bare.ask(of_role(role), path_of(rule, site_id, study), method)
    if answer.status_code != 200 or method == "HEAD":
        return str(answer.status_code)
    told = answer.get_json()
    return f"200 sites={told['sites']} studies={told['studies']}"


def expected(action: Action, role: Role, rule: Rule, *, own: bool) -> str:
    """What the table and the duty say, put down here a second time and in other words."""
    if action is Action.OPEN:
        return "200 sites=[] studies=[]"
    if action not in MAY[role]:
        return "403"
    if role in OF_ONE_STUDY:
        seen = own or "study" not in rule.arguments
        return f"200 sites=None studies=['{SMITH}']" if seen else "404"
    if not own and "site_id" in rule.arguments:
        return "404"
    return f"200 sites=['{OWN}'] studies=None"


def test_every_role_comes_through_the_doors_that_the_table_names_and_no_other(bare: Door) -> None:
    wrong = []
    tried = 0
    for rule in bare.app.url_map.iter_rules():
        action = action_of(bare.app, rule)
        if rule.endpoint in permissions.OPEN_FILES or action is None:
            continue
        method = "POST" if "POST" in (rule.methods or ()) else "GET"
        for role in Role:
            if role is Role.OPERATOR:
                continue
            for own, site_id, study in ((True, OWN, SMITH), (False, FOREIGN, DOE)):
                found = outcome(bare, role, rule, method, site_id, study)
                tried += 1
                if found != expected(action, role, rule, own=own):
                    wrong.append((role, rule.rule, own, found))
    assert wrong == []
    assert tried > 500


def test_other_verbs_are_refused_whoever_asks(bare: Door) -> None:
    routes: dict[str, set[str]] = {}
    for rule in bare.app.url_map.iter_rules():
        routes.setdefault(path_of(rule, OWN, SMITH), set()).update(rule.methods or ())
    answers = {
        (path, verb): bare.ask(of_role(role), path, verb).status_code
        for path, methods in routes.items()
        for verb in VERBS
        for role in (Role.DOCTOR, Role.MINISTRY)
        if verb not in methods
    }
    assert set(answers.values()) == {405}


def test_nobody_comes_through_a_door_that_is_not_open(bare: Door) -> None:
    found = {
        (action_of(bare.app, rule) is Action.OPEN, bare.ask(NOBODY, path_of(rule, OWN, SMITH),
            "POST" if "POST" in (rule.methods or ()) else "GET").status_code)
        for rule in bare.app.url_map.iter_rules()
        if rule.endpoint not in permissions.OPEN_FILES
    }  # fmt: skip
    assert found == {(True, 200), (False, 401)}


def test_a_route_that_names_no_permission_stops_the_application() -> None:
    app, nameless = Flask("app"), Blueprint("nameless", "nameless")
    nameless.add_url_rule("/secrets", "secrets", lambda: "")
    app.register_blueprint(nameless)
    with pytest.raises(AssertionError, match="/secrets"):
        permissions.register(app, None)


def test_a_search_shows_the_own_hospital_and_counts_no_other(door: Door) -> None:
    doctor = acting(Role.DOCTOR, {OWN})
    answer = door.ask(doctor, "/dicom-web/studies")
    assert uids(answer) == ["2", "1"]
    assert answer.headers["X-Total-Count"] == "2"
    assert answer.headers["X-Gateway-Sites"].startswith("ok=1;failed=0")
    assert door.listed(doctor, f"/dicom-web/studies?StudyInstanceUID={DOE}") == []
    assert door.listed(doctor, "/dicom-web/series?PatientID=a1") == []


def test_a_link_shows_its_study_whatever_is_asked(door: Door) -> None:
    patient = acting(Role.PATIENT, None, {SMITH})
    for question in ("", f"?StudyInstanceUID={SMITH}", f"?StudyInstanceUID={SMITH},{DOE}"):
        answer = door.ask(patient, f"/dicom-web/studies{question}")
        assert (uids(answer), answer.headers["X-Total-Count"]) == (["2"], "1")
    assert door.listed(patient, "/dicom-web/studies?PatientName=DOE*") == []
    assert door.ask(patient, f"/dicom-web/studies?StudyInstanceUID={DOE}").status_code == 404
    instances = door.ask(patient, "/dicom-web/instances").get_json()
    assert [text(row, "SOPInstanceUID") for row in instances] == [f"{SMITH}.1.1"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/dicom-web/studies/{study}"),
        ("GET", "/dicom-web/studies/{study}/metadata"),
        ("GET", "/dicom-web/studies/{study}/rendered"),
        ("GET", "/sites/{site}/dicom-web/studies/{study}"),
        ("GET", "/sites/{site}/dicom-web/studies"),
        ("POST", "/sites/{site}/dicom-web/studies"),
        (
            "GET",
            "/wado?requestType=WADO&studyUID={study}&seriesUID={study}.1&objectUID={study}.1.1",
        ),
        ("GET", "/report/{study}"),
    ],
)
def test_what_lies_outside_is_answered_like_what_does_not_exist(
    door: Door, method: str, path: str
) -> None:
    doctor = acting(Role.DOCTOR, {OWN})
    outside = door.ask(doctor, path.format(site=FOREIGN, study=DOE), method)
    nowhere = door.ask(doctor, path.format(site="nowhere", study=NOWHERE), method)
    assert outside.status_code == nowhere.status_code == 404
    assert outside.data.replace(DOE.encode(), b"") == nowhere.data.replace(NOWHERE.encode(), b"")
    assert dict(outside.headers) == dict(nowhere.headers) | {
        name: outside.headers[name] for name in ("Content-Length", "X-Request-Id")
    }


@pytest.mark.parametrize(
    ("actor", "site", "study", "status"),
    [
        (acting(Role.DOCTOR, {OWN}), "", SMITH, 204),
        (acting(Role.DOCTOR, {OWN}), "", DOE, 403),
        (acting(Role.DOCTOR, {OWN}), f"/sites/{FOREIGN}", DOE, 403),
        (acting(Role.PATIENT, None, {SMITH}), "", SMITH, 204),
        (acting(Role.PATIENT, None, {SMITH}), "", CHEST, 403),
        (acting(Role.MINISTRY), "", SMITH, 403),
        (NOBODY, "", SMITH, 401),
    ],
    ids=[
        "an own study", "a foreign one", "a foreign hospital", "the linked study", "another study",
        "ministry", "nobody",
    ],
)  # fmt: skip
def test_nginx_fetches_nothing_that_the_caller_may_not(
    door: Door, monkeypatch: pytest.MonkeyPatch, actor: Actor, site: str, study: str, status: int
) -> None:
    settings = replace(door.gateway.settings, proxy_decision_s=5)
    monkeypatch.setattr(door.gateway, "settings", settings)
    monkeypatch.setattr(front_proxy, "_accept_of_stored", lambda *_: "*/*")
    path = f"{site}/dicom-web/studies/{study}/series/{study}.1/instances/{study}.1.1/frames/1"
    headers = {"X-Original-URI": path, "X-Original-Method": "GET"}
    asked = Door(door.gateway).ask(actor, DECISION_PATH, headers=headers)
    assert asked.status_code == status
