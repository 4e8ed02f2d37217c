"""region.toml: every mistake is told at once, with what to write instead."""

import tomllib
from dataclasses import replace

import pytest

from gateway.errors import SettingsError
from gateway.model.reading_region import parse_region
from gateway.model.sites import QuirkProfile, Region

GOOD = """
[region]
name_ru = "Область"
name_en = "Region"
home_site = "north"

[[site]]
id = "north"
name_ru = "Север"
name_en = "North"
url = "https://pacs.north.example:8042/"
username = "gateway"
password_file = "secrets/north"
time_zone = "Asia/Yekaterinburg"
[site.timeouts]
search_s = 1.5

[[site]]
id = "old"
name_ru = "Старый"
name_en = "Old"
kind = "dicomweb"
dicomweb_root = "/rs"
url = "http://10.0.0.2/pacs"
"""


def parse(document: str) -> Region:
    return parse_region(tomllib.loads(document), lambda kind, ref: f"{kind}:{ref}")


def test_an_archive_issues_no_patient_ids_unless_it_is_told_to() -> None:
    archive = GOOD.replace('kind = "dicomweb"', 'role = "archive"')
    told = archive.replace('role = "archive"', 'role = "archive"\npatient_id_issuer = "REGION"')
    issuers = [[site.patient_id_issuer for site in parse(text).sites] for text in (archive, told)]
    assert issuers == [["NORTH", ""], ["NORTH", "REGION"]]


def test_what_an_operator_signs_for_is_a_risk_no_longer() -> None:
    """trust.md 1 e."""
    signed = GOOD.replace('kind = "dicomweb"', 'signed = ["plain_http"]')
    assert [
        [site.risks(QuirkProfile()) for site in parse(text).sites] for text in (GOOD, signed)
    ] == [[(), ("plain_http",)], [(), ()]]


def mistakes(document: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        parse(document)
    return caught.value.mistakes


def test_a_region_is_read_with_its_defaults() -> None:
    region = parse(GOOD)
    north, old = region.sites
    assert (region.home_site, north.password, north.timeouts.search_s, north.ae_title) == (
        "north",
        "file:secrets/north",
        1.5,
        "NORTH",
    )
    assert (old.dicomweb_url, old.kind, old.role) == (
        "http://10.0.0.2/pacs/rs",
        "dicomweb",
        "hospital",
    )


def test_a_password_never_shows_itself() -> None:
    site = parse(GOOD).sites[0]
    assert "secrets/north" not in repr(replace(site, username="other")) + f"{site!r}"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('id = "north"', 'id = "Север"', ("[[site]] 1 (Север): id", "small Latin letters")),
        ('id = "old"', 'id = "north"', ("is used twice",)),
        ('home_site = "north"', 'home_site = "south"', ("[region] home_site", "'north', 'old'")),
        ("https://pacs", "ftp://pacs", ("[[site]] 1 (north): url", "https://pacs.hospital:8042")),
        ("https://pacs", "https://me:pw@pacs", ("holds a password", "password_file")),
        ("Asia/Yekaterinburg", "Mars/Base", ("time_zone", "Asia/Yekaterinburg")),
        ("search_s = 1.5", 'search_s = "fast"', ("timeouts.search_s", "seconds")),
        ("search_s = 1.5", "serch_s = 1.5", ("serch_s", "is no known key", "search_s")),
        ('kind = "dicomweb"', 'kind = "dicom"', ("kind", "orthanc or dicomweb")),
        ('name_ru = "Старый"\n', "", ("[[site]] 2 (old): name_ru", "is missing")),
        ('password_file = "secrets/north"\n', "", ("password_file", "is missing")),
        ('kind = "dicomweb"', 'signed = ["all"]', ("[[site]] 2 (old): signed", "plain_http")),
        ('kind = "dicomweb"', 'signed = "plain_http"', ("[[site]] 2 (old): signed", "a list")),
    ],
)
def test_a_mistake_is_told_with_its_place_and_its_cure(
    old: str, new: str, words: tuple[str, ...]
) -> None:
    told = mistakes(GOOD.replace(old, new, 1))
    assert [word for word in words if not any(word in line for line in told)] == []


def test_all_mistakes_are_told_at_once() -> None:
    broken = GOOD.replace("https://pacs", "ftp://pacs").replace("Asia/Y", "Mars/Y")
    assert len(mistakes(broken)) == 2


@pytest.mark.parametrize("document", ["", "[region]", "site = 3", "[[site]]", "region = 1"])
def test_an_empty_or_wrong_document_is_a_list_of_mistakes(document: str) -> None:
    assert mistakes(document)
