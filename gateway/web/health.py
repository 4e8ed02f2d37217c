"""Is the process alive, can it serve, and how does each site stand: three different questions."""

from collections.abc import Callable

from flask import Blueprint, Response, jsonify, request

from gateway.bootstrap import Gateway
from gateway.clock import Deadline, monotonic_s, utc_now
from gateway.errors import GatewayError
from gateway.federation.fanout import ask_all
from gateway.model.access import Action
from gateway.model.sites import Site
from gateway.orthanc.dicomweb import ping
from gateway.queues import ask_redis
from gateway.web.entrance import LOOPBACK
from gateway.web.identity import address_of_caller
from gateway.web.permissions import needs

FRESH_S = 5.0
PING_DEADLINE_S = 2.0


def create_blueprint(gateway: Gateway) -> Blueprint:
    """/healthz, /readyz and /status/sites."""
    door = Blueprint("health", __name__)

    @door.get("/healthz")
    @needs(Action.OPEN)
    def alive() -> Response:
        return jsonify(status="alive", means="this process answers; it has asked nobody else")

    @door.get("/readyz")
    @needs(Action.OPEN)
    def ready() -> tuple[Response, int]:
        if request.environ.get("gateway.leaves"):  # server.py: SIGTERM came to this process
            return jsonify(status="not ready", checks={"process": "goes away"}), 503
        sites = describe_sites(gateway)
        found = {
            "database": _outcome(gateway.records.ping),
            "redis": _outcome(lambda: ask_redis(gateway.settings.redis_url)),
            **{f"site {s['id']}": "ok" if s["answers"] else str(s["last_failure"]) for s in sites},
        }
        # Redis is a doorbell: without it work waits in the database, but everything is served.
        able = found["database"] == "ok" and any(site["answers"] for site in sites)
        status = "ready" if set(found.values()) == {"ok"} else "degraded" if able else "not ready"
        # What is amiss names sites and servers of ours, which strangers need not know.
        is_told = gateway.settings.access == "open" or address_of_caller() in LOOPBACK
        told = {"status": status, "checks": found} if is_told else {"status": status}
        return jsonify(told), 200 if able else 503

    @door.get("/status/sites")
    @needs(Action.SEE_STATUS)
    def sites() -> Response:
        known = {site.site_id for site in gateway.region.sites}
        # Sites that region.toml no longer names: their rows are kept, and found by nobody.
        gone = {name: s.filled for name, s in gateway.index_states.items() if name not in known}
        return jsonify(at=utc_now().isoformat(), sites=describe_sites(gateway), removed=gone)

    return door


def describe_sites(gateway: Gateway) -> list[dict[str, object]]:
    """How each site stands, asked now if nobody has asked it for FRESH_S."""
    sites = gateway.region.sites
    _ask_stale(gateway, sites)
    return [_describe(gateway, site) for site in sites]


def _outcome(check: Callable[[], None]) -> str:
    try:
        check()
    except GatewayError as error:
        return str(error)
    return "ok"


def _ask_stale(gateway: Gateway, sites: tuple[Site, ...]) -> None:
    """Ask every site that failed last or was not heard of for FRESH_S, in parallel."""
    now = monotonic_s()
    stale = []
    for site in sites:
        standing = gateway.wire.standing(site)
        heard = standing.last_answer_at
        if heard is None or now - heard > FRESH_S or not standing.answers:
            stale.append(site)

    def ask(site: Site, deadline: Deadline) -> None:
        ping(gateway.wire, site, deadline)

    ask_all(stale, ask, gateway.pool, PING_DEADLINE_S)


def _describe(gateway: Gateway, site: Site) -> dict[str, object]:
    standing = gateway.wire.standing(site)
    profile = gateway.profile(site.site_id)
    now = monotonic_s()
    return {
        "id": site.site_id,
        "name_ru": site.name_ru,
        "name_en": site.name_en,
        "role": site.role,
        "answers": standing.answers,
        "last_answer_s_ago": _ago(now, standing.last_answer_at),
        "last_answer_ms": round(standing.last_answer_s * 1000, 1)
        if standing.last_answer_s is not None
        else None,
        "last_failure": standing.last_failure or None,
        "last_failure_s_ago": _ago(now, standing.last_failure_at),
        "breaker": standing.state,
        "index": _index(gateway, site),
        "software": profile.software,
        "version": profile.version,
        "dicomweb_version": profile.dicomweb_version,
        "probed_at": profile.probed_at.isoformat() if profile.probed_at else None,
    }


def _index(gateway: Gateway, site: Site) -> dict[str, object] | None:
    """How far the site is in the study index; None if it was never read."""
    state = gateway.index_states.get(site.site_id)
    if state is None:
        return None
    now = utc_now()
    rate, left_s = state.rate(now), state.time_left_s(now)
    return {
        "phase": state.phase,
        "studies": state.filled,
        "studies_at_site": state.to_fill,
        "share": round(state.share, 4),
        "studies_per_s": None if rate is None else round(rate, 1),
        "time_left_s": None if left_s is None else round(left_s),
        "read_at": state.read_at.isoformat() if state.read_at else None,
        "read_s_ago": round((now - state.read_at).total_seconds(), 1) if state.read_at else None,
        "unreadable": state.aside,
        "size_bytes": state.size_bytes if state.sized else None,
        "sized_studies": state.sized,
    }


def _ago(now: float, then: float | None) -> float | None:
    return None if then is None else round(now - then, 1)
