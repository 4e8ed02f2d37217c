"""The six pages: one language each, nothing that their policy forbids, sent once while nothing
changes, and the numbers of the snapshot.
"""

import json
import re
from html import unescape
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from gateway.model.rollout.figures import Evidence
from gateway.web import create_app
from gateway.web.rollout import discrepancies
from gateway.web.rollout.language import LANGUAGES
from gateway.web.rollout.shown import Shown, spark
from tests.web.indexed import indexed_gateway
from tests.web.rollout.region import MAKERS

PAGES = {
    "glance": "", "facilities": "/facilities", "facility": "/facilities/f000",
    "discrepancies": "/discrepancies", "programme": "/programme", "report": "/report",
}  # fmt: skip


def words(page: str) -> str:
    """What a person reads."""
    seen = re.sub(r"<script.*?</script>|<[^>]+>", " ", page, flags=re.DOTALL)
    return " ".join(unescape(seen).split())


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("code", ["ru", "en"])
def test_a_page_is_of_one_language_and_its_links_keep_it(
    browser: FlaskClient, name: str, code: str
) -> None:
    answer = browser.get(f"/rollout{PAGES[name]}", query_string={"lang": code})
    assert (answer.status_code, answer.content_type) == (200, "text/html; charset=utf-8")
    page = answer.text
    assert f'<html lang="{code}">' in page
    main = page.partition("<main")[2]
    within = re.findall(r'href="(/rollout[^"#]*)', main)
    lost = [link for link in within if ("lang=en" in link) is not (code == "en")]
    assert lost == []
    if code == "en":  # the chart's words, too; makers and models stand as they call themselves
        left = re.sub(r'(href|value|title)="[^"]*"|"address":"[^"]*"', "", main)
        left = re.sub("|".join(word for maker in MAKERS for word in maker), "", left)
        assert re.findall(r"[А-Яа-яЁё]+", left) == []


@pytest.mark.parametrize("name", PAGES)
def test_a_page_needs_nothing_that_its_policy_forbids(browser: FlaskClient, name: str) -> None:
    answer = browser.get(f"/rollout{PAGES[name]}")
    assert "style-src 'self'; script-src 'self'" in answer.headers["Content-Security-Policy"]
    forbidden = r"style=|onclick|https?://|<script(?! defer src| type=\"module\" src| type=\"appl)"
    assert re.findall(forbidden, answer.text) == []


def test_the_region_is_told_with_both_numbers_of_each_share(
    browser: FlaskClient, shown: Shown
) -> None:
    now, ru = shown.snapshot.region, LANGUAGES["ru"]
    page = words(browser.get("/rollout").text)
    for share in (now.digital, now.connected):
        assert " ".join(f"{ru.percent(share)} {ru.of(share)}".split()) in page
    silent = now.by_evidence[Evidence.SILENT] + now.by_evidence[Evidence.NEVER]
    assert f"{silent} аппарат" in page


def test_each_chart_has_its_numbers_in_a_table(browser: FlaskClient, shown: Shown) -> None:
    page = browser.get("/rollout").text
    data = re.findall(r'data-chart="(\w+)">(.*?)</script>', page, re.DOTALL)
    charts = {name: json.loads(text) for name, text in data}
    assert list(charts) == ["curve", "kinds", "flow"]
    assert len(charts["curve"]["points"]) == len(shown.curve())
    table = page.partition('id="curve-said"')[2].partition("</table>")[0]
    assert table.count("<tr>") == len(shown.curve()) + 1
    last = shown.curve()[-1]
    assert charts["curve"]["points"][-1] == [
        str(last.day), last.digital.part, last.digital.whole,
        last.connected.part, last.connected.whole,
    ]  # fmt: skip


def test_a_page_that_has_not_changed_is_not_sent_again(browser: FlaskClient) -> None:
    first = browser.get("/rollout/facilities")
    tag = {"If-None-Match": first.headers["ETag"]}
    assert browser.get("/rollout/facilities", headers=tag).status_code == 304
    other = browser.get("/rollout/facilities?lang=en", headers=tag)
    assert (other.status_code, other.headers["ETag"] == tag["If-None-Match"]) == (200, False)


