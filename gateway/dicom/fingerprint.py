"""Tells whether two files hold the same content, from hashes that are made while they pass.

Files are the same if their bytes are. Their data sets can be the same although the files are not:
each program that writes a file puts its own name into the file meta information (PS3.10 7.1).
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.dicom.part10 import dataset_start

HEAD_LIMIT = 2**20


@dataclass(frozen=True)
class Fingerprint:
    """MD5 of a whole file, as Orthanc keeps it, and of its data set ("" if it has none).

    Collisions can be made, but win nothing: the copy that is held is never replaced.
    """

    file: str
    dataset: str = ""

    def same_content(self, other: "Fingerprint") -> bool:
        return self.file == other.file or ("" != self.dataset == other.dataset)


def fingerprint(blocks: Iterable[bytes]) -> Fingerprint:
    """Of a file that passes in blocks, which are read to the end."""
    whole = hashlib.md5(usedforsecurity=False)
    dataset = hashlib.md5(usedforsecurity=False)
    head = bytearray()
    begun = False
    for block in blocks:
        whole.update(block)
        if begun:
            dataset.update(block)
        elif len(head) < HEAD_LIMIT:
            head += block
            at = dataset_start(bytes(head))
            begun = at > 0
            dataset.update(memoryview(head)[at or len(head) :])
    return Fingerprint(whole.hexdigest(), dataset.hexdigest() if begun else "")
