"""What the follower decides, without doing it (routing.md 2.1): pure.

A feed may repeat entries, give them in any order, and lose them: each is only a reason to read a
study anew. What the feed never tells is found by comparing counts and lists.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import Literal

import numpy as np

from gateway.clock import Deadline
from gateway.orthanc.feed import ORTHANC_ID, Counts, Entry, Listed, Page
from gateway.records.indexing import Cursor, Known

LEVELS = ("Study", "Series", "Instance")  # the order in which entries cost least to look up
# Said long after the last image, of something that has not changed; StableStudy is kept as a
# second look at each study.
UNCHANGED = frozenset({"StableSeries", "StablePatient"})

NONE = Counts(0, 0, 0)

PATIENCE = 10  # comparisons that differ, each time by another amount: images are arriving

Place = Literal["same", "replaced", "gone"]


def judge_place(cursor: Cursor, page: Page) -> Place:
    """Whether the feed is still the one that was read up to `cursor`.

    page      read from one entry before the cursor
    returns   "same"; "replaced" if it is another database or an older state of it; "gone" if the
              entry is no longer there: right if its resource was deleted, else "replaced"
    """
    if page.last < cursor.seq:
        return "replaced"
    if not cursor.fingerprint:
        return "same"
    here = [entry.fingerprint for entry in page.entries if entry.seq == cursor.seq]
    if not here:
        return "gone"
    return "same" if cursor.fingerprint in here else "replaced"


def split_fingerprint(fingerprint: str) -> tuple[str, str] | None:
    """(level, Orthanc's id) of the resource that the entry at the cursor was about."""
    words = fingerprint.split(" ")
    if len(words) == 4 and words[2] in LEVELS and ORTHANC_ID.fullmatch(words[3]):
        return words[2], words[3]
    return None


def plan_touched(entries: Iterable[Entry], after: int) -> list[Entry]:
    """One entry for each resource that may have changed, studies first.

    after  entries up to that number were acted on
    """
    found: dict[tuple[str, str], Entry] = {}
    for entry in entries:
        known = entry.level in LEVELS and ORTHANC_ID.fullmatch(entry.orthanc_id)
        if known and entry.seq > after and entry.change not in UNCHANGED:
            found.setdefault((entry.level, entry.orthanc_id), entry)
    return sorted(found.values(), key=lambda entry: (LEVELS.index(entry.level), entry.seq))


def plan_cursor(cursor: Cursor, page: Page) -> tuple[int, str]:
    """(seq, fingerprint) once all of this page is in the rows."""
    newest = max(page.entries, key=lambda entry: entry.seq, default=None)
    if newest is None or newest.seq < cursor.seq:
        # Nothing visible at or behind the cursor: what was there is deleted.
        return max(cursor.seq, page.last if page.done else 0), ""
    return newest.seq, newest.fingerprint


def plan_due(listed: Iterable[Listed], known: Mapping[str, Known]) -> list[Listed]:
    """The listed studies that the index does not have, or has in another state."""
    return [
        study
        for study in listed
        if (row := known.get(study.study_uid)) is None
        or (row.mark, row.arriving) != (study.mark, study.arriving)
    ]


class Seen:
    """The UIDs that a list has named, in eight bytes each: a site may have millions of studies."""

    def __init__(self) -> None:
        self._hashes = array("q")
        self._sorted = True

    def add(self, uids: Iterable[str]) -> None:
        self._hashes.extend(hash(uid) for uid in uids)
        self._sorted = False

    def __contains__(self, uid: str) -> bool:
        if not self._sorted:
            np.frombuffer(self._hashes, dtype=np.int64).sort()  # in place
            self._sorted = True
        at = bisect_left(self._hashes, hash(uid))
        return at < len(self._hashes) and self._hashes[at] == hash(uid)


def plan_unlisted(known: Iterable[Known], seen: Seen) -> list[Known]:
    """The studies of the index that the site's list did not name."""
    return [study for study in known if study.study_uid not in seen]


AGAIN_S, LONGEST_AGAIN_S = 60.0, 3600.0


@dataclass(frozen=True)
class Aside:
    """A study that cannot be read and that waits until it is tried again."""

    study: Listed
    times: int
    again: Deadline

    @classmethod
    def put(cls, study: Listed, before: "Aside | None") -> "Aside":
        """After one more failure it waits twice as long."""
        times = before.times + 1 if before else 1
        return cls(study, times, Deadline(min(AGAIN_S * 2 ** (times - 1), LONGEST_AGAIN_S)))


@dataclass
class Doubt:
    """Whether the counts of site and index differ for good, or only because images arrive."""

    explained: Counts = NONE
    last: Counts = NONE
    times: int = 0

    def weigh(self, difference: Counts) -> bool:
        """Take note of one comparison; True if the site's list is to be compared now."""
        same, self.last = difference == self.last, difference
        self.times = 0 if difference == self.explained else self.times + 1
        return self.times >= (2 if same else PATIENCE)

    def settle(self, difference: Counts) -> None:
        """The list was compared: what still differs is known (two patients with one UID, say)."""
        self.explained, self.times = difference, 0


def is_in_window(window: str, now: datetime) -> bool:
    """Whether heavy reading is allowed at a site; now: in its time zone, window "20:00-06:00"."""
    start, end = (_minutes(part) for part in window.split("-"))
    minute = now.hour * 60 + now.minute
    return start <= minute < end if start < end else minute >= start or minute < end


def _minutes(text: str) -> int:
    if text.startswith("24"):
        return 24 * 60
    moment = time.fromisoformat(text)
    return moment.hour * 60 + moment.minute


def is_due(last: datetime | None, now: datetime, every_s: float) -> bool:
    """Whether what was done at `last` is to be done again; a clock set back makes it due."""
    return last is None or not 0 <= (now - last).total_seconds() < every_s


def parts(studies: Sequence[Listed], size: int) -> list[Sequence[Listed]]:
    """In portions of at most `size`."""
    return [studies[start : start + size] for start in range(0, len(studies), size)]
