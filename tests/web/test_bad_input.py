"""Hostile and broken requests: trust.md H1-H28, H67, H89.

Each is a 4xx as application/problem+json that names the field, never shows what was sent, and
never asks a site: the only site of this region would not answer.
"""

import io
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from gateway.bootstrap import build_gateway
from gateway.settings import Settings
from gateway.web import create_app

REGION = """
[region]
name_ru = "Область"
name_en = "Region"
[[site]]
id = "gkb1"
name_ru = "Первая"
name_en = "First"
url = "http://127.0.0.1:9"
"""
STUDY = "1.2.840.1"
CANARY = "canary-zq"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    folder: Path = tmp_path_factory.mktemp("gateway")
    (folder / "region.toml").write_text(REGION, encoding="utf-8")
    gateway = build_gateway(Settings(region=folder / "region.toml", state_dir=folder))
    yield create_app(gateway).test_client()
    gateway.pool.shutdown()
    gateway.records.engine.dispose()


def assert_refused(
    answer: TestResponse, field: str | None, status: int | tuple[int, ...] = 400, sent: str = ""
) -> None:
    expected = (status,) if isinstance(status, int) else status
    assert answer.status_code in expected, answer.get_data(as_text=True)
    assert answer.content_type == "application/problem+json"
    told = answer.get_json()
    assert told["status"] == answer.status_code
    if field is not None:
        assert told["field"] == field
        assert told["detail"]
    text = answer.get_data(as_text=True) + str(answer.headers)
    assert CANARY not in text
    assert len(sent) < 5 or sent not in text
    assert "Traceback" not in text
    assert "gateway/" not in text
    assert len(text) < 2000


BAD_UIDS = {
    "path upwards": "..%2f..%2fsystem",
    "encoded dots": "%2e%2e",
    "encoded upwards": "%2e%2e%2f%2e%2e%2ftools%2fexecute-script",
    "backslash": "..%5c..%5cetc",
    "NUL": "1.2.840.1%00",
    "newline": "1.2.840.1%0a",
    "CRLF": "1.2.840.1%0d%0aX-Evil:%201",
    "invalid UTF-8": "1.2.840.%ff%fe",
    "Arabic digits": quote("١.٢.٨٤٠"),
    "full-width digits": quote("１.２"),
    "65 digits": "1" * 65,
    "4000 digits": "1" * 3900,
    "empty component": "1..2",
    "ends in a dot": "1.2.",
    "begins with a dot": ".1.2",
    "a word": CANARY,
    "a blank": "1.2%20",
    "percent twice": "%252e%252e",
    "a query inside": "1.2%3fa=b",
    "a list": "1.2,1.3",
    "script": quote("<script>alert(1)</script>"),
}


@pytest.mark.parametrize("prefix", ["/dicom-web", "/sites/gkb1/dicom-web"])
@pytest.mark.parametrize("bad", BAD_UIDS.values(), ids=list(BAD_UIDS))
def test_a_uid_that_is_none_is_400_and_named(client, bad, prefix):
    """H1, H2"""
    sent = unquote_to_bytes(bad).decode("utf-8", "replace")
    study = f"{prefix}/studies/{bad}"
    for below in ("", "/metadata", "/series", "/instances", "/rendered", "/thumbnail"):
        assert_refused(client.get(study + below), "study", sent=sent)
    series = f"{prefix}/studies/{STUDY}/series/{bad}"
    for below in ("", "/instances", "/metadata"):
        assert_refused(client.get(series + below), "series", sent=sent)
    instance = f"{prefix}/studies/{STUDY}/series/1.2/instances/{bad}"
    for below in ("", "/frames/1", "/bulkdata/7fe00010", "/rendered"):
        assert_refused(client.get(instance + below), "instance", sent=sent)
    assert_refused(client.post(study, data=b"", content_type="text/plain"), "study", sent=sent)


@pytest.mark.parametrize("bad", ["../../x", "1.2\n3", "١.٢", "1" * 65, "1..2", CANARY])
@pytest.mark.parametrize("name", ["StudyInstanceUID", "0020000D"])
def test_a_uid_in_a_query_is_judged_too(client, name, bad):
    answer = client.get("/dicom-web/studies", query_string={name: bad})
    assert_refused(answer, name, sent=bad)


