"""`/console/find`: a study by the number that a person reads from a paper or hears on the phone.

The number may be a patient's, so it comes in a form's body: no address, no log and no history of a
browser has it. What is found is shown by UIDs, dates and states.
"""

from flask import Blueprint, Response, request

from gateway.bootstrap import Gateway
from gateway.errors import BadRequest
from gateway.log import log
from gateway.model.access import Action
from gateway.records.finding import find_studies
from gateway.web.console.frame import actor, back_to, own_form, reach, show, text_of
from gateway.web.console.words import MARKS
from gateway.web.permissions import needs

MOST = 50
LONGEST = 64  # letters of an AccessionNumber, a PatientID or a UID (PS3.5 6.2)


def add_routes(door: Blueprint, gateway: Gateway) -> None:
    """/console/find"""
    own = own_form(gateway)

    @door.get("/find")
    @needs(Action.READ_DELIVERIES)
    def no_search() -> Response:
        return back_to("console.deliveries")

    @door.post("/find")
    @needs(Action.READ_DELIVERIES)
    @own
    def find() -> Response:
        words = text_of(request.form, "number", required=True)
        if len(words) > LONGEST:
            raise BadRequest("number", f"is longer than {LONGEST} letters")
        found = find_studies(gateway.records, words, reach(), MOST + 1)
        log.info("study looked for", found=len(found), by=actor())
        if len({one.study_uid for one in found}) == 1 and found[0].arrived:
            return back_to("console.study", study_uid=found[0].study_uid)
        return show(
            gateway,
            "found",
            words=words,
            rows=found[:MOST],
            more=len(found) > MOST,
            marks=MARKS,
            archives={site.site_id for site in gateway.region.sites if site.role == "archive"},
        )
