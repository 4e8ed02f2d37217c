"""Threads that judge what arrives, one site at a time in each: a hung site delays no other."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from gateway.clock import Deadline, utc_now
from gateway.errors import (
    GatewayError,
    LeaseLost,
    SiteError,
    SiteRefused,
    SiteSpeaksGarbage,
    SiteStreamCut,
    SiteTimeout,
)
from gateway.log import log
from gateway.model.sites import Site
from gateway.records.arrivals import Arrival, Arrived, load_due_sites, load_unruled_sites
from gateway.records.rules import Version
from gateway.routing.intake import Intake, look_at_study, put_aside, sort_due, wake_unruled

THREADS = 8
SITE_REST_S = 10.0
ABOUT_ONE = (SiteRefused, SiteSpeaksGarbage, SiteStreamCut, SiteTimeout)
"""Errors for which one study may be to blame; after several of them it is the site."""
MOST_TROUBLE = 3


class Arrivals:
    """Judges due studies of the sites as long as its keeper leads.

    judged  is called when deliveries may have been planned
    """

    def __init__(self, intake: Intake, judged: Callable[[], None]) -> None:
        self._intake = intake
        self._judged = judged
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="arrivals")
        self._busy: set[str] = set()
        self._rests: dict[str, Deadline] = {}
        self._ended = False

    def tick(self, sites: Sequence[Site]) -> None:
        """Have due studies looked at. Raises RecordsUnavailable."""
        records, now = self._intake.records, utc_now()
        due, unruled = load_due_sites(records, now), load_unruled_sites(records)
        for site in sites:
            if site.site_id in unruled:
                wake_unruled(self._intake, site, now)
            rest = self._rests.get(site.site_id)
            if site.site_id in due - self._busy and (rest is None or rest.passed):
                self._busy.add(site.site_id)
                self._pool.submit(self._work, site)

    def close(self) -> None:
        """Judge nothing more; what is under way is not written any more, and stays due."""
        self._ended = True
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _work(self, site: Site) -> None:
        try:
            while not self._ended and judge_portion(self._intake, site):
                self._judged()
        except LeaseLost:
            self._ended = True
        except GatewayError as error:
            self._rests[site.site_id] = Deadline(SITE_REST_S)
            problem = error.code if isinstance(error, SiteError) else str(error)
            log.warning("arrivals are not judged", site=site.site_id, problem=problem)
        except Exception as error:  # noqa: BLE001 - the thread's door: what is due stays due
            self._rests[site.site_id] = Deadline(SITE_REST_S)
            problem = f"{type(error).__name__}: {error}"
            log.error("arrivals are not judged", site=site.site_id, problem=problem)
        finally:
            self._busy.discard(site.site_id)


def judge_portion(intake: Intake, site: Site) -> bool:
    """Judge some due studies of a site; whether there may be more.

    raises  SiteError if the site answers for no study; RecordsUnavailable, LeaseLost
    """
    due, versions = sort_due(intake, site, utc_now())
    trouble = 0
    for seen in due:
        try:
            _judge(intake, site, seen, versions)
        except ABOUT_ONE as error:
            trouble += 1
            if trouble >= MOST_TROUBLE:
                raise
            put_aside(intake, seen, f"site_{error.code}", utc_now())
    return bool(due)


def _judge(intake: Intake, site: Site, seen: Arrival, versions: Sequence[Version]) -> None:
    try:
        decided = look_at_study(intake, site, seen, versions, utc_now())
    except GatewayError:
        raise
    except Exception as error:  # noqa: BLE001 - the worker's door: a study, or a rule, is a poison
        # The text of a foreign error may hold what stands in the image.
        facts = {"study": seen.study_uid, "problem": type(error).__name__}
        log.error("study cannot be judged, put aside", site=site.site_id, **facts)
        put_aside(intake, seen, f"error: {type(error).__name__}", utc_now())
        return
    if decided.state not in (None, Arrived.PLANNED):
        facts = {"study": seen.study_uid, "reason": decided.reason}
        log.info(f"study is {decided.state}", site=site.site_id, **facts)
