"""What a process keeps of senders between two pages is what it would find by looking again."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

from gateway.model.rollout.register import as_of
from gateway.records.evidence import load_senders
from gateway.records.register import Change, add_revisions
from gateway.rollout import saying, sender_shelf
from gateway.rollout.evidence import homes_of, look, suggest
from gateway.rollout.register import Shelf
from gateway.rollout.sender_shelf import SenderShelf
from tests.databases import open_without_rows
from tests.rollout.test_evidence import CT, FACILITIES, ME, UNITS, XRAY_UNIT
from tests.sightings import NOW, TODAY, Region, a_study

SENT = {"Modality": "DX", "StationName": "ROOM1", "DeviceSerialNumber": "0043"}


@pytest.fixture
def region(tmp_path):
    records = open_without_rows(f"sqlite:///{tmp_path / 'gateway.db'}")
    write(records, facilities=FACILITIES.values(), units=UNITS.values())
    yield Region(records)
    records.close()


def write(records, day=TODAY - timedelta(days=90), *, facilities=(), units=()):
    changes = {"facilities": [Change(one, day) for one in facilities],
               "units": [Change(one, day) for one in units]}  # fmt: skip
    add_revisions(records, **changes, author=ME, reason="проба", now=NOW)


def test_what_is_kept_is_what_would_be_found(region, monkeypatch):
    """Whatever is said, written or sent, at this site or at another."""
    monkeypatch.setattr(sender_shelf, "AGE_S", 0.0)
    shelf, senders = Shelf(region.records), SenderShelf(region.records)
    moved = replace(XRAY_UNIT, facility_id="f2")
    said = []

    def number(serial="0043"):
        senders = load_senders(region.records, TODAY)
        return next(one.sender_id for one in senders if one.sender.serial == serial)

    def by_hand(act, unit_id, serial="0043"):
        said.append(act(region.records, number(serial), unit_id, author=ME, now=NOW))

    steps = (
        lambda: region.show(a_study(1), a_study(2, SENT), a_study(3, CT)),
        lambda: region.show(a_study(4, SENT), site_id="gkb2"),
        lambda: by_hand(saying.accept, "y"),
        lambda: saying.undo(region.records, said[0], author=ME, now=NOW),
        lambda: by_hand(saying.deny, "x", "0042"),
        lambda: saying.undo(region.records, said[1], author=ME, now=NOW),
        lambda: write(region.records, TODAY, units=[moved]),
        lambda: write(region.records, TODAY, units=[replace(UNITS["z"], serial="43")]),
        lambda: write(region.records, TODAY, facilities=[replace(FACILITIES["f1"], site_id="")]),
        lambda: saying.ignore(region.records, number(), author=ME, reason="фантом", now=NOW),
        lambda: saying.heed(region.records, number(), author=ME, now=NOW),
    )
    seen = []
    for step in steps:
        step()
        register = shelf.now()
        kept = senders.now(register, TODAY)
        units = as_of(register.units, TODAY)
        facilities = as_of(register.facilities, TODAY)
        homes = homes_of(register.units, TODAY)
        found = look(region.records, units, facilities, TODAY, homes=homes)
        assert list(kept.unknown) == list(found.unknown)
        assert {one.sender_id for one, _ in kept.ignored} == {*found.ignored}
        assert kept.alive == found.alive
        assert suggest(kept.suggester, kept.unknown, kept.matched, kept.alive) == suggest(
            kept.suggester, found.unknown, found.matched, found.alive
        )
        whose = {number: match.unit_id for number, match in found.matched.items()}
        assert whose.items() <= {n: match.unit_id for n, match in kept.matched.items()}.items()
        seen.append(sorted(whose.items(), key=str))
    assert sum(one != other for one, other in pairwise(seen)) >= 8, "most steps change something"
