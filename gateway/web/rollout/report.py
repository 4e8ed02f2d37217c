"""`/rollout/report`: a frozen month on paper and as files. Each version of it stays; a correction
is another one, with its reason.
"""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from flask import Blueprint, Response, request

from gateway.errors import BadRequest
from gateway.model.access import Action
from gateway.model.rollout.figures import ScopeKind
from gateway.web.console.frame import count_of, text_of
from gateway.web.permissions import needs
from gateway.web.rollout.charts import evidence_chart, flow_chart, share_chart
from gateway.web.rollout.definitions import DEFINITIONS
from gateway.web.rollout.export import write_csv, write_xlsx
from gateway.web.rollout.facilities import towns_of
from gateway.web.rollout.frame import Desk
from gateway.web.rollout.glance import kinds_of_units
from gateway.web.rollout.language import Language, language_of
from gateway.web.rollout.programme import tell_programme
from gateway.web.rollout.shown import Shown
from gateway.web.rollout.tables import flat_table, tables_of
from gateway.web.rollout.words import FACILITY_KINDS

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
CSV = "text/csv; charset=utf-8"


def add_routes(door: Blueprint, desk: Desk) -> None:
    """/rollout/report, as a page, a workbook and CSV"""

    @door.get("/report")
    @needs(Action.READ_FIGURES)
    def report() -> Response:
        shown = _asked(desk)
        return desk.page("report", shown, lambda language: _tell(shown, language))

    @door.get("/report.xlsx")
    @needs(Action.READ_FIGURES, export=True)
    def workbook() -> Response:
        return _file(desk, "xlsx", XLSX, lambda shown, language: write_xlsx(
            tables_of(shown, language, region=_region(desk, language)), language
        ))  # fmt: skip

    @door.get("/report.csv")
    @needs(Action.READ_FIGURES, export=True)
    def lines() -> Response:
        return _file(desk, "csv", CSV, lambda shown, lang: write_csv(flat_table(shown, lang), lang))


def _region(desk: Desk, language: Language) -> str:
    return language.say(desk.gateway.region.name_ru, desk.gateway.region.name_en)


def _asked(desk: Desk) -> Shown:
    """The month that is asked for; else the last frozen one; before the first, the last night."""
    month, version = text_of(request.args, "month"), count_of(request.args, "version")
    if month:
        try:
            first = date.fromisoformat(f"{month}-01")
        except ValueError:
            raise BadRequest("month", "is no month like 2026-01") from None
        return desk.teller.month(first, version or None)
    now = desk.teller.now()
    return desk.teller.month(now.months[-1].day, None) if now.months else now


def _file(
    desk: Desk, ending: str, kind: str, write: Callable[[Shown, Language], bytes]
) -> Response:
    shown, language = _asked(desk), language_of(request.args.get("lang", ""))
    one = shown.snapshot
    answer = Response(write(shown, language), content_type=kind)
    name = f"rollout-{one.day}-v{one.version}-{language.code}.{ending}"
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    answer.headers["Cache-Control"] = "private, no-cache"
    answer.vary.update(("Authorization", "Cookie"))
    return answer


def _tell(shown: Shown, language: Language) -> Mapping[str, Any]:
    kinds = kinds_of_units(shown, language)
    of_facilities = shown.scopes(ScopeKind.FACILITY_KIND)
    return {
        "kinds": kinds,
        "by_kind": evidence_chart(kinds, language),
        "curve": share_chart(shown.curve(), language, shown.snapshot.forecast),
        "flow": flow_chart(shown.curve(), language),
        "towns": dict(towns_of(shown, language).values()),
        "facility_kinds": {
            language.words(FACILITY_KINDS[name]): figures for name, figures in of_facilities.items()
        },
        "definitions": DEFINITIONS,
        "month": f"{shown.snapshot.day:%Y-%m}",
        "choices": {one.day: one for one in reversed(shown.months)},
        "versions": [one for one in shown.months if one.day == shown.snapshot.day],
        **tell_programme(shown, language),
    }
