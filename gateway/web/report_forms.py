"""A structured report as plain text and as XML: every service that renders has to give both
(PS3.18 Table 8.7.4-1). The page for people is made in reports.py.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from gateway.dicom.native_model import escaped_xml

INDENT = "  "


def as_plain_text(document: Mapping[str, Any], said: Callable[[str, str], str]) -> bytes:
    """The report of documents.read_document in lines of UTF-8, inner items further to the right.

    said  what people read for a word of a kind: "concept", "label" or "value"
    """
    lines = [said("concept", document["title"] or "Diagnostic imaging report")]
    lines += [
        f"{said('label', name)}: {said('value', value)}"
        for name, value in document["facts"].items()
    ]
    for observer in document["observers"]:
        told = [observer["name"], observer["organization"], said("value", observer["at"])]
        lines.append(f"{said('label', 'VerifyingObserverName')}: {', '.join(filter(None, told))}")
    lines.append("")
    for one in document["items"]:
        lines += _lines(one, said, "")
    return "".join(f"{line}\n" for line in lines).encode()


def _lines(one: Mapping[str, Any], said: Callable[[str, str], str], before: str) -> Iterator[str]:
    concept = said("concept", one["concept"]) if one["concept"] else ""
    value = said("value", one["value"]).replace("\r\n", "\n").replace("\r", "\n")
    if "\n" in value or (concept and not value):
        yield f"{before}{concept}:"
        yield from (f"{before}{INDENT}{line}" for line in value.splitlines())
    elif value:
        yield before + (f"{concept}: {value}" if concept else value)
    for reference in one["references"]:
        yield f"{before}{INDENT}{said('label', 'ReferencedSOPSequence')}: {reference[-1]}"
    for inner in one["items"]:
        yield from _lines(inner, said, before + INDENT)


def as_xml(document: Mapping[str, Any]) -> bytes:
    """The same tree, every word as it stands in the report."""
    words = [f'<?xml version="1.0" encoding="UTF-8"?>\n<report{_set(title=document["title"])}>']
    words += [
        f"<fact{_set(keyword=name)}>{escaped_xml(value)}</fact>"
        for name, value in document["facts"].items()
    ]
    words += [f"<observer{_set(**observer)}/>" for observer in document["observers"]]
    words += [piece for one in document["items"] for piece in _elements(one)]
    return "".join([*words, "</report>\n"]).encode()


def _elements(one: Mapping[str, Any]) -> Iterator[str]:
    yield f"<item{_set(kind=one['kind'], concept=one['concept'])}>"
    if one["value"]:
        yield f"<value>{escaped_xml(one['value'])}</value>"
    for study, series, instance in one["references"]:
        yield f"<reference{_set(study=study, series=series, instance=instance)}/>"
    for inner in one["items"]:
        yield from _elements(inner)
    yield "</item>"


def _set(**attributes: str) -> str:
    return "".join(f' {name}="{escaped_xml(value)}"' for name, value in attributes.items() if value)
