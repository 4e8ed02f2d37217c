"""The breaker of one site, as rules that hold whatever happens in whatever order."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.model.standing import (
    FAILURES_IN_A_ROW,
    LOCKED_OUT_S,
    TRY_AGAIN_S,
    WINDOW,
    Standing,
)


class Breaker(RuleBasedStateMachine):
    """Any order of calls, answers and failures, and time going by between them."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.standing = Standing()
        self.since_closed: list[bool] = []
        self.last_try: float | None = None
        self.patience_s = TRY_AGAIN_S

    @rule(
        seconds=st.sampled_from(
            [0.0, 0.1, 1.0, TRY_AGAIN_S - 0.5, TRY_AGAIN_S, LOCKED_OUT_S, 3600.0]
        )
    )
    def time_goes_by(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def answer(self) -> None:
        was_open = self.standing.opened_at is not None
        self.standing.answered(self.now, 0.01)
        self.since_closed = [] if was_open else [*self.since_closed, True]
        self.last_try, self.patience_s = None, TRY_AGAIN_S
        assert (self.standing.state, self.standing.answers) == ("closed", True)
        assert self.standing.may_ask(self.now)

    @rule()
    def failure(self) -> None:
        """It opens for many failures, and for nothing less."""
        was_closed = self.standing.opened_at is None
        if self.standing.state == "half-open":
            self.patience_s = TRY_AGAIN_S
        self.standing.failed(self.now, "timeout")
        self.since_closed.append(False)
        recent = self.since_closed[-WINDOW:]
        in_a_row = True not in recent[-FAILURES_IN_A_ROW:] and len(recent) >= FAILURES_IN_A_ROW
        half = len(recent) == WINDOW and recent.count(False) * 2 >= WINDOW
        is_open = self.standing.opened_at is not None
        if was_closed:
            assert is_open is (in_a_row or half)
        if is_open:
            self.last_try = self.now
        assert (self.standing.last_failure, self.standing.last_failure_at) == ("timeout", self.now)

    @rule()
    def refused_password(self) -> None:
        self.standing.failed(self.now, "untrusted", at_once=True)
        self.since_closed.append(False)
        self.last_try, self.patience_s = self.now, LOCKED_OUT_S
        assert not self.standing.may_ask(self.now)

    @precondition(lambda self: self.standing.opened_at is not None)
    @rule()
    def call(self) -> None:
        """While open: one try each TRY_AGAIN_S (or LOCKED_OUT_S), never more and never less."""
        assert self.last_try is not None
        due = self.now - self.last_try >= self.patience_s
        assert self.standing.may_ask(self.now) is due
        if due:
            self.last_try = self.now
            assert not self.standing.may_ask(self.now)

    @precondition(lambda self: self.standing.opened_at is None)
    @rule()
    def call_a_site_in_good_standing(self) -> None:
        assert self.standing.may_ask(self.now)

    @invariant()
    def its_state_has_one_of_three_names(self) -> None:
        is_open = self.standing.opened_at is not None
        assert self.standing.state in ({"open", "half-open"} if is_open else {"closed"})


Breaker.TestCase.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
TestBreaker = Breaker.TestCase


def test_four_failures_leave_it_closed_and_the_fifth_opens_it() -> None:
    standing = Standing()
    for n in range(FAILURES_IN_A_ROW):
        assert standing.state == "closed"
        standing.failed(float(n), "timeout")
    assert standing.state == "open"


def test_half_of_the_last_twenty_opens_it_though_no_five_in_a_row_failed() -> None:
    standing = Standing()
    for n in range(WINDOW // 2):
        standing.answered(float(n), 0.1)
        assert standing.state == "closed"
        standing.failed(float(n), "garbage")
    assert standing.state == "open"


def test_the_try_after_ten_seconds_closes_it_or_keeps_it_open() -> None:
    standing = Standing()
    for _ in range(FAILURES_IN_A_ROW):
        standing.failed(100.0, "timeout")
    assert not standing.may_ask(109.9)
    assert standing.may_ask(110.0)
    assert standing.state == "half-open"
    standing.failed(111.0, "timeout")
    assert (standing.state, standing.may_ask(120.9)) == ("open", False)
    assert standing.may_ask(121.0)
    standing.answered(121.5, 0.5)
    assert (standing.state, standing.may_ask(121.5)) == ("closed", True)


def test_nothing_is_known_before_the_first_exchange() -> None:
    standing = Standing()
    assert (standing.state, standing.answers, standing.may_ask(0.0)) == ("closed", False, True)


def test_a_refused_password_is_tried_rarely_even_if_a_call_beside_it_times_out() -> None:
    """F16: some systems lock the account."""
    standing = Standing()
    standing.failed(100.0, "untrusted", at_once=True)
    standing.failed(101.0, "timeout")
    assert not standing.may_ask(101.0 + LOCKED_OUT_S - 1)
    assert standing.may_ask(101.0 + LOCKED_OUT_S)
