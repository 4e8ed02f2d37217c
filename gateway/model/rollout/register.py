"""The register of a region: its facilities and their modality units, and every change of them.

A change is a revision: the whole of a facility or unit as it is from a day on, with who wrote it
and when. What was written is never changed, so that every figure of the past can be explained.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Generic, TypeVar

from gateway.model.wording import Words


class FacilityKind(StrEnum):
    HOSPITAL = "hospital"
    CLINIC = "clinic"  # out-patient
    TERRITORIAL_UNIT = "territorial_unit"
    FELDSHER_POINT = "feldsher_point"
    PRIVATE = "private"


class UnitKind(StrEnum):
    RADIOGRAPHY = "radiography"  # stationary
    RADIOGRAPHY_MOBILE = "radiography_mobile"
    FLUOROGRAPHY = "fluorography"
    MAMMOGRAPHY = "mammography"
    C_ARM = "c_arm"
    DENTAL = "dental"
    DENSITOMETER = "densitometer"
    CT = "ct"
    MRI = "mri"
    ANGIOGRAPHY = "angiography"
    ULTRASOUND = "ultrasound"


X_RAY = frozenset(UnitKind) - {UnitKind.MRI, UnitKind.ULTRASOUND}
"""What the programme's share is of: equipment that takes its images by X-rays."""


class Capture(StrEnum):
    """How a unit takes its images; a digitiser is CR plates or a retrofitted detector."""

    ANALOGUE = "analogue"
    DIGITISER = "analogue+digitiser"
    DIGITAL = "digital"


class UnitState(StrEnum):
    ACTIVE = "active"
    REPAIR = "repair"
    IDLE = "idle"
    ORDERED = "ordered"
    INSTALLED = "installed"  # stands there, does not work yet
    DECOMMISSIONED = "decommissioned"


COUNTED = frozenset({UnitState.ACTIVE, UnitState.REPAIR, UnitState.IDLE})
"""States of the units that a share is of."""
IS_DIGITAL = frozenset({Capture.DIGITAL, Capture.DIGITISER})


@dataclass(frozen=True)
class Facility:
    """A medical organisation or a part of one.

    municipality  its name in Russian; …_en: in English, or ""
    latitude, …   degrees (WGS 84); None: not known
    oid           in the national register of organisations; "" if it has none
    parent_id     the facility that it belongs to, or ""
    planned_on    when it is to join; joined_on: when it did; None: not known, not yet
    site_id       its site of region.toml, or ""
    merged_into   the facility that it has become a part of; from then on it counts no more
    """

    facility_id: str
    name_ru: str
    name_en: str
    kind: FacilityKind
    municipality: str
    latitude: float | None = None
    longitude: float | None = None
    oid: str = ""
    parent_id: str = ""
    planned_on: date | None = None
    joined_on: date | None = None
    site_id: str = ""
    merged_into: str = ""
    municipality_en: str = ""

    @property
    def name(self) -> Words:
        """In Russian where it has no English one."""
        return Words(self.name_ru, self.name_en or self.name_ru)


@dataclass(frozen=True)
class Unit:
    """A modality unit.

    year         of make; None: not known
    funding      line of funding it was bought from, or ""; …_en: in English, or ""
    cost         roubles, whole; None: not known
    renewed      it was bought, or got its digitiser, by the programme
    renewal_on   when it is planned to become digital; None: not planned
    merged_into  the unit that it was found to be the same as; it counts no more
    """

    unit_id: str
    facility_id: str
    kind: UnitKind
    manufacturer: str
    model: str
    serial: str
    year: int | None
    capture: Capture
    state: UnitState
    funding: str = ""
    cost: int | None = None
    renewed: bool = False
    renewal_on: date | None = None
    merged_into: str = ""
    funding_en: str = ""

    @property
    def counts(self) -> bool:
        """Whether a share is of it."""
        return self.state in COUNTED and not self.merged_into

    @property
    def is_digital(self) -> bool:
        return self.capture in IS_DIGITAL


T = TypeVar("T", Facility, Unit)


@dataclass(frozen=True)
class Revision(Generic[T]):
    """A facility or unit as it is from `valid_from` on, until another revision of it.

    number     in the order in which they were written: of two from the same day the later counts
    author     id of an account, or the door ("console", "import", …)
    """

    number: int
    valid_from: date
    recorded_at: datetime
    author: str
    reason: str
    thing: T


def english_of(facilities: Iterable[Facility], units: Iterable[Unit]) -> dict[str, str]:
    """Municipalities and lines of funding in English, by their Russian names.

    Where rows differ, as most of them say it. What two of them are called alike is called neither:
    it would look like one. Those without an English name are absent.
    """
    said: dict[str, Counter[str]] = {}
    places = ((one.municipality, one.municipality_en) for one in facilities)
    for russian, english in (*places, *((one.funding, one.funding_en) for one in units)):
        if russian and english:
            said.setdefault(russian, Counter())[english] += 1
    found = {ru: min(of, key=lambda one: (-of[one], one)) for ru, of in said.items()}
    alike = Counter(found.values())
    return {russian: english for russian, english in found.items() if alike[english] == 1}


def as_of(
    revisions: Iterable[Revision[T]], day: date, known_at: datetime | None = None
) -> dict[str, T]:
    """Each facility or unit by its id as it was at the end of that day.

    known_at  what was written later is left out; None: all that is known now
    """
    found: dict[str, Revision[T]] = {}
    for revision in revisions:
        if revision.valid_from > day or (known_at is not None and revision.recorded_at > known_at):
            continue
        thing = revision.thing
        key = thing.facility_id if isinstance(thing, Facility) else thing.unit_id
        best = found.get(key)
        if best is None or (best.valid_from, best.number) < (revision.valid_from, revision.number):
            found[key] = revision
    return {key: revision.thing for key, revision in found.items()}
