"""Asks many sites at the same time under one deadline; what is late is silent."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, wait
from contextvars import copy_context
from typing import TypeVar

from gateway.clock import Deadline
from gateway.errors import SiteError, SiteTimeout
from gateway.model.sites import Site

Answer = TypeVar("Answer")


def ask_all(
    sites: Sequence[Site],
    ask: Callable[[Site, Deadline], Answer],
    pool: Executor,
    deadline_s: float,
) -> tuple[dict[str, Answer], dict[str, str]]:
    """Ask every site in parallel; answers by site id, and the error code of each silent one.

    No site is waited for past deadline_s; a call that is then still running ends by itself at
    the deadline that it was given.
    """
    futures: dict[Future[Answer], Site] = {
        # Its own copy each: the id of the request goes along (log.REQUEST).
        pool.submit(
            copy_context().run, ask, site, Deadline(min(deadline_s, site.timeouts.search_s))
        ): site
        for site in sites
    }
    done, late = wait(futures, timeout=deadline_s)
    answers: dict[str, Answer] = {}
    silent = {futures[future].site_id: SiteTimeout.code for future in late}
    for future in done:
        try:
            answers[futures[future].site_id] = future.result()
        except SiteError as error:
            silent[futures[future].site_id] = error.code
    return answers, dict(sorted(silent.items()))
