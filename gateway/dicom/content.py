"""Whether two files hold the same instance although their bytes differ: data sets are compared
element by element, without file meta information, and pixels by their hash.

An archive may write a data set in another way (implicit for explicit, sequences with lengths)
without changing what it says. Another compression of the pixels counts as another content.
"""

import hashlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.dataset import Dataset

from gateway.dicom.header_edit import CannotEdit, read_header
from gateway.dicom.media_types import EXPLICIT_LE
from gateway.dicom.part10 import IMPLICIT
from gateway.dicom.transcode import WHAT_PYDICOM_RAISES

PLAIN = IMPLICIT | {EXPLICIT_LE}
"""Pixels are the same bytes in these."""


@dataclass(frozen=True)
class Content:
    """A data set up to its pixels, and the MD5 of the pixels and what follows; "" without any."""

    dataset: Dataset
    pixels: str

    def same(self, other: "Content") -> bool:
        """Whether both say the same; raises CannotEdit if that cannot be told."""
        try:
            with warnings.catch_warnings(action="ignore"):  # dirty values
                return self.pixels == other.pixels and bool(self.dataset == other.dataset)
        except WHAT_PYDICOM_RAISES as error:
            raise CannotEdit("not_understood") from error


def contradict(one: Content, other: Content) -> bool:
    """Whether two copies under one UID cannot both be the instance: their pixels differ, or their
    attributes do although neither says that some were coerced (PS3.3 C.12.1.1.9).

    Copies in different codings are not judged: an archive may compress (PS3.5 A.4).
    raises  CannotEdit if that cannot be told
    """
    codings = {str(c.dataset.file_meta.get("TransferSyntaxUID", "")) for c in (one, other)}
    if len(codings) > 1 and not codings <= PLAIN:
        return False
    if one.pixels != other.pixels:
        return True
    coerced = any("OriginalAttributesSequence" in c.dataset for c in (one, other))
    return not coerced and not one.same(other)


def read_content(blocks: Iterator[bytes]) -> Content:
    """Of a file that passes in blocks; raises CannotEdit if it is none."""
    dataset, syntax, rest = read_header(blocks)
    for tag in list(dataset.keys()):
        if tag.elem == 0:  # group lengths, retired
            del dataset[tag]
    digest = hashlib.md5(usedforsecurity=False)
    head, size = b"", 8 if syntax in IMPLICIT else 12
    for block in rest:
        if len(head) < size:
            head += block
            block = head[size:]
        digest.update(block)
    return Content(dataset, digest.hexdigest() if head else "")
