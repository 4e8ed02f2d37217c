"""A site breaks off while it sends images: trust.md R3, F1, F8, F9, over real Orthancs.

Orthanc sends a study without a length, so that a cut looks like an end: only the closing boundary
tells. A broken download must look broken to every client, also to one of HTTP/1.0.
"""

import gzip
import json
import re
import time
from dataclasses import replace

import pytest
import requests

from tests.chaosproxy import (
    HTML,
    Fault,
    cut,
    drips,
    hangs,
    http,
    once,
    only,
    resets,
    says,
    stalls,
)
from tests.faults.callers import raw_get
from tests.faults.conftest import ALONE, BESIDE, COPIED, DEADLINE_S, TIMEOUTS
from tests.faults.images import make_study
from tests.waiting import wait_until

pytestmark = pytest.mark.real

ORIGINAL = 'Accept: multipart/related; type="application/dicom"; transfer-syntax=*'
SINGLE = "Accept: application/dicom; transfer-syntax=*"
# A download is a GET of a study or of what lies below it; a search has a question mark.
DOWNLOAD = "/dicom-web/studies/"
PLACES = {
    "1 %": cut(0.01),
    "50 %": cut(0.5),
    "99 %": cut(0.99),
    "the last byte that counts": cut(1, missing=3),  # CRLF may follow the closing boundary
    "the closing boundary": cut(1, missing=60),
    "50 %, by RST": cut(0.5, reset=True),
}
WITH_LENGTH = PLACES | {"the last byte": cut(1, missing=1)}
LENGTHLESS = {
    "1 %, no length": cut(0.01, without_length=True),
    "50 %, no length": cut(0.5, without_length=True),
    "the last byte that counts, no length": cut(1, missing=3, without_length=True),
}


def test_without_a_fault_every_way_is_whole(shared):
    for path in (ALONE.path, ALONE.instance_path):
        for line in (ORIGINAL, SINGLE) if path == ALONE.instance_path else (ORIGINAL,):
            for version in ("1.1", "1.0"):
                answer = raw_get(shared.port, path, line, version=version)
                assert (answer.status, answer.is_whole, answer.ended) == (200, True, "FIN")
    # Pixels and all: the bytes are those that were stored.
    assert shared.get(
        ALONE.instance_path, headers={"Accept": "application/dicom; transfer-syntax=*"}
    ).content.endswith(ALONE.files[0][-512 * 512 * 2 :])


@pytest.mark.parametrize("version", ["1.1", "1.0"], ids=["HTTP/1.1", "HTTP/1.0"])
@pytest.mark.parametrize("fault", PLACES.values(), ids=[f"cut at {place}" for place in PLACES])
def test_a_study_that_breaks_off_never_ends_politely(shared, region, fault, version):
    region["zlat"].proxy.fault = only(DOWNLOAD, fault)
    answer = raw_get(shared.port, ALONE.path, ORIGINAL, version=version)
    assert not answer.is_whole
    assert answer.ended == "RST"
    assert (answer.status, answer.length) == (200, None)


@pytest.mark.parametrize("line", [ORIGINAL, SINGLE], ids=["multipart", "single part"])
@pytest.mark.parametrize(
    "fault",
    [*WITH_LENGTH.values(), *LENGTHLESS.values()],
    ids=[f"cut at {place}" for place in (*WITH_LENGTH, *LENGTHLESS)],
)
def test_an_instance_that_breaks_off_never_ends_politely(shared, region, fault, line):
    whole = raw_get(shared.port, ALONE.instance_path, line)
    region["zlat"].proxy.fault = only(DOWNLOAD, fault)
    answer = raw_get(shared.port, ALONE.instance_path, line)
    assert answer.ended == "RST"
    # Of a single part nothing may be missing but what stood after it.
    assert not answer.is_whole or (line == SINGLE and answer.body == whole.body)


def test_a_zip_that_breaks_off_never_ends_politely(shared, region):
    region["zlat"].proxy.fault = only("/instances/", cut(0.5))
    answer = raw_get(shared.port, ALONE.path, "Accept: application/zip")
    assert (answer.status, answer.is_whole, answer.ended) == (200, False, "RST")


@pytest.mark.parametrize("below", ["/rendered", "/thumbnail"])
def test_a_picture_of_a_broken_download_is_an_error_or_comes_from_another_holder(
    shared, region, below
):
    region["zlat"].proxy.fault = only(DOWNLOAD, cut(0.5))
    assert shared.get(ALONE.instance_path + below).status_code == 503
    for broken in ("gkb1", "magnit"):
        region[broken].proxy.fault = only(DOWNLOAD, cut(0.5))
        assert shared.get(COPIED.path + below).status_code == 200
        region[broken].proxy.reset()


