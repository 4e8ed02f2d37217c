"""What rules learn of a study: real Orthancs of both generations, on SQLite and PostgreSQL."""

import io
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pydicom
import pytest
import requests
from pydicom.dataset import Dataset

from gateway.clock import utc_now
from gateway.demo.servers import OrthancServer
from gateway.errors import NotFound, SiteError, SiteSpeaksGarbage
from gateway.model.routing.conditions import Outcome
from gateway.model.routing.decide import UNREADABLE, Decision, decide, explain
from gateway.model.routing.facts import Facts
from gateway.model.routing.mistakes import Reader
from gateway.model.routing.rule_sets import RuleSet, read_rule_set
from gateway.orthanc.wire import Wire
from gateway.records.engine import Records
from gateway.routing.gather import gather
from tests.fakes import a_site
from tests.index.conftest import catch_up, site_of
from tests.studies import ROOT, an_instance

pytestmark = pytest.mark.real
NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
PRIVATE = "0009xx10:ACME 1.1"


def rules(*conditions: dict[str, Any], level: str = "study") -> list[RuleSet]:
    """One rule that sends to `archive`, and a last one that holds."""
    rule = {
        "id": "r", "name": "r", "state": "active", "level": level,
        "when": {"all": list(conditions)}, "then": [{"do": "send", "target": "archive"}],
    }  # fmt: skip
    document = {"site": "gkb1", "rules": [rule], "otherwise": [{"do": "hold", "reason": "last"}]}
    found = read_rule_set(Reader(document))
    assert found is not None
    return [found]


def changed(study: int, number: int = 1, series: int = 1, **elements: Any) -> Dataset:
    made = pydicom.dcmread(io.BytesIO(an_instance(study, series, number, **elements).data))
    return made


def written(dataset: Dataset) -> bytes:
    out = io.BytesIO()
    dataset.save_as(out)
    return out.getvalue()


def fill() -> Iterator[bytes]:
    """1: as ever. 2: one instance of two says more. 3: hidden windows-1251. 4: a value is none."""
    yield an_instance(1, BodyPartExamined="").data
    plain, private = changed(2, 1), changed(2, 2, ImageComments="Фантом")
    block = private.private_block(0x0009, "ACME 1.1", create=True)
    block.add_new(0x10, "LO", "Тест")
    private.SliceThickness = "1.5"
    yield from (written(plain), written(private))
    hidden = changed(3, charset="ISO_IR 144")
    hidden.StudyDescription = "Грудь"
    raw = written(hidden)
    # The texts are windows-1251 whatever the file says.
    yield raw.replace("Грудь".encode("iso8859_5"), "Грудь".encode("cp1251"))
    yield written(changed(4, SliceThickness="1.0")).replace(b"1.0 ", b"x.0 ")


@pytest.fixture(scope="module")
def server(start_orthanc: Callable[..., OrthancServer], orthanc_generation: str) -> OrthancServer:
    server = start_orthanc("gkb1", generation=orthanc_generation)
    for data in fill():
        answer = requests.post(
            server.url + "/instances", data=data, auth=(server.username, server.password)
        )
        assert answer.json()["Status"] == "Success"
    return server


@pytest.fixture
def wire() -> Iterator[Wire]:
    wire = Wire()
    yield wire
    wire.close()


Judge = Callable[..., tuple[Facts, Decision]]


@pytest.fixture
def judge(records: Records, server: OrthancServer, follow: Any, wire: Wire) -> Judge:
    """judge(study, rule_sets) -> facts and decision"""
    site = site_of(server)
    catch_up(follow(site))

    def judge(study: int, rule_sets: list[RuleSet], **more: Any) -> tuple[Facts, Decision]:
        facts = gather(records, wire, site, f"{ROOT}.{study}", rule_sets, NOW, **more)
        return facts, decide(rule_sets, facts, NOW)

    return judge


