"""Numbers, dates and plurals of the ministry's pages are those of their language."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from gateway.errors import BadRequest
from gateway.model.rollout.figures import Count, Share
from gateway.model.rollout.register import english_of
from gateway.web.rollout.language import LANGUAGES, language_of
from tests.model.rollout.small_register import facility, unit

RU, EN = LANGUAGES["ru"], LANGUAGES["en"]


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", "_")


@pytest.mark.parametrize(
    ("count", "ru", "en"),
    [
        (0, "0_аппаратов", "0_units"),
        (1, "1_аппарат", "1_unit"),
        (2, "2_аппарата", "2_units"),
        (5, "5_аппаратов", "5_units"),
        (11, "11_аппаратов", "11_units"),
        (21, "21_аппарат", "21_units"),
        (112, "112_аппаратов", "112_units"),
        (1234, "1_234_аппарата", "1,234_units"),
    ],
)
def test_a_noun_agrees_with_its_number(count: int, ru: str, en: str) -> None:
    assert (plain(RU.units(count)), plain(EN.units(count))) == (ru, en)


def test_days_and_moments_are_written_as_people_write_them() -> None:
    day = date(2026, 11, 2)
    assert (RU.day(day), plain(EN.day(day))) == ("02.11.2026", "2_Nov_2026")
    assert (RU.month(day), EN.month(day)) == ("ноябрь 2026", "November 2026")
    assert (RU.day(None), EN.day(None)) == ("—", "—")
    moment = datetime(2026, 11, 2, 3, 4, tzinfo=UTC)
    assert plain(RU.moment(moment)) == "02.11.2026_03:04"


def test_a_share_is_whole_percent_with_both_of_its_numbers() -> None:
    share = Share(113, 200)  # 56.5: a half is rounded up
    assert (plain(RU.percent(share)), EN.percent(share)) == ("57_%", "57%")
    assert (plain(RU.of(Share(1, 1300))), plain(EN.of(Share(1, 1300)))) == (
        "1_из_1_300", "1_of_1,300",
    )  # fmt: skip
    assert RU.percent(Share(0, 0)) == "—"


def test_money_is_told_in_millions() -> None:
    assert plain(RU.money(230_440_000)) == "230,4 млн_₽"
    assert plain(EN.money(230_440_000)) == "RUB_230.4 million"
    assert (plain(RU.money(950_000)), RU.money(None)) == ("950_000 ₽", "—")


def test_few_studies_are_not_told() -> None:
    told = [RU.count(one) for one in (None, Count(None), Count(0), Count(None, 3), Count(12_345))]
    assert list(map(plain, told)) == ["—", "<5", "0", "<13", "12_345"]


def test_a_third_language_is_refused() -> None:
    with pytest.raises(BadRequest, match="lang"):
        language_of("de")


def test_what_the_register_calls_in_english_is_told_in_english():
    called = english_of(
        [
            facility("a", municipality="Златоуст", municipality_en="Zlatoust"),
            facility("b", municipality="Златоуст"),
            facility("c", municipality="Миасс", municipality_en="Miass"),
            facility("d", municipality="Миасс", municipality_en="Mias"),
            facility("e", municipality="Миасс", municipality_en="Miass"),
            facility("f", municipality="Верхний район", municipality_en="District"),
            facility("g", municipality="Нижний район", municipality_en="District"),
            facility("h", municipality="Сатка"),
        ],
        [unit("u1", "a", funding="Средства ОМС", funding_en="Health insurance"), unit("u2", "a")],
    )
    assert called == {
        "Златоуст": "Zlatoust", "Миасс": "Miass", "Средства ОМС": "Health insurance",
    }  # fmt: skip
    english, russian = LANGUAGES["en"], LANGUAGES["ru"]
    assert english.called("Златоуст", called) == "Zlatoust"
    assert russian.called("Златоуст", called) == "Златоуст"
    assert english.called("Нижний район", called) == "Нижний район"
    nameless = replace(facility("a"), name_ru="Больница", name_en="")
    assert english.words(nameless.name) == "Больница"
