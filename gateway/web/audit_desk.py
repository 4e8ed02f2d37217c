"""`/audit`: the auditor asks who touched a patient or a study, and what a person opened.

What is asked for comes in forms alone, never in an address (trust.md H70), and asking leaves its
lines like everything else: the words of the question are sealed in them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import unquote_plus
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, render_template, request

from gateway.bootstrap import Gateway
from gateway.clock import utc_now
from gateway.dicom.uids import check_uid
from gateway.errors import (
    AccountRefused,
    BadRequest,
    NotSignedIn,
    RecordsRefused,
)
from gateway.model.access import Action
from gateway.model.audit import SEAL, Row
from gateway.model.audit_dicom import Source
from gateway.model.audit_forms import FORMS
from gateway.model.audit_words import ACTIONS, OUTCOMES, words_of
from gateway.model.wording import Words, number, volume
from gateway.records.accounts import find_account, load_accounts
from gateway.records.audit_pages import Asked, Place, load_page, load_sums, walk
from gateway.records.audit_patients import Digests, find_studies
from gateway.records.clients import load_clients
from gateway.records.keyring import Keyring
from gateway.web.console.frame import PAGE_POLICY, Clock, own_form, text_of
from gateway.web.errors import answer_of, lead_to_sign_in
from gateway.web.permissions import needs

ROWS = 100
FORM_LIMIT = 16 * 1024
FIELDS: Mapping[str, Words] = {
    "since": Words("с какого времени", "from"),
    "until": Words("по какое время", "until"),
    "study": Words("исследование (UID)", "study (UID)"),
    "patient_id": Words("номер пациента", "PatientID"),
    "issuer": Words("кто выдал номер", "issuer of the PatientID"),
    "actor": Words("кто", "who"),
    "action": Words("что делал", "what was done"),
    "form": Words("форма", "form"),
    "after": Words("страница", "page"),
}
REFUSED = "refused"
CHOICES: Mapping[str, Words] = {
    "": Words("всё", "everything"),
    REFUSED: Words("только отказы", "refusals only"),
    **ACTIONS,
}


@dataclass(frozen=True)
class Question:
    """What a form says, as it was written; the page shows it again."""

    since: str
    until: str
    patient_id: str = ""
    issuer: str = ""
    study: str = ""
    actor: str = ""
    action: str = ""

    @property
    def fields(self) -> dict[str, str]:
        return dict(vars(self))


class Desk:
    """What the pages need; one for each process. keyring None: there are no logins yet."""

    def __init__(self, gateway: Gateway, keyring: Keyring | None) -> None:
        self._gateway = gateway
        self._keyring = keyring
        key = keyring.derived("audit patients") if keyring is not None else None
        self._digests = Digests(key) if key is not None else None

    @property
    def zone(self) -> ZoneInfo:
        region = self._gateway.region
        home = region.site(region.home_site)
        return ZoneInfo(home.time_zone if home else "UTC")

    def empty(self) -> Question:
        """The last day."""
        now = utc_now().astimezone(self.zone)
        begin, end = now - timedelta(days=1), now + timedelta(minutes=1)
        return Question(f"{begin:%Y-%m-%dT%H:%M}", f"{end:%Y-%m-%dT%H:%M}")

    def read(self, form: Mapping[str, str]) -> Question:
        return Question(**{name: text_of(form, name) for name in Question.__dataclass_fields__})

    def meant(self, question: Question) -> Asked:
        """raises BadRequest that names the field"""
        if question.action not in CHOICES:
            raise BadRequest("action", "is none of the list")
        studies, patients = frozenset[str](), frozenset[str]()
        if question.study:
            studies = frozenset({check_uid(question.study, "study")})
        if question.patient_id:
            records, issuer = self._gateway.records, question.issuer
            found, patients = find_studies(records, self._digests, question.patient_id, issuer)
            studies = found if not studies else studies & found
            patients = patients if not question.study else frozenset()
        asked = Asked(
            since=self._moment(question.since, "since"),
            until=self._moment(question.until, "until"),
            studies=studies,
            patients=patients,
            nobody=bool(question.patient_id) and not studies and not patients,
            actor=self._actor(question.actor),
            action="" if question.action == REFUSED else question.action,
            refused=question.action == REFUSED,
        )
        if not asked.is_narrow:
            raise BadRequest("actor", "or a patient, a study, or what was done must be named")
        return asked

    def _moment(self, given: str, field: str) -> datetime:
        try:
            return datetime.fromisoformat(given).replace(tzinfo=self.zone)
        except ValueError:
            raise BadRequest(field, "is no moment like 2026-01-31T12:00") from None

    def _actor(self, given: str) -> str:
        """The id of a login; what is no login is an id already."""
        try:
            return find_account(self._gateway.records, given).account_id if given else ""
        except AccountRefused:
            return given

    def names(self) -> dict[str, str]:
        """What people call the actors of lines."""
        people = load_accounts(self._gateway.records)
        known = {one.account_id: f"{one.login} {one.name}".strip() for one in people}
        programs = load_clients(self._gateway.records)
        return known | {one.client_id: one.name for one in programs}

    def words(self, row: Row) -> str:
        """What was searched for, unsealed for the auditor."""
        if not row.entry.detail or row.entry.action == SEAL or self._keyring is None:
            return ""
        try:
            return unquote_plus(self._keyring.unseal(row.entry.detail))
        except RecordsRefused:
            return "▲ запечатано другим ключом · sealed with another key"


def create_blueprint(gateway: Gateway, keyring: Keyring | None) -> Blueprint:
    """/audit and its export."""
    door = Blueprint("audit_desk", __name__)
    desk, own = Desk(gateway, keyring), own_form(gateway)
    source = Source(gateway.settings.base_url, gateway.settings.base_url.partition("//")[2])

    @door.before_request
    def keep_small() -> None:
        request.max_content_length = FORM_LIMIT

    @door.after_request
    def finish(answer: Response) -> Response:
        answer.headers["Content-Security-Policy"] = PAGE_POLICY
        answer.headers["Referrer-Policy"] = "same-origin"
        answer.headers["Cache-Control"] = "no-store"
        return answer

    door.register_error_handler(NotSignedIn, lead_to_sign_in)

    @door.errorhandler(BadRequest)
    def on_mistake(error: BadRequest) -> Response:
        """The form as it was filled; all else is told as everywhere (errors.py)."""
        plain, question = answer_of(error), desk.empty()
        if request.method == "POST":
            typed = {name: request.form.get(name, "")[:200] for name in question.fields}
            question = Question(**typed)
        where = FIELDS.get(error.field)
        return _page(gateway, desk, question, plain.status_code, problem=error.problem, where=where)

    @door.get("/audit")
    @needs(Action.READ_AUDIT)
    def form() -> Response:
        return _page(gateway, desk, desk.empty())

    @door.post("/audit")
    @needs(Action.READ_AUDIT)
    @own
    def search() -> Response:
        question = desk.read(request.form)
        asked, after = desk.meant(question), _place(text_of(request.form, "after"))
        found = load_page(gateway.records, asked, ROWS + 1, after)
        sums, more_sums = ([], False) if after else load_sums(gateway.records, asked)
        words = {row.number: desk.words(row) for row in found[:ROWS]}
        return _page(
            gateway, desk, question, rows=found[:ROWS], words=words,
            after=after, next=_written(found[ROWS - 1]) if len(found) > ROWS else "",
            sums=sums, more_sums=more_sums, names=desk.names(), asked=True,
        )  # fmt: skip

    @door.post("/audit/export")
    @needs(Action.READ_AUDIT)
    @own
    def export() -> Response:
        form = FORMS.get(text_of(request.form, "form"))
        if form is None:
            raise BadRequest("form", f"is none of {', '.join(FORMS)}")
        asked = desk.meant(desk.read(request.form))
        answer = Response(
            _packed(form.write(walk(gateway.records, asked), source)), content_type=form.media_type
        )
        name = f"audit-{utc_now():%Y%m%d-%H%M%S}.{form.ending}"
        answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
        return answer

    return door


def _packed(lines: Iterator[bytes], size: int = 64 * 1024) -> Iterator[bytes]:
    """In blocks: a line each would be a packet each."""
    block = bytearray()
    for line in lines:
        block += line
        if len(block) >= size:
            yield bytes(block)
            block.clear()
    yield bytes(block)


def _written(row: Row) -> str:
    return f"{row.entry.at.isoformat()} {row.number}"


def _place(given: str) -> Place | None:
    """Where the page before ended."""
    moment, _, last = given.partition(" ")
    if not given:
        return None
    try:
        at = datetime.fromisoformat(moment)
        return Place(at, int(last)) if at.tzinfo else None
    except ValueError:
        raise BadRequest("after", "names no line; begin at the first page") from None


def _page(
    gateway: Gateway, desk: Desk, question: Question, status: int = 200, **facts: object
) -> Response:
    region = gateway.region
    sites = {site.site_id: Words(site.name_ru, site.name_en) for site in region.sites}
    page = render_template(
        "audit.html",
        region=region, question=question, clock=Clock(desk.zone), number=number, volume=volume,
        choices=CHOICES, actions=ACTIONS, outcomes=OUTCOMES, words_of=words_of, forms=FORMS,
        site_names=sites, signs_in=gateway.settings.access == "login", **facts,
    )  # fmt: skip
    return Response(page, status)
