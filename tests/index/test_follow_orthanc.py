"""One follower and a real Orthanc of either generation; the oracle compares everything."""

import shutil
from contextlib import closing

import pytest
import requests
import sqlalchemy as sa

from gateway.clock import utc_now
from gateway.errors import LeaseLost, SiteError
from gateway.index.follow import Pace
from gateway.index.plan import NONE
from gateway.orthanc import feed
from gateway.orthanc.wire import Wire
from gateway.records.alarms import load_alarms
from gateway.records.indexing import load_cursor
from gateway.records.leases import release_lease
from gateway.records.studies import load_index_states, study
from tests.index.conftest import catch_up, site_of, step_until
from tests.index.kills import delete, listed
from tests.index.oracle import differences, unknown_sizes
from tests.running import load
from tests.studies import a_study
from tests.waiting import wait_until

pytestmark = pytest.mark.real


@pytest.fixture
def server(start_orthanc, orthanc_generation):
    return start_orthanc("gkb1", generation=orthanc_generation)


def _rows(records):
    with records.read() as connection:
        question = sa.select(study.c.accession_number, study.c.instance_count)
        return dict(connection.execute(question).all())


def test_index_of_a_site_is_filled_then_follows_it(server, follow, records):
    for number in (1, 2, 3):
        load(server, a_study(number))
    follower = follow(site_of(server))
    catch_up(follower)
    assert _rows(records) == {"A1": 3, "A2": 3, "A3": 3}
    cursor = load_cursor(records, "gkb1")
    assert (cursor.phase, cursor.filled, cursor.to_fill) == ("following", 3, 3)
    load(server, a_study(4, (1,)))
    follower.step()
    assert _rows(records) == {"A1": 3, "A2": 3, "A3": 3, "A4": 1}
    assert differences(records, {"gkb1": server}) == []


def test_the_count_of_studies_keeps_step_after_the_fill(server, follow, records):
    def counted():
        cursor = load_cursor(records, "gkb1")
        return cursor.phase, cursor.filled, cursor.to_fill

    follower = follow(site_of(server), Pace(follow_s=0.01, check_s=0.0, studies_per_s=1e9))
    catch_up(follower)
    assert counted() == ("following", 0, 0)
    for number in (1, 2):
        load(server, a_study(number, (1,)))
    step_until(follower, lambda: counted() == ("following", 2, 2))
    load(server, a_study(2, (3, 1)))  # late images are no study more
    step_until(follower, lambda: _rows(records) == {"A1": 1, "A2": 4})
    assert counted() == ("following", 2, 2)
    delete(server, "studies", listed(server, "studies")[0])
    step_until(follower, lambda: counted() == ("following", 1, 1))


def test_another_issuer_of_patient_ids_stands_in_every_row(server, follow, records):
    def issuers():
        with records.read() as connection:
            return set(connection.execute(sa.select(study.c.issuer)).scalars())

    for number in (1, 2):
        load(server, a_study(number, (1,)))
    load(server, a_study(3, (1,), IssuerOfPatientID="OTHER"))
    follower = follow(site_of(server))
    catch_up(follower)
    assert issuers() == {"GKB1", "OTHER"}
    follower.close()
    again = follow(site_of(server, patient_id_issuer="CITY"))
    step_until(again, lambda: issuers() == {"CITY", "OTHER"})
    assert load_cursor(records, "gkb1").issuer == "CITY"


def test_late_image_raises_the_counts(server, follow, records):
    load(server, a_study(1, (2,)))
    follower = follow(site_of(server))
    catch_up(follower)
    load(server, a_study(1, (3, 1)))
    follower.step()
    assert _rows(records) == {"A1": 4}
    assert differences(records, {"gkb1": server}) == []


