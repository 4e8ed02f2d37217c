"""One study shown to somebody who has no post at its hospital: a patient by a link, a colleague by
a grant (trust.md 1 d, f). What a share is worth at a moment; pure.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from gateway.errors import BadRequest

USUAL = timedelta(hours=72)
LONGEST = timedelta(days=30)
EMERGENCY_LASTS = timedelta(hours=4)
SESSION = timedelta(minutes=30)
TRIES = 5
"""Wrong dates of birth; then a link is frozen."""
REASON_MOST = 200
BIRTH = re.compile(r"(\d{4})-(\d{2})-(\d{2})|(\d{2})\.(\d{2})\.(\d{4})", re.ASCII)


class Kind(StrEnum):
    """Whom a share is for."""

    LINK = "link"
    GRANT = "grant"
    EMERGENCY = "emergency"  # a doctor's own word, looked at by an auditor after it


GRANTS = (Kind.GRANT, Kind.EMERGENCY)
"""Shares by which a person with an account sees a study."""


class Standing(StrEnum):
    """What a share is worth now."""

    GOOD = "good"
    EARLY = "early"
    OVER = "over"
    REVOKED = "revoked"
    FROZEN = "frozen"


@dataclass(frozen=True)
class Share:
    """One link or grant.

    whom     account of a grant's colleague; "" of a link
    made_by  account of who shared
    tries    wrong dates of birth since the link was made
    downloads  of a grant: files too, not only what the viewer shows
    review   of an emergency: what the auditor found; "" until then
    """

    share_id: str
    kind: Kind
    study_uid: str
    whom: str
    made_by: str
    reason: str
    made_at: datetime
    not_before: datetime
    expires_at: datetime
    revoked_at: datetime | None
    tries: int
    uses: int
    last_used_at: datetime | None
    downloads: bool = False
    reviewed_at: datetime | None = None
    reviewed_by: str = ""
    review: str = ""

    def standing(self, now: datetime) -> Standing:
        if self.revoked_at is not None:
            return Standing.REVOKED
        if self.tries >= TRIES:
            return Standing.FROZEN
        if now >= self.expires_at:
            return Standing.OVER
        return Standing.EARLY if now < self.not_before else Standing.GOOD


def read_hours(text: str) -> timedelta:
    """For how long something is shared; raises BadRequest."""
    most = int(LONGEST.total_seconds() // 3600)
    if not re.fullmatch(r"[0-9]{1,4}", text, re.ASCII) or not 1 <= int(text) <= most:
        raise BadRequest("hours", f"is a number of hours from 1 to {most}")
    return timedelta(hours=int(text))


def read_birth(text: str) -> str | None:
    """A date of birth as people and browsers write it, as DICOM does: 19700131. None: no date."""
    found = BIRTH.fullmatch(text.strip())
    if found is None:
        return None
    year, month, day, day_ru, month_ru, year_ru = found.groups()
    return f"{year or year_ru}{month or month_ru}{day or day_ru}"
