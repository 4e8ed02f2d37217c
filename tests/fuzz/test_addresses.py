"""Any address: every route of every door, with anything in its places (trust.md H1-H4, H54)."""

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

import gateway.web
from tests.fuzz.door import Door
from tests.fuzz.words import header_texts, segments, texts, words
from tests.web.rows import U

PLACE = re.compile(r"<[^>]*>")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
HEADERS = (
    "Accept", "Accept-Charset", "Accept-Encoding", "Authorization", "Content-Type", "Cookie",
    "Expect", "Forwarded", "Host", "If-Match", "If-None-Match", "If-Range", "Origin", "Range",
    "X-Forwarded-For", "X-Forwarded-Host", "X-HTTP-Method-Override", "X-Request-Id",
)  # fmt: skip
MEANT = (
    "*/*", "*/*;q=NaN", 'multipart/related; type="application/dicom"; transfer-syntax=*',
    "application/dicom", "application/dicom+json", "application/dicom+xml", "image/jpeg",
    "text/html", "application/zip", "bytes=0-", "bytes=-0", "bytes=0-0,1-1", '"x"', "W/\"x\"",
    "null", "https://evil.example", "application/json", "multipart/form-data; boundary=b",
)  # fmt: skip
COMMANDS = ("accept", "contentType", "requestType", "charset", "quality", "viewport", "window",
            "studyUID", "seriesUID", "objectUID", "frameNumber", "rows", "columns", "back",
            "site", "lane", "state", "page", "lang")  # fmt: skip
PAGES = (Path(gateway.web.__file__).parent / "templates").rglob("*.html")
FIELDS = sorted({name for page in PAGES for name in re.findall(r' name="(\w+)"', page.read_text())})
FILLED = ("1", "0", "gkb1", "archive", "2026-01-01", "2026-01-01T10:00", "on", "10:00-11:00",
          "3.7", "2147483648", "99999999999999999999", "0001-01-01", "9999-12-31", "{}",
          "rules: []")  # fmt: skip


@given(data=st.data())
def test_no_address_brings_a_fault(door: Door, data: st.DataObject) -> None:
    rules = sorted({rule.rule for rule in door.app.url_map.iter_rules()})
    rule = data.draw(st.sampled_from(rules))
    path = PLACE.sub(lambda _: data.draw(segments), rule)
    asked = data.draw(st.dictionaries(st.one_of(st.sampled_from(COMMANDS), texts), texts))
    door.ask(data.draw(st.sampled_from(METHODS)), path, query_string=asked)


@given(data=st.data())
def test_no_header_brings_a_fault(door: Door, data: st.DataObject) -> None:
    rules = sorted(r.rule for r in door.app.url_map.iter_rules() if "GET" in (r.methods or ()))
    path = PLACE.sub("1.2.840.9.1", data.draw(st.sampled_from(rules)))
    told = st.one_of(st.sampled_from(MEANT), header_texts)
    headers = data.draw(st.lists(st.tuples(st.sampled_from(HEADERS), told), max_size=6))
    door.ask("GET", path, headers=[(name, value.strip()) for name, value in headers])


@given(data=st.data())
def test_no_form_brings_a_fault(door: Door, data: st.DataObject) -> None:
    rules = sorted(r.rule for r in door.app.url_map.iter_rules() if "POST" in (r.methods or ()))
    path = PLACE.sub("1.2.840.9.1", data.draw(st.sampled_from(rules)))
    kinds = ("application/x-www-form-urlencoded", "application/json", "text/plain", "",
             "multipart/form-data; boundary=b", "application/yaml", "application/dicom+json",
             'multipart/related; type="application/dicom"; boundary=b')  # fmt: skip
    body = data.draw(st.one_of(st.binary(max_size=300), texts.map(str.encode)))
    headers = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    kind = data.draw(st.sampled_from(kinds))
    door.ask("POST", path, data=body, content_type=kind, headers=headers)


@given(data=st.data())
def test_no_field_of_a_form_brings_a_fault(form_door: Door, data: st.DataObject) -> None:
    """As the one above, but past the question where a form comes from."""
    rules = sorted(
        r.rule
        for r in form_door.app.url_map.iter_rules()
        if "POST" in (r.methods or ()) and "dicom-web" not in r.rule
    )
    values = st.one_of(st.sampled_from(FILLED), words)
    places = st.one_of(st.sampled_from(("1", "gkb1", f"{U}.1")), segments)
    path = PLACE.sub(lambda _: data.draw(places), data.draw(st.sampled_from(rules)))
    fields = data.draw(st.dictionaries(st.sampled_from(FIELDS), values, max_size=10))
    headers = {"Origin": form_door.base_url, "Sec-Fetch-Site": "same-origin"}
    form_door.ask("POST", path, data=fields, headers=headers)
