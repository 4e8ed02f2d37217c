"""Applies the edits of a rule to an instance on its way: set, map and remove attributes,
de-identify. Pure; what the hospital keeps is never changed.

What was there before stands in OriginalAttributesSequence (PS3.3 C.12.1.1.9), with the time of the
plan and not of the try: a second try gives the same bytes.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pydicom.charset import convert_encodings
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from gateway.dicom.attributes import tag_of, vr_of
from gateway.dicom.deidentify import Pseudonyms, deidentify
from gateway.dicom.header_edit import CannotEdit
from gateway.model.routing.actions import EDITS, Action, Deidentify, MapTag, RemoveTag, SetTag
from gateway.model.routing.fields import plain
from gateway.model.sites import Site

SYSTEM = "Regional Imaging Gateway"
_PLACE = re.compile(r"\$\{([^}]*)\}")
_LONGEST = {"AE": 16, "CS": 16, "SH": 16, "DS": 16, "IS": 12, "LO": 64, "PN": 64, "AS": 4}
_ASCII_ONLY = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM"})


@dataclass(frozen=True)
class Editing:
    """The edits of one delivery.

    actions    only edits count, in their order
    edited_at  the same for every try of a delivery
    key        of the destination, for de-identification
    """

    actions: tuple[Action, ...]
    source: Site
    edited_at: datetime
    key: str = ""

    @property
    def edits(self) -> tuple[Action, ...]:
        return tuple(action for action in self.actions if isinstance(action, EDITS))

    @property
    def deidentifies(self) -> bool:
        return any(isinstance(action, Deidentify) for action in self.edits)

    def uid(self, uid: str) -> str:
        """What a UID of the source is called at the destination."""
        return Pseudonyms(self.key).uid(uid) if self.deidentifies else uid

    def change(self, dataset: Dataset) -> None:
        """Apply all edits in place; raises CannotEdit."""
        before: dict[str, object] = {}
        for action in self.edits:
            if isinstance(action, Deidentify):
                before.clear()  # what was written before it must not be told after it
                deidentify(dataset, Pseudonyms(self.key))
            else:
                keyword, value = _wanted(action, dataset, self.source)
                _set(dataset, keyword, value, before)
        if before:
            _remember(dataset, before, self.edited_at)


def _wanted(action: Action, dataset: Dataset, site: Site) -> tuple[str, str | None]:
    """(keyword, new value); None removes it."""
    match action:
        case SetTag(keyword, value):
            return keyword, _PLACE.sub(lambda place: _fill(place[1], dataset, site), value)
        case MapTag(keyword, mapping):
            now = _text(dataset, keyword)
            table = {plain(key): value for key, value in mapping}
            return keyword, table.get(plain(now), now) if keyword in dataset else None
        case RemoveTag(keyword):
            return keyword, None
    raise AssertionError(action)


def _fill(place: str, dataset: Dataset, site: Site) -> str:
    words = {
        "site.id": site.site_id,
        "site.issuer": site.patient_id_issuer,
        "site.ae_title": site.ae_title,
    }
    return words[place] if place in words else _text(dataset, place)


def _text(dataset: Dataset, keyword: str) -> str:
    value = dataset.get(keyword)
    several = isinstance(value, Sequence) and not isinstance(value, str)
    return "\\".join(map(str, value)) if several else str(value if value is not None else "")


def _set(dataset: Dataset, keyword: str, value: str | None, before: dict[str, object]) -> None:
    present = keyword in dataset
    if value is None if not present else value == _text(dataset, keyword):
        return
    before.setdefault(keyword, dataset[keyword].value if present else None)
    if value is None:
        del dataset[keyword]
        return
    vr = vr_of(tag_of(keyword) or "")
    for one in value.split("\\"):
        if len(one) > _LONGEST.get(vr, 1024) or (vr in _ASCII_ONLY and not one.isascii()):
            raise CannotEdit("value_does_not_fit")
    if not _can_be_written(dataset, value):
        raise CannotEdit("value_not_in_charset")
    setattr(dataset, keyword, value)


def _can_be_written(dataset: Dataset, value: str) -> bool:
    """In the character sets that the instance names (PS3.5 6.1)."""
    if value.isascii():
        return True
    for name in convert_encodings(dataset.get("SpecificCharacterSet", "")):
        try:
            value.encode(name)
        except (UnicodeEncodeError, LookupError):
            continue
        return True
    return False


def _remember(dataset: Dataset, before: dict[str, object], at: datetime) -> None:
    """One more item of OriginalAttributesSequence; what was not there is there without a value."""
    former = Dataset()
    for keyword, value in before.items():
        setattr(former, keyword, value)
    item = Dataset()
    item.ModifiedAttributesSequence = Items([former])
    item.AttributeModificationDateTime = at.astimezone(UTC).strftime("%Y%m%d%H%M%S.%f+0000")
    item.ModifyingSystem = SYSTEM
    item.SourceOfPreviousValues = None
    item.ReasonForTheAttributeModification = "COERCE"
    known = dataset.get("OriginalAttributesSequence")
    dataset.OriginalAttributesSequence = Items([*(known or ()), item])
