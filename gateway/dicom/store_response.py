"""The answer to a store request: Store Instances Response module and status (PS3.18 10.5.3,
Annex I). Built from what became of each instance, never from the site's own status: Orthanc says
400 when some were stored and 200 when none was (dicomweb.md 2, routing.md E13).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.dicom.attributes import Dataset, make

# FailureReason (0008,1197): PS3.18 Table I.2-2, PS3.4 Table B.2-1; "additional codes may be used"
OUT_OF_RESOURCES = 0xA700
OTHER_STUDY = 0xA901  # of another study than the request's path says
OTHER_PATIENT = 0xA902  # its study is held, of another patient or of several
CANNOT_UNDERSTAND = 0xC000
TRANSFER_SYNTAX = 0xC122
PROCESSING_FAILURE = 0x0110
DUPLICATE = 0x0111  # the UID is held with other content (PS3.7 Annex C); the original stays


@dataclass(frozen=True)
class InstanceResult:
    """What became of one instance; `failure` is None or a FailureReason, `warning` of the stored
    None or a WarningReason. site_id: where it was to go, "" if it was to go nowhere. program: its
    file begins as a program does."""

    sop_class_uid: str
    sop_instance_uid: str
    study_uid: str = ""
    series_uid: str = ""
    failure: int | None = None
    warning: int | None = None
    site_id: str = ""
    program: bool = False


def status_of(results: Sequence[InstanceResult]) -> int:
    """200 all stored, 202 some or with warnings, else why none was: 507 no room, 503 the site
    failed, 400 syntax, 409 anything else (PS3.18 Table 10.5.3-1, 8.5).
    """
    failures = [result.failure for result in results if result.failure is not None]
    if not results:
        return 400
    if len(failures) < len(results):
        warned = any(result.warning is not None for result in results)
        return 202 if failures or warned else 200
    if all(failure & 0xFF00 == 0xA700 for failure in failures):
        return 507
    if all(failure & 0xFF00 == 0xA700 or failure == PROCESSING_FAILURE for failure in failures):
        return 503
    syntax = (failure & 0xF000 == 0xC000 and failure != TRANSFER_SYNTAX for failure in failures)
    if all(syntax):
        return 400
    return 409


def response_module(results: Sequence[InstanceResult], service_url: str) -> Dataset:
    """The Store Instances Response module (Table I.1-1), URLs below service_url.

    An instance that has no name is none that could be referred to: its reason stands in
    OtherFailuresSequence.
    """
    stored = [result for result in results if result.failure is None]
    failed = [result for result in results if result.failure is not None]
    nameless = [result for result in failed if not result.sop_instance_uid]
    failed = [result for result in failed if result.sop_instance_uid]
    answer: Dataset = {}
    studies = {result.study_uid for result in stored}
    urls = [f"{service_url}/studies/{study}" for study in studies] if len(studies) == 1 else []
    answer["00081190"] = make("RetrieveURL", *urls)  # type 2: empty where there is not just one
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
            if result.warning is not None:
                item["00081196"] = make("WarningReason", result.warning)
    if nameless:
        reasons = [{"00081197": make("FailureReason", result.failure)} for result in nameless]
        answer["0008119A"] = make("OtherFailuresSequence", *reasons)
    return answer


def _item(result: InstanceResult) -> Dataset:
    """Class and instance (PS3.3 Table 10-11); a class that could not be read is left empty."""
    return {
        "00081150": make("ReferencedSOPClassUID", *filter(None, [result.sop_class_uid])),
        "00081155": make("ReferencedSOPInstanceUID", result.sop_instance_uid),
    }
