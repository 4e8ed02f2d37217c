"""The first page tells how each site stands and how far it is read, in both languages."""

import re
from collections.abc import Iterator
from datetime import timedelta
from html import unescape

import pytest

from gateway.clock import utc_now
from gateway.web import create_app
from tests.web.indexed import follow, indexed_gateway, stubborn_sites
from tests.web.rows import ROWS


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """gkb1 is read, zlat is being read, the archive is silent, a fourth site was never read."""
    folder = tmp_path_factory.mktemp("home")
    rows = {**ROWS, "new": []}
    answering = {site_id: held for site_id, held in rows.items() if site_id != "archive"}
    with stubborn_sites(answering) as urls, indexed_gateway(folder, rows, live=urls) as gateway:
        now = utc_now()
        began = {"fill_began_at": now - timedelta(minutes=10), "read_at": None}
        follow(gateway, "zlat", phase="filling", filled=25_000, to_fill=100_000, **began)
        follow(gateway, "gkb1", filled=128_450, to_fill=128_450)
        follow(gateway, "archive", filled=5, to_fill=5, read_at=now - timedelta(hours=5))
        follow(gateway, "new", phase="filling", filled=0, to_fill=0, **began)
        yield create_app(gateway).test_client().get("/").get_data(as_text=True)


def cells(page: str, name: str) -> list[str]:
    """Words of one site's row, cell by cell."""
    (found,) = [row for row in page.split("<tr>") if f"Больница {name} " in row]
    texts = [unescape(re.sub(r"<[^>]*>", " ", cell)) for cell in found.split("<td")[1:]]
    return [" ".join(text.partition(">")[2].split()) for text in texts]


def test_a_site_that_is_read_shows_its_studies_and_their_age(page):
    state, studies, answer, _ = cells(page, "gkb1")
    assert state == "● отвечает answers"
    assert re.fullmatch(r"128 450 прочитано \d+ с назад read \d+ s ago", studies)
    assert re.fullmatch(r"\d+", answer)


def test_a_site_that_is_being_read_shows_rate_share_and_time_left(page):
    told = cells(page, "zlat")[1]
    wanted = (
        "25 000 / 100 000 первое чтение, 25 %: 2 [0-9]{3} в минуту, ещё [23][0-9] мин "
        "first reading, 25 %: 2 [0-9]{3} a minute, [23][0-9] min left"
    )
    assert re.fullmatch(wanted, told)
    assert '<progress value="0.25">' in page


def test_a_reading_that_has_not_begun_promises_nothing(page):
    told = cells(page, "new")[1]
    assert told == "0 / 0 первое чтение, 0 % first reading, 0 %"


def test_a_silent_site_stands_first_and_keeps_what_is_known_of_it(page):
    state, studies, answer, _ = cells(page, "archive")
    assert "▲ соединение не устанавливается cannot be reached" in state
    assert (studies, answer) == ("5 прочитано 5 ч назад read 5 h ago", "—")
    assert page.index("Больница archive") < page.index("Больница gkb1")
    assert "▲ отвечают 3 из 4" in page
    assert "3 of 4 answer" in page


def test_the_page_needs_nothing_that_its_policy_forbids(page):
    assert re.findall(r"<script|style=|onclick|https?://(?!127\.0\.0\.1)", page) == []
