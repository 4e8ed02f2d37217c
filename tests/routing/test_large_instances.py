"""A worker needs little memory, whatever it carries (E: streamed, <= 8 MiB)."""

import io
import re
import struct
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pydicom
import pytest
import requests

from gateway.dicom.part10 import glance
from gateway.model.deliveries import Event
from gateway.model.routing.actions import SetTag
from gateway.orthanc.wire import Wire
from gateway.routing.consignment import Consignment
from gateway.routing.deliver import deliver
from gateway.routing.prove import verify
from tests.chaosproxy import ChaosProxy
from tests.routing.conftest import Pair, alive, never
from tests.running import load
from tests.studies import Instance, an_instance

pytestmark = [pytest.mark.real, pytest.mark.alone]

SIDE, FRAMES = 2048, 125
MOST_MB = 24
"""8 MiB of blocks in flight, and what Python does not give back at once."""


def large(number: int) -> tuple[Instance, Iterator[bytes]]:
    """An image of 500 MB that never exists as a whole."""
    small = an_instance(1500, 1, number)
    head = small.data[: glance(small.data, whole=True).header_bytes]
    dataset = pydicom.dcmread(io.BytesIO(head))
    dataset.Rows = dataset.Columns = SIDE
    dataset.NumberOfFrames = FRAMES
    out = io.BytesIO()
    pydicom.dcmwrite(out, dataset, enforce_file_format=True)

    def blocks() -> Iterator[bytes]:
        yield out.getvalue()
        yield b"\xe0\x7f\x10\x00OB\0\0" + struct.pack("<I", SIDE * SIDE * FRAMES)
        for frame in range(FRAMES):
            yield bytes([frame]) * (SIDE * SIDE)

    return small, blocks()


def memory_mb(name: str) -> float:
    text = Path("/proc/self/status").read_text()
    return int(re.search(rf"{name}:\s+(\d+)", text)[1]) / 1024


@pytest.fixture(scope="module")
def alone(start_orthanc: Any) -> Iterator[Pair]:
    hospital, archive = start_orthanc("gkb1"), start_orthanc("archive")
    with ChaosProxy(hospital.http_port) as source, ChaosProxy(archive.http_port) as proxy:
        yield Pair(hospital, archive, source, proxy)


def test_half_a_gigabyte_passes_through_little_memory(alone: Pair) -> None:
    before, (study, blocks) = an_instance(1501, 1, 1), large(1)
    load(alone.hospital, [before])
    url = f"{alone.hospital.url}/instances"
    requests.post(url, blocks, auth=alone.hospital.auth, timeout=600).raise_for_status()
    edits = (SetTag("AccessionNumber", "A2"),)
    small, large_one = (alone.consignment([one], actions=edits) for one in (before, study))
    assert large_one.manifest.size_bytes > 500 * 2**20
    with ProcessPoolExecutor(1, get_context("spawn")) as fresh:
        events, grown_mb = fresh.submit(carry, small, large_one).result()
    assert events == [Event.SENT, Event.PROVEN] * 2
    assert grown_mb < MOST_MB


def carry(small: Consignment, large_one: Consignment) -> tuple[list[Event], float]:
    """What became of both, and by how much the second one let this process grow: one of its own,
    in which no test before has left anything, and no proxy holds bytes.
    """
    with closing(Wire()) as wire:
        events = [*_carried(wire, small)]  # what grows only once has grown
        before_mb = memory_mb("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")
        events += _carried(wire, large_one)
    return events, memory_mb("VmHWM") - before_mb


def _carried(wire: Wire, consignment: Consignment) -> Iterator[Event]:
    yield deliver(wire, consignment, alive).event
    yield verify(wire, consignment, alive, never).event
