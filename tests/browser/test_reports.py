"""The page with a study's reports: readable on a phone and a desktop, and nothing in it runs."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import DESKTOP, PHONE, Hospitals, Watch

pytestmark = [pytest.mark.real, pytest.mark.browser]

PATIENCE_MS = 60_000


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_a_structured_report_is_read_beside_its_images(
    page: Page, hospitals: Hospitals, watch: Watch, size: tuple[int, int]
) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    study = hospitals.study("sr")["study_uid"]
    page.goto(f"{hospitals.gateway.url}/report/{study}")
    expect(page.get_by_text("рекомендовано динамическое наблюдение")).to_be_visible()
    for words in ("Протоколы исследования", "Reports of the study", "Подписание · Verification"):
        expect(page.get_by_text(words).first).to_be_visible()
    picture = page.locator(".report img").first
    picture.scroll_into_view_if_needed()
    page.wait_for_function(
        "document.querySelector('.report img').naturalWidth > 0", timeout=PATIENCE_MS
    )
    overflow = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert (overflow <= 0, watch.foreign, watch.errors, watch.refused) == (True, [], [], [])


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_a_pdf_is_shown_on_the_page(
    page: Page, hospitals: Hospitals, watch: Watch, size: tuple[int, int]
) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    study = hospitals.study("pdf")["study_uid"]
    address = f"/report/{study}"
    with page.expect_response(lambda answer: answer.url.endswith("/rendered")) as shown:
        page.goto(hospitals.gateway.url + address)
    assert shown.value.headers["content-type"] == "application/pdf"
    expect(page.locator("iframe[title^='Протокол']")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    for words in ("Протоколы исследования", "Reports of the study", "Report (PDF)"):
        expect(page.get_by_text(words).first).to_be_visible()
    # Chromium's own viewer of PDF has pages of its own.
    foreign = [url for url in watch.foreign if not url.startswith(("chrome:", "chrome-extension:"))]
    assert (foreign, watch.refused) == ([], [])
    assert [line for line in watch.errors if "Content Security Policy" in line] == []


def test_the_images_of_a_report_open_in_the_viewer(page: Page, hospitals: Hospitals) -> None:
    study = hospitals.study("sr")["study_uid"]
    page.goto(f"{hospitals.gateway.url}/report/{study}")
    page.get_by_role("link", name="Открыть снимки").click()
    page.locator(".cornerstone-canvas, canvas").first.wait_for(timeout=PATIENCE_MS)
