"""The two kinds of reports among the samples: Basic Text SR (PS3.3 A.35.1) and a PDF (A.45.1)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

FINDINGS_RU = (
    "Очаговых и инфильтративных изменений не выявлено.",
    "Срединные структуры не смещены. Костно-травматических изменений нет.",
)
FINDINGS_EN = "No focal or infiltrative changes. Midline structures are not displaced."
CONCLUSION_RU = "Заключение: рекомендовано динамическое наблюдение."
CONCLUSION_EN = "Impression: follow-up is recommended."
A4 = (595, 842)


def _code(value: str, scheme: str, meaning: str) -> Items:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return Items([item])


def _text(code: tuple[str, str], value: str) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", "TEXT"
    item.ConceptNameCodeSequence = _code(code[0], "DCM", code[1])
    item.TextValue = value
    return item


@dataclass(frozen=True)
class Reference:
    """An image that a report speaks of."""

    study_uid: str
    series_uid: str
    sop_class_uid: str
    sop_instance_uid: str


def text_report(references: Sequence[Reference]) -> dict[str, Any]:
    """Attributes of a Basic Text SR by keyword; the references are images of one study."""
    content = [
        _text(("121070", "Findings"), " ".join(FINDINGS_RU)),
        _text(("121076", "Conclusions"), CONCLUSION_RU),
    ]
    for reference in references:
        image = Dataset()
        image.RelationshipType, image.ValueType = "CONTAINS", "IMAGE"
        image.ConceptNameCodeSequence = _code("121080", "DCM", "Best illustration of finding")
        image.ReferencedSOPSequence = Items([_instance(reference)])
        content.append(image)
    report = {
        "ValueType": "CONTAINER",
        "ConceptNameCodeSequence": _code("18748-4", "LN", "Diagnostic imaging report"),
        "ContinuityOfContent": "SEPARATE",
        "CompletionFlag": "COMPLETE",
        "VerificationFlag": "UNVERIFIED",
        "PerformedProcedureCodeSequence": Items([]),
        "ReferencedPerformedProcedureStepSequence": Items([]),
        "ContentSequence": Items(content),
    }
    if references:
        report["CurrentRequestedProcedureEvidenceSequence"] = _evidence(references)
    return report


def _instance(reference: Reference) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = reference.sop_class_uid
    item.ReferencedSOPInstanceUID = reference.sop_instance_uid
    return item


def _evidence(references: Sequence[Reference]) -> Items:
    """Where the images lie (PS3.3 C.17.2.1): one study, its series, their instances."""
    study = Dataset()
    study.StudyInstanceUID = references[0].study_uid
    study.ReferencedSeriesSequence = Items([])
    for series_uid in dict.fromkeys(reference.series_uid for reference in references):
        series = Dataset()
        series.SeriesInstanceUID = series_uid
        here = [_instance(one) for one in references if one.series_uid == series_uid]
        series.ReferencedSOPSequence = Items(here)
        study.ReferencedSeriesSequence.append(series)
    return Items([study])


def pdf_report(institution: str, patient: str, study: str, when: str) -> dict[str, Any]:
    """Attributes of an encapsulated PDF by keyword; its one page is in Russian and English."""
    lines = [institution, "", f"Пациент: {patient}", f"Исследование: {study}", f"Дата: {when}", ""]
    lines += [*FINDINGS_RU, CONCLUSION_RU, "", FINDINGS_EN, CONCLUSION_EN]
    page = make_pdf("Протокол лучевого исследования", lines)
    return {
        "DocumentTitle": "Протокол лучевого исследования",
        "BurnedInAnnotation": "YES",
        "ConceptNameCodeSequence": Items([]),
        "MIMETypeOfEncapsulatedDocument": "application/pdf",
        "EncapsulatedDocument": page + b"\0" * (len(page) % 2),
        "EncapsulatedDocumentLength": len(page),
    }


def make_pdf(title: str, lines: Sequence[str]) -> bytes:
    """One A4 page of text, Cyrillic by the viewer's own Arial: no font has to be shipped."""
    width, height = A4
    text = [f"BT /F1 16 Tf 60 {height - 90} Td 20 TL".encode(), _show(title)]
    text += [b"/F1 11 Tf 17 TL T*", *map(_show, lines), b"ET"]
    stream = b"\n".join(text)
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> >> >>" % (width, height),
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /TrueType /BaseFont /ArialMT /FirstChar 32 /LastChar 255 "
        b"/Widths [%s] /FontDescriptor 6 0 R /Encoding 7 0 R >>" % _widths(),
        b"<< /Type /FontDescriptor /FontName /ArialMT /Flags 32 /FontBBox [-665 -325 2000 1006] "
        b"/ItalicAngle 0 /Ascent 905 /Descent -212 /CapHeight 716 /StemV 80 >>",
        b"<< /Type /Encoding /BaseEncoding /WinAnsiEncoding /Differences [%s] >>" % _differences(),
    ]
    out = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    trailer = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, len(out))
    return bytes(out + b"xref\n0 %d\n0000000000 65535 f \n" % size + table + trailer)


def _show(line: str) -> bytes:
    escaped = line.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
    return b"(" + escaped.encode("cp1251") + b") Tj T*"


def _differences() -> bytes:
    """Glyph names of cp1251's Cyrillic half: А..я are afii10017.., with a gap for Ё and ё."""
    upper = [f"afii{number}" for number in range(10017, 10050) if number != 10023]
    lower = [f"afii{number}" for number in range(10065, 10098) if number != 10071]
    names = [
        "168 /afii10023",
        "184 /afii10071 /afii61352",
        "192",
        *(f"/{n}" for n in upper + lower),
    ]
    return " ".join(names).encode()


def _widths() -> bytes:
    """Advance of each character in thousandths: roughly Arial's, by kind of letter."""
    advances = []
    for code in range(32, 256):
        letter = bytes([code]).decode("cp1251", "replace")
        if letter in " .,:;!|()-/'ijlIt":
            advances.append(278)
        elif letter in "ЖШЩЮФЫМжшщюфыMW№":
            advances.append(850)
        else:
            advances.append(700 if letter.isupper() else 556)
    return " ".join(map(str, advances)).encode()
