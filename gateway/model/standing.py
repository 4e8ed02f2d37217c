"""How one site stands with us right now: a circuit breaker and the facts for /status/sites.

Pure: the caller brings the time. States: closed (asked normally), open (not asked, so that a dead
site costs nothing), half-open (one call may try). trust.md F1: opens after 5 failures in a row or
half of the last 20; tries again every 10 s; a refused password opens it at once, and for
longer (F16).
"""

from collections import deque
from dataclasses import dataclass, field

FAILURES_IN_A_ROW = 5
WINDOW = 20
TRY_AGAIN_S = 10.0
LOCKED_OUT_S = 300.0  # a wrong password tried too often may lock the account at the site


@dataclass
class Standing:
    """Counts answers and failures of one site; times are monotonic seconds."""

    last_answer_at: float | None = None
    last_answer_s: float | None = None
    last_failure_at: float | None = None
    last_failure: str = ""
    opened_at: float | None = None
    _recent: deque[bool] = field(default_factory=lambda: deque(maxlen=WINDOW))
    _in_a_row: int = 0
    _trial_at: float | None = None
    _at_once: bool = False

    def may_ask(self, now: float) -> bool:
        """Whether a call may go out now; when open, one trial every TRY_AGAIN_S.

        After a failure that opened at once the trial waits LOCKED_OUT_S.
        """
        if self.opened_at is None:
            return True
        patience_s = LOCKED_OUT_S if self._at_once else TRY_AGAIN_S
        if now - max(self.opened_at, self._trial_at or 0.0) < patience_s:
            return False
        self._trial_at = now
        return True

    def answered(self, now: float, seconds: float) -> None:
        """The site answered, whatever it said."""
        self.last_answer_at, self.last_answer_s = now, seconds
        self._recent.append(True)
        self._in_a_row = 0
        if self.opened_at is not None:
            self.opened_at = self._trial_at = None
            self._recent.clear()

    def failed(self, now: float, code: str, *, at_once: bool = False) -> None:
        """The site did not answer; `code` is SiteError.code, `at_once` opens without counting."""
        self.last_failure_at, self.last_failure = now, code
        if self.state != "open":  # else a call that ran beside it would shorten the wait
            self._at_once = False
        self._at_once |= at_once
        self._recent.append(False)
        self._in_a_row += 1
        half = len(self._recent) == WINDOW and self._recent.count(False) * 2 >= WINDOW
        if self.opened_at is not None or at_once or self._in_a_row >= FAILURES_IN_A_ROW or half:
            self.opened_at = now

    @property
    def answers(self) -> bool:
        """Whether the last that we know of it is an answer."""
        heard, missed = self.last_answer_at, self.last_failure_at
        return heard is not None and (missed is None or missed <= heard)

    @property
    def state(self) -> str:
        if self.opened_at is None:
            return "closed"
        return "half-open" if (self._trial_at or 0.0) > self.opened_at else "open"
