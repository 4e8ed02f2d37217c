"""Rows as hospitals really fill them, and what of them goes into the tables."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from gateway.dicom.attributes import Dataset, make, tag_of
from gateway.index.columns import series_columns, study_columns

START = datetime(2024, 1, 1, tzinfo=UTC)

NAMES = [
    "ИВАНОВ^ПЁТР^ИЛЬИЧ", "Иванов^Петр", "IVANOV^PETR", "Иванова^Анна", "ПЕТРОВА-ВОДКИНА^АННА",
    "Petrova Vodkina^Anna", "Щербакова^Юлия", "SHCHERBAKOVA^YULIYA^I", "Алиев^Али", "Müller^Jörg",
    "O'Connor^Mary", "Ли^Ян", "Хохлов^И.И.", "100%_Name^A", "", "ь", "SMITH",
    {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}, {"Ideographic": "山田^太郎"},
    "Иванов^Пётр=Петров^Иван", "CAPLINA^NICOLAI", "Цаплин^Николай", "XOXLOV^ALEXEY^ALEXEEVICH",
    "Хохлов^Алексей", "Объедков^Цезарь", "OBIEEDKOV^CEZAR", "XACA^XACA^XACA^XACA^XACA", "Ъ^Иван",
    "Ничипоренко^Анна^Петровна", "Петров^Иван^Петрович",
]  # fmt: skip
NAME_KEYS = [
    "Иванов*",
    "иванов петр",
    "ИВАНОВ^ПЕТР*",
    "*иванов*",
    "Ivanov^P*",
    "Иванов Петр Ильич",
    "ALI*",
    "Sherbakova*",
    "SHCHERBAKOVA YULIIA",
    "Петрова*",
    "петрова водкина*",
    "muller*",
    "OConnor*",
    "?и*",
    "И?анов*",
    "*",
    "山田*",
    "Yamada=山田*",
    "Ли*",
    "Ivanov *",
    "* *",
    "100%*",
    "*_*",
    "SMITH",
    "Smith *",
    "Иванов\\SMITH",
    "ь*",
    "^",
    "Ивонов*",
    "*Щрбакова*",
    "Хохлов И И",
    "a*",
    "-",
    "*цапл*",
    "CAPL*",
    "NIC*",
    "*nicolai*",
    "*x*",
    "Алексе*",
    "*е?ей*",
    "?",
    "??*",
    "*ов ал*",
    "*a*i*",
    "хохлов алексей",
    "*петр*",
    "*п?тр*",
    "*ов*",
    "*ъ*",
    "*а*е*й*",
    "*xov*",
    "xax*",
]
WRONG_KEYS = [
    "Хохлв", "*Хохлв*", "Ивнов Петр", "*Ивано Пет*", "Ивановй", "Петорв*", "*Петрв*", "Caplena",
    "*Nikalai*", "Алексе Хохлов", "Ли", "*Ян*", "Иван*", "обедкв*", "*Ивн*", "Петрва Водкина Анна",
    "*водкна анна", "И?нов", "Ъ Ивна", "Ивановв Пе*", "ксас", "*aleksie*",
]  # fmt: skip
IDS = ["77", "7", "a1", "A1", "A_1", "A%1", "A\\1", "", " 77 ", 77, ["77", "A1"], "x" * 300, "N\0L"]
ID_KEYS = ["77", "7*", "A1", "a?", "A_*", "*%*", "?1", "*1", "A?1", "x*", "Z", "N*"]
DATES = ["20240105", "20240106", "20231231", "2024.01.05", "", None, ["20240105", "20240107"]]
DATE_KEYS = ["20240105", "20240101-20240105", "20240106-", "-20240105", "20240105\\20231231"]
TIMES = ["101530", "1015", "10", "101530.5", "235960", "", "xx", None]
TIME_KEYS = ["10", "1015-1016", "-1100", "101530.5", "2359-"]
MODALITIES = [["CT"], ["CT", "SR"], ["MR"], ["ct"], [], ["US", "PR", "CT"], ["C|T"]]
MODALITY_KEYS = ["CT", "MR,US", "C*", "ct", "CT\\SR", "X", "C|T"]


def element(name: str, found: object) -> Dataset:
    tag = tag_of(name)
    assert tag is not None
    if found is None:
        return {}
    return {tag: make(name, *(found if isinstance(found, list) else [found]))}


def a_record(random: Random, study_uid: str) -> Dataset:
    pick = random.choice
    return {
        **element("PatientName", pick(NAMES)),
        **element("PatientID", pick(IDS)),
        **element("AccessionNumber", pick(IDS)),
        **element("StudyDate", pick(DATES)),
        **element("StudyTime", pick(TIMES)),
        **element("ModalitiesInStudy", pick(MODALITIES)),
        **element("StudyDescription", pick(["КТ ОГК", "MRT", None])),
        **element("StudyInstanceUID", study_uid),
    }


def a_series_record(random: Random, series_uid: str) -> Dataset:
    return {
        **element("SeriesInstanceUID", series_uid),
        **element("Modality", random.choice(["CT", "MR", ["CT", "MR"], None])),
        **element("SeriesNumber", random.choice([1, 2, "10", "x", None])),
        **element("PatientName", random.choice(NAMES)),
    }


def some_params(random: Random, level: str) -> list[tuple[str, str]]:
    """Up to three keys that may meet some of the records, and the ways to match."""
    keys = {
        "PatientName": [*NAME_KEYS, *WRONG_KEYS],
        "PatientID": ID_KEYS,
        "AccessionNumber": ID_KEYS,
        "StudyDate": DATE_KEYS,
        "StudyTime": TIME_KEYS,
        "ModalitiesInStudy": MODALITY_KEYS,
        "StudyDescription": ["КТ*", "MRT"],
        "StudyInstanceUID": ["1.2.1", "1.2.1,1.2.2,1.2.3"],
    }
    if level == "series":
        keys |= {"Modality": ["CT", "M*"], "SeriesNumber": ["1", "10"]}
        keys |= {"SeriesInstanceUID": ["1.2.1.1", "1.2.1.1,1.2.2.2"]}
    names = random.sample(sorted(keys), random.choice([0, 1, 1, 1, 2, 2, 3]))
    params = [(name, random.choice(keys[name])) for name in names]
    for flag in ("fuzzymatching", "emptyvaluematching", "multiplevaluematching"):
        if random.random() < 0.25:
            params.append((flag, "true"))
    if random.random() < 0.1:
        params = [(name, '""' if name in keys else value) for name, value in params]
        params = [*dict([*params, ("emptyvaluematching", "true")]).items()]
    params.append(("limit", str(random.choice([1, 3, 10, 1000]))))
    params.append(("offset", str(random.choice([0, 0, 1, 5]))))
    return params


def study_row(
    site_id: str, study_uid: str, record: Dataset, first_seen_at: datetime
) -> Mapping[str, Any]:
    return {
        "site_id": site_id,
        "study_uid": study_uid,
        "orthanc_id": f"{abs(hash((site_id, study_uid))):044}"[:44],
        "mark": "",
        "series_count": 1,
        "instance_count": 1,
        "record": json.dumps(record).encode(),
        "changed_at": None,
        "first_seen_at": first_seen_at,
        "indexed_at": first_seen_at,
        **study_columns(record),
    }


def series_row(
    site_id: str, series_uid: str, study_uid: str, record: Dataset, first_seen_at: datetime
) -> Mapping[str, Any]:
    return {
        "site_id": site_id,
        "series_uid": series_uid,
        "study_uid": study_uid,
        "instance_count": 1,
        "record": json.dumps(record).encode(),
        "first_seen_at": first_seen_at,
        **series_columns(record),
    }


Held = tuple[str, str, Dataset, datetime]
"""Site, UID of the study, record, first seen."""


def some_studies(random: Random, count: int, sites: Iterable[str]) -> list[Held]:
    held: dict[tuple[str, str], Held] = {}
    for site_id in sites:
        for _ in range(count):
            uid = f"1.2.{random.randrange(count * 2)}"
            moment = START + timedelta(minutes=random.randrange(100))
            held[site_id, uid] = (site_id, uid, a_record(random, uid), moment)
    return list(held.values())
