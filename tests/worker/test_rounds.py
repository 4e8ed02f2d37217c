"""A thread of the keeper goes on after a fault; it ends when told to, or with its lease."""

from collections.abc import Iterator

import pytest

from gateway.errors import LeaseLost, RecordsUnavailable
from gateway.worker.rounds import Rounds


class Some(Rounds):
    """Raises what it is given, one after the other."""

    def __init__(self, faults: Iterator[Exception | None]) -> None:
        super().__init__("some", 0.0, "nothing is done")
        self.faults, self.rounds = faults, 0

    def round(self) -> None:
        self.rounds += 1
        fault = next(self.faults, None)
        if fault is not None:
            raise fault
        if self.rounds > 3:
            self.end()


@pytest.mark.parametrize("fault", [RecordsUnavailable("away"), OSError("full"), KeyError("odd")])
def test_a_fault_is_not_the_end(fault: Exception) -> None:
    some = Some(iter([fault, fault]))
    some.start()
    some.join(60)
    assert (some.is_alive(), some.rounds) == (False, 4)


def test_a_lost_lease_is() -> None:
    some = Some(iter([None, LeaseLost("keeper")]))
    some.start()
    some.join(60)
    assert (some.is_alive(), some.rounds) == (False, 2)


def test_who_is_ended_before_the_first_round_does_none() -> None:
    some = Some(iter([]))
    some.end()
    some.start()
    some.join(60)
    assert some.rounds == 0