def names(page: str) -> list[str]:
    table = page.partition('<table class="many">')[2].partition("</table>")[0]
    return re.findall(r"/facilities/(f\d+)", table)


def test_facilities_are_filtered_and_sorted_by_what_is_asked(
    browser: FlaskClient, shown: Shown
) -> None:
    town = shown.facilities["f000"].municipality
    mine = {f for f, one in shown.facilities.items() if one.municipality == town}
    page = browser.get("/rollout/facilities", query_string={"municipality": town}).text
    assert set(names(page)) == mine
    assert set(names(browser.get("/rollout/facilities?words=№ 7,").text)) == {"f006"}
    by_units = names(browser.get("/rollout/facilities?sort=units").text)
    counts = [
        sum(unit.counts for unit in shown.units_of[name] if unit.kind not in ("mri", "ultrasound"))
        for name in by_units
    ]
    assert counts == sorted(counts, reverse=True)
    assert len(by_units) == 60
    turned = names(browser.get("/rollout/facilities?sort=units&turned=1").text)
    assert shown.units_of[turned[0]] == ()


def test_what_cannot_be_sorted_by_is_refused_in_the_language_of_the_page(
    browser: FlaskClient,
) -> None:
    answer = browser.get("/rollout/facilities?sort=weight&lang=en")
    assert answer.status_code == 400
    assert '<html lang="en">' in answer.text
    assert "sort" in answer.text


def test_a_facility_shows_its_units_and_what_holds_it_back(
    browser: FlaskClient, shown: Shown
) -> None:
    unit, found = shown.units_that(Evidence.SILENT)[0]
    page = words(browser.get(f"/rollout/facilities/{unit.facility_id}").text)
    days = (shown.snapshot.day - found.last_on).days
    assert f"◐ молчит {LANGUAGES['ru'].day(found.last_on)} {days}" in page
    assert "заявлено цифровыми, но снимков нет больше 30 дней" in page
    assert browser.get("/rollout/facilities/nowhere").status_code == 404


def test_discrepancies_name_every_unit_of_which_the_images_say_otherwise(
    browser: FlaskClient, shown: Shown
) -> None:
    for kind in (Evidence.NEVER, Evidence.SILENT, Evidence.UNDECLARED):
        page = browser.get(f"/rollout/discrepancies?all={kind}").text
        part = page.partition(f'<h2 id="{kind}">')[2].partition("</section>")[0]
        listed = set(re.findall(r"<code>(u[\d-]+)</code>", part))
        assert listed == {unit.unit_id for unit, _ in shown.units_that(kind)}


def test_of_many_units_the_first_are_shown_and_the_way_to_all(
    browser: FlaskClient, shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discrepancies, "MOST", 3)
    few = []
    for kind in (Evidence.NEVER, Evidence.SILENT, Evidence.UNDECLARED):
        page = browser.get("/rollout/discrepancies").text
        part = page.partition(f'<h2 id="{kind}">')[2].partition("</section>")[0]
        count = len(shown.units_that(kind))
        assert part.count("<code>") == min(count, 3)
        assert ("Показать все" in part) is (count > 3)
        few.append(count <= 3)
    assert not all(few)
    assert browser.get("/rollout/discrepancies?all=proven").status_code == 400


def test_no_page_has_a_uid_or_an_exact_small_count(browser: FlaskClient) -> None:
    for path in PAGES.values():
        page = browser.get(f"/rollout{path}").text
        assert "StudyInstanceUID" not in page
        assert re.findall(r"\b1\.2\.8\d+\.\d+\.[\d.]+", page) == []


def test_a_small_curve_turns_where_the_share_does(shown: Shown) -> None:
    declared, proven = spark(shown.curve())
    assert declared.startswith("M0 ")
    assert declared.endswith(re.search(r"[HV]\d+$", declared).group())
    assert len(proven) < 200
    assert spark(shown.curve()[:1]) == ("", "")


def test_before_the_first_snapshot_there_is_nothing_and_that_is_said(tmp_path: Path) -> None:
    with indexed_gateway(tmp_path, {"gkb1": []}) as gateway:
        answer = create_app(gateway).test_client().get("/rollout")
    assert answer.status_code == 404
    assert "Показателей ещё нет" in answer.text
