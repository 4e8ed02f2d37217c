"""What a rule may ask about a study: its attributes over all instances, and how it arrived.

Rules never look at "the first slice": every attribute is collected over all instances, for the
study and for each series. Pure; who reads the datasets is not known here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from gateway.dicom.attributes import Dataset, text
from gateway.model.sites import Site

Values = Mapping[str, tuple[Any, ...]]
"""Tag "GGGGEEEE" (or a private name, see `gather`) -> distinct values; () is present but empty."""

_BULK = frozenset({"OB", "OW", "OD", "OF", "OL", "OV", "UN"})


@dataclass(frozen=True)
class Arrival:
    """How a study came, and what is known of it beside its attributes.

    received_at         aware UTC; when the site got its last instance
    charset_ok          its texts were readable in the character set that they name; None: unknown
    already_at          destinations that hold all of it, verified
    """

    site: Site
    received_at: datetime
    source_aet: str = ""
    source_ip: str = ""
    size_bytes: int | None = None
    transfer_syntaxes: tuple[str, ...] = ()
    charset_ok: bool | None = None
    already_at: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Facts:
    """One study, or one series of it (then `series` is empty and `series_uid` is set)."""

    arrival: Arrival
    values: Values
    instance_count: int
    series_uid: str = ""
    series: tuple["Facts", ...] = ()

    @cached_property
    def forms(self) -> dict[str, Any]:
        """Values in the form that a field compares, kept by field (fields.py)."""
        return {}


def gather(arrival: Arrival, instances: Iterable[Dataset]) -> Facts:
    """The facts of one study.

    instances  DICOM JSON of each instance (PS3.18 Annex F); bulk values are passed over. A private
               attribute is found by its tag and by "GGGGxxEE:CREATOR", whichever block it is in
    """
    groups: dict[str, dict[str, dict[Any, Any]]] = {}
    counts: dict[str, int] = {}
    for instance in instances:
        uid = text(instance, "SeriesInstanceUID")
        counts[uid] = counts.get(uid, 0) + 1
        _add(groups.setdefault(uid, {}), instance)
    together: dict[str, dict[Any, Any]] = {}
    for group in groups.values():
        for tag, found in group.items():
            together.setdefault(tag, {}).update(found)
    series = tuple(
        Facts(arrival, _frozen(group), counts[uid], series_uid=uid)
        for uid, group in sorted(groups.items())
    )
    return Facts(arrival, _frozen(together), sum(counts.values()), series=series)


def _frozen(group: dict[str, dict[Any, Any]]) -> Values:
    return {tag: tuple(found.values()) for tag, found in group.items()}


def _add(group: dict[str, dict[Any, Any]], instance: Dataset) -> None:
    creators = _creators(instance)
    for tag, element in instance.items():
        if not isinstance(element, dict) or element.get("vr") in _BULK - {"UN"}:
            continue
        found = element.get("Value")
        kept = found if isinstance(found, list) else []
        for name in (tag.upper(), *_private_name(tag, creators)):
            place = group.setdefault(name, {})
            for value in kept:
                if value is not None and value != "":
                    # Items of sequences and names are dicts: their text is what makes them equal.
                    place.setdefault(value if value.__hash__ else repr(value), value)


def _creators(instance: Dataset) -> dict[str, str]:
    """Block "GGGGBB" -> its private creator (PS3.5 7.8.1)."""
    return {
        tag[:4] + tag[6:]: text(instance, tag)
        for tag in instance
        if tag[4:6] == "00" and tag[6:] >= "10" and int(tag[:4], 16) % 2
    }


def _private_name(tag: str, creators: dict[str, str]) -> tuple[str, ...]:
    creator = creators.get(tag[:6].upper())
    return (f"{tag[:4].upper()}xx{tag[6:].upper()}:{creator}",) if creator else ()