def sent(decision: Decision) -> bool:
    assert not decision.unread
    return [planned.target for planned in decision.sends] == ["archive"]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"field": "ModalitiesInStudy", "op": "any_of", "value": ["CT"]}, True),
        ({"field": "StudyDescription", "op": "contains", "value": "ГРУДНОЙ"}, True),
        ({"field": "PatientName", "op": "starts", "value": "иванов"}, True),
        ({"field": "instance_count", "op": "=", "value": 1}, True),
        ({"field": "patient_age_years", "op": "between", "value": [55, 56]}, True),
        ({"field": "StudyDate", "op": "within_last_days", "value": 3000}, True),
        ({"field": "BodyPartExamined", "op": "empty"}, True),
        ({"field": "SeriesDescription", "op": "empty"}, False),
        ({"field": "SeriesDescription", "op": "missing"}, True),
        ({"field": "received_at.holiday", "op": "is", "value": True}, False),
        ({"field": "already_at:archive", "op": "is", "value": True}, True),
        ({"field": "size_mb", "op": "<", "value": 1}, True),
        ({"field": "source_ip", "op": "equals", "value": "127.0.0.1"}, True),
        ({"field": "source_aet", "op": "missing"}, True),
        ({"field": "transfer_syntax", "op": "equals", "value": "1.2.840.10008.1.2.1"}, True),
        ({"field": "charset_ok", "op": "is", "value": True}, True),
        ({"field": "has_report", "op": "is", "value": False}, True),
        ({"field": "IssuerOfPatientID", "op": "missing"}, True),
    ],
    ids=lambda value: f"{value['field']} {value['op']}" if isinstance(value, dict) else "",
)
def test_a_study_is_judged_by_what_its_site_holds(
    judge: Judge, condition: dict[str, Any], expected: bool
) -> None:
    _, decision = judge(1, rules(condition), already_at=frozenset({"archive"}))
    assert sent(decision) is expected


def test_every_instance_is_looked_at_not_the_first(judge: Judge) -> None:
    for condition in (
        {"field": "ImageComments", "op": "contains", "value": "фантом"},
        {"field": PRIVATE, "vr": "LO", "op": "equals", "value": "тест"},
        {"field": "00091010", "vr": "LO", "op": "equals", "value": "тест"},
        {"field": "SliceThickness", "op": ">", "value": 1},
    ):
        facts, decision = judge(2, rules(condition))
        assert sent(decision), condition
        assert facts.instance_count == 2
        _, decision = judge(1, rules(condition))
        assert not sent(decision), condition


def test_a_rule_of_level_series_sees_each_series_of_the_index(judge: Judge) -> None:
    _, decision = judge(
        2, rules({"field": "instance_count", "op": "=", "value": 2}, level="series")
    )
    assert [planned.series for planned in decision.sends] == [(f"{ROOT}.2.1",)]


def test_texts_in_another_character_set_than_they_say_are_no_reason_to_trust_them(
    judge: Judge,
) -> None:
    _, decision = judge(3, rules({"field": "charset_ok", "op": "is", "value": False}))
    assert sent(decision)
    _, decision = judge(3, rules({"field": "StudyDescription", "op": "equals", "value": "грудь"}))
    assert sent(decision)


def test_a_value_that_cannot_be_read_holds_the_study_and_says_so(judge: Judge) -> None:
    rule_sets = rules({"field": "SliceThickness", "op": "<", "value": 5})
    facts, decision = judge(4, rule_sets)
    assert (decision.ended, decision.reason, decision.rule) == ("held", UNREADABLE, "gkb1/r")
    assert decision.sends == ()
    assert [trace.outcome for trace in explain(rule_sets, facts, NOW)] == [Outcome.UNREAD]


def test_the_site_is_not_asked_for_what_the_index_decides(
    records: Records, server: OrthancServer, follow: Any, wire: Wire
) -> None:
    site = site_of(server)
    catch_up(follow(site))
    away = a_site("gkb1", url="http://127.0.0.1:9")
    comment = {"field": "ImageComments", "op": "equals", "value": "x"}
    ct, mr = (
        rules({"field": "Modality", "op": "equals", "value": modality}, comment)
        for modality in ("CT", "MR")
    )
    facts = gather(records, wire, away, f"{ROOT}.1", mr, NOW)
    assert decide(mr, facts, NOW).reason == "last"
    with pytest.raises(SiteError):
        gather(records, wire, away, f"{ROOT}.1", ct, NOW)
    with pytest.raises(SiteError):
        gather(records, wire, away, f"{ROOT}.1", mr, NOW, whole=True)
    with pytest.raises(NotFound):
        gather(records, wire, away, f"{ROOT}.99", mr, NOW)


def test_what_came_at_a_moment_is_told_in_the_sites_own_time(judge: Judge) -> None:
    facts, _ = judge(1, rules({"field": "received_at.hour", "op": "≥", "value": 0}))
    assert abs((utc_now() - facts.arrival.received_at).total_seconds()) < 3600


def test_a_site_that_speaks_garbage_of_its_images_holds_the_study(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    def garbage(*_: object) -> Iterator[Dataset]:
        raise SiteSpeaksGarbage("gkb1", "metadata")

    monkeypatch.setattr("gateway.routing.gather.read_tags", garbage)
    none_of = {"none": [{"field": "ImageComments", "op": "contains", "value": "фантом"}]}
    facts, decision = judge(1, rules(none_of))
    assert (decision.is_unsure, decision.reason, decision.sends) == (True, UNREADABLE, ())
    assert facts.unread == {"00204000"}
