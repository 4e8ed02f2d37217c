"""`/console/studies/{uid}`: one study's whole story: where it was seen, what was decided by which
rules, where it went and how, and why it did (not) go.
"""

from flask import Blueprint, Response, request

from gateway.bootstrap import Gateway
from gateway.clock import utc_now
from gateway.dicom.uids import check_uid
from gateway.errors import NotFound
from gateway.log import log
from gateway.records.arrivals import Arrived, look_again
from gateway.records.delivery_desk import Story, load_story
from gateway.web.console.deliveries import ABLE
from gateway.web.console.frame import ACTOR, back_to, did_of, show, text_of
from gateway.web.console.words import ACTS, MARKS

JUDGED_AGAIN = (Arrived.HELD, Arrived.DROPPED, Arrived.UNRULED, Arrived.FAILED, Arrived.EXEMPT)
"""What a person may have judged again; what is sent is judged again when its site says so."""


def add_routes(door: Blueprint, gateway: Gateway) -> None:
    """/console/studies/{uid}"""

    @door.get("/studies/<study_uid>")
    def study(study_uid: str) -> Response:
        return show(
            gateway, "study", study_uid=study_uid, story=find_story(gateway, study_uid),
            marks=MARKS, acts=ACTS, able=ABLE, judged_again=JUDGED_AGAIN, did=did_of(request.args),
        )  # fmt: skip

    @door.post("/studies/<study_uid>/judge")
    def judge(study_uid: str) -> Response:
        find_story(gateway, study_uid)
        site_id = text_of(request.form, "site", required=True)
        if gateway.region.site(site_id) is None:
            raise NotFound("site")
        now, records = utc_now(), gateway.records
        count = look_again(records, site_id, now, *JUDGED_AGAIN, study_uid=study_uid)
        log.info("study judged again", study=study_uid, site=site_id, count=count, by=ACTOR)
        return back_to("console.study", study_uid=study_uid, done="judge", count=count)


def find_story(gateway: Gateway, study_uid: str) -> Story:
    """raises BadRequest for what is no UID; NotFound if the gateway never saw it"""
    story = load_story(gateway.records, check_uid(study_uid, "study"))
    if not story.arrivals and not story.deliveries:
        raise NotFound("study")
    return story
