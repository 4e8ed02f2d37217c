import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.clock import utc_now
from gateway.model.alarms import MEANING
from gateway.records.alarms import load_alarms
from gateway.records.engine import Records
from gateway.worker.disk import step_of, watch_disk

WHOLE = 1000 * 2**20


@pytest.mark.parametrize(
    ("used", "step"), [(0, 0), (799, 0), (800, 80), (899, 80), (900, 90), (950, 95), (1000, 95)]
)
def test_the_highest_step_that_was_reached_counts(used: int, step: int) -> None:
    assert step_of(used, 1000 - used) == step


def test_a_disk_that_fills_is_one_alarm_until_there_is_room_again(
    records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F35"""
    now, told = utc_now(), []
    for minute, percent in enumerate((10, 81, 92, 97, 85, 20)):
        used = WHOLE * percent // 100
        usage = shutil._ntuple_diskusage(WHOLE, used, WHOLE - used)
        monkeypatch.setattr(shutil, "disk_usage", lambda _folder, usage=usage: usage)
        watch_disk(records, tmp_path, now + timedelta(minutes=minute))
        told.append([(a.kind, a.subject, a.facts["percent"]) for a in load_alarms(records)])
    alarm = ("disk_fills", "STATE_DIR")
    assert told == [
        [],
        [(*alarm, 80)],
        [(*alarm, 90)],
        [(*alarm, 95)],
        [(*alarm, 80)],
        [],
    ]
    assert len(load_alarms(records, cleared=True)) == 1
    assert all(MEANING["disk_fills"])


def test_a_process_without_a_folder_watches_none(records: Records, tmp_path: Path) -> None:
    assert watch_disk(records, tmp_path / "none", utc_now()) == 0
    assert load_alarms(records) == []
