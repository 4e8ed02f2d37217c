from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.model.sites import QuirkProfile, Site
from gateway.records.probes import SiteProbe
from gateway.worker.schedule import describe_change, find_waiting, plan_probes

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SITE = Site("gkb1", "Первая", "First", "http://127.0.0.1:1")
OTHER = Site("zlat", "Вторая", "Second", "http://127.0.0.1:2")
FRESH = QuirkProfile(software="Orthanc", version="1.10.1", probed_at=NOON)


def _plan(probe, *, after_s=60.0, started_s=None, changed=()):
    starts = {} if started_s is None else {"gkb1": NOON + timedelta(seconds=started_s)}
    probes = {} if probe is None else {"gkb1": probe}
    now = NOON + timedelta(seconds=after_s)
    return [site.site_id for site in plan_probes([SITE], probes, starts, changed, now, 180.0)]


@pytest.mark.parametrize(
    ("situation", "due"),
    [
        pytest.param({"probe": None}, True, id="never seen"),
        pytest.param({"probe": SiteProbe("gkb1", QuirkProfile(), None, None)}, True, id="no probe"),
        pytest.param({"probe": SiteProbe("gkb1", FRESH, NOON, None)}, False, id="fresh"),
        pytest.param(
            {"probe": SiteProbe("gkb1", FRESH, NOON, None), "after_s": 180.0}, True, id="old"
        ),
        pytest.param(
            {"probe": SiteProbe("gkb1", FRESH, NOON, NOON), "after_s": 999.0},
            False,
            id="already ordered",
        ),
        pytest.param(
            {"probe": SiteProbe("gkb1", FRESH, NOON, None), "changed": {"gkb1"}},
            True,
            id="changed in region.toml",
        ),
        pytest.param(
            {"probe": SiteProbe("gkb1", FRESH, NOON, None), "started_s": 1.0},
            True,
            id="restarted after the probe",
        ),
        pytest.param(
            {"probe": SiteProbe("gkb1", FRESH, NOON, None), "started_s": -1.0},
            False,
            id="restarted before the probe",
        ),
    ],
)
def test_site_is_probed_when_it_is_due(situation, due):
    assert _plan(**situation) == (["gkb1"] if due else [])


def test_order_that_no_worker_took_is_found_after_ten_seconds():
    probes = {
        "gkb1": SiteProbe("gkb1", FRESH, NOON, NOON),
        "zlat": SiteProbe("zlat", FRESH, NOON, NOON + timedelta(seconds=1)),
    }
    assert find_waiting([SITE, OTHER], probes, NOON + timedelta(seconds=10)) == [SITE]


SILENT = QuirkProfile(probed_at=NOON, problem="timeout (5.0 s)")


@pytest.mark.parametrize(
    ("before", "after", "line", "facts"),
    [
        (None, FRESH, "site answers", {"software": "Orthanc", "version": "1.10.1", "dicomweb": ""}),
        (QuirkProfile(), SILENT, "site does not answer", {"problem": "timeout (5.0 s)"}),
        (FRESH, FRESH, "", {}),
        (FRESH, replace(FRESH, probed_at=NOON + timedelta(minutes=3)), "", {}),
        (FRESH, SILENT, "site does not answer", {"problem": "timeout (5.0 s)"}),
        (replace(FRESH, problem="timeout (5.1 s)"), SILENT, "", {}),
        (
            replace(FRESH, problem="unreachable"),
            SILENT,
            "site still does not answer",
            {"problem": "timeout (5.0 s)"},
        ),
        (replace(FRESH, problem="timeout"), FRESH, "site answers again", {}),
        (
            FRESH,
            replace(FRESH, version="1.12.7"),
            "site has changed",
            {"version": "1.10.1 -> 1.12.7"},
        ),
    ],
)
def test_only_changes_are_told(before, after, line, facts):
    assert describe_change(before, after) == (line, facts)
