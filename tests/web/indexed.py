"""A gateway in this process whose index holds given rows, and sites that answer all they have."""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import sqlalchemy as sa
from werkzeug.test import TestResponse

from gateway.bootstrap import Gateway, build_gateway
from gateway.clock import utc_now
from gateway.dicom.attributes import Dataset, Level, level_of, text
from gateway.index.columns import series_columns, study_columns
from gateway.model.persons import with_issuer
from gateway.records.studies import series, site_cursor, study
from gateway.records.words import save_words
from gateway.settings import Settings
from tests.databases import open_without_rows
from tests.web.rows import U

SITE = """
[[site]]
id = "{id}"
name_ru = "Больница {id}"
name_en = "Hospital {id}"
url = "{url}"
kind = "{kind}"
role = "{role}"
"""


def held(site_id: str, rows: Sequence[Dataset], seen: datetime) -> tuple[list[dict], list[dict]]:
    """Rows of the tables `study` and `series`, made of datasets of instances."""
    studies: dict[str, dict[str, Any]] = {}
    all_series: dict[str, dict[str, Any]] = {}
    issuer = "" if site_id == "archive" else site_id.upper()
    for found in (with_issuer(row, issuer) for row in rows):
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
        series_uid = found["0020000E"]["Value"][0]
        all_series[series_uid] = {
            "site_id": site_id,
            "series_uid": series_uid,
            "study_uid": study_uid,
            "instance_count": 1,
            "first_seen_at": seen,
            "record": json.dumps(below).encode(),
            **series_columns(below),
        }
    return list(studies.values()), list(all_series.values())


def uids(answer: TestResponse, name: str = "StudyInstanceUID") -> list[str]:
    """What a search lists, in its order, without the root that all UIDs have."""
    return [text(found, name).removeprefix(U + ".") for found in answer.get_json()]


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
                save_words(gateway.records, connection, studies)
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
    gateway._states_now.forget()


class Stubborn(BaseHTTPRequestHandler):
    """A DICOMweb server that ignores every key and tells all it has, at the level of the path."""

    held: Sequence[Dataset]

    def do_GET(self) -> None:
        path, _, question = self.path.partition("?")
        key = {"studies": "0020000D", "series": "0020000E", "instances": "00080018"}
        rows = {row[key[path.rpartition("/")[2]]]["Value"][0]: row for row in self.held}
        asked = dict(parse_qsl(question))
        first = int(asked.get("offset", 0))
        page = list(rows.values())[first : first + int(asked.get("limit", 1000))]
        body = json.dumps(page).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/dicom+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def stubborn_sites(rows: Mapping[str, Sequence[Dataset]]) -> Iterator[dict[str, str]]:
    """Addresses of servers that hold these rows, by site id."""
    servers = [
        (site_id, ThreadingHTTPServer(("127.0.0.1", 0), type("Site", (Stubborn,), {"held": held})))
        for site_id, held in rows.items()
    ]
    for _, server in servers:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield {site_id: f"http://127.0.0.1:{server.server_port}" for site_id, server in servers}
    for _, server in servers:
        server.shutdown()
        server.server_close()


@contextmanager
def indexed_gateway(
    folder: Path,
    rows: Mapping[str, Sequence[Dataset]],
    *,
    database_url: str = "",
    live: Mapping[str, str] | None = None,
    **settings: Any,
) -> Iterator[Gateway]:
    """Every site has just been read; nothing listens at their addresses, but at those of `live`."""
    urls = dict.fromkeys(rows, "http://127.0.0.1:9") | dict(live or {})
    tables = [
        SITE.format(
            id=site_id,
            url=url,
            kind="dicomweb" if live else "orthanc",
            role="archive" if site_id == "archive" else "hospital",
        )
        for site_id, url in urls.items()
    ]
    region = folder / "region.toml"
    head = '[region]\nname_ru = "Область"\nname_en = "Region"\n'
    region.write_text(head + "".join(tables), encoding="utf-8")
    if not (database_url or (folder / "gateway.db").exists()):
        open_without_rows(f"sqlite:///{folder / 'gateway.db'}").close()
    gateway = build_gateway(
        Settings(
            region=region,
            state_dir=folder,
            database_url=database_url,
            redis_url="redis://127.0.0.1:1/0",
            **{"max_index_age_s": 3600.0, "search_deadline_s": 20.0, **settings},
        )
    )
    write(gateway, rows)
    for site_id in rows:
        follow(gateway, site_id)
    yield gateway
    gateway.pool.shutdown()
    gateway.records.close()
