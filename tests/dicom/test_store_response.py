"""Status and module of a store answer (PS3.18 10.5.3, Annex I)."""

import pytest

from gateway.dicom.store_response import (
    CANNOT_UNDERSTAND,
    DUPLICATE,
    OTHER_STUDY,
    OUT_OF_RESOURCES,
    PROCESSING_FAILURE,
    TRANSFER_SYNTAX,
    InstanceResult,
    response_module,
    status_of,
)

CLASS = "1.2.840.10008.5.1.4.1.1.7"
SERVICE = "https://images.example/dicom-web"


def result(number: int, failure: int | None = None, study: str = "1.2") -> InstanceResult:
    return InstanceResult(CLASS, f"{study}.1.{number}", study, f"{study}.1", failure)


def warned(number: int) -> InstanceResult:
    return InstanceResult(CLASS, f"1.2.1.{number}", "1.2", "1.2.1", warning=0xB000)


@pytest.mark.parametrize(
    ("results", "status"),
    [
        pytest.param([result(1), result(2)], 200, id="all stored"),
        pytest.param([result(1), result(2, OTHER_STUDY)], 202, id="some stored"),
        pytest.param([result(1, OTHER_STUDY)], 409, id="none, another study"),
        pytest.param([result(1, OUT_OF_RESOURCES)], 507, id="none, no room"),
        pytest.param([result(1, CANNOT_UNDERSTAND)], 400, id="none, no DICOM"),
        pytest.param([result(1, CANNOT_UNDERSTAND), result(2, OTHER_STUDY)], 409, id="none, mixed"),
        pytest.param([result(1), warned(2)], 202, id="all stored, one with a warning"),
        pytest.param([result(1, PROCESSING_FAILURE)], 503, id="none, the site failed"),
        pytest.param(
            [result(1, PROCESSING_FAILURE), result(2, OUT_OF_RESOURCES)], 503, id="none, both"
        ),
        pytest.param([result(1, DUPLICATE)], 409, id="none, other content is held"),
        pytest.param([result(1, TRANSFER_SYNTAX)], 409, id="none, a transfer syntax"),
        pytest.param([], 400, id="nothing sent"),
    ],
)
def test_the_status_follows_from_every_instance(results: list[InstanceResult], status: int) -> None:
    assert status_of(results) == status


def test_the_module_names_each_instance_with_our_urls() -> None:
    module = response_module([result(1), result(2, OTHER_STUDY)], SERVICE)
    assert module == {
        "00081190": {"vr": "UR", "Value": [f"{SERVICE}/studies/1.2"]},
        "00081198": {
            "vr": "SQ",
            "Value": [
                {
                    "00081150": {"vr": "UI", "Value": [CLASS]},
                    "00081155": {"vr": "UI", "Value": ["1.2.1.2"]},
                    "00081197": {"vr": "US", "Value": [0xA901]},
                }
            ],
        },
        "00081199": {
            "vr": "SQ",
            "Value": [
                {
                    "00081150": {"vr": "UI", "Value": [CLASS]},
                    "00081155": {"vr": "UI", "Value": ["1.2.1.1"]},
                    "00081190": {
                        "vr": "UR",
                        "Value": [f"{SERVICE}/studies/1.2/series/1.2.1/instances/1.2.1.1"],
                    },
                }
            ],
        },
    }


def test_two_studies_have_no_common_retrieve_url() -> None:
    module = response_module([result(1), result(1, study="1.3")], SERVICE)
    assert module["00081190"] == {"vr": "UR"}  # type 2: there, but empty


def test_what_has_no_name_stands_among_the_other_failures() -> None:
    module = response_module([InstanceResult("", "", failure=CANNOT_UNDERSTAND)], SERVICE)
    assert module == {
        "00081190": {"vr": "UR"},
        "0008119A": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [0xC000]}}]},
    }


def test_a_warning_stands_beside_what_was_stored() -> None:
    stored = InstanceResult(CLASS, "1.2.1.1", "1.2", "1.2.1", warning=0xB000)
    item = response_module([stored], SERVICE)["00081199"]["Value"][0]
    assert item["00081196"] == {"vr": "US", "Value": [0xB000]}
