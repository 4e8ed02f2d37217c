"""Passwords, codes and the wait after a wrong one."""

from datetime import UTC, datetime, timedelta

import pyotp
import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import VerifyMismatchError
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequest
from gateway.model import credentials as c

NOW = datetime(2026, 1, 31, 12, 0, 5, tzinfo=UTC)


def test_a_password_is_kept_as_argon2id_and_judged_by_it():
    hashed = c.hash_password("верный пароль 12")
    assert hashed.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert c.is_password(hashed, "верный пароль 12")
    assert not c.is_password(hashed, "другой пароль 12")


def test_where_there_is_no_account_as_much_is_computed():
    kept = c.hash_password("верный пароль 12")
    assert extract_parameters(c._OF_NOBODY) == extract_parameters(kept)
    with pytest.raises(VerifyMismatchError):  # judged to the end, not refused at a glance
        PasswordHasher().verify(c._OF_NOBODY, "верный пароль 12")


@pytest.mark.parametrize("kept", [None, "", "no hash at all"])
def test_no_password_is_right_where_none_is_kept(kept):
    assert not c.is_password(kept, "")
    assert not c.is_password(kept, "anything at all")


@pytest.mark.parametrize(
    "password",
    ["short", "x" * 129, "my-ivanova-pass", "aaaaaaaaaaaaaaaa"],
    ids=["too short", "too long", "holds the login", "one letter"],
)
def test_a_weak_password_is_refused(password):
    with pytest.raises(BadRequest, match="password"):
        c.check_new_password(password, "Ivanova")


def test_one_time_passwords_are_strong_enough_and_different():
    found = {c.new_one_time_password() for _ in range(100)}
    assert len(found) == 100
    for password in found:
        c.check_new_password(password, "admin")


def test_a_code_is_good_for_a_step_around_now_and_once():
    secret = c.new_totp_secret()
    code = pyotp.TOTP(secret).at(NOW)
    step = c.totp_step(secret, code, NOW, 0)
    assert step == int(NOW.timestamp()) // 30
    assert c.totp_step(secret, code, NOW + timedelta(seconds=30), 0) == step
    assert c.totp_step(secret, code, NOW - timedelta(seconds=30), 0) == step
    assert c.totp_step(secret, code, NOW + timedelta(seconds=90), 0) is None
    assert c.totp_step(secret, code, NOW, step) is None


@given(st.text(max_size=12))
def test_no_text_but_the_code_is_taken(text):
    secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
    codes = {pyotp.TOTP(secret).at(NOW + timedelta(seconds=n)) for n in (-30, 0, 30)}
    assert (c.totp_step(secret, text, NOW, 0) is not None) == (text in codes)


@given(
    st.sampled_from([c.OF_ACCOUNT_AT_ADDRESS, c.OF_ADDRESS, c.OF_ACCOUNT]), st.integers(0, 10**6)
)
def test_the_wait_grows_and_has_an_end(patience, failures):
    waits = patience.wait_s(failures), patience.wait_s(failures + 1)
    assert 0 <= waits[0] <= waits[1] <= patience.longest_s
    assert (waits[0] == 0) == (failures < patience.free)


def test_secrets_are_kept_as_digests():
    secret = c.new_secret()
    assert len(secret) == 43
    assert c.is_secret(c.digest(secret), secret)
    assert not c.is_secret(c.digest(secret), secret + "x")


@pytest.mark.parametrize(
    ("address", "counted_as"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("", ""),
        ("unix:", "unix:"),
    ],
)
def test_an_ipv6_caller_is_its_network_and_an_ipv4_caller_its_address(address, counted_as):
    assert c.network_of(address) == counted_as
