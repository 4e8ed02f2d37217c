"""Two files are the same if their bytes are, or their data sets behind another file meta group."""

import hashlib
import struct

import pytest

from gateway.dicom.fingerprint import Fingerprint, fingerprint
from gateway.dicom.part10 import dataset_start
from tests.dicom.test_part10 import file_of


def of(data: bytes, step: int = 1000) -> Fingerprint:
    return fingerprint(data[at : at + step] for at in range(0, len(data), step))


def written_by_another_program(data: bytes) -> bytes:
    """The same data set behind a file meta group with one more element (0002,0016)."""
    title = struct.pack("<HH2sH", 2, 0x16, b"AE", 6) + b"OTHER "
    at = dataset_start(data)
    length = struct.unpack_from("<I", data, 140)[0] + len(title)
    return data[:140] + struct.pack("<I", length) + data[144:at] + title + data[at:]


GOOD = file_of(BitsAllocated=8, PixelData=bytes(5000))


@pytest.mark.parametrize("step", [1, 131, 4096])
def test_a_file_is_itself_however_its_blocks_fall(step: int) -> None:
    assert of(GOOD, step) == of(GOOD, 10_000)
    assert of(GOOD, step).file == hashlib.md5(GOOD, usedforsecurity=False).hexdigest()


def test_another_file_meta_group_is_the_same_content() -> None:
    other = of(written_by_another_program(GOOD))
    assert (other.file != of(GOOD).file, other.same_content(of(GOOD))) == (True, True)


def test_one_changed_pixel_is_other_content() -> None:
    assert not of(GOOD[:-1] + b"\1").same_content(of(GOOD))


def test_files_without_a_data_set_are_compared_whole() -> None:
    assert of(b"abc" * 90).same_content(of(b"abc" * 90))
    assert not of(b"abc" * 90).same_content(of(b"abd" * 90))
