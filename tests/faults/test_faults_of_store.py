"""A store whose site breaks in the middle: what is reported is what the site then holds.

No status of the site proves anything (design.md 3.3): each test asks the real Orthanc, past the
proxy, and compares.
"""

import socket

import pytest
import requests

from gateway.dicom.multipart import closing, part_head
from tests.chaosproxy import (
    cuts_request,
    hangs,
    http,
    loses_answer,
    only,
    passes,
    resets,
    says,
)
from tests.faults.callers import raw_send, read_to_the_end, vanish
from tests.faults.images import Study, make_study
from tests.waiting import wait_until

pytestmark = pytest.mark.real

BOUNDARY = "part-of-a-study"
CONTENT_TYPE = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
STORE = "POST /dicom-web/studies"
FULL = ("says 200 and keeps nothing", "says 507 before it has read")
EMPTY = http("200 OK", b"{}", "Content-Type: application/dicom+json")


def body_of(study: Study, *, closed: bool = True) -> bytes:
    head = part_head(BOUNDARY, [("Content-Type", "application/dicom")])
    parts = b"".join(head + instance + b"\r\n" for instance in study.files)
    return parts + (closing(BOUNDARY) if closed else b"")


def request_head(*lines: str) -> bytes:
    head = ["POST /dicom-web/studies HTTP/1.1", "Host: localhost", "Connection: close"]
    return "\r\n".join([*head, f"Content-Type: {CONTENT_TYPE}", *lines, "", ""]).encode()


def store(gateway, study: Study):
    return requests.post(
        f"{gateway.dicomweb}/studies",
        body_of(study),
        headers={"Content-Type": CONTENT_TYPE},
        timeout=30,
    )


def uids_in(answer, sequence: str) -> set[str]:
    items = answer.json().get(sequence, {}).get("Value", [])
    return {item["00081155"]["Value"][0] for item in items}


def test_without_a_fault_all_is_stored(shared, region):
    study = make_study("store-well", instances=3)
    answer = store(shared, study)
    assert (answer.status_code, uids_in(answer, "00081199")) == (200, set(study.sop_uids))
    assert region["zlat"].instances_of(study.uid) == set(study.sop_uids)


@pytest.mark.parametrize("hang", [False, True], ids=["closes", "hangs"])
def test_a_site_that_stored_but_never_said_so_is_asked_what_it_has(shared, region, hang):
    study = make_study(f"store-unheard-{hang}", instances=2)
    region["zlat"].proxy.fault = only(STORE, loses_answer(hang=hang))
    answer = store(shared, study)
    assert (answer.status_code, uids_in(answer, "00081199")) == (200, set(study.sop_uids))


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("cut early", cuts_request(100_000)),
        ("cut in the last part", cuts_request(1_400_000)),
        ("resets", resets),
        ("says 200 and keeps nothing", says(EMPTY)),
        ("says 500", says(http("500 Oops", b""))),
        ("says 507 before it has read", "early"),
    ],
)
def test_what_is_reported_as_stored_the_site_holds(shared, region, name, fault):
    study = make_study(f"store {name}", instances=3)
    region["zlat"].proxy.fault = only(STORE, answers_early if fault == "early" else fault)
    answer = store(shared, study)
    stored, failed = uids_in(answer, "00081199"), uids_in(answer, "00081198")
    # Orthanc may still be storing what it had got before the cut: reported too little, never more.
    assert stored <= region["zlat"].instances_of(study.uid)
    if answer.status_code == 503:
        assert (stored, "Retry-After" in answer.headers) == (set(), True)
    else:
        assert (stored | failed, stored & failed) == (set(study.sop_uids), set())
        assert (failed != set(), answer.status_code) == (True, 202 if stored else 507)
    assert (answer.status_code == 507) == (name in FULL), "only what is full is told as full"

    region["zlat"].proxy.reset()
    assert store(shared, study).status_code == 200
    assert region["zlat"].instances_of(study.uid) == set(study.sop_uids)


def answers_early(talk) -> None:
    talk.send(http("507 Insufficient Storage", b"", "Connection: close"))
    talk.wait(0.3)
    talk.end(reset=True)


@pytest.mark.parametrize("off", [True, False], ids=["off", "hangs"])
def test_a_silent_site_is_503_and_the_caller_may_repeat(shared, region, off):
    study = make_study(f"store-silent-{off}", instances=1)
    if off:
        region["zlat"].proxy.refuse()
    else:
        region["zlat"].proxy.fault = hangs
    answer = store(shared, study)
    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
    assert region["zlat"].instances_of(study.uid) == set()

    region["zlat"].proxy.reset()
    assert store(shared, study).status_code == 200
    assert store(shared, study).status_code == 200
    assert region["zlat"].instances_of(study.uid) == set(study.sop_uids)


