"""How old the rows of an answer are, and what of them can be opened: said by search and status."""

from datetime import datetime, timedelta

import pytest

from gateway.clock import monotonic_s, utc_now
from gateway.dicom.attributes import text
from gateway.web import create_app
from tests.web.indexed import follow, indexed_gateway, stubborn_sites, uids
from tests.web.rows import DOE, ROWS, U


@pytest.fixture
def gateway(tmp_path):
    """Three sites that answer, each just read into the index."""
    with (
        stubborn_sites(ROWS) as urls,
        indexed_gateway(tmp_path, ROWS, live=urls, max_index_age_s=30.0) as made,
    ):
        yield made


@pytest.fixture
def silent(tmp_path):
    """The same sites, and nobody answers."""
    with indexed_gateway(tmp_path, ROWS, max_index_age_s=30.0) as made:
        yield made


def ask(gateway, path="/dicom-web/studies"):
    return create_app(gateway).test_client().get(path)


def sentences(answer):
    return [warning.partition("dicom-web: ")[2] for warning in answer.headers.getlist("Warning")]


def near(answer):
    """InstanceAvailability by study."""
    return {
        text(row, "StudyInstanceUID").removeprefix(f"{U}."): text(row, "InstanceAvailability")
        for row in answer.get_json()
    }


def head_of(answer):
    return dict(pair.split("=") for pair in answer.headers["X-Gateway-Sites"].split(";"))


def test_fresh_rows_are_of_the_index_and_say_how_old_they_are(gateway):
    oldest = utc_now() - timedelta(seconds=20)
    follow(gateway, "zlat", read_at=oldest)
    answer = ask(gateway)
    status = ask(gateway, "/status/sites").get_json()["sites"]
    assert (sentences(answer), near(answer)) == ([], dict.fromkeys("3421", "ONLINE"))
    assert head_of(answer) == {
        "ok": "3",
        "failed": "0",
        "indexed": "3",
        "indexed_at": f"{oldest:%Y-%m-%dT%H:%M:%SZ}",
    }
    times = [datetime.fromisoformat(site["index"]["read_at"]) for site in status]
    assert (min(times), [site["answers"] for site in status]) == (oldest, [True] * 3)


def test_a_site_whose_rows_are_too_old_is_asked_itself(gateway):
    follow(gateway, "zlat", read_at=utc_now() - timedelta(hours=1))
    answer = ask(gateway)
    assert (sentences(answer), uids(answer)) == ([], ["3", "4", "2", "1"])
    assert (head_of(answer)["ok"], head_of(answer)["indexed"]) == ("3", "2")


@pytest.mark.parametrize("read_at", [utc_now() - timedelta(hours=5), None], ids=["once", "never"])
def test_rows_of_a_dead_site_are_listed_and_marked(silent, read_at):
    follow(silent, "zlat", read_at=read_at)
    answer = ask(silent)
    known = f"at {read_at:%Y-%m-%dT%H:%M:%SZ}" if read_at else "before"
    assert sentences(answer) == [
        "Results incomplete, no answer from zlat (unreachable)",
        f"The studies of zlat are listed as they were known {known}",
    ]
    assert near(answer) == {"3": "OFFLINE", "4": "OFFLINE", "2": "ONLINE", "1": "ONLINE"}
    assert (head_of(answer)["ok"], head_of(answer)["failed"]) == ("2", "1")


def test_a_study_of_dead_sites_cannot_be_opened_now_and_may_be_later(silent):
    answer = ask(silent, f"/dicom-web/studies/{U}.3")
    assert (answer.status_code, int(answer.headers["Retry-After"]) > 0) == (503, True)
    assert "zlat" in answer.get_json()["sites"]


def test_a_site_that_failed_after_it_was_read_is_marked_at_once(silent):
    """Its rows are fresh, but whoever opens one of them would wait for nothing."""
    site = silent.region.site("gkb1")
    silent.wire.standing(site).failed(monotonic_s(), "timeout")
    answer = ask(silent)
    assert near(answer) == {"3": "ONLINE", "4": "ONLINE", "2": "OFFLINE", "1": "NEARLINE"}
    assert sentences(answer)[0] == "Results incomplete, no answer from gkb1 (timeout)"
    assert head_of(answer)["failed"] == "1"

    follow(silent, "gkb1", read_at=utc_now() + timedelta(seconds=1))  # the keeper read it again
    answer = ask(silent)
    assert (sentences(answer), near(answer)["2"]) == ([], "ONLINE")


