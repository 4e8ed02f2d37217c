"""Search (QIDO-RS, PS3.18 8.3.4 and 10.6): parse the question, judge and trim its rows.

Each row of each site is judged here again by `matches`, because sites differ in what they ignore,
fold or misread. Pure: asks nobody.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from gateway.dicom.attributes import (
    DEFAULT_ATTRIBUTES,
    Dataset,
    Level,
    belongs,
    keyword_of,
    tag_of,
    text,
    values,
    vr_of,
)
from gateway.dicom.matching import (
    check_key,
    key_holds,
    moment_holds,
)
from gateway.dicom.uids import check_uid
from gateway.errors import BadRequest

MAX_PARAMETERS = 1000
MAX_KEYS = 100
MAX_INCLUDED = 100
MAX_OFFSET = 1_000_000
MAX_NOTES = 10
MAX_PATH = 4

_OTHER_SERVICES = frozenset({"accept", "charset"})  # PS3.18 8.3.3, read where Accept is read
_SAFE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}\Z", re.ASCII)
_ATTRIBUTE_LIKE = re.compile(r"[A-Z0-9][A-Za-z0-9]*(\.|\Z)", re.ASCII)
_MODALITIES = "00080061"
_MODALITY = "00080060"


@dataclass(frozen=True)
class Condition:
    """One matching key; any of `values` is enough.

    path    tags of the sequences that the attribute lies in, outermost first; () at the top
    all_of  every value must be there (multiplevaluematching, PS3.18 8.3.4.6)
    empty   the attribute must be absent or empty (emptyvaluematching, PS3.18 8.3.4.5)
    fuzzy   a name may have one typing error (fuzzymatching, PS3.18 8.3.4.2)
    time    of a date whose range goes on into the time of day: tag of that time, and its range
            (combined datetime matching, PS3.4 C.2.2.2.5.4); None otherwise
    """

    tag: str
    keyword: str
    vr: str
    values: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    all_of: bool = False
    empty: bool = False
    fuzzy: bool = False
    time: tuple[str, str] | None = None


@dataclass(frozen=True)
class Query:
    """One search, checked. `notes` are texts for Warning: 299, without code and service.

    any_of  groups of conditions at the top of a dataset, of which at least one group must hold too;
            () asks for nothing more
    """

    level: Level
    conditions: tuple[Condition, ...] = ()
    include: tuple[str, ...] = ()
    include_all: bool = False
    limit: int = 1000
    offset: int = 0
    limit_given: bool = False
    study_uid: str | None = None
    series_uid: str | None = None
    notes: tuple[str, ...] = ()
    any_of: tuple[tuple[Condition, ...], ...] = ()

    @cached_property
    def wanted(self) -> frozenset[str]:
        """Tags that a row should carry: the level's own, what was asked, what is matched.

        A search that names no study (or no series) answers with the attributes of the levels above
        too (PS3.18 10.6.3.3).
        """
        tags = set(DEFAULT_ATTRIBUTES[self.level]) | set(self.include)
        if self.level is not Level.STUDY and self.study_uid is None:
            tags |= set(DEFAULT_ATTRIBUTES[Level.STUDY])
        if self.level is Level.INSTANCE and self.series_uid is None:
            tags |= set(DEFAULT_ATTRIBUTES[Level.SERIES])
        tags |= {(*condition.path, condition.tag)[0] for condition in self.conditions}
        tags |= {condition.tag for group in self.any_of for condition in group}
        tags |= {condition.time[0] for condition in self.conditions if condition.time}
        return frozenset(tags)


def parse_query(
    level: Level,
    params: Sequence[tuple[str, str]],
    *,
    study_uid: str | None = None,
    series_uid: str | None = None,
    max_results: int,
) -> Query:
    """Turn percent-decoded parameters into a Query.

    study_uid, series_uid  of the path
    max_results            cap and default of `limit`. A larger limit is lowered, not refused: the
                           remaining results are announced by Warning (PS3.18 8.3.4.4). limit=0 is
                           refused: Orthanc's users mean "all" by it, the standard "none"
    repeated keys          any of the values is enough, as for a list of UIDs
    raises                 BadRequest with the parameter's name, never with its value
    """
    if len(params) > MAX_PARAMETERS:
        raise BadRequest("query", f"has more than {MAX_PARAMETERS} parameters")
    reader = _Reader(level, max_results)
    for name, value in params:
        if name:  # Weasis sends "studies?&includefield=..."
            reader.read(name, value)
    if study_uid is not None:
        check_uid(study_uid, "StudyInstanceUID")
    if series_uid is not None:
        check_uid(series_uid, "SeriesInstanceUID")
    return reader.query(study_uid, series_uid)


class _Reader:
    """Collects what the parameters say; their order does not matter."""

    def __init__(self, level: Level, max_results: int) -> None:
        self.level = level
        self.max_results = max_results
        self.controls: dict[str, str] = {}
        self.keys: dict[tuple[str, ...], tuple[str, list[str]]] = {}
        self.include: dict[str, None] = {}
        self.include_all = False
        self.notes: dict[str, None] = {}
        self.unusable = ""

    def read(self, name: str, value: str) -> None:
        if name == "includefield":
            self._read_include(value)
        elif name in _CONTROLS:
            if name in self.controls:
                raise BadRequest(name, "is given more than once")
            self.controls[name] = value.strip()
        elif name not in _OTHER_SERVICES:
            self._read_key(name, value)

    def _read_include(self, value: str) -> None:
        for name in value.split(","):
            name = name.strip()
            if name == "all":
                self.include_all = True
                continue
            path = _path_of(name)
            if path is None:
                if name:
                    self._note(f"The includefield {_shown(name)} is unknown and was ignored.")
            elif belongs(path[0], self.level):
                # An attribute of a lower level "shall not be returned" (10.6.3.3): no word of it,
                # because OHIF asks each study for its Modality.
                self.include[path[0]] = None
            if len(self.include) > MAX_INCLUDED:
                raise BadRequest("includefield", f"names more than {MAX_INCLUDED} attributes")

    def _read_key(self, name: str, value: str) -> None:
        path = _path_of(name)
        if path is None:
            if _SAFE_NAME.match(name) is None:
                raise BadRequest("query", "has a parameter whose name is no attribute")
            self._note(f"The parameter {_shown(name)} is unknown and was ignored.")
            self._mark_unusable(name)
            return
        if path == (_MODALITY,) and self.level is Level.STUDY:
            path = (_MODALITIES,)  # what everyone means who asks studies for a Modality
        if not belongs(path[0], self.level):
            if value.strip(" *"):
                self._note(f"{name} does not belong to this level and was ignored.")
                self._mark_unusable(name)
            return
        found = self.keys.setdefault(path, (name, []))[1]
        found.extend(_split(vr_of(path[-1]), value))
        if len(found) > MAX_KEYS:
            raise BadRequest(name, f"has more than {MAX_KEYS} values")
        if len(self.keys) > MAX_KEYS:
            raise BadRequest("query", f"has more than {MAX_KEYS} matching keys")

    def _note(self, note: str) -> None:
        if len(self.notes) < MAX_NOTES:
            self.notes[note] = None

    def _mark_unusable(self, name: str) -> None:
        if _ATTRIBUTE_LIKE.match(name):
            self.unusable = self.unusable or name

    def query(self, study_uid: str | None, series_uid: str | None) -> Query:
        fuzzy = self._flag("fuzzymatching")
        empty, all_of = self._flag("emptyvaluematching"), self._flag("multiplevaluematching")
        conditions = []
        for path, (name, found) in self.keys.items():
            condition = _condition(name, path, found, empty=empty, all_of=all_of)
            if condition is None:
                self.include.setdefault(path[0])
            else:
                fuzzy_name = fuzzy and condition.vr == "PN" and not condition.empty
                conditions.append(replace(condition, fuzzy=fuzzy_name))
        if self.unusable and not conditions and study_uid is None:
            # Nothing is left to match: the whole region would look like the answer.
            raise BadRequest(self.unusable, "cannot be matched here, and no other key is given")
        limit = self._number("limit", self.max_results, least=1)
        offset = self._number("offset", 0, least=0)
        if offset > MAX_OFFSET:
            raise BadRequest("offset", f"is greater than {MAX_OFFSET}")
        return Query(
            level=self.level,
            conditions=tuple(_with_times(conditions)),
            include=tuple(self.include),
            include_all=self.include_all,
            limit=min(limit, self.max_results),
            offset=offset,
            limit_given="limit" in self.controls,
            study_uid=study_uid,
            series_uid=series_uid,
            notes=tuple(self.notes),
        )

    def _flag(self, name: str) -> bool:
        value = self.controls.get(name, "").lower()
        if value not in ("", "true", "false"):
            raise BadRequest(name, "must be true or false")
        return value == "true"

    def _number(self, name: str, default: int, least: int) -> int:
        value = self.controls.get(name, "")
        if not value:
            return default
        if re.fullmatch(r"[0-9]{1,18}", value, re.ASCII) is None or int(value) < least:
            raise BadRequest(name, f"must be a whole number, at least {least}")
        return int(value)


_CONTROLS = frozenset(
    {"limit", "offset", "fuzzymatching", "emptyvaluematching", "multiplevaluematching"}
)


def _path_of(name: str) -> tuple[str, ...] | None:
    """ "A.B" or one keyword or tag -> tags, outermost first; None if any part is unknown."""
    parts = name.split(".", MAX_PATH + 1)
    tags = tuple(tag for tag in map(tag_of, parts) if tag is not None)
    if len(tags) != len(parts):
        return None
    if len(parts) > MAX_PATH or any(vr_of(tag) not in ("SQ", "UN") for tag in tags[:-1]):
        raise BadRequest("query", "has a path that is too deep or leads through no sequence")
    return tags


def _shown(name: str) -> str:
    return name if _SAFE_NAME.match(name) else "(not a name)"


def _split(vr: str, value: str) -> list[str]:
    r"""Values of one parameter: lists are made by `,` in UI (PS3.18 8.3.4.1) and CS only, by `\`
    where DICOM separates values. OHIF doubles the backslash, so empty pieces are dropped.
    """
    if vr in ("ST", "LT", "UT", "UR"):
        return [value.strip()]
    if vr in ("UI", "CS"):  # a comma can stand in no CS value; in a name it can ("DOE, JR*")
        value = value.replace(",", "\\")
    return [piece.strip() for piece in value.split("\\")]


def _condition(
    name: str, path: tuple[str, ...], found: list[str], *, empty: bool, all_of: bool
) -> Condition | None:
    """None stands for universal matching: no value, or nothing but `*` (PS3.4 C.2.2.2.3-4)."""
    vr = vr_of(path[-1])
    keys = tuple(dict.fromkeys(key for key in found if key))
    must_be_empty = empty and keys == ('""',)
    if not must_be_empty:
        if not keys or any(not key.strip("*") for key in keys):
            return None
        for key in keys:
            if vr == "UI":
                check_uid(key, name)
            elif vr == "TM" and key.count("-") == 1:  # the range itself is judged by _with_times
                for end in filter(str.strip, key.split("-")):
                    check_key(name, vr, end.strip())
            else:
                check_key(name, vr, key)
    return Condition(
        tag=path[-1],
        keyword=keyword_of(path[-1]),
        vr=vr,
        values=() if must_be_empty else keys,
        path=path[:-1],
        all_of=all_of and len(keys) > 1,
        empty=must_be_empty,
    )


_TIME_OF_DATE = {
    tag_of(f"{name}Date"): tag_of(f"{name}Time") or ""
    for name in ("Study", "Series", "Acquisition", "Content", "PerformedProcedureStepStart")
}


def _with_times(conditions: Sequence[Condition]) -> Iterator[Condition]:
    """Joins a range of dates and a range of times of the same form to one range of moments.

    "20060705-20060707" and "1000-1800" mean from the 5th, 10:00 to the 7th, 18:00. QIDO has no
    negotiation of this option of PS3.4, and nobody who gives both ranges means the other.
    """
    at = {(*c.path, c.tag): c for c in conditions}
    joined = set()
    for condition in conditions:
        time = at.get((*condition.path, _TIME_OF_DATE.get(condition.tag, "")))
        form = _form_of_range(condition)
        if time is not None and form and form == _form_of_range(time):
            joined.add(time)
            at[(*condition.path, condition.tag)] = replace(
                condition, time=(time.tag, time.values[0])
            )
    for condition in conditions:
        if condition not in joined:
            for key in condition.values if condition.vr == "TM" else ():
                check_key(condition.keyword, condition.vr, key)
            yield at[(*condition.path, condition.tag)]


def _form_of_range(condition: Condition) -> tuple[bool, bool] | None:
    """Whether the one range has a beginning and an end; None if it is none."""
    begin, dash, end = (*condition.values, "")[0].partition("-")
    return (bool(begin), bool(end)) if dash and len(condition.values) == 1 else None


def matches(query: Query, dataset: Dataset) -> bool:
    """Whether a row answers the query (PS3.4 C.2.2.2); never raises on dirty data.

    A row without the attribute fails. Conditions inside one sequence must hold in one and the same
    item. The caller adds ModalitiesInStudy and the like before: Orthanc does not store them.
    """
    if query.study_uid is not None and text(dataset, "0020000D") != query.study_uid:
        return False
    if query.series_uid is not None and text(dataset, "0020000E") != query.series_uid:
        return False
    if query.any_of and not any(
        all(_holds(condition, dataset) for condition in group) for group in query.any_of
    ):
        return False
    groups: dict[tuple[str, ...], list[Condition]] = {}
    for condition in query.conditions:
        groups.setdefault(condition.path, []).append(condition)
    return all(
        any(all(_holds(condition, item) for condition in group) for item in _items(dataset, path))
        for path, group in groups.items()
    )


def _items(dataset: Dataset, path: tuple[str, ...]) -> Iterator[Dataset]:
    """Items of the sequence that path leads to; one empty item if there is none at all."""
    here = [dataset]
    for tag in path:
        here = [
            item for outer in here for item in _values(outer, tag) if isinstance(item, dict)
        ] or [{}]
    return iter(here)


def _values(dataset: Dataset, tag: str) -> list[Any]:
    return [value for value in values(dataset, tag) if value is not None]


def _holds(condition: Condition, item: Dataset) -> bool:
    found = _values(item, condition.tag)
    if condition.empty:
        return not any(found)
    if condition.time is not None:
        return moment_holds(
            condition.values[0], condition.time[1], text(item, condition.tag),
            text(item, condition.time[0]),
        )  # fmt: skip
    judge = all if condition.all_of else any
    return judge(
        any(key_holds(condition.vr, key, value, fuzzy=condition.fuzzy) for value in found)
        for key in condition.values
    )


def project(query: Query, dataset: Dataset) -> Dataset:
    """The row as it is answered: attributes of `query.wanted`, or with includefield=all every one
    of this level and above, in order of tags.

    ModalitiesInStudy without a Value is left out: one such row breaks OHIF's whole list.
    """
    return {
        tag: element
        for tag, element in sorted(dataset.items())
        if (tag in query.wanted or (query.include_all and belongs(tag, query.level)))
        and (tag != _MODALITIES or any(_values(dataset, tag)))
    }