def test_a_body_without_its_closing_boundary_reports_nothing_as_stored(shared):
    """H14. Orthanc says 200 to the same body."""
    body = body_of(make_study("store-unclosed", instances=2), closed=False)
    answer = raw_send(shared.port, request_head(f"Content-Length: {len(body)}") + body)
    assert answer.status == 400
    assert b"00081199" not in answer.body


@pytest.mark.parametrize(
    "chunk",
    [b"zz\r\nabc\r\n", b"3\r\nabcXX", b"-1\r\n", b"3;a=\x00b\r\nabc\r\n", b"f" * 5000],
    ids=["no number", "no end of chunk", "negative", "bad extension", "endless size"],
)
def test_broken_chunks_are_400(shared, chunk):
    """H8"""
    body = body_of(make_study("store-chunks", instances=1))
    good = b"%x\r\n" % len(body[:5000]) + body[:5000] + b"\r\n"
    request = request_head("Transfer-Encoding: chunked") + good + chunk
    answer = raw_send(shared.port, request)
    assert (answer.status, b'"field":"body"' in answer.body) == (400, True)


def test_a_caller_that_vanishes_while_it_stores_leaves_nothing_open(shared, region):
    study = make_study("store-vanished", instances=3)
    body = body_of(study)
    shared.get("/dicom-web/studies")
    before = shared.open_files
    for _ in range(10):
        sock = socket.create_connection(("127.0.0.1", shared.port), 10)
        sock.sendall(request_head(f"Content-Length: {len(body)}") + body[:300_000])
        vanish(sock)
    wait_until(lambda: shared.open_files <= before + 3, 10, "the worker to close its sockets")
    wait_until(lambda: region["zlat"].proxy.open_connections <= 1, 5, "the site to be let go")
    assert store(shared, study).status_code == 200


@pytest.mark.parametrize("reset", [True, False], ids=["vanishes", "says that it has ended"])
def test_a_caller_that_breaks_off_was_told_of_nothing_and_loses_nothing(shared, region, reset):
    """Parts are looked at together, so that the site has not seen a byte of what has come: nobody
    was told that any of it is stored, and who repeats finds all of it there, once.
    """
    study = make_study(f"store-held-{reset}", instances=3)
    body = body_of(study)
    begun = body[: body.index(study.files[1]) + 1000]
    with socket.create_connection(("127.0.0.1", shared.port), 60) as sock:
        sock.sendall(request_head(f"Content-Length: {len(body)}") + begun)
        if reset:
            vanish(sock)
        else:
            sock.shutdown(socket.SHUT_WR)
            answer = read_to_the_end(sock)
            assert (answer.status, b"00081199" in answer.body) == (400, False)
    wait_until(lambda: region["zlat"].proxy.open_connections <= 1, 60, "the site to be let go")
    assert region["zlat"].instances_of(study.uid) <= set(study.sop_uids[:1])
    answer = store(shared, study)
    assert (answer.status_code, uids_in(answer, "00081199")) == (200, set(study.sop_uids))
    assert region["zlat"].instances_of(study.uid) == set(study.sop_uids)
    assert region["zlat"].count_of(study.uid) == len(study.sop_uids)


def test_leave_to_send_is_given_by_the_gateway_and_no_site_hears_of_it(shared, region):
    """H12"""
    study = make_study("store-expecting", instances=1)
    body = body_of(study)
    heads = []

    def listens(talk) -> None:
        heads.append(talk.head)
        passes(talk)

    region["zlat"].proxy.fault = listens
    head = request_head(f"Content-Length: {len(body)}", "Expect: 100-continue")
    with socket.create_connection(("127.0.0.1", shared.port), 60) as sock:
        sock.sendall(head)
        assert sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(body)
        assert read_to_the_end(sock).status == 200
    assert [head for head in heads if head.startswith(STORE.encode())] != []
    assert [head for head in heads if b"\r\nexpect:" in head.lower()] == []


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        pytest.param(["Content-Length: 10995116277760"], 413, id="too much"),
        pytest.param(["Content-Length: 5000", "Content-Encoding: gzip"], 415, id="packed"),
    ],
)
def test_who_asks_for_leave_to_send_what_is_not_taken_is_told_before_he_sends(
    shared, lines, status
):
    """H12"""
    with socket.create_connection(("127.0.0.1", shared.port), 60) as sock:
        sock.sendall(request_head(*lines, "Expect: 100-continue"))
        said = read_to_the_end(sock)
    answer = (said.head + b"\r\n\r\n" + said.body).removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 %d" % status)
