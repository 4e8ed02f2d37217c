"""Hours in which something may be done: "HH:MM-HH:MM" in a place's own time. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo


def next_opening(windows: Sequence[str], zone: tzinfo, now: datetime) -> datetime:
    """The first moment from now on that is inside one of the windows; without windows, now.

    windows  may go over midnight; "24:00" is the end of a day
    """
    if not windows:
        return now
    local = now.astimezone(zone)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    openings: list[datetime] = []
    for window in windows:
        begin, end = (_minutes(side) for side in window.split("-"))
        for day in (-1, 0, 1):
            opens = midnight + timedelta(days=day, minutes=begin)
            closes = midnight + timedelta(days=day + (end <= begin), minutes=end)
            if opens <= local < closes:
                return now
            if opens > local:
                openings.append(opens)
    return min(openings).astimezone(now.tzinfo)


def _minutes(clock: str) -> int:
    hours, _, minutes = clock.partition(":")
    return int(hours) * 60 + int(minutes)