@pytest.mark.parametrize("fault", [stalls(0.5), stalls(0.999)], ids=["in the middle", "at the end"])
def test_a_download_that_stops_is_cut_after_the_idle_limit(shared, region, fault):
    region["zlat"].proxy.fault = only(DOWNLOAD, fault)
    start = time.monotonic()
    answer = raw_get(shared.port, ALONE.path, ORIGINAL)
    assert time.monotonic() - start < TIMEOUTS["idle_s"] + 2
    assert (answer.is_whole, answer.ended) == (False, "RST")


@pytest.mark.parametrize(
    "fault", [hangs, resets, says(HTML), cut(0.5)], ids=["hangs", "resets", "HTML", "cut"]
)
def test_metadata_that_breaks_off_is_an_error_and_no_shorter_list(shared, region, fault):
    region["zlat"].proxy.fault = only(DOWNLOAD, fault)
    answer = shared.get(ALONE.path + "/metadata")
    assert answer.status_code in (502, 503, 504)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "Retry-After" in answer.headers


@pytest.mark.parametrize(
    "below", ["", "/metadata", f"/series/{ALONE.series_uid}", "/rendered", "/thumbnail"]
)
def test_what_only_a_silent_site_holds_is_503_and_never_404(shared, region, below):
    region["zlat"].proxy.fault = hangs
    start = time.monotonic()
    answer = shared.get(ALONE.path + below)
    assert time.monotonic() - start < DEADLINE_S + TIMEOUTS["first_byte_s"]
    assert (answer.status_code, answer.json()["sites"]) == (503, {"zlat": "timeout"})
    assert int(answer.headers["Retry-After"]) > 0


def test_what_no_site_has_is_404_only_if_all_said_so(shared, region):
    path = "/dicom-web/studies/1.2.3.4"
    assert shared.get(path).status_code == 404
    region["gkb1"].proxy.fault = says(http("404 Not Found", b"wrong address"))
    assert shared.get(path).status_code == 503


def test_what_may_be_at_a_silent_site_is_no_404_though_the_holders_are_known(shared, region):
    path = ALONE.path + "/series/1.2.3"
    assert shared.get(path).status_code == 404
    assert shared.get(ALONE.path + "/metadata").status_code == 200
    region["gkb1"].proxy.fault = hangs
    answer = shared.get(path)
    assert (answer.status_code, answer.json()["sites"]) == (503, {"gkb1": "timeout"})


@pytest.mark.parametrize(
    "fault",
    [
        resets,
        hangs,
        stalls(0),
        cut(0),
        drips(0.3),
        says(http("503 Busy", b"")),
        says(HTML),
    ],
    ids=["resets", "hangs", "head only", "no byte", "drips its head", "503", "HTML"],
)
def test_the_second_holder_serves_when_the_first_fails_before_the_first_byte(shared, region, fault):
    """F8, F17. Whichever of the two is asked first, the study comes whole."""
    for broken in ("gkb1", "magnit"):
        region[broken].proxy.fault = only(DOWNLOAD, fault)
        answer = raw_get(shared.port, COPIED.path, ORIGINAL)
        assert (answer.status, answer.is_whole, answer.ended) == (200, True, "FIN")
        assert len(answer.body) > sum(map(len, COPIED.files))
        region[broken].proxy.reset()


@pytest.mark.parametrize("status", ["500 Oops", "502 Bad Gateway", "503 Busy", "504 Late"])
@pytest.mark.parametrize("below", ["", "/metadata", ALONE.below, ALONE.below + "/frames/1"])
def test_a_site_that_stumbles_once_is_asked_once_more(shared, region, below, status):
    """F5: the only holder; and what it said goes to nobody."""
    region["zlat"].proxy.fault = only(DOWNLOAD, once(says(http(status, b"Traceback: secret"))))
    assert shared.get(ALONE.path + below).status_code == 200
    region["zlat"].proxy.reset()
    region["zlat"].proxy.fault = only(ALONE.path, says(http(status, b"Traceback: secret")))
    answer = shared.get(ALONE.path + below)
    assert (answer.status_code, b"secret" in answer.content) == (503, False)
    asked = [line for line in region["zlat"].proxy.seen if ALONE.path.encode() in line]
    assert len(asked) <= 4


