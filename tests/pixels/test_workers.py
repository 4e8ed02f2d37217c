"""Children decode, die, are late and are replaced; the process that asks them never is."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import JPEG2000Lossless

from gateway.dicom.part10 import glance
from gateway.dicom.transcode import CannotDecode
from gateway.dicom.view_query import OutOfPicture, View, Viewport, view_as_dict
from gateway.errors import GatewayBusy
from gateway.pixels import workers
from gateway.pixels.workers import PixelWorkers
from tests.documents import a_pdf, a_text_report
from tests.studies import an_instance
from tests.waiting import wait_until

IMAGE = an_instance(1, frames=3, syntax=JPEG2000Lossless)
PLAIN = {"number": 1, "media_type": "image/png", "view": view_as_dict(View()), "mark": ""}


@pytest.fixture(scope="module")
def pixels() -> Iterator[PixelWorkers]:
    found = PixelWorkers(children=1)
    yield found
    found.close()


def a_large_image() -> bytes:
    ds = pydicom.dcmread(io.BytesIO(an_instance(1).data))
    noise = np.random.default_rng(0).integers(0, 4096, (1200, 1200), dtype=np.uint16)
    ds.Rows = ds.Columns = 1200
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 12, 11
    ds.PixelData = noise.tobytes()
    ds["PixelData"].VR = "OW"
    ds.compress(JPEG2000Lossless, generate_instance_uid=False)
    out = io.BytesIO()
    ds.save_as(out)
    return out.getvalue()


def test_a_frame_and_a_picture_come_out_of_a_child(pixels: PixelWorkers) -> None:
    size = len(IMAGE.pixels) // 3
    frame = pixels.run("frame", {"number": 2}, IMAGE.data)
    picture = pixels.run("picture", {**PLAIN, "number": 2}, IMAGE.data)
    assert (frame, picture[:4]) == (IMAGE.pixels[size : 2 * size], b"\x89PNG")


def test_documents_come_out_of_a_child(pixels: PixelWorkers) -> None:
    found = [pixels.run("document", {}, file.data)[:1] for file in (a_pdf(1), a_text_report(1))]
    assert found == [b"%", b"{"]


@pytest.mark.parametrize(
    ("job", "options", "file", "error"),
    [
        ("frame", {"number": 4}, IMAGE.data, LookupError),
        ("frame", {"number": 1}, b"no DICOM", CannotDecode),
        ("document", {}, IMAGE.data, CannotDecode),
        (
            "picture",
            {**PLAIN, "view": view_as_dict(View(viewport=Viewport(9, 9, left=99)))},
            IMAGE.data,
            OutOfPicture,
        ),
    ],
    ids=["no such frame", "no DICOM", "no document", "outside of the picture"],
)
def test_what_cannot_be_done_is_told(
    pixels: PixelWorkers, job: str, options: dict[str, object], file: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error):
        pixels.run(job, options, file)
    assert pixels.run("frame", {"number": 1}, IMAGE.data)  # the child goes on


def test_a_late_child_is_killed_and_replaced() -> None:
    pixels = PixelWorkers(children=1, job_s=0.0)
    with pytest.raises(CannotDecode):
        pixels.run("picture", PLAIN, a_large_image())
    pixels._job_s = 60.0
    assert pixels.run("picture", PLAIN, IMAGE.data)[:4] == b"\x89PNG"
    pixels.close()


def test_a_child_that_dies_is_replaced() -> None:
    pixels = PixelWorkers(children=1)
    pixels.run("frame", {"number": 1}, IMAGE.data)
    os.kill(pixels._idle[0]._process.pid, signal.SIGKILL)
    pixels._idle[0]._process.wait()
    with pytest.raises(CannotDecode):
        pixels.run("frame", {"number": 1}, IMAGE.data)
    assert pixels.run("frame", {"number": 1}, IMAGE.data)
    pixels.close()


def test_a_child_has_no_secret_of_ours(
    pixels: PixelWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_DATABASE_URL", "postgresql://secret")
    other = PixelWorkers(children=1)
    other.run("frame", {"number": 1}, IMAGE.data)
    pid = other._idle[0]._process.pid
    with open(f"/proc/{pid}/environ", "rb") as environment:
        assert b"GATEWAY" not in environment.read()
    other.close()


def test_children_end_with_the_process_that_asked_them() -> None:
    words = (
        "import os; from gateway.pixels.workers import _Child; "
        "child = _Child(); print(child._process.pid, flush=True); os._exit(1)"
    )
    done = subprocess.run(
        [sys.executable, "-c", words], capture_output=True, text=True, check=False
    )
    pid = int(done.stdout)
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), 60, "the child to end")


def test_when_nobody_is_free_or_too_much_is_held_the_caller_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workers, "WAIT_S", 0.0)
    pixels = PixelWorkers(children=1)
    pixels._free.acquire()
    with pytest.raises(GatewayBusy):
        pixels.run("frame", {"number": 1}, IMAGE.data)
    with pixels.holding() as held:
        held.add(workers.HELD_LIMIT)
        with pytest.raises(GatewayBusy):
            held.add(1)
    with pixels.holding() as held:  # what was held is given back
        held.add(workers.HELD_LIMIT)


def test_a_glance_tells_what_is_needed_to_ask_for_a_frame() -> None:
    about = glance(IMAGE.data, whole=True)
    assert (about.transfer_syntax, about.frames, about.samples) == (JPEG2000Lossless, 3, 64 * 64)
    assert glance(a_pdf(1).data, whole=True).frames == 0
