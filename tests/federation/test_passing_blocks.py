"""How much of a study is held while it goes by."""

from types import SimpleNamespace

import pytest

from gateway.dicom.multipart import closing, part_head
from gateway.federation.retrieve import FIRST_BLOCK, Opened, checked_blocks
from gateway.orthanc.answer import BLOCK

BOUNDARY = "b"
SIZE = 512 * 1024


class Body:
    """A site's answer: some bytes are there, and all others once those were read."""

    length, ends_by_closing = None, True

    def __init__(self, data: bytes, there: int) -> None:
        self._data, self._there, self._at = data, there, 0
        self.held = 0

    def read(self, size: int = BLOCK) -> bytes:
        end = self._there if self._at < self._there else len(self._data)
        block = self._data[self._at : min(end, self._at + size)]
        self._at += len(block)
        self.held = max(self.held, len(block))
        return block

    def pour(self, _block: bytes, _answer: object, count: int) -> int:
        self._at += count
        return count

    def close(self) -> None:
        """Nothing to close."""


def study(*, with_length: bool) -> bytes:
    headers = [("Content-Type", "application/dicom")]
    headers += [("Content-Length", str(SIZE))] if with_length else []
    part = part_head(BOUNDARY, headers) + bytes(SIZE) + b"\r\n"
    return 3 * part + closing(BOUNDARY)


HEAD = study(with_length=True).index(b"\r\n\r\n") + 4
PART = HEAD + SIZE + 2


@pytest.mark.parametrize(
    "there", [1, 5, HEAD - 3, HEAD, HEAD + 1, PART - 1, PART, PART + 3, PART + HEAD]
)
def test_little_is_held_of_what_may_be_poured_however_its_bytes_come(there: int) -> None:
    body = Body(study(with_length=True), there)
    opened = Opened(SimpleNamespace(site_id="gkb1"), body, body.read(FIRST_BLOCK), {})
    passed = sum(map(len, checked_blocks(opened, BOUNDARY.encode(), body.pour)))
    assert passed < FIRST_BLOCK
    assert body.held <= FIRST_BLOCK


def test_parts_without_a_length_go_by_in_large_blocks() -> None:
    body = Body(study(with_length=False), 5)
    opened = Opened(SimpleNamespace(site_id="gkb1"), body, body.read(FIRST_BLOCK), {})
    assert b"".join(checked_blocks(opened, BOUNDARY.encode(), body.pour)) == study(
        with_length=False
    )
    assert body.held == BLOCK
