"""`/api/v1/rollout`: the figures of the rollout for programs, and for everybody where the region
opens its data (GATEWAY_ROLLOUT_OPEN_DATA). The same snapshots as the pages, so the same numbers.

A snapshot never changes, so an answer has a tag by which nobody fetches it twice.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from hashlib import sha256
from typing import Any

import orjson
from flask import Blueprint, Response, request

from gateway.bootstrap import Gateway
from gateway.errors import BadRequest, NotFound
from gateway.model.access import Action
from gateway.model.rollout.figures import REGION, Scope, ScopeKind, Snapshot
from gateway.model.rollout.register import Facility, as_of
from gateway.records.engine import Records
from gateway.records.register import load_facilities
from gateway.records.snapshots import at, curve, latest, list_taken, of_month, versions
from gateway.web.packed import PackedBodies, packed_answer
from gateway.web.permissions import needs
from gateway.web.rollout import api_forms as forms

JSON = "application/json"
OF_SNAPSHOT: Mapping[str, dict[str, Any]] = {
    "day": {"type": "string", "format": "date", "examples": ["2026-06-30"]},
    "month": {"type": "string", "pattern": r"^\d{4}-\d{2}$", "examples": ["2026-06"]},
    "version": {"type": "integer", "minimum": 1, "maximum": 999_999},
}
SINCE = {"since": OF_SNAPSHOT["day"]}
PARAMETERS: Mapping[str, Mapping[str, dict[str, Any]]] = {
    "curve_of_region": SINCE,
    "facility_curve": SINCE,
    "snapshots": SINCE,
    "month_versions": {},
}
"""Of the query, by view; of all others OF_SNAPSHOT."""
SUMMARIES: Mapping[str, str] = {
    "region": "Регион · The region",
    "municipalities": "Муниципалитеты · Municipalities",
    "facilities": "Организации · Facilities",
    "one_facility": "Одна организация · One facility",
    "facility_kinds": "Виды организаций · Kinds of facilities",
    "unit_kinds": "Виды аппаратов · Kinds of units",
    "forecast": "Когда будет 100 % · When it is 100 %",
    "discrepancies": "Расхождения учёта и снимков · Where register and images differ",
    "curve_of_region": "Регион по месяцам · The region by month",
    "facility_curve": "Организация по месяцам · A facility by month",
    "snapshots": "Все отчёты · All snapshots",
    "month_versions": "Отчёт месяца и его исправления · A month and its corrections",
}
FORM = "2"
"""Of the answers; another one gives them other tags."""
MOST_BYTES = 4 * 2**20  # of answers that were made, packed


def create_blueprint(gateway: Gateway) -> Blueprint:
    """All routes; OPEN only where the setting says so."""
    door = Blueprint("rollout_api", __name__, url_prefix="/api/v1/rollout")
    is_open = gateway.settings.rollout_open_data == "on"
    reading = needs(Action.OPEN if is_open else Action.READ_FIGURES)
    records, made = gateway.records, PackedBodies(MOST_BYTES)

    def of_snapshot(tell: Callable[[Snapshot], Mapping[str, Any]]) -> Response:
        snapshot = choose(records)
        mark = f"{snapshot.day} {snapshot.kind} {snapshot.version}"
        return answer(made, mark, lambda: {"snapshot": forms.taken(snapshot), **tell(snapshot)})

    @door.get("/region")
    @reading
    def region() -> Response:
        return of_snapshot(forms.region)

    @door.get("/municipalities")
    @reading
    def municipalities() -> Response:
        return of_snapshot(lambda s: {"municipalities": forms.named(s, ScopeKind.MUNICIPALITY)})

    @door.get("/facility-kinds")
    @reading
    def facility_kinds() -> Response:
        return of_snapshot(lambda s: {"facility_kinds": forms.named(s, ScopeKind.FACILITY_KIND)})

    @door.get("/unit-kinds")
    @reading
    def unit_kinds() -> Response:
        return of_snapshot(lambda s: {"unit_kinds": forms.named(s, ScopeKind.UNIT_KIND)})

    @door.get("/facilities")
    @reading
    def facilities() -> Response:
        def tell(snapshot: Snapshot) -> Mapping[str, Any]:
            found = known_facilities(records, snapshot)
            return {"facilities": [forms.facility(snapshot, one) for one in found.values()]}

        return of_snapshot(tell)

    @door.get("/facilities/<facility_id>")
    @reading
    def one_facility(facility_id: str) -> Response:
        def tell(snapshot: Snapshot) -> Mapping[str, Any]:
            found = known_facilities(records, snapshot).get(facility_id)
            if found is None:
                raise NotFound("facility")
            return forms.facility(snapshot, found) | {"units": forms.units(snapshot, facility_id)}

        return of_snapshot(tell)

    @door.get("/forecast")
    @reading
    def forecast() -> Response:
        return of_snapshot(lambda s: forms.forecast(s.forecast))

    @door.get("/discrepancies")
    @reading
    def discrepancies() -> Response:
        return of_snapshot(forms.discrepancies)

    add_lists(door, records, made, reading)
    return door


def add_lists(
    door: Blueprint,
    records: Records,
    made: PackedBodies,
    reading: Callable[[Callable[..., Response]], Callable[..., Response]],
) -> None:
    """What goes through many snapshots."""

    def through(name: str, tell: Callable[[], Any]) -> Response:
        told = tell()
        return answer(made, sha256(orjson.dumps(told)).hexdigest(), lambda: {name: told})

    @door.get("/curve")
    @reading
    def curve_of_region() -> Response:
        return through("points", lambda: forms.points(curve(records, REGION, since=_since())))

    @door.get("/facilities/<facility_id>/curve")
    @reading
    def facility_curve(facility_id: str) -> Response:
        found = curve(records, Scope(ScopeKind.FACILITY, facility_id), since=_since())
        if not found:
            raise NotFound("facility")
        return through("points", lambda: forms.points(found))

    @door.get("/snapshots")
    @reading
    def snapshots() -> Response:
        found = list_taken(records, _since())
        return through("snapshots", lambda: [forms.taken(one) for one in found])

    @door.get("/months/<month>/versions")
    @reading
    def month_versions(month: str) -> Response:
        found = versions(records, _month("month", month))
        if not found:
            raise NotFound("month")
        return through("versions", lambda: [forms.taken(one) for one in found])


def choose(records: Records) -> Snapshot:
    """The snapshot that the query asks for: `month` (and `version`), `day`, or else the last one.

    raises  BadRequest; NotFound if there is none
    """
    args = request.args
    if "month" in args:
        if "day" in args:
            raise BadRequest("day", "stands beside month; ask for one of them")
        found = of_month(records, _month("month", args["month"]), _version())
    elif "version" in args:
        raise BadRequest("version", "belongs to a month")
    elif "day" in args:
        found = at(records, _day("day"))
    else:
        found = latest(records)
    if found is None:
        raise NotFound("snapshot")
    return found


def known_facilities(records: Records, snapshot: Snapshot) -> dict[str, Facility]:
    """Those that stood on its day, as the register knew them when it was taken, by id."""
    found = as_of(load_facilities(records), snapshot.day, snapshot.taken_at)
    return {key: found[key] for key in sorted(found) if not found[key].merged_into}


def answer(made: PackedBodies, mark: str, tell: Callable[[], Mapping[str, Any]]) -> Response:
    """JSON with a tag, made once; 304 for who has it.

    mark  changes when the answer of this address does
    """
    words = "\n".join((FORM, mark, request.full_path))
    tag = sha256(words.encode()).hexdigest()[:32]
    if request.if_none_match.contains_weak(tag):
        found = Response(status=304)
    else:
        packed = made.find(tag) or made.keep(tag, orjson.dumps(tell()))
        assert packed is not None, "figures are no study"  # noqa: S101
        found = packed_answer(packed, JSON)
    found.set_etag(tag, weak=True)
    found.headers["Cache-Control"] = "private, no-cache"
    found.vary.update(("Authorization", "Cookie"))
    return found


def _day(name: str) -> date:
    try:
        return datetime.strptime(request.args[name], "%Y-%m-%d").date()
    except ValueError:
        raise BadRequest(name, "write a day as YYYY-MM-DD") from None


def _since() -> date | None:
    return _day("since") if "since" in request.args else None


def _month(name: str, said: str) -> date:
    try:
        return datetime.strptime(said, "%Y-%m").date()
    except ValueError:
        raise BadRequest(name, "write a month as YYYY-MM") from None


def _version() -> int | None:
    said = request.args.get("version")
    if said is None:
        return None
    if not said.isascii() or not said.isdigit() or len(said) > 6:
        raise BadRequest("version", "is a number from 1")
    return int(said)
