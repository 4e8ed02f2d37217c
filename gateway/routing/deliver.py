"""What a worker does with one study and one destination: send what is missing, then prove it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from gateway.model.deliveries import Event
from gateway.model.destinations import Destination
from gateway.model.manifests import Manifest
from gateway.model.routing.actions import Action, Verify
from gateway.model.sites import Site
from gateway.orthanc.wire import Wire

Alive = Callable[[], bool]
"""Called between blocks: prolongs the lease; False: it is lost, stop at once."""


@dataclass(frozen=True)
class Consignment:
    """One study, from one site, to one destination.

    actions     of the rule, edits before its `send`; others are ignored
    planned_at  of the delivery: the time that stands in OriginalAttributesSequence, so that the
                same edit gives the same bytes at every try
    verify      of the rule, instead of the destination's
    """

    source: Site
    destination: Destination
    manifest: Manifest
    planned_at: datetime
    actions: tuple[Action, ...] = ()
    verify: Verify | None = None


@dataclass(frozen=True)
class InstanceOutcome:
    """What became of one instance.

    state   there: the destination had it. sent: it said that it took it. proven. The others did not
    reason  a code of words.py, "" if nothing is wrong
    sha256  of what went to the destination
    """

    state: Literal["there", "sent", "proven", "missing", "failed", "refused", "conflict"]
    reason: str = ""
    sha256: str = ""
    size: int = 0


@dataclass(frozen=True)
class Outcome:
    """What a worker says of its delivery.

    event      SENT FAILED REFUSED DENIED CONFLICT SOURCE_GONE of `deliver`;
               PROVEN INCOMPLETE UNVERIFIED DENIED CONFLICT of `verify`;
               ALIVE of both: the lease was lost, nothing is to be written
    reason     a code, never patient data
    instances  by SOP instance UID of the source
    """

    event: Event
    reason: str = ""
    instances: Mapping[str, InstanceOutcome] = field(default_factory=dict)


def deliver(wire: Wire, consignment: Consignment, alive: Alive) -> Outcome:
    """Send what the destination lacks; nothing is raised for what sites do wrong."""
    raise NotImplementedError


def verify(wire: Wire, consignment: Consignment, alive: Alive) -> Outcome:
    """Ask the destination on another connection what it holds."""
    raise NotImplementedError
