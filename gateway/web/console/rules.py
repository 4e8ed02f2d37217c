"""`/console/rules`: whose rules there are, one rule set with its order and states, its versions.

All that is written goes through records/rules.py, as from the terminal. A form carries the working
copy along; a version that somebody else saved meanwhile is never overwritten (RFC 9110 13.1.1).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, request, url_for
from werkzeug.datastructures import FileStorage

from gateway.bootstrap import Gateway
from gateway.clock import utc_now
from gateway.errors import (
    BadRequest,
    GatewayError,
    NotAllowed,
    NotFound,
    RuleSetChanged,
    RuleSetRefused,
)
from gateway.log import log
from gateway.model.access import Action
from gateway.model.routing.document import MAX_SIZE, Located, format_rule_set, parse_rule_set
from gateway.model.routing.rule_sets import MINISTRY, drops_anew
from gateway.model.routing.words import refusal_in_words
from gateway.model.wording import Words
from gateway.records.rules import (
    Activation,
    Version,
    activate,
    active_version,
    approve,
    load_activations,
    load_version,
    load_versions,
    save_version,
)
from gateway.web.console.frame import back_to, count_of, own_form, reach, show, text_of
from gateway.web.console.rule_telling import Teller
from gateway.web.console.rule_words import STATE_WORDS, located_words
from gateway.web.console.rule_work import (
    FILES_BYTES,
    Work,
    author_of,
    begin,
    check_owner,
    go_on,
    owner_words,
)
from gateway.web.errors import answer_of
from gateway.web.permissions import may, needs


@dataclass(frozen=True)
class Owner:
    """One line of the first page. planned: activations that have not begun."""

    owner: str
    words: Words
    newest: Version | None
    active: Version | None
    planned: tuple[Activation, ...]
    waiting: tuple[Activation, ...]


def add_routes(door: Blueprint, gateway: Gateway) -> None:
    """/console/rules"""
    own, own_files = own_form(gateway), own_form(gateway, FILES_BYTES)
    records = gateway.records

    @door.get("/rules")
    @needs(Action.READ_RULES)
    def rules() -> Response:
        region = gateway.region
        within = reach()
        owners = [MINISTRY, *(site.site_id for site in region.sites if site.role == "hospital"
                  and (within is None or site.site_id in within))]  # fmt: skip
        return show(gateway, "rules", owners=[read_owner(gateway, owner) for owner in owners])

    @door.get("/rules/<owner>")
    @needs(Action.READ_RULES)
    def rule_set(owner: str) -> Response:
        number = count_of(request.args, "version") if "version" in request.args else None
        work, version = begin(gateway, owner, number)
        return show_work(gateway, work, begun_from=version, done=request.args.get("done", ""))

    @door.get("/rules/<owner>/versions")
    @needs(Action.READ_RULES)
    def rule_versions(owner: str) -> Response:
        check_owner(gateway.region, owner)
        now, versions = utc_now(), load_versions(records, owner)
        activations = load_activations(records, owner)
        before = {newer.number: older for newer, older in zip_longest(versions, versions[1:])}
        return show(
            gateway, "rule_versions", owner=owner, owner_words=owner_words(gateway.region, owner),
            versions=versions, activations=activations, writes=writes_rules(owner),
            waiting=waiting_of(activations, now),
            active=active_version(records, owner, now),
            changes=lambda one: Teller(gateway.region).differences(
                older.rule_set if (older := before[one.number]) else None, one.rule_set
            ),
            done=request.args.get("done", ""),
        )  # fmt: skip

    @door.get("/rules/<owner>/<int:number>.yaml")
    @needs(Action.READ_RULES, export=True)
    def rule_yaml(owner: str, number: int) -> Response:
        check_owner(gateway.region, owner)
        version = load_version(records, owner, number)
        if version is None:
            raise NotFound("version of rules")
        answer = Response(format_rule_set(version.rule_set), content_type="application/yaml")
        name = f"rules-{owner}-{number}.yaml"
        answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
        answer.set_etag(f"{owner}-{number}")
        answer.make_conditional(request)
        return answer

    @door.post("/rules/<owner>/upload")
    @needs(Action.WRITE_RULES)
    @own_files
    def upload_rules(owner: str) -> Response:
        check_owner(gateway.region, owner)
        text = read_text(request.files.get("file"))
        known = {one.destination_id for one in gateway.region.destinations}
        found, mistakes = parse_rule_set(text, known)
        if found is None:
            return _refused_file(gateway, owner, text, mistakes)
        if found.owner != owner:
            raise BadRequest("file", "holds rules of another owner, see its line `site:`")
        newest = load_version(records, owner)
        work = Work(found, newest.number if newest else 0)
        return show_work(gateway, work, begun_from=newest, done="read")

    @door.post("/rules/<owner>/save")
    @needs(Action.WRITE_RULES)
    @own_files
    def save_rules(owner: str) -> Response:
        work = go_on(gateway, owner, request.form)
        by = author_of(request.form)
        comment = text_of(request.form, "comment", required=True)
        try:
            number = save(gateway, work, by, comment)
        except RuleSetChanged as error:
            return _changed_meanwhile(gateway, work, error, by, comment)
        return back_to("console.rule_set", owner=owner, done="saved", version=number)

    @door.post("/rules/<owner>/activate")
    @needs(Action.ACTIVATE_RULES)
    @own
    def activate_rules(owner: str) -> Response:
        check_owner(gateway.region, owner)
        number, now = count_of(request.form, "version"), utc_now()
        by = author_of(request.form)
        start = _start(gateway, owner, text_of(request.form, "starts_at")) or now
        second = request.form.get("second_person") == "yes" or waits_for_another(
            gateway, owner, number
        )
        try:
            activate(records, owner, number, start, by, now, needs_approval=second)
        except RuleSetRefused as error:
            return _refused(gateway, error)
        log.info("rules activated", owner=owner, version=number, by=by)
        done = "waits" if second else "planned" if start > now else "activated"
        return back_to("console.rule_versions", owner=owner, done=done)

    @door.post("/rules/<owner>/approve")
    @needs(Action.APPROVE_RULES)
    @own
    def approve_rules(owner: str) -> Response:
        check_owner(gateway.region, owner)
        activation = count_of(request.form, "activation")
        asked = [a for a in load_activations(records, owner) if a.activation_id == activation]
        if not asked:
            raise NotFound("activation")
        if drops_more(gateway, owner, asked[0].number) and not may(Action.DROP_STUDIES):
            raise NotAllowed
        by = author_of(request.form)
        try:
            approve(records, activation, by, utc_now())
        except RuleSetRefused as error:
            return _refused(gateway, error)
        log.info("rules approved", owner=owner, activation=activation, by=by)
        return back_to("console.rule_versions", owner=owner, done="approved")


def writes_rules(owner: str) -> bool:
    """Whether the actor may write these rules: the ministry's only who reaches every site."""
    return may(Action.WRITE_RULES) and (owner != MINISTRY or reach() is None)


