"""Each access leaves its lines: who, what, which study, how it ended; and no name in plain text."""

import errno
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient
from structlog.testing import capture_logs
from werkzeug.test import TestResponse

from gateway.bootstrap import Gateway
from gateway.cli import main
from gateway.clock import utc_now
from gateway.model.access import Actor, Duty, Reach, Role
from gateway.model.audit import Entry
from gateway.records import journal as journals
from gateway.records.audit import audit_entry, load_entries
from gateway.records.clients import add_client
from gateway.web import create_app
from tests.web.rows import ROWS, U
from tests.web.signing_in import login_gateway
from tests.web.test_oauth import basic

CANARY = "ЗЗКАНАРЕЙКА"


class Watched:
    """A gateway whose audit can be read."""

    def __init__(self, gateway: Gateway, keyring) -> None:
        self.gateway, self.keyring = gateway, keyring
        self.app = create_app(gateway)
        self.client: FlaskClient = self.app.test_client()
        self.client_id, self.secret = add_client(gateway.records, "x", "gkb1", utc_now())
        form = {"grant_type": "client_credentials"}
        headers = basic(self.client_id, self.secret)
        told = self.client.post("/oauth/token", data=form, headers=headers).get_json()
        self.bearer = {"Authorization": f"Bearer {told['access_token']}"}

    def lines(self) -> list[Entry]:
        self.app.extensions["journal"].drain(self.gateway.records)
        hour = timedelta(hours=1)
        return load_entries(self.gateway.records, since=utc_now() - hour, until=utc_now() + hour)

    def of(self, path: str, **kwargs) -> list[Entry]:
        """The lines of one request."""
        before = len(self.lines())
        answer = self.client.get(path, headers=self.bearer, **kwargs)
        answer.get_data()
        answer.close()
        return self.lines()[before:]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with login_gateway(tmp_path_factory.mktemp("watched"), ROWS) as (gateway, keyring):
        yield Watched(gateway, keyring)


def facts(entries: list[Entry]) -> list[tuple[str, str, str, str, int]]:
    return [(e.action, e.outcome, e.reason, e.study_uid, e.status) for e in entries]


def test_a_search_leaves_its_begin_and_end_and_its_words_sealed(watched: Watched) -> None:
    with capture_logs() as logs:
        begin, end = watched.of(f"/dicom-web/studies?PatientName={CANARY}*")
    assert facts([begin]) == [("search", "began", "", "", 0)]
    # The hospital may have been found to be away, by a retrieval of another test.
    assert (end.action, end.outcome, end.status) in {
        ("search", "done", 200),
        ("search", "failed", 503),
    }
    assert begin.request == end.request
    assert {begin.actor, end.actor} == {watched.client_id}
    assert CANARY not in str(logs)
    assert CANARY not in begin.detail
    assert "PatientName=" in watched.keyring.unseal(begin.detail)
    folder = watched.gateway.settings.state_dir
    kept = b"".join(f.read_bytes() for f in folder.rglob("*") if f.is_file())
    assert CANARY.encode() not in kept


def test_a_retrieval_says_of_which_study_and_how_it_ended(watched: Watched) -> None:
    study = f"{U}.1"
    begin, end = watched.of(f"/dicom-web/studies/{study}")
    assert facts([begin]) == [("retrieve", "began", "", study, 0)]
    assert (end.outcome, end.study_uid, end.status >= 400) == ("failed", study, True)


def test_what_is_refused_leaves_its_line(watched: Watched) -> None:
    (line,) = watched.of("/sites/zlat/dicom-web/studies")
    assert (line.action, line.outcome, line.reason, line.site_id) == (
        "search", "refused", "outside", "zlat",
    )  # fmt: skip
    (line,) = watched.of("/sites/%01%02/dicom-web/studies")
    assert (line.outcome, line.site_id) == ("refused", "??")  # no XML takes those
    (line,) = watched.of("/status/sites")
    assert (line.outcome, line.reason) == ("refused", "role")
    before = len(watched.lines())
    watched.client.get("/dicom-web/studies", headers={"Authorization": "Bearer x.y.z"})
    watched.client.get("/dicom-web/studies")
    assert facts(watched.lines()[before:]) == [("search", "refused", "credentials", "", 0)]


def test_tokens_and_wrong_secrets_leave_lines(watched: Watched) -> None:
    before = len(watched.lines())
    form = {"grant_type": "client_credentials"}
    for secret in (watched.secret, "wrong"):
        watched.client.post("/oauth/token", data=form, headers=basic(watched.client_id, secret))
    assert [(e.action, e.outcome, e.actor) for e in watched.lines()[before:]] == [
        ("token", "done", watched.client_id),
        ("token", "refused", ""),
    ]


def test_open_doors_leave_none(watched: Watched) -> None:
    assert watched.of("/healthz") == []


