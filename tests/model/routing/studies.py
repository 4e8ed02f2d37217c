"""Studies and arrivals as rules see them."""

from datetime import UTC, datetime
from typing import Any

from gateway.model.routing.facts import Arrival
from gateway.model.sites import Site

NORTH = Site("north", "Север", "North", "http://north:8042", patient_id_issuer="NORTH-ID")

CT: dict[str, Any] = {
    "00080020": {"vr": "DA", "Value": ["20261121"]},
    "00080030": {"vr": "TM", "Value": ["081530"]},
    "00080060": {"vr": "CS", "Value": ["CT"]},
    "0020000D": {"vr": "UI", "Value": ["1.2.3"]},
    "0020000E": {"vr": "UI", "Value": ["1.2.3.1"]},
}


def arrival(**known: Any) -> Arrival:
    """Saturday, 21 November 2026, 12:00 in Moscow."""
    return Arrival(NORTH, datetime(2026, 11, 21, 9, 0, tzinfo=UTC), **known)
