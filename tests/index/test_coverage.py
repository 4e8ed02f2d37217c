"""Which sites the index answers for."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.index.coverage import Coverage
from gateway.records.studies import IndexState
from tests.fakes import a_site

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
RECENTLY, LONG_AGO = NOW - timedelta(seconds=5), NOW - timedelta(hours=1)
SINCE = NOW - timedelta(seconds=15)


def a_state(read_at: datetime | None, phase: str = "following") -> IndexState:
    return IndexState(phase, 1, 1, LONG_AGO, read_at, None)


@pytest.mark.parametrize(
    ("states", "stale"),
    [
        pytest.param({"a": a_state(RECENTLY), "b": a_state(SINCE)}, [], id="all were just read"),
        pytest.param({"a": a_state(RECENTLY), "b": a_state(LONG_AGO)}, ["b"], id="one long ago"),
        pytest.param({"a": a_state(RECENTLY), "b": a_state(None)}, ["b"], id="one never"),
        pytest.param({"b": a_state(RECENTLY)}, ["a"], id="one is unknown"),
        pytest.param(
            {"a": a_state(RECENTLY, "filling"), "b": a_state(RECENTLY)},
            ["a"],
            id="one is being filled",
        ),
        pytest.param(
            {"a": a_state(RECENTLY), "b": a_state(RECENTLY), "gone": a_state(LONG_AGO)},
            [],
            id="another site does not matter",
        ),
    ],
)
def test_a_site_is_asked_itself_unless_it_was_read_to_the_end_lately(
    states: dict[str, IndexState], stale: list[str]
) -> None:
    coverage = Coverage((a_site("a"), a_site("b")), states)
    assert [site.site_id for site in coverage.stale(SINCE)] == stale
    assert [name for name in "ab" if not coverage.is_fresh(name, SINCE)] == stale
