"""Whether the sites that hold copies of a study hold the same under its instance UIDs.

trust.md F19: the first of them is served whatever comes out, but it must be said that there is
another content, and no viewer must get pixels of the one beside attributes of the other. Copies are
compared aside, by the hashes that an Orthanc keeps, when a study is opened: an answer that is put
together from several sites waits for the outcome, any other one does not.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from gateway.clock import Deadline, monotonic_s
from gateway.dicom.content import Content, contradict
from gateway.dicom.header_edit import CannotEdit
from gateway.errors import GatewayError
from gateway.log import log
from gateway.model.sites import Site

KEEP_S = 600.0
KEEP_MOST = 2000
MOST_AT_ONCE = 2
MOST_INSTANCES = 5000
"""Of a study at one site: an Orthanc before 1.12.5 is asked for each hash alone, 0.3 ms each."""
MOST_READ = 3
"""Pairs of files that are read to see whether what differs is the content (dicom/content.py)."""
LARGEST_READ = 64 * 2**20
LONGEST_S = 60.0


@dataclass(frozen=True)
class File:
    """One instance at a site. md5: "" where it is not known; path: for ReadFile."""

    md5: str
    size: int
    path: str


@dataclass(frozen=True)
class Differing:
    """What is held with other content: of these instances, at these sites."""

    instances: frozenset[str] = frozenset()
    sites: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.instances)


ListFiles = Callable[[Site, str, Deadline], Mapping[str, File]]
"""By SOP instance UID, with hashes; raises SiteError."""
ReadFile = Callable[[Site, str, Deadline], Content]
"""raises SiteError; CannotEdit if it is no file that can be understood."""
Tell = Callable[[str, Differing], None]
"""Told the outcome for a study, before anybody is."""


_Key = tuple[str, tuple[str, ...], object]


class Contents:
    """Compares the copies of studies; one for each process, safe for threads."""

    def __init__(self, list_files: ListFiles, read_file: ReadFile, tell: Tell) -> None:
        self._list_files = list_files
        self._read_file = read_file
        self._tell = tell
        self._kept: OrderedDict[_Key, tuple[float, Future[Differing]]] = OrderedDict()
        self._running = 0
        self._lock = threading.Lock()

    def differing(
        self, study_uid: str, sites: Sequence[Site], version: object, wait_s: float
    ) -> Differing:
        """What differs between these sites, as far as it is known within wait_s.

        version  the same as long as no site has changed its copy
        """
        future = self._compared(study_uid, sites, version)
        if future is not None:
            with suppress(NotYet, GatewayError):
                return future.result(timeout=wait_s)
        return Differing()

    def _compared(
        self, study_uid: str, sites: Sequence[Site], version: object
    ) -> Future[Differing] | None:
        key = (study_uid, tuple(sorted(site.site_id for site in sites)), version)
        now = monotonic_s()
        with self._lock:
            begun_at, kept = self._kept.get(key, (0.0, None))
            if kept is not None and now - begun_at < KEEP_S:
                return kept
            if self._running >= MOST_AT_ONCE:
                return None
            self._running += 1
            future: Future[Differing] = Future()
            self._kept[key] = (now, future)
            self._kept.move_to_end(key)
            while len(self._kept) > KEEP_MOST:
                self._kept.popitem(last=False)
        # Not of the pool: that is for searches.
        work = threading.Thread(target=self._work, args=(key, sites, future), daemon=True)
        work.start()
        return future

    def _work(self, key: _Key, sites: Sequence[Site], future: "Future[Differing]") -> None:
        study_uid = key[0]
        try:
            found = self._compare(study_uid, sites, Deadline(LONGEST_S))
            if found:
                log.error("copies differ", study=study_uid, sites=sorted(found.sites))
            self._tell(study_uid, found)
            future.set_result(found)
        except GatewayError as error:
            log.info("copies are not compared", study=study_uid, why=str(error))
            future.set_exception(error)
            with self._lock:
                self._kept.pop(key, None)
        finally:
            with self._lock:
                self._running -= 1

    def _compare(self, study_uid: str, sites: Sequence[Site], deadline: Deadline) -> Differing:
        by_id = {site.site_id: site for site in sites}
        held = {site.site_id: self._list_files(site, study_uid, deadline) for site in sites}
        instances: set[str] = set()
        where: set[str] = set()
        for uid, one, other in islice(pairs_to_read(held), MOST_READ):
            try:
                first, second = (
                    self._read_file(by_id[site_id], held[site_id][uid].path, deadline)
                    for site_id in (one, other)
                )
                differ = contradict(first, second)
            except CannotEdit:
                continue
            if differ:
                instances.add(uid)
                where |= {one, other}
        return Differing(frozenset(instances), frozenset(where))


def pairs_to_read(held: Mapping[str, Mapping[str, File]]) -> Iterable[tuple[str, str, str]]:
    """(SOP instance UID, site, other site) of copies whose hashes differ, the smallest first. Pure.

    held  by site id, what each holds
    """
    found = []
    for other, files in list(held.items())[1:]:
        for uid, file in files.items():
            first = next(site_id for site_id, known in held.items() if uid in known)
            size = max(file.size, held[first][uid].size)
            md5s = {file.md5, held[first][uid].md5}
            if first != other and len(md5s) == 2 and "" not in md5s and size <= LARGEST_READ:
                found.append((size, uid, first, other))
    return [(uid, first, other) for _, uid, first, other in sorted(found)]
