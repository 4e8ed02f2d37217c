"""Status and module of a store answer (PS3.18 10.5.3, Annex I)."""

import pytest

from gateway.dicom.store_response import (
    CANNOT_UNDERSTAND,
    OTHER_STUDY,
    OUT_OF_RESOURCES,
    InstanceResult,
    response_module,
    status_of,
)

CLASS = "1.2.840.10008.5.1.4.1.1.7"
SERVICE = "https://images.example/dicom-web"


def result(number: int, failure: int | None = None, study: str = "1.2") -> InstanceResult:
    return InstanceResult(CLASS, f"{study}.1.{number}", study, f"{study}.1", failure)


@pytest.mark.parametrize(
    ("results", "status"),
    [
        pytest.param([result(1), result(2)], 200, id="all stored"),
        pytest.param([result(1), result(2, OTHER_STUDY)], 202, id="some stored"),
        pytest.param([result(1, OTHER_STUDY)], 409, id="none, another study"),
        pytest.param([result(1, OUT_OF_RESOURCES)], 507, id="none, no room"),
        pytest.param([result(1, CANNOT_UNDERSTAND)], 400, id="none, no DICOM"),
        pytest.param([result(1, CANNOT_UNDERSTAND), result(2, OTHER_STUDY)], 409, id="none, mixed"),
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
    assert "00081190" not in response_module([result(1), result(1, study="1.3")], SERVICE)
