"""What the keeper decides, without doing it: which sites to probe, and what a probe has changed."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from datetime import datetime, timedelta

from gateway.model.sites import QuirkProfile, Site
from gateway.records.probes import SiteProbe

WORKER_S = 10.0
"""How long an ordered probe waits for a worker before the keeper does it itself."""


def plan_probes(
    sites: Sequence[Site],
    probes: Mapping[str, SiteProbe],
    starts: Mapping[str, datetime],
    changed: Collection[str],
    now: datetime,
    every_s: float,
) -> list[Site]:
    """The sites whose probe is to be ordered now.

    starts   when each site's plugin last said that its Orthanc had started
    changed  ids of sites whose entry in region.toml is new, and of all sites after a start
    """

    def is_due(site: Site) -> bool:
        probe = probes.get(site.site_id)
        if probe and probe.due_since:
            return False  # is ordered already
        if not probe or not probe.profile.probed_at or site.site_id in changed:
            return True
        probed_at = probe.profile.probed_at
        started_at = starts.get(site.site_id)
        restarted = started_at is not None and started_at > probed_at
        return restarted or now - probed_at >= timedelta(seconds=every_s)

    return [site for site in sites if is_due(site)]


def find_waiting(
    sites: Sequence[Site], probes: Mapping[str, SiteProbe], now: datetime
) -> list[Site]:
    """The sites whose probe was ordered WORKER_S ago and that no worker has probed."""
    limit = now - timedelta(seconds=WORKER_S)
    return [
        site
        for site in sites
        if (probe := probes.get(site.site_id)) and probe.due_since and probe.due_since <= limit
    ]


def describe_change(before: QuirkProfile | None, after: QuirkProfile) -> tuple[str, dict[str, str]]:
    """One line for the log: what this probe showed that the last one had not; "" if nothing.

    returns  the line and its facts
    """
    known = before is not None and before.probed_at is not None
    if after.problem:
        if not known or not before or not before.problem:
            return "site does not answer", {"problem": after.problem}
        if _word(before.problem) != _word(after.problem):
            return "site still does not answer", {"problem": after.problem}
        return "", {}
    if not known or not before:
        facts = {"software": after.software, "version": after.version}
        return "site answers", facts | {"dicomweb": after.dicomweb_version}
    differences = {
        f.name: f"{getattr(before, f.name)} -> {getattr(after, f.name)}"
        for f in fields(QuirkProfile)
        if f.name not in ("probed_at", "problem", "clock_ahead_s")
        and getattr(before, f.name) != getattr(after, f.name)
    }
    if before.problem:
        return "site answers again", differences
    return ("site has changed", differences) if differences else ("", {})


def _word(problem: str) -> str:
    """ "timeout (5.0 s)" and "timeout (5.1 s)" are the same problem."""
    return problem.split(" ", 1)[0]
