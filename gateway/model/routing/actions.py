"""What a rule does with a study that it takes: send, edit attributes, hold, drop, tell someone.

Edits and de-identification hold for the `send` actions that follow them in the same rule; what
the hospital keeps is never changed.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from gateway.dicom.attributes import keyword_of, tag_of, vr_of
from gateway.model.routing.mistakes import Reader

Verify = Literal["SET", "SIZE", "CHECKSUM", "FETCH", "COMMIT"]
VERIFY: tuple[Verify, ...] = ("SET", "SIZE", "CHECKSUM", "FETCH", "COMMIT")
PROFILES = ("basic",)
DESTINATION_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?", re.ASCII)
SITE_WORDS = ("site.id", "site.issuer", "site.ae_title")
MAX_VALUE = 64
_MAX_MAPPED = 200
_MAX_TARGETS = 20
_PLACE = re.compile(r"\$\{([^}]*)\}")

# A study whose identity is rewritten cannot be compared with its source any more, and an object
# whose description of its pixels is rewritten cannot be read.
_UNTOUCHABLE = frozenset(
    tag_of(keyword) or ""
    for keyword in (
        "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID",
        "SpecificCharacterSet", "OriginalAttributesSequence", "PixelData",
    )
)  # fmt: skip
_UNTOUCHABLE_GROUPS = ("0002", "0028", "7FE0", "FFFE", "FFFC", "FFFA")
_EDITABLE = frozenset(
    {"AE", "AS", "CS", "DA", "DS", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UT", "DT"}
)


@dataclass(frozen=True)
class Send:
    """targets: every one of them gets the study. failover: instead of one that stays silent."""

    targets: tuple[str, ...]
    verify: Verify | None = None
    failover: str = ""


@dataclass(frozen=True)
class SetTag:
    """value may hold ${site.id}, ${site.issuer}, ${site.ae_title} and ${AnyKeyword}."""

    keyword: str
    value: str


@dataclass(frozen=True)
class RemoveTag:
    keyword: str


@dataclass(frozen=True)
class MapTag:
    """mapping: (from, to), compared as texts are in conditions; other values stay."""

    keyword: str
    mapping: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Deidentify:
    """By a profile of PS3.15 Annex E; `basic` is the Basic Application Confidentiality Profile."""

    profile: str


@dataclass(frozen=True)
class Notify:
    """Tell the people of this address list of the settings; never with patient data."""

    list_id: str


@dataclass(frozen=True)
class Hold:
    """Wait for a person. Later rules are not looked at."""

    reason: str


@dataclass(frozen=True)
class Drop:
    """Send nowhere; counted, reversible, needs the right to drop. Later rules are not looked at."""

    reason: str


Action = Send | SetTag | RemoveTag | MapTag | Deidentify | Notify | Hold | Drop
ENDING = (Hold, Drop)
EDITS = (SetTag, RemoveTag, MapTag, Deidentify)


def read_actions(reader: Reader, *, of_last_rule: bool = False) -> tuple[Action, ...]:
    """`then` of a rule, or `otherwise` of a rule set, where only send and hold are allowed."""
    found = [_action(entry, of_last_rule=of_last_rule) for entry in reader.items(most=_MAX_TARGETS)]
    actions = tuple(action for action in found if action is not None)
    if len(actions) < len(found):
        return actions
    if any(isinstance(action, ENDING) for action in actions[:-1]):
        reader.wrong("ends_before_end")
    last_send = max((n for n, a in enumerate(actions) if isinstance(a, Send)), default=-1)
    if any(isinstance(action, EDITS) for action in actions[last_send + 1 :]):
        reader.wrong("edit_without_send")
    if of_last_rule and not any(isinstance(action, Send | Hold) for action in actions):
        reader.wrong("otherwise_decides_nothing")
    return actions


def _action(reader: Reader, *, of_last_rule: bool) -> Action | None:
    if not isinstance(reader.value, dict):
        reader.wrong("not_a_table")
        return None
    name = reader.at("do").choice(("send", "hold") if of_last_rule else tuple(_READERS), "")
    if not name:
        if reader.value.get("do") is None:
            reader.at("do").wrong("missing_key")
        return None
    known, read = _READERS[name]
    if not reader.table(("do", *known)):
        return None
    return read(reader)


def _send(reader: Reader) -> Send | None:
    if reader.has("target") == reader.has("targets"):
        reader.wrong("one_of_target_targets")
        return None
    if reader.has("target"):
        targets = [_destination(reader.at("target"))]
    else:
        entries = reader.at("targets").items(most=_MAX_TARGETS)
        targets = [_destination(entry) for entry in entries]
    if len(set(targets)) < len(targets):
        reader.at("targets").wrong("named_twice")
    verify = reader.at("verify").choice(VERIFY, "")
    failover = _destination(reader.at("failover_target")) if reader.has("failover_target") else ""
    if failover and failover in targets:
        reader.at("failover_target").wrong("named_twice")
    return Send(tuple(targets), verify or None, failover)  # type: ignore[arg-type]


def _destination(reader: Reader) -> str:
    found = reader.text()
    if found and not DESTINATION_ID.fullmatch(found):
        reader.wrong("no_id")
    return found


def _keyword(reader: Reader) -> str:
    """A keyword whose attribute a rule may change."""
    name = reader.text()
    tag = tag_of(name) if name else None
    if not name:
        return ""
    if tag is None or keyword_of(tag) != name:
        reader.wrong("unknown_field", name)
        return ""
    forbidden = tag in _UNTOUCHABLE or tag.startswith(_UNTOUCHABLE_GROUPS)
    if forbidden or vr_of(tag) not in _EDITABLE:
        reader.wrong("untouchable", name)
    return name


def _set_tag(reader: Reader) -> SetTag:
    value = reader.at("value")
    made = SetTag(_keyword(reader.at("tag")), value.text(most=MAX_VALUE))
    for place in _PLACE.findall(made.value):
        if place not in SITE_WORDS and (tag_of(place) is None or len(place) == 8):
            value.wrong("unknown_place", ", ".join(SITE_WORDS))
    return made


def _map_tag(reader: Reader) -> MapTag:
    table = reader.at("map")
    pairs: list[tuple[str, str]] = []
    if not isinstance(table.value, dict) or not 0 < len(table.value) <= _MAX_MAPPED:
        table.wrong("not_a_table")
    else:
        for key in table.value:
            if not isinstance(key, str):
                table.wrong("quote_text")
                break
            pairs.append((key, table.at(key).text(most=MAX_VALUE)))
    return MapTag(_keyword(reader.at("tag")), tuple(pairs))


_READERS: dict[str, tuple[tuple[str, ...], Callable[[Reader], Action | None]]] = {
    "send": (("target", "targets", "verify", "failover_target"), _send),
    "set_tag": (("tag", "value"), _set_tag),
    "remove_tag": (("tag",), lambda reader: RemoveTag(_keyword(reader.at("tag")))),
    "map_tag": (("tag", "map"), _map_tag),
    "deidentify": (
        ("profile",),
        lambda reader: Deidentify(reader.at("profile").choice(PROFILES, "basic")),
    ),
    "notify": (("list",), lambda reader: Notify(_destination(reader.at("list")))),
    "hold": (("reason",), lambda reader: Hold(reader.at("reason").text())),
    "drop": (("reason",), lambda reader: Drop(reader.at("reason").text())),
}


def write_actions(actions: tuple[Action, ...]) -> list[dict[str, Any]]:
    """The document form, which `read_actions` reads back to equal actions."""
    return [_written(action) for action in actions]


def _written(action: Action) -> dict[str, Any]:
    match action:
        case Send(targets, verify, failover):
            one = {"target": targets[0]} if len(targets) == 1 else {"targets": list(targets)}
            rest = {"verify": verify} if verify else {}
            return {"do": "send", **one, **rest} | (
                {"failover_target": failover} if failover else {}
            )
        case SetTag(keyword, value):
            return {"do": "set_tag", "tag": keyword, "value": value}
        case RemoveTag(keyword):
            return {"do": "remove_tag", "tag": keyword}
        case MapTag(keyword, mapping):
            return {"do": "map_tag", "tag": keyword, "map": dict(mapping)}
        case Deidentify(profile):
            return {"do": "deidentify", "profile": profile}
        case Notify(list_id):
            return {"do": "notify", "list": list_id}
        case Hold(reason):
            return {"do": "hold", "reason": reason}
        case Drop(reason):
            return {"do": "drop", "reason": reason}
