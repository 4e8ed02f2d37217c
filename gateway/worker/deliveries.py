"""What a worker does with one delivery: takes it, keeps its lease alive, carries it out, reports.

A worker may be killed, frozen or doubled at any moment. What it says counts only under the fence
that it was given, so whatever it does late or twice changes nothing.
"""

import os
import socket
import threading
import time
from contextlib import closing
from dataclasses import dataclass

from gateway.clock import Deadline, utc_now
from gateway.errors import GatewayError, RecordsUnavailable
from gateway.log import log
from gateway.model.deliveries import LEASE_S, Event, State
from gateway.model.destinations import Destination
from gateway.model.sites import Region
from gateway.orthanc.wire import Wire
from gateway.records.deliveries import Report, Work, prolong, take_work
from gateway.records.dispatch import save_report
from gateway.records.engine import Records
from gateway.routing.consignment import Consignment, Outcome
from gateway.routing.deliver import deliver
from gateway.routing.prove import verify

HEARTBEAT_S = 5.0
AGAIN_S = 0.5
NO_TROUBLE = frozenset({"there", "sent", "proven"})
CRASHED, KILLED = "worker_crashed", "worker_killed"


def carry_out(records: Records, region: Region, delivery_id: str, fence: int) -> None:
    """Send or verify the delivery if this fence still holds it; exits quietly if it does not.

    raises  RecordsUnavailable; then the lease ends by itself and somebody tries again
    """
    records.check_clock()
    me = f"{socket.gethostname()}:{os.getpid()}"
    work = take_work(records, delivery_id, fence, me, utc_now())
    if work is None:
        return
    destination = region.destination(work.destination)
    with _Heartbeat(records, work) as heartbeat:
        report = _report(_try(region, destination, work, heartbeat))
        if report is None:
            log.info("delivery is somebody else's by now", delivery=delivery_id)
            return
        counts = _tell(heartbeat, records, work, report, me, destination)
    if counts and report.event not in (Event.SENT, Event.PROVEN):
        facts = {"destination": work.destination, "said": report.event, "reason": report.reason}
        log.warning("delivery goes not on", delivery=delivery_id, **facts)


def _tell(
    heartbeat: "_Heartbeat", records: Records, work: Work, report: Report, me: str,
    destination: Destination | None,
) -> bool:  # fmt: skip
    """What was done is worth some patience with the database: else all of it is done again."""
    while True:
        try:
            return save_report(
                records, work.delivery_id, work.fence, report, utc_now(), me, destination
            )
        except RecordsUnavailable:
            if not heartbeat.alive():
                raise
            time.sleep(AGAIN_S)


def report_killed(records: Records, delivery_id: str, fence: int) -> None:
    """A child died over this delivery (out of memory, a fault): after the third it is parked."""
    work = take_work(records, delivery_id, fence, "", utc_now())
    if work is not None:
        report = _crashed(work, KILLED)
        save_report(records, delivery_id, fence, report, utc_now(), "worker", None)


def _try(
    region: Region, destination: Destination | None, work: Work, heartbeat: "_Heartbeat"
) -> Outcome:
    source = region.site(work.site_id)
    failed = Event.FAILED if work.state is State.SENDING else Event.UNVERIFIED
    if source is None:
        return Outcome(failed, "source_unknown")
    if destination is None:
        return Outcome(failed, "destination_unknown")
    consignment = Consignment(
        source, destination, work.manifest, work.made_at, work.actions, work.verify
    )
    act = deliver if work.state is State.SENDING else verify
    try:
        with closing(Wire()) as wire:
            return act(wire, consignment, heartbeat.alive)
    except Exception as error:  # noqa: BLE001 - the worker's door: the study may be a poison
        # The text of a foreign error may hold what stands in the image.
        log.error("delivery crashed", delivery=work.delivery_id, problem=type(error).__name__)
        crashed = _crashed(work, f"{CRASHED}: {type(error).__name__}")
        return Outcome(crashed.event, crashed.reason)


def _crashed(work: Work, reason: str) -> Report:
    event = Event.REFUSED if work.state is State.SENDING else Event.UNVERIFIED
    return Report(event, reason)


def _report(outcome: Outcome) -> Report | None:
    """What is kept of an outcome; None if it does not count any more."""
    if outcome.event is Event.ALIVE:
        return None
    trouble = {
        uid: (one.state, one.reason)
        for uid, one in outcome.instances.items()
        if one.state not in NO_TROUBLE
    }
    return Report(outcome.event, outcome.reason, trouble)


@dataclass
class _Lease:
    """How long we may go on without another heartbeat."""

    ends: Deadline
    lost: bool = False


class _Heartbeat:
    """Prolongs a lease every HEARTBEAT_S, in a thread, while the block runs."""

    def __init__(self, records: Records, work: Work) -> None:
        self._records, self._work = records, work
        self._lease = _Lease(Deadline(LEASE_S[work.lane]))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def alive(self) -> bool:
        """Whether the delivery is still ours: not so after a freeze, or with the database away."""
        return not self._lease.lost and not self._lease.ends.passed

    def __enter__(self) -> "_Heartbeat":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        work = self._work
        while not self._stop.wait(HEARTBEAT_S) and self.alive():
            ends = Deadline(LEASE_S[work.lane])  # from before the statement: never too long
            try:
                self._records.check_clock()
                if not prolong(self._records, work.delivery_id, work.fence, utc_now()):
                    self._lease.lost = True
                else:
                    self._lease.ends = ends
            except GatewayError as error:
                log.warning("lease is not prolonged", problem=str(error))
