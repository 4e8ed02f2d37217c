"""What a rule changes on the way is proven at the archive like anything else."""

import io
from collections.abc import Callable

import pydicom
import pytest

from gateway.dicom.deidentify import Pseudonyms
from gateway.dicom.part10 import identify
from gateway.model.deliveries import Event
from gateway.model.routing.actions import Action, Deidentify, MapTag, RemoveTag, SetTag
from tests.dicom.private import in_implicit_vr, with_unknown_sequence
from tests.routing.conftest import KEY, Pair, always, bring, delete, other_content
from tests.running import load
from tests.studies import Instance, a_study, an_instance

pytestmark = pytest.mark.real

EDITS: tuple[Action, ...] = (
    SetTag("IssuerOfPatientID", "${site.issuer}"),
    MapTag("StudyDescription", (("кт ГРУДНОЙ клетки", "КТ ОГК"),)),
    RemoveTag("ReferringPhysicianName"),
)


def read(file: bytes) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(file))


@pytest.mark.parametrize("kind", ["dicomweb", "orthanc"])
def test_edits_are_made_on_the_way_and_what_was_there_before_is_told(pair: Pair, kind: str) -> None:
    study = bring(pair, a_study(1400 if kind == "orthanc" else 1401, (2,)))
    sent = pair.deliver(study, kind, actions=EDITS)
    assert sent.event is Event.SENT
    [one, _] = map(read, pair.files(study[0].study_uid))
    item = one.OriginalAttributesSequence[0]
    before = item.ModifiedAttributesSequence[0]
    assert (one.StudyDescription, "ReferringPhysicianName" in one) == ("КТ ОГК", False)
    assert (before.StudyDescription, str(before.ReferringPhysicianName)) == (
        "КТ грудной клетки",
        "Врачёв^Семён",
    )
    assert (item.ReasonForTheAttributeModification, item.AttributeModificationDateTime) == (
        "COERCE",
        "20260304050607.000000+0000",
    )
    assert pair.verify(study, kind, actions=EDITS, draw=always).event is Event.PROVEN
    assert pair.verify(study, kind).event is Event.CONFLICT


def test_a_second_try_of_an_edit_gives_the_same_bytes(pair: Pair) -> None:
    study = bring(pair, a_study(1410, (1,)))
    uid = study[0].instance_uid
    first = pair.deliver(study, actions=EDITS).instances[uid].sha256
    delete(pair.archive, uid)
    assert first == pair.deliver(study, actions=EDITS).instances[uid].sha256 != ""


def test_a_deidentified_study_has_new_names_that_stay_the_same(pair: Pair) -> None:
    study = bring(pair, a_study(1420, (2, 1)))
    actions = (Deidentify("basic"),)
    assert pair.deliver(study[:1], actions=actions).event is Event.SENT
    names = Pseudonyms(KEY)
    files = [read(file) for file in pair.files(names.uid(study[0].study_uid))]
    assert {one.SOPInstanceUID for one in files} == {names.uid(i.instance_uid) for i in study}
    assert {str(one.PatientName) for one in files} == {names.person("P1420")}
    assert pair.held(study[0].study_uid) == set()
    assert pair.verify(study, actions=actions, draw=always).event is Event.PROVEN
    late = bring(pair, [an_instance(1420, 3)])
    again = pair.deliver(late, actions=actions)
    assert (again.event, again.instances[late[0].instance_uid].state) == (Event.SENT, "sent")
    assert len(pair.held(names.uid(study[0].study_uid))) == 4


def test_a_name_that_is_burned_in_does_not_leave_the_hospital(pair: Pair) -> None:
    study = bring(pair, [an_instance(1430), an_instance(1430, 2, BurnedInAnnotation="YES")])
    said = pair.deliver(study, actions=(Deidentify("basic"),))
    assert (said.event, said.reason) == (Event.REFUSED, "burned_in")
    assert len(pair.held(Pseudonyms(KEY).uid(study[0].study_uid))) == 1


def test_nothing_is_changed_by_c_store(pair: Pair) -> None:
    study = bring(pair, a_study(1440, (1,)))
    said = pair.deliver(study, "dicom", modality="archive", actions=EDITS)
    assert (said.event, said.reason) == (Event.REFUSED, "no_edits_by_c_store")


def test_other_content_under_the_new_uid_is_a_conflict(pair: Pair) -> None:
    study: list[Instance] = bring(pair, a_study(1450, (1,)))
    load(pair.archive, [other_content(study[0])])
    assert pair.deliver(study, actions=EDITS).event is Event.SENT
    assert pair.verify(study, actions=EDITS).event is Event.CONFLICT


@pytest.mark.parametrize("written", [in_implicit_vr, with_unknown_sequence])
@pytest.mark.parametrize("action", [SetTag("IssuerOfPatientID", "${site.issuer}"),
                                    Deidentify("basic")])  # fmt: skip
def test_a_makers_elements_hold_no_study_up(
    pair: Pair, dicom_file: bytes, written: Callable[[bytes], bytes], action: Action
) -> None:
    """A real CT of GE: its private elements without a VR, and one sequence by UN."""
    file = written(named_anew(dicom_file, f"{written.__name__}{type(action).__name__}"))
    known = identify(file, whole=True)
    study = bring(
        pair,
        [Instance(known.study_uid, known.series_uid, known.sop_instance_uid, b"", file)],
    )
    assert pair.deliver(study, actions=(action,)).event is Event.SENT
    assert pair.verify(study, actions=(action,), draw=always).event is Event.PROVEN
    anonymous = isinstance(action, Deidentify)
    name = Pseudonyms(KEY).uid(known.study_uid) if anonymous else known.study_uid
    (there,) = map(read, pair.files(name))
    private = sum(element.tag.is_private for element in there)
    assert (private > 50) is not anonymous
    assert there.pixel_array.tobytes() == read(dicom_file).pixel_array.tobytes()


def named_anew(file: bytes, word: str) -> bytes:
    """The same image in a study of its own."""
    dataset, out = read(file), io.BytesIO()
    uid = Pseudonyms(word).uid
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        setattr(dataset, keyword, uid(dataset[keyword].value))
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.save_as(out)
    return out.getvalue()
