"""Stores that are large or go on for long: little memory, many parts, an end in the middle."""

import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from gateway.dicom.multipart import closing, part_head
from tests.faults.callers import raw_send, read_to_the_end
from tests.faults.conftest import GatewayProcess, Region, StartGateway
from tests.faults.images import Study, make_study
from tests.faults.test_faults_of_store import BOUNDARY, CONTENT_TYPE, request_head, store, uids_in
from tests.waiting import wait_until

pytestmark = pytest.mark.real

HEAD = part_head(BOUNDARY, [("Content-Type", "application/dicom")])
JUNK = HEAD + b"no image\r\n"
MOST_MB = 16  # performance.md: what one upload may take, whatever its size


def blocks(*pieces: bytes, size: int = 256 * 1024) -> Iterator[bytes]:
    for piece in pieces:
        yield from (piece[at : at + size] for at in range(0, len(piece), size))


def post(gateway: GatewayProcess, *pieces: bytes, chunked: bool = True) -> requests.Response:
    return requests.post(
        f"{gateway.dicomweb}/studies",
        data=blocks(*pieces) if chunked else b"".join(pieces),
        headers={"Content-Type": CONTENT_TYPE},
        timeout=300,
    )


def peak_mb(gateway: GatewayProcess) -> float:
    """The most memory that the worker has had since `forget_peak`."""
    text = Path(f"/proc/{gateway.worker}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", text)[1]) / 1024


def forget_peak(gateway: GatewayProcess) -> None:
    Path(f"/proc/{gateway.worker}/clear_refs").write_text("5")


@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "with a length"])
def test_an_upload_takes_little_memory_whatever_its_size(
    gateway: GatewayProcess, region: Region, chunked: bool
) -> None:
    large = make_study(f"store-large-{chunked}", instances=1, side=2048, frames=16)
    assert store(gateway, make_study("store-warm", instances=2)).status_code == 200
    before = gateway.rss_mb
    forget_peak(gateway)
    answer = post(gateway, HEAD, *large.files, b"\r\n", closing(BOUNDARY), chunked=chunked)
    assert (answer.status_code, len(large.files[0]) > 128 * 2**20) == (200, True)
    assert peak_mb(gateway) - before < MOST_MB
    assert region["zlat"].instances_of(large.uid) == set(large.sop_uids)


def test_twenty_thousand_parts_are_told_one_by_one(gateway: GatewayProcess) -> None:
    study = make_study("store-many-parts", instances=2, side=16)
    good = [HEAD + file + b"\r\n" for file in study.files]
    before = gateway.rss_mb
    forget_peak(gateway)
    answer = post(gateway, good[0], JUNK * 19_998, good[1], closing(BOUNDARY))
    assert (answer.status_code, uids_in(answer, "00081199")) == (202, set(study.sop_uids))
    assert len(answer.json()["0008119A"]["Value"]) == 19_998
    assert peak_mb(gateway) - before < 2 * MOST_MB


def test_more_parts_than_anybody_has_are_refused(shared: GatewayProcess) -> None:
    """H16"""
    answer = post(shared, JUNK * 50_001, closing(BOUNDARY))
    assert (answer.status_code, answer.json()["field"]) == (413, "body")


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("text/html", 415),
        ("image/svg+xml", 415),
        ("application/zip", 415),
        ("multipart/related; boundary=c", 400),
    ],
)
def test_a_part_of_another_kind_refuses_the_request(
    shared: GatewayProcess, kind: str, status: int
) -> None:
    """H15, H18"""
    page = part_head(BOUNDARY, [("Content-Type", kind)]) + b"<html></html>\r\n"
    assert post(shared, page, closing(BOUNDARY)).status_code == status


@pytest.mark.parametrize(
    "heads",
    [
        pytest.param(b"X: 1\r\n" * 2, id="one twice"),
        pytest.param(b"".join(b"X%d: 1\r\n" % n for n in range(30)), id="too many"),
        pytest.param(b"X: " + b"1" * 20_000 + b"\r\n", id="too long"),
    ],
)
def test_a_part_with_a_hostile_head_is_refused(shared: GatewayProcess, heads: bytes) -> None:
    """H16"""
    body = b"--" + BOUNDARY.encode() + b"\r\n" + heads + b"\r\nx\r\n"
    assert post(shared, body, closing(BOUNDARY)).status_code == 400


def test_a_worker_killed_in_the_middle_loses_nothing_and_doubles_nothing(
    gateway: GatewayProcess, region: Region
) -> None:
    """F33"""
    study = make_study("store-killed", instances=4, side=1536)  # half of it is more than a group
    half = b"".join(HEAD + file + b"\r\n" for file in study.files[:2])
    sock = socket.create_connection(("127.0.0.1", gateway.port), 30)
    sock.sendall(request_head("Transfer-Encoding: chunked"))
    sock.sendall(b"%x\r\n" % len(half) + half)
    wait_until(lambda: region["zlat"].proxy.open_connections > 0, 60, "the site to be sent to")
    killed = gateway.worker
    os.kill(killed, signal.SIGKILL)
    with sock:
        assert no_answer(sock)

    wait_until(lambda: answers_again(gateway, killed), 60, "another worker")
    answer = store(gateway, study)
    assert (answer.status_code, uids_in(answer, "00081199")) == (200, set(study.sop_uids))
    assert region["zlat"].instances_of(study.uid) == set(study.sop_uids)
    assert instances_in_rows(gateway, study) == 4


def no_answer(sock: socket.socket) -> bool:
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


def answers_again(gateway: GatewayProcess, killed: int) -> bool:
    try:
        return gateway.worker != killed and gateway.get("/healthz").ok
    except (requests.ConnectionError, IndexError):
        return False


def instances_in_rows(gateway: GatewayProcess, study: Study) -> int:
    return len(gateway.get(f"{study.path}/instances").json())


def test_a_body_without_an_end_is_cut_at_the_limit(start_gateway: StartGateway) -> None:
    """H11"""
    gateway = start_gateway(GATEWAY_MAX_STORE_BYTES="1000000")
    with socket.create_connection(("127.0.0.1", gateway.port), 60) as sock:
        sock.sendall(request_head("Transfer-Encoding: chunked") + chunk(HEAD))
        try:
            for _ in range(200):
                sock.sendall(chunk(b"x" * 100_000))
        except OSError:
            pass
        answer = read_to_the_end(sock)
    assert (answer.status, b'"field":"body"' in answer.body) == (413, True)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def test_a_body_that_promises_too_much_is_refused_unread(shared: GatewayProcess) -> None:
    """H10"""
    answer = raw_send(shared.port, request_head("Content-Length: 10995116277760"))
    assert answer.status == 413