def test_leading_zeros_are_found_but_not_stored(client):
    """H2: real archives hold them."""
    assert client.get("/dicom-web/studies/1.2.03").status_code == 503  # the site was asked
    assert_refused(client.post("/dicom-web/studies/1.2.03"), "study")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("PatientName=%C8%E2%E0%ED%EE%E2", "PatientName"),
        ("PatientID=%C0%AE", "PatientID"),
        ("limit=-1", "limit"),
        ("limit=0", "limit"),
        ("limit=abc", "limit"),
        ("limit=1e9", "limit"),
        ("limit=1.5", "limit"),
        ("limit=%D9%A1", "limit"),
        ("limit=0x10", "limit"),
        ("limit=" + "9" * 400, "limit"),
        ("limit=1&limit=2", "limit"),
        ("limit=1%0d%0aX-Evil:1", "limit"),
        ("offset=-1", "offset"),
        ("offset=1000000000000000000", "offset"),
        ("offset=1000001", "offset"),
        ("offset=NaN", "offset"),
        ("fuzzymatching=maybe", "fuzzymatching"),
        ("emptyvaluematching=2", "emptyvaluematching"),
        ("StudyInstanceUID=" + ",".join(f"1.{n}" for n in range(101)), "StudyInstanceUID"),
        ("&".join(f"StudyInstanceUID=1.{n}" for n in range(101)), "StudyInstanceUID"),
        ("includefield=" + ",".join(f"0009{n:04X}" for n in range(1, 200)), "includefield"),
        ("&".join("a=b" for _ in range(1001)), "query"),
        ("0010%2C0010=1", "query"),
        ("%3Cscript%3E=1", "query"),
        (".".join(["RequestAttributesSequence"] * 50) + "=1", "query"),
        ("PatientID.PatientName=1", "query"),
        ("GGGGEEEE=1", "GGGGEEEE"),
        ("PatientNam=x", "PatientNam"),
        ("StudyDate=2024-01-01-x", "StudyDate"),
        ("StudyDate=canary-zq", "StudyDate"),
        ("StudyTime=99", "StudyTime"),
        ("PatientName=" + "a" * 5000, "PatientName"),
        ("PatientName=" + "*a" * 40, "PatientName"),
        ("PatientID=%00", "PatientID"),
        ("PatientID=a%0ab", "PatientID"),
    ],
    ids=lambda value: value[:40] if len(value) < 5000 else "long",
)
def test_a_parameter_that_is_wrong_is_400_and_named(client, query, field):
    """H3, H24-H28, H67. The value is a patient's: it is never shown."""
    answer = client.get(f"/dicom-web/studies?{query}")
    assert_refused(answer, field, sent=query.partition("=")[2])
    assert "X-Evil" not in answer.headers


@pytest.mark.parametrize(
    "frames",
    [
        *["0", "-1", "1,0", "1,,2", ",1", "1,", "01", "99999999999", "1.5", "all", "%D9%A1"],
        *["1%0a", ",".join(["1"] * 20_000), ",".join(str(n) for n in range(1, 1100))],
    ],
    ids=lambda frames: frames if len(frames) < 20 else f"{len(frames)} letters",
)
def test_a_frame_list_that_is_wrong_is_400_and_named(client, frames):
    """H4"""
    instance = f"/dicom-web/studies/{STUDY}/series/1.2/instances/1.3"
    for below in ("", "/rendered", "/thumbnail"):
        assert_refused(client.get(f"{instance}/frames/{frames}{below}"), "frames")


@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        ("rendered", "window=1,2", "window"),
        ("rendered", "window=1,2,linear%0a", "window"),
        ("rendered", "viewport=0,0", "viewport"),
        ("rendered", "viewport=999999,1", "viewport"),
        ("rendered", "quality=101", "quality"),
        ("rendered", "annotation=canary-zq", "annotation"),
        ("thumbnail", "viewport=-1,-1", "viewport"),
    ],
)
def test_a_rendering_parameter_that_is_wrong_is_400_and_named(client, path, query, field):
    assert_refused(client.get(f"/dicom-web/studies/{STUDY}/{path}?{query}"), field)


@pytest.mark.parametrize(
    "bulk", ["..%2f..%2fsystem", "../../system", "7fe00010%00", "7fe00010%0a", "a/" * 60 + "a"]
)
def test_a_bulk_data_path_cannot_leave_its_instance(client, bulk):
    instance = f"/dicom-web/studies/{STUDY}/series/1.2/instances/1.3"
    assert_refused(client.get(f"{instance}/bulkdata/{bulk}"), None, (400, 404))