def drops_more(gateway: Gateway, owner: str, number: int) -> bool:
    """Whether studies that go somewhere now would go nowhere by a rule of this version."""
    version = load_version(gateway.records, owner, number)
    active = active_version(gateway.records, owner, utc_now())
    before = active.rule_set if active else None
    return version is not None and bool(drops_anew(version.rule_set, before))


def waits_for_another(gateway: Gateway, owner: str, number: int) -> bool:
    """Whether a second person must approve: by the settings, or because it drops studies and the
    actor alone has no right to that."""
    if gateway.settings.rules_approval == "required":
        return True
    return not may(Action.DROP_STUDIES) and drops_more(gateway, owner, number)


def save(gateway: Gateway, work: Work, by: str, comment: str) -> int:
    """Keep the working copy as a new version.

    raises  RuleSetChanged if somebody saved another since the page was loaded, or since the
            version that If-Match names
    """
    newest = load_version(gateway.records, work.owner)
    if request.if_match and not request.if_match.contains(
        f"{work.owner}-{newest.number if newest else 0}"
    ):
        raise RuleSetChanged(work.owner, newest.number if newest else 0)
    number = save_version(
        gateway.records, work.rule_set, by, comment, work.based_on, utc_now()
    )  # fmt: skip
    log.info("rules saved", owner=work.owner, version=number, by=by)
    return number


def read_owner(gateway: Gateway, owner: str) -> Owner:
    """raises RecordsUnavailable"""
    records, now = gateway.records, utc_now()
    activations = load_activations(records, owner)
    return Owner(
        owner, owner_words(gateway.region, owner), load_version(records, owner),
        active_version(records, owner, now), planned_of(activations, now),
        waiting_of(activations, now),
    )  # fmt: skip


def planned_of(activations: Sequence[Activation], now: datetime) -> tuple[Activation, ...]:
    """What has not begun and will, the next first."""
    ahead = (a for a in _not_overtaken(activations, now) if a.starts_at > now and _counts(a))
    return tuple(sorted(ahead, key=lambda a: a.starts_at))


