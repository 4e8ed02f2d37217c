"""What an unknown sender may be: units of the register that nearly fit, with the reasons, or a new
unit as its images describe it. A person decides. Pure.
"""

from collections import defaultdict
from collections.abc import Collection, Container, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from gateway.model.rollout.likeness import is_similar, normal
from gateway.model.rollout.matching import sites_of_units
from gateway.model.rollout.measures import ends_of
from gateway.model.rollout.register import Capture, Facility, Unit, UnitKind, UnitState
from gateway.model.rollout.senders import Sender

MOST = 5
LEAST = 20
"""Points of a unit that is worth a look: another one of its kind and make, or more."""


class Reason(StrEnum):
    """Why a unit may be it, or may not."""

    FITS_SEVERAL = "fits_several"  # its fingerprint fits, and so does another unit's
    SAME_SERIAL = "same_serial"
    SIMILAR_SERIAL = "similar_serial"  # one letter, or letters before or after it
    SAME_MODEL = "same_model"
    SIMILAR_MODEL = "similar_model"
    SAME_MAKER = "same_maker"
    SAME_KIND = "same_kind"  # such images come from units of its kind
    NO_IMAGES = "no_images"  # the unit has sent none
    OTHER_FACILITY = "other_facility"  # has it moved?
    OTHER_SERIAL = "other_serial"
    OTHER_KIND = "other_kind"


_POINTS = {
    Reason.FITS_SEVERAL: 60, Reason.SAME_SERIAL: 50, Reason.SIMILAR_SERIAL: 30,
    Reason.SAME_MODEL: 15, Reason.SIMILAR_MODEL: 10, Reason.SAME_MAKER: 5, Reason.SAME_KIND: 10,
    Reason.NO_IMAGES: 8, Reason.OTHER_FACILITY: -5, Reason.OTHER_SERIAL: -15,
    Reason.OTHER_KIND: -30,
}  # fmt: skip

_FILMS = (
    UnitKind.RADIOGRAPHY, UnitKind.RADIOGRAPHY_MOBILE, UnitKind.FLUOROGRAPHY, UnitKind.C_ARM,
    UnitKind.MAMMOGRAPHY, UnitKind.DENTAL,
)  # fmt: skip
KINDS: Mapping[str, tuple[UnitKind, ...]] = {
    "DX": _FILMS[:4],
    "CR": _FILMS,
    "RG": _FILMS,
    "RF": (UnitKind.RADIOGRAPHY, UnitKind.C_ARM, UnitKind.FLUOROGRAPHY),
    "MG": (UnitKind.MAMMOGRAPHY,),
    "CT": (UnitKind.CT, UnitKind.DENTAL),  # cone beams, too
    "MR": (UnitKind.MRI,),
    "XA": (UnitKind.ANGIOGRAPHY, UnitKind.C_ARM),
    "US": (UnitKind.ULTRASOUND,),
    "PX": (UnitKind.DENTAL,),
    "IO": (UnitKind.DENTAL,),
    "BMD": (UnitKind.DENSITOMETER,),
}
"""Units that images of a modality come from, the commonest first."""
DIGITISED = frozenset({"CR", "RG"})
"""Images of plates, and of films that were scanned."""


@dataclass(frozen=True)
class NearUnit:
    """A unit that may be it. points: the more the likelier."""

    unit_id: str
    facility_id: str
    reasons: tuple[Reason, ...]
    points: int


@dataclass(frozen=True)
class NewUnit:
    """What a register has not: a unit as its images describe it.

    facility_id  of the site's facility; "": no facility has that site
    kind         None: such images do not tell
    """

    facility_id: str
    kind: UnitKind | None
    capture: Capture
    manufacturer: str
    model: str
    serial: str


@dataclass(frozen=True)
class Suggestion:
    near: tuple[NearUnit, ...]
    new: NewUnit


