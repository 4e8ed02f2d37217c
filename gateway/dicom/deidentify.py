"""The Basic Application Confidentiality Profile (PS3.15 E.2) for one data set.

Which attributes it names stands in the tables of dicom-anonymizer, which follow the standard's
editions. What is done with them is done here, because that library makes UIDs at random, keeps
them for the life of the process, and looks at the top level only: ours are made with a key, so
that images which come later still belong to their study, and sequences are walked to their ends.
Pixels are not looked at: an image that says that names are burned into it is refused.
"""

import hashlib
import hmac
from collections.abc import Mapping
from functools import lru_cache

from dicomanonymizer.dicom_anonymization_databases import dicomfields_2026c as profile
from pydicom.datadict import dictionary_has_tag, repeater_has_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag

from gateway.dicom.header_edit import CannotEdit

METHOD = "PS3.15 E.2 Basic Application Confidentiality Profile"
CODE = ("113100", "DCM", "Basic Application Confidentiality Profile")
DEEPEST = 32  # trust.md H75
KEPT_SEQUENCES = ("", "D", "X/Z/U")
"""The actions whose sequences keep their items, with new UIDs in them."""
_TEXTS = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_DUMMIES: Mapping[str, object] = {
    **dict.fromkeys(_TEXTS, "ANONYMIZED"),
    **dict.fromkeys(("FD", "FL", "SS", "US", "SL", "UL", "SV", "UV"), 0),
    **dict.fromkeys(("DS", "IS"), "0"),
    "DA": "19000101",
    "TM": "000000",
    "DT": "19000101000000",
    "AS": "000Y",
    "UR": "http://anonymized.invalid",
}


class Pseudonyms:
    """New names for UIDs and persons: always the same with the same key, and no way back."""

    def __init__(self, key: str) -> None:
        self._key = key.encode("utf-8")

    def uid(self, uid: str) -> str:
        """A UID of the form 2.25 (PS3.5 B.2) instead of this one."""
        return f"2.25.{int.from_bytes(self._digest('uid', uid)[:16])}"

    def person(self, patient_id: str) -> str:
        """What stands for a patient; at most 16 letters."""
        return "A" + self._digest("person", patient_id).hex()[:15].upper()

    def _digest(self, kind: str, value: str) -> bytes:
        return hmac.digest(self._key, f"{kind} {value.strip()}".encode(), hashlib.sha256)


def deidentify(dataset: Dataset, names: Pseudonyms) -> None:
    """Apply the profile in place; raises CannotEdit if the pixels are said to show names."""
    if str(dataset.get("BurnedInAnnotation", "")).strip().upper() == "YES":
        raise CannotEdit("burned_in")
    person = names.person(str(dataset.get("PatientID", "")))
    meta = dataset.file_meta
    _walk(dataset, names, 0)
    dataset.PatientName = dataset.PatientID = person
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = METHOD
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = CODE
    dataset.DeidentificationMethodCodeSequence = Sequence([code])
    dataset.LongitudinalTemporalInformationModified = "REMOVED"
    for element in list(meta):
        # AE titles and addresses of those who sent it, and what a maker added (PS3.10 7.1)
        if element.tag.elem >= 0x0016:
            del meta[element.tag]
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID


def _walk(dataset: Dataset, names: Pseudonyms, depth: int) -> None:
    if depth > DEEPEST:
        raise CannotEdit("not_understood")
    for tag in list(dataset.keys()):
        action = _action(tag)
        if action == "X":
            del dataset[tag]
            continue
        element = dataset[tag]
        if element.VR == "SQ" and action not in KEPT_SEQUENCES:
            element.value = Sequence()
        elif element.VR == "SQ":
            for item in element.value:
                _walk(item, names, depth + 1)
                if action == "D":
                    _blank_all(item, names)
        elif action == "U" or (action and element.VR == "UI"):
            _rename(element, names)
        elif action in ("Z", "X/Z"):
            element.value = b"" if element.VR in ("OB", "OW", "UN") else None
        elif action:
            element.value = _dummy(element)


def _blank_all(item: Dataset, names: Pseudonyms) -> None:
    """An item of a sequence that must be there but may tell nothing: codes stay, texts go."""
    for element in item:
        if element.VR == "UI":
            _rename(element, names)
        elif element.VR == "SQ":
            for inner in element.value:
                _blank_all(inner, names)
        elif element.VR not in ("CS", "US", "SS", "UL", "SL") and not _is_code(element):
            element.value = _dummy(element)


def _is_code(element: DataElement) -> bool:
    """Parts of a code (PS3.3 8.8): they name what is told, not of whom."""
    return bool(element.tag.group == 0x0008 and 0x0100 <= element.tag.elem <= 0x010F)


def _rename(element: DataElement, names: Pseudonyms) -> None:
    """Classes and syntaxes of the standard keep their meaning."""
    several = element.VM > 1
    found = [str(uid) for uid in element.value] if several else [str(element.value or "")]
    new = [uid if not uid or uid.startswith("1.2.840.10008.") else names.uid(uid) for uid in found]
    element.value = new if several else new[0]


def _dummy(element: DataElement) -> object:
    return _DUMMIES.get(element.VR, b"")


@lru_cache(maxsize=8192)
def _action(tag: BaseTag) -> str:
    """The letters of PS3.15 Table E.1-1, "" if the attribute is kept."""
    if tag.group % 2:
        return "X"  # E.3.10 (safe private attributes) is not offered
    if not (dictionary_has_tag(tag) or repeater_has_tag(tag)):
        return "X"  # nobody can say what it tells
    return _TABLE.get((tag.group, tag.elem), "") or _repeating(tag.group, tag.elem)


def _repeating(group: int, element: int) -> str:
    """Rows that name many groups, like (60xx,3000)."""
    for (of_group, of_element, group_mask, element_mask), action in _REPEATING.items():
        if group & group_mask == of_group and element & element_mask == of_element & element_mask:
            return action
    return ""


_LISTS = {
    "D": profile.D_TAGS,
    "Z": profile.Z_TAGS,
    "X": profile.X_TAGS,
    "U": profile.U_TAGS,
    "Z/D": profile.Z_D_TAGS,
    "X/Z": profile.X_Z_TAGS,
    "X/D": profile.X_D_TAGS,
    "X/Z/D": profile.X_Z_D_TAGS,
    "X/Z/U": profile.X_Z_U_STAR_TAGS,
}
_TABLE = {tag: action for action, tags in _LISTS.items() for tag in tags if len(tag) == 2}
_REPEATING = {tag: action for action, tags in _LISTS.items() for tag in tags if len(tag) == 4}
