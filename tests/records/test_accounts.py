"""Accounts, sessions and clients, on both databases."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.errors import AccountRefused, RecordsRefused, SettingsError, TooManyTries
from gateway.model.access import Post, Purpose, Role, parse_post
from gateway.model.credentials import OF_ACCOUNT, OF_ACCOUNT_AT_ADDRESS, OF_ADDRESS, OF_CODE
from gateway.records import accounts, clients, sessions
from gateway.records.keyring import Keyring, load_keyring, make_keyring

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
HOME, ELSEWHERE = "192.0.2.1", "198.51.100.7"
DOCTOR = parse_post("doctor@north")


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def add(records, login="ivanova", *posts):
    until = NOW + timedelta(hours=72)
    return accounts.add_account(records, login, "Иванова", posts or (DOCTOR,), "hash", until, NOW)


def test_an_account_has_a_login_of_its_own_whatever_its_case(records):
    account_id = add(records, " Ivanova")
    with pytest.raises(AccountRefused, match="login"):
        add(records, "IVANOVA")
    (found,) = accounts.load_accounts(records)
    assert (found.account_id, found.login, found.posts) == (account_id, "ivanova", (DOCTOR,))
    assert accounts.find_account(records, "iVanova") == found


@pytest.mark.parametrize("login", ["", " ", "a b", "a\nb", "x" * 65])
def test_what_is_no_login_is_refused(records, login):
    with pytest.raises(AccountRefused, match="login"):
        add(records, login)


@pytest.mark.parametrize(
    ("posts", "why"),
    [
        ([Post(Role.PATIENT)], "posts"),
        ([Post(Role.OPERATOR)], "posts"),
        ([Post(Role.SERVICE)], "posts"),
        ([Post(Role.MINISTRY), DOCTOR], "ministry"),
    ],
    ids=["patient", "operator", "service", "ministry and doctor"],
)
def test_posts_that_an_account_cannot_have_are_refused(records, posts, why):
    with pytest.raises(AccountRefused, match=why):
        add(records, "ivanova", *posts)
    account_id = add(records)
    with pytest.raises(AccountRefused, match=why):
        accounts.save_posts(records, account_id, posts)
    with pytest.raises(AccountRefused, match="posts"):
        accounts.save_posts(records, account_id, [])


def test_a_code_is_taken_once(records):
    account_id = add(records)
    accounts.save_totp(records, account_id, "sealed", 10)
    assert [accounts.take_totp_step(records, account_id, n) for n in (11, 11, 10)] == [
        True,
        False,
        False,
    ]


def fail(records, login, address, count, known=False, begin=NOW):
    """Wrong tries, each as soon as it is judged; returns when the last one was."""
    now = begin
    for _ in range(count):
        try:
            accounts.begin_try(records, login, address, known, now)
        except TooManyTries as error:
            now += seconds(error.wait_s)
            accounts.begin_try(records, login, address, known, now)
    return now


def wait_of(records, login, address, now, known=False):
    try:
        accounts.begin_try(records, login, address, known, now)
    except TooManyTries as error:
        return error.wait_s
    return 0.0


def test_after_some_wrong_tries_each_further_one_waits_longer(records):
    now = fail(records, "ivanova", HOME, OF_ACCOUNT_AT_ADDRESS.free)
    assert now == NOW
    waits = []
    for _ in range(12):
        waits.append(wait_of(records, "ivanova", HOME, now))
        now += seconds(waits[-1])
        accounts.begin_try(records, "ivanova", HOME, False, now)
    assert waits[:4] == [2.0, 4.0, 8.0, 16.0]
    assert waits[-1] == OF_ACCOUNT_AT_ADDRESS.longest_s


def test_wrong_tries_elsewhere_do_not_hold_up_the_owner(records):
    now = NOW
    for n in range(OF_ACCOUNT.free + 20):
        now = fail(records, "ivanova", f"198.51.100.{n}", 1, begin=now)
    assert wait_of(records, "ivanova", ELSEWHERE, now) > 0
    assert wait_of(records, "ivanova", HOME, now, known=True) == 0


def test_codes_are_guessed_from_many_addresses_no_faster_than_from_one(records):
    for n in range(OF_CODE.free):
        accounts.begin_try(records, "ivanova", f"198.51.100.{n}", False, NOW, at_code=True)
        accounts.end_try(records, "ivanova", f"198.51.100.{n}", is_in=False)  # the password
    with pytest.raises(TooManyTries):
        accounts.begin_try(records, "ivanova", ELSEWHERE, False, NOW, at_code=True)
    accounts.begin_try(records, "ivanova", HOME, True, NOW, at_code=True)
    accounts.begin_try(records, "ivanova", ELSEWHERE, False, NOW)  # at the password nobody waits


def test_who_has_a_network_of_addresses_is_one_caller(records):
    now = NOW
    for n in range(OF_ACCOUNT_AT_ADDRESS.free):
        now = fail(records, "ivanova", f"2001:db8:1:2::{n:x}", 1, begin=now)
    assert wait_of(records, "ivanova", "2001:db8:1:2:ffff::9", now) > 0
    assert wait_of(records, "ivanova", "2001:db8:1:3::1", now) == 0


def test_an_address_that_guesses_many_logins_waits(records):
    for n in range(OF_ADDRESS.free):
        accounts.begin_try(records, f"someone{n}", HOME, False, NOW)
    assert wait_of(records, "another", HOME, NOW) == OF_ADDRESS.first_s
    assert wait_of(records, "another", ELSEWHERE, NOW) == 0


def test_a_right_try_is_forgotten_and_so_are_wrong_ones_in_time(records):
    for _ in range(60):  # a hospital behind one address, people who know their passwords
        accounts.begin_try(records, "ivanova", HOME, False, NOW)
        accounts.end_try(records, "ivanova", HOME)
    assert wait_of(records, "ivanova", HOME, NOW) == 0
    later = fail(records, "ivanova", HOME, 8) + seconds(2 * OF_ACCOUNT_AT_ADDRESS.longest_s + 1)
    assert wait_of(records, "ivanova", HOME, later) == 0
    assert accounts.forget_tries(records, later + timedelta(days=1)) > 0


def test_a_session_ends_when_idle_and_after_its_longest(records):
    account_id = add(records)
    secret = sessions.start_session(records, account_id, HOME, Purpose.TREATMENT, NOW)
    now, end = NOW, NOW + sessions.LONGEST
    while now + seconds(1200) < end:
        now += seconds(1200)
        found = sessions.load_session(records, secret, now)
        assert found is not None
        sessions.save_seen(records, found, now)
    assert sessions.load_session(records, secret, end) is None
    idle = sessions.start_session(records, account_id, HOME, Purpose.TREATMENT, NOW)
    assert sessions.load_session(records, idle, NOW + sessions.IDLE) is None


def test_a_session_ends_at_sign_out_and_when_its_account_is_shut(records):
    account_id = add(records)
    first, second, third = (
        sessions.start_session(records, account_id, HOME, Purpose.EMERGENCY, NOW) for _ in range(3)
    )
    found = sessions.load_session(records, first, NOW)
    assert found is not None
    assert (found.posts, found.purpose) == ((DOCTOR,), Purpose.EMERGENCY)
    sessions.end_session(records, first, NOW)
    assert sessions.load_session(records, first, NOW) is None
    accounts.save_lock(records, account_id, NOW)
    assert sessions.load_session(records, second, NOW) is None
    accounts.save_lock(records, account_id, None)
    sessions.end_sessions(records, account_id, NOW)
    assert sessions.load_session(records, third, NOW) is None
    assert sessions.load_session(records, "nothing", NOW) is None


def test_an_address_is_known_for_some_months(records):
    account_id = add(records)
    sessions.start_session(records, account_id, HOME, Purpose.TREATMENT, NOW)
    assert sessions.is_known_address(records, account_id, HOME, NOW)
    assert not sessions.is_known_address(records, account_id, ELSEWHERE, NOW)
    later = NOW + sessions.KNOWN_FOR + seconds(1)
    assert not sessions.is_known_address(records, account_id, HOME, later)
    assert sessions.forget_sessions(records, later) == 1


def test_a_client_proves_itself_until_it_is_revoked(records):
    client_id, secret = clients.add_client(records, "Шлюз МИС", "north", NOW)
    found = clients.prove_client(records, client_id, secret)
    assert found is not None
    assert [str(post) for post in found.posts] == ["service@north"]
    assert clients.prove_client(records, client_id, "") is None
    assert clients.prove_client(records, "unknown", secret) is None
    clients.revoke_client(records, client_id, NOW)
    assert clients.prove_client(records, client_id, secret) is None
    assert clients.load_refused(records) == (frozenset(), {client_id})
    with pytest.raises(AccountRefused, match="unknown"):
        clients.revoke_client(records, client_id, NOW)


def test_withdrawn_tokens_are_known_until_their_end(records):
    clients.withdraw_token(records, "one", NOW + seconds(60), NOW)
    clients.withdraw_token(records, "one", NOW + seconds(60), NOW)
    assert clients.load_refused(records)[0] == {"one"}
    clients.withdraw_token(records, "two", NOW + seconds(7200), NOW + seconds(61))
    assert clients.load_refused(records)[0] == {"two"}


def test_what_is_sealed_is_of_no_use_without_the_key(tmp_path):
    ring = make_keyring(tmp_path / "inside" / "gateway.key")
    sealed = ring.seal("JBSWY3DPEHPK3PXP")
    assert "JBSWY" not in sealed
    assert load_keyring(tmp_path / "inside" / "gateway.key").unseal(sealed) == "JBSWY3DPEHPK3PXP"
    assert make_keyring(tmp_path / "inside" / "gateway.key").unseal(sealed) == "JBSWY3DPEHPK3PXP"
    with pytest.raises(RecordsRefused, match="another key"):
        Keyring(b"\1" * 32).unseal(sealed)
    assert ring.derived("one") != ring.derived("two")


def test_a_key_file_that_others_may_read_is_refused(tmp_path):
    make_keyring(tmp_path / "key")
    (tmp_path / "key").chmod(0o640)
    with pytest.raises(SettingsError, match="chmod 600"):
        load_keyring(tmp_path / "key")
    with pytest.raises(SettingsError, match="gateway init"):
        load_keyring(tmp_path / "none")
    (tmp_path / "short").write_text("c2hvcnQ=")
    (tmp_path / "short").chmod(0o600)
    with pytest.raises(SettingsError, match="no key"):
        load_keyring(tmp_path / "short")
