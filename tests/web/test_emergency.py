"""A doctor breaks the glass: at once, for one study, loudly, and somebody looks at it later."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from gateway.clock import utc_now
from gateway.model.alarms import EMERGENCY_ACCESS
from gateway.model.sharing import Kind
from gateway.records.alarms import load_alarms
from gateway.records.audit import load_entries
from gateway.records.sharing import granted_studies, load_emergencies, share
from gateway.records.studies import study
from tests.web.forms import form_to, forms_of
from tests.web.indexed import uids
from tests.web.test_permissions import DOE, SMITH
from tests.web.test_step_up import OLD, Clinic, clinic, post

__all__ = ["clinic"]
WHY = "инсульт, больной без сознания"


@pytest.fixture(scope="module")
def auditor(clinic: Clinic) -> FlaskClient:
    return clinic.person("reviewer", "auditor")[0]


def take(browser: FlaskClient, number: str, reason: str = WHY) -> TestResponse:
    form = form_to(browser.get("/emergency").text, "/emergency").to_dict()
    return post(browser, "/emergency", form | {"number": number, "reason": reason})


def open_alarms(clinic: Clinic) -> dict[str, dict]:
    listed = load_alarms(clinic.gateway.records)
    return {one.subject: one.facts for one in listed if one.kind == EMERGENCY_ACCESS}


def review(browser: FlaskClient, share_id: str, found: str) -> TestResponse:
    page = browser.get("/audit/emergencies").text
    form = next(inputs for _, inputs in forms_of(page) if inputs.get("share_id") == share_id)
    return post(browser, "/audit/emergencies", form.to_dict() | {"found": found})


def sees(browser: FlaskClient, study: str) -> bool:
    """By the index; the hospitals themselves are away, so what it does not hold is a 503."""
    answer = browser.get(f"/dicom-web/studies?StudyInstanceUID={study}")
    return answer.status_code == 200 and uids(answer) == ["2"]


def test_one_study_opens_at_once_with_an_alarm_until_an_auditor_has_looked(
    clinic: Clinic, auditor: FlaskClient
) -> None:
    browser, account_id, _ = clinic.person("hurried", "doctor@zlat", ago=OLD)
    assert not sees(browser, SMITH)
    went = take(browser, SMITH)
    assert (went.status_code, went.headers["Location"]) == (
        303, f"/viewer/viewer?StudyInstanceUIDs={SMITH}",
    )  # fmt: skip
    assert sees(browser, SMITH)
    assert granted_studies(clinic.gateway.records, account_id, utc_now()) == {SMITH: False}
    (one,) = [e for e in load_emergencies(clinic.gateway.records) if e.whom == account_id]
    assert (one.kind, one.reason, one.expires_at - one.made_at) == (
        Kind.EMERGENCY, WHY, timedelta(hours=4),
    )  # fmt: skip
    assert open_alarms(clinic)[one.share_id] == {"account": account_id, "study": SMITH}
    assert WHY in auditor.get("/audit/emergencies").text
    went.close()
    clinic.app.extensions["journal"].drain(clinic.gateway.records)
    hour = timedelta(hours=1)
    of_study = load_entries(
        clinic.gateway.records, study_uid=SMITH, actor=account_id, since=utc_now() - hour,
        until=utc_now() + hour,
    )  # fmt: skip
    assert [(e.action, e.outcome) for e in of_study if e.action != "search"] == [
        ("break_glass", "done")
    ]
    assert review(auditor, one.share_id, "").status_code == 400
    assert one.share_id in open_alarms(clinic)
    assert review(auditor, one.share_id, "обоснованно, звонили врачу").status_code == 303
    assert one.share_id not in open_alarms(clinic)
    page = auditor.get("/audit/emergencies").text
    assert "обоснованно, звонили врачу" in page
    assert one.share_id not in page  # once


def test_it_is_over_after_four_hours(clinic: Clinic) -> None:
    browser, account_id, _ = clinic.person("slow", "doctor@zlat")
    assert take(browser, SMITH).status_code == 303
    with clinic.gateway.records.write() as connection:
        mine = sa.update(share).where(share.c.whom == account_id)
        connection.execute(mine.values(expires_at=utc_now()))
    assert not sees(browser, SMITH)


@pytest.mark.parametrize(
    ("number", "reason", "status", "says"),
    [
        (SMITH, "надо", 400, "почему нельзя ждать"),
        ("1.2.3.4", WHY, 404, "нет"),
        ("", WHY, 404, "нет"),
        ("%", WHY, 404, "нет"),
        ("*", WHY, 404, "нет"),
    ],
    ids=["no reason", "unknown", "nothing", "a sign", "another sign"],
)
def test_a_mistake_opens_nothing(
    clinic: Clinic, number: str, reason: str, status: int, says: str
) -> None:
    before = len(load_emergencies(clinic.gateway.records))
    browser, _, _ = clinic.person(f"clumsy{hash((number, reason))}", "doctor@zlat")
    answer = take(browser, number, reason)
    assert (answer.status_code, says in answer.text) == (status, True)
    assert len(load_emergencies(clinic.gateway.records)) == before


def test_only_doctors_break_the_glass_and_only_auditors_review(clinic: Clinic) -> None:
    for role in ("auditor", "regional_admin", "hospital_it@zlat", "ministry"):
        browser, _, _ = clinic.person(f"no-{role}", role)
        assert browser.get("/emergency").status_code == 403
    browser, _, _ = clinic.person("curious", "doctor@zlat")
    assert browser.get("/audit/emergencies").status_code == 403


def test_nobody_reviews_their_own(clinic: Clinic) -> None:
    both, account_id, _ = clinic.person("both", "doctor@zlat", "auditor")
    assert take(both, SMITH).status_code == 303
    (one,) = [e for e in load_emergencies(clinic.gateway.records) if e.whom == account_id]
    assert review(both, one.share_id, "всё в порядке").status_code == 400
    assert one.share_id in open_alarms(clinic)


def test_of_several_studies_with_one_number_the_doctor_chooses(clinic: Clinic) -> None:
    with clinic.gateway.records.write() as connection:
        renamed = sa.update(study).where(study.c.study_uid.in_([SMITH, DOE]))
        connection.execute(renamed.values(accession_number="A-77"))
    browser, account_id, _ = clinic.person("chooser", "doctor@zlat")
    page = take(browser, "A-77")
    offered = {form["number"]: form for _, form in forms_of(page.text)}
    assert set(offered) == {SMITH, DOE}
    assert account_id not in [one.whom for one in load_emergencies(clinic.gateway.records)]
    assert post(browser, "/emergency", offered[SMITH].to_dict()).status_code == 303
    assert sees(browser, SMITH)