@pytest.mark.parametrize("level", ["studies", "series", "instances"])
def test_what_is_deleted_vanishes_after_the_next_comparison(server, follow, records, level):
    for number in (1, 2):
        load(server, a_study(number))
    follower = follow(site_of(server), Pace(follow_s=0.01, check_s=0.0, studies_per_s=1e9))
    catch_up(follower)
    delete(server, level, listed(server, level)[0])
    assert differences(records, {"gkb1": server}) != []
    step_until(follower, lambda: not differences(records, {"gkb1": server}))


def test_replaced_database_is_read_from_its_beginning(server, follow, records):
    for number in (1, 2, 3):
        load(server, a_study(number))
    follower = follow(site_of(server))
    catch_up(follower)
    server.stop()
    shutil.rmtree(server.storage / "storage")
    server.start()
    for number in (3, 4, 5, 6):  # as many entries as before, and more
        load(server, a_study(number, (3, 1)))
    follower.step()
    (alarm,) = load_alarms(records)  # F47: raised at once, and gone when all is read again
    assert (alarm.kind, alarm.subject) == ("site_database_replaced", "gkb1")
    catch_up(follower)
    assert load_alarms(records) == []
    assert sorted(_rows(records)) == ["A3", "A4", "A5", "A6"]
    assert differences(records, {"gkb1": server}) == []


def test_restored_backup_is_followed_from_where_it_is(server, follow, records, tmp_path):
    load(server, a_study(1, (1,)))
    server.stop()
    shutil.copytree(server.storage / "storage", tmp_path / "backup")
    server.start()
    load(server, [*a_study(1, (2,)), *a_study(2)])
    follower = follow(site_of(server))
    catch_up(follower)
    server.stop()
    shutil.rmtree(server.storage / "storage")
    shutil.copytree(tmp_path / "backup", server.storage / "storage")
    server.start()
    catch_up(follower)
    assert _rows(records) == {"A1": 1}
    assert differences(records, {"gkb1": server}) == []


def test_emptied_feed_is_noticed_by_the_entry_that_is_gone(server, follow, records):
    load(server, a_study(1))
    follower = follow(site_of(server))
    catch_up(follower)
    load(server, a_study(2))
    requests.delete(server.url + "/changes", auth=server.auth, timeout=30).raise_for_status()
    catch_up(follower)
    assert sorted(_rows(records)) == ["A1", "A2"]


def test_fill_goes_on_where_it_was_interrupted(start_orthanc, orthanc_generation, follow, records):
    # A study is rightly read once more when Orthanc calls it stable: here that never comes.
    quiet = {"StableAge": 3600}
    server = start_orthanc("gkb1", generation=orthanc_generation, settings=quiet)
    for number in range(1, 121):
        load(server, a_study(number, (1,)))
    first = follow(site_of(server))
    while not _rows(records):
        first.step()
    before = set(_rows(records))
    assert 0 < len(before) < 120
    release_lease(records, "keeper", "keeper", utc_now())
    second = follow(site_of(server), holder="spare")
    with pytest.raises(LeaseLost):
        catch_up(first)
    assert set(_rows(records)) == before
    with records.write() as connection:  # what the second finds must not be read again
        connection.execute(sa.update(study).values(name_latin="kept"))
    catch_up(second)
    with records.read() as connection:
        kept = sa.select(study.c.accession_number).where(study.c.name_latin == "kept")
        assert set(connection.execute(kept).scalars()) == before
    assert load_cursor(records, "gkb1").phase == "following"
    assert differences(records, {"gkb1": server}) == []


def test_silent_site_keeps_its_rows(server, follow, records):
    load(server, a_study(1))
    follower = follow(site_of(server))
    catch_up(follower)
    read_at = follower.read_at
    server.stop()
    with pytest.raises(SiteError):
        follower.step()
    assert _rows(records) == {"A1": 3}
    assert follower.read_at == read_at


