"""A worker needs little memory, whatever it carries (E: streamed, <= 8 MiB)."""

import io
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
import requests

from gateway.dicom.part10 import glance
from gateway.model.deliveries import Event
from gateway.model.routing.actions import SetTag
from tests.chaosproxy import ChaosProxy
from tests.routing.conftest import Pair
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
    study, blocks = large(1)
    url = f"{alone.hospital.url}/instances"
    requests.post(url, blocks, auth=alone.hospital.auth, timeout=600).raise_for_status()
    edits = (SetTag("AccessionNumber", "A2"),)
    consignment = alone.consignment([study], actions=edits)
    assert consignment.manifest.size_bytes > 500 * 2**20
    before = memory_mb("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    assert alone.deliver([study], actions=edits).event is Event.SENT
    assert alone.verify([study], actions=edits).event is Event.PROVEN
    assert memory_mb("VmHWM") - before < MOST_MB
