"""Destinations of region.toml: what is wrong is named with its field, and what is not allowed is
refused before anything goes there."""

import tomllib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import SettingsError
from gateway.model.destinations import Limits, allowed, with_destinations
from gateway.model.reading_region import parse_region
from gateway.model.sites import Region

HEAD = """
[region]
name_ru = "Область"
name_en = "Region"
home_site = "archive"
egress = ["pacs.federal.example:443", "10.20.0.0/16"]

[[site]]
id = "archive"
name_ru = "Архив"
name_en = "Archive"
url = "http://127.0.0.1:8042"
role = "archive"
time_zone = "Asia/Yekaterinburg"

[[site]]
id = "gkb1"
name_ru = "Больница"
name_en = "Hospital"
url = "http://127.0.0.1:8043"
"""
FEDERAL = """
[[destination]]
id = "federal"
name_ru = "Федеральный архив"
name_en = "Federal archive"
url = "https://pacs.federal.example"
username = "region"
password_file = "secrets/federal"
verify = "FETCH"
pseudonym_key_env = "FEDERAL_KEY"
[destination.limits]
parallel = 2
bytes_per_s = 10_000_000
windows = ["20:00-06:00"]
"""
NODE = """
[[destination]]
id = "old"
kind = "dicom"
modality = "OLDPACS"
"""


def parse(document: str) -> Region:
    read = tomllib.loads(HEAD + document)
    return with_destinations(
        parse_region(read, lambda kind, ref: f"{kind}:{ref}"),
        read,
        lambda kind, ref: f"{kind}:{ref}:long enough",
    )


def mistakes(document: str) -> str:
    with pytest.raises(SettingsError) as caught:
        parse(document)
    return "\n".join(caught.value.mistakes)


def test_an_archive_is_a_destination_without_being_named_as_one() -> None:
    [archive] = parse("").destinations
    assert (archive.destination_id, archive.kind, archive.server, archive.verify) == (
        "archive",
        "dicomweb",
        parse("").site("archive"),
        ("SET", "CHECKSUM", "FETCH"),
    )


def test_a_destination_is_read_whole() -> None:
    federal = parse(FEDERAL).destination("federal")
    assert federal is not None
    assert federal.server is not None
    assert (federal.kind, federal.verify, federal.limits.share_bytes_per_s) == (
        "dicomweb",
        ("SET", "FETCH"),
        5_000_000,
    )
    assert (federal.server.password, federal.pseudonym_key) == (
        "file:secrets/federal:long enough",
        "env:FEDERAL_KEY:long enough",
    )
    assert (federal.server.guarded, "long enough" in repr(federal)) == (True, False)


def test_a_node_without_an_address_is_asked_by_c_find_alone() -> None:
    old = parse(NODE).destination("old")
    assert old is not None
    assert (old.server, old.verify, old.modality) == (None, ("SET",), "OLDPACS")


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (FEDERAL.replace('pacs.federal.example"', 'evil.example"'), "url lies outside"),
        (FEDERAL.replace("https://pacs.federal.example", "http://169.254.169.254"), "url lies"),
        (FEDERAL.replace("https:", "http:"), "url lies outside"),
        (FEDERAL.replace("https://pacs", "file://pacs"), "url is no http(s) address"),
        (FEDERAL.replace('"FETCH"', '"HOPE"'), "verify is no way to verify"),
        (FEDERAL.replace('"FETCH"', '["COMMIT"]'), "verify has COMMIT without a modality"),
        (FEDERAL.replace('["20:00-06:00"]', '["night"]'), "limits: windows is no list"),
        (FEDERAL.replace("parallel = 2", "parallel = 0"), "limits: parallel is no such number"),
        (FEDERAL.replace('"federal"', '"Federal!"'), "id has letters"),
        (FEDERAL + 'color = "red"', "limits: color is no known key"),
        (FEDERAL.replace("url =", "site = 'archive'\nurl ="), "url stands beside site"),
        (NODE.replace('modality = "OLDPACS"', ""), "modality is missing for kind dicom"),
        (NODE + 'verify = "CHECKSUM"', "verify needs an address to ask"),
        ('[[destination]]\nid = "x"', "url is missing"),
        ('[[destination]]\nid = "x"\nsite = "gone"', 'no site has the id "gone"'),
        (NODE + NODE, '"old" is used twice'),
    ],
)
def test_a_mistake_is_named_with_its_field(document: str, words: str) -> None:
    assert words in mistakes(document)


@pytest.mark.parametrize(
    ("url", "answer"),
    [
        ("https://pacs.federal.example/dicom-web", True),
        ("https://PACS.federal.example", True),
        ("https://pacs.federal.example:8443", False),
        ("https://sub.pacs.federal.example", False),
        ("https://pacs.federal.example.evil.org", False),
        ("http://10.20.3.4:8042", True),
        ("http://10.21.3.4", False),
        ("http://0x0a140304", False),
        ("http://[::1]", False),
        ("http://localhost:6379", False),
    ],
)
def test_only_what_the_operator_names_is_allowed(url: str, answer: bool) -> None:
    """H32"""
    assert allowed(url, ["pacs.federal.example:443", "10.20.0.0/16"]) is answer


@given(st.text(max_size=60), st.lists(st.text(max_size=20), max_size=3))
def test_no_address_can_break_the_check(url: str, egress: list[str]) -> None:
    assert allowed(url, egress) in (True, False)
    assert allowed(url, []) is False


@pytest.mark.parametrize(
    ("windows", "hour", "is_open"),
    [
        (("00:00-24:00",), 12, True),
        (("20:00-06:00",), 12, False),
        (("20:00-06:00",), 23, True),
        (("20:00-06:00",), 5, True),
        (("06:00-08:00", "12:00-13:00"), 12, True),
    ],
)
def test_windows_hold_in_the_zone_of_the_destination(
    windows: tuple[str, ...], hour: int, is_open: bool
) -> None:
    limits = Limits(windows=windows, time_zone="Asia/Yekaterinburg")
    assert limits.is_open(datetime(2026, 1, 2, (hour - 5) % 24, 30, tzinfo=UTC)) is is_open
