"""Accounts that another issuer vouches for: one for each subject, shut and signed out as others."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.errors import AccountRefused
from gateway.model.access import Purpose, parse_post
from gateway.records.accounts import load_accounts, load_proof, save_lock, save_password
from gateway.records.outside import (
    find_outsider,
    save_outsider,
    sign_out_session,
    sign_out_subject,
)
from gateway.records.sessions import load_session, start_session

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
ISSUER, OTHER = "https://id.example", "https://id2.example"
DOCTOR, IT = parse_post("doctor@north"), parse_post("hospital_it@north")


def begin(records, account_id: str, sid: str) -> str:
    return start_session(records, account_id, "::1", Purpose.TREATMENT, NOW, outside_sid=sid)


def is_in(records, secret: str) -> bool:
    return load_session(records, secret, LATER) is not None


def test_a_subject_has_one_account_with_the_posts_of_the_last_time(records):
    first = save_outsider(records, ISSUER, "u1", "Иванова", [DOCTOR, IT], NOW)
    again = save_outsider(records, ISSUER, "u1", "Петрова", [DOCTOR], LATER)
    other = save_outsider(records, OTHER, "u1", "Иванова", [], NOW)
    assert first.account_id == again.account_id != other.account_id
    named = {one.account_id: one for one in load_accounts(records)}
    assert (named[first.account_id].name, named[first.account_id].posts) == ("Петрова", (DOCTOR,))
    assert named[other.account_id].posts == ()
    assert find_outsider(records, ISSUER, "u2") is None


def test_there_is_no_password_to_be_guessed_or_given(records):
    known = save_outsider(records, ISSUER, "u1", "Иванова", [DOCTOR], NOW)
    (listed,) = load_accounts(records)
    assert load_proof(records, listed.login).password_hash == ""
    with pytest.raises(AccountRefused) as caught:
        save_password(records, known.account_id, "x")
    assert caught.value.why == "outside"


def test_a_shut_account_is_seen_as_such(records):
    known = save_outsider(records, ISSUER, "u1", "Иванова", [DOCTOR], NOW)
    save_lock(records, known.account_id, NOW)
    assert save_outsider(records, ISSUER, "u1", "Иванова", [DOCTOR], LATER).locked
    assert find_outsider(records, ISSUER, "u1").locked


def test_a_subject_that_signs_out_is_out_everywhere_and_a_session_only_there(records):
    one = save_outsider(records, ISSUER, "u1", "Иванова", [DOCTOR], NOW).account_id
    two = save_outsider(records, ISSUER, "u2", "Петрова", [DOCTOR], NOW).account_id
    here, there, other = (begin(records, *of) for of in ((one, "s1"), (one, "s2"), (two, "s3")))
    assert sign_out_session(records, "s1", LATER) == {one}
    assert [is_in(records, secret) for secret in (here, there, other)] == [False, True, True]
    assert sign_out_session(records, "s1", LATER) == frozenset()
    assert sign_out_subject(records, ISSUER, "u1", LATER) == {one}
    assert [is_in(records, secret) for secret in (here, there, other)] == [False, False, True]
    assert find_outsider(records, ISSUER, "u1").signed_out_at == LATER
    assert sign_out_subject(records, ISSUER, "nobody", LATER) == frozenset()
