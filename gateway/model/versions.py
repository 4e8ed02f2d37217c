"""Versions of what the gateway is built of and talks to, against the oldest that is known to be
safe (trust.md). Pure.
"""

import re
from dataclasses import dataclass

ORTHANC = "Orthanc"


@dataclass(frozen=True)
class Floor:
    """The oldest version without a known hole, and which hole that is."""

    version: str
    hole: str


FLOORS = {
    ORTHANC: Floor("1.12.11", "CVE-2026-5442, CVE-2026-5443, CVE-2026-5445"),
    "authlib": Floor("1.9.0", "CVE-2025-59420, CVE-2026-28802"),
    "gunicorn": Floor("23.0.0", "CVE-2024-1135, CVE-2024-6827"),
    "jinja2": Floor("3.1.6", "CVE-2025-27516"),
    "joserfc": Floor("1.4.2", "CVE-2025-65015"),
    "pydicom": Floor("3.0.2", "CVE-2026-32711"),
    "requests": Floor("2.32.4", "CVE-2024-47081"),
    "urllib3": Floor("2.6.0", "CVE-2025-66418, CVE-2025-66471"),
    "werkzeug": Floor("3.0.6", "CVE-2023-46136, CVE-2024-49767"),
}
"""What is watched: `make audit` asks the advisory database of the day about all packages, this
table needs no network and knows servers too."""


@dataclass(frozen=True)
class Component:
    """Something with a version; `where` is a site's id, "" for this process."""

    name: str
    version: str
    where: str = ""

    @property
    def floor(self) -> Floor | None:
        return FLOORS.get(self.name)

    @property
    def is_below(self) -> bool:
        """Whether its version has a known hole; a build without a number is not judged."""
        found = _numbers(self.version)
        return self.floor is not None and bool(found) and found < _numbers(self.floor.version)


def _numbers(version: str) -> tuple[int, ...]:
    digits = re.match(r"[0-9]+(?:\.[0-9]+)*", version)
    return tuple(int(one) for one in digits[0].split(".")) if digits else ()
