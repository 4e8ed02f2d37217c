"""Reports for people: a structured report as a safe HTML page, a PDF as it is, and one page with
all reports of a study.

Words of a report are only ever text in a template; the pages run no script (trust.md H35, H36).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson
from flask import Blueprint, Response, current_app, g, render_template

from gateway.bootstrap import Gateway
from gateway.clock import Deadline
from gateway.dicom.attributes import text
from gateway.dicom.media_types import HTML, PDF, TEXT
from gateway.dicom.transcode import CannotDecode
from gateway.errors import NoSiteAnswered, NotFound, SiteError
from gateway.federation.retrieve import Opened
from gateway.model.access import Action, allow, at
from gateway.model.sites import Site
from gateway.web.errors import answer_of
from gateway.web.opening import Opener, Target, target_of
from gateway.web.permissions import needs
from gateway.web.problem_page import way_out
from gateway.web.report_forms import as_plain_text, as_xml
from gateway.web.representation import single
from gateway.web.scope import Scope
from gateway.web.stored import open_instance
from gateway.web.versions import Versions

IS_PDF = b"%PDF-"
DOCUMENTS = frozenset({"SR", "DOC"})
MOST_REPORTS = 20
PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; frame-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'"
)
PDF_POLICY = (
    "default-src 'none'; object-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'self'"
)

LABELS = {
    "PatientName": ("Пациент", "Patient"),
    "PatientID": ("Номер пациента", "Patient ID"),
    "PatientBirthDate": ("Дата рождения", "Date of birth"),
    "PatientSex": ("Пол", "Sex"),
    "StudyDate": ("Дата исследования", "Study date"),
    "StudyDescription": ("Исследование", "Study"),
    "AccessionNumber": ("Номер направления", "Accession number"),
    "InstitutionName": ("Учреждение", "Institution"),
    "ReferringPhysicianName": ("Направил", "Referred by"),
    "ContentDate": ("Дата протокола", "Report date"),
    "CompletionFlag": ("Готовность", "Completion"),
    "VerificationFlag": ("Подписание", "Verification"),
    "VerifyingObserverName": ("Подписал", "Verified by"),
    "ReferencedSOPSequence": ("Снимок", "Image"),
}
WORDS = {
    "COMPLETE": "завершён · complete",
    "PARTIAL": "не завершён · partial",
    "VERIFIED": "подтверждён врачом · verified",
    "UNVERIFIED": "не подтверждён врачом · not verified",
    "M": "мужской · male",
    "F": "женский · female",
    "O": "другой · other",
}
# What the usual concepts (PS3.16 CID 7001, 7002, 6053) are called in Russian, by their meaning.
CONCEPTS = {
    "addendum": "Дополнение",
    "best illustration of finding": "Показательный снимок",
    "comparison": "Сравнение",
    "conclusion": "Заключение",
    "conclusions": "Заключение",
    "current procedure descriptions": "Описание процедуры",
    "diagnostic imaging report": "Протокол лучевого исследования",
    "finding": "Находка",
    "findings": "Описание",
    "history": "Анамнез",
    "impression": "Заключение",
    "impressions": "Заключение",
    "indications for procedure": "Показания",
    "procedure descriptions": "Описание процедуры",
    "recommendation": "Рекомендация",
    "recommendations": "Рекомендации",
    "request": "Направление",
    "summary": "Итог",
}


@dataclass(frozen=True)
class Report:
    """One report of a study. `document` None: a PDF, shown from `address`."""

    address: str
    document: Mapping[str, Any] | None
    problem: str = ""


def html_answer(document: bytes, root: str, opened: Opened, tag: str | None) -> Response:
    """A structured report (documents.read_document) as a page of its own."""
    page = _rendered("report.html", document=orjson.loads(document), root=root).encode()
    answer = single(iter([page]), f"{HTML}; charset=utf-8", len(page), opened, tag)
    del answer.headers["Content-Disposition"]
    answer.headers["Content-Security-Policy"] = PAGE_POLICY
    return answer


def text_answer(document: bytes, kind: str, opened: Opened, tag: str | None) -> Response:
    """The same report as plain text or XML."""
    found = orjson.loads(document)
    body = as_plain_text(found, _said) if kind == TEXT else as_xml(found)
    return single(iter([body]), f"{kind}; charset=utf-8", len(body), opened, tag)


def _said(kind: str, word: str) -> str:
    """In Russian with the English beside it, where we know both."""
    if kind == "label":
        return " · ".join(LABELS[word])
    if kind == "concept":
        known = CONCEPTS.get(word.lower())
        return f"{known} · {word}" if known else word
    return WORDS.get(word, day(word))


def pdf_answer(document: bytes, opened: Opened, tag: str | None) -> Response:
    answer = single(iter([document]), PDF, len(document), opened, tag)
    answer.headers["Content-Disposition"] = 'inline; filename="report.pdf"'
    answer.headers["Content-Security-Policy"] = PDF_POLICY
    return answer


def create_blueprint(gateway: Gateway) -> Blueprint:
    """`/report/STUDY`: all reports of a study on one page, in Russian with English beside it."""
    door = Blueprint("reports", __name__)
    opener = Opener(gateway, Versions(gateway))

    @door.get("/report/<study>")
    @needs(Action.RETRIEVE)
    def report(study: str) -> Response:
        target = target_of({"study": study})
        scope = opener.scope(None)
        reports: list[Report] = []
        problem, status = "", 200
        lacking: tuple[str, ...] = ()
        names = {site.site_id: (site.name_ru, site.name_en) for site in gateway.region.sites}
        try:
            found, lacking = _listed(opener, scope, target)
            reports = [_read(opener, scope, one) for one in found[:MOST_REPORTS]]
        except (NotFound, NoSiteAnswered) as error:
            answer = answer_of(error)
            status, problem = answer.status_code, "silent" if answer.status_code == 503 else "none"
        page = _rendered(
            "study_reports.html", reports=reports, root=scope.service_url, study=study,
            problem=problem, lacking=[names.get(one, (one, one)) for one in lacking],
            may_share=_may_share(study), way=way_out(),
        )  # fmt: skip
        answer = Response(page, status)
        answer.headers["Content-Security-Policy"] = PAGE_POLICY
        return answer

    return door


def _may_share(study: str) -> bool:
    """Where people sign in, a doctor leads a patient or a colleague to the study."""
    there = "sharing.page" in current_app.view_functions
    return there and allow(g.actor, Action.SHARE, at(None, study)).allowed


def _rendered(template: str, **facts: Any) -> str:
    return render_template(
        template, labels=LABELS, words=WORDS, concepts=CONCEPTS, day=day, **facts
    )


def day(value: str) -> str:
    """20260131 and 20260131101500 as people write them; anything else as it is."""
    for length, written, shown in (
        (8, "%Y%m%d", "%d.%m.%Y"),
        (14, "%Y%m%d%H%M%S", "%d.%m.%Y %H:%M"),
    ):
        if len(value) == length and value.isdecimal():
            try:
                return datetime.strptime(value, written).strftime(shown)
            except ValueError:
                return value
    return value


def _read(opener: Opener, scope: Scope, found: Target) -> Report:
    address = scope.service_url + found.path + "/rendered"
    try:
        with opener.gateway.pixels.holding() as held:
            stored = open_instance(opener, scope, found, held)
            stored.close()
            document = opener.gateway.pixels.run("document", {}, stored.document())
    except CannotDecode as error:
        return Report(address, None, str(error))
    return Report(address, None if document.startswith(IS_PDF) else orjson.loads(document))


def _listed(opener: Opener, scope: Scope, target: Target) -> tuple[list[Target], tuple[str, ...]]:
    """The reports of a study, as its best holder lists them, or every one if none has all of it;
    and the silent sites that are known to hold more of it.
    """
    location = opener.locate(scope, target.study)
    coverage = opener.coverage(scope, location, target)
    location = coverage.applied(location)
    silent = dict(location.silent)
    found: dict[str, Target] = {}
    answered = False
    for holder in location.holders:
        try:
            found |= {
                one.path: one for one in _listed_by(opener, scope.by_id[holder.site_id], target)
            }
        except SiteError as error:
            silent[holder.site_id] = error.code
            continue
        answered = True
        if not coverage.shares:
            break
    if not answered:
        raise NoSiteAnswered(silent)
    more = coverage.lacking or (coverage.shares and len(silent) > len(location.silent))
    return list(found.values()), tuple(silent) if more else ()


def _listed_by(opener: Opener, site: Site, target: Target) -> Iterator[Target]:
    deadline = Deadline(site.timeouts.metadata_s)
    for row in opener.series_of(site, target, deadline):
        if text(row, "Modality") in DOCUMENTS:
            series = replace(target, series=text(row, "SeriesInstanceUID"))
            for one in opener.instances_of(site, series, deadline):
                yield replace(series, instance=text(one, "SOPInstanceUID"))
