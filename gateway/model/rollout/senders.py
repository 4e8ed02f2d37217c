"""Which machines a study's images come from, as the images say it, and what fits them. Pure.

Only machines that take images are evidence: reports, marks and plans are made at workstations.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo

from gateway.dicom.attributes import Dataset, integer, text

LONGEST = 64
"""Letters of a text that are kept: LO has no more (PS3.5 6.2)."""
MOST_SENDERS = 20
"""Machines of one study that are looked at: nobody is examined at more."""
NO_MACHINE = "OT"
_IMAGES = """AR BI BMD CR CT DF DG DM DS DX EC ES FA FS GM IO IVOCT IVUS LP LS MA MG MR MS
    NM OCT OP OPM OPT OPV OSS PT PX RF RG SM TG US VF XA XC"""
IMAGES = frozenset(_IMAGES.split())
"""Modalities of machines, those retired from the standard too (PS3.3 C.7.3.1.1.1)."""
_DERIVED = """ASMT ANN AU CFM CTPROTOCOL DOC ECG EEG EMG EOG EPS FID HC HD IOL KER KO LEN
    M3D OAM OPR PLAN POS PR REG RESP RTDOSE RTIMAGE RTINTENT RTPLAN RTRAD RTRECORD RTSEGANN
    RTSTRUCT RWV SEG SMR SR SRF STAIN TEXTUREMAP VA XAPROTOCOL"""
DERIVED = frozenset(_DERIVED.split())
"""What has no pixels, or none that a machine took."""
EARLIEST = date(1990, 1, 1)
"""No site has images that are older; whose date is, has a clock that was set back."""
SOON = timedelta(seconds=30)
"""A machine's clock may be ahead by so much."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\ufeff]+")
_OFFSET = re.compile(r"([+-])(\d\d)(\d\d)", re.ASCII)
_TIME = re.compile(r"(\d\d)(\d\d)?(\d\d)?(?:\.\d+)?", re.ASCII)


@dataclass(frozen=True)
class Sender:
    """What a series says of the machine that made it; texts as they stand there, "" where absent.

    manufacturer  (0008,0070), model (0008,1090), serial (0018,1000), station (0008,1010),
    institution   (0008,0080)
    site_id       the site at which its images arrived
    """

    site_id: str
    manufacturer: str = ""
    model: str = ""
    serial: str = ""
    station: str = ""
    institution: str = ""

    @property
    def machine(self) -> bytes:
        """Digest of all but the site: the same wherever a copy of the images lies."""
        said = (self.manufacturer, self.model, self.serial, self.station, self.institution)
        return _digest("\x1f".join(said))


@dataclass(frozen=True)
class Fingerprint:
    """What images of a unit say; "" where anything fits. One that is empty everywhere fits nothing.

    unit_id  one unit may have several, one for each way its images have looked
    is_not   somebody found out that images like these are not the unit's
    """

    fingerprint_id: str
    unit_id: str
    site_id: str = ""
    manufacturer: str = ""
    model: str = ""
    serial: str = ""
    station: str = ""
    institution: str = ""
    is_not: bool = False


@dataclass(frozen=True)
class Shown:
    """What the series of a study say of its images.

    senders   machines, with the modality of most images of each; without their site
    taken_at  the latest begin of a series of images; None: they do not say
    """

    senders: tuple[tuple[Sender, str], ...] = ()
    taken_at: datetime | None = None


NOTHING = Shown()


def study_key(study_uid: str) -> bytes:
    """What evidence knows a study by: enough to count it once, not to name it."""
    return _digest(study_uid)


def _digest(said: str) -> bytes:
    return hashlib.sha256(said.encode()).digest()[:16]


def shown_by(study: Dataset, series: Iterable[Dataset], zone: tzinfo) -> Shown:
    """Machines and time of a study, of its record and those of its series.

    zone  of times that do not tell their own: the site's
    Acquisition itself stands in images alone: SeriesDate and SeriesTime, or those of the study.
    """
    images: Counter[tuple[Sender, str]] = Counter()
    taken: list[datetime] = []
    for one in series:
        modality = image_modality(text(one, "Modality"))
        if modality:
            count = integer(one, "NumberOfSeriesRelatedInstances") or 0
            images[sender_of(one, study), modality] += min(max(count, 1), 100_000)
            taken.append(_moment(one, "Series", zone) or _moment(study, "Study", zone) or _NEVER)
    first: dict[Sender, str] = {}
    for sender, modality in sorted(images, key=lambda one: (-images[one], one[1])):
        if len(first) < MOST_SENDERS:
            first.setdefault(sender, modality)
    latest = max(taken, default=_NEVER)
    return Shown(tuple(first.items()), None if latest == _NEVER else latest)


_NEVER = datetime.min.replace(tzinfo=UTC)


def sender_of(series: Dataset, study: Dataset) -> Sender:
    """What a series says of its machine; of the institution also what its study says."""
    named = ("Manufacturer", "ManufacturerModelName", "DeviceSerialNumber", "StationName")
    institution = cleaned(text(series, "InstitutionName")) or text(study, "InstitutionName")
    said = (*(text(series, name) for name in named), institution)
    return Sender("", *map(cleaned, said))


def cleaned(said: str) -> str:
    """A text that every database and page takes; of several values the first, without padding."""
    plain = said.partition("\\")[0].encode("utf-8", "replace").decode()
    return " ".join(_CONTROL.sub(" ", plain).split())[:LONGEST].rstrip()


def image_modality(said: str) -> str:
    """The modality of images that a machine took; "" of what none took; OT of all unknown ones."""
    code = said.strip().upper()
    if code in DERIVED:
        return ""
    return code if code in IMAGES else NO_MACHINE


def at_site(sender: Sender, site_id: str) -> Sender:
    return replace(sender, site_id=site_id)


def day_of_old(study_date: str, changed_at: datetime | None, today: date, zone: tzinfo) -> date:
    """The day on which a study came to its site, of one that lay there before we looked.

    study_date  DA; "" if it has none
    changed_at  the site's own time of its last change, or None
    Without either it is EARLIEST: an old archive must not make machines alive.
    """
    told = []
    if changed_at is not None:
        with suppress(OverflowError):  # a hostile site's end of all days
            told.append(changed_at.astimezone(zone).date())
    with suppress(ValueError):
        told.append(date.fromisoformat(study_date))
    return min((day for day in told if EARLIEST <= day <= today), default=EARLIEST)


def _moment(record: Dataset, level: str, zone: tzinfo) -> datetime | None:
    """Date and time of a study or series; None unless it has both."""
    time = _TIME.fullmatch(text(record, f"{level}Time"))
    offset = _OFFSET.fullmatch(text(record, "TimezoneOffsetFromUTC"))
    if time is None:
        return None
    if offset is not None:
        span = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
        if span < timedelta(hours=15):
            zone = timezone(-span if offset[1] == "-" else span)
    try:
        day = date.fromisoformat(text(record, f"{level}Date"))
        hour, minute, second = (int(part or 0) for part in time.groups())
        found = datetime(day.year, day.month, day.day, hour, minute, min(second, 59), tzinfo=zone)
        return found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
