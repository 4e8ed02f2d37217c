"""A gateway in this process whose index holds given rows; its sites answer nothing at all."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from gateway.bootstrap import Gateway, build_gateway
from gateway.clock import utc_now
from gateway.dicom.attributes import Dataset, Level, level_of, make, tag_of
from gateway.index.columns import series_columns, study_columns
from gateway.records.studies import series, site_cursor, study
from gateway.settings import Settings

SITE = """
[[site]]
id = "{id}"
name_ru = "Больница {id}"
name_en = "Hospital {id}"
url = "http://127.0.0.1:9"
role = "{role}"
"""
SITES = ("gkb1", "zlat", "archive")


def row(**attributes: object) -> Dataset:
    """Values by keyword; a list is several values, a dict of keywords is an item of a sequence."""
    made: Dataset = {}
    for name, found in attributes.items():
        values = found if isinstance(found, list) else [found]
        values = [row(**v) if isinstance(v, dict) and "Alphabetic" not in v else v for v in values]
        made[tag_of(name) or name] = make(name, *values)
    return made


def held(site_id: str, rows: Sequence[Dataset], seen: datetime) -> tuple[list[dict], list[dict]]:
    """Rows of the tables `study` and `series`, of one dataset for each series."""
    studies: dict[str, dict[str, Any]] = {}
    all_series = []
    for found in rows:
        study_uid = found["0020000D"]["Value"][0]
        above = {tag: e for tag, e in found.items() if level_of(tag) is Level.STUDY}
        below = {tag: e for tag, e in found.items() if level_of(tag) is Level.SERIES}
        studies[study_uid] = {
            "site_id": site_id,
            "study_uid": study_uid,
            "orthanc_id": "",
            "mark": "",
            "series_count": 1,
            "instance_count": 1,
            "record": json.dumps(above).encode(),
            "changed_at": None,
            "first_seen_at": seen,
            "indexed_at": seen,
            **study_columns(above),
        }
        all_series.append(
            {
                "site_id": site_id,
                "series_uid": found["0020000E"]["Value"][0],
                "study_uid": study_uid,
                "instance_count": 1,
                "record": json.dumps(below).encode(),
                **series_columns(below),
            }
        )
    return list(studies.values()), all_series


def write(gateway: Gateway, rows: Mapping[str, Sequence[Dataset]]) -> None:
    """The whole index anew."""
    seen = utc_now() - timedelta(hours=1)
    with gateway.records.write() as connection:
        for table in (study, series):
            connection.execute(sa.delete(table))
        for site_id, found in rows.items():
            studies, all_series = held(site_id, found, seen)
            if studies:
                connection.execute(sa.insert(study), studies)
                connection.execute(sa.insert(series), all_series)


def follow(gateway: Gateway, site_id: str, **columns: Any) -> None:
    """The state of one site in the index; by default it was read to its end a moment ago."""
    now = utc_now()
    state = {
        "site_id": site_id,
        "seq": 1,
        "fingerprint": "",
        "phase": "following",
        "filled": 1,
        "to_fill": 1,
        "fill_began_at": now - timedelta(hours=1),
        "read_at": now,
        "swept_at": now,
    } | columns
    with gateway.records.write() as connection:
        connection.execute(sa.delete(site_cursor).where(site_cursor.c.site_id == site_id))
        connection.execute(sa.insert(site_cursor), [state])
    gateway._states_at = 0.0


@contextmanager
def indexed_gateway(
    folder: Path, database_url: str, rows: Mapping[str, Sequence[Dataset]]
) -> Iterator[Gateway]:
    """Every site has just been read; nothing listens at their addresses."""
    tables = [SITE.format(id=s, role="archive" if s == "archive" else "hospital") for s in SITES]
    region = folder / "region.toml"
    head = '[region]\nname_ru = "Область"\nname_en = "Region"\n'
    region.write_text(head + "".join(tables), encoding="utf-8")
    settings = Settings(
        region=region,
        state_dir=folder,
        database_url=database_url,
        redis_url="redis://127.0.0.1:1/0",
        max_index_age_s=3600.0,
    )
    gateway = build_gateway(settings)
    write(gateway, rows)
    for site_id in SITES:
        follow(gateway, site_id)
    yield gateway
    gateway.pool.shutdown()
    gateway.records.close()
