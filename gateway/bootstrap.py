"""Builds the one Gateway object of a process: what the doors need, wired once."""

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from gateway.bookmarks import Bookmarks
from gateway.clock import Deadline, monotonic_s, utc_now
from gateway.dicom.attributes import Dataset
from gateway.dicom.content import Content, read_content
from gateway.dicom.query import Query
from gateway.errors import RecordsRefused, RecordsUnavailable, SiteError
from gateway.federation.contents import Contents, Differing, File
from gateway.federation.locate import Locator
from gateway.federation.search import gather
from gateway.image_cache import ImageCache
from gateway.index.coverage import Coverage
from gateway.index.persons import check_one_patient
from gateway.log import log
from gateway.model.alarms import COPIES_DIFFER
from gateway.model.answers import Holder, SitePage
from gateway.model.sites import QuirkProfile, Region, Site
from gateway.model.standing import TRY_AGAIN_S
from gateway.orthanc import dicomweb, holdings, manifests
from gateway.orthanc.copies import open_copy
from gateway.orthanc.stored import StoredSyntaxes
from gateway.orthanc.wire import Wire
from gateway.pixels.workers import PixelWorkers
from gateway.records.alarms import write_alarm
from gateway.records.engine import Records, open_records
from gateway.records.probes import load_profiles
from gateway.records.schema import migrate
from gateway.records.studies import IndexState, load_index_states
from gateway.region_file import RegionFile
from gateway.settings import Settings

LOOK_AGAIN_S = 2.0
STATES_AGE_S = 1.0
PARALLEL_CALLS = 512

Read = TypeVar("Read")


class Reread(Generic[Read]):
    """What was read a moment ago, read again when it is older than `age_s`.

    One request reads; the others go on with what was read before. Only of the first reading they
    all wait for the end: nothing read yet must not look like nothing there.
    """

    def __init__(self, read: Callable[[], Read], age_s: float) -> None:
        self._read, self._age_s = read, age_s
        self._turn = threading.Lock()
        self._last: tuple[Read, float] | None = None

    def get(self) -> Read:
        """May raise what `read` raises; then the next request tries again."""
        last = self._last
        if last is None:
            with self._turn:
                return (self._last or self._take())[0]
        if monotonic_s() - last[1] <= self._age_s or not self._turn.acquire(blocking=False):
            return last[0]
        try:
            return self._take()[0]
        finally:
            self._turn.release()

    def forget(self) -> None:
        """The next request reads."""
        self._last = None

    def _take(self) -> tuple[Read, float]:
        begun = monotonic_s()  # what is written while it is read may be missing
        self._last = (self._read(), begun)
        return self._last


@dataclass
class Gateway:
    """Everything that a door of this process uses; safe to share between requests."""

    settings: Settings
    region_file: RegionFile
    wire: Wire
    pool: Executor
    locator: Locator
    contents: Contents
    records: Records
    stored: StoredSyntaxes
    pixels: PixelWorkers
    bookmarks: Bookmarks
    image_cache: ImageCache | None = None
    _tried_at: dict[str, float] = field(default_factory=dict, repr=False)
    _looked_at: float = field(default=0.0, repr=False)

    def __post_init__(self) -> None:
        self._profiles: Mapping[str, QuirkProfile] = {}
        self._profiles_now = Reread(self._read_profiles, LOOK_AGAIN_S)
        self._states_now = Reread(self._read_states, STATES_AGE_S)
        self._coverage = Coverage((), {})

    @property
    def region(self) -> Region:
        """The sites as region.toml says now; a changed file is taken between two requests."""
        now = monotonic_s()
        if now - self._looked_at > LOOK_AGAIN_S:
            self._looked_at = now
            if self.region_file.refresh():
                log.info("region taken", sites=len(self.region_file.region.sites))
            elif self.region_file.problem:
                log.error("region.toml refused, the old one stays", why=self.region_file.problem)
                self.region_file.problem = ""
        return self.region_file.region

    def profile(self, site_id: str) -> QuirkProfile:
        """What the last probe saw; the oldest supported server if there was none."""
        return self._profiles_now.get().get(site_id, QuirkProfile())

    def _read_profiles(self) -> Mapping[str, QuirkProfile]:
        try:
            self._profiles = load_profiles(self.records)
        except RecordsUnavailable as error:
            log.warning("profiles not read, the last ones stay", why=str(error))
        return self._profiles

    @property
    def index_states(self) -> Mapping[str, IndexState]:
        """How far each site is in the index, not older than a second; none if it cannot be read."""
        return self._states_now.get()

    def _read_states(self) -> Mapping[str, IndexState]:
        try:
            return load_index_states(self.records)
        except RecordsUnavailable as error:
            log.warning("index not read, sites are asked", why=str(error))
            return {}

    def coverage(self, sites: Sequence[Site]) -> Coverage:
        """How far the index has these sites; of the whole region, worked out once a second."""
        states, last = self.index_states, self._coverage
        if last.sites is sites and last.known is states:
            return last
        found = Coverage(sites, states)
        if sites is self.region_file.region.sites:
            self._coverage = found
        return found

    def gather(
        self, query: Query, sites: Sequence[Site], known: Collection[str] = ()
    ) -> tuple[dict[str, SitePage], dict[str, str], Query]:
        """Ask these sites live; see federation.search.gather.

        known  sites whose rows are in the index: of these one that was silent when it was last
               asked is not waited for, so that a dead hospital costs no search its deadline
        """
        quiet: dict[str, str] = {}
        awaited: list[Site] = []
        for site in sites:
            code = self._last_silence(site) if site.site_id in known else ""
            if code:
                quiet[site.site_id] = code
                self._try_again(site, query)
            else:
                awaited.append(site)
        if not awaited:
            return {}, dict(sorted(quiet.items())), query
        deadline_s = self.settings.search_deadline_s
        pages, silent, shown = gather(
            query, awaited, self._ask, self._describe, self.pool, deadline_s
        )
        return pages, dict(sorted((silent | quiet).items())), shown

    def _last_silence(self, site: Site) -> str:
        """SiteError.code if the last that is known of it is a failure; of the probe if this process
        has not yet asked it.
        """
        standing = self.wire.standing(site)
        if standing.last_failure_at is not None:
            return "" if standing.answers else standing.last_failure
        return "" if standing.answers else self.profile(site.site_id).problem.partition(" ")[0]

    def _try_again(self, site: Site, query: Query) -> None:
        """Let the question go out now and then, for nobody: its answer mends the standing."""
        now = monotonic_s()
        if now - self._tried_at.get(site.site_id, -TRY_AGAIN_S) < TRY_AGAIN_S:
            return
        self._tried_at[site.site_id] = now

        def ask() -> None:
            with suppress(SiteError):
                self._ask(site, query, Deadline(site.timeouts.search_s))

        self.pool.submit(ask)

    def _ask(self, site: Site, query: Query, deadline: Deadline) -> SitePage:
        return dicomweb.search(self.wire, site, query, deadline)

    def _describe(
        self, site: Site, query: Query, uids: Sequence[str], deadline: Deadline
    ) -> tuple[Dataset, ...]:
        return dicomweb.describe(self.wire, site, query, uids, deadline)


