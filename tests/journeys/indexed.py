"""Rows of the study index written by hand, so that a running gateway knows content versions."""

from pathlib import Path

import sqlalchemy as sa

from gateway.clock import utc_now
from gateway.records.engine import open_records
from gateway.records.studies import series, site_cursor, study


def write_study(state_dir: Path, site_id: str, study_uid: str, mark: str) -> None:
    """Let the index say that the site is followed and holds this version of a study."""
    records = open_records(f"sqlite:///{(state_dir / 'gateway.db').absolute()}")
    columns: dict[str, object] = {
        column.name: {"INTEGER": 1, "BOOLEAN": False, "BLOB": b"{}"}.get(str(column.type), "")
        for column in study.columns
    }
    now = utc_now()
    columns |= {"changed_at": None, "first_seen_at": now, "indexed_at": now}
    columns |= {"site_id": site_id, "study_uid": study_uid, "mark": mark}
    with records.engine.begin() as connection:
        connection.execute(sa.delete(study).where(study.c.study_uid == study_uid))
        connection.execute(sa.delete(site_cursor).where(site_cursor.c.site_id == site_id))
        connection.execute(sa.insert(study).values(columns))
        connection.execute(
            sa.insert(site_cursor).values(
                site_id=site_id, seq=1, fingerprint="", phase="following", filled=1, to_fill=1,
                fill_began_at=now, read_at=now, swept_at=now,
            )
        )  # fmt: skip
    records.engine.dispose()


def write_series(state_dir: Path, site_id: str, study_uid: str, series_uid: str, mark: str) -> None:
    """Let the index say that the site holds this state of a series; "": it does not know."""
    records = open_records(f"sqlite:///{(state_dir / 'gateway.db').absolute()}")
    row = {
        "site_id": site_id, "study_uid": study_uid, "series_uid": series_uid, "modality": "CT",
        "instance_count": 1, "mark": mark, "record": b"{}", "first_seen_at": utc_now(),
    }  # fmt: skip
    with records.engine.begin() as connection:
        connection.execute(sa.delete(series).where(series.c.series_uid == series_uid))
        connection.execute(sa.insert(series).values(row))
    records.engine.dispose()
