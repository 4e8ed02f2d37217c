"""A large made-up index: a region's studies straight into the tables, without any site.

Columns are made by gateway/index/columns.py as the keeper makes them; only the way into the tables
is another (bulk load, indexes last), because filling is not what is measured.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from itertools import accumulate, islice
from random import Random
from typing import Any

import orjson
import sqlalchemy as sa

from gateway.dicom.attributes import Dataset, make, tag_of
from gateway.index.columns import series_columns, study_columns
from gateway.records.engine import Records
from gateway.records.schema import migrate
from gateway.records.studies import series, site_cursor, study
from gateway.records.words import save_words

BATCH = 20_000
SERIES = 3
"""Series of each study."""
IMAGE_BYTES = 500_000
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
        self.studies = studies
        self.sites = site_names(sites)
        self.patients = max(studies // 3, 1)
        self.surnames, self.given, self.fathers = surnames(), _GIVEN.split(), _FATHERS.split()
        self.weights = list(accumulate(1 / (rank + 10) for rank in range(len(self.surnames))))
        self.name_of = lru_cache(self.patients)(self._name_of)

    def _name_of(self, patient: int) -> str:
        random = Random(patient)  # noqa: S311 - one patient, one name
        (family,) = random.choices(self.surnames, cum_weights=self.weights)
        return f"{family}^{random.choice(self.given)}^{random.choice(self.fathers)}"

    def record(self, number: int) -> Dataset:
        random = self.random
        patient = int(random.random() * self.patients)
        # More studies each year, as in life.
        day = NOW - timedelta(days=int(DAYS * random.random() ** 1.3))
        (modalities,) = random.choices(MODALITIES, _MODALITY_WEIGHTS)
        second = random.randrange(8 * 3600, 20 * 3600)
        found = {
            "SpecificCharacterSet": "ISO_IR 192",
            "StudyDate": f"{day.year}{day.month:02}{day.day:02}",
            "StudyTime": f"{second // 3600:02}{second // 60 % 60:02}{second % 60:02}",
            "AccessionNumber": accession_number(number),
            "ModalitiesInStudy": modalities,
            "ReferringPhysicianName": "Врач^Лечащий",
            "StudyDescription": f"{modalities[0]} {random.choice(_KINDS)}",
            "PatientName": self.name_of(patient),
            "PatientID": patient_id(patient),
            "PatientBirthDate": f"19{patient % 90 + 10}0101",
            "PatientSex": "MF"[patient % 2],
            "StudyInstanceUID": study_uid(number),
            "StudyID": str(number),
            "NumberOfStudyRelatedSeries": SERIES,
            "NumberOfStudyRelatedInstances": 200,
        }
        return {
            _tag(name): make(name, *(value if isinstance(value, list) else [value]))
            for name, value in found.items()
        }

    def rows(self) -> Iterator[tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]]:
        """(row of the study, rows of its series); every twentieth once more at an archive."""
        for number in range(self.studies):
            record = self.record(number)
            row = {
                "study_uid": study_uid(number),
                "orthanc_id": f"{number:044}",
                "series_count": SERIES,
                "instance_count": 200,
                "arriving": False,
                "size_bytes": 200 * IMAGE_BYTES,
                "record": orjson.dumps(record),
                "mark": "",
                "changed_at": NOW,
                "first_seen_at": NOW,
                "indexed_at": NOW,
                **study_columns(record),
            }
            inside = list(_series(number, record[_tag("ModalitiesInStudy")]["Value"][0]))
            for copy in range(2 if number % 20 == 0 else 1):
                site_id = {"site_id": self.sites[(number * 7 + copy) % len(self.sites)]}
                yield row | site_id, [one | site_id for one in inside]


def patient_id(patient: int) -> str:
    return f"P{patient:08}"


def accession_number(number: int) -> str:
    return f"A{number:09}"


def study_uid(number: int) -> str:
    return f"1.2.643.5.1.13.13.12.2.{number % 97}.{number}"


@cache
def _tag(name: str) -> str:
    return str(tag_of(name))


def _series(number: int, modality: str) -> Iterator[dict[str, Any]]:
    """Rows of a study's series, without site_id."""
    for place in range(1, SERIES + 1):
        template, columns = _series_template(modality, place)
        uid = f"{study_uid(number)}.{place}"
        yield {
            "study_uid": study_uid(number),
            "series_uid": uid,
            "instance_count": 60,
            "size_bytes": 60 * IMAGE_BYTES,
            "content": None,
            "mark": None,
            "first_seen_at": NOW,
            "record": template.replace(b"UID", uid.encode()),
            **columns,
        }


