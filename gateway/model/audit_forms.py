"""Forms in which the audit leaves: for a spreadsheet, as DICOM audit messages, as FHIR. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from gateway.model.audit import Row
from gateway.model.audit_balp import to_line
from gateway.model.audit_dicom import Source, to_message
from gateway.model.audit_words import to_csv
from gateway.model.wording import Words


@dataclass(frozen=True)
class Form:
    """write: lines as bytes, each with its end"""

    words: Words
    media_type: str
    ending: str
    write: Callable[[Iterable[Row], Source], Iterator[bytes]]


def _csv(rows: Iterable[Row], _source: Source) -> Iterator[bytes]:
    return to_csv(rows)


def _dicom(rows: Iterable[Row], source: Source) -> Iterator[bytes]:
    """One document with all messages: a file of XML has one root."""
    yield b'<?xml version="1.0" encoding="UTF-8"?>\n<AuditMessages>\n'
    for row in rows:
        yield to_message(row, source) + b"\n"
    yield b"</AuditMessages>\n"


def _balp(rows: Iterable[Row], source: Source) -> Iterator[bytes]:
    for row in rows:
        yield to_line(row, source) + b"\n"


FORMS: Mapping[str, Form] = {
    "csv": Form(Words("таблица CSV", "CSV table"), "text/csv; charset=utf-8", "csv", _csv),
    "dicom": Form(
        Words("сообщения DICOM", "DICOM audit messages"), "application/xml", "xml", _dicom
    ),
    "balp": Form(
        Words("FHIR AuditEvent", "FHIR AuditEvent"), "application/fhir+ndjson", "ndjson", _balp
    ),
}
