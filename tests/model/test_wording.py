"""Numbers and spans as people read them."""

import pytest

from gateway.model.wording import number, span, volume


@pytest.mark.parametrize(
    ("seconds", "ru", "en"),
    [
        (-1, "0 с", "0 s"),
        (0.4, "0 с", "0 s"),
        (119, "119 с", "119 s"),
        (120, "2 мин", "2 min"),
        (5400, "90 мин", "90 min"),
        (7200, "2 ч", "2 h"),
        (3 * 86_400, "3 дн", "3 d"),
    ],
)
def test_a_span_is_told_in_the_one_unit_that_fits(seconds, ru, en):
    assert span(seconds) == (ru, en)


@pytest.mark.parametrize(
    ("count", "told"),
    [(0, "0"), (83.4, "83"), (1_234_567, "1 234 567")],
)
def test_a_number_keeps_its_thousands_apart(count, told):
    assert number(count).replace("\u00a0", " ") == told


@pytest.mark.parametrize(
    ("size_bytes", "ru", "en"),
    [
        (0, "0 Б", "0 B"),
        (999, "999 Б", "999 B"),
        (1_000, "1,0 КБ", "1.0 KB"),
        (9_940_000, "9,9 МБ", "9.9 MB"),
        (9_960_000, "10 МБ", "10 MB"),
        (517_000_000_000, "517 ГБ", "517 GB"),
        (1_234_000_000_000_000, "1 234 ТБ", "1 234 TB"),
    ],
)
def test_a_volume_is_told_in_the_one_unit_that_fits(size_bytes, ru, en):
    told = volume(size_bytes)
    assert (told.ru.replace("\u00a0", " "), told.en.replace("\u00a0", " ")) == (ru, en)
