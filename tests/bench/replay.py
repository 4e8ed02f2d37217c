"""`python -m tests.bench.replay`: how fast rules are replayed over the index of the last days.

A decision is one rule judged on one study; both versions that are compared count. The rules ask for
what the index keeps; SQLite in a temporary folder, reading and parsing of the rows included.
"""

import resource
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path

import click
import orjson
import sqlalchemy as sa

from gateway.dicom.attributes import make, tag_of
from gateway.model.routing.document import parse_rule_set
from gateway.model.routing.rule_sets import RuleSet
from gateway.model.sites import Site
from gateway.records.engine import Records, open_records
from gateway.records.schema import migrate
from gateway.records.studies import study
from gateway.routing.replay import Trial, replay

SITE = Site("gkb1", "Больница", "Hospital", "http://127.0.0.1:9")
DAY = date(2026, 11, 20)
DAYS = [DAY - timedelta(days=n) for n in range(30)]
PORTION = 5000
TARGET = 20_000
ASKED = (
    "{field: ModalitiesInStudy, op: any_of, value: [CT, MR]}",
    "{field: StudyDescription, op: contains, value: груд}",
    "{field: patient_age_years, op: between, value: [18, 60]}",
    "{field: StudyDate, op: within_last_days, value: 3}",
    "{field: PatientName, op: starts, value: иванов}",
)


def rows(count: int) -> Iterator[dict[str, object]]:
    """As many studies, spread over DAYS, as an Orthanc describes them."""
    for number in range(count):
        day, modality = DAYS[number % len(DAYS)], ("CT", "MR", "CR", "US")[number // 7 % 4]
        moment = datetime(day.year, day.month, day.day, 9, tzinfo=UTC)
        said = {
            "StudyInstanceUID": f"1.2.{number}", "StudyDate": f"{day:%Y%m%d}", "PatientSex": "M",
            "StudyTime": "101010", "PatientName": "Иванов^Пётр^Ильич", "PatientID": f"P{number}",
            "PatientBirthDate": "19700101", "ModalitiesInStudy": modality, "StudyID": "1",
            "StudyDescription": "КТ грудной клетки", "AccessionNumber": f"A{number}",
            "ReferringPhysicianName": "Врачёв^Семён", "SpecificCharacterSet": "ISO_IR 192",
            "NumberOfStudyRelatedInstances": 2, "NumberOfStudyRelatedSeries": 1,
        }  # fmt: skip
        record = {tag_of(name): make(name, value) for name, value in said.items()}
        yield {
            "site_id": "gkb1", "study_uid": f"1.2.{number}", "orthanc_id": "", "mark": "",
            "study_date": f"{day:%Y%m%d}", "study_time": f"{number % 86_400:06d}.000000",
            "accession_number": "", "patient_id": "", "name_key": "", "name_latin": "",
            "modalities": f"|{modality}|", "odd": False, "series_count": 1, "instance_count": 2,
            "size_bytes": 10**8, "record": orjson.dumps(record), "changed_at": moment,
            "first_seen_at": moment, "indexed_at": moment,
        }  # fmt: skip


def rules(count: int) -> list[RuleSet]:
    """As many rules with two conditions each."""
    body = "".join(
        f"\n  - {{id: r{n}, name: r{n}, state: active, when: {{all: [{ASKED[n % 5]}, "
        f"{ASKED[(n + 1) % 5]}]}}, then: [{{do: send, target: d{n % 7}}}]}}"
        for n in range(count)
    )
    found, _ = parse_rule_set(f"site: gkb1\nrules:{body}\notherwise: [{{do: hold, reason: x}}]\n")
    assert found is not None
    return [found]


def fill(records: Records, count: int) -> None:
    left = rows(count)
    while portion := list(islice(left, PORTION)):
        with records.write() as connection:
            connection.execute(sa.insert(study), portion)


@click.command()
@click.option("--quick", is_flag=True, help="A tenth of the studies.")
def main(quick: bool) -> None:
    """Print one line for each number of rules."""
    share = 10 if quick else 1
    print("\n| studies | rules, both versions | decisions | decisions/s of one core | target |")
    print("|--:|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as folder:
        for studies, count in ((10_000, 50), (50_000, 1)):
            records = open_records(f"sqlite:///{Path(folder) / str(count)}.db")
            migrate(records)
            fill(records, studies // share)
            begin = time.process_time()
            found = replay(records, [Trial(SITE, rules(count), rules(count))], DAYS)
            rate = found.decisions / (time.process_time() - begin)
            records.close()
            print(f"| {found.studies} | {2 * count} | {found.decisions} | {rate:.0f} | {TARGET} |")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\nAll of it, filling included, in {memory:.0f} MB.")


if __name__ == "__main__":
    main()
