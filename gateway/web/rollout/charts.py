"""What the charts of the pages draw, as plain data: static/rollout/charts.js makes pictures of it.

The words of a chart go with its numbers, so that the script knows no language.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from gateway.model.rollout.figures import Evidence, Figures, Forecast
from gateway.records.snapshots import Point
from gateway.web.rollout.language import MILLION, Language
from gateway.web.rollout.words import EVIDENCE

Data = dict[str, Any]
DAYS = 30
STUDIES_A_DAY = ("Исследований в день, среднее за 30 дней", "Studies a day, mean of 30 days")


def share_chart(
    points: Sequence[Point], language: Language, forecast: Forecast | None = None
) -> Data:
    """Declared and proven share by day; with the straight line to 100 % and its band."""
    say = language.say
    data: Data = {
        "kind": "share",
        "points": [
            [
                _day(one.day),
                one.digital.part,
                one.digital.whole,
                one.connected.part,
                one.connected.whole,
            ]
            for one in points
            if one.digital.whole
        ],
        "words": {
            "declared": say("Заявлено", "Declared"),
            "proven": say("Подтверждено снимками", "Proven by images"),
            "forecast": say("Прогноз", "Forecast"),
            "band": say("Границы 95 %", "95% band"),
            "target": say("Цель 100 %", "Target 100%"),
            "of": say("из", "of"),
        },
    }
    if forecast is not None and forecast.straight is not None:
        days = (forecast.straight_from, forecast.straight, forecast.straight_to)
        data["forecast"] = [_day(day) for day in days]
    return data


def flow_chart(points: Sequence[Point], language: Language) -> Data:
    """Studies a day, as the mean of the 30 days before each day that is shown.

    Single days are not told (model/rollout/suppression.py).
    """
    rows = [[_day(one.day), one.studies / DAYS] for one in points if one.studies is not None]
    return {"kind": "flow", "rows": rows, "words": {"name": language.say(*STUDIES_A_DAY)}}


def evidence_chart(rows: Mapping[str, Figures], language: Language) -> Data:
    """Units by what the images say of them, a bar for each row."""
    return {
        "kind": "evidence",
        "names": [language.words(EVIDENCE[one]) for one in Evidence],
        "codes": [str(one) for one in Evidence],
        "rows": [
            [name, *(figures.by_evidence.get(one, 0) for one in Evidence)]
            for name, figures in rows.items()
        ],
    }


def money_chart(funding: Mapping[str, int], language: Language) -> Data:
    """Millions of roubles by line of funding."""
    return {
        "kind": "money",
        "rows": [[name, round(spent / MILLION, 1)] for name, spent in funding.items()],
        "words": {"name": language.say("Потрачено, млн ₽", "Spent, RUB million")},
        "upright": True,
    }


def months_chart(rows: Sequence[Mapping[str, Any]], language: Language) -> Data:
    """Units renewed and to be renewed, month by month."""
    return {
        "kind": "months",
        "rows": [[language.month_short(o["first"]), o["renewed"], o["planned"]] for o in rows],
        "words": {
            "renewed": language.say("Заменено или оцифровано", "Renewed"),
            "planned": language.say("По плану", "Planned"),
        },
        "upright": True,
    }


def joining_chart(rows: Sequence[Mapping[str, Any]], today: date, language: Language) -> Data:
    """Facilities that had joined, until today, and were to join, at the end of each month."""
    return {
        "kind": "joining",
        "rows": [
            [
                language.month_short(o["first"]),
                o["joined"] if o["first"] <= today else None,
                o["planned"],
            ]
            for o in rows
        ],
        "words": {
            "joined": language.say("Подключено", "Joined"),
            "planned": language.say("По плану", "Planned"),
        },
        "upright": True,
    }


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
