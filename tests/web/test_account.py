"""A person's own page: sessions and viewers are seen and ended, the password is changed."""

import re

import pytest

from gateway.clock import utc_now
from gateway.model.access import Purpose, parse_post
from gateway.model.credentials import is_password
from gateway.model.sharing import LONGEST
from gateway.records.accounts import load_proof
from gateway.records.outside import save_outsider
from gateway.records.sessions import start_session
from gateway.records.sharing import add_grant
from tests.web.forms import form_to, forms_of
from tests.web.signing_in import PASSWORD
from tests.web.test_authorize import HOME, OWN_PAGE, Region, region
from tests.web.viewers import Viewer

__all__ = ["region"]
NEW = "совсем другие слова"


def page_of(browser) -> str:
    return browser.get("/account").get_data(as_text=True)


def send(browser, path: str, **values: str):
    """The form of the page with this address, and what a person adds to it."""
    place = "/account/password" if path == "/account/password" else "/account"
    form = form_to(browser.get(place).get_data(as_text=True), path)
    return browser.post(path, data=form.to_dict() | values, headers=OWN_PAGE)


def test_a_person_sees_the_other_session_with_its_viewer_and_ends_both(region: Region) -> None:
    account_id, here = region.person("homebody", "doctor@gkb1")
    there = region.browser(account_id)
    viewer = Viewer(region.client_id, HOME)
    token = region.token(viewer, there)
    page = page_of(here)
    assert page.count("В другом браузере") == 1
    assert "Допущены программы: Станция" in page
    assert send(here, "/account/sessions").status_code == 303
    assert there.get("/dicom-web/studies").status_code == 401
    assert region.studies(token).status_code == 401
    assert here.get("/dicom-web/studies").status_code == 200


def test_who_was_shown_a_study_finds_it_on_the_own_page(region: Region) -> None:
    records, now = region.gateway.records, utc_now()
    giver, _ = region.person("giver", "doctor@gkb1")
    for number, login in enumerate(("guest", "newcomer")):
        account_id, browser = region.person(login, "doctor@zlat")
        study = f"1.2.840.9.{number + 1}"
        add_grant(records, study, account_id, giver, "второе мнение", now, now + LONGEST)
        page = page_of(browser)
        assert f'href="/viewer/viewer?StudyInstanceUIDs={study}"' in page
        assert "второе мнение" in page
        assert "врач · doctor (Больница zlat)" in page


def test_all_others_are_ended_at_once(region: Region) -> None:
    account_id, here = region.person("everywhere", "doctor@gkb1")
    others = [region.browser(account_id) for _ in range(2)]
    page = page_of(here)
    forms = [form for action, form in forms_of(page) if action == "/account/sessions"]
    assert [("session" in form) for form in forms] == [True, True, False]
    assert here.post("/account/sessions", data=forms[-1], headers=OWN_PAGE).status_code == 303
    assert [one.get("/account").status_code for one in others] == [401, 401]
    assert here.get("/account").status_code == 200


def test_nobody_ends_another_persons_session(region: Region) -> None:
    owner, browser = region.person("owner", "doctor@gkb1")
    other = region.browser(owner)
    found = re.findall(r'name="session" value="([0-9a-f]{16})"', page_of(browser))
    _, stranger = region.person("stranger", "doctor@gkb1")
    region.browser(owner)
    account_id, _ = region.person("helper", "doctor@gkb1")
    mine, second = region.browser(account_id), region.browser(account_id)
    assert send(mine, "/account/sessions", session=found[0]).status_code == 303
    assert other.get("/account").status_code == 200
    assert second.get("/account").status_code == 200
    assert stranger.post("/account/sessions", data={}, headers=OWN_PAGE).status_code == 400
    assert stranger.post("/account/sessions", data={}).status_code == 403


def test_a_changed_password_ends_every_other_session(region: Region) -> None:
    account_id, here = region.person("changer", "doctor@gkb1")
    there = region.browser(account_id)
    path = "/account/password"
    for old, new, again, status, words in (
        ("wrong", NEW, NEW, 401, "Прежний пароль не подходит"),
        (PASSWORD, NEW, NEW + "x", 400, "Пароли не совпадают"),
        (PASSWORD, "short", "short", 400, "от 12 до 128"),
    ):
        answer = send(here, path, old=old, password=new, again=again)
        assert (answer.status_code, words in answer.get_data(as_text=True)) == (status, True)
        assert NEW not in answer.get_data(as_text=True)
    assert there.get("/account").status_code == 200
    assert send(here, path, old=PASSWORD, password=NEW, again=NEW).status_code == 303
    assert there.get("/account").status_code == 401
    assert here.get("/account").status_code == 200
    assert is_password(load_proof(region.gateway.records, "changer").password_hash, NEW)


def test_guesses_of_the_old_password_are_slowed_down(region: Region) -> None:
    _, here = region.person("guessed", "doctor@gkb1")
    seen = [
        send(here, "/account/password", old="wrong", password=NEW, again=NEW).status_code
        for _ in range(7)
    ]
    assert seen[0] == 401
    assert seen[-1] == 429


def test_whoever_another_issuer_vouches_for_has_no_password_here(region: Region) -> None:
    records, now = region.gateway.records, utc_now()
    posts = [parse_post("doctor@gkb1")]
    known = save_outsider(records, "https://id.example", "u1", "Имя", posts, now)
    secret = start_session(
        records, known.account_id, "::1", Purpose.TREATMENT, now, outside_sid="x"
    )
    browser = region.app.test_client()
    browser.set_cookie("gateway", secret)
    page = page_of(browser)
    assert "врач · doctor (Больница gkb1)" in page
    assert "/account/password" not in page
    answer = send(browser, "/account/password", old="", password=NEW, again=NEW)
    assert answer.status_code == 401


@pytest.mark.parametrize("path", ["/account", "/account/password"])
def test_the_pages_allow_no_script_and_no_frame(region: Region, path: str) -> None:
    _, browser = region.person(f"pages{len(path)}", "doctor@gkb1")
    answer = browser.get(path)
    policy = answer.headers["Content-Security-Policy"]
    assert "script-src" not in policy
    assert policy.startswith("default-src 'none'")
    assert "<script" not in answer.get_data(as_text=True)
    assert answer.headers["Cache-Control"] == "no-store"