def test_two_patients_with_one_study_uid_do_not_keep_the_follower_busy(server, follow, records):
    load(server, a_study(1, (1,)))
    load(server, a_study(1, (2,), PatientID="OTHER"))
    follower = follow(site_of(server), Pace(follow_s=0.01, check_s=0.0, studies_per_s=1e9))
    step_until(follower, lambda: follower._doubt.explained != NONE)
    swept_at = load_cursor(records, "gkb1").swept_at
    for _ in range(20):
        follower.step()
    assert load_cursor(records, "gkb1").swept_at == swept_at
    assert len(_rows(records)) == 1


def test_site_without_a_feed_is_followed_by_its_list(server, follow, records):
    for number in (1, 2):
        load(server, a_study(number))
    follower = follow(site_of(server, kind="dicomweb"), Pace(follow_s=0.01))
    catch_up(follower)
    assert _rows(records) == {"A1": 3, "A2": 3}
    load(server, a_study(1, (4, 1)))
    delete(server, "studies", listed(server, "studies")[-1])
    step_until(follower, lambda: not differences(records, {"gkb1": server}))


@pytest.mark.parametrize("encoding", ["cp1251", "utf-8"])
def test_name_in_a_file_without_a_character_set_is_read(server, follow, records, encoding):
    (file,) = a_study(1, (1,), PatientName="Q" * 20)
    name = "Иванов^Ян".encode(encoding).ljust(20)
    requests.post(
        server.url + "/instances",
        data=file.data.replace(b"Q" * 20, name).replace(b"ISO_IR 192", b" " * 10),
        auth=server.auth,
        timeout=30,
    ).raise_for_status()
    catch_up(follow(site_of(server)))
    with records.read() as connection:
        keys = connection.execute(sa.select(study.c.name_key, study.c.name_latin)).all()
    assert keys == [("иванов ян", "ivanov ian")]


def test_sizes_are_those_that_the_site_says_and_are_asked_again_after_a_change(
    server, follow, records
):
    for number, images in ((1, (2, 1)), (2, (1,))):
        load(server, a_study(number, images))
    follower = follow(site_of(server), Pace(follow_s=0.01, check_s=0.0, studies_per_s=1e9))
    step_until(follower, lambda: len(_rows(records)) == 2 and not unknown_sizes(records))
    before = load_index_states(records)["gkb1"]
    load(server, a_study(2, (1, 4)))
    step_until(follower, lambda: _rows(records) == {"A1": 3, "A2": 5})
    step_until(follower, lambda: not unknown_sizes(records))
    assert differences(records, {"gkb1": server}) == []
    delete(server, "studies", next(uid for uid in listed(server, "studies")))
    step_until(follower, lambda: len(_rows(records)) == 1 and not unknown_sizes(records))
    assert differences(records, {"gkb1": server}) == []
    after = load_index_states(records)["gkb1"]
    assert (before.sized, after.sized) == (2, 1)
    assert 0 < after.size_bytes != before.size_bytes > 0


def test_a_series_at_rest_has_a_mark_that_goes_with_its_own_images(
    start_orthanc, orthanc_generation
):
    settings = {"StableAge": 1, "OverwriteInstances": True}
    server = start_orthanc("gkb1", generation=orthanc_generation, settings=settings)
    load(server, a_study(1, (2, 1)))
    (orthanc_id,) = listed(server, "studies")
    site = site_of(server)

    def marks() -> list[str]:
        found: list[str] = []

        def at_rest() -> bool:
            with closing(Wire()) as wire:
                sizes = feed.read_sizes(wire, site, orthanc_id)
            found[:] = [sizes[uid].mark for uid in sorted(sizes)]
            return all(found)

        wait_until(at_rest, 60, "series at rest")
        return found

    before = marks()
    load(server, a_study(1, (2, 2))[-1:])  # a new image of the second series
    added = marks()
    assert (added[0] == before[0], added[1] == before[1]) == (True, False)
    load(server, a_study(1, (2, 2))[:1])  # another file in the place of an image of the first
    replaced = marks()
    assert (replaced[0] == added[0], replaced[1] == added[1]) == (False, True)