@pytest.mark.parametrize(
    "accept",
    [
        "text/html",
        "application/dicom+xml",
        'multipart/related; type="text/html"',
        "*/*; q=0",
        "application/dicom; q=NaN",
        "application/dicom; q=-1",
        "application/dicom; q=2",
        "canary-zq",
        "/",
        ";a=b",
        "application/dicom;;;=",
        'multipart/related; type="application/dicom',
        'multipart/related; type="application/dicom"; transfer-syntax=canary-zq',
        'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.2',
        ",".join(["text/html;q=0.5"] * 500),
        "a" * 8000,
        "application/dicom" + ";a=b" * 2000,
    ],
    ids=lambda accept: accept[:30],
)
@pytest.mark.parametrize("below", ["", "/series/1.2/instances/1.3/frames/1"])
def test_an_accept_that_cannot_be_met_is_refused_and_named(client, accept, below):
    """H23"""
    answer = client.get(f"/dicom-web/studies/{STUDY}{below}", headers={"Accept": accept})
    assert_refused(answer, "Accept", (400, 406))


@pytest.mark.parametrize(
    "path",
    [
        "/canary-zq",
        "/dicom-web",
        "/dicom-web/",
        "/dicom-web/canary-zq",
        "/dicom-web/patients",
        f"/dicom-web/studies/{STUDY}/canary-zq",
        f"/dicom-web/studies/{STUDY}/series/1.2/canary-zq",
        f"/dicom-web/studies/{STUDY}/series/1.2/instances/1.3/frames",
        "/dicom-web//studies",
        "/dicom-web/../system",
        "/tools/find",
        "/instances",
        "/sites/canary-zq/dicom-web/studies",
        "/sites/..%2f/dicom-web/studies",
        "/.git/config",
    ],
)
def test_a_resource_that_is_unknown_is_404(client, path):
    answer = client.get(path)
    known_to_flask = "/sites/canary" in path
    assert_refused(answer, None if known_to_flask else "path", 404)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "PROPFIND", "CANARY-ZQ"])
@pytest.mark.parametrize("below", ["", f"/{STUDY}", f"/{STUDY}/metadata"])
def test_other_methods_are_405_and_name_the_allowed(client, method, below):
    """H89: the gateway deletes nothing."""
    answer = client.open(f"/dicom-web/studies{below}", method=method)
    assert_refused(answer, "method", 405)
    assert "GET" in answer.headers["Allow"]
    assert "DELETE" not in answer.headers["Allow"]


def test_a_method_cannot_be_overridden(client):
    for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        answer = client.get(f"/dicom-web/studies/{STUDY}", headers={name: "DELETE"})
        assert answer.status_code == 503  # a plain GET, whose only site is silent


# ---- store


def store(client: FlaskClient, body: bytes, content_type: str, **headers: str) -> TestResponse:
    return client.post(
        "/dicom-web/studies", data=body, headers={"Content-Type": content_type, **headers}
    )


RELATED = 'multipart/related; type="application/dicom"'
GOOD_PART = b"--b\r\nContent-Type: application/dicom\r\n\r\nxx\r\n"


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("", 415),
        ("application/dicom", 415),
        ("application/zip", 415),
        ("multipart/form-data; boundary=b", 415),
        ('multipart/related; type="text/html"; boundary=b', 415),
        ('multipart/related; type="image/svg+xml"; boundary=b', 415),
        ('multipart/related; type="application/xml"; boundary=b', 415),
        (RELATED, 400),
        (f"{RELATED}; boundary=", 400),
        (f'{RELATED}; boundary=""', 400),
        (f"{RELATED}; boundary={'b' * 71}", 400),
        (f'{RELATED}; boundary="a\tb"', 400),
        (f'{RELATED}; boundary="граница"'.encode().decode("latin-1"), 400),
        (f'{RELATED}; boundary="unclosed', 400),
        (f"{RELATED}; boundary=b, {RELATED}; boundary=c", 400),
    ],
    ids=lambda value: str(value)[-40:],
)
def test_a_store_of_a_wrong_kind_is_refused_before_its_body(client, content_type, status):
    """H13, H18"""
    answer = store(client, GOOD_PART + b"--b--\r\n", content_type)
    assert_refused(answer, "Content-Type", (status, 400) if status == 415 else status)


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "deflate", "gzip, gzip", "canary-zq"])
def test_a_coded_body_is_415(client, coding):
    """H20: a bomb is never unpacked, and no site gets it."""
    body = GOOD_PART + b"--b--\r\n"
    answer = store(client, body, f"{RELATED}; boundary=b", **{"Content-Encoding": coding})
    assert_refused(answer, "Content-Encoding", 415)


