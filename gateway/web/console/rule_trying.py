"""The working copy of a rule set, tried before it counts: on files that are read and not kept, on a
study that a site holds, and over the last days in the background.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, request
from werkzeug.datastructures import FileStorage

from gateway.bootstrap import Gateway
from gateway.clock import utc_now
from gateway.dicom.attributes import Dataset, text
from gateway.dicom.part10 import NotUnderstood
from gateway.errors import BadRequest, GatewayBusy, GatewayError, NotFound, SiteError
from gateway.log import log
from gateway.model.access import Action
from gateway.model.routing.decide import Decision
from gateway.model.routing.facts import Facts
from gateway.model.routing.rule_sets import MINISTRY
from gateway.model.sites import Site
from gateway.model.wording import Words
from gateway.records.held import find_holders
from gateway.records.replays import (
    ReplayRow,
    cancel_replay,
    count_open_replays,
    load_replay,
    order_replay,
)
from gateway.routing.trying import (
    active_rules,
    facts_of_files,
    facts_of_site,
    judge,
    read_head,
    with_tried,
)
from gateway.web.console.frame import actor, back_to, count_of, own_form, reach, show
from gateway.web.console.rule_work import Work, check_owner, owner_words
from gateway.web.console.rules import show_work, status_of
from gateway.web.console.why import WORDS_OF_TRACES, with_lines
from gateway.web.permissions import needs

MOST_FILES = 50
MOST_STUDIES = 3
MOST_DAYS = 366
MOST_REPLAYS = 3


@dataclass(frozen=True)
class Shown:
    """One study that was tried. study_uid: with a story in the console, "" of files."""

    site: Words
    title: str
    decision: Decision
    traces: Sequence[Any]
    study_uid: str = ""


def add_routes(door: Blueprint, gateway: Gateway) -> None:
    """/console/rules/{owner}/replays/{id}"""
    own = own_form(gateway)

    def find(owner: str, replay_id: str) -> ReplayRow:
        check_owner(gateway.region, owner)
        found = load_replay(gateway.records, replay_id)
        of_all = owner == MINISTRY and reach() is not None  # it names studies of every hospital
        if found is None or found.owner != owner or of_all:
            raise NotFound("replay")
        return found

    @door.get("/rules/<owner>/replays/<replay_id>")
    @needs(Action.READ_RULES)
    def rule_replay(owner: str, replay_id: str) -> Response:
        row = find(owner, replay_id)
        words = owner_words(gateway.region, owner)
        return show(gateway, "rule_replay", row=row, owner_words=words, work=Work(row.rule_set, 0))

    @door.post("/rules/<owner>/replays/<replay_id>/cancel")
    @needs(Action.WRITE_RULES)
    @own
    def stop_replay(owner: str, replay_id: str) -> Response:
        find(owner, replay_id)
        cancel_replay(gateway.records, replay_id)
        return back_to("console.rule_replay", owner=owner, replay_id=replay_id)


def order(gateway: Gateway, work: Work, form: Mapping[str, str]) -> Response:
    """Have the working copy replayed by the keeper; leads to the page that shows how far it is.

    raises  BadRequest that names the input; GatewayBusy if enough is replayed already
    """
    days = count_of(form, "days")
    if not 1 <= days <= MOST_DAYS:
        raise BadRequest("days", f"must be within 1-{MOST_DAYS}")
    if count_open_replays(gateway.records) >= MOST_REPLAYS:
        raise GatewayBusy(f"{MOST_REPLAYS} replays wait or run already; wait or cancel one")
    by, now = actor(), utc_now()
    made = order_replay(gateway.records, work.rule_set, now.date(), days, by, now)
    log.info("replay asked for", owner=work.owner, days=days, replay=made)
    return back_to("console.rule_replay", owner=work.owner, replay_id=made)


def try_files(gateway: Gateway, work: Work, files: Sequence[FileStorage]) -> Response:
    """What the rules say of dropped files, each study by itself; nothing of them is kept."""
    given = [file for file in files if file.filename]
    try:
        if not 0 < len(given) <= MOST_FILES:
            raise BadRequest("files", f"choose 1-{MOST_FILES} DICOM files")
        site = _site_to_try(gateway, work, request.form.get("as_site", ""))
        studies: dict[str, list[Dataset]] = {}
        for number, file in enumerate(given, 1):
            try:
                instance = read_head(file.stream)  # type: ignore[arg-type]
            except NotUnderstood as error:
                raise BadRequest("files", f"file {number} is no DICOM file: {error}") from error
            studies.setdefault(text(instance, "StudyInstanceUID"), []).append(instance)
    except BadRequest as error:
        return _trouble(gateway, work, "files", error, Words(
            f"Нужны файлы DICOM, от 1 до {MOST_FILES}: ничего не проверено",
            f"DICOM files are wanted, 1 to {MOST_FILES}: nothing was tried",
        ))  # fmt: skip
    now = utc_now()
    tried = [
        _judged(gateway, work, site, facts_of_files(site, instances, now), "")
        for instances in studies.values()
    ]
    return show_work(gateway, work, tried=tried, **WORDS_OF_TRACES)


def try_study(gateway: Gateway, work: Work, words: str) -> Response:
    """What the rules say of a study that the owner's site holds, by its UID or AccessionNumber."""
    held = [
        (site, uid)
        for holder, uid in (find_holders(gateway.records, words) if words else ())
        if (site := gateway.region.site(holder)) and work.owner in (MINISTRY, holder)
    ]
    if not held:
        error = BadRequest("study", "names no study of the index")
        return _trouble(gateway, work, "study", error, Words(
            "В индексе этой больницы такого исследования нет: проверьте номер или UID",
            "The index of this hospital has no such study: check the number or the UID",
        ))  # fmt: skip
    tried, now = [], utc_now()
    for site, uid in held[:MOST_STUDIES]:
        rule_sets = with_tried(active_rules(gateway.records, site.site_id, now), work.rule_set)
        try:
            facts = facts_of_site(gateway.records, gateway.wire, site, uid, rule_sets, now)
        except (SiteError, NotFound) as error:
            return _trouble(gateway, work, "study", error, Words(
                "Больница сейчас не отвечает об этом исследовании, а правила спрашивают то, что "
                "знает только она",
                "The hospital does not answer about this study now, and the rules ask for what "
                "only it knows",
            ))  # fmt: skip
        tried.append(_judged(gateway, work, site, facts, uid))
    return show_work(gateway, work, tried=tried, **WORDS_OF_TRACES)


def _judged(gateway: Gateway, work: Work, site: Site, facts: Facts, study_uid: str) -> Shown:
    now = utc_now()
    rule_sets = with_tried(active_rules(gateway.records, site.site_id, now), work.rule_set)
    said = judge(rule_sets, facts, now)
    title = _said(facts, "00080060") + " " + _said(facts, "00081030")
    return Shown(
        Words(site.name_ru, site.name_en), title.strip(), said.decision,
        with_lines(said.traces), study_uid,
    )  # fmt: skip


def _said(facts: Facts, tag: str) -> str:
    return ", ".join(str(value)[:60] for value in facts.values.get(tag, ())[:3])


def _site_to_try(gateway: Gateway, work: Work, site_id: str) -> Site:
    """The owner's site; for the ministry's rules one that is named."""
    found = gateway.region.site(site_id if work.owner == MINISTRY else work.owner)
    if found is None:
        raise BadRequest("as_site", "names no hospital")
    return found


def _trouble(
    gateway: Gateway, work: Work, place: str, error: GatewayError, words: Words
) -> Response:
    """The same page with what is wrong beside its input."""
    return show_work(gateway, work, status=status_of(error), trouble={place: words})
