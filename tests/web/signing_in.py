"""A gateway where people and programs sign in, with accounts whose passwords the tests know."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher

from gateway.bootstrap import Gateway
from gateway.clock import utc_now
from gateway.model.access import parse_post
from gateway.model.credentials import new_totp_secret
from gateway.model.tokens import new_key
from gateway.records.accounts import add_account, save_password, save_totp
from gateway.records.clients import save_signing_key
from gateway.records.engine import Records
from gateway.records.keyring import Keyring, make_keyring
from gateway.settings import load_settings
from tests.web.indexed import indexed_gateway

PASSWORD = "лучевая диагностика 7"
HASHED = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
"""Judged at its own cost, which is hardly any: tests sign in hundreds of times."""


@contextmanager
def login_gateway(
    folder: Path, rows: Mapping[str, Any], **settings: Any
) -> Iterator[tuple[Gateway, Keyring]]:
    """As `gateway init` leaves it."""
    key_file = load_settings({}, state_dir=folder).keyring_file
    keyring = make_keyring(key_file)
    with indexed_gateway(folder, rows, access="login", **settings) as gateway:
        kid, private, public = new_key()
        save_signing_key(gateway.records, kid, keyring.seal(private), public, utc_now())
        yield gateway, keyring


def add_person(
    place: Gateway | Records, keyring: Keyring, login: str, *roles: str
) -> tuple[str, str]:
    """(account id, secret of the authenticator) of a person who has signed in before."""
    records = place if isinstance(place, Records) else place.records
    posts = [parse_post(role) for role in roles]
    until = utc_now() + timedelta(hours=1)
    account_id = add_account(records, login, "", posts, HASHED, until, utc_now())
    secret = new_totp_secret()
    save_password(records, account_id, HASHED)
    save_totp(records, account_id, keyring.seal(secret), 0)
    return account_id, secret
