"""Who sees the pages and who puts things right, by people who have really signed in."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from html import unescape

import pytest
from flask.testing import FlaskClient

from gateway.clock import utc_now
from gateway.records.evidence import load_senders
from gateway.records.fingerprints import load_fingerprints
from gateway.web import create_app
from tests.sightings import Region, a_study
from tests.web.forms import form_to, forms_of
from tests.web.rollout.region import write_region
from tests.web.signing_in import login_gateway
from tests.web.test_sign_in import Clinic

ORIGIN = "http://127.0.0.1:8080"
HTML = "text/html"
MOST_PAGES = 60
ALSO = ("/static/", "/viewer/")
"""Files of the pages, and the viewer, which not every test region has."""
PEOPLE = {
    "ministry": "ministry", "admin": "regional_admin", "it": "hospital_it@gkb1",
    "other": "hospital_it@zlat", "doctor": "doctor@gkb1", "auditor": "auditor",
}  # fmt: skip
SEEN = {
    "": (200, 200, 403, 403, 403, 403),
    "/facilities": (200, 200, 403, 403, 403, 403),
    "/facilities/f000": (200, 200, 200, 404, 403, 403),
    "/facilities/f001": (200, 200, 404, 200, 403, 403),
    "/facilities/f002": (200, 200, 404, 404, 403, 403),
    "/discrepancies": (200, 200, 403, 403, 403, 403),
    "/programme": (200, 200, 403, 403, 403, 403),
    "/report": (200, 200, 403, 403, 403, 403),
    "/report.xlsx": (200, 200, 403, 403, 403, 403),
}


@dataclass
class Desk(Clinic):
    """A region and the browsers of its people, each signed in."""

    browsers: dict[str, FlaskClient]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    rows: dict[str, list] = {"gkb1": [], "zlat": []}
    with login_gateway(tmp_path_factory.mktemp("roles"), rows) as (gateway, keyring):
        write_region(gateway.records, facilities=8, months=1)
        studies = [a_study(1), a_study(2, {"Manufacturer": "FUJI", "DeviceSerialNumber": "77"})]
        Region(gateway.records).show(*studies, now=utc_now() - timedelta(days=1))
        at_zlat = a_study(3, {"Manufacturer": "GE", "DeviceSerialNumber": "5"})
        Region(gateway.records).show(at_zlat, site_id="zlat", now=utc_now() - timedelta(days=1))
        clinic = Desk(gateway, keyring, create_app(gateway), {})
        for login, post in PEOPLE.items():
            clinic.browsers[login] = clinic.sign_in(login, clinic.person(login, post))
            clinic.browsers[login].environ_base["HTTP_ORIGIN"] = ORIGIN
        yield clinic


@pytest.mark.parametrize(("path", "statuses"), SEEN.items(), ids=list(SEEN))
def test_a_page_is_for_those_whose_it_is(desk: Desk, path: str, statuses: tuple[int, ...]) -> None:
    found = [desk.browsers[who].get(f"/rollout{path}").status_code for who in PEOPLE]
    assert tuple(found) == statuses


def test_the_ministry_opens_no_study(desk: Desk) -> None:
    answer = desk.browsers["ministry"].get("/dicom-web/studies")
    assert answer.status_code == 403


def test_hospital_it_sees_no_link_that_leads_to_a_refusal(desk: Desk) -> None:
    page = desk.browsers["it"].get("/rollout/facilities/f000").text
    nav = page.partition("<nav")[2].partition("</nav>")[0]
    assert "/rollout/report" not in nav


@pytest.mark.parametrize("who", PEOPLE)
def test_from_the_own_page_no_link_leads_to_a_refusal(desk: Desk, who: str) -> None:
    browser, seen, todo = desk.browsers[who], set[str](), ["/account"]
    refused: dict[str, int] = {}
    while todo and len(seen) < MOST_PAGES:
        path = todo.pop(0)
        seen.add(path)
        with browser.get(path) as answer:
            page = answer.text if answer.mimetype == HTML else ""
        if answer.status_code >= 400:
            refused[path] = answer.status_code
        found = {unescape(one) for one in re.findall(r'href="(/[^"#]*)', page)}
        todo += sorted(one for one in found - seen - set(todo) if not one.startswith(ALSO))
    assert refused == {}
    assert len(seen) > 3


def test_who_is_refused_is_told_what_to_do_in_words_of_these_pages(desk: Desk) -> None:
    refused = desk.browsers["doctor"].get("/rollout")
    assert refused.status_code == 403
    assert "Роли даёт администратор региона" in refused.text
    assert 'href="/account"' in refused.text


def test_a_sender_is_told_whose_it_is_and_the_word_is_taken_back(desk: Desk) -> None:
    ministry, records = desk.browsers["ministry"], desk.gateway.records
    page = ministry.get("/rollout/discrepancies?lang=en").text
    number = next(
        one.sender_id for one in load_senders(records, utc_now().date())
        if one.sender.manufacturer == "FUJI"
    )  # fmt: skip
    form = form_to(page, f"/senders/{number}/accept")
    form["unit_id"] = "u000-0"
    answer = ministry.post(f"/rollout/senders/{number}/accept", data=form)
    assert (answer.status_code, answer.location) == (
        303, "/rollout/discrepancies?done=accept&lang=en#senders",
    )  # fmt: skip
    page = ministry.get(answer.location).text
    assert f'id="sender-{number}"' not in page
    assert "Accepted: these images" in page
    (said,) = load_fingerprints(records)
    assert (said.unit_id, said.serial) == ("u000-0", "77")
    page = ministry.get("/rollout/facilities/f000").text
    address, form = next(one for one in forms_of(page) if one[0].endswith("/undo"))
    assert ministry.post(address, data=form).status_code == 303
    assert load_fingerprints(records) == []


def test_the_ministry_reads_no_free_text_of_an_image(desk: Desk) -> None:
    """Names of stations and serial numbers: one could hold a patient's name."""
    found = {
        who: "№ <bdi>0042</bdi>" in desk.browsers[who].get("/rollout/discrepancies").text
        for who in ("ministry", "admin")
    }
    assert found == {"ministry": False, "admin": True}