@cache
def _series_template(modality: str, place: int) -> tuple[bytes, dict[str, Any]]:
    found: dict[str, object] = {
        "Modality": modality,
        "SeriesDescription": "Серия",
        "SeriesInstanceUID": "UID",
        "SeriesNumber": place,
        "NumberOfSeriesRelatedInstances": 60,
    }
    record = {_tag(name): make(name, value) for name, value in found.items()}
    return orjson.dumps(record), series_columns(record)


def fill(records: Records, studies: int, sites: int = 300, seed: int = 1) -> None:
    """Make the tables and their rows; indexes come last, which is quicker."""
    migrate(records)
    indexes = sorted(study.indexes | series.indexes, key=lambda index: str(index.name))
    with records.write() as connection:
        for index in indexes:
            index.drop(connection)
    rows = _Region(studies, sites, seed).rows()
    named: set[tuple[str, str]] = set()
    held: Counter[str] = Counter(dict.fromkeys(site_names(sites), 0))
    with _loading(records) as connection:
        while some := list(islice(rows, BATCH)):
            _load(connection, study, [row for row, _ in some])
            held.update(row["site_id"] for row, _ in some)
            named |= {(row["name_key"], row["modalities"]) for row, _ in some}
            _load(connection, series, [one for _, inside in some for one in inside])
        words = [{"name_key": name, "modalities": of} for name, of in sorted(named)]
        save_words(records, connection, words)
        _follow_all(connection, held)
    with records.write() as connection:
        for index in indexes:
            index.create(connection)
    if records.engine.dialect.name == "postgresql":  # what its autovacuum does within minutes
        with records.engine.connect() as connection:
            alone = connection.execution_options(isolation_level="AUTOCOMMIT")
            alone.execute(sa.text("VACUUM ANALYZE"))


def _follow_all(connection: sa.Connection, held: Mapping[str, int]) -> None:
    """As the keeper leaves it: every site was read to the end."""
    rows = [
        {
            "site_id": site_id, "seq": 1, "fingerprint": "", "phase": "following",
            "filled": count, "to_fill": count, "fill_began_at": NOW,
            "read_at": NOW, "swept_at": NOW,
        }
        for site_id, count in held.items()
    ]  # fmt: skip
    connection.execute(sa.insert(site_cursor), rows)


@contextmanager
def _loading(records: Records) -> Iterator[sa.Connection]:
    """One transaction; a SQLite file has no journal meanwhile: cut off, it is thrown away."""
    with records.engine.connect() as connection:
        pragmas = connection.connection.dbapi_connection
        if records.engine.dialect.name == "sqlite" and pragmas is not None:
            pragmas.execute("PRAGMA journal_mode = OFF")
            pragmas.execute("PRAGMA synchronous = OFF")
        with connection.begin():
            yield connection
        if records.engine.dialect.name == "sqlite" and pragmas is not None:
            pragmas.execute("PRAGMA synchronous = FULL")
            pragmas.execute("PRAGMA journal_mode = WAL")


def _load(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    if connection.dialect.name == "sqlite":
        connection.execute(sa.insert(table), rows)
        return
    names = [column.name for column in table.columns]
    driver: Any = connection.connection.dbapi_connection
    with (
        driver.cursor() as cursor,
        cursor.copy(f"COPY {table.name} ({', '.join(names)}) FROM STDIN") as copy,
    ):
        for row in rows:
            copy.write_row([row[name] for name in names])