def test_status_and_search_agree_about_who_is_silent(silent):
    status = ask(silent, "/status/sites").get_json()["sites"]
    answer = ask(silent)
    assert [site["answers"] for site in status] == [False] * 3
    assert (head_of(answer)["failed"], set(near(answer).values())) == ("3", {"OFFLINE"})
    assert answer.status_code == 200


def test_silence_is_not_emptiness(silent):
    """Nobody can be asked and the index knows nothing: 503, never an empty list."""
    for site_id in ROWS:
        follow(silent, site_id, read_at=utc_now() - timedelta(hours=1))
    answer = ask(silent, "/dicom-web/studies?PatientID=nobody")
    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)


FILLING = {"phase": "filling", "filled": 430, "to_fill": 1000, "read_at": None}


def test_a_site_that_is_being_read_is_asked_itself_and_says_how_far_it_is(gateway):
    follow(gateway, "zlat", **FILLING)
    answer = ask(gateway)
    assert (uids(answer), head_of(answer)["indexed"]) == (["3", "4", "2", "1"], "2")
    assert sentences(answer) == ["zlat is being indexed (43%) and was asked itself"]


def test_a_site_that_is_being_read_and_silent_shows_what_is_known(silent):
    follow(silent, "zlat", **FILLING)
    answer = ask(silent)
    assert sentences(answer) == [
        "Results incomplete, no answer from zlat (unreachable)",
        "Results incomplete, zlat is being indexed (43%)",
        "The studies of zlat are listed as they were known before",
    ]
    assert near(answer)["3"] == "OFFLINE"


def test_a_region_that_is_being_read_answers_from_its_sites(gateway):
    for site_id in ROWS:
        follow(gateway, site_id, **FILLING)
    answer = ask(gateway)
    assert uids(answer) == ["3", "4", "2", "1"]
    assert head_of(answer) == {"ok": "3", "failed": "0"}
    assert len(sentences(answer)) == 3


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        (f"/studies/{U}.1/instances", {"gkb1", "archive"}),
        (f"/studies/{U}.3/series/{U}.3.1/instances", {"zlat"}),
        (f"/instances?StudyInstanceUID={U}.1,{U}.3", {"gkb1", "zlat", "archive"}),
        (f"/instances?SeriesInstanceUID={U}.4.1", {"zlat"}),
        ("/instances?AccessionNumber=A2", {"gkb1"}),
        ("/instances?PatientID=78&InstanceNumber=1", {"gkb1"}),
        (f"/instances?SOPInstanceUID={U}.1.1.1", {"gkb1", "zlat", "archive"}),
        (f"/studies/{U}.9/instances", {"gkb1", "zlat", "archive"}),
    ],
)
def test_instances_are_asked_of_the_holders_only(silent, path, asked):
    """The refusal names whom it was asked of; of what nobody is known to hold, it is everybody."""
    answer = ask(silent, f"/dicom-web{path}")
    assert (answer.status_code, set(answer.get_json()["sites"])) == (503, asked)


def test_instances_of_a_holder_that_answers_are_whole_whoever_else_is_silent(tmp_path):
    zlat = stubborn_sites({"zlat": DOE})
    with zlat as urls, indexed_gateway(tmp_path, ROWS, live=urls) as gateway:
        answer = ask(gateway, f"/dicom-web/studies/{U}.3/instances")
        assert (uids(answer, "SOPInstanceUID"), sentences(answer)) == (["3.1.1"], [])
        assert head_of(answer)["failed"] == "0"


def test_status_tells_the_size_of_what_is_sized(gateway):
    follow(gateway, "zlat", size_bytes=5 * 10**9, sized=2)
    told = {
        site["id"]: (site["index"]["size_bytes"], site["index"]["sized_studies"])
        for site in ask(gateway, "/status/sites").get_json()["sites"]
    }
    assert told == dict.fromkeys(ROWS, (None, 0)) | {"zlat": (5 * 10**9, 2)}
