import json
from datetime import UTC, datetime, timedelta

import pytest

from gateway.errors import BadRequest, BadSignature, PayloadTooLarge
from gateway.model.events import (
    BODY_LIMIT,
    SIGNATURE_HEADER,
    SITE_HEADER,
    TIMESTAMP_HEADER,
    Event,
    parse_event,
    read_event,
    sign_event,
)
from gateway.model.sites import Region, Secret, Site

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = Secret("k" * 32)
REGION = Region(
    name_ru="Область",
    name_en="Region",
    home_site="gkb1",
    sites=(
        Site("gkb1", "Первая", "First", "http://127.0.0.1:1", event_key=KEY),
        Site("zlat", "Вторая", "Second", "http://127.0.0.1:2"),
    ),
)
ORTHANC_ID = "6816cb19-844d5aee-85245eba-28e841e6-2414fae2"
BODY = {
    "version": 1,
    "site": "gkb1",
    "event": "NewInstance",
    "orthanc_id": ORTHANC_ID,
    "study_uid": "1.2.840.1",
    "count": 3,
    "at": "2026-03-01T16:59:58.5+05:00",
    "plugin": "1.0",
    "orthanc": "1.10.1",
}


def _body(**changes):
    return json.dumps(BODY | changes).encode()


def _headers(body, *, key=KEY, site="gkb1", at=NOW):
    timestamp = str(int(at.timestamp()))
    return {
        SITE_HEADER: site,
        TIMESTAMP_HEADER: timestamp,
        SIGNATURE_HEADER: sign_event(key, timestamp, body),
    }


def test_signed_event_is_read():
    body = _body()
    assert read_event(REGION, _headers(body), body, NOW) == Event(
        site_id="gkb1",
        name="NewInstance",
        orthanc_id=ORTHANC_ID,
        study_uid="1.2.840.1",
        count=3,
        happened_at=datetime(2026, 3, 1, 11, 59, 58, 500000, tzinfo=UTC),
        plugin_version="1.0",
        orthanc_version="1.10.1",
        digest=parse_event(body).digest,
    )


def test_event_without_the_optional_fields_is_read():
    event = parse_event(
        json.dumps({"version": 1, "site": "gkb1", "event": "Started", "at": BODY["at"]}).encode()
    )
    assert (event.name, event.orthanc_id, event.study_uid, event.count) == ("Started", "", "", 1)


def test_same_body_has_the_same_digest_and_another_body_another():
    assert parse_event(_body()).digest == parse_event(_body()).digest
    assert parse_event(_body()).digest != parse_event(_body(count=4)).digest


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(_headers(_body(), key=Secret("x" * 32)), id="another key"),
        pytest.param(_headers(_body(count=4)), id="another body"),
        pytest.param(_headers(_body(), site="zlat", key=Secret("")), id="site without a key"),
        pytest.param(_headers(_body(), site="nobody", key=Secret("")), id="unknown site"),
        pytest.param(_headers(_body(), at=NOW - timedelta(seconds=301)), id="too old"),
        pytest.param(_headers(_body(), at=NOW + timedelta(seconds=301)), id="from tomorrow"),
        pytest.param(_headers(_body()) | {TIMESTAMP_HEADER: "soon"}, id="time is no number"),
        pytest.param(_headers(_body()) | {TIMESTAMP_HEADER: "9" * 400}, id="time of 400 digits"),
        pytest.param(_headers(_body()) | {SIGNATURE_HEADER: "v1=ключ"}, id="letters, not hex"),
        pytest.param(_headers(_body()) | {SIGNATURE_HEADER: ""}, id="no signature"),
        pytest.param({}, id="no header at all"),
    ],
)
def test_unsigned_event_is_refused(headers):
    with pytest.raises(BadSignature):
        read_event(REGION, headers, _body(), NOW)


def test_event_at_the_edge_of_the_window_is_taken():
    body = _body()
    late = NOW + timedelta(seconds=300)
    assert read_event(REGION, _headers(body), body, late).site_id == "gkb1"


def test_site_cannot_speak_for_another():
    body = _body(site="zlat")
    with pytest.raises(BadRequest, match=r"^site: "):
        read_event(REGION, _headers(body), body, NOW)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("version", 2),
        ("version", None),
        ("site", "ГКБ-1"),
        ("site", 7),
        ("event", "DeletedStudy"),
        ("event", None),
        ("orthanc_id", "../../system"),
        ("study_uid", "1.2.x"),
        ("count", 0),
        ("count", True),
        ("count", 10**9),
        ("at", "2026-03-01T12:00:00"),
        ("at", "yesterday"),
        ("at", "0001-01-01T00:00:00+14:00"),
        ("plugin", "<script>"),
        ("orthanc", "1\n2"),
    ],
)
def test_wrong_field_is_named_and_its_value_not_shown(field, value):
    with pytest.raises(BadRequest) as caught:
        parse_event(_body(**{field: value}))
    assert caught.value.field == field
    assert isinstance(value, int) or str(value) not in caught.value.problem


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b"[" * 10_000,
        b'{"version": NaN}',
        b"null",
        b'{"version": 1e400}',
        b'{"version": ' + b"9" * 400 + b"}",
        b'{"version": "\\ud800"}',
        b'{"version": 1, "version": 2}',
    ],
    ids=[
        "empty",
        "cut",
        "list",
        "no UTF-8",
        "nested",
        "NaN",
        "null",
        "beyond a float",
        "400 digits",
        "half a letter",
        "a key twice",
    ],
)
def test_body_that_is_no_object_is_refused(body):
    with pytest.raises(BadRequest):
        parse_event(body)


def test_body_above_the_limit_is_refused_before_it_is_read():
    with pytest.raises(PayloadTooLarge):
        read_event(REGION, {}, b" " * (BODY_LIMIT + 1), NOW)