def waiting_of(activations: Sequence[Activation], now: datetime) -> tuple[Activation, ...]:
    """What waits for a second person."""
    return tuple(a for a in _not_overtaken(activations, now) if not _counts(a))


def _not_overtaken(activations: Sequence[Activation], now: datetime) -> list[Activation]:
    """An activation ends those that were decided before it and have not begun."""
    last = max((a.activation_id for a in activations if a.starts_at <= now and _counts(a)),
               default=0)  # fmt: skip
    return [a for a in activations if a.activation_id > last]


def _counts(activation: Activation) -> bool:
    return not activation.needs_approval or activation.approved_at is not None


def show_work(gateway: Gateway, work: Work, *, status: int = 200, **facts: object) -> Response:
    """The page of a rule set with its working copy."""
    records, now, teller = gateway.records, utc_now(), Teller(gateway.region)
    newest = load_version(records, work.owner)
    active = active_version(records, work.owner, now)
    above = active_version(records, MINISTRY, now) if work.owner != MINISTRY else None
    activations = load_activations(records, work.owner)
    defaults: dict[str, Any] = {
        "begun_from": None, "done": "", "tried": (), "trouble": {}, "typed": request.form,
    }  # fmt: skip
    answer = show(
        gateway, "rule_set", status=status, work=work, newest=newest, active=active, above=above,
        owner_words=owner_words(gateway.region, work.owner), tell=teller,
        state_words=STATE_WORDS,
        is_changed=newest is None or newest.rule_set != work.rule_set,
        changes=teller.differences(active.rule_set if active else None, work.rule_set),
        planned=planned_of(activations, now),
        waiting=waiting_of(activations, now), zone=zone_of(gateway, work.owner),
        writes=writes_rules(work.owner),
        must_wait=newest is not None and waits_for_another(gateway, work.owner, newest.number),
        **(defaults | facts),
    )  # fmt: skip
    answer.set_etag(f"{work.owner}-{work.based_on}")
    return answer


def status_of(error: GatewayError) -> int:
    """The status that web/errors.py has for it."""
    return answer_of(error).status_code


def _refused(gateway: Gateway, error: RuleSetRefused) -> Response:
    why = Words(refusal_in_words(error.why, "ru"), refusal_in_words(error.why, "en"))
    title = Words("Так нельзя, ничего не изменилось", "This cannot be; nothing has changed")
    return show(
        gateway, "problem", status=status_of(error), words=(title, why), field=None, problem="",
        address="",
    )  # fmt: skip


def zone_of(gateway: Gateway, owner: str) -> ZoneInfo:
    """The owner's time zone; the home site's for the ministry."""
    region = gateway.region
    site = region.site(owner) or region.site(region.home_site)
    return ZoneInfo(site.time_zone if site else "UTC")


def _start(gateway: Gateway, owner: str, text: str) -> datetime | None:
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadRequest("starts_at", "is no date with a time") from error
    return found if found.tzinfo else found.replace(tzinfo=zone_of(gateway, owner))


def read_text(file: FileStorage | None) -> str:
    """raises BadRequest if there is no file, or if it is no text"""
    if file is None or not file.filename:
        raise BadRequest("file", "is missing: choose a YAML file")
    try:
        return file.stream.read(4 * MAX_SIZE).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadRequest("file", "is no text in UTF-8") from error


def _refused_file(gateway: Gateway, owner: str, text: str, mistakes: Sequence[Located]) -> Response:
    """Every mistake with its line; nothing has changed."""
    lines = text.splitlines()
    told = [
        (each.line, located_words(each.mistake), lines[each.line - 1][:200] if lines else "")
        for each in mistakes
    ]
    status = status_of(BadRequest("file", "has mistakes"))
    return show(
        gateway, "rule_file", status=status, owner=owner, told=told,
        owner_words=owner_words(gateway.region, owner),
    )  # fmt: skip


def _changed_meanwhile(
    gateway: Gateway, work: Work, error: RuleSetChanged, by: str, comment: str
) -> Response:
    """Nothing was saved: what the other has changed, and how to go on with one's own."""
    newest = load_version(gateway.records, work.owner)
    base = load_version(gateway.records, work.owner, work.based_on) if work.based_on else None
    begun, teller = base.rule_set if base else None, Teller(gateway.region)
    return show(
        gateway, "rule_conflict", status=status_of(error), work=work, newest=newest, by=by,
        comment=comment, owner_words=owner_words(gateway.region, work.owner),
        theirs=teller.differences(begun, newest.rule_set) if newest else [],
        mine=teller.differences(begun, work.rule_set),
        address=url_for("console.work_on_rules", owner=work.owner),
    )  # fmt: skip
