"""The kinds of search that are measured over a large index; keys are drawn anew for each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Any
from urllib.parse import urlencode

from gateway.dicom.attributes import Level, text, values
from gateway.dicom.query import matches, parse_query
from tests.bench.index_fill import (
    DAYS,
    MODALITIES,
    NOW,
    accession_number,
    patient_id,
    study_uid,
    surnames,
)

LIMIT = 101
Rows = Sequence[dict[str, Any]]
Params = list[tuple[str, str]]
Draw = Callable[[Random], tuple[Params, Callable[[Rows], bool]]]


@dataclass(frozen=True)
class Question:
    """One kind of search.

    draw    gives the parameters of one search, and a judge of its rows
    wanted  whether issue 3 names it: then its p95 has a target
    """

    name: str
    draw: Draw
    wanted: bool = False
    resource: str = "/studies"

    def target(self, random: Random) -> tuple[str, Callable[[Rows], bool]]:
        """Path and query of one search, and the judge of its rows."""
        params, judge = self.draw(random)
        query = urlencode([("limit", str(LIMIT)), *params])
        return f"/dicom-web{self.resource}?{query}", judge


def questions(studies: int) -> list[Question]:
    """All kinds, for an index with that many studies."""
    return [
        Question(
            "PatientID", lambda r: _key("PatientID", patient_id(r.randrange(studies // 3))), True
        ),
        Question("AccessionNumber", lambda r: _one(r.randrange(studies)), True),
        Question("name prefix (Cyrillic, any case)", _name(_prefix), True),
        Question("name prefix in Latin", _name(_latin)),
        Question("name prefix, 3 letters", _name(lambda r: r.choice(surnames())[:3].upper() + "*")),
        Question("name *part* (OHIF)", _name(lambda r: f"*{r.choice(surnames())[1:]}*"), True),
        Question("name with one error", _with_error),
        Question("day + modality", _day_and_modality(1), True),
        Question("month + modality", _day_and_modality(30), True),
        Question("opening: 101 newest", lambda _: ([], _is_page), True),
        Question("opening, page 10", lambda _: ([("offset", "909")], _is_page)),
        Question("one modality, no date", _modality),
        Question("series: 101 newest", lambda _: ([], _is_page), resource="/series"),
    ]


def _key(keyword: str, key: str) -> tuple[Params, Callable[[Rows], bool]]:
    return [(keyword, key)], lambda rows: all(text(row, keyword) == key for row in rows)


def _one(number: int) -> tuple[Params, Callable[[Rows], bool]]:
    params = [("AccessionNumber", accession_number(number))]
    return (
        params,
        lambda rows: [text(row, "StudyInstanceUID") for row in rows] == [study_uid(number)],
    )


def _newest_first(rows: Rows) -> bool:
    days = [text(row, "StudyDate") for row in rows]
    return len(rows) <= LIMIT and days == sorted(days, reverse=True)


def _is_page(rows: Rows) -> bool:
    return len(rows) == LIMIT and _newest_first(rows)


def _prefix(random: Random) -> str:
    """ "ИВАНОВ*" or "иванов*", sometimes with the first letters of the given name."""
    typed = random.choice(surnames()) + random.choice(["*", " А*", "^Е*"])
    return random.choice([str.upper, str.lower])(typed)


def _latin(random: Random) -> str:
    return random.choice(["IVANOV*", "Petrov*", "SHCHERBAKEV*", "Tsvetkin*", "KUZNETSIN*"])


def _name(type_one: Callable[[Random], str]) -> Draw:
    """Judged by the gateway's own rule for records: *ычов* finds Бычёв, however it is spelt."""

    def draw(random: Random) -> tuple[Params, Callable[[Rows], bool]]:
        params = [("PatientName", type_one(random))]
        query = parse_query(Level.STUDY, params, max_results=LIMIT)
        return params, lambda rows: all(matches(query, row) for row in rows)

    return draw


def _with_error(random: Random) -> tuple[Params, Callable[[Rows], bool]]:
    name = random.choice(surnames())
    typed = f"{name[:4]}х{name[5:]}*"
    return [("PatientName", typed), ("fuzzymatching", "true")], lambda rows: len(rows) <= LIMIT


def _has(rows: Rows, modality: str) -> bool:
    return all(modality in values(row, "ModalitiesInStudy") for row in rows)


def _day_and_modality(length: int) -> Draw:
    def draw(random: Random) -> tuple[Params, Callable[[Rows], bool]]:
        first = NOW - timedelta(days=random.randrange(DAYS))
        last = first + timedelta(days=length - 1)
        modality = random.choice(MODALITIES)[0]
        days = f"{first:%Y%m%d}" if length == 1 else f"{first:%Y%m%d}-{last:%Y%m%d}"
        params = [("StudyDate", days), ("ModalitiesInStudy", modality)]
        return (
            params,
            lambda rows: (
                _has(rows, modality)
                and all(
                    f"{first:%Y%m%d}" <= text(row, "StudyDate") <= f"{last:%Y%m%d}" for row in rows
                )
            ),
        )

    return draw


def _modality(random: Random) -> tuple[Params, Callable[[Rows], bool]]:
    modality = random.choice(MODALITIES)[0]
    return [
        ("ModalitiesInStudy", modality)
    ], lambda rows: _newest_first(rows) and _has(rows, modality)
