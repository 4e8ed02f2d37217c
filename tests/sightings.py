"""Sites that show studies of machines, straight into the index, and what is counted of them."""

import threading
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from gateway.dicom.attributes import make, tag_of
from gateway.model.rollout.senders import shown_by
from gateway.records.evidence import load_clock, load_senders, load_studies
from gateway.records.indexing import Cursor, IndexRow, IndexWriter
from gateway.records.sightings import Witness

ZONE = ZoneInfo("Asia/Yekaterinburg")
NOW = datetime(2026, 3, 10, 20, 30, tzinfo=UTC)  # half past one of the 11th at the site
TODAY = date(2026, 3, 11)
XRAY = {"Manufacturer": "АМИКО", "ManufacturerModelName": "ПроГраф", "DeviceSerialNumber": "0042"}


def element(**said):
    return {tag_of(name): make(name, value) for name, value in said.items()}


def a_study(number, *series, study_date="", changed_at=None, **said):
    """A row of the index whose series say so; each a dict of keywords."""
    record = element(**said)
    found = [element(**{"Modality": "DX", **one}) for one in series or (XRAY,)]
    uid = f"1.2.{number}"
    moments = "study_date", "study_time"
    person = "patient_id", "issuer", "name_key", "name_latin", "birth_date", "sex", "alike"
    columns = dict.fromkeys((*moments, *person, "numbers", "accession_number"), "")
    rest = {"modalities": "", "odd": False, "record": b"{}", "series_count": 1, "mark": "m"}
    row = {"study_uid": uid, "orthanc_id": uid, "instance_count": 1, "changed_at": changed_at}
    study = {**columns, **rest, **row, "study_date": study_date}
    return IndexRow(study, [], shown_by(record, found, ZONE))


class Region:
    """Sites that show studies, and what was counted of them."""

    def __init__(self, records):
        self.records, self.turn = records, threading.Lock()

    def show(self, *rows, site_id="gkb1", now=NOW, filling=False, gone=()):
        cursor = Cursor(1, "", "filling" if filling else "following", 0, 0, now)
        witness = Witness(site_id, site_id == "archive", ZONE)
        writer = IndexWriter(self.records, site_id, None, self.turn, witness)
        writer.save(cursor, rows, gone, now)

    def counted(self, day=TODAY):
        """{(site, serial number): (first day, last day, studies of the last 30)}"""
        return {
            (one.sender.site_id, one.sender.serial): (
                one.first_on.isoformat(), one.last_on.isoformat(), one.studies_30
            )
            for one in load_senders(self.records, day)
        }  # fmt: skip

    def studies(self):
        found = load_studies(self.records, date(1990, 1, 1), TODAY + timedelta(days=9))
        return {
            site: {day.isoformat(): n for day, n in days.items()} for site, days in found.items()
        }

    def clock(self):
        return {key: dict(counts) for key, counts in load_clock(
            self.records, date(1990, 1, 1), TODAY + timedelta(days=9)
        ).items()}  # fmt: skip
