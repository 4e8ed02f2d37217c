"""`/console/reconciliation`: does each archive have what its hospitals sent, as the last night's
comparison found it; and sending again what is absent, by one button.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flask import Blueprint, Response, request

from gateway.bootstrap import Gateway
from gateway.errors import NotFound
from gateway.log import log
from gateway.model.access import Action
from gateway.model.wording import Words
from gateway.records.reconciling import Figures, Finding, Verdict, load_figures, load_findings
from gateway.routing.reconcile import mend
from gateway.web.console.frame import actor, back_to, did_of, own_form, reach, show
from gateway.web.permissions import needs

MOST_SHOWN = 100
VERDICTS: Mapping[Verdict, Words] = {
    Verdict.COMPLETE: Words("целы", "whole"),
    Verdict.PARTIAL: Words("не целиком", "in part"),
    Verdict.MISSING: Words("нет совсем", "absent"),
    Verdict.CONFLICTING: Words("другое содержимое", "other content"),
    Verdict.WAITING: Words("ещё в пути", "on the way"),
    Verdict.UNKNOWN: Words("не узнать", "could not be told"),
}


@dataclass(frozen=True)
class Compared:
    """A hospital and one of its destinations; `absent` studies can be sent again."""

    figures: Figures
    findings: Sequence[Finding]

    @property
    def absent(self) -> int:
        return self.figures.partial + self.figures.missing

    @property
    def share(self) -> Words:
        """Proven to be whole: never rounded up to all."""
        found = self.figures.completeness
        if found is None:
            return Words("—", "—")
        tenths = int(found * 1000)
        return Words(f"{tenths // 10},{tenths % 10} %", f"{tenths / 10:.1f} %")

    def count(self, verdict: Verdict) -> int:
        return int(getattr(self.figures, verdict))


def add_routes(door: Blueprint, gateway: Gateway) -> None:
    """/console/reconciliation"""
    records = gateway.records
    own = own_form(gateway)

    def within_reach() -> list[Figures]:
        within = reach()
        found = sorted(load_figures(records).items())
        return [figures for (site_id, _), figures in found if within is None or site_id in within]

    @door.get("/reconciliation")
    @needs(Action.READ_DELIVERIES)
    def reconciliation() -> Response:
        compared = [
            Compared(one, load_findings(records, one.site_id, one.destination, MOST_SHOWN))
            for one in within_reach()
        ]
        return show(
            gateway, "reconciliation", compared=compared, verdicts=VERDICTS, most=MOST_SHOWN,
            did=did_of(request.args),
        )  # fmt: skip

    @door.post("/reconciliation/<site_id>/<destination>/mend")
    @needs(Action.RESEND)
    @own
    def mend_all(site_id: str, destination: str) -> Response:
        if (site_id, destination) not in {(one.site_id, one.destination) for one in within_reach()}:
            raise NotFound("comparison")
        count = mend(records, site_id, destination)
        log.info("sent again", site=site_id, destination=destination, count=count, by=actor())
        return back_to("console.reconciliation", done="mend", count=count)
