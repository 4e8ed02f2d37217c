"""A study is shown to a patient by a link and to a colleague by a grant, and to nobody else
(trust.md H49-H54, H58)."""

import re
from collections.abc import Iterator
from datetime import timedelta
from html import unescape

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from gateway.clock import utc_now
from gateway.model.sharing import TRIES
from gateway.records.accounts import load_accounts
from gateway.records.audit import load_entries
from gateway.records.sharing import granted_studies, load_shares, share
from gateway.web import create_app, identity
from tests.web.indexed import uids
from tests.web.rows import ROWS, U
from tests.web.signing_in import login_gateway
from tests.web.test_sign_in import OWN_PAGE, Clinic, fill, told

CHEST, SMITH, DOE = f"{U}.1", f"{U}.2", f"{U}.3"  # at gkb1 and the archive, at gkb1, at zlat
BORN = "01.01.1970"


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    with login_gateway(tmp_path_factory.mktemp("clinic"), ROWS) as (gateway, keyring):
        yield Clinic(gateway, keyring, create_app(gateway))


@pytest.fixture(autouse=True)
def nothing_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "KEEP_S", -1.0)


@pytest.fixture(scope="module")
def doctor(clinic: Clinic) -> FlaskClient:
    return clinic.sign_in("sharer", clinic.person("sharer", "doctor@gkb1"))


def send(browser: FlaskClient, page: TestResponse, action: str, **values: str) -> TestResponse:
    """One of several forms of a page."""
    (token,) = set(re.findall(r'name="csrf_token"[^>]*value="([^"]+)"', told(page)))
    form = {"csrf_token": unescape(token)} | values
    return browser.post(action, data=form, headers=OWN_PAGE)


def a_link(doctor: FlaskClient, study: str = CHEST, **values: str) -> str:
    """The secret behind the #."""
    page = doctor.get(f"/share/{study}")
    values = {"reason": "выписка", "hours": "72"} | values
    made = send(doctor, page, f"/share/{study}/link", **values)
    assert made.status_code == 200, told(made)
    (secret,) = re.findall(r"/open#([A-Za-z0-9_-]{43})<", told(made))
    return secret


def opened(clinic: Clinic, secret: str, birth: str = BORN) -> tuple[FlaskClient, TestResponse]:
    browser = clinic.browser()
    return browser, fill(browser, browser.get("/open"), secret=secret, birth=birth)


def newest(clinic: Clinic, study: str = CHEST):
    return load_shares(clinic.gateway.records, study)[0]


def change(clinic: Clinic, share_id: str, **columns: object) -> None:
    with clinic.gateway.records.write() as connection:
        mine = share.c.share_id == share_id
        connection.execute(sa.update(share).where(mine).values(columns))


@pytest.mark.parametrize("birth", [BORN, "1970-01-01", " 01.01.1970 "])
def test_a_patient_sees_the_one_study_and_nothing_else(
    clinic: Clinic, doctor: FlaskClient, birth: str
) -> None:
    browser, answer = opened(clinic, a_link(doctor), birth)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/open/study")
    page = browser.get("/open/study")
    assert f"/viewer/viewer?StudyInstanceUIDs={CHEST}" in told(page)
    assert uids(browser.get("/dicom-web/studies")) == ["1"]
    assert uids(browser.get(f"/dicom-web/studies?StudyInstanceUID={CHEST}")) == ["1"]
    for path in (f"/dicom-web/studies/{SMITH}/series", f"/report/{DOE}"):
        assert browser.get(path).status_code == 404
    for path in (f"/share/{CHEST}", "/console/", "/account", "/upload"):
        assert browser.get(path).status_code == 403
    assert browser.post("/dicom-web/studies", headers=OWN_PAGE).status_code == 403
    cookies = answer.headers.getlist("Set-Cookie")
    assert any("HttpOnly" in one and "SameSite=Strict" in one for one in cookies)


