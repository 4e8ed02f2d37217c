"""A large made-up index: a region's studies straight into the tables, without any site."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate, islice
from random import Random
from typing import Any

import sqlalchemy as sa

from gateway.dicom.attributes import Dataset, make, tag_of
from gateway.index.columns import study_columns
from gateway.records.engine import Records
from gateway.records.studies import series, study

BATCH = 20_000
NOW = datetime(2024, 6, 1, tzinfo=UTC)
DAYS = 5 * 365
_STEMS = """Иван Петр Сидор Смирн Кузнец Попов Васил Соколов Михайл Новик Федор Мороз Волк Алексе
Лебед Семен Егор Павл Козл Степан Никола Орл Андре Макар Никит Захар Зайц Соловь Борис Яковл
Григорь Роман Воробь Серге Фрол Александр Дмитри Корол Гус Кисел Ильи Максим Поляк Сорок
Виноград Ковал Бел Медвед Антон Тарас Жук Баран Филипп Комар Давыд Бел Герасим Богдан Осип Сидор
Матве Тит Марк Мирон Крыл Кудряв Быч Кулик Хохл Цветк Щербак Чайк Шубин Юдин Ярц Елкин"""
_ENDS = ["ов", "ев", "ин", "овский", "енко", "ук", "ских"]
_GIVEN = """Александр Дмитрий Максим Сергей Андрей Алексей Артём Илья Кирилл Михаил Никита Матвей
Роман Егор Арсений Иван Денис Евгений Тимофей Владислав Игорь Владимир Павел Руслан Марк Пётр
Анна Мария Елена Ольга Наталья Екатерина Татьяна Юлия Ирина Светлана Дарья Ксения"""
_FATHERS = "Иванович Петрович Сергеевич Ильич Юрьевич Павлович Егорович Олегович"
MODALITIES = [["CT"], ["MR"], ["DX"], ["CR"], ["US"], ["MG"], ["CT", "SR"], ["XA"], ["PT", "CT"]]
_MODALITY_WEIGHTS = [25, 15, 25, 10, 10, 6, 5, 2, 2]
_KINDS = ["ОГК", "головного мозга", "брюшной полости", "позвоночника", "коленного сустава"]


def site_names(sites: int) -> list[str]:
    return [f"hospital-{number:03}" for number in range(sites)]


def surnames() -> list[str]:
    return [stem + end for end in _ENDS for stem in dict.fromkeys(_STEMS.split())]


class _Region:
    """Draws patients and studies; the same seed draws the same region."""

    def __init__(self, studies: int, sites: int, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311 - orders works, guards nothing
        self.sites = site_names(sites)
        self.patients = max(studies // 3, 1)
        names = surnames()
        self.surnames = names
        self.weights = list(accumulate(1 / (rank + 10) for rank in range(len(names))))

    def name_of(self, patient: int) -> str:
        random = Random(patient)  # noqa: S311 - one patient, one name
        (family,) = random.choices(self.surnames, cum_weights=self.weights)
        return f"{family}^{random.choice(_GIVEN.split())}^{random.choice(_FATHERS.split())}"

    def record(self, number: int) -> Dataset:
        random = self.random
        patient = int(random.random() * self.patients)
        # More studies each year, as in life.
        day = NOW - timedelta(days=int(DAYS * random.random() ** 1.3))
        (modalities,) = random.choices(MODALITIES, _MODALITY_WEIGHTS)
        uid = f"1.2.643.5.1.13.13.12.2.{number % 97}.{number}"
        found = {
            "SpecificCharacterSet": "ISO_IR 192",
            "StudyDate": day.strftime("%Y%m%d"),
            "StudyTime": f"{random.randrange(8, 20):02}{random.randrange(60):02}"
            f"{random.randrange(60):02}",
            "AccessionNumber": f"A{number:09}",
            "ModalitiesInStudy": modalities,
            "ReferringPhysicianName": "Врач^Лечащий",
            "StudyDescription": f"{modalities[0]} {random.choice(_KINDS)}",
            "PatientName": self.name_of(patient),
            "PatientID": f"P{patient:07}",
            "PatientBirthDate": f"19{patient % 90 + 10}0101",
            "PatientSex": "MF"[patient % 2],
            "StudyInstanceUID": uid,
            "StudyID": str(number),
            "NumberOfStudyRelatedSeries": 3,
            "NumberOfStudyRelatedInstances": 200,
        }
        return {
            str(tag_of(name)): make(name, *(value if isinstance(value, list) else [value]))
            for name, value in found.items()
        }

    def rows(self, studies: int) -> Iterator[Mapping[str, Any]]:
        """One row for each study, and every twentieth once more at another site (an archive)."""
        for number in range(studies):
            record = self.record(number)
            columns = study_columns(record)
            for copy in range(2 if number % 20 == 0 else 1):
                site_id = self.sites[(number * 7 + copy) % len(self.sites)]
                yield {
                    "site_id": site_id,
                    "study_uid": record["0020000D"]["Value"][0],
                    "orthanc_id": f"{number:044}",
                    "series_count": 3,
                    "instance_count": 200,
                    "record": json.dumps(record, ensure_ascii=False).encode(),
                    "changed_at": NOW,
                    "first_seen_at": NOW,
                    "indexed_at": NOW,
                    **columns,
                }


def fill(records: Records, studies: int, sites: int = 300, seed: int = 1) -> None:
    """Make the tables and their rows; indexes come last, which is quicker."""
    tables: Sequence[sa.Table] = (study, series)
    with records.write() as connection:
        for table in tables:
            connection.execute(sa.schema.CreateTable(table))
    rows = _Region(studies, sites, seed).rows(studies)
    while some := list(islice(rows, BATCH)):
        with records.write() as connection:
            connection.execute(sa.insert(study), some)
    for table in tables:
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            with records.write() as connection:
                index.create(connection)
    if records.engine.dialect.name == "postgresql":  # what its autovacuum does within minutes
        with records.engine.connect() as connection:
            alone = connection.execution_options(isolation_level="AUTOCOMMIT")
            alone.execute(sa.text("VACUUM ANALYZE study"))