def part(*headers: bytes, body: bytes = b"xx") -> bytes:
    return b"--b\r\n" + b"".join(line + b"\r\n" for line in headers) + b"\r\n" + body + b"\r\n"


END = b"--b--\r\n"
DICOM_LINE = b"Content-Type: application/dicom"
BODIES = {
    "nothing": (b"", 400),
    "only the end": (END, 400),
    "no boundary at all": (b"canary-zq" * 100, 400),
    "no boundary in 1 MB": (b"\r\n-" * 350_000, 400),
    "no closing boundary": (GOOD_PART, 400),
    "closing boundary cut": (GOOD_PART + b"--b-", 400),
    "cut in a header": (b"--b\r\nContent-Ty", 400),
    "another boundary": (GOOD_PART.replace(b"--b", b"--c") + b"--c--\r\n", 400),
    "bare LF": ((GOOD_PART + END).replace(b"\r\n", b"\n"), 400),
    "21 headers": (part(*(b"X-%d: a" % n for n in range(21))) + END, 400),
    "a million headers": (b"--b\r\n" + b"a: b\r\n" * 170_000, 400),
    "a header of 9 KB": (part(b"X: " + b"a" * 9000) + END, 400),
    "a header of 1 MB": (part(b"X: " + b"a" * 1_000_000) + END, 400),
    "a header without a colon": (part(b"canary-zq") + END, 400),
    "a header twice": (part(DICOM_LINE, DICOM_LINE) + END, 400),
    "text on the boundary line": (b"--b canary-zq\r\n\r\nxx\r\n" + END, 400),
    "CR flood after the boundary": (b"--b" + b"\r" * 1_000_000 + b"\r\n\r\nxx\r\n" + END, 400),
    "CR flood in a part": (b"--b\r\n\r\n" + b"\r" * 1_000_000, 400),
    "almost boundaries": (b"--b\r\n\r\n" + b"\r\n--" * 250_000, 400),
    "a part of HTML": (part(b"Content-Type: text/html") + END, 415),
    "a part of SVG": (part(b"Content-Type: image/svg+xml") + END, 415),
    "a ZIP": (part(b"Content-Type: application/zip") + END, 415),
    "a nested multipart": (part(b"Content-Type: multipart/related; boundary=c") + END, 400),
    "a packed part": (part(DICOM_LINE, b"Content-Encoding: gzip") + END, 415),
    "a part in base64": (part(DICOM_LINE, b"Content-Transfer-Encoding: Base64") + END, 415),
    "HTML after nonsense": (part(DICOM_LINE) + part(b"Content-Type: text/html") + END, 415),
}


@pytest.mark.parametrize(("body", "status"), BODIES.values(), ids=list(BODIES))
def test_a_multipart_body_that_is_broken_is_refused(client, body, status):
    """H13-H18: in time that grows with its size and no faster, with nothing stored."""
    assert_refused(store(client, body, f"{RELATED}; boundary=b"), "body", status)


@pytest.mark.parametrize(
    "boundary", ["--", "----b", "b'()+_,-./:=?", "a b"], ids=["dashes", "more", "marks", "blank"]
)
def test_a_strange_but_allowed_boundary_is_read(client, boundary):
    """H17"""
    body = GOOD_PART.replace(b"--b", b"--" + boundary.encode())
    body += b"--" + boundary.encode() + b"--\r\n"
    answer = store(client, body, f'{RELATED}; boundary="{boundary}"')
    # Read to its end: the one part is no DICOM, which is said of that part (FailureReason C000).
    assert (answer.status_code, answer.content_type) == (400, "application/dicom+json")
    (item,) = answer.get_json()["0008119A"]["Value"]
    assert item["00081197"]["Value"] == [0xC000]


def test_too_many_parts_end_the_request(client):
    """H16"""
    body = b"--b\r\n\r\n\r\n" * 100_001 + END
    assert_refused(store(client, body, f"{RELATED}; boundary=b"), "body", (400, 413))


def test_a_body_beyond_the_limit_is_413_before_it_is_read(client):
    """H10"""

    class Untouchable(io.RawIOBase):
        def read(self, _size=-1):
            raise AssertionError("the body was read")

    answer = client.post(
        "/dicom-web/studies",
        headers={"Content-Type": f"{RELATED}; boundary=b"},
        environ_overrides={"wsgi.input": Untouchable(), "CONTENT_LENGTH": str(10 * 2**40)},
    )
    assert_refused(answer, "Content-Length", 413)
