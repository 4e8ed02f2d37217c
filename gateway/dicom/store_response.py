"""The answer to a store request: Store Instances Response module and status (PS3.18 10.5.3,
Annex I). Built from what became of each instance, never from the site's own status: Orthanc says
400 when some were stored and 200 when none was (dicomweb.md 2, routing.md E13).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.dicom.attributes import Dataset, make

# FailureReason (0008,1197): PS3.18 Table I.2-2, PS3.4 Table B.2-1
OUT_OF_RESOURCES = 0xA700
OTHER_STUDY = 0xA901
CANNOT_UNDERSTAND = 0xC000
TRANSFER_SYNTAX = 0xC122
PROCESSING_FAILURE = 0x0110


@dataclass(frozen=True)
class InstanceResult:
    """What became of one instance; `failure` is None or a FailureReason."""

    sop_class_uid: str
    sop_instance_uid: str
    study_uid: str = ""
    series_uid: str = ""
    failure: int | None = None


def status_of(results: Sequence[InstanceResult]) -> int:
    """200 all stored, 202 some, else why none was: 507 no room, 400 syntax, 409 anything else."""
    failures = [result.failure for result in results if result.failure is not None]
    if not results:
        return 400
    if not failures:
        return 200
    if len(failures) < len(results):
        return 202
    if all(failure & 0xFF00 == 0xA700 for failure in failures):
        return 507
    if all(failure & 0xF000 == 0xC000 for failure in failures):
        return 400
    return 409


def response_module(results: Sequence[InstanceResult], service_url: str) -> Dataset:
    """The Store Instances Response module (Table I.2-1), URLs below service_url."""
    stored = [result for result in results if result.failure is None]
    failed = [result for result in results if result.failure is not None]
    answer: Dataset = {}
    studies = {result.study_uid for result in stored}
    if len(studies) == 1:
        answer["00081190"] = make("RetrieveURL", f"{service_url}/studies/{studies.pop()}")
    if failed:
        answer["00081198"] = make("FailedSOPSequence", *(_item(result) for result in failed))
        for item, result in zip(answer["00081198"]["Value"], failed, strict=True):
            item["00081197"] = make("FailureReason", result.failure)
    if stored:
        answer["00081199"] = make("ReferencedSOPSequence", *(_item(result) for result in stored))
        for item, result in zip(answer["00081199"]["Value"], stored, strict=True):
            url = (
                f"{service_url}/studies/{result.study_uid}/series/{result.series_uid}"
                f"/instances/{result.sop_instance_uid}"
            )
            item["00081190"] = make("RetrieveURL", url)
    return answer


def _item(result: InstanceResult) -> Dataset:
    """Class and instance; an unknown one is sent empty, as its type 2 allows."""
    return {
        "00081150": make("ReferencedSOPClassUID", *filter(None, [result.sop_class_uid])),
        "00081155": make("ReferencedSOPInstanceUID", *filter(None, [result.sop_instance_uid])),
    }