def open_migrated(settings: Settings) -> Records:
    """The database with the tables of this version; raises SettingsError or RecordsUnavailable."""
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    records = open_records(settings.database)
    migrate(records)
    return records


def build_gateway(settings: Settings) -> Gateway:
    """Wire a gateway for this process, after a fork: the database connections are its own.

    raises  SettingsError if region.toml or a setting is wrong; RecordsUnavailable
    """
    wire = Wire()
    records = open_migrated(settings)
    pool = ThreadPoolExecutor(PARALLEL_CALLS, thread_name_prefix="site")

    def find(site: Site, study_uid: str, deadline: Deadline) -> Holder | None:
        return holdings.find_study(wire, site, study_uid, deadline)

    def list_held(
        site: Site, study_uid: str, deadline: Deadline, by_uid: bool
    ) -> Mapping[str, frozenset[str]]:
        return holdings.list_held(wire, site, study_uid, deadline, by_uid)

    def check(study_uid: str, sites: Sequence[Site]) -> None:
        try:
            check_one_patient(records, study_uid, {site.site_id for site in sites})
        except RecordsUnavailable as error:
            log.warning("index not read, holders are compared only", why=str(error))

    def list_files(site: Site, study_uid: str, deadline: Deadline) -> Mapping[str, File]:
        held = manifests.list_files(wire, site, study_uid, deadline, hashes=True)
        return {
            one.instance.sop_uid: File(one.instance.md5, one.instance.size, one.path)
            for one in held
        }

    def read_file(site: Site, path: str, deadline: Deadline) -> Content:
        with open_copy(wire, site, path, deadline) as blocks:
            return read_content(blocks)

    locator = Locator(find, pool, check, list_held, wire.slice_s)

    def tell(study_uid: str, found: Differing) -> None:
        locator.compared(study_uid, found.sites)
        if not found:
            return
        facts = {"sites": sorted(found.sites), "instances": sorted(found.instances)}
        try:
            with records.write() as connection:
                write_alarm(connection, COPIES_DIFFER, study_uid, facts, utc_now())
        except (RecordsUnavailable, RecordsRefused) as error:
            log.error("the alarm of copies that differ is not kept", why=str(error))

    return Gateway(
        settings=settings,
        region_file=RegionFile(settings.region),
        wire=wire,
        pool=pool,
        locator=locator,
        contents=Contents(list_files, read_file, tell),
        records=records,
        stored=StoredSyntaxes(wire),
        pixels=PixelWorkers(),
        bookmarks=Bookmarks(settings.redis_url),
        image_cache=_image_cache(settings),
    )


def _image_cache(settings: Settings) -> ImageCache | None:
    if not settings.cache_dir:
        return None
    return ImageCache(Path(settings.cache_dir), settings.cache_bytes, settings.web_workers)
