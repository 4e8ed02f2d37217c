"""What a rule may ask about a study: its attributes over all instances, and how it arrived.

Rules never look at "the first slice": every attribute is collected over all instances, for the
study and for each series. Pure; who reads the datasets is not known here.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from gateway.dicom.attributes import Dataset, text
from gateway.model.sites import Site

Values = Mapping[str, tuple[Any, ...]]
"""Tag "GGGGEEEE" (or a private name, see `gather`) -> distinct values; () is present but empty."""

MOST_VALUES = 10_000
"""Different values of one field in a study: so many instances have so many numbers, not more."""
_NUMBERS = frozenset({"DS", "IS"})
_BULK = frozenset({"BulkDataURI", "InlineBinary"})


@dataclass(frozen=True)
class Arrival:
    """How a study came, and what is known of it beside its attributes.

    received_at         aware UTC; when the site got its last instance
    source_aets, ...    who sent its instances, each once; () if the site does not know
    charset_ok          its texts were readable in the character set that they name; None: unknown
    already_at          destinations that hold all of it, verified
    """

    site: Site
    received_at: datetime
    source_aets: tuple[str, ...] = ()
    source_ips: tuple[str, ...] = ()
    size_bytes: int | None = None
    transfer_syntaxes: tuple[str, ...] = ()
    charset_ok: bool | None = None
    already_at: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Facts:
    """One study, or one series of it (then `series` is empty and `series_uid` is set).

    unread  what was not read, or could not be: tags, and fields of the arrival by their names. A
            rule that asks for it is not judged; it is never taken for missing
    """

    arrival: Arrival
    values: Values
    instance_count: int
    series_uid: str = ""
    series: tuple["Facts", ...] = ()
    unread: frozenset[str] = frozenset()

    @cached_property
    def forms(self) -> dict[str, Any]:
        """Values in the form that a field compares, kept by field (fields.py)."""
        return {}


def gather(
    arrival: Arrival,
    instances: Iterable[Dataset],
    asked: Collection[str] | None = None,
    unread: frozenset[str] = frozenset(),
) -> Facts:
    """The facts of one study.

    instances  DICOM JSON of each instance (PS3.18 Annex F); bulk values are unread. A private
               attribute is found by its tag and by "GGGGxxEE:CREATOR", whichever block it is in
    asked      names of what is kept (rule_sets.fields_asked); None: all
    unread     what is known to be unread; a field with more values than anybody compares is added
    """
    groups: dict[str, _Group] = {}
    for instance in instances:
        groups.setdefault(text(instance, "SeriesInstanceUID"), _Group(asked)).add(instance)
    together: dict[str, dict[Any, Any]] = {}
    for group in groups.values():
        for tag, found in group.values.items():
            together.setdefault(tag, {}).update(found)
        unread |= group.unread
    unread |= {tag for tag, found in together.items() if len(found) > MOST_VALUES}
    series = tuple(
        Facts(arrival, _frozen(group.values), group.count, series_uid=uid, unread=unread)
        for uid, group in sorted(groups.items())
    )
    count = sum(group.count for group in groups.values())
    return Facts(arrival, _frozen(together), count, series=series, unread=unread)


def gather_of_records(
    arrival: Arrival,
    study: Dataset,
    series: Iterable[tuple[str, int, Dataset]],
    count: int,
    asked: Collection[str],
    unread: frozenset[str],
) -> Facts:
    """The facts of one study as an index has them: a record of it and of each series.

    series  UID, number of instances, record
    count   of instances
    """
    # Every series says of itself what the study says of all.
    above = {tag: study[tag] for tag in asked if tag in study}
    counts, rows = {}, []
    for uid, size, record in series:
        counts[uid] = size
        named = {"0020000E": {"vr": "UI", "Value": [uid]}}
        rows.append({**above, **{tag: record[tag] for tag in asked if tag in record}, **named})
    found = gather(arrival, rows or [above], asked, unread)
    parts = tuple(
        replace(one, instance_count=counts.get(one.series_uid, 0)) for one in found.series
    )
    return replace(found, instance_count=count, series=parts)


def _frozen(group: dict[str, dict[Any, Any]]) -> Values:
    return {tag: tuple(found.values()) for tag, found in group.items()}


class _Group:
    """What the instances of one series say; asked: names of what is kept, None: all."""

    def __init__(self, asked: Collection[str] | None) -> None:
        self.values: dict[str, dict[Any, Any]] = {}
        self.unread: set[str] = set()
        self.count = 0
        self._asked = asked

    def add(self, instance: Dataset) -> None:
        self.count += 1
        creators = _creators(instance)
        for tag, element in instance.items():
            for name in (tag.upper(), *_private_name(tag, creators)):
                if self._asked is None or name in self._asked:
                    self._add(name, element)

    def _add(self, name: str, element: object) -> None:
        if not isinstance(element, dict) or not _BULK.isdisjoint(element):
            self.unread.add(name)
            return
        found = element.get("Value")
        if found == [] and element.get("vr") in _NUMBERS:
            # An Orthanc says so of a number that is none; of an empty one it gives no "Value".
            self.unread.add(name)
            return
        place = self.values.setdefault(name, {})
        for value in found if isinstance(found, list) and len(place) <= MOST_VALUES else ():
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