def test_a_holder_that_went_away_is_replaced_at_the_next_click(shared, region):
    """The gateway remembers who holds a study; a holder that is off must not cost the study."""
    assert shared.get(COPIED.path + "/metadata").status_code == 200
    for gone in ("gkb1", "magnit"):
        region[gone].proxy.refuse()
        assert shared.get(COPIED.path + "/metadata").status_code == 200
        region[gone].proxy.reset()


def test_downloads_go_on_after_broken_ones(shared, region):
    """No slot, connection or file of the worker is lost by a cut."""
    shared.get(ALONE.path)
    before = shared.open_files
    region["zlat"].proxy.fault = only(DOWNLOAD, cut(0.5))
    for _ in range(40):
        assert not raw_get(shared.port, ALONE.path, ORIGINAL).is_whole
    region["zlat"].proxy.reset()
    assert raw_get(shared.port, ALONE.path, ORIGINAL).is_whole
    wait_until(lambda: shared.open_files <= before + 6, 5, "the worker to close its sockets")


def lies(kept: int, *, with_length: bool) -> Fault:
    """The site's whole and well ended answer, but with fewer instances than it holds."""
    return gives(*ALONE.files[:kept], with_length=with_length)


def gives(*files: bytes, with_length: bool) -> Fault:
    """These files, whatever was asked for."""
    body = b"".join(
        b"--cut\r\nContent-Type: application/dicom\r\n\r\n" + file + b"\r\n" for file in files
    )
    body += b"--cut--\r\n"
    kind = 'Content-Type: multipart/related; type="application/dicom"; boundary=cut'
    answer = http("200 OK", body, kind)
    return says(answer if with_length else re.sub(rb"Content-Length: \d+\r\n", b"", answer))


@pytest.mark.parametrize("with_length", [False, True], ids=["no length", "with a length"])
@pytest.mark.parametrize(
    ("below", "line", "files"),
    [
        pytest.param("", ORIGINAL, [*ALONE.files[:2], *BESIDE.files], id="study"),
        pytest.param("", ORIGINAL, [*ALONE.files, *BESIDE.files], id="more than the study"),
        pytest.param("", "Accept: application/zip", BESIDE.files, id="zip"),
        pytest.param(ALONE.below, ORIGINAL, BESIDE.files, id="instance"),
        pytest.param(ALONE.below, ORIGINAL, ALONE.files[1:2], id="its neighbour"),
        pytest.param(ALONE.below, SINGLE, BESIDE.files, id="single part"),
    ],
)
def test_another_patients_images_are_never_given_for_those_that_were_asked_for(
    shared, region, below, line, files, with_length
):
    """H84"""
    shared.close_alarms("zlat")
    word = "/instances/" if line.endswith("zip") else DOWNLOAD  # it lists them before
    region["zlat"].proxy.fault = only(word, gives(*files, with_length=with_length))
    answer = raw_get(shared.port, ALONE.path + below, line)
    assert (
        answer.status == 503
        if line == SINGLE
        else (answer.is_whole, answer.ended) == (False, "RST")
    )
    assert [uid for uid in BESIDE.sop_uids if uid.encode() in answer.body] == []
    assert ("site_answers_other", "zlat", {"asked": ALONE.uid}) in shared.alarms()


@pytest.mark.parametrize(
    ("below", "line"),
    [("", ORIGINAL), (ALONE.below, ORIGINAL), (ALONE.below, SINGLE)],
    ids=["study", "instance", "single part"],
)
def test_parts_without_a_boundary_are_the_sites_fault_and_keep_no_place(
    shared, region, below, line
):
    nameless = http("200 OK", b"--\r\n\r\n----", 'Content-Type: multipart/related; type="x/y"')
    region["zlat"].proxy.fault = only(DOWNLOAD, says(nameless))
    for _ in range(4):  # its breaker opens after five
        answer = raw_get(shared.port, ALONE.path + below, line)
        assert (answer.status, b"garbage" in answer.body) == (503, True)
    region["zlat"].proxy.reset()
    assert raw_get(shared.port, ALONE.path, ORIGINAL).is_whole


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate, gzip"])
def test_a_packed_answer_is_never_unpacked(shared, region, coding):
    """H21: it was not asked for; 100 KB may be 100 MB."""
    before = shared.rss_mb
    bomb = http("200 OK", gzip.compress(bytes(100_000_000)), f"Content-Encoding: {coding}")
    region["zlat"].proxy.fault = only("/dicom-web/studies/", says(bomb))
    for below in ("", "/metadata?packed=1", ALONE.below + "/frames/1", ALONE.below + "/rendered"):
        answer = shared.get(ALONE.path + below)
        assert (answer.status_code, answer.json()["sites"]["zlat"]) == (503, "garbage")
    assert shared.rss_mb < before + 32


