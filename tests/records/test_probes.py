from dataclasses import replace
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from gateway.model.sites import QuirkProfile
from gateway.records.probes import (
    SiteProbe,
    load_probe,
    load_probes,
    load_profiles,
    order_probe,
    save_profile,
    site_probe,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=3)
PROFILE = QuirkProfile(
    software="Orthanc",
    version="1.12.7",
    dicomweb_version="1.20",
    plugins=("dicom-web", "gdcm"),
    decodes_query=True,
    pages=None,
    decodes=("jpeg2000",),
    probed_at=NOON,
)


def test_profile_comes_back_as_it_was_saved(records):
    save_profile(records, "gkb1", PROFILE)
    assert load_probes(records) == {"gkb1": SiteProbe("gkb1", PROFILE, NOON, None)}
    assert load_profiles(records) == {"gkb1": PROFILE}


def test_silent_site_keeps_its_quirks(records):
    save_profile(records, "gkb1", PROFILE)
    save_profile(records, "gkb1", QuirkProfile(probed_at=LATER, problem="timeout"))
    expected = replace(PROFILE, probed_at=LATER, problem="timeout")
    assert load_probe(records, "gkb1") == SiteProbe("gkb1", expected, NOON, None)


def test_site_that_never_answered_has_the_oldest_profile(records):
    save_profile(records, "gkb1", QuirkProfile(probed_at=NOON, problem="unreachable"))
    expected = QuirkProfile(probed_at=NOON, problem="unreachable")
    assert load_probe(records, "gkb1") == SiteProbe("gkb1", expected, None, None)


def test_order_keeps_its_time_until_the_probe(records):
    order_probe(records, "gkb1", NOON)
    order_probe(records, "gkb1", LATER)
    assert load_probe(records, "gkb1") == SiteProbe("gkb1", QuirkProfile(), None, NOON)
    assert load_profiles(records) == {}
    save_profile(records, "gkb1", replace(PROFILE, probed_at=LATER), order=NOON)
    order_probe(records, "gkb1", LATER)
    assert load_probes(records)["gkb1"].due_since == LATER


def test_order_that_came_during_a_probe_stays(records):
    order_probe(records, "gkb1", LATER)
    save_profile(records, "gkb1", PROFILE, order=NOON)
    save_profile(records, "gkb1", PROFILE)
    assert load_probe(records, "gkb1") == SiteProbe("gkb1", PROFILE, NOON, LATER)


def test_older_probe_does_not_overwrite_a_younger_one(records):
    save_profile(records, "gkb1", replace(PROFILE, probed_at=LATER))
    save_profile(records, "gkb1", replace(PROFILE, version="1.10.1"))
    assert load_profiles(records)["gkb1"].version == "1.12.7"


def test_profile_of_a_newer_gateway_is_read_as_far_as_known(records):
    save_profile(records, "gkb1", PROFILE)
    with records.write() as connection:
        connection.execute(
            sa.update(site_probe).values(profile={"version": "2.0", "teleports": True})
        )
    assert load_profiles(records) == {"gkb1": QuirkProfile(version="2.0", probed_at=NOON)}
