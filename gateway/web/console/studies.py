"""`/console/studies/{uid}`: one study's whole story: where it was seen, what was decided by which
rules, where it went and how, and why it did (not) go.
"""

from flask import Blueprint, Response, request

from gateway.bootstrap import Gateway
from gateway.clock import utc_now
from gateway.dicom.uids import check_uid
from gateway.errors import NotFound
from gateway.log import log
from gateway.model.access import Action
from gateway.model.routing.rule_sets import OTHERWISE
from gateway.records.arrivals import Arrived, look_again
from gateway.records.delivery_desk import Story, load_story
from gateway.records.rules import load_version
from gateway.web.console.deliveries import ABLE
from gateway.web.console.frame import (
    actor,
    back_to,
    check_site,
    did_of,
    own_form,
    reach,
    show,
    text_of,
)
from gateway.web.console.words import ACTS, MARKS
from gateway.web.permissions import needs

JUDGED_AGAIN = (Arrived.HELD, Arrived.DROPPED, Arrived.UNRULED, Arrived.FAILED, Arrived.EXEMPT)
"""What a person may have judged again; what is sent is judged again when its site says so."""


def add_routes(door: Blueprint, gateway: Gateway) -> None:
    """/console/studies/{uid}"""
    own = own_form(gateway)

    @door.get("/studies/<study_uid>")
    @needs(Action.READ_DELIVERIES)
    def study(study_uid: str) -> Response:
        story = find_story(gateway, study_uid)
        return show(
            gateway, "study", study_uid=study_uid, story=story,
            rule_names=names_of_rules(gateway, story), marks=MARKS, acts=ACTS, able=ABLE,
            judged_again=JUDGED_AGAIN, did=did_of(request.args),
        )  # fmt: skip

    @door.post("/studies/<study_uid>/judge")
    @needs(Action.RESEND)
    @own
    def judge(study_uid: str) -> Response:
        find_story(gateway, study_uid)
        site_id = text_of(request.form, "site", required=True)
        check_site(gateway, site_id)
        now, records = utc_now(), gateway.records
        count = look_again(records, site_id, now, *JUDGED_AGAIN, study_uid=study_uid)
        log.info("study judged again", study=study_uid, site=site_id, count=count, by=actor())
        return back_to("console.study", study_uid=study_uid, done="judge", count=count)


def find_story(gateway: Gateway, study_uid: str) -> Story:
    """raises BadRequest for what is no UID; NotFound if it was never seen within reach"""
    story, within = load_story(gateway.records, check_uid(study_uid, "study")), reach()
    if within is not None:
        story = Story(
            tuple(one for one in story.arrivals if one.site_id in within),
            tuple(one for one in story.deliveries if one.shown.site_id in within),
        )
    if not story.arrivals and not story.deliveries:
        raise NotFound("study")
    return story


def names_of_rules(gateway: Gateway, story: Story) -> dict[str, str]:
    """Names of the rules that decided, as they were called then, by "owner/rule id"."""
    named = [(one.rule, one.versions) for one in story.arrivals]
    named += [(one.shown.rule, one.shown.versions) for one in story.deliveries]
    found: dict[str, str] = {}
    for rule, versions in named:
        owner, _, rule_id = rule.partition("/")
        numbers = dict(part.split(":", 1) for part in versions.split() if ":" in part)
        if rule in found or not numbers.get(owner, "").isdecimal():
            continue
        version = load_version(gateway.records, owner, int(numbers[owner]))
        for one in version.rule_set.rules if version else ():
            if one.rule_id == rule_id:
                found[rule] = one.name
        if rule_id == OTHERWISE:
            found[rule] = "все остальные исследования · all other studies"
    return found