def test_metadata_and_pictures_of_another_patient_are_not_given(shared, region):
    """H84: of several the right ones are given, and where none is right another holder is asked."""
    said = (
        shared.get(ALONE.path + "/metadata").json() + shared.get(BESIDE.path + "/metadata").json()
    )
    json_type = "Content-Type: application/dicom+json"
    fault = says(http("200 OK", json.dumps(said).encode(), json_type))
    region["zlat"].proxy.fault = only("/metadata", fault)
    shared.close_alarms("zlat")
    found = shared.get(ALONE.path + "/metadata?a=b").json()
    assert {row["0020000D"]["Value"][0] for row in found} == {ALONE.uid}
    assert [(kind, site) for kind, site, _ in shared.alarms()] == [("site_answers_other", "zlat")]

    fault = says(http("200 OK", json.dumps(said[3:]).encode(), json_type))
    region["zlat"].proxy.fault = only("/metadata", fault)
    assert shared.get(ALONE.path + "/metadata?a=c").status_code == 503
    region["zlat"].proxy.fault = only(DOWNLOAD, gives(*BESIDE.files, with_length=True))
    assert shared.get(ALONE.instance_path + "/rendered").status_code == 503
    assert raw_get(shared.port, ALONE.instance_path + "/frames/1").status == 200


@pytest.mark.parametrize("below", ["", f"/series/{ALONE.series_uid}"], ids=["study", "series"])
@pytest.mark.parametrize("with_length", [False, True], ids=["no length", "with a length"])
@pytest.mark.parametrize("line", [ORIGINAL, "Accept: */*"], ids=["as stored", "for anybody"])
def test_an_answer_that_lacks_instances_never_ends_politely(
    shared, region, below, with_length, line
):
    """E23: its closing boundary is there, and two of three instances."""
    region["zlat"].proxy.fault = only(
        f"{ALONE.path}{below} ", lies(kept=2, with_length=with_length)
    )
    answer = raw_get(shared.port, ALONE.path + below, line)
    assert (answer.status, answer.is_whole, answer.ended) == (200, False, "RST")


def test_metadata_that_lack_instances_are_an_error(shared, region):
    said = shared.get(ALONE.path + "/metadata").json()[:2]
    lie = http("200 OK", json.dumps(said).encode(), "Content-Type: application/dicom+json")
    region["zlat"].proxy.fault = only("/metadata", says(lie))
    assert shared.get(ALONE.path + "/metadata").status_code == 503


def test_a_zip_of_a_list_that_lacks_instances_is_an_error(shared, region):
    """E23: nothing is sent that would look whole."""
    server = region["zlat"].server
    question = {"Level": "Instance", "Query": {"StudyInstanceUID": ALONE.uid}, "Expand": True}
    said = requests.post(f"{server.url}/tools/find", json=question, auth=server.auth, timeout=10)
    lie = http("200 OK", json.dumps(said.json()[:2]).encode(), "Content-Type: application/json")
    region["zlat"].proxy.fault = only("/tools/find", says(lie))
    answer = shared.get(ALONE.path, headers={"Accept": "application/zip"})
    assert (answer.status_code, answer.json()["sites"]) == (503, {"zlat": "garbage"})


@pytest.mark.parametrize("change", ["shrinks", "grows"])
def test_a_study_that_changes_is_given_as_it_is(shared, region, change):
    """What was known when the holders were asked is no measure of what the site holds now."""
    study = make_study(change, instances=3)
    late = study.files[2:] if change == "grows" else ()
    region["zlat"].load(replace(study, files=study.files[: 3 - len(late)]))
    assert shared.get(study.path + "/metadata").status_code == 200
    if change == "grows":
        region["zlat"].load(study)
    else:
        region["zlat"].delete(study.sop_uids[0])
    for below in ("", f"/series/{study.series_uid}"):
        answer = raw_get(shared.port, study.path + below, ORIGINAL)
        assert (answer.status, answer.is_whole, answer.ended) == (200, True, "FIN")
        assert len(shared.get(study.path + below + "/metadata").json()) == (
            3 if change == "grows" else 2
        )
