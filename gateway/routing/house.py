"""What the gateway itself stands on: room on its own disks, a Redis that keeps its jobs, a door
that nobody tries to force.

Each thing that is not so is one alarm, looked at with those of invariants.py, and gone with its
cause. These are of the machine on which the keeper leads.
"""

import shutil
import socket
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from gateway.errors import QueueUnavailable
from gateway.model import alarms
from gateway.queues import ask_policy
from gateway.records.accounts import NO_LINK, wrong_tries
from gateway.records.alarms import load_alarms, write_alarm, write_clearance
from gateway.records.engine import Records
from gateway.records.leases import Fence
from gateway.settings import Settings

FULL_PERCENT = (80, 90, 95)
SAFE_POLICY = "noeviction"
CLOCK_OFF_S = 30.0
GUESSES, GUESSED = 20, timedelta(hours=1)
"""Links that do not exist, tried with no more than so long between two of them (trust.md H50)."""
KINDS = (
    alarms.DISK_FILLS, alarms.REDIS_AWAY, alarms.REDIS_EVICTS, alarms.GATEWAY_CLOCK_OFF,
    alarms.LINKS_GUESSED,
)  # fmt: skip

Found = dict[tuple[str, str], dict[str, Any]]
"""(kind, subject) -> facts."""


def check_house(records: Records, settings: Settings, now: datetime, fence: Fence | None) -> Found:
    """Raise an alarm for everything amiss, and clear those that are well again.

    raises  LeaseLost if another keeper leads; RecordsUnavailable
    """
    found = {
        **_of_disks(_folders(settings)),
        **_of_redis(settings.redis_url),
        **_of_clock(records.check_clock()),
        **_of_links(wrong_tries(records, NO_LINK, now - GUESSED)),
    }
    keep_alarms(records, KINDS, found, now, fence)
    return found


def keep_alarms(
    records: Records, kinds: Collection[str], found: Mapping[tuple[str, str], Mapping[str, Any]],
    now: datetime, fence: Fence | None,
) -> None:  # fmt: skip
    """Of these kinds exactly what was found is open from now on. raises LeaseLost"""
    is_open = {(one.kind, one.subject) for one in load_alarms(records) if one.kind in kinds}
    if not found and not is_open:
        return
    with records.write() as connection:
        if fence:
            fence.check(connection)
        for (kind, subject), facts in found.items():
            write_alarm(connection, kind, subject, facts, now)
        for kind in kinds:
            gone = [subject for of, subject in is_open - set(found) if of == kind]
            write_clearance(connection, kind, gone, now)


def _folders(settings: Settings) -> Mapping[str, Path]:
    named = {"state": settings.state_dir}
    return named | ({"cache": Path(settings.cache_dir)} if settings.cache_dir else {})


def _of_disks(folders: Mapping[str, Path]) -> Found:
    """One alarm for each mark that a disk has passed: 80, 90 and 95 % are three messages."""
    found: Found = {}
    for name, folder in folders.items():
        try:
            disk = shutil.disk_usage(folder)
        except OSError:
            continue  # whoever writes there finds out
        # As df does: what is kept back for root is not ours to fill.
        percent = 100 * disk.used / max(disk.used + disk.free, 1)
        for mark in FULL_PERCENT:
            if percent >= mark:
                found[alarms.DISK_FILLS, f"{name} {mark} %"] = {"percent": int(percent)}
    return found


def _of_clock(ahead_s: float) -> Found:
    """Of this host against the database's; the database's own against nobody's."""
    if abs(ahead_s) <= CLOCK_OFF_S:
        return {}
    return {(alarms.GATEWAY_CLOCK_OFF, socket.gethostname()): {"seconds": round(ahead_s)}}


def _of_links(guesses: int) -> Found:
    return {(alarms.LINKS_GUESSED, "open"): {"tries": guesses}} if guesses >= GUESSES else {}


def _of_redis(url: str) -> Found:
    try:
        policy = ask_policy(url)
    except QueueUnavailable:
        return {(alarms.REDIS_AWAY, "redis"): {}}
    if policy != SAFE_POLICY:
        return {(alarms.REDIS_EVICTS, "redis"): {}}
    return {}
