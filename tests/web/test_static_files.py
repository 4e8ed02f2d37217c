"""Styles and scripts of pages: compressed for who takes it, and sent once."""

import gzip
from pathlib import Path

import pytest

from gateway.web import home

FOLDER = Path(home.__file__).with_name("static")
CHARTS = "vendor/echarts-6.1.0.min.js"


@pytest.mark.parametrize("name", ["gateway.css", "rollout/charts.js", CHARTS, "icon.svg"])
def test_a_text_is_packed_for_who_takes_it(client, name):
    plain = client.get(f"/static/{name}")
    packed = client.get(f"/static/{name}", headers={"Accept-Encoding": "gzip, br"})
    whole = (FOLDER / name).read_bytes()
    assert (plain.data, plain.headers.get("Content-Encoding")) == (whole, None)
    assert (gzip.decompress(packed.data), packed.headers["Content-Encoding"]) == (whole, "gzip")
    assert packed.content_length == len(packed.data)
    for answer in (plain, packed):
        assert answer.headers["Vary"] == "Accept-Encoding"
        assert answer.mimetype in home.TEXTS
    assert plain.headers["ETag"] == packed.headers["ETag"]
    assert plain.headers["ETag"].startswith("W/")
    assert plain.headers["Last-Modified"] == packed.headers["Last-Modified"]


def test_the_charts_are_a_third_of_what_they_were(client):
    packed = client.get(f"/static/{CHARTS}", headers={"Accept-Encoding": "gzip"})
    assert packed.content_length * 2.5 < (FOLDER / CHARTS).stat().st_size
    assert client.head(f"/static/{CHARTS}", buffered=True).data == b""


@pytest.mark.parametrize(
    ("name", "kept"),
    [("gateway.css", "no-cache"), (CHARTS, "public, max-age=31536000, immutable")],
    ids=["asked again", "of one version for ever"],
)
def test_what_a_browser_has_is_not_sent_again(client, name, kept):
    first = client.get(f"/static/{name}", headers={"Accept-Encoding": "gzip"})
    assert first.headers["Cache-Control"] == kept
    mine = {"If-None-Match": first.headers["ETag"]}
    with client.get(f"/static/{name}", headers=mine) as again:
        assert again.data == b""
    assert again.status_code == 304
    assert again.headers["ETag"] == first.headers["ETag"]
    assert again.headers["Vary"] == "Accept-Encoding"
    assert again.headers["Cache-Control"] == kept


def test_a_part_of_a_file_and_a_file_that_is_not_there(client):
    asked = {"Range": "bytes=0-9", "Accept-Encoding": "gzip"}
    with client.get(f"/static/{CHARTS}", headers=asked) as part:
        assert (part.status_code, part.data) == (206, (FOLDER / CHARTS).read_bytes()[:10])
        assert "Content-Encoding" not in part.headers
    assert client.get("/static/../home.py").status_code == 404
    assert client.get("/static/none.css", headers={"Accept-Encoding": "gzip"}).status_code == 404
