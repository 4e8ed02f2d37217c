"""`gateway deliveries`: what people see and what they may do."""

import json
from datetime import timedelta

import pytest
from click.testing import CliRunner

from gateway.cli import main
from gateway.model.deliveries import Event, State
from gateway.records.deliveries import Report
from gateway.records.delivery_desk import load_story
from gateway.records.dispatch import claim, save_report
from tests.arrived import NOW, plan, room, touch
from tests.databases import open_without_rows

REGION = """
[region]
name_ru = "Область"
name_en = "Region"
[[site]]
id = "gkb1"
name_ru = "ГКБ"
name_en = "Hospital"
url = "http://127.0.0.1:9"
[[site]]
id = "second"
name_ru = "Второй архив"
name_en = "Second archive"
url = "http://127.0.0.1:9"
role = "archive"
"""


@pytest.fixture
def records(tmp_path, monkeypatch):
    monkeypatch.setenv("GATEWAY_DATABASE_URL", f"sqlite:///{tmp_path / 'gateway.db'}")
    monkeypatch.setenv("GATEWAY_REGION", str(tmp_path / "region.toml"))
    (tmp_path / "region.toml").write_text(REGION, encoding="utf-8")
    records = open_without_rows(f"sqlite:///{tmp_path / 'gateway.db'}")
    yield records
    records.close()


def run(*words, fails=False):
    done = CliRunner().invoke(main, ["deliveries", *words], env={"USER": "ivanova"})
    assert (done.exit_code != 0) == fails, done.output
    return done.output


def a_parked_one(records, study_uid="1.2.1"):
    touch(records, study_uid, 2, NOW)
    plan(records, study_uid, NOW)
    for day in range(3):
        now = NOW + timedelta(days=day)
        (one,) = claim(records, room(), now, None)
        trouble = {f"{study_uid}.1.0": ("refused", "sop_class")}
        report = Report(Event.REFUSED, "sop_class", trouble)
        save_report(records, one.delivery_id, one.fence, report, now, "w", None)


def state(records, study_uid="1.2.1"):
    return load_story(records, study_uid).deliveries[-1].shown.state


def test_counts_list_and_story_are_told_in_both_languages(records):
    a_parked_one(records)
    counts = run()
    assert "отправляется по правилам / sent by rules" in counts
    assert "→ archive" in counts
    assert "отложена, ждёт человека / parked, waits for a person" in counts
    assert "1.2.1" in run("list", "--state", "parked", "--destination", "archive")
    assert "no such delivery" in run("list", "--lane", "bulk")
    story = run("show", "1.2.1")
    assert "приёмник не принимает этот вид снимков / it does not take this SOP class" in story
    assert "▲ 1.2.1.1.0 refused" in story
    assert [word for word in ("planned", "claimed", "refused → parked") if word not in story] == []


def test_machines_read_the_same(records):
    a_parked_one(records)
    assert json.loads(run("--json"))["deliveries"] == [
        {"destination": "archive", "state": "parked", "deliveries": 1}
    ]
    assert [one["state"] for one in json.loads(run("list", "--json"))] == ["parked"]
    assert json.loads(run("show", "1.2.1", "--json"))["arrivals"][0]["state"] == "planned"


def test_a_person_retries_and_excludes_with_name_and_reason(records):
    a_parked_one(records)
    assert "tried again: 1" in run("retry", "--state", "parked")
    assert state(records) is State.PLANNED
    assert "excluded: 1" in run("exclude", "--study", "1.2.1", "--reason", "дубль")
    assert state(records) is State.EXCLUDED
    last = load_story(records, "1.2.1").deliveries[0].history[-1]
    assert (last.by, last.reason) == ("ivanova", "дубль")


def test_a_person_sends_studies_to_another_destination_that_there_is(records):
    a_parked_one(records)
    assert "no such destination" in run("reroute", "--to", "gone", "--study", "1.2.1", fails=True)
    assert "name which" in run("reroute", "--to", "second", fails=True)
    assert "sent to second: 1" in run(
        "reroute", "--to", "second", "--destination", "archive", "--state", "parked"
    )
    assert "человек отправил к другому получателю: second" in run("show", "1.2.1")


def test_nobody_excludes_everything_by_leaving_the_options_out(records):
    a_parked_one(records)
    assert "name which" in run("exclude", "--reason", "x", fails=True)
    assert state(records) is State.PARKED


def test_a_study_that_nobody_saw_is_said_so(records):
    assert "never seen" in run("show", "1.2.9", fails=True)
