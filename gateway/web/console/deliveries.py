"""`/console/deliveries`: the queue, its filters and pages, and what people do with deliveries, one
by one or with all that a filter means; `/console/arrivals`: studies that go nowhere.

Addresses hold UIDs and words of ours only, never a patient's data.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from flask import Blueprint, Response, request

from gateway.bootstrap import Gateway
from gateway.clock import utc_now
from gateway.dicom.uids import check_uid
from gateway.errors import BadRequest, NotFound
from gateway.log import log
from gateway.model.access import Action
from gateway.model.deliveries import WAITING_FOR_A_PERSON, State
from gateway.model.routing.rule_sets import LANES
from gateway.model.sites import SITE_ID
from gateway.records.arrivals import Arrived
from gateway.records.delivery_desk import Filter, exclude, retry
from gateway.records.delivery_pages import (
    UNENDED,
    count_chosen,
    list_arrivals,
    list_page,
    narrowed,
)
from gateway.records.rerouting import REROUTABLE, REROUTED, reroute
from gateway.web.console.frame import (
    actor,
    back_to,
    check_site,
    choice_of,
    did_of,
    own_form,
    reach,
    show,
    text_of,
)
from gateway.web.console.words import ACTS, GROUPS, MARKS, STATES_OF_ARRIVALS
from gateway.web.permissions import needs

ROWS = 50
ABLE: Mapping[str, tuple[State, ...]] = {
    "retry": (*sorted(WAITING_FOR_A_PERSON), State.RETRY_WAIT),
    "reroute": REROUTABLE,
    "exclude": tuple(state for state in UNENDED if state is not State.EXCLUDED),
}
"""In which states an act has a meaning."""
Work = Callable[[Filter, datetime], int]
"""Does something to the deliveries of a filter; how many it changed."""
STATE_CHOICES = {**GROUPS, **{str(state): state for state in State}}


@dataclass(frozen=True)
class Asked:
    """What an address or a form narrows the queue to."""

    state: str = "open"
    destination: str = ""
    site: str = ""
    lane: str = ""
    study: str = ""

    @property
    def chosen(self) -> Filter:
        group = GROUPS.get(self.state)
        states = group.states if group else (State(self.state),)
        return Filter(states, self.destination, self.site, self.lane, self.study, within=reach())

    @property
    def as_args(self) -> dict[str, str]:
        """As an address has it."""
        return {name: value for name, value in vars(self).items() if value}


def read_asked(given: Mapping[str, str]) -> Asked:
    """raises BadRequest that names the field"""
    study = text_of(given, "study")
    return Asked(
        choice_of(given, "state", STATE_CHOICES) or "open",
        _name_of(given, "destination"),
        _name_of(given, "site"),
        choice_of(given, "lane", dict.fromkeys(LANES)),
        check_uid(study, "study") if study else "",
    )


def _name_of(given: Mapping[str, str], field: str) -> str:
    """Of a destination or site, perhaps one that region.toml names no more."""
    text = text_of(given, field)
    if text and not SITE_ID.fullmatch(text):
        raise BadRequest(field, "is no id: small Latin letters, digits and -")
    return text


def add_routes(door: Blueprint, gateway: Gateway) -> None:
    """/console/deliveries, its acts, and /console/arrivals"""
    own = own_form(gateway)

    @door.get("/deliveries")
    @needs(Action.READ_DELIVERIES)
    def deliveries() -> Response:
        asked = read_asked(request.args)
        after = text_of(request.args, "after")
        found = list_page(gateway.records, asked.chosen, ROWS + 1, after)
        if found is None:
            raise BadRequest("after", "names no delivery; begin at the first page")
        return show(
            gateway, "deliveries", asked=asked, rows=found[:ROWS], after=after,
            more=found[ROWS - 1].delivery_id if len(found) > ROWS else "",
            groups=GROUPS, marks=MARKS, acts=ACTS, able=ABLE, lanes=LANES, did=did_of(request.args),
        )  # fmt: skip

    @door.get("/deliveries/confirm")
    @needs(Action.READ_DELIVERIES)
    def confirm() -> Response:
        act = choice_of(request.args, "act", ACTS) or _missing("act")
        asked = read_asked(request.args)
        meant = narrowed(asked.chosen, ABLE[act])
        count = count_chosen(gateway.records, meant) if meant else 0
        return show(gateway, "confirm", act=act, acts=ACTS, asked=asked, count=count, groups=GROUPS)

    @door.post("/deliveries/act")
    @needs(Action.RESEND)
    @own
    def act_on_all() -> Response:
        asked = read_asked(request.form)
        act, count = perform(gateway, asked.chosen, request.form)
        return back_to("console.deliveries", done=act, count=count, **asked.as_args)

    @door.post("/deliveries/<delivery_id>/act")
    @needs(Action.RESEND)
    @own
    def act_on_one(delivery_id: str) -> Response:
        asked, one = read_asked(request.form), Filter(delivery_ids=(delivery_id,), within=reach())
        if not count_chosen(gateway.records, one):
            raise NotFound("delivery")
        act, count = perform(gateway, one, request.form)
        if request.form.get("from") == "study" and asked.study:
            return back_to("console.study", study_uid=asked.study, done=act, count=count)
        return back_to("console.deliveries", done=act, count=count, **asked.as_args)

    @door.get("/arrivals")
    @needs(Action.READ_DELIVERIES)
    def arrivals() -> Response:
        state = choice_of(request.args, "state", STATES_OF_ARRIVALS) or _missing("state")
        site_id, after = _name_of(request.args, "site"), text_of(request.args, "after")
        check_site(gateway, site_id)
        if after:
            check_uid(after, "after")
        found = list_arrivals(gateway.records, Arrived(state), site_id, ROWS + 1, after)
        return show(
            gateway, "arrivals", state=state, site_id=site_id, rows=found[:ROWS],
            more=found[ROWS - 1].study_uid if len(found) > ROWS else "",
            states_of_arrivals=STATES_OF_ARRIVALS,
        )  # fmt: skip


def perform(gateway: Gateway, chosen: Filter, form: Mapping[str, str]) -> tuple[str, int]:
    """Do what a form says to those that the filter means; the act, and how many it changed.

    raises  BadRequest that names the field
    """
    act = choice_of(form, "act", ACTS) or _missing("act")
    work = WORK[act](gateway, form)  # judges the form even if nothing is meant
    meant = narrowed(chosen, ABLE[act])
    count = work(meant, utc_now()) if meant else 0
    log.info("deliveries changed by hand", act=act, count=count, by=actor())
    return act, count


def _retry(gateway: Gateway, form: Mapping[str, str]) -> Work:
    return lambda meant, now: retry(gateway.records, meant, actor(), now)


def _reroute(gateway: Gateway, form: Mapping[str, str]) -> Work:
    to = text_of(form, "to", required=True)
    if gateway.region.destination(to) is None:
        raise BadRequest("to", "is no destination of region.toml")
    return lambda meant, now: reroute(gateway.records, meant, to, actor(), now)


def _exclude(gateway: Gateway, form: Mapping[str, str]) -> Work:
    reason = text_of(form, "reason", required=True)
    if reason.startswith(REROUTED.strip()):
        raise BadRequest("reason", "begins with a word that means something else here")
    return lambda meant, now: exclude(gateway.records, meant, reason, actor(), now)


WORK: Mapping[str, Callable[[Gateway, Mapping[str, str]], Work]] = {
    "retry": _retry,
    "reroute": _reroute,
    "exclude": _exclude,
}


def _missing(field: str) -> str:
    raise BadRequest(field, "is missing")
