"""What the images say now, as a process keeps it between two pages: whose they are follows every
word of a person at once, how many there are within AGE_S.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from threading import Lock

from gateway.clock import Deadline
from gateway.model.rollout.register import Facility, Unit, as_of
from gateway.model.rollout.senders import Fingerprint
from gateway.records.engine import Records
from gateway.records.fingerprints import Ignored, load_fingerprints, load_ignored
from gateway.records.register import State
from gateway.rollout.evidence import Looked, homes_of, look
from gateway.rollout.register import Register

AGE_S = 30.0


@dataclass(frozen=True)
class Standing:
    """The register of a day and what its senders are by it; not to be changed."""

    units: Mapping[str, Unit]
    facilities: Mapping[str, Facility]
    looked: Looked
    ignored: Mapping[int, Ignored]


_Mark = tuple[date, State, list[Fingerprint], Mapping[int, Ignored]]


class SenderShelf:
    """Safe for threads and greenlets: one looks, the others wait for what it finds."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._turn = Lock()
        self._last: tuple[_Mark, Standing] | None = None
        self._fresh = Deadline(0.0)

    def now(self, register: Register, today: date) -> Standing:
        """By the register as it is now. Raises RecordsUnavailable."""
        with self._turn:
            ignored = load_ignored(self._records)
            mark = (today, register.state, load_fingerprints(self._records), ignored)
            if self._last is None or self._last[0] != mark or self._fresh.passed:
                units, facilities = as_of(register.units, today), as_of(register.facilities, today)
                homes = homes_of(register.units, today)
                looked = look(self._records, units, facilities, today, homes=homes)
                self._last = mark, Standing(units, facilities, looked, ignored)
                self._fresh = Deadline(AGE_S)
            return self._last[1]