def test_whoever_asks_the_audit_about_a_study_finds_its_links(
    clinic: Clinic, doctor: FlaskClient
) -> None:
    opened(clinic, a_link(doctor))
    opened(clinic, a_link(doctor), "02.01.1970")
    clinic.app.extensions["journal"].drain(clinic.gateway.records)
    hour = timedelta(hours=1)
    found = load_entries(
        clinic.gateway.records, study_uid=CHEST, since=utc_now() - hour, until=utc_now() + hour
    )
    told = {(one.action, one.outcome) for one in found}
    assert {("share_link", "done"), ("open_link", "done"), ("open_link", "refused")} <= told


def test_neither_the_secret_nor_the_date_is_kept(clinic: Clinic, doctor: FlaskClient) -> None:
    secret = a_link(doctor)
    with clinic.gateway.records.read() as connection:
        kept = repr(connection.execute(sa.select(share)).all())
    assert secret not in kept
    assert "19700101" not in kept


def test_looking_at_a_link_opens_nothing(clinic: Clinic, doctor: FlaskClient) -> None:
    a_link(doctor)
    page = clinic.browser().get("/open")
    assert page.status_code == 200
    assert page.headers["X-Robots-Tag"] == "noindex"
    assert newest(clinic).uses == 0


def test_a_wrong_link_and_a_wrong_date_are_told_in_the_same_words(
    clinic: Clinic, doctor: FlaskClient
) -> None:
    secret = a_link(doctor)
    answers = [
        opened(clinic, "x" * 43)[1], opened(clinic, "")[1], opened(clinic, "x" * 5000)[1],
        opened(clinic, secret, "02.01.1970")[1], opened(clinic, secret, "никогда")[1],
    ]  # fmt: skip
    assert {answer.status_code for answer in answers} == {404}
    assert len({re.sub(r'value="[^"]*"', "", told(answer)) for answer in answers}) == 1


def test_five_wrong_dates_freeze_a_link(clinic: Clinic, doctor: FlaskClient) -> None:
    secret = a_link(doctor)
    for _ in range(TRIES):
        assert opened(clinic, secret, "02.01.1970")[1].status_code == 404
    assert opened(clinic, secret)[1].status_code in (404, 429)
    assert newest(clinic).tries == TRIES
    assert "пять неверных" in told(doctor.get(f"/share/{CHEST}"))


@pytest.mark.parametrize("column", ["expires_at", "revoked_at", "not_before"])
def test_a_link_that_is_over_says_so_to_its_patient_alone(
    clinic: Clinic, doctor: FlaskClient, column: str
) -> None:
    secret = a_link(doctor)
    browser, _ = opened(clinic, secret)
    assert browser.get("/dicom-web/studies").status_code == 200
    shift = timedelta(hours=1 if column == "not_before" else -1)
    change(clinic, newest(clinic).share_id, **{column: utc_now() + shift})
    assert browser.get("/dicom-web/studies").status_code == 401
    led = browser.get("/open/study", headers={"Accept": "text/html"})
    assert (led.status_code, led.headers["Location"]) == (303, "/open")
    assert "Полчаса" in told(browser.get("/open"))
    assert opened(clinic, secret, "02.01.1970")[1].status_code == 404
    assert opened(clinic, secret)[1].status_code == 410


def test_a_doctor_revokes_what_was_shared(clinic: Clinic, doctor: FlaskClient) -> None:
    browser, _ = opened(clinic, a_link(doctor))
    page = doctor.get(f"/share/{CHEST}")
    gone = send(doctor, page, f"/share/{CHEST}/revoke", share_id=newest(clinic).share_id)
    assert gone.status_code == 303
    assert browser.get("/dicom-web/studies").status_code == 401
    page = doctor.get(f"/share/{CHEST}")
    assert send(doctor, page, f"/share/{CHEST}/revoke", share_id="nobody").status_code == 404
    assert send(doctor, page, f"/share/{SMITH}/revoke", share_id=newest(clinic).share_id
                ).status_code == 404  # fmt: skip


