"""Nothing counts as delivered that the archive does not hold as the hospital has it."""

from dataclasses import replace

import pytest

from gateway.model.deliveries import Event
from gateway.model.routing.actions import Action, Deidentify, SetTag
from tests.chaosproxy import http, only, says
from tests.routing.conftest import Pair, always, bring, delete, other_content
from tests.running import load
from tests.studies import a_study

pytestmark = pytest.mark.real


def test_what_the_archive_has_lost_is_sent_again(pair: Pair) -> None:
    """F24"""
    study = bring(pair, a_study(1200, (3,)))
    assert pair.deliver(study).event is Event.SENT
    delete(pair.archive, study[1].instance_uid)
    said = pair.verify(study)
    lost = said.instances[study[1].instance_uid]
    assert (said.event, lost.state) == (Event.INCOMPLETE, "missing")
    assert pair.deliver(study).event is Event.SENT
    assert pair.verify(study).event is Event.PROVEN


def test_a_study_that_is_not_there_at_all_is_incomplete(pair: Pair) -> None:
    study = bring(pair, a_study(1210, (1,)))
    assert pair.verify(study).event is Event.INCOMPLETE


def test_an_archive_that_gives_other_bytes_than_it_lists_is_found_by_reading_back(
    pair: Pair,
) -> None:
    """H85"""
    study = bring(pair, a_study(1220, (2,)))
    assert pair.deliver(study).event is Event.SENT
    false = other_content(study[0]).data
    pair.proxy.fault = only("/file", says(http("200 OK", false, "Content-Type: application/dicom")))
    assert pair.verify(study).event is Event.PROVEN  # nothing was drawn
    assert pair.verify(study, draw=always).event is Event.CONFLICT


@pytest.mark.parametrize("policy", ["SET", "SIZE", "CHECKSUM", "FETCH"])
def test_each_way_to_verify_proves_what_is_there(pair: Pair, policy: str) -> None:
    study = bring(pair, a_study(1230, (2,)))
    assert pair.deliver(study).event is Event.SENT
    assert pair.verify(study, verify_by=policy).event is Event.PROVEN


@pytest.mark.parametrize(
    ("policy", "event"),
    [("SET", Event.PROVEN), ("CHECKSUM", Event.CONFLICT), ("FETCH", Event.CONFLICT)],
)
def test_the_set_alone_does_not_see_another_content(pair: Pair, policy: str, event: Event) -> None:
    study = bring(pair, a_study(1240, (1,)))
    load(pair.archive, [other_content(study[0])])
    assert pair.verify(study, verify_by=policy).event is event


def test_an_archive_without_hashes_is_read_back_instead(pair: Pair) -> None:
    study = bring(pair, a_study(1250, (2,)))
    assert pair.deliver(study).event is Event.SENT
    server = pair.destination().server
    assert server is not None
    other = replace(server, kind="dicomweb")
    pair.proxy.seen.clear()
    assert pair.verify(study, server=other, verify_by="CHECKSUM").event is Event.PROVEN
    assert len([line for line in pair.proxy.seen if b"/instances/1.2" in line]) == 2


def test_an_archive_commits_itself_to_what_it_holds_alone(pair: Pair) -> None:
    """PS3.4 J, asked by the hospital's Orthanc; the archive has no HTTP address at all."""
    study = bring(pair, a_study(1260, (2,)))
    node = {"server": None, "modality": "archive", "verify": ("SET", "COMMIT")}
    assert pair.deliver(study, "dicom", **node).event is Event.SENT
    assert pair.verify(study, "dicom", **node).event is Event.PROVEN
    delete(pair.archive, study[0].instance_uid)
    assert pair.verify(study, "dicom", **node).event is Event.INCOMPLETE
    node["verify"] = ("SET", "CHECKSUM")
    assert pair.verify(study, "dicom", **node).event is Event.UNVERIFIED


@pytest.mark.parametrize("action", [Deidentify("basic"), SetTag("PatientID", "77")])
def test_an_archive_commits_itself_to_what_was_changed_on_the_way(
    pair: Pair, action: Action
) -> None:
    """By the UIDs that it holds, which the hospital that asks has never seen."""
    study = bring(pair, a_study(1270 if isinstance(action, Deidentify) else 1271, (2,)))
    asked = {"actions": (action,), "modality": "archive", "verify": ("SET", "COMMIT")}
    assert pair.deliver(study, **asked).event is Event.SENT
    assert pair.verify(study, **asked).event is Event.PROVEN
    delete(pair.archive, pair.consignment(study, **asked).editing.uid(study[0].instance_uid))
    assert pair.verify(study, **asked).event is Event.INCOMPLETE


def test_a_rule_that_wants_a_commitment_where_none_can_be_asked_is_told_so(pair: Pair) -> None:
    study = bring(pair, a_study(1280, (1,)))
    said = pair.deliver(study, verify_by="COMMIT")
    assert (said.event, said.reason) == (Event.REFUSED, "no_commitment")
    assert pair.held(study[0].study_uid) == set()
