"""Emergency access ("break-glass", trust.md 1 f): a doctor opens one study of another hospital by
their own word, for four hours. It is an alarm at once, and an auditor says afterwards what it was.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby

from flask import Blueprint, Response, g, redirect, request
from wtforms import StringField

from gateway.bootstrap import Gateway
from gateway.clock import utc_now
from gateway.log import log
from gateway.model.access import Action, at
from gateway.model.sharing import EMERGENCY_LASTS, REASON_MOST
from gateway.records import sharing
from gateway.records.accounts import load_accounts
from gateway.records.finding import Found, find_studies
from gateway.web.console.frame import clock_of
from gateway.web.forms import SentForm
from gateway.web.permissions import needs
from gateway.web.sign_in import leave_to, show

FORM_LIMIT = 16 * 1024
LEAST_REASON = 10
MOST_FOUND = 20
MISTAKES = {
    "form": ("Страница устарела, отправьте ещё раз.", "The page was too old, send it again."),
    "reason": (
        f"Напишите, почему нельзя ждать: от {LEAST_REASON} до {REASON_MOST} знаков.",
        f"Say why it cannot wait, in {LEAST_REASON} to {REASON_MOST} characters.",
    ),
    "number": (
        "Исследования с таким номером нет. Нужен номер направления, пациента или UID целиком.",
        "No study has this number. Give the whole accession number, patient's number or UID.",
    ),
    "review": (
        "Напишите, что показала проверка. Своё обращение проверяет другой.",
        "Say what you found. Nobody reviews what they did themselves.",
    ),
}


@dataclass(frozen=True)
class Choice:
    """One of several studies that have the number; nothing that names the patient."""

    study_uid: str
    study_date: str
    modalities: str
    sites: tuple[str, ...]

    @property
    def day(self) -> str:
        """As people write it; as it stands if it is no date."""
        told = self.study_date
        is_date = len(told) == 8 and told.isdecimal()
        return f"{told[6:]}.{told[4:6]}.{told[:4]}" if is_date else told


class EmergencyForm(SentForm):
    number = StringField()
    reason = StringField()


class ReviewForm(SentForm):
    share_id = StringField()
    found = StringField()


class Emergency:
    """The pages; one for each process."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._records = gateway.records

    def form(self) -> Response:
        return self._form(EmergencyForm(formdata=None))

    def take(self) -> Response:
        form = EmergencyForm()
        number, reason = ((field.data or "").strip() for field in (form.number, form.reason))
        if not form.validate():
            return self._form(form, "form", 400)
        if not LEAST_REASON <= len(reason) <= REASON_MOST:
            return self._form(form, "reason", 400)
        found = self._found(number)
        if not found:
            return self._form(form, "number", 404)
        if len(found) > 1:
            return self._form(form, choices=found)
        study_uid, account_id = found[0].study_uid, g.actor.subject
        share_id = sharing.add_emergency(self._records, study_uid, account_id, reason, utc_now())
        g.begun = (Action.BREAK_GLASS, at(None, study_uid))  # the audit's last line names it
        log.warning("emergency access", account=account_id, study=study_uid, share=share_id)
        answer = redirect(f"/viewer/viewer?StudyInstanceUIDs={study_uid}", 303)
        assert isinstance(answer, Response)  # noqa: S101 - flask.redirect is hinted wider
        return answer

    def _found(self, number: str) -> list[Choice]:
        if not number or len(number) > 64:
            return []
        known = {site.site_id: site for site in self._gateway.region.sites}
        rows = [
            row
            for row in find_studies(self._records, number, None, 4 * MOST_FOUND)
            if row.site_id in known and row.study_date is not None
        ]
        rows.sort(key=lambda row: (row.study_date, row.study_uid), reverse=True)
        grouped = groupby(rows, key=lambda row: row.study_uid)
        choices = [self._choice(list(copies)) for _, copies in grouped]
        return choices[:MOST_FOUND]

    def _choice(self, copies: list[Found]) -> Choice:
        region = self._gateway.region
        names = tuple(region.by_id[row.site_id].name_ru for row in copies)
        first = copies[0]
        return Choice(first.study_uid, first.study_date, first.modalities, names)

    def _form(
        self, form: EmergencyForm, mistake: str = "", status: int = 200,
        choices: list[Choice] | None = None,
    ) -> Response:  # fmt: skip
        hours = int(EMERGENCY_LASTS.total_seconds() // 3600)
        return show(
            "", form, status=status, page="emergency", mistake=MISTAKES.get(mistake), hours=hours,
            choices=choices or [],
        )  # fmt: skip

    def listed(self) -> Response:
        return self._list()

    def review(self) -> Response:
        form = ReviewForm()
        found = (form.found.data or "").strip()
        if not form.validate():
            return self._list("form", 400)
        share_id, by = form.share_id.data or "", g.actor.subject
        if not 3 <= len(found) <= REASON_MOST or not sharing.save_review(
            self._records, share_id, by, found, utc_now()
        ):
            return self._list("review", 400)
        log.info("emergency access reviewed", share=share_id, by=by)
        return leave_to("/audit/emergencies")

    def _list(self, mistake: str = "", status: int = 200) -> Response:
        names = {one.account_id: one.name or one.login for one in load_accounts(self._records)}
        return show(
            "", SentForm(), status=status, page="emergencies", mistake=MISTAKES.get(mistake),
            rows=sharing.load_emergencies(self._records), names=names,
            clock=clock_of(self._gateway),
        )  # fmt: skip


def create_blueprint(gateway: Gateway) -> Blueprint:
    """/emergency for doctors, /audit/emergencies for auditors."""
    door = Blueprint("emergency", __name__)
    pages = Emergency(gateway)

    @door.before_request
    def keep_small() -> None:
        request.max_content_length = FORM_LIMIT

    def add(rule: str, view: Callable[[], Response], method: str, action: Action) -> None:
        door.add_url_rule(rule, view.__name__, needs(action)(view), methods=[method])

    add("/emergency", pages.form, "GET", Action.BREAK_GLASS)
    add("/emergency", pages.take, "POST", Action.BREAK_GLASS)
    add("/audit/emergencies", pages.listed, "GET", Action.READ_AUDIT)
    add("/audit/emergencies", pages.review, "POST", Action.READ_AUDIT)
    return door
