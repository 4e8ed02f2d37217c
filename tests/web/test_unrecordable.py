"""Words and numbers that no column can hold: refused on both databases as what the caller said."""

import pytest
from structlog.testing import capture_logs

from tests.web.forms import with_token

pytestmark = pytest.mark.parametrize(
    "region", ["sqlite", pytest.param("postgresql", marks=pytest.mark.real)], indirect=True
)
NUL, LARGE = "a\0b", "9" * 30


@pytest.mark.parametrize(
    ("path", "given", "field"),
    [
        ("/console/rules/gkb1/2147483648.yaml", {}, None),
        (f"/console/rules/gkb1/{LARGE}.yaml", {}, None),
        ("/console/rules/gkb1", {"version": "9999999999"}, "version"),
    ],
    ids=["a number of a version", "a larger one", "a count"],
)
def test_a_number_beyond_every_range_is_refused(region, path, given, field):
    answer = region.get(path, query_string=given)
    assert answer.status_code in (400, 404)
    assert field is None or field in answer.text


@pytest.mark.parametrize(
    ("path", "given"),
    [
        ("/console/deliveries/a%00b/act", {"act": "retry", "reason": "because"}),
        ("/console/rules/gkb1/replays/a%00b/cancel", {}),
        ("/rollout/fingerprints/a%00b/undo", {}),
        (f"/rollout/senders/{LARGE}/heed", {}),
        ("/audit", {"since": "0001-01-01T00:00", "until": "9999-12-31T00:00", "actor": "x"}),
        (
            "/audit",
            {
                "since": "2026-01-01T00:00", "until": "2026-01-02T00:00", "actor": "x",
                "after": f"2026-01-01T00:00:00+00:00 {LARGE}",
            },
        ),
    ],
    ids=["delivery", "replay", "fingerprint", "sender", "year 1", "line of the audit"],
)  # fmt: skip
def test_what_no_column_holds_is_no_fault_of_ours(region, path, given):
    client = with_token(region.application.test_client())
    client.environ_base["HTTP_ORIGIN"] = "http://127.0.0.1:8080"
    with capture_logs() as said:
        answer = client.post(path, data=given)
    assert answer.status_code in (200, 400, 404), answer.text
    assert [line for line in said if line["log_level"] == "error"] == []
