"""Places at a site: so many and not one more, and whoever waits gets the next one."""

import threading

import pytest

from gateway.clock import Deadline
from gateway.orthanc.slots import Slots


def test_there_are_so_many_places_and_not_one_more():
    slots = Slots(2)
    assert [slots.take(Deadline(0)) for _ in range(3)] == [True, True, False]
    slots.give_back()
    assert [slots.take(Deadline(0)) for _ in range(2)] == [True, False]


def test_whoever_waits_gets_the_place_that_is_given_back():
    slots = Slots(1)
    assert slots.take(Deadline(0))
    got: list[bool] = []
    waiting = [threading.Thread(target=lambda: got.append(slots.take(Deadline(60)))) for _ in "ab"]
    for thread in waiting:
        thread.start()
    slots.give_back()
    slots.give_back()
    for thread in waiting:
        thread.join(60)
    assert got == [True, True]


@pytest.mark.parametrize("count", [1, 3])
def test_a_crowd_never_holds_more_places_than_there_are(count):
    slots, held, most = Slots(count), [], []

    def run() -> None:
        for _ in range(200):
            assert slots.take(Deadline(60))
            held.append(1)
            most.append(len(held))
            held.pop()
            slots.give_back()

    crowd = [threading.Thread(target=run) for _ in range(8)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join(60)
    assert len(most) == 8 * 200
    assert max(most) <= count
    assert [slots.take(Deadline(0)) for _ in range(count + 1)] == [True] * count + [False]
