"""What is done at the terminal leaves its lines in the audit, and the audit can be taken out."""

from pathlib import Path

import click
import orjson
import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.commands.recorded import UNWRITTEN, terminal_user
from gateway.records.audit import load_after
from gateway.records.engine import open_records
from gateway.records.keyring import load_keyring
from tests.commands.test_rules import REGION


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "region.toml").write_text(REGION, "utf-8")
    monkeypatch.setenv("GATEWAY_REGION", str(tmp_path / "region.toml"))
    monkeypatch.setenv("GATEWAY_STATE_DIR", str(tmp_path / "state"))

    def run(*words: str, given: str = "") -> Result:
        return CliRunner().invoke(main, words, input=given or None)

    return run


def lines(folder: Path):
    records = open_records(f"sqlite:///{folder / 'state' / 'gateway.db'}")
    found = [row.entry for row in load_after(records, 0, 100)]
    records.close()
    return found


def test_what_a_command_changes_is_written_down_with_who_sat_there(run, tmp_path: Path) -> None:
    run("init")
    run("users", "add", "petrov", "--role", "doctor@north")
    assert run("users", "lock", "nobody").exit_code == 1
    run("users", "list")
    found = lines(tmp_path)
    assert [(one.target, one.outcome) for one in found] == [
        ("init", "began"), ("init", "done"), ("users add", "began"), ("users add", "done"),
        ("users lock", "began"), ("users lock", "failed"),
    ]  # fmt: skip
    assert {one.actor for one in found} == {terminal_user()}
    keyring = load_keyring(tmp_path / "state" / "gateway.key")
    assert "login=petrov" in keyring.unseal(found[2].detail)
    assert "petrov" not in str(found)


def test_reading_the_audit_at_the_terminal_is_a_line(run, tmp_path: Path) -> None:
    run("init")
    assert run("audit", "show", "--study", "1.2.3").exit_code == 0
    begin, end = lines(tmp_path)[-2:]
    assert (begin.action, begin.target, begin.study_uid, end.outcome) == (
        "read_audit", "audit show", "1.2.3", "done",
    )  # fmt: skip
    told = run("audit", "show", "--actor", terminal_user())
    assert [orjson.loads(line)["target"] for line in told.stdout.splitlines()][-1] == "init"
    assert run("audit", "verify").exit_code == 0
    assert lines(tmp_path)[-1].action == "verify"


def test_the_audit_is_taken_out_in_each_form_and_never_over_another_file(run, tmp_path) -> None:
    run("init")
    for form, begins in (("csv", b'\xef\xbb\xbf"number"'), ("dicom", b"<?xml"), ("balp", b"{")):
        file = tmp_path / f"audit.{form}"
        assert run("audit", "export", "--format", form, "--output", str(file)).exit_code == 0
        assert file.read_bytes().startswith(begins)
        assert file.stat().st_mode & 0o077 == 0
        assert run("audit", "export", "--format", form, "--output", str(file)).exit_code == 1


def test_a_patients_number_is_typed_in_and_stands_nowhere(run, tmp_path: Path) -> None:
    run("init")
    assert run("audit", "show", "--patient", given="CANARY-77\n\n").exit_code == 0
    assert "CANARY-77" not in str(lines(tmp_path))


def test_a_seal_that_is_copied_elsewhere_is_judged_with_the_others(run, tmp_path: Path) -> None:
    run("init")
    copy = tmp_path / "copy.jsonl"
    copy.write_text("no seal\n{}\n")
    assert "is no seal" in run("audit", "verify", "--seals", str(copy)).output
    copy.write_text("")
    assert run("audit", "verify", "--seals", str(copy)).exit_code == 0


def test_only_what_is_named_goes_unwritten() -> None:
    def walk(group: click.Group, *above: str):
        for name, one in group.commands.items():
            if isinstance(one, click.Group):
                yield from walk(one, *above, name)
            else:
                yield " ".join((*above, name))

    assert set(walk(main)) >= UNWRITTEN