class Suggester:
    """What is known of all units at one moment, ready to be asked."""

    def __init__(self, units: Mapping[str, Unit], facilities: Mapping[str, Facility]) -> None:
        self._units, self._places = units, facilities
        self._facilities = facility_of_sites(facilities)

    @cached_property
    def _here(self) -> Mapping[str, frozenset[str]]:
        return sites_of_units(self._units, self._places, {})

    @cached_property
    def _near(self) -> tuple[Mapping[str, list[Unit]], Mapping[str, list[Unit]]]:
        """Units that still stand, by site and by serial number; made when first asked for."""
        by_site: dict[str, list[Unit]] = defaultdict(list)
        by_serial: dict[str, list[Unit]] = defaultdict(list)
        for unit in self._units.values():
            if unit.merged_into or unit.state is UnitState.DECOMMISSIONED:
                continue
            for site_id in self._here[unit.unit_id]:
                by_site[site_id].append(unit)
            by_serial[normal("serial", unit.serial)].append(unit)
        return by_site, by_serial

    def suggest(
        self, sender: Sender, by_modality: Mapping[str, int], *,
        rivals: Collection[str] = (), with_images: Container[str] = (),
    ) -> Suggestion:  # fmt: skip
        """Units that a sender may be, the likeliest first; and the one that it would be.

        by_modality  its studies
        rivals       units that it fits equally well (matching.Match)
        with_images  units whose images arrive
        """
        modality = max(by_modality, key=lambda one: (by_modality[one], one), default="")
        serial = normal("serial", sender.serial)
        by_site, by_serial = self._near
        elsewhere = by_serial.get(serial, ()) if serial else ()
        near = {one.unit_id: one for one in (*by_site.get(sender.site_id, ()), *elsewhere)}
        near |= {unit_id: self._units[unit_id] for unit_id in rivals}
        found = [self._judge(sender, unit, modality, rivals, with_images) for unit in near.values()]
        found = [one for one in found if one.points >= LEAST]
        found.sort(key=lambda one: (-one.points, one.unit_id))
        return Suggestion(tuple(found[:MOST]), self._new_unit(sender, modality))

    def _judge(
        self, sender: Sender, unit: Unit, modality: str, rivals: Container[str],
        with_images: Container[str],
    ) -> NearUnit:  # fmt: skip
        reasons = [] if unit.unit_id not in rivals else [Reason.FITS_SEVERAL]
        reasons += _alike("serial", sender.serial, unit.serial)
        reasons += _alike("model", sender.model, unit.model)
        if normal("manufacturer", sender.manufacturer) == (
            normal("manufacturer", unit.manufacturer) or None
        ):
            reasons.append(Reason.SAME_MAKER)
        if modality in KINDS:
            fits = unit.kind in KINDS[modality]
            reasons.append(Reason.SAME_KIND if fits else Reason.OTHER_KIND)
        if unit.counts and unit.is_digital and unit.unit_id not in with_images:
            reasons.append(Reason.NO_IMAGES)
        if sender.site_id not in self._here[unit.unit_id]:
            reasons.append(Reason.OTHER_FACILITY)
        points = sum(_POINTS[reason] for reason in reasons)
        return NearUnit(unit.unit_id, unit.facility_id, tuple(reasons), points)

    def _new_unit(self, sender: Sender, modality: str) -> NewUnit:
        kinds = KINDS.get(modality, ())
        return NewUnit(
            facility_id=self._facilities.get(sender.site_id, ""),
            kind=kinds[0] if kinds else None,
            capture=Capture.DIGITISER if modality in DIGITISED else Capture.DIGITAL,
            manufacturer=sender.manufacturer,
            model=sender.model,
            serial=sender.serial if normal("serial", sender.serial) else "",
        )


def _alike(field: str, said: str, registered: str) -> list[Reason]:
    one, other = normal(field, said), normal(field, registered)
    same, similar = {
        "serial": (Reason.SAME_SERIAL, Reason.SIMILAR_SERIAL),
        "model": (Reason.SAME_MODEL, Reason.SIMILAR_MODEL),
    }[field]
    if not one or not other:
        return []
    if one == other:
        return [same]
    if is_similar(one, other):
        return [similar]
    return [Reason.OTHER_SERIAL] if field == "serial" else []


def facility_of_sites(facilities: Mapping[str, Facility]) -> dict[str, str]:
    """Whose a site is; of several that share one, the one that the others belong to.

    The site of one that was merged is that of the one it has become a part of, unless a standing
    one has it.
    """
    found: dict[str, str] = {}
    standing = [one for one in facilities.values() if one.site_id and not one.merged_into]
    for one in sorted(standing, key=lambda one: (_depth(one, facilities), one.facility_id)):
        found.setdefault(one.site_id, one.facility_id)
    ends = ends_of(facilities, lambda one: one.merged_into)
    for one in sorted(facilities.values(), key=lambda one: one.facility_id):
        if one.site_id and not facilities[ends[one.facility_id]].merged_into:
            found.setdefault(one.site_id, ends[one.facility_id])
    return found


def _depth(facility: Facility, facilities: Mapping[str, Facility]) -> int:
    above, depth = facilities.get(facility.parent_id), 0
    while above is not None and depth < len(facilities):
        above, depth = facilities.get(above.parent_id), depth + 1
    return depth
