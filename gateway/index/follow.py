"""Follows what one site holds: its change feed into rows, its list against the rows.

Everything here may be done twice and may break off anywhere: the place in the feed moves in the
transaction that writes the rows it stands for, a first fill is a comparison of the site's list with
the index (what was read is not read again), and a study is always read anew, never added up.

Sites of the kind `dicomweb` have no feed: their list is compared again and again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from gateway.clock import Deadline, monotonic_s, utc_now
from gateway.errors import SiteError
from gateway.index.plan import (
    NONE,
    Aside,
    Doubt,
    Seen,
    is_due,
    is_in_window,
    judge_place,
    parts,
    plan_cursor,
    plan_due,
    plan_touched,
    plan_unlisted,
    split_fingerprint,
)
from gateway.index.rows import row_of
from gateway.index.sizes import SizeReader
from gateway.log import log
from gateway.model.alarms import SITE_REPLACED
from gateway.model.sites import Site
from gateway.orthanc import asking, feed, study_records
from gateway.orthanc.feed import Counts, Entry, Listed, Page
from gateway.orthanc.study_records import UIDS_PER_REQUEST, StudyRecord
from gateway.orthanc.wire import Wire
from gateway.records.engine import Records
from gateway.records.indexing import (
    Cursor,
    IndexRow,
    IndexWriter,
    Known,
    forget_marks,
    load_cursor,
    load_known,
    load_sums,
    walk_known,
)

FEED_PAGE = 1000
LIST_PAGE = 200
SIBLINGS = 3  # with more entries than that left, it pays to ask a study for all its children
DICOMWEB_REST = 10.0  # a site without a feed rests ten times as long as its comparison took


@dataclass(frozen=True)
class Pace:
    """How often and how fast a site is read.

    follow_s       seconds between two looks into the feed
    check_s        seconds between two comparisons of counts
    sweep_s        seconds between two comparisons of the whole list
    studies_per_s  most studies that first fill and comparison read in a second
    """

    follow_s: float = 2.0
    check_s: float = 300.0
    sweep_s: float = 86_400.0
    studies_per_s: float = 200.0


class Follower:
    """What is remembered of one site between two steps; used by one thread."""

    def __init__(
        self, site: Site, wire: Wire, records: Records, writer: IndexWriter, pace: Pace
    ) -> None:
        self.site = site
        self.read_at: datetime | None = None
        self._wire = wire
        self._records = records
        self._writer = writer
        self._pace = pace
        self._zone = ZoneInfo(site.time_zone)
        self._cursor: Cursor | None = None
        self._sweep: Iterator[float] | None = None
        self._next_sweep: Deadline | None = None
        self._next_check = Deadline(0.0)
        self._next_portion = Deadline(0.0)
        self._doubt = Doubt()
        self._aside: dict[str, Aside] = {}
        self._in_window_only = False
        self._sizes = SizeReader(site, wire, records, pace.check_s)

    def step(self) -> float:
        """Do one bounded piece of work.

        returns  seconds to rest before the next one
        raises   SiteError, RecordsUnavailable: the same step may be tried again;
                 LeaseLost: another keeper leads
        """
        if self._cursor is None:
            self._cursor = load_cursor(self._records, self.site.site_id) or self._begin(
                "first fill"
            )
        if self._cursor.issuer != self.site.patient_id_issuer:
            self._cursor = self._read_all_again(self._cursor)
        if self.site.kind == "orthanc":
            asked_at = utc_now()
            if not self._read_feed():
                return 0.0
            if self._cursor is not None:
                self.read_at = asked_at
        self._try_again()
        return self._compare()

    def check_soon(self) -> None:
        """Compare the counts at the next step."""
        self._next_check = Deadline(0.0)

    def close(self) -> None:
        """From now on nothing is written; a step under way ends with LeaseLost."""
        self._writer.close()

    def _read_all_again(self, cursor: Cursor) -> Cursor:
        """region.toml names another issuer of this site's PatientIDs: it stands in every row."""
        log.info("site has another issuer of patient ids, it is read again", site=self.site.site_id)
        forget_marks(self._records, self.site.site_id)
        again = replace(cursor, issuer=self.site.patient_id_issuer, swept_at=None)
        self._save(again)
        return again

    # The feed

    def _begin(self, why: str) -> Cursor:
        """Remember the feed's end as it is now, before the list is read: nothing falls between."""
        seq, fingerprint, total = 0, "", 0
        if self.site.kind == "orthanc":
            seq, fingerprint = feed.read_position(self._wire, self.site)
            total = self._site_counts().studies
        filled = load_sums(self._records, self.site.site_id)[0]
        issuer = self.site.patient_id_issuer
        cursor = Cursor(
            seq, fingerprint, "filling", filled, total, utc_now(), filled, issuer=issuer
        )
        self._save(cursor)
        self._sweep = None
        log.info("index fill begins", site=self.site.site_id, why=why, studies=total, known=filled)
        return cursor

    def _read_feed(self) -> bool:
        """Act on one page of the feed. Returns whether its end is reached."""
        cursor = self._known_cursor()
        page = feed.read_changes(self._wire, self.site, max(cursor.seq - 1, 0), FEED_PAGE)
        place = judge_place(cursor, page)
        if place == "gone":
            place = "same" if self._is_deleted(cursor.fingerprint) else "replaced"
            self.check_soon()
        if place == "replaced":
            log.warning("site has another database", site=self.site.site_id, seq=cursor.seq)
            self._writer.tell(SITE_REPLACED, is_so=True, now=utc_now())
            self._cursor = self._begin("its feed is another one")
            return True
        seq, fingerprint = plan_cursor(cursor, page)
        studies = self._find_studies(page, cursor.seq)
        moved = replace(cursor, seq=seq, fingerprint=fingerprint)
        if moved != cursor or studies:
            self._save(moved, *self._read(studies))
        return page.done or not page.entries

    def _is_deleted(self, fingerprint: str) -> bool:
        named = split_fingerprint(fingerprint)
        return named is None or not feed.has_resource(self._wire, self.site, *named)

    def _find_studies(self, page: Page, after: int) -> list[Listed]:
        """The studies that a page of the feed is about and that are still there."""
        found: dict[str, Listed] = {}
        known: set[str] = set()
        touched = plan_touched(page.entries, after)
        for left, entry in zip(range(len(touched), 0, -1), touched, strict=True):
            if entry.orthanc_id not in known:
                self._look_up(entry, found, known, with_children=left > SIBLINGS)
        return list(found.values())

    def _look_up(
        self, entry: Entry, found: dict[str, Listed], known: set[str], *, with_children: bool
    ) -> None:
        known.add(entry.orthanc_id)
        study = feed.find_study(self._wire, self.site, entry)
        if study is None or study.orthanc_id in known - {entry.orthanc_id}:
            return
        known.add(study.orthanc_id)
        found[study.study_uid] = study
        if with_children:
            known |= feed.list_children(self._wire, self.site, study.orthanc_id)

    # The list

    def _compare(self) -> float:
        """One step of a comparison that is under way or due; seconds to rest."""
        if self._sweep is None and self._is_sweep_due():
            self._sweep = self._sweep_steps()
        if self._in_window_only and not self._is_in_window():
            self._sweep = None  # begins anew with the window: what was written is not read again
        if self._sweep is None:
            self._read_sizes()
            return self._pace.follow_s
        if self._next_portion.passed:  # a bell must not make the comparison any faster
            self._go_on()
        return min(self._next_portion.remaining_s(), self._pace.follow_s)

    def _go_on(self) -> None:
        assert self._sweep is not None  # noqa: S101
        self._next_portion = Deadline(0.0)
        try:
            self._next_portion = Deadline(next(self._sweep))
        except StopIteration:
            self._sweep = None
        except BaseException:
            self._sweep = None  # begins anew: what was written is not read again
            raise

    def _is_sweep_due(self) -> bool:
        cursor = self._known_cursor()
        self._in_window_only = False
        if self.site.kind == "dicomweb" and cursor.phase == "following":
            return self._next_sweep is None or self._next_sweep.passed
        if cursor.phase == "filling" or is_due(cursor.swept_at, utc_now(), self._pace.sweep_s):
            self._in_window_only = self._is_in_window()
            if self._in_window_only:
                return True
        if cursor.phase == "filling" or not self._next_check.passed:
            return False
        difference = self._difference()
        doubtful = self._doubt.weigh(difference)
        if self._doubt.times == 0:
            self._next_check = Deadline(self._pace.check_s)
        elif doubtful:
            log.info("index differs from its site", site=self.site.site_id, **vars(difference))
        return doubtful

    def _is_in_window(self) -> bool:
        local = utc_now().astimezone(self._zone)
        return is_in_window(self.site.window, local)

    def _difference(self) -> Counts:
        return self._site_counts() - Counts(*load_sums(self._records, self.site.site_id))

    def _site_counts(self) -> Counts:
        return feed.read_counts(self._wire, self.site) or NONE

    def _sweep_steps(self) -> Iterator[float]:
        """Compare the site's list with the rows; gives the rest to take after each portion."""
        began, began_at = monotonic_s(), utc_now()
        changed = deleted = 0
        seen = Seen()
        cursor = self._known_cursor()
        if cursor.phase == "filling":  # its rate counts from here
            self._save(replace(cursor, fill_began_at=began_at, filled_before=cursor.filled))
        for listed in self._list():
            seen.add(study.study_uid for study in listed)
            for portion in parts(listed, UIDS_PER_REQUEST):
                rest, done, _ = self._refresh(portion)
                changed += done
                yield rest
        for known in walk_known(self._records, self.site.site_id):
            unlisted = [self._listed_now(study) for study in plan_unlisted(known, seen)]
            for portion in parts(unlisted, UIDS_PER_REQUEST):
                rest, _, gone = self._refresh(portion, anew=True)
                deleted += gone
                yield rest
        if self.site.kind == "orthanc" and (before := self._difference()) != NONE:
            yield self._pace.follow_s
            lasts = before == self._difference()  # it is not only that images arrive
            for rest, done, gone in self._compare_counts() if lasts else ():
                changed += done
                deleted += gone
                yield rest
        self._end_sweep(began_at, monotonic_s() - began, changed, deleted)

    def _end_sweep(self, began_at: datetime, seconds: float, changed: int, deleted: int) -> None:
        cursor = self._known_cursor()
        if self.site.kind == "orthanc":
            self._doubt.settle(self._difference())
            self._next_check = Deadline(self._pace.check_s)
        else:
            self.read_at = began_at
            self._next_sweep = Deadline(max(self._pace.follow_s, DICOMWEB_REST * seconds))
        filled = load_sums(self._records, self.site.site_id)[0]
        ended = replace(cursor, phase="following", filled=filled, to_fill=filled, swept_at=began_at)
        self._save(ended)
        facts = {"seconds": round(seconds, 1), "read": changed, "deleted": deleted}
        if cursor.phase == "filling":
            self._writer.refresh_statistics()
            self._writer.tell(SITE_REPLACED, is_so=False, now=utc_now())
            log.info("index fill ends", site=self.site.site_id, studies=filled, **facts)
        elif changed or deleted:
            log.info("index was mended by a comparison", site=self.site.site_id, **facts)

    def _list(self) -> Iterator[list[Listed]]:
        since = 0
        seen_before: set[str] = set()
        while True:
            listed, refused, length = feed.list_studies(self._wire, self.site, since, LIST_PAGE)
            for orthanc_id in refused:
                log.warning("study has no UID", site=self.site.site_id, orthanc_id=orthanc_id)
            uids = {study.study_uid for study in listed}
            if not length or (uids and uids <= seen_before):
                return  # the end, or a server that does not page
            seen_before = uids
            yield listed
            since += length

    def _compare_counts(self) -> Iterator[tuple[float, int, int]]:
        """Ask for the counts of every study: an image that was deleted leaves no other trace."""
        for page in walk_known(self._records, self.site.site_id):
            start = monotonic_s()
            wrong = [self._listed_now(known) for known in page if self._counts_differ(known)]
            yield max(0.0, len(page) / self._pace.studies_per_s / 5 - (monotonic_s() - start)), 0, 0
            for portion in parts(wrong, UIDS_PER_REQUEST):
                yield self._refresh(portion, anew=True)

    def _counts_differ(self, known: Known) -> bool:
        counts = feed.read_counts(self._wire, self.site, known.orthanc_id)
        return counts != Counts(1, known.series_count, known.instance_count)

    def _listed_now(self, known: Known) -> Listed:
        """How the list would name a study of the index, whether or not it is still there."""
        study = None
        if self.site.kind == "orthanc":
            entry = Entry(0, "", "Study", known.orthanc_id, "")
            study = feed.find_study(self._wire, self.site, entry)
        return study or Listed(known.study_uid, known.orthanc_id, known.mark)

    # Rows

    def _refresh(self, listed: Sequence[Listed], *, anew: bool = False) -> tuple[float, int, int]:
        """Read what the index does not have as it is; (seconds to rest, studies read, deleted)."""
        start = monotonic_s()
        known = load_known(
            self._records, self.site.site_id, [study.study_uid for study in listed]
        )  # fmt: skip
        due = list(listed) if anew else plan_due(listed, known)
        if not due:
            return monotonic_s() - start, 0, 0  # at most half of the time is spent asking
        rows, gone = self._read(due)
        cursor = self._known_cursor()
        if cursor.phase == "filling":
            fresh = sum(row.study["study_uid"] not in known for row in rows)
            filled = cursor.filled + fresh
            cursor = replace(cursor, filled=filled, to_fill=max(filled, cursor.to_fill))
        self._save(cursor, rows, gone)
        rest = max(0.0, len(due) / self._pace.studies_per_s - (monotonic_s() - start))
        return rest, len(rows), len(gone)

    def _read(self, studies: Sequence[Listed]) -> tuple[list[IndexRow], list[str]]:
        """Rows of the studies as the site has them now, and UIDs of those that it has not."""
        rows, gone = [], []
        waiting = {uid for uid, aside in self._aside.items() if not aside.again.passed}
        issuer, zone = self.site.patient_id_issuer, self._zone
        for portion in parts([s for s in studies if s.study_uid not in waiting], UIDS_PER_REQUEST):
            found = self._read_portion(portion)
            read = [self._marked(s) for s in portion if s.study_uid in found]
            rows += [row_of(study, found[study.study_uid], issuer, zone) for study in read]
            missing = [s for s in portion if s.study_uid not in {*found, *self._aside}]
            gone += [study.study_uid for study in missing if self._has_gone(study)]
        for study in [s for s in studies if s.study_uid in waiting]:
            record = self._read_entry(study)
            rows += [] if record is None else [row_of(self._marked(study), record, issuer, zone)]
        return rows, gone

    def _marked(self, study: Listed) -> Listed:
        """One that was put aside gets a mark that no list of its site has: it is read again, also
        by a keeper that knows nothing of it."""
        aside = study.study_uid in self._aside
        return replace(study, mark=f"{study.mark} (entry)") if aside else study

    def _read_portion(self, portion: Sequence[Listed]) -> dict[str, StudyRecord]:
        """All at once; if that fails one by one, and what cannot be read alone is put aside."""
        found: dict[str, StudyRecord] = {}
        if self.site.kind == "orthanc" and len(portion) > 1:
            try:
                found = study_records.read_studies(self._wire, self.site, portion)
            except asking.ABOUT_ONE:
                pass  # one damaged study must not hide the others
            else:
                self._aside = {uid: a for uid, a in self._aside.items() if uid not in found}
                return found
        for study in portion:
            try:
                record = study_records.read_study(self._wire, self.site, study)
            except asking.ABOUT_ONE as error:
                self._put_aside(study, error)
                record = self._read_entry(study)
                if record is not None:
                    found[study.study_uid] = record
                continue
            self._aside.pop(study.study_uid, None)
            if record is not None:
                found[study.study_uid] = record
        return found

    def _read_entry(self, study: Listed) -> StudyRecord | None:
        """What its Orthanc knows without the study's files: it is found by that meanwhile."""
        if self.site.kind != "orthanc":
            return None
        try:
            return study_records.read_entry(self._wire, self.site, study)
        except asking.ABOUT_ONE:
            return None

    def _put_aside(self, study: Listed, error: SiteError) -> None:
        before = self._aside.get(study.study_uid)
        self._aside[study.study_uid] = Aside.put(study, before)
        if before is None:
            facts = {"study": study.study_uid, "problem": error.code}
            log.warning("study cannot be read, put aside", site=self.site.site_id, **facts)

    def _read_sizes(self) -> None:
        """A portion of the sizes that are not known yet."""
        if self.site.kind != "orthanc":
            return  # DICOMweb has no word for them
        sizes = self._sizes.read(utc_now(), in_window=self._is_in_window())
        if sizes:
            self._writer.save_sizes(sizes)

    def _try_again(self) -> None:
        """Read one of the studies that were put aside, when its time has come."""
        due = [aside.study for aside in self._aside.values() if aside.again.passed]
        if due:
            rows, gone = self._read(due[:1])
            self._save(self._known_cursor(), rows, gone)

    def _has_gone(self, study: Listed) -> bool:
        """Silence of a search is not yet a deletion: Orthanc is asked for the study itself."""
        if self.site.kind == "dicomweb":
            return True
        return not feed.has_resource(self._wire, self.site, "Study", study.orthanc_id)

    def _known_cursor(self) -> Cursor:
        assert self._cursor is not None  # noqa: S101 - step() has set it
        return self._cursor

    def _save(
        self, cursor: Cursor, rows: Sequence[IndexRow] = (), gone: Sequence[str] = ()
    ) -> None:
        if cursor.phase == "following" and (rows or gone):
            cursor = self._counted(cursor, rows, gone)
        cursor = replace(cursor, aside=len(self._aside))
        self._writer.save(cursor, rows, gone, utc_now())
        self._cursor = cursor
        if rows:
            self._sizes.look_soon()

    def _counted(self, cursor: Cursor, rows: Sequence[IndexRow], gone: Sequence[str]) -> Cursor:
        """How many studies there are keeps step with what comes and goes after the fill."""
        read = {str(row.study["study_uid"]) for row in rows}
        known = load_known(self._records, self.site.site_id, {*read, *gone}).keys()
        filled = cursor.filled + len(read - known) - len(known & set(gone))
        return replace(cursor, filled=filled, to_fill=filled)
