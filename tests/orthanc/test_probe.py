import io
import json
import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pydicom
import pytest
import requests
import responses
from pydicom.uid import generate_uid

from gateway.clock import utc_now
from gateway.demo.servers import free_port
from gateway.model.sites import QuirkProfile, Secret, Timeouts
from gateway.orthanc.probe import NOBODY, probe_site
from tests.orthanc.conftest import as_site, make_site
from tests.orthanc.test_rest import _answer, _drip_body, _drip_head, _hang

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
URL = "http://127.0.0.1:1/dicom-web"
SITE = make_site("http://127.0.0.1:1", kind="dicomweb")


def _row(uid, host="127.0.0.1:1"):
    return {
        "0020000D": {"vr": "UI", "Value": [uid]},
        "00081190": {"vr": "UR", "Value": [f"https://{host}/dicom-web/studies/{uid}"]},
    }


@pytest.fixture
def server():
    """A DICOMweb server in memory; `server(studies, pages=..., decodes=..., ...)` starts it."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:

        def start(*uids, pages=True, decodes=True, filters=True, forwarded=True, single=True):
            def search(request):
                query = request.url.partition("?")[2]
                if decodes:
                    query = requests.utils.unquote(query)
                asked = dict(pair.split("=", 1) for pair in query.split("&"))
                host = "probe.invalid" if forwarded and "Forwarded" in request.headers else "x"
                found = list(uids)
                if filters and "StudyInstanceUID" in asked:
                    found = [uid for uid in uids if uid == asked["StudyInstanceUID"]]
                if pages:
                    if not asked["limit"].isdigit():
                        return (400, {}, "")
                    offset = int(asked.get("offset", 0))
                    found = found[offset : offset + int(asked["limit"])]
                return (200, {"Server": "Other/1"}, json.dumps([_row(uid, host) for uid in found]))

            mock.add_callback(responses.GET, f"{URL}/studies", search)
            instance = f"{URL}/studies/{NOBODY}/series/{NOBODY}/instances/{NOBODY}"
            mock.get(instance, status=404 if single else 406)

        yield start


def test_modern_server_shows_all_that_it_can(server):
    server("1.2.3", "1.2.4")
    assert probe_site(SITE, NOW) == QuirkProfile(
        software="Other/1",
        decodes_query=True,
        pages=True,
        single_part=True,
        forwarded=True,
        answers_anyone=True,
        probed_at=NOW,
    )


@pytest.mark.parametrize("guard", ["password", "certificate", "none"])
def test_a_site_that_gives_images_to_anyone_is_seen(guard: str) -> None:
    """Orthanc with AuthenticationEnabled = false, whatever password region.toml has for it."""
    known = {"username": "u", "password": Secret("p")} if guard != "none" else {}
    site = make_site("http://127.0.0.1:1", kind="dicomweb", **known)

    def answer(request):
        knows = "Authorization" in request.headers
        if guard == "certificate" and not knows:
            raise requests.exceptions.SSLError("certificate required")
        return (200 if knows or guard == "none" else 401, {}, "[]")

    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.add_callback(responses.GET, re.compile(URL), answer)
        assert probe_site(site, NOW).answers_anyone == (guard == "none")


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        pytest.param({"decodes": False}, {"decodes_query": False}, id="does not decode"),
        pytest.param({"filters": False}, {"decodes_query": False}, id="ignores arguments"),
        pytest.param({"pages": False}, {"pages": False}, id="ignores limit and offset"),
        pytest.param({"forwarded": False}, {"forwarded": False}, id="ignores Forwarded"),
        pytest.param({"single": False}, {"single_part": False}, id="multipart only"),
    ],
)
def test_each_weakness_is_seen(server, behaviour, expected):
    server("1.2.3", "1.2.4", **behaviour)
    profile = probe_site(SITE, NOW)
    assert {name: getattr(profile, name) for name in expected} == expected
    assert profile.problem == ""


@pytest.mark.parametrize(("uids", "forwarded"), [((), False), (("1.2.3",), True)])
def test_paging_is_unknown_below_two_studies(server, uids, forwarded):
    server(*uids)
    profile = probe_site(SITE, NOW)
    assert (profile.pages, profile.forwarded, profile.decodes_query) == (None, forwarded, True)


def test_empty_server_that_does_not_decode_is_seen(server):
    server(decodes=False)
    assert probe_site(SITE, NOW).decodes_query is False


@pytest.mark.parametrize(
    ("says", "problem"),
    [
        pytest.param(_hang, "timeout", id="never answers"),
        pytest.param(_drip_body, "timeout", id="drips its body"),
        pytest.param(_drip_head, "timeout", id="drips its head"),
        pytest.param(b"", "unreachable (no connection)", id="closes without a word"),
        pytest.param(_answer(b"<html>"), "garbage (the answer is not JSON)", id="HTML"),
        pytest.param(_answer(b"{}"), "garbage (the answer is not DICOM JSON)", id="other JSON"),
        pytest.param(_answer(b"", b"HTTP/1.1 500 Oops\r\n"), "refused (HTTP 500)", id="HTTP 500"),
        pytest.param(_answer(b"", b"HTTP/1.1 401 No\r\n"), "untrusted (HTTP 401)", id="HTTP 401"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[", "cut", id="cuts its body"),
    ],
)
@pytest.mark.parametrize("kind", ["orthanc", "dicomweb"])
def test_site_that_fails_gets_a_profile_with_its_problem(site_of_bytes, says, problem, kind):
    hurried = Timeouts(connect_s=1.0, probe_s=0.4 if callable(says) else 5.0)
    site = make_site(site_of_bytes(says), kind=kind, timeouts=hurried)
    profile = probe_site(site, NOW)
    assert profile == QuirkProfile(probed_at=NOW, problem=profile.problem)
    assert profile.problem.split(" ")[0] == problem.split(" ")[0]
    assert kind == "orthanc" or problem in profile.problem


def test_site_that_is_off_is_unreachable():
    profile = probe_site(make_site(f"http://127.0.0.1:{free_port()}"), NOW)
    assert profile.problem == "unreachable (no connection)"


def _study(dicom_file):
    dataset = pydicom.dcmread(io.BytesIO(dicom_file))
    dataset.StudyInstanceUID, dataset.SOPInstanceUID = generate_uid(), generate_uid()
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    out = io.BytesIO()
    dataset.save_as(out)
    return out.getvalue()


@pytest.mark.real
def test_real_orthanc_is_seen_as_it_is(orthanc_generation, start_orthanc, dicom_file):
    server = start_orthanc(generation=orthanc_generation)
    newer = orthanc_generation != "1.10.1"
    gdcm = [] if newer else ["gdcm"]  # see gateway/demo/servers.py
    expected = {
        "software": "Orthanc",
        "version": orthanc_generation,
        "dicomweb_version": "1.20" if newer else "1.7",
        "plugins": ("dicom-web", "explorer.js", *gdcm, "python"),
        "decodes_query": False,
        "has_thumbnail": newer,
        "single_part": False,
        "decodes": ("deflated", "jpeg", *(["jpeg2000"] if gdcm else []), "jpegls", "rle"),
        "probed_at": NOW,
    }
    assert probe_site(as_site(server), NOW) == QuirkProfile(**expected)
    for _ in range(2):
        stored = requests.post(
            f"{server.url}/instances", data=_study(dicom_file), auth=server.auth, timeout=30
        )
        assert stored.status_code == 200
    assert probe_site(as_site(server), NOW) == QuirkProfile(**expected, forwarded=True, pages=True)
    assert probe_site(as_site(server, kind="dicomweb"), NOW) == QuirkProfile(
        forwarded=True, pages=True, probed_at=NOW
    )


@pytest.mark.parametrize(
    ("date", "least", "most"),
    [
        (lambda: format_datetime(utc_now() + timedelta(hours=1), usegmt=True), 3500, 3700),
        (lambda: format_datetime(utc_now() - timedelta(hours=1), usegmt=True), -3700, -3500),
        (lambda: "yesterday", 0, 0),
        (lambda: "", 0, 0),
    ],
    ids=["an hour ahead", "an hour behind", "nonsense", "nothing"],
)
def test_a_clock_that_is_wrong_is_seen_by_its_date(date, least, most):
    """F40"""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.get(re.compile(".*"), body="[]", headers={"Date": date()})
        assert least <= probe_site(SITE, NOW).clock_ahead_s <= most
