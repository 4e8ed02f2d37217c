"""The OpenAPI document names every door of programs, and the doors keep to it."""

import pytest
import schemathesis
from hypothesis import given
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gateway.dicom.media_types import MULTIPART
from gateway.web.capabilities import TAKES
from gateway.web.openapi import describe, programs_rules
from tests.fuzz.door import Door

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]

for kind in TAKES:
    schemathesis.openapi.media_type(f'{MULTIPART}; type="{kind}"', st.binary())


def test_every_route_is_for_people_or_in_the_document(door: Door) -> None:
    document = describe(door.app)
    listed = {(path, method) for path, found in document["paths"].items() for method in found}
    assert len(listed) >= len({rule.rule for rule in programs_rules(door.app)})
    assert ("/dicom-web/studies/{study}/series/{series}/metadata", "get") in listed
    assert ("/sites/{site_id}/dicom-web/studies", "post") in listed
    assert not any("console" in path or "viewer" in path for path, _ in listed)


@pytest.fixture(scope="module")
def operations(door: Door) -> st.SearchStrategy[schemathesis.Case]:
    """Requests as the document describes them, and as it does not."""
    schema = schemathesis.openapi.from_wsgi("/openapi.json", door.app)
    return st.one_of(*[found.ok().as_strategy() for found in schema.get_all_operations()])


@given(data=st.data())
def test_the_doors_answer_as_the_document_says(
    operations: st.SearchStrategy[schemathesis.Case], data: st.DataObject
) -> None:
    case = data.draw(operations)
    answer = case.call(headers={"Accept-Encoding": "identity"})  # the checks unpack nothing
    if answer.status_code == 503:
        return  # the truth: no site of this region answers
    case.validate_response(answer, checks=CHECKS)
