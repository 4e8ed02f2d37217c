"""`gateway init`, `users` and `clients` as an administrator uses them."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.model.credentials import is_password
from gateway.records.accounts import load_proof
from gateway.records.clients import load_signing_keys, prove_client
from gateway.records.engine import open_records
from tests.commands.test_rules import REGION


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "region.toml").write_text(REGION, "utf-8")
    monkeypatch.setenv("GATEWAY_REGION", str(tmp_path / "region.toml"))
    monkeypatch.setenv("GATEWAY_STATE_DIR", str(tmp_path / "state"))

    def run(*words: str) -> Result:
        return CliRunner().invoke(main, words)

    return run


def told(answer: Result) -> str:
    assert answer.exit_code == 0, answer.output
    return answer.output


def password_in(answer: Result) -> str:
    return re.findall(r"one-time password: ([a-z0-9-]+)", told(answer))[0]


def test_init_makes_the_key_and_an_administrator_once(run, tmp_path: Path) -> None:
    password = password_in(run("init"))
    key = (tmp_path / "state" / "gateway.key").read_bytes()
    records = open_records(f"sqlite:///{tmp_path / 'state' / 'gateway.db'}")
    proof = load_proof(records, "admin")
    assert proof is not None
    assert proof.one_time_until is not None
    assert is_password(proof.password_hash, password)
    ((kid, _sealed, public),) = load_signing_keys(records)
    assert json.loads(public).keys() == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    assert "one-time password" not in told(run("init"))
    assert (tmp_path / "state" / "gateway.key").read_bytes() == key
    assert [one[0] for one in load_signing_keys(records)] == [kid]
    told(run("keys", "new"))
    assert [one[0] for one in load_signing_keys(records)][1:] == [kid]
    files = b"".join(file.read_bytes() for file in (tmp_path / "state").iterdir())
    assert password.encode() not in files
    records.close()


def test_an_account_from_its_making_to_its_lock(run) -> None:
    first = password_in(run("users", "add", "petrov", "--role", "doctor@north", "--name", "Петров"))
    told(run("users", "roles", "petrov", "--role", "hospital_it@north", "--role", "auditor"))
    second = password_in(run("users", "reset", "petrov"))
    assert first != second
    assert "закрыта" in told(run("users", "lock", "petrov"))
    assert json.loads(told(run("users", "list", "--json"))) == [
        {
            "login": "petrov", "name": "Петров", "roles": ["auditor", "hospital_it@north"],
            "locked": True, "one_time": True, "authenticator": False,
        }
    ]  # fmt: skip
    assert "▲ закрыта / locked" in told(run("users", "list"))
    told(run("users", "lock", "petrov", "--open"))
    assert "▲" not in told(run("users", "list"))


@pytest.mark.parametrize(
    ("role", "word"),
    [
        ("king", "no such role"),
        ("doctor", "doctor@SITE"),
        ("doctor@*", "doctor@SITE"),
        ("doctor@mars", "no such site"),
        ("auditor@north", "write auditor"),
        ("patient", "by hand"),
        ("operator", "by hand"),
        ("service@north", "a role is needed"),
    ],
)
def test_a_role_that_cannot_be_given_is_refused_in_words(run, role: str, word: str) -> None:
    answer = run("users", "add", "petrov", "--role", role)
    assert answer.exit_code == 1
    assert word in answer.output


def test_ministry_stands_alone_and_unknown_logins_are_told(run) -> None:
    both = run("users", "add", "p", "--role", "ministry", "--role", "doctor@north")
    assert "ministry stands alone" in both.output
    assert "no such account" in run("users", "reset", "nobody").output
    assert "no such account" in run("clients", "revoke", "nobody").output


def test_a_client_gets_its_secret_once_and_is_revoked(run, tmp_path: Path) -> None:
    answer = told(run("clients", "add", "Архив", "--site", "north"))
    given = dict(line.split("=", 1) for line in answer.splitlines())
    records = open_records(f"sqlite:///{tmp_path / 'state' / 'gateway.db'}")
    assert prove_client(records, given["client_id"], given["client_secret"]) is not None
    records.close()
    assert given["client_secret"] not in told(run("clients", "list"))
    told(run("clients", "revoke", given["client_id"]))
    assert json.loads(told(run("clients", "list", "--json"))) == [
        {
            "client_id": given["client_id"], "name": "Архив", "roles": ["service@north"],
            "redirects": [], "revoked": True,
        }
    ]  # fmt: skip


def test_a_viewer_gets_no_secret_and_is_registered_with_its_addresses(run) -> None:
    home = "https://viewer.example/callback"
    answer = told(run("clients", "add", "Станция", "--redirect", home))
    assert "secret" not in answer
    (listed,) = json.loads(told(run("clients", "list", "--json")))
    assert (listed["roles"], listed["redirects"]) == ([], [home])
    assert home in told(run("clients", "list"))


@pytest.mark.parametrize(
    "words",
    [
        ["--redirect", "http://viewer.example/"],
        ["--redirect", "https://viewer.example/", "--site", "north"],
        [],
    ],
    ids=["not over TLS", "both kinds", "no kind"],
)
def test_a_client_that_is_neither_kind_is_refused(run, words: list[str]) -> None:
    assert run("clients", "add", "Станция", *words).exit_code != 0
