"""`/console/alarms`: what is wrong, what to do about it, and what was wrong lately."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, request, url_for

from gateway.bootstrap import Gateway
from gateway.clock import utc_now
from gateway.errors import NotFound
from gateway.log import log
from gateway.model import alarms as kinds
from gateway.model.access import Action
from gateway.model.alarms import CLOSED_BY_WORD, MEANING, Alarm
from gateway.model.delivery_words import reason_in_words
from gateway.model.wording import Words, number
from gateway.records.alarms import close_alarms, load_alarms
from gateway.web.console.frame import actor, back_to, did_of, own_form, reach, show, text_of
from gateway.web.console.words import NEXT, RISKS
from gateway.web.permissions import needs

MOST = 300
COUNTED: Mapping[str, Words] = {
    "studies": Words("исследований", "studies"),
    "deliveries": Words("доставок", "deliveries"),
    "failures": Words("неудач подряд", "failures in a row"),
    "instances": Words("снимков", "instances"),
    "lines": Words("строк", "lines"),
    "line": Words("первая из них", "the first of them"),
}


@dataclass(frozen=True)
class Told:
    """One alarm in words.

    facts  what is known of the cause, in words
    link   where to look at it; "" if nothing here shows it
    """

    alarm: Alarm
    meaning: Words
    next: Words
    facts: tuple[Words, ...]
    link: str
    by_word: bool


def add_routes(door: Blueprint, gateway: Gateway) -> None:
    """/console/alarms"""
    own = own_form(gateway)

    @door.get("/alarms")
    @needs(Action.READ_DELIVERIES)
    def alarms() -> Response:
        found = [tell(one) for one in visible(gateway, cleared=True)]
        return show(
            gateway, "alarms", is_open=[one for one in found if one.alarm.cleared_at is None],
            closed=[one for one in found if one.alarm.cleared_at is not None],
            did=did_of(request.args),
        )  # fmt: skip

    @door.post("/alarms/close")
    @needs(Action.RESEND)
    @own
    def close_alarm() -> Response:
        subject = text_of(request.form, "subject", required=True)
        reason = text_of(request.form, "reason", required=True)
        meant = {one.kind for one in visible(gateway) if one.subject == subject}
        if not close_alarms(gateway.records, subject, actor(), utc_now(), reason, meant):
            raise NotFound("alarm")
        log.info("alarm closed", subject=subject, by=actor())
        return back_to("console.alarms", done="close", count=1)


def visible(gateway: Gateway, *, cleared: bool = False) -> list[Alarm]:
    """Alarms of every destination, and of the sites within reach."""
    found, within = load_alarms(gateway.records, cleared=cleared, limit=MOST), reach()
    if within is None:
        return found
    known = within.union(one.destination_id for one in gateway.region.destinations)
    return [one for one in found if one.subject in known or within & {*one.facts.get("sites", ())}]


def tell(alarm: Alarm) -> Told:
    """What a person reads of an alarm."""
    meaning = Words(*MEANING.get(alarm.kind, (alarm.kind, alarm.kind)))
    by_word = alarm.kind in CLOSED_BY_WORD
    advice = NEXT.get(alarm.kind, Words("Смотрите журнал шлюза.", "See the gateway's log."))
    return Told(alarm, meaning, advice, tuple(_facts(alarm.facts)), _link(alarm), by_word)


def _facts(facts: Mapping[str, Any]) -> list[Words]:
    found = []
    for name, value in facts.items():
        if name == "reason" and isinstance(value, str):
            found.append(reason_in_words(value))
        elif name in COUNTED and isinstance(value, int):
            words = COUNTED[name]
            found.append(Words(f"{words.ru}: {number(value)}", f"{words.en}: {number(value)}"))
        elif name == "sites" and isinstance(value, list):
            names = ", ".join(map(str, value))
            found.append(Words(f"площадки: {names}", f"sites: {names}"))
        elif name == "risks" and isinstance(value, list):
            found += [RISKS[one] for one in value if one in RISKS]
        elif name == "closed_because":
            found.append(Words(f"закрыто: {value}", f"closed: {value}"))
    return found


OF_DESTINATION: Mapping[str, Mapping[str, str]] = {
    kinds.DELIVERIES_PARKED: {"state": "parked"},
    kinds.DELIVERIES_IN_CONFLICT: {"state": "conflict"},
    kinds.DELIVERIES_STUCK: {"state": "due"},
    kinds.DESTINATION_UNKNOWN: {},
    kinds.EMERGENCY_LATE: {"lane": "emergency"},
}
OF_SITE: Mapping[str, str] = {
    kinds.STUDIES_WITHOUT_RULES: "unruled",
    kinds.STUDIES_NOT_JUDGED: "failed",
    kinds.STUDIES_NOT_PLANNED: "planned",
}
AT_SITE = frozenset(
    {
        kinds.ARRIVALS_WAIT, kinds.ANSWERS_OTHER, kinds.SITE_SILENT, kinds.NAME_NOT_RESOLVED,
        kinds.SOURCE_RECYCLES, kinds.SITE_CLOCK_OFF, kinds.SITE_REPLACED, kinds.VERSION_HAS_HOLE,
        kinds.SITE_UNGUARDED,
        kinds.SENDERS_WITHOUT_END,
    }
)  # fmt: skip
OF_STUDY = frozenset(
    {
        kinds.STUDY_OF_TWO_PATIENTS, kinds.REFUSED_CONTENT, kinds.REFUSED_PATIENT,
        kinds.EXECUTABLE_PREAMBLE,
    }
)  # fmt: skip


def _link(alarm: Alarm) -> str:
    """The page that shows its cause."""
    kind, subject = alarm.kind, alarm.subject
    if kind in OF_DESTINATION:
        return url_for("console.deliveries", destination=subject, **OF_DESTINATION[kind])  # type: ignore[arg-type]
    if kind in OF_SITE:
        return url_for("console.arrivals", site=subject, state=OF_SITE[kind])
    if kind == kinds.SOURCE_LOST:
        return url_for("console.deliveries", site=subject, state="source_lost")
    if kind in (kinds.DESTINATION_BLOCKED, kinds.DESTINATION_SILENT):
        return url_for("console.destinations", _anchor=f"to-{subject}")
    if kind in AT_SITE:
        return url_for("console.sites", _anchor=f"site-{subject}")
    if kind in OF_STUDY:
        return url_for("console.study", study_uid=subject)
    return ""
