"""`/metrics` for Prometheus, on a port of its own that this machine alone reaches (METRICS_PORT).

No label is of a patient, a study or a person: routes, status classes, sites, states. Requests are
counted by each web process into files that all of them share; everything else is read from the rows
when it is asked for: one scrape tells the whole gateway. Without the port nothing is counted.
"""

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, time
from time import perf_counter
from typing import Any

from flask import Blueprint, Flask, Response, g, request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from gateway.bootstrap import Gateway
from gateway.clock import utc_now
from gateway.errors import GatewayError, NotFound
from gateway.log import log
from gateway.model.access import Action
from gateway.model.rollout.figures import Figures, ScopeKind, Snapshot
from gateway.queues import count_waiting
from gateway.records.alarms import load_alarms
from gateway.records.audit import last_entry
from gateway.records.delivery_pages import count_open
from gateway.records.probes import load_profiles
from gateway.records.snapshots import latest
from gateway.web.permissions import needs

BUCKETS = (0.01, 0.05, 0.25, 1.0, 3.0, 10.0, 30.0)
PATH = "/metrics"


def create_blueprint(gateway: Gateway) -> Blueprint:
    """The one route; not there for who comes by another port."""
    door = Blueprint("metrics", __name__)

    @door.get(PATH)
    @needs(Action.OPEN)
    def metrics() -> Response:
        if not came_by_own_port(gateway.settings.metrics_port):
            raise NotFound("page")
        registry = CollectorRegistry()
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        registry.register(Rows(gateway))
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    return door


def register(app: Flask, port: int) -> None:
    """Count every request, and let that port serve nothing else."""
    seconds = Histogram(
        "gateway_request_seconds",
        "Until the answer begins.",
        ["route", "status"],
        buckets=BUCKETS,
        registry=CollectorRegistry(),
    )
    known: dict[tuple[str, int], Histogram] = {}

    @app.before_request
    def begin() -> None:
        g.began_s = perf_counter()
        if came_by_own_port(port) and request.path != PATH:
            raise NotFound("page")

    @app.after_request
    def end(answer: Response) -> Response:
        key = (request.endpoint or "none", answer.status_code // 100)
        one = known.get(key)
        if one is None:
            one = known[key] = seconds.labels(key[0], f"{key[1]}xx")
        one.observe(perf_counter() - g.get("began_s", perf_counter()))
        return answer


def came_by_own_port(port: int) -> bool:
    return port != 0 and request.environ.get("SERVER_PORT") == str(port)


class Rows(Collector):
    """What the database and Redis say now. What does not answer is left out, and said so."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def collect(self) -> Iterator[GaugeMetricFamily]:
        up = GaugeMetricFamily("gateway_part_answers", "1 if it can be read now.", labels=["part"])
        for part, read in (("database", self._of_records), ("redis", self._of_redis)):
            try:
                found = list(read())
                up.add_metric([part], 1)
                yield from found
            except GatewayError as error:
                log.warning("metrics are not whole", part=part, why=str(error))
                up.add_metric([part], 0)
        yield up

    def _of_records(self) -> Iterator[GaugeMetricFamily]:
        records, now = self._gateway.records, utc_now()
        known = [site.site_id for site in self._gateway.region.sites]
        profiles = load_profiles(records)
        yield _gauge(
            "gateway_site_answers", "1 if its last probe was answered.", ["site"],
            {(one,): float(one in profiles and not profiles[one].problem) for one in known},
        )  # fmt: skip
        states = {
            name: state for name, state in self._gateway.index_states.items() if name in known
        }
        yield _gauge(
            "gateway_index_studies", "Studies of it in the index.", ["site"],
            {(name,): float(state.filled) for name, state in states.items()},
        )  # fmt: skip
        yield _gauge(
            "gateway_index_lag_seconds", "Since its change feed was read to the end.", ["site"],
            {
                (name,): (now - state.read_at).total_seconds()
                for name, state in states.items() if state.read_at is not None
            },
        )  # fmt: skip
        waiting = count_open(records, None)
        yield _gauge(
            "gateway_deliveries", "Deliveries that are not at their end.",
            ["destination", "lane", "state"],
            {(to, lane, str(state)): float(count) for (to, lane, state), count in waiting.items()},
        )  # fmt: skip
        kinds = [one.kind for one in load_alarms(records)]
        yield _gauge(
            "gateway_alarms", "Alarms that are open.", ["kind"],
            {(kind,): float(kinds.count(kind)) for kind in sorted(set(kinds))},
        )  # fmt: skip
        if (told := latest(records)) is not None:
            yield from _of_rollout(told)
        if (last := last_entry(records)) is not None:
            yield GaugeMetricFamily("gateway_audit_rows", "Rows of the audit.", last[0])
            yield GaugeMetricFamily(
                "gateway_audit_last_timestamp_seconds", "Of its last row.", last[1].timestamp()
            )
        lines = self._gateway.settings.state_dir / "audit"
        size = sum(file.stat().st_size for file in lines.glob("*") if file.is_file())
        yield GaugeMetricFamily("gateway_audit_waiting_bytes", "Not in the table yet.", size)

    def _of_redis(self) -> Iterator[GaugeMetricFamily]:
        waiting = count_waiting(self._gateway.settings.redis_url)
        found = {(name,): float(count) for name, count in waiting.items()}
        yield _gauge("gateway_queue_jobs", "Jobs that wait for a worker.", ["queue"], found)


def _of_rollout(told: Snapshot) -> Iterator[GaugeMetricFamily]:
    """What the pages of the rollout show of the last snapshot; the region is the sum."""
    places = {
        (scope.name,): found
        for scope, found in told.figures.items()
        if scope.kind is ScopeKind.MUNICIPALITY
    }
    abouts = {
        "units": "X-ray units that count.",
        "digital_units": "Those that are digital.",
        "connected_units": "Those with images in 30 days.",
        "facilities": "Facilities.",
        "proven_facilities": "Those with a proven unit.",
    }
    for name, about in abouts.items():
        values = {place: _figure(found, name) for place, found in places.items()}
        yield _gauge(f"gateway_rollout_{name}", about, ["municipality"], values)
    yield _gauge(
        "gateway_rollout_evidence_units", "X-ray units by what images say.", ["evidence"],
        {(str(name),): float(count) for name, count in told.region.by_evidence.items()},
    )  # fmt: skip
    days = {"line": told.forecast.straight, "plan": told.forecast.by_plan}
    yield _gauge(
        "gateway_rollout_whole_timestamp_seconds", "When all units are digital.", ["by"],
        {
            (by,): datetime.combine(day, time(), UTC).timestamp()
            for by, day in days.items() if day is not None
        },
    )  # fmt: skip
    yield GaugeMetricFamily(
        "gateway_rollout_unknown_senders", "Of 30 days, of no unit.", told.unknown_senders
    )
    yield GaugeMetricFamily(
        "gateway_rollout_snapshot_timestamp_seconds", "When it was taken.",
        told.taken_at.timestamp(),
    )  # fmt: skip


def _figure(found: Figures, name: str) -> float:
    shares = {
        "units": found.digital.whole,
        "digital_units": found.digital.part,
        "connected_units": found.connected.part,
        "facilities": found.proven_facilities.whole,
        "proven_facilities": found.proven_facilities.part,
    }
    return float(shares[name])


def _gauge(
    name: str, about: str, labels: list[str], values: Mapping[Any, float]
) -> GaugeMetricFamily:
    """values: by the values of the labels, a tuple each."""
    found = GaugeMetricFamily(name, about, labels=labels)
    for of, value in values.items():
        found.add_metric(list(of), value)
    return found
