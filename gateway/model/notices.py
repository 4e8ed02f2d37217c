"""What people are told by mail and by webhook: alarms that open and clear, studies that a rule
names them for. Russian first, English beneath. Pure.

Never a patient's data: a study is told by its UID, inside a link, and of an alarm's facts only
those that are named here.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from gateway.model.alarms import MEANING
from gateway.model.delivery_words import reason_in_words
from gateway.model.wording import Words, number

Event = Literal["opened", "cleared", "study"]
COUNTED: tuple[tuple[Event, str, str], ...] = (
    ("opened", "тревог", "alarms"),
    ("cleared", "снято", "cleared"),
    ("study", "исследований", "studies"),
)
SHOWN = 40  # of one message: who reads more of them looks at the console
MARK: Mapping[Event, str] = {"opened": "▲", "cleared": "●", "study": "→"}
FACTS: Mapping[str, Words] = {
    "studies": Words("исследований", "studies"),
    "deliveries": Words("доставок", "deliveries"),
    "messages": Words("сообщений", "messages"),
    "failures": Words("неудач подряд", "failures in a row"),
    "hours_left": Words("часов осталось", "hours left"),
    "percent": Words("занято, %", "used, %"),
    "seconds": Words("секунд", "seconds"),
    "lane": Words("полоса", "lane"),
    "oldest": Words("с", "since"),
    "reason": Words("причина", "reason"),
}


@dataclass(frozen=True)
class Notice:
    """One thing that somebody is told.

    kind     of gateway.model.alarms; of a study the "owner/rule id" that named the list
    subject  of the alarm; of a study its StudyInstanceUID
    facts    of the alarm; of a study {"site": its id}
    """

    event: Event
    kind: str
    subject: str
    facts: Mapping[str, Any]
    at: datetime


@dataclass(frozen=True)
class Message:
    """Several notices at once, as they go to one address list.

    message_id  the same each time it is tried: who got it twice can tell
    """

    message_id: str
    region: Words
    base_url: str
    notices: tuple[Notice, ...]


def alarm_key(alarm_id: int, event: Event) -> str:
    """What must not be told twice of an alarm."""
    return f"alarm {alarm_id} {event}"


def study_key(site_id: str, study_uid: str, rule: str) -> str:
    """A study is told once for each rule, whatever comes to it later."""
    told = hashlib.sha256("\n".join((site_id, study_uid, rule)).encode()).hexdigest()
    return f"study {told}"


def subject_line(message: Message) -> str:
    """One line; of several notices what they are."""
    counts = {event: sum(n.event == event for n in message.notices) for event in MARK}
    if len(message.notices) == 1:
        (one,) = message.notices
        words = _what(one)
        return f"[{message.region.ru}] {MARK[one.event]} {words.ru} · {words.en}"[:200]
    told = [
        f"{MARK[event]} {ru} {counts[event]} · {en} {counts[event]}"
        for event, ru, en in COUNTED
        if counts[event]
    ]  # fmt: skip
    return f"[{message.region.ru}] " + "; ".join(told)


def body_text(message: Message) -> str:
    """The text of a mail: all of it in Russian, then all of it in English."""
    halves = []
    for tongue, region, more in (
        (0, message.region.ru, "и ещё {}: см. {}"),
        (1, message.region.en, "and {} more: see {}"),
    ):
        lines = [region, ""]
        lines += [line for one in message.notices[:SHOWN] for line in _told(message, one, tongue)]
        if rest := len(message.notices) - SHOWN:
            console = f"{message.base_url}/console"
            lines += [more.format(number(rest), console)] if rest > 0 else []
        halves.append("\n".join(lines))
    return f"\n\n{'—' * 12}\n".join(halves) + "\n"


def _told(message: Message, one: Notice, tongue: int) -> list[str]:
    moment = f"{one.at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    if one.event == "study":
        where = f"{message.base_url}/console/studies/{one.subject}"
        return [f"{MARK[one.event]} {moment} {_what(one)[tongue]}", f"  {where}", ""]
    state = {"opened": ("тревога", "alarm"), "cleared": ("снята", "cleared")}[one.event]
    lines = [f"{MARK[one.event]} {moment} {state[tongue]}: {_what(one)[tongue]}"]
    if one.event == "opened":
        lines += [f"  {FACTS[name][tongue]}: {value[tongue]}" for name, value in _facts(one)]
    return [*lines, f"  {message.base_url}/console/alarms", ""]


def _what(one: Notice) -> Words:
    if one.event == "study":
        site = one.facts.get("site", "")
        return Words(f"исследование из {site}, правило {one.kind}",
                     f"a study of {site}, rule {one.kind}")  # fmt: skip
    russian, english = MEANING.get(one.kind, (one.kind, one.kind))
    return Words(f"{one.subject}: {russian}", f"{one.subject}: {english}")


def _facts(one: Notice) -> list[tuple[str, Words]]:
    return [
        (name, reason_in_words(str(one.facts[name])) if name == "reason" else _same(one, name))
        for name in FACTS
        if name in one.facts
    ]


def _same(one: Notice, name: str) -> Words:
    value = one.facts[name]
    told = number(value) if isinstance(value, int | float) else str(value)
    return Words(told, told)


def document(message: Message) -> dict[str, Any]:
    """What a webhook gets, as JSON: words for people, codes for machines."""
    return {
        "message": message.message_id,
        "text": body_text(message),
        "notices": [_as_json(message, one) for one in message.notices],
    }


def _as_json(message: Message, one: Notice) -> dict[str, Any]:
    words = _what(one)
    place = f"studies/{one.subject}" if one.event == "study" else "alarms"
    return {
        "event": one.event, "kind": one.kind, "subject": one.subject,
        "at": one.at.astimezone(UTC).isoformat(timespec="seconds"),
        "ru": words.ru, "en": words.en,
        "facts": {name: one.facts[name] for name in FACTS if name in one.facts},
        "url": f"{message.base_url}/console/{place}",
    }  # fmt: skip


def grouped(notices: Sequence[Notice]) -> tuple[Notice, ...]:
    """As a person wants to read them: what opened first, in the order of time."""
    order: Mapping[Event, int] = {"opened": 0, "study": 1, "cleared": 2}
    return tuple(sorted(notices, key=lambda one: (order[one.event], one.at)))
