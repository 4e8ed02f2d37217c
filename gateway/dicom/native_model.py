"""Native DICOM Model (PS3.19 A.1): a dataset of the DICOM JSON Model written as XML. Pure.

What `application/dicom+xml` means in DICOMweb (PS3.18 8.7.3.2).
"""

import re
from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml.ElementTree import fromstring

from gateway.dicom.attributes import Dataset, keyword_of, text, vr_of
from gateway.errors import BadRequest

NAMESPACE = "http://dicom.nema.org/PS3.19/models/NativeDICOM"
_OPEN = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    f'<NativeDicomModel xmlns="{NAMESPACE}" xml:space="preserve">'
)
_CLOSE = "</NativeDicomModel>"
_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_COMPONENTS = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
_TAG = re.compile(r"[0-9A-Fa-f]{8}\Z", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)

# XML 1.0 (2.2) has no way to write these, not even as a reference: they become U+FFFD, visibly.
_FORBIDDEN = [*range(0x20), *range(0xD800, 0xE000), 0xFFFE, 0xFFFF]
_ESCAPES = dict.fromkeys(_FORBIDDEN, "\N{REPLACEMENT CHARACTER}") | str.maketrans(
    # As references, because a reader makes LF of CR, and blanks of all three in an attribute.
    {"\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
    | {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}
)


def to_xml(dataset: Dataset) -> bytes:
    """One dataset as an XML document in UTF-8.

    Attributes stand in the order of their tags; a private one names its creator, and the creator's
    own element stays. An empty value among several is an empty Value, so that no number shifts.
    Components of a name beyond the fifth stay in NameSuffix. Never raises on what sites send: a
    tag that is none is left out, as is a value that is no value.
    """
    found: list[str] = [_OPEN]
    waiting: list[str | Dataset] = [_CLOSE, dataset]
    while waiting:  # without recursion: hostile sites nest sequences deeply
        piece = waiting.pop()
        if isinstance(piece, str):
            found.append(piece)
        else:
            waiting.extend(reversed(list(_attributes(piece))))
    return "".join(found).encode()


def _attributes(dataset: Dataset) -> Iterator[str | Dataset]:
    """The attributes as XML; the dataset of an item comes as it is, between its marks."""
    for name, element in sorted(dataset.items()):
        if _TAG.match(name) is None or not isinstance(element, dict):
            continue
        tag = name.upper()
        vr = str(element.get("vr") or vr_of(tag))
        yield f'<DicomAttribute tag="{tag}" vr="{escaped_xml(vr)}"{_identity(dataset, tag)}>'
        values = element.get("Value")
        if isinstance(element.get("BulkDataURI"), str):
            yield f'<BulkData uri="{escaped_xml(element["BulkDataURI"])}"/>'
        elif isinstance(element.get("InlineBinary"), str):
            yield f"<InlineBinary>{escaped_xml(element['InlineBinary'])}</InlineBinary>"
        elif isinstance(values, list):
            for number, value in enumerate(values, 1):
                yield from _value(vr, number, value)
        yield "</DicomAttribute>"


def _identity(dataset: Dataset, tag: str) -> str:
    """Attributes `keyword` and `privateCreator` where the tag has one."""
    if int(tag[3], 16) % 2 and tag[4:6] != "00":
        # Block xx of group gggg is reserved by the element (gggg,00xx): PS3.5 7.8.1.
        creator = text(dataset, f"{tag[:4]}00{tag[4:6]}")
        return f' privateCreator="{escaped_xml(creator)}"' if creator else ""
    keyword = keyword_of(tag)
    return "" if keyword == tag else f' keyword="{keyword}"'


def _value(vr: str, number: int, value: Any) -> Iterator[str | Dataset]:
    if vr == "SQ":
        yield f'<Item number="{number}">'
        if isinstance(value, dict):
            yield value
        yield "</Item>"
    elif vr == "PN":
        yield f'<PersonName number="{number}">{_person_name(value)}</PersonName>'
    else:
        content = "" if value is None or isinstance(value, dict | list) else str(value)
        yield f'<Value number="{number}">{escaped_xml(content)}</Value>'


def _person_name(value: Any) -> str:
    if isinstance(value, str):
        value = dict(zip(_GROUPS, value.split("="), strict=False))
    if not isinstance(value, dict):
        return ""
    found = ""
    for group in _GROUPS:
        if isinstance(value.get(group), str):
            parts = zip(_COMPONENTS, value[group].split("^", 4), strict=False)
            inside = "".join(
                f"<{name}>{escaped_xml(part)}</{name}>" for name, part in parts if part
            )
            found += f"<{group}>{inside}</{group}>"
    return found


def escaped_xml(content: str) -> str:
    """Text as it may stand in an element or an attribute of XML 1.0."""
    return content.translate(_ESCAPES)


DEPTH_LIMIT = 32  # trust.md H75


def from_xml(document: bytes) -> Dataset:
    """The dataset of one XML document; numbers stay the texts that they are in XML.

    Neither entities nor a document type are taken (they can be made to grow without end).
    raises  BadRequest
    """
    try:
        root = fromstring(document, forbid_dtd=True)
    except (ParseError, ValueError, LookupError) as error:
        # What defusedxml forbids is a ValueError, an encoding that nobody knows a LookupError.
        raise BadRequest("body", "the metadata is no XML, or has a document type") from error
    if root.tag.rpartition("}")[2] != "NativeDicomModel":
        raise BadRequest("body", "the metadata is no Native DICOM Model (PS3.19 A.1)")
    return _dataset(root, 0)


def _dataset(parent: Element, depth: int) -> Dataset:
    if depth > DEPTH_LIMIT:
        raise BadRequest("body", f"sequences are nested deeper than {DEPTH_LIMIT}")
    found: Dataset = {}
    for attribute in parent:
        tag, vr = attribute.get("tag", "").upper(), attribute.get("vr", "")
        if attribute.tag.rpartition("}")[2] != "DicomAttribute" or not _TAG.match(tag):
            raise BadRequest("body", "the metadata has an element that is no DicomAttribute")
        if tag in found:  # two patients in one (trust.md H40)
            raise BadRequest("body", "an attribute stands twice in the metadata")
        found[tag] = _element(attribute, vr or vr_of(tag), depth)
    return found


def _element(attribute: Element, vr: str, depth: int) -> dict[str, Any]:
    element: dict[str, Any] = {"vr": vr}
    values: list[tuple[int, Any]] = []
    for child in attribute:
        kind, content = child.tag.rpartition("}")[2], child.text or ""
        number = child.get("number", "")
        place = int(number) if _NUMBER.fullmatch(number) else len(values) + 1
        if kind == "BulkData":
            element["BulkDataURI"] = child.get("uri", "")
        elif kind == "InlineBinary":
            element["InlineBinary"] = "".join(content.split())
        elif kind == "Value":
            values.append((place, content or None))
        elif kind == "PersonName":
            values.append((place, _groups(child)))
        elif kind == "Item":
            values.append((place, _dataset(child, depth + 1)))
        else:
            raise BadRequest("body", "the metadata has an element that is no value")
    if values:
        values.sort(key=lambda value: value[0])
        element["Value"] = [value for _, value in values]
    return element


def _groups(name: Element) -> dict[str, str]:
    found = {}
    for group in name:
        parts = {part.tag.rpartition("}")[2]: part.text or "" for part in group}
        joined = "^".join(parts.get(component, "") for component in _COMPONENTS)
        found[group.tag.rpartition("}")[2]] = joined.rstrip("^")
    return found
