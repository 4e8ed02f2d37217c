"""A study is sent elsewhere by a person's word, and its later images follow."""

from datetime import timedelta

import pytest

from gateway.model.deliveries import State
from gateway.records.deliveries import take_work
from gateway.records.delivery_desk import Filter, exclude, load_story
from gateway.records.dispatch import claim
from gateway.records.rerouting import reroute
from tests.arrived import NOW, a_manifest, plan, room, touch

UID = "1.2.1"
EVERYTHING = Filter()


def states(records):
    told = [one.shown for one in load_story(records, UID).deliveries]
    return sorted((one.epoch, one.destination, one.state, one.reason) for one in told)


@pytest.fixture
def planned(records):
    touch(records, UID, 3, NOW)
    plan(records, UID, NOW)
    return records


def test_a_study_goes_to_the_other_destination_instead(planned):
    assert reroute(planned, EVERYTHING, "reserve", "ivanova", NOW) == 1
    assert states(planned) == [
        (1, "archive", State.EXCLUDED, "rerouted: reserve"),
        (1, "reserve", State.PLANNED, ""),
    ]
    (one,) = claim(planned, room(("archive", "reserve")), NOW, None)
    work = take_work(planned, one.delivery_id, one.fence, "w", NOW)
    assert work is not None
    assert (work.destination, work.manifest) == ("reserve", a_manifest(UID, 3))
    line = load_story(planned, UID).deliveries[0].history[-1]
    assert (line.event, line.by, line.reason) == ("excluded", "ivanova", "rerouted: reserve")


def test_what_was_excluded_can_be_sent_elsewhere(planned):
    exclude(planned, EVERYTHING, "не туда", "ivanova", NOW)
    assert reroute(planned, EVERYTHING, "reserve", "ivanova", NOW) == 1
    assert [state for _, _, state, _ in states(planned)] == [State.EXCLUDED, State.PLANNED]


def test_what_a_worker_is_at_or_goes_there_already_is_left_alone(planned):
    assert reroute(planned, EVERYTHING, "archive", "ivanova", NOW) == 0
    assert reroute(planned, EVERYTHING, "gkb1", "ivanova", NOW) == 0, "it lies there"
    claim(planned, room(), NOW, None)
    assert reroute(planned, EVERYTHING, "reserve", "ivanova", NOW) == 0
    assert [state for _, _, state, _ in states(planned)] == [State.SENDING]


def test_a_delivery_that_is_there_already_wakes_up(planned):
    reroute(planned, EVERYTHING, "reserve", "ivanova", NOW)
    exclude(planned, Filter(destination="reserve"), "нет", "ivanova", NOW)
    assert reroute(planned, Filter(destination="archive"), "reserve", "ivanova", NOW) == 1
    assert [state for _, _, state, _ in states(planned)] == [State.EXCLUDED, State.PLANNED]


def test_images_that_come_later_follow_to_the_other_destination(planned):
    reroute(planned, EVERYTHING, "reserve", "ivanova", NOW)
    later = NOW + timedelta(minutes=5)
    touch(planned, UID, 5, later)
    plan(planned, UID, later)
    assert states(planned)[2:] == [
        (2, "archive", State.EXCLUDED, "rerouted: reserve"),
        (2, "reserve", State.PLANNED, ""),
    ]