def test_a_sender_is_nobodys_only_with_a_reason(desk: Desk) -> None:
    ministry, records = desk.browsers["ministry"], desk.gateway.records
    page = ministry.get("/rollout/discrepancies").text
    number = load_senders(records, utc_now().date())[0].sender_id
    form = form_to(page, f"/senders/{number}/ignore")
    address = f"/rollout/senders/{number}/ignore"
    assert ministry.post(address, data={**form.to_dict(), "reason": " "}).status_code == 400
    assert ministry.post(address, data={**form.to_dict(), "reason": "фантом"}).status_code == 303
    page = ministry.get("/rollout/discrepancies").text
    assert "фантом" in page
    assert f'id="sender-{number}"' not in page
    address, form = next(one for one in forms_of(page) if one[0].endswith("/heed"))
    assert ministry.post(address, data=form).status_code == 303


@pytest.mark.parametrize(
    ("unit", "status"), [("u001-0", 400), ("u000-0", 303)], ids=["a foreign unit", "its own"]
)
def test_hospital_it_speaks_for_its_own_machines(desk: Desk, unit: str, status: int) -> None:
    page = desk.browsers["it"].get("/rollout/facilities/f000").text
    address, form = next(one for one in forms_of(page) if one[0].endswith("/accept"))
    answer = desk.browsers["it"].post(address, data={**form.to_dict(), "unit_id": unit})
    assert answer.status_code == status
    if status == 303:
        assert answer.location == "/rollout/facilities/f000?done=accept#senders"


def test_hospital_it_does_not_speak_for_the_machines_of_others(desk: Desk) -> None:
    page = desk.browsers["other"].get("/rollout/facilities/f001").text
    form = form_to(page, "/accept")
    numbers = {
        one.sender.site_id: one.sender_id
        for one in load_senders(desk.gateway.records, utc_now().date())
    }
    answer = desk.browsers["other"].post(
        f"/rollout/senders/{numbers['gkb1']}/accept", data={**form.to_dict(), "unit_id": "u001-0"}
    )
    assert answer.status_code == 404


@pytest.mark.parametrize("who", ["doctor", "auditor"])
def test_who_does_not_write_the_register_says_nothing(desk: Desk, who: str) -> None:
    answer = desk.browsers[who].post("/rollout/senders/1/accept", data={"unit_id": "u000-0"})
    assert answer.status_code == 403


def test_a_form_of_another_page_changes_nothing(desk: Desk) -> None:
    ministry = desk.browsers["ministry"]
    number = load_senders(desk.gateway.records, utc_now().date())[0].sender_id
    address = f"/rollout/senders/{number}/ignore"
    answer = ministry.post(address, data={"reason": "x"}, headers={"Origin": "https://evil"})
    assert answer.status_code == 403
    assert ministry.post(address, data={"reason": "x"}).status_code == 403
