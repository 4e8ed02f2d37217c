"""Looks how full our own disk is, and raises an alarm before it is (trust.md F35)."""

import shutil
from datetime import datetime
from pathlib import Path

from gateway.model.alarms import DISK_FILLS
from gateway.records.alarms import write_alarm, write_clearance
from gateway.records.engine import Records

STEPS = (80, 90, 95)
SUBJECT = "STATE_DIR"


def step_of(used_bytes: int, free_bytes: int) -> int:
    """The highest step, in percent, that has been reached; 0 below the first.

    free_bytes  that we may use: what is kept for the system's own counts for nothing
    """
    whole = used_bytes + free_bytes
    return max((step for step in STEPS if 100 * used_bytes >= step * whole), default=0)


def watch_disk(records: Records, folder: Path, now: datetime) -> int:
    """One alarm whose facts tell the step, cleared below the first; gives the step.

    raises  RecordsUnavailable
    """
    if not folder.is_dir():  # beside PostgreSQL only web processes keep something there
        return 0
    usage = shutil.disk_usage(folder)
    step = step_of(usage.used, usage.free)
    with records.write() as connection:
        if step:
            facts = {"percent": step, "free_mb": usage.free // 2**20}
            write_alarm(connection, DISK_FILLS, SUBJECT, facts, now)
        else:
            write_clearance(connection, DISK_FILLS, [SUBJECT], now)
    return step
