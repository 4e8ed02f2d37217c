"""One study to one destination, between real Orthancs of both generations."""

import json
from dataclasses import replace

import pytest

from gateway.dicom.store_response import InstanceResult, response_module
from gateway.model.deliveries import Event
from gateway.model.manifests import make_manifest
from gateway.model.sites import Secret
from gateway.routing.consignment import InstanceOutcome
from tests.chaosproxy import Fault, cut, cuts_request, http, loses_answer, only, resets, says
from tests.routing.conftest import Pair, always, bring, delete, other_content, site_of
from tests.running import load
from tests.studies import a_study, an_instance

pytestmark = pytest.mark.real
KINDS = ["dicomweb", "orthanc", "dicom"]
STORE = "POST /dicom-web/studies"


@pytest.mark.parametrize("kind", KINDS)
def test_a_study_is_sent_and_proven(pair: Pair, kind: str) -> None:
    study = bring(pair, a_study(1000 + KINDS.index(kind), (3, 2)))
    sent = pair.deliver(study, kind, modality="archive")
    uids = {one.instance_uid for one in study}
    assert (sent.event, {one.state for one in sent.instances.values()}) == (Event.SENT, {"sent"})
    assert pair.held(study[0].study_uid) == uids == set(sent.instances)
    if kind != "dicom":  # C-STORE writes file meta information of its own
        assert sorted(pair.files(study[0].study_uid)) == sorted(one.data for one in study)
    proven = pair.verify(study, kind, modality="archive", draw=always)
    assert (proven.event, set(proven.instances)) == (Event.PROVEN, uids)


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_is_missing_is_sent(pair: Pair, kind: str) -> None:
    study = bring(pair, a_study(1010 + KINDS.index(kind), (4,)))
    load(pair.archive, study[:3])
    pair.source_proxy.seen.clear()
    sent = pair.deliver(study, kind, modality="archive")
    states = {uid: one.state for uid, one in sent.instances.items()}
    assert (sent.event, [states[one.instance_uid] for one in study]) == (
        Event.SENT,
        ["there", "there", "there", "sent"],
    )
    if kind != "dicom":
        assert len([line for line in pair.source_proxy.seen if b"/file" in line]) == 1
    assert pair.verify(study, kind, modality="archive").event is Event.PROVEN


def test_a_second_delivery_sends_nothing(pair: Pair) -> None:
    study = bring(pair, a_study(1020, (2,)))
    assert pair.deliver(study).event is Event.SENT
    pair.proxy.seen.clear()
    again = pair.deliver(study)
    assert (again.event, [line for line in pair.proxy.seen if STORE.encode() in line]) == (
        Event.SENT,
        [],
    )


def test_more_at_the_archive_than_in_the_manifest_is_no_fault(pair: Pair) -> None:
    study = bring(pair, a_study(1030, (2,)))
    load(pair.archive, [an_instance(1030, 7, 7)])
    assert pair.deliver(study).event is Event.SENT
    assert pair.verify(study).event is Event.PROVEN


def test_other_content_under_the_same_uid_is_a_conflict_and_stays_as_it_is(pair: Pair) -> None:
    study = bring(pair, a_study(1040, (2,)))
    there = other_content(study[0])
    load(pair.archive, [there])
    assert pair.deliver(study).event is Event.SENT
    said = pair.verify(study)
    assert (said.event, said.reason, said.instances[study[0].instance_uid].state) == (
        Event.CONFLICT,
        "conflict",
        "conflict",
    )
    assert there.data in pair.files(study[0].study_uid)


def test_a_source_that_holds_two_files_under_one_uid_is_a_conflict(pair: Pair) -> None:
    study = bring(pair, a_study(1050, (1,)))
    bring(pair, [an_instance(1050, PatientID="another")])
    said = pair.deliver(study)
    assert (said.event, said.reason, pair.held(study[0].study_uid)) == (
        Event.CONFLICT,
        "source_holds_two",
        set(),
    )


@pytest.mark.parametrize("kind", ["dicomweb", "orthanc"])
def test_wrong_credentials_are_denied_and_not_tried_twice(pair: Pair, kind: str) -> None:
    study = bring(pair, a_study(1060, (1,)))
    server = replace(site_of(pair.archive, pair.proxy.url), password=Secret("wrong"))
    pair.proxy.seen.clear()
    said = pair.deliver(study, kind, server=server)
    assert (said.event, said.reason, len(pair.proxy.seen)) == (Event.DENIED, "denied", 1)
    assert pair.verify(study, kind, server=server).event is Event.DENIED


def test_a_delivery_that_is_cut_goes_on_where_it_was(pair: Pair) -> None:
    study = bring(pair, a_study(1070, (6,)))
    pair.proxy.fault = only(STORE, cuts_request(3 * len(study[0].data)))
    broken = pair.deliver(study)
    there = pair.held(study[0].study_uid)
    assert (broken.event, len(there) < 6) == (Event.FAILED, True)
    assert {uid for uid, one in broken.instances.items() if one.state == "sent"} == there
    pair.proxy.reset()
    again = pair.deliver(study)
    states = sorted(one.state for one in again.instances.values())
    assert (again.event, states) == (
        Event.SENT,
        ["sent"] * (6 - len(there)) + ["there"] * len(there),
    )
    assert pair.verify(study).event is Event.PROVEN


