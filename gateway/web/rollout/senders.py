"""Acts on senders: whose images they are. A wrong word is taken back where it is shown; the figures
follow with the next snapshot.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from flask import Blueprint, Response, redirect, request, url_for

from gateway.clock import utc_now
from gateway.errors import BadRequest, NotFound
from gateway.log import log
from gateway.model.access import Action
from gateway.model.rollout.register import Facility, Unit, as_of
from gateway.model.rollout.suggestions import NearUnit, NewUnit, Reason
from gateway.model.wording import Words
from gateway.records.engine import Records
from gateway.records.evidence import SenderFacts, load_sender
from gateway.records.fingerprints import (
    Ignored,
    Said,
    load_fingerprint,
    load_fingerprints,
)
from gateway.records.register import load_facilities, load_units
from gateway.rollout import saying
from gateway.rollout.evidence import suggest
from gateway.web.console.frame import actor, own_form, reach, text_of
from gateway.web.permissions import needs
from gateway.web.rollout.frame import Desk

MOST = 100
REASONS: Mapping[Reason, Words] = {
    Reason.FITS_SEVERAL: Words("подходит и другому аппарату", "fits another unit, too"),
    Reason.SAME_SERIAL: Words("тот же серийный номер", "same serial number"),
    Reason.SIMILAR_SERIAL: Words("похожий серийный номер", "similar serial number"),
    Reason.SAME_MODEL: Words("та же модель", "same model"),
    Reason.SIMILAR_MODEL: Words("похожая модель", "similar model"),
    Reason.SAME_MAKER: Words("тот же изготовитель", "same manufacturer"),
    Reason.SAME_KIND: Words("такие снимки делают такие аппараты", "such units make such images"),
    Reason.NO_IMAGES: Words("от аппарата нет снимков", "the unit has sent none"),
    Reason.OTHER_FACILITY: Words("числится в другой организации", "stands elsewhere"),
    Reason.OTHER_SERIAL: Words("другой серийный номер", "another serial number"),
    Reason.OTHER_KIND: Words("такие аппараты таких снимков не делают", "another kind of unit"),
}
DONE: Mapping[str, Words] = {
    "accept": Words(
        "Принято: эти снимки — этого аппарата. Войдёт в следующий снимок показателей.",
        "Accepted: these images are that unit’s. It counts from the next figures on.",
    ),
    "deny": Words(
        "Принято: эти снимки не этого аппарата. Войдёт в следующий снимок показателей.",
        "Noted: these images are not that unit’s. It counts from the next figures on.",
    ),
    "ignore": Words(
        "Этот отправитель больше не ждёт аппарата.", "No unit is missed for this sender any more."
    ),
    "heed": Words("Отправитель снова ждёт аппарата.", "The sender waits for a unit again."),
    "undo": Words(
        "Слово взято назад. Показатели изменятся со следующим снимком.",
        "Taken back. The figures change with the next snapshot.",
    ),
}


@dataclass(frozen=True)
class Near:
    """A unit that a sender may be."""

    unit: Unit
    facility: Facility
    reasons: Sequence[Words]


@dataclass(frozen=True)
class Unknown:
    """A sender that no unit has. new: the unit that it would be"""

    facts: SenderFacts
    near: Sequence[Near]
    new: NewUnit


@dataclass(frozen=True)
class Senders:
    """What waits for a word, and those that were put aside; `more` are not shown."""

    unknown: Sequence[Unknown]
    ignored: Sequence[tuple[SenderFacts, Ignored]]
    more: int = 0


def add_routes(door: Blueprint, desk: Desk) -> None:
    """POST /rollout/senders/NUMBER/… and /rollout/fingerprints/ID/undo"""
    records = desk.gateway.records
    own = own_form(desk.gateway)

    def done(act: str) -> Response:
        """Back to the page that has sent the form."""
        desk.teller.forget()
        facility_id = text_of(request.form, "facility_id")
        lang = "en" if request.form.get("lang") == "en" else None
        address = url_for(
            "rollout.facility" if facility_id else "rollout.discrepancies",
            facility_id=facility_id or None, done=act, lang=lang, _anchor="senders",
        )  # fmt: skip
        answer = redirect(address, 303)
        assert isinstance(answer, Response)  # noqa: S101 - flask.redirect is hinted wider
        return answer

    @door.post("/senders/<int:number>/accept")
    @needs(Action.WRITE_REGISTER)
    @own
    def accept(number: int) -> Response:
        unit = _unit(desk, text_of(request.form, "unit_id", required=True))
        _check_sender(records, number)
        saying.accept(records, number, unit.unit_id, author=actor(), now=utc_now())
        log.info("sender accepted", sender=number, unit=unit.unit_id, by=actor())
        return done("accept")

    @door.post("/senders/<int:number>/ignore")
    @needs(Action.WRITE_REGISTER)
    @own
    def ignore(number: int) -> Response:
        reason = text_of(request.form, "reason", required=True)
        _check_sender(records, number)
        saying.ignore(records, number, author=actor(), reason=reason, now=utc_now())
        log.info("sender ignored", sender=number, by=actor())
        return done("ignore")

    @door.post("/senders/<int:number>/heed")
    @needs(Action.WRITE_REGISTER)
    @own
    def heed(number: int) -> Response:
        _check_sender(records, number)
        saying.heed(records, number, author=actor(), now=utc_now())
        log.info("sender heeded", sender=number, by=actor())
        return done("heed")

    @door.post("/fingerprints/<fingerprint_id>/undo")
    @needs(Action.WRITE_REGISTER)
    @own
    def undo(fingerprint_id: str) -> Response:
        said = load_fingerprint(records, fingerprint_id)
        if said is None:
            raise NotFound("the fingerprint")
        unit = _unit(desk, said.fingerprint.unit_id)
        saying.undo(records, fingerprint_id, author=actor(), now=utc_now())
        log.info("fingerprint undone", unit=unit.unit_id, by=actor())
        return done("undo")


def read_senders(desk: Desk, now: datetime, site_id: str = "") -> Senders:
    """As they are known now, those with most studies first; within the reader's reach.

    site_id  only of this one; "": of all
    """
    within = frozenset({site_id}) if site_id else reach()
    standing = desk.senders.now(desk.shelf.now(), now.astimezone(desk.zone).date())
    units, facilities = standing.units, standing.facilities
    unknown = [one for one in standing.unknown if _within(one.sender.site_id, within)]
    suggested = suggest(standing.suggester, unknown[:MOST], standing.matched, standing.alive)
    return Senders(
        [
            Unknown(
                one,
                _near(suggested[one.sender_id].near, units, facilities),
                suggested[one.sender_id].new,
            )
            for one in unknown[:MOST]
        ],
        [one for one in standing.ignored if _within(one[0].sender.site_id, within)],
        max(len(unknown) - MOST, 0),
    )


def said_of(records: Records, units: Sequence[Unit]) -> list[Said]:
    """What persons said of the images of these units, and has not been taken back."""
    mine = {unit.unit_id for unit in units}
    found = [
        load_fingerprint(records, one.fingerprint_id)
        for one in load_fingerprints(records)
        if one.unit_id in mine
    ]
    return [one for one in found if one is not None and one.undone_at is None]


def _near(
    found: Sequence[NearUnit], units: Mapping[str, Unit], facilities: Mapping[str, Facility]
) -> list[Near]:
    return [
        Near(
            units[one.unit_id],
            facilities[one.facility_id],
            [REASONS[reason] for reason in one.reasons],
        )
        for one in found
        if one.facility_id in facilities
    ]


def _within(site_id: str, within: frozenset[str] | None) -> bool:
    return within is None or site_id in within


def _check_sender(records: Records, sender_id: int) -> None:
    """raises NotFound for a sender that is not there, or lies out of reach"""
    found = load_sender(records, sender_id)
    if found is None or not _within(found.site_id, reach()):
        raise NotFound("the sender")


def _unit(desk: Desk, unit_id: str) -> Unit:
    """As it is now; raises BadRequest for none, or one of a facility out of reach."""
    today = utc_now().astimezone(desk.zone).date()
    unit = as_of(load_units(desk.gateway.records), today).get(unit_id)
    facilities = as_of(load_facilities(desk.gateway.records), today)
    facility = facilities.get(unit.facility_id) if unit else None
    if unit is None or facility is None or unit.merged_into:
        raise BadRequest("unit_id", "is no unit of the register")
    if not _within(facility.site_id, reach()):
        raise BadRequest("unit_id", "is no unit of the register")
    return unit
