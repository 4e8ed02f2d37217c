"""Forms of the register: a facility, a unit, a merge. Each writes another revision, with the day
from which it counts and why; one that was made from an older revision is told so and writes none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from flask import Blueprint, Response, redirect, request

from gateway.clock import utc_now
from gateway.errors import BadRequest, NotFound, RegisterChanged
from gateway.log import log
from gateway.model.access import Action
from gateway.model.rollout.checking import FIRST_DAY, LAST_DAY, check_reason
from gateway.model.rollout.columns import FACILITY_COLUMNS, UNIT_COLUMNS, VALID_FROM, Column, tidy
from gateway.model.rollout.register import Facility, Unit
from gateway.model.rollout.writing import text_of as cell_text
from gateway.model.wording import Words
from gateway.records.register import facility_history, unit_history
from gateway.rollout.register import Author, merge, save_form
from gateway.web.console.frame import actor, count_of, own_form, reach, text_of
from gateway.web.errors import answer_of
from gateway.web.permissions import needs
from gateway.web.rollout.frame import Desk, link
from gateway.web.rollout.register import View

COLUMNS = {"facility": FACILITY_COLUMNS, "unit": UNIT_COLUMNS}
PAGES = {"facility": "register_facility", "unit": "register_unit"}
_TAKEN = Words("такой код уже есть", "this id is taken")
_BY_MERGE = "merged_into"  # has a form of its own, which moves units too


@dataclass(frozen=True)
class Form:
    """A form of one facility or unit as it is shown.

    kind       "facility" or "unit"
    thing_id   "" for a new one
    values     texts of the fields, by name
    based_on   number of the newest revision that its reader has seen
    mistakes   by name of the field
    changed    somebody wrote another revision since
    """

    kind: str
    thing_id: str
    values: Mapping[str, str]
    based_on: int
    mistakes: Mapping[str, Words]
    changed: bool = False

    @property
    def columns(self) -> list[Column]:
        return [column for column in COLUMNS[self.kind] if column.name != _BY_MERGE]


def add_routes(door: Blueprint, desk: Desk) -> None:
    """/rollout/register/KIND/…: edit and merge"""
    own = own_form(desk.gateway)

    @door.get("/register/<any(facility, unit):kind>/edit")
    @needs(Action.WRITE_REGISTER)
    def register_edit(kind: str) -> Response:
        thing_id = text_of(request.args, "id")
        view = View(desk)
        if not thing_id:
            given = {"facility_id": text_of(request.args, "facility_id")} if kind == "unit" else {}
            return _page(desk, Form(kind, "", given | {"valid_from": str(view.today)}, 0, {}))
        thing = view.facility(thing_id) if kind == "facility" else view.unit(thing_id)
        values = _texts(kind, thing) | {"valid_from": str(view.today)}
        return _page(desk, Form(kind, thing_id, values, _newest(desk, kind, thing_id), {}))

    @door.post("/register/<any(facility, unit):kind>/edit")
    @needs(Action.WRITE_REGISTER)
    @own
    def register_save(kind: str) -> Response:
        return _save(desk, kind)

    @door.post("/register/<any(facility, unit):kind>/merge")
    @needs(Action.WRITE_REGISTER)
    @own
    def register_merge(kind: str) -> Response:
        return _merge(desk, kind)


def _save(desk: Desk, kind: str) -> Response:
    thing_id = text_of(request.form, "id")
    key = f"{kind}_id"
    names = [column.name for column in (*COLUMNS[kind], VALID_FROM) if column.name != _BY_MERGE]
    values = {name: tidy(request.form.get(name, ""))[:1000] for name in names}
    if thing_id:
        values[key] = thing_id
    reason, based_on = tidy(request.form.get("reason", "")), count_of(request.form, "based_on")
    form = Form(kind, thing_id, values | {"reason": reason}, based_on, {})
    wrong = check_reason(reason)
    mistakes = {"reason": wrong} if wrong else {}
    now, records = utc_now(), desk.gateway.records
    today = now.astimezone(desk.zone).date()
    author = Author(actor(), reason, reach())
    if not mistakes:
        try:
            found = save_form(records, values, based_on, author, now, today)
        except RegisterChanged as error:
            if not thing_id:
                return _page(desk, _again(form, 0, {key: _TAKEN}), _status_of_mistakes())
            newest = _newest(desk, kind, values[key])
            status = answer_of(error).status_code
            return _page(desk, _again(form, newest, {}, changed=True), status)
        mistakes = {mistake.name or key: mistake.words for mistake in found}
    if mistakes:
        return _page(desk, _again(form, based_on, mistakes), _status_of_mistakes())
    log.info("register written", kind=kind, thing=values[key], by=actor())
    return redirect_to(PAGES[kind], **{key: values[key]}, done="saved")


def _again(
    form: Form, based_on: int, mistakes: Mapping[str, Words], *, changed: bool = False
) -> Form:
    return Form(form.kind, form.thing_id, form.values, based_on, mistakes, changed)


def _merge(desk: Desk, kind: str) -> Response:
    one_id, into_id = text_of(request.form, "id", required=True), text_of(request.form, "into")
    reason = tidy(request.form.get("reason", ""))
    view = View(desk)
    if reach() is not None:  # a hospital does not decide what another one is a part of
        raise NotFound(kind)
    thing = view.facility(one_id) if kind == "facility" else view.unit(one_id)
    if wrong := check_reason(reason):
        raise BadRequest("reason", wrong.en)
    if bool(into_id) is bool(thing.merged_into):
        raise BadRequest("into", "is missing" if not into_id else "was merged already")
    author = Author(actor(), reason)
    day = day_of(request.form, "valid_from", view.today)
    faults = merge(desk.gateway.records, kind, one_id, into_id, day, author, utc_now())
    if faults:
        name, words = faults[0]
        raise BadRequest(name, f"{words.ru} · {words.en}")
    log.info("register merged", kind=kind, thing=one_id, into=into_id, by=actor())
    return redirect_to(
        PAGES[kind], **{f"{kind}_id": one_id}, done="merged" if into_id else "separated"
    )


def _page(desk: Desk, form: Form, status: int = 200) -> Response:
    return desk.plain_page("register_edit", status=status, form=form)


def _texts(kind: str, thing: Facility | Unit) -> dict[str, str]:
    """As the inputs of a browser want them: days in ISO 8601, codes of lists."""
    found = {}
    for column in COLUMNS[kind]:
        value = getattr(thing, column.name)
        plain = column.words is not None or isinstance(value, date)
        found[column.name] = str(value) if plain else cell_text(column, value, "en")
    return found


def _newest(desk: Desk, kind: str, thing_id: str) -> int:
    records = desk.gateway.records
    history: list[Any] = (
        facility_history(records, thing_id)
        if kind == "facility"
        else unit_history(records, thing_id)
    )
    return history[-1].number if history else 0


def day_of(given: Mapping[str, str], name: str, default: date) -> date:
    """A day of a form, or the default; raises BadRequest that names it."""
    text = text_of(given, name)
    if not text:
        return default
    try:
        found = date.fromisoformat(text)
    except ValueError as error:
        raise BadRequest(name, "is no day; write YYYY-MM-DD") from error
    if not FIRST_DAY <= found <= LAST_DAY:
        raise BadRequest(name, "is no plausible day")
    return found


def _status_of_mistakes() -> int:
    return answer_of(BadRequest("form", "")).status_code


def redirect_to(endpoint: str, **values: str) -> Response:
    """To another page of the register, in the language of the form."""
    answer = redirect(link(endpoint, **values), 303)
    assert isinstance(answer, Response)  # noqa: S101 - flask.redirect is hinted wider
    return answer