def test_a_lost_answer_is_no_failure_if_all_is_there(pair: Pair) -> None:
    study = bring(pair, a_study(1080, (2,)))
    pair.proxy.fault = only(STORE, loses_answer())
    assert pair.deliver(study).event is Event.SENT


def test_a_source_that_breaks_off_costs_the_destination_no_wrong_file(pair: Pair) -> None:
    study = bring(pair, a_study(1090, (3,)))
    pair.source_proxy.fault = only("/file", cut(0.5))
    broken = pair.deliver(study)
    assert (broken.event, broken.reason) == (Event.FAILED, "source_silent")
    assert pair.held(study[0].study_uid) == set()


def test_what_is_not_what_the_manifest_says_is_not_finished(pair: Pair) -> None:
    study = bring(pair, a_study(1100, (1,)))
    true = pair.manifest(study[0].study_uid)
    false = make_manifest(true.study_uid, [replace(true.instances[0], md5="0" * 32)])
    for kind in ("dicomweb", "orthanc"):
        said = pair.deliver(study, kind, manifest=false)
        assert (said.event, said.reason) == (Event.FAILED, "source_changed")
    assert pair.held(true.study_uid) == set()


def test_what_the_hospital_has_deleted_is_said_after_the_rest_was_sent(pair: Pair) -> None:
    study = bring(pair, a_study(1110, (3,)))
    manifest = pair.manifest(study[0].study_uid)
    delete(pair.hospital, study[1].instance_uid)
    said = pair.deliver(study, manifest=manifest)
    gone = said.instances[study[1].instance_uid]
    assert (said.event, gone) == (Event.SOURCE_GONE, InstanceOutcome("missing", "source_gone"))
    assert pair.held(manifest.study_uid) == {study[0].instance_uid, study[2].instance_uid}


def test_a_worker_that_lost_its_lease_sends_nothing(pair: Pair) -> None:
    study = bring(pair, a_study(1120, (1,)))
    said = pair.deliver(study, alive=lambda: False)
    assert (said.event, pair.held(study[0].study_uid)) == (Event.ALIVE, set())


def test_a_silent_archive_is_asked_again_later(pair: Pair) -> None:
    study = bring(pair, a_study(1130, (1,)))
    pair.proxy.fault = resets
    said, checked = pair.deliver(study), pair.verify(study)
    assert (said.event, said.reason) == (Event.FAILED, "unreachable")
    assert (checked.event, checked.reason) == (Event.UNVERIFIED, "unreachable")


def a_failure(reason: int) -> Fault:
    uid = an_instance(1140).instance_uid
    body = json.dumps(
        response_module([InstanceResult("", uid, failure=reason)], "http://archive.example")
    )
    return says(http("202 Accepted", body.encode(), "Content-Type: application/dicom+json"))


NOTHING = http("200 OK", b"{}", "Content-Type: application/dicom+json")


@pytest.mark.parametrize(
    ("fault", "event", "reason"),
    [
        pytest.param(says(NOTHING), Event.FAILED, "destination_full", id="200 and nothing stored"),
        pytest.param(says(http("507 Full", b"")), Event.FAILED, "destination_full", id="507"),
        pytest.param(says(http("503 No", b"")), Event.FAILED, "failed", id="503"),
        pytest.param(says(http("429 Slow", b"")), Event.FAILED, "failed", id="429"),
        pytest.param(says(http("415 No", b"")), Event.REFUSED, "media_type", id="415"),
        pytest.param(says(http("403 No", b"")), Event.DENIED, "denied", id="403"),
        pytest.param(a_failure(0xA700), Event.FAILED, "destination_full", id="A700"),
        pytest.param(a_failure(0xA900), Event.REFUSED, "sop_class", id="A900"),
        pytest.param(a_failure(0xC000), Event.REFUSED, "not_understood", id="C000"),
        pytest.param(a_failure(0x0122), Event.REFUSED, "sop_class", id="0122"),
        pytest.param(a_failure(0x0110), Event.FAILED, "failed", id="0110"),
    ],
)
def test_what_an_archive_says_decides_whether_it_is_tried_again(
    pair: Pair, fault: Fault, event: Event, reason: str
) -> None:
    study = bring(pair, a_study(1140, (1,)))
    pair.proxy.fault = only(STORE, fault)
    said = pair.deliver(study)
    assert (said.event, said.reason) == (event, reason)
    assert said.instances[study[0].instance_uid].reason == reason


def test_a_hospital_whose_orthanc_does_not_know_the_node_is_told_so(pair: Pair) -> None:
    study = bring(pair, a_study(1150, (1,)))
    said = pair.deliver(study, "dicom", modality="nobody")
    assert (said.event, said.reason) == (Event.REFUSED, "no_modality")
