"""Where deliveries go, and how much each destination may be asked. Pure.

region.toml lists destinations beside the sites; a site may itself be one (the regional archive).
"""

from dataclasses import dataclass, field
from datetime import datetime, time
from typing import Literal
from zoneinfo import ZoneInfo

from gateway.model.routing.actions import Verify
from gateway.model.sites import Secret, Site

Kind = Literal["dicomweb", "orthanc", "dicom"]
KINDS: tuple[Kind, ...] = ("dicomweb", "orthanc", "dicom")
DAY = "00:00-24:00"


@dataclass(frozen=True)
class Limits:
    """How much a destination gets at once.

    parallel          deliveries at the same time, over all workers; the dispatcher keeps it
    bytes_per_s       over all of them; 0: as fast as it goes
    windows           "HH:MM-HH:MM" of the destination's zone in which it takes routine and bulk
                      deliveries; an emergency goes at any time
    breaker_failures  deliveries that fail one after the other before it is left alone
    breaker_s         for so long; then one delivery tries
    """

    parallel: int = 4
    bytes_per_s: int = 0
    windows: tuple[str, ...] = (DAY,)
    time_zone: str = "Europe/Moscow"
    breaker_failures: int = 5
    breaker_s: float = 60.0

    @property
    def share_bytes_per_s(self) -> float:
        """What one of its parallel deliveries may use; 0: no limit."""
        return self.bytes_per_s / self.parallel

    def is_open(self, now: datetime) -> bool:
        """Whether a routine delivery may begin now."""
        there = now.astimezone(ZoneInfo(self.time_zone)).time()
        return any(_holds(window, there) for window in self.windows)


@dataclass(frozen=True)
class Destination:
    """One place that studies are sent to; all values are checked.

    kind           dicomweb: STOW-RS to any server. orthanc: the REST API of an Orthanc.
                   dicom: C-STORE by the Orthanc of the hospital that has the study, which knows
                   it as `modality`
    server         how it is reached over HTTP, which for kind `dicom` only verifies and may be
                   absent
    pseudonym_key  makes the new UIDs and the PatientID of what is de-identified on its way here;
                   without it nothing can be
    """

    destination_id: str
    name_ru: str
    name_en: str
    kind: Kind
    server: Site | None = None
    modality: str = ""
    verify: tuple[Verify, ...] = ("SET", "CHECKSUM", "FETCH")
    fetch_percent: float = 1.0
    limits: Limits = field(default_factory=Limits)
    pseudonym_key: Secret = Secret("")


def _holds(window: str, there: time) -> bool:
    begin, _, end = window.partition("-")
    now = there.strftime("%H:%M")
    if begin <= end:
        return begin <= now < end
    return now >= begin or now < end