def test_a_stream_that_is_left_is_cut_and_one_that_ends_is_done(watched: Watched) -> None:
    from flask import Response

    from gateway.model.access import Action
    from gateway.web.permissions import needs

    def blocks() -> Iterator[bytes]:
        yield b"a"
        yield b"b"

    app = create_app(watched.gateway)
    endpoint = next(r.endpoint for r in app.url_map.iter_rules() if r.rule.endswith("/metadata"))
    for name in [r.endpoint for r in app.url_map.iter_rules() if r.rule.endswith("/metadata")]:
        view = needs(Action.RETRIEVE)(lambda **_: Response(blocks()))
        app.view_functions[name] = view
    assert endpoint in app.view_functions
    outcomes = []
    for read in (1, 2, 3):
        answer = app.test_client().get(
            f"/dicom-web/studies/{U}.1/metadata", headers=watched.bearer, buffered=False
        )
        body = answer.iter_encoded()
        for _ in range(min(read, 2)):
            next(body)
        if read == 3:
            assert list(body) == []
        answer.close()
        app.extensions["journal"].drain(watched.gateway.records)
        outcomes.append(watched.lines()[-1].outcome)
    assert outcomes == ["cut", "cut", "done"]


def test_the_auditor_verifies_and_asks_by_command(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    watched.of(f"/dicom-web/studies/{U}.2")
    monkeypatch.setenv("GATEWAY_REGION", str(watched.gateway.settings.region))
    monkeypatch.setenv("GATEWAY_STATE_DIR", str(watched.gateway.settings.state_dir))
    told = CliRunner().invoke(main, ["audit", "verify"])
    assert (told.exit_code, "all as they were written" in told.output) == (0, True)
    asked = CliRunner().invoke(main, ["audit", "show", "--study", f"{U}.2"])
    assert asked.output.count(watched.client_id) == 2
    with watched.gateway.records.write() as connection:
        connection.execute(audit_entry.update().where(audit_entry.c.number == 2).values(actor="x"))
    told = CliRunner().invoke(main, ["audit", "verify"])
    assert (told.exit_code, "line 2" in told.output) == (1, True)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
@pytest.mark.parametrize("path", ["/dicom-web/studies", f"/dicom-web/studies/{U}.2/metadata"])
def test_without_its_line_nothing_is_given_out(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, number: int, path: str
) -> None:
    """F36, F37: the disk is full, or cannot be written."""

    def refuse(*_: object) -> int:
        raise OSError(number, "the disk")

    def ask() -> TestResponse:
        answer = watched.client.get(path, headers=watched.bearer)
        answer.close()
        return answer

    with monkeypatch.context() as patched:
        patched.setattr(journals.os, "write", refuse)
        refused = ask()
    assert (refused.status_code, "Retry-After" in refused.headers) == (503, True)
    assert refused.get_json()["title"] == "The audit cannot be written"
    assert "audit" not in ask().get_data(as_text=True)


def test_an_end_that_cannot_be_written_breaks_nothing(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F36: what was given out has its line already."""
    write, lines = os.write, iter([True])

    def refuse_the_second(file: int, line: bytes) -> int:
        if next(lines, False):
            return write(file, line)
        raise OSError(errno.ENOSPC, "the disk")

    monkeypatch.setattr(journals.os, "write", refuse_the_second)
    with capture_logs() as logs:
        answer = watched.client.get("/dicom-web/studies?limit=1", headers=watched.bearer)
        answer.close()
    assert answer.status_code in (200, 503)
    assert [log["event"] for log in logs].count("the end of an access is not written") == 1


@pytest.fixture
def console(watched: Watched) -> Watched:
    """An administrator of the region at the console."""
    actor = Actor("admin1", (Duty(Role.REGIONAL_ADMIN, Reach()),), kind="session")
    watched.app = create_app(watched.gateway, lambda: actor)
    watched.client = watched.app.test_client()
    return watched


def test_what_is_done_at_the_console_is_written_with_its_page(console: Watched) -> None:
    before = len(console.lines())
    form = {"subject": f"{U}.1", "reason": "улажено"}
    own = {"Origin": console.gateway.settings.base_url}
    console.client.post("/console/alarms/close", data=form, headers=own).close()
    console.client.post("/console/rules/gkb1/save", data={"text": "x"}, headers=own).close()
    lines = console.lines()[before:]
    assert [(one.action, one.target) for one in lines if one.outcome == "began"] == [
        ("resend", "/console/alarms/close"),
        ("write_rules", "/console/rules/gkb1/save"),
    ]
    assert {one.actor for one in lines} == {"admin1"}
    assert "улажено" not in str(lines)


def test_pages_that_show_themselves_again_leave_few_lines(console: Watched) -> None:
    before = len(console.lines())
    for path in ("/console/", "/console/deliveries", "/console/sites", "/console/rules"):
        console.client.get(path).close()
    assert console.lines()[before:] == []
    for _ in range(3):
        console.client.get(f"/console/studies/{U}.1").close()
    lines = console.lines()[before:]
    assert [(one.action, one.outcome, one.study_uid) for one in lines] == [
        ("read_deliveries", "began", f"{U}.1"),
        ("read_deliveries", "failed", f"{U}.1"),  # nothing of it has ever been delivered
    ]


def test_what_is_carried_away_as_a_file_leaves_its_lines_each_time(console: Watched) -> None:
    files = ("/rollout/register/export", "/rollout/report.csv", "/console/rules/gkb1/1.yaml")
    before = len(console.lines())
    for path in (*files, files[0]):
        console.client.get(path).close()
    began = [one for one in console.lines()[before:] if one.outcome == "began"]
    assert [one.target for one in began] == [*files, files[0]]


def test_what_no_uid_is_does_not_come_into_the_audit(console: Watched) -> None:
    console.client.get(f"/console/studies/{CANARY}").close()
    assert CANARY not in str(console.lines())
