"""The register as files: taken out as it was at any day, and brought in after it was shown.

What is applied is what was shown: the confirmation names the files and the state of the register.
"""

from datetime import date

import gevent
from flask import Blueprint, Response, request

from gateway.clock import utc_now
from gateway.errors import BadRequest, NotFound, RegisterChanged
from gateway.log import log
from gateway.model.access import Action
from gateway.model.rollout.checking import check_reason
from gateway.model.rollout.columns import tidy
from gateway.model.rollout.import_plan import What
from gateway.records.register_drafts import drop_draft, keep_draft, load_draft
from gateway.rollout.reading import MOST_BYTES
from gateway.rollout.register import Author, File, Shown, apply_import, plan_files
from gateway.rollout.writing import (
    sheets_of_day,
    sheets_of_history,
    write_csv_archive,
    write_xlsx,
)
from gateway.web.console.frame import actor, choice_of, own_form, reach, text_of
from gateway.web.permissions import needs
from gateway.web.rollout.frame import Desk
from gateway.web.rollout.language import language_of
from gateway.web.rollout.register import View
from gateway.web.rollout.register_edit import day_of, redirect_to

MOST_FILES = 4
MOST_SHOWN = 300
FORMS = {
    "xlsx": ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
    "csv": ("application/zip", "zip"),
}


def add_routes(door: Blueprint, desk: Desk) -> None:
    """/rollout/register/export, …/import"""
    own = own_form(desk.gateway)
    own_with_files = own_form(desk.gateway, MOST_FILES * MOST_BYTES)

    @door.get("/register/export")
    @needs(Action.READ_REGISTER, export=True)
    def register_export() -> Response:
        return _export(desk)

    @door.get("/register/import")
    @needs(Action.WRITE_REGISTER)
    def register_import() -> Response:
        return desk.plain_page("register_import", today=_today(desk), most_mb=MOST_BYTES >> 20)

    @door.post("/register/import")
    @needs(Action.WRITE_REGISTER)
    @own_with_files
    def register_show() -> Response:
        sent = [part for part in request.files.getlist("files") if part.filename]
        if not 0 < len(sent) <= MOST_FILES:
            raise BadRequest("files", f"from 1 to {MOST_FILES} files are taken")
        files = [File(tidy(part.filename or "")[:100], part.stream.read()) for part in sent]
        day = day_of(request.form, "valid_from", _today(desk))
        shown = _plan(desk, files, day)
        draft_id = ""
        if shown.plan.changes:
            pairs = [(file.name, file.content) for file in files]
            draft_id = keep_draft(desk.gateway.records, pairs, day, actor(), utc_now())
        return _show(desk, shown, draft_id, day)

    @door.post("/register/import/<draft_id>")
    @needs(Action.WRITE_REGISTER)
    @own
    def register_apply(draft_id: str) -> Response:
        reason = tidy(request.form.get("reason", ""))
        if wrong := check_reason(reason):
            raise BadRequest("reason", wrong.en)
        records, by = desk.gateway.records, actor()
        draft = load_draft(records, draft_id, by)
        if draft is None:
            raise NotFound("draft")
        day, pairs = draft
        files = [File(*pair) for pair in pairs]
        shown = _plan(desk, files, day)
        if shown.key != text_of(request.form, "key"):
            raise RegisterChanged("")
        apply_import(records, shown, Author(by, reason), utc_now())
        drop_draft(records, draft_id)
        log.info("register imported", rows=len(shown.plan.rows), by=by)
        return redirect_to("register", done="imported")


def _plan(desk: Desk, files: list[File], day: date) -> Shown:
    """Aside: the process serves others meanwhile."""
    asked = (desk.shelf.now(), files, day, _today(desk), reach())
    found: Shown = gevent.get_hub().threadpool.apply(plan_files, asked)
    return found


def _show(desk: Desk, shown: Shown, draft_id: str, day: date) -> Response:
    plan = shown.plan
    changing = [row for row in plan.rows if row.what is not What.SAME]
    return desk.plain_page(
        "register_preview", plan=plan, key=shown.key, draft_id=draft_id, day=day,
        rows=changing[:MOST_SHOWN], more=max(len(changing) - MOST_SHOWN, 0),
        mistakes=plan.mistakes[:MOST_SHOWN],
        more_mistakes=max(plan.mistake_count - MOST_SHOWN, 0),
        new=plan.count(What.NEW), changed=plan.count(What.CHANGED), unchanged=plan.count(What.SAME),
    )  # fmt: skip


def _export(desk: Desk) -> Response:
    language = language_of(request.args.get("lang", "")).code
    form = choice_of(request.args, "format", FORMS) or "xlsx"
    whole = choice_of(request.args, "history", {"1": ""}) == "1"
    view = View(desk)
    day = day_of(request.args, "day", view.today)
    facilities = [
        one for one in view.register.facilities if one.thing.facility_id in view.facilities
    ]
    units = [one for one in view.register.units if one.thing.unit_id in view.units]
    if whole:
        sheets = sheets_of_history(facilities, units)
    else:
        sheets = sheets_of_day(facilities, units, day)
    kind, ending = FORMS[form]
    content = (write_xlsx if form == "xlsx" else write_csv_archive)(sheets, language)
    name = f"register-{'history' if whole else day}.{ending}"
    answer = Response(content, content_type=kind)
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _today(desk: Desk) -> date:
    return utc_now().astimezone(desk.zone).date()
