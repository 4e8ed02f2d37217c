"""The oracle: compares every row of the index with what the sites themselves say by QIDO.

Shares no code with what fills the index: it asks each site in its own way and compares whole
records, counts and columns, and once these are equal the sizes, as far as the index knows them.
"""

from typing import Any

import orjson
import requests
import sqlalchemy as sa

from gateway.demo.servers import OrthancServer
from gateway.orthanc.asking import SERIES_FIELDS, STUDY_FIELDS
from gateway.records.engine import Records
from gateway.records.studies import series, site_cursor, study

# Rows of series do not repeat what stands in the row of their study.
STUDY_LEVEL = {
    tag for tag in STUDY_FIELDS.split(",") if tag not in SERIES_FIELDS.split(",")
} - {"0020000D"}  # fmt: skip
PATIENT_ID, ISSUER = "00100020", "00100021"
RETRIEVE_URL, STUDY_UID, SERIES_UID = "00081190", "0020000D", "0020000E"


def differences(records: Records, servers: dict[str, OrthancServer]) -> list[str]:
    """Everything in which index and sites are not equal; [] if they are."""
    wrong: list[str] = []
    for site_id, server in servers.items():
        with requests.Session() as session:
            session.auth = server.auth
            session.headers["Accept"] = "application/dicom+json"
            said = {
                "study": _ask(session, site_id, server, STUDY_FIELDS, STUDY_UID),
                "series": _ask(session, site_id, server, SERIES_FIELDS, SERIES_UID),
            }
        for table, key in ((study, "study_uid"), (series, "series_uid")):
            with records.read() as connection:
                where = sa.select(table).where(table.c.site_id == site_id)
                rows = {row[key]: dict(row) for row in connection.execute(where).mappings()}
            wrong += _compare(f"{site_id} {table.name}", rows, said[table.name])
    return wrong or [line for id_ in servers for line in _wrong_sizes(records, id_, servers[id_])]


def unknown_sizes(records: Records) -> list[str]:
    """Studies and series whose size the index does not know."""
    with records.read() as connection:
        return [
            uid
            for key in (study.c.study_uid, series.c.series_uid)
            for uid in connection.execute(sa.select(key).where(key.table.c.size_bytes.is_(None)))
            .scalars()
            .all()
        ]


def _wrong_sizes(records: Records, site_id: str, server: OrthancServer) -> list[str]:
    with records.read() as connection:
        known, inside = (
            connection.execute(
                sa.select(table).where(table.c.site_id == site_id, table.c.size_bytes.is_not(None))
            )
            .mappings()
            .all()
            for table in (study, series)
        )
        totals = sa.select(site_cursor.c.size_bytes, site_cursor.c.sized)
        total = connection.execute(totals.where(site_cursor.c.site_id == site_id)).one_or_none()
    expected = {}
    with requests.Session() as session:
        session.auth = server.auth
        for level in ("studies", "series") if known else ():
            for found in session.get(f"{server.url}/{level}?expand", timeout=60).json():
                uid = found["MainDicomTags"].get("SeriesInstanceUID", found["ID"])
                told = session.get(f"{server.url}/{level}/{found['ID']}/statistics", timeout=60)
                expected[uid] = int(told.json()["DicomUncompressedSize"])
    rows = {row["orthanc_id"]: row["size_bytes"] for row in known}
    rows |= {row["series_uid"]: row["size_bytes"] for row in inside}
    wrong = [f"{site_id} {key} has another size" for key in rows if rows[key] != expected.get(key)]
    if total is not None and total != (sum(row["size_bytes"] for row in known), len(known)):
        wrong.append(f"{site_id} has another size in all: {total}")
    return wrong


def _ask(
    session: requests.Session, site_id: str, server: OrthancServer, fields: str, key: str
) -> dict[str, Any]:
    url = f"{server.dicomweb_url}/{'studies' if key == STUDY_UID else 'series'}"
    answer = session.get(url, params=f"limit=0&includefield={fields}", timeout=60)
    answer.raise_for_status()
    found = {}
    for record in answer.json():
        lean = {tag for tag in record if key == SERIES_UID and tag in STUDY_LEVEL}
        for tag in {RETRIEVE_URL, *lean}:
            record.pop(tag, None)
        if key == STUDY_UID and record.get(PATIENT_ID, {}).get("Value"):
            issuer = {"vr": "LO", "Value": [site_id.upper()]}  # tests.fakes.a_site
            record.setdefault(ISSUER, issuer)
        found[record[key]["Value"][0]] = record
    return found


def _compare(what: str, rows: dict[str, Any], said: dict[str, Any]) -> list[str]:
    wrong = [f"{what} {uid} is missing" for uid in said.keys() - rows.keys()]
    wrong += [f"{what} {uid} does not exist" for uid in rows.keys() - said.keys()]
    for uid in said.keys() & rows.keys():
        row, record = rows[uid], said[uid]
        if orjson.loads(row["record"]) != record:
            told = {tag for tag in record if orjson.loads(row["record"]).get(tag) != record[tag]}
            more = orjson.loads(row["record"]).keys() - record.keys()
            wrong.append(f"{what} {uid} has another record: {sorted(told)} {sorted(more)}")
        wrong += [f"{what} {uid} has another {name}" for name in _wrong_columns(row, record)]
    return wrong


def _wrong_columns(row: dict[str, Any], record: dict[str, Any]) -> list[str]:
    def first(tag: str) -> Any:
        return (record.get(tag, {}).get("Value") or [""])[0]

    expected: dict[str, Any] = {"study_uid": first(STUDY_UID)}
    if "series_uid" in row:
        expected |= {"instance_count": first("00201209"), "modality": first("00080060")}
    else:
        modalities = sorted(record.get("00080061", {}).get("Value", []))
        expected |= {
            "patient_id": first("00100020"),
            "accession_number": first("00080050"),
            "study_date": first("00080020"),
            "series_count": first("00201206"),
            "instance_count": first("00201208"),
            "modalities": f"|{'|'.join(modalities)}|" if modalities else "",
        }
    return [name for name, value in expected.items() if row[name] != value]
