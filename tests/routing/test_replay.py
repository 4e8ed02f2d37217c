"""Replay over the index: counts, samples, what it does not know; SQLite and PostgreSQL."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson
import pytest
import sqlalchemy as sa

from gateway.model.routing.document import parse_rule_set
from gateway.model.routing.rule_sets import RuleSet
from gateway.records import held
from gateway.records.engine import Records
from gateway.records.studies import series, study
from gateway.routing.replay import (
    NOWHERE,
    SAMPLE,
    Replayed,
    Sampled,
    Trial,
    fields_beyond_index,
    replay,
)
from tests.fakes import a_row, a_site

DAY = date(2026, 11, 20)
DAYS = [DAY - timedelta(days=n) for n in range(3)]
SITE = a_site("gkb1")


def rules(*texts: str, owner: str = "gkb1") -> list[RuleSet]:
    """`texts` are the rules; what no rule takes is held."""
    body = "".join(f"\n  - {text}" for text in texts) or " []"
    last = "" if owner == "ministry" else "\notherwise: [{do: hold, reason: last}]"
    found, mistakes = parse_rule_set(f"site: {owner}\nrules:{body}{last}\n")
    assert mistakes == ()
    assert found is not None
    return [found]


def send(name: str, condition: str, target: str, state: str = "active", **more: str) -> str:
    rest = "".join(f", {key}: {value}" for key, value in more.items())
    return (
        f"{{id: {name}, name: {name}, state: {state}, when: {condition}, "
        f"then: [{{do: send, target: {target}}}]{rest}}}"
    )


CT = send("ct", "{all: [{field: Modality, op: equals, value: CT}]}", "archive")
ALL = send("all", "always", "archive")


def fill(records: Records, number: int, **changed: Any) -> None:
    """Study `number`: a CT of 2 GB at gkb1, on DAY."""
    values: dict[str, Any] = {
        "site_id": "gkb1", "study_uid": f"1.2.{number}", "day": DAY, "modality": "CT",
        "size_bytes": 2 * 10**9, "description": "Голова",
    }  # fmt: skip
    values |= changed
    moment = datetime(values["day"].year, values["day"].month, values["day"].day, 9, tzinfo=UTC)
    row = a_row(
        StudyInstanceUID=values["study_uid"], StudyDate=f"{values['day']:%Y%m%d}",
        PatientBirthDate="19700101", ModalitiesInStudy=values["modality"],
    )  # fmt: skip
    columns = {
        "site_id": values["site_id"], "study_uid": values["study_uid"], "orthanc_id": "",
        "study_date": f"{values['day']:%Y%m%d}", "study_time": f"{number % 3:06d}.000000",
        "accession_number": "", "patient_id": "", "name_key": "", "name_latin": "",
        "modalities": f"|{values['modality']}|", "odd": False, "series_count": 1,
        "instance_count": 2, "size_bytes": values["size_bytes"], "record": orjson.dumps(row),
        "changed_at": moment, "mark": "", "first_seen_at": moment, "indexed_at": moment,
    }  # fmt: skip
    part = a_row(
        SeriesInstanceUID=f"{values['study_uid']}.1", Modality=values["modality"],
        SeriesDescription=values["description"],
    )  # fmt: skip
    below = {
        "site_id": values["site_id"], "series_uid": f"{values['study_uid']}.1",
        "study_uid": values["study_uid"], "modality": values["modality"], "instance_count": 2,
        "record": orjson.dumps(part), "first_seen_at": moment,
    }  # fmt: skip
    with records.write() as connection:
        connection.execute(sa.insert(study).values(columns))
        connection.execute(sa.insert(series).values(below))


def run(records: Records, active: list[RuleSet], tried: list[RuleSet], **more: Any) -> Replayed:
    return replay(records, [Trial(SITE, active, tried)], DAYS, **more)


def test_hits_gains_losses_and_volume_are_counted_by_destination(records: Records) -> None:
    for number in range(4):
        fill(records, number)
    fill(records, 4, modality="MR")
    fill(records, 5, modality="MR", size_bytes=None)
    fill(records, 6, day=DAY - timedelta(days=3))  # before the days that were asked for
    fill(records, 7, site_id="gkb2")
    found = run(records, rules(ALL), rules(CT))
    assert (found.studies, found.undecided) == (6, 0)
    archive, nowhere = found.sends["archive"], found.sends[NOWHERE]
    assert (archive.hits, archive.gains, archive.losses) == (4, 0, 2)
    assert (archive.size_bytes, archive.unsized) == (8 * 10**9, 0)
    assert sorted(one.study_uid for one in archive.sample) == ["1.2.4", "1.2.5"]
    assert (nowhere.hits, nowhere.gains, nowhere.losses, nowhere.unsized) == (2, 2, 0, 1)
    back = run(records, rules(CT), rules(ALL)).sends["archive"]
    assert (back.hits, back.gains, back.losses, back.unsized) == (6, 2, 0, 1)
    assert Sampled("gkb1", "1.2.4", DAY, "gain") in back.sample


def test_every_study_is_judged_once_page_by_page(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held, "PAGE", 4)
    for number in range(30):
        fill(records, number, day=DAYS[number % 3])
    told: list[tuple[int, int]] = []
    found = run(records, rules(CT), rules(CT), tell=lambda *done: told.append(done))
    assert told == [(1, 10), (2, 20), (3, 30)]
    assert found.sends["archive"].hits == 30
    sample = found.sends["archive"].sample
    assert len({one.study_uid for one in sample}) == len(sample) == SAMPLE
    assert run(records, rules(CT), rules(CT)).sends["archive"].sample == sample


def test_a_series_is_seen_when_a_rule_asks_for_it(records: Records) -> None:
    fill(records, 1)
    fill(records, 2, description="Фантом")
    head = "{all: [{field: SeriesDescription, op: equals, value: голова}]}"
    found = run(records, rules(), rules(send("head", head, "archive")))
    assert [one.study_uid for one in found.sends["archive"].sample] == ["1.2.1"]
    each = send("each", "{all: [{field: instance_count, op: '=', value: 2}]}", "b", level="series")
    assert run(records, rules(), rules(each)).sends["b"].gains == 2


def test_what_only_the_site_knows_is_not_guessed(records: Records) -> None:
    fill(records, 1)
    fill(records, 2, modality="MR")
    sent_by = "{all: [{field: Modality, op: equals, value: CT}, {field: source_aet, op: missing}]}"
    tried = rules(send("aet", sent_by, "archive"), CT)
    found = run(records, rules(ALL), tried)
    assert (found.studies, found.undecided, found.unknown) == (2, 1, {"gkb1/aet": 1})
    assert found.sends["archive"].losses == 1
    trial = Trial(SITE, rules(ALL), tried)
    assert fields_beyond_index(trial) == {"gkb1/aet": ("source_aet",)}
    at = rules(send("at", "{none: [{field: 'already_at:b', op: is, value: true}]}", "b"))
    assert run(records, rules(), at).undecided == 2


def test_shadow_rules_are_counted_apart_and_hold_nothing_up(records: Records) -> None:
    fill(records, 1)
    fill(records, 2, modality="MR")
    shadow = send("s", "{all: [{field: Modality, op: equals, value: MR}]}", "second", "shadow")
    unread = send("u", "{all: [{field: ImageComments, op: empty}]}", "third", "shadow")
    found = run(records, rules(CT), rules(shadow, CT))
    assert {name: tally.hits for name, tally in found.shadow.items()} == {"second": 1}
    assert found.sends["archive"].hits == 1
    found = run(records, rules(CT), rules(unread, CT))
    assert (found.undecided, found.unknown, found.shadow) == (0, {"gkb1/u": 2}, {})


def test_days_of_a_rule_are_counted_from_the_day_on_which_the_study_came(records: Records) -> None:
    fill(records, 1)
    young = "{all: [{field: StudyDate, op: within_last_days, value: 1}]}"
    assert run(records, rules(), rules(send("young", young, "archive"))).sends["archive"].hits == 1