def test_a_colleague_sees_what_was_granted_until_it_is_revoked(
    clinic: Clinic, doctor: FlaskClient
) -> None:
    expert = clinic.sign_in("expert", clinic.person("expert", "doctor@zlat"))
    assert uids(expert.get("/dicom-web/studies")) == ["3", "4"]
    page = doctor.get(f"/share/{SMITH}")
    given = {"login": "expert", "reason": "второе мнение", "hours": "24"}
    assert send(doctor, page, f"/share/{SMITH}/grant", **given).status_code == 303
    assert "второе мнение" in told(doctor.get(f"/share/{SMITH}"))
    found = expert.get(f"/dicom-web/studies?StudyInstanceUID={SMITH}")
    assert uids(found) == ["2"]
    assert expert.get(f"/share/{SMITH}").status_code == 404
    assert uids(expert.get(f"/dicom-web/studies/{CHEST}/series")) == []
    page = doctor.get(f"/share/{SMITH}")
    send(doctor, page, f"/share/{SMITH}/revoke", share_id=newest(clinic, SMITH).share_id)
    assert uids(expert.get(f"/dicom-web/studies/{SMITH}/series")) == []


def test_files_are_given_only_where_the_doctor_says_so(clinic: Clinic, doctor: FlaskClient) -> None:
    records = clinic.gateway.records
    clinic.person("reader", "doctor@zlat")
    account_id = load_accounts(records, "reader")[0].account_id
    given = {"login": "reader", "reason": "второе мнение", "hours": "24"}
    for study, ticked, files in ((SMITH, {}, False), (CHEST, {"downloads": "y"}, True)):
        page = doctor.get(f"/share/{study}")
        assert send(doctor, page, f"/share/{study}/grant", **given, **ticked).status_code == 303
        assert ("с файлами" in told(doctor.get(f"/share/{study}"))) == files
    assert granted_studies(records, account_id, utc_now()) == {SMITH: False, CHEST: True}


@pytest.mark.parametrize(
    ("action", "values", "says"),
    [
        ("link", {"reason": "", "hours": "72"}, "Напишите, зачем"),
        ("link", {"reason": "выписка", "hours": "721"}, "От 1 до 720"),
        ("link", {"reason": "выписка", "hours": "٣"}, "От 1 до 720"),
        ("grant", {"reason": "мнение", "hours": "1", "login": "nobody"}, "такого имени"),
    ],
)
def test_a_mistake_is_told_beside_the_form(
    doctor: FlaskClient, action: str, values: dict[str, str], says: str
) -> None:
    page = doctor.get(f"/share/{CHEST}")
    answer = send(doctor, page, f"/share/{CHEST}/{action}", **values)
    assert answer.status_code == 400
    assert says.lower() in told(answer).lower()


def test_a_study_without_a_date_of_birth_gets_no_link(clinic: Clinic, doctor: FlaskClient) -> None:
    page = doctor.get(f"/share/{SMITH}")
    answer = send(doctor, page, f"/share/{SMITH}/link", reason="выписка", hours="1")
    assert answer.status_code == 400
    assert "нет даты рождения" in told(answer)


def test_nobody_shares_what_another_hospital_holds(clinic: Clinic, doctor: FlaskClient) -> None:
    for study in (DOE, f"{U}.99"):
        page = doctor.get(f"/share/{CHEST}")
        assert doctor.get(f"/share/{study}").status_code == 404
        made = send(doctor, page, f"/share/{study}/link", reason="выписка", hours="1")
        assert made.status_code == 404
    it = clinic.sign_in("sharing-it", clinic.person("sharing-it", "hospital_it@gkb1"))
    assert it.get(f"/share/{CHEST}").status_code == 403


def test_what_another_page_sends_shares_nothing(clinic: Clinic, doctor: FlaskClient) -> None:
    before = len(load_shares(clinic.gateway.records, CHEST))
    form = {"reason": "выписка", "hours": "1"}
    assert doctor.post(f"/share/{CHEST}/link", data=form, headers=OWN_PAGE).status_code == 400
    evil = {"Origin": "https://evil.example"}
    assert doctor.post(f"/share/{CHEST}/link", data=form, headers=evil).status_code == 403
    assert len(load_shares(clinic.gateway.records, CHEST)) == before
