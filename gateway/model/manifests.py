"""What a site holds of one study, instance by instance: what a delivery has to bring. Pure."""

import hashlib
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Instance:
    """One file of a study.

    size  bytes; 0 where the site does not tell (kind `dicomweb`)
    md5   of the whole file, in hexadecimal; "" where the site does not keep it
    """

    sop_uid: str
    series_uid: str
    size: int = 0
    md5: str = ""


@dataclass(frozen=True)
class Manifest:
    """All instances of a study at one site, sorted by SOP instance UID.

    An Orthanc that got a UID under two PatientIDs holds it twice; then it stands here twice.
    """

    study_uid: str
    instances: tuple[Instance, ...]

    @cached_property
    def hash(self) -> str:
        """SHA-256 over what is there and what it holds; another hash is another manifest."""
        lines = (f"{one.sop_uid} {one.series_uid} {one.size} {one.md5}\n" for one in self.instances)
        return hashlib.sha256("".join((self.study_uid, "\n", *lines)).encode("ascii")).hexdigest()

    @property
    def size_bytes(self) -> int:
        return sum(one.size for one in self.instances)

    @property
    def doubled(self) -> frozenset[str]:
        """UIDs that the site holds more than once with different content."""
        seen: dict[str, tuple[int, str]] = {}
        found = set()
        for one in self.instances:
            if seen.setdefault(one.sop_uid, (one.size, one.md5)) != (one.size, one.md5):
                found.add(one.sop_uid)
        return frozenset(found)


def make_manifest(study_uid: str, instances: list[Instance]) -> Manifest:
    """Sorted, so that the same content always has the same hash."""
    ordered = sorted(instances, key=lambda one: (one.sop_uid, one.series_uid, one.size, one.md5))
    return Manifest(study_uid, tuple(ordered))
