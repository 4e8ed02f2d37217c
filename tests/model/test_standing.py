"""The breaker of one site, as rules that hold whatever happens in whatever order."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.model.standing import FAILURES_IN_A_ROW, TRY_AGAIN_S, WINDOW, Standing


class Breaker(RuleBasedStateMachine):
    """Any order of calls, answers and failures, and time going by between them."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.standing = Standing()
        self.since_closed: list[bool] = []
        self.last_try: float | None = None

    @rule(seconds=st.sampled_from([0.0, 0.1, 1.0, TRY_AGAIN_S - 0.5, TRY_AGAIN_S, 3600.0]))
    def time_goes_by(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def answer(self) -> None:
        was_open = self.standing.opened_at is not None
        self.standing.answered(self.now, 0.01)
        self.since_closed = [] if was_open else [*self.since_closed, True]
        self.last_try = None
        assert (self.standing.state, self.standing.answers) == ("closed", True)
        assert self.standing.may_ask(self.now)

    @rule()
    def failure(self) -> None:
        self.standing.failed(self.now, "timeout")
        self.since_closed.append(False)
        if self.standing.opened_at is not None:
            self.last_try = self.now
        assert (self.standing.last_failure, self.standing.last_failure_at) == ("timeout", self.now)

    @rule()
    def refused_password(self) -> None:
        self.standing.failed(self.now, "untrusted", at_once=True)
        self.since_closed.append(False)
        self.last_try = self.now
        assert not self.standing.may_ask(self.now)

    @precondition(lambda self: self.standing.opened_at is not None)
    @rule()
    def call(self) -> None:
        """While open: one try each TRY_AGAIN_S, never more and never less."""
        assert self.last_try is not None
        due = self.now - self.last_try >= TRY_AGAIN_S
        assert self.standing.may_ask(self.now) is due
        if due:
            self.last_try = self.now
            assert not self.standing.may_ask(self.now)

    @precondition(lambda self: self.standing.opened_at is None)
    @rule()
    def call_a_site_in_good_standing(self) -> None:
        assert self.standing.may_ask(self.now)

    @invariant()
    def it_opens_for_many_failures_and_for_nothing_less(self) -> None:
        if self.standing.opened_at is not None:
            return
        recent = self.since_closed[-WINDOW:]
        assert True in recent[-FAILURES_IN_A_ROW:] or len(recent) < FAILURES_IN_A_ROW
        assert len(recent) < WINDOW or recent.count(False) * 2 < WINDOW

    @invariant()
    def its_state_has_one_of_three_names(self) -> None:
        is_open = self.standing.opened_at is not None
        assert self.standing.state in ({"open", "half-open"} if is_open else {"closed"})


Breaker.TestCase.settings = settings(max_examples=200, stateful_step_count=60, deadline=None)
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
    standing.failed(100.0, "untrusted", at_once=True)
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
