"""Accounts of people: who they are, which posts they have, how they prove it, and wrong tries.

A password is kept as argon2id, the authenticator's secret sealed with the gateway's key. Sessions
are in records/sessions.py, machines in records/clients.py.
"""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from gateway.errors import AccountRefused, TooManyTries
from gateway.model.access import ACCOUNT_ROLES, Post, Role
from gateway.model.credentials import (
    OF_ACCOUNT,
    OF_ACCOUNT_AT_ADDRESS,
    OF_ADDRESS,
    OF_CODE,
    Patience,
    network_of,
    new_id,
)
from gateway.records.engine import Records, UtcDateTime, metadata

account = sa.Table(
    "account",
    metadata,
    sa.Column("account_id", sa.String(16), primary_key=True),
    sa.Column("login", sa.String(64), nullable=False, unique=True),  # in lower case
    sa.Column("name", sa.String(128), nullable=False),
    sa.Column("password_hash", sa.String(256), nullable=False),
    sa.Column("one_time_until", UtcDateTime),  # of a password that must be changed; else NULL
    sa.Column("totp_sealed", sa.Text, nullable=False),  # "": no authenticator yet
    sa.Column("totp_step", sa.BigInteger, nullable=False),  # of the last code that was taken
    sa.Column("locked_at", UtcDateTime),
    sa.Column("made_at", UtcDateTime, nullable=False),
)
account_post = sa.Table(
    "account_post",
    metadata,
    sa.Column(
        "account_id", sa.ForeignKey("account.account_id", ondelete="CASCADE"), primary_key=True
    ),
    sa.Column("role", sa.String(32), primary_key=True),
    sa.Column("site_id", sa.String(32), primary_key=True),  # "*": the whole region
)
NO_LINK = "link ?"
"""As whose tries those with a link that does not exist are counted, all together."""
wrong_try = sa.Table(
    "wrong_try",
    metadata,
    sa.Column("subject", sa.String(80), primary_key=True),  # a digest, see _subjects
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("last_at", UtcDateTime, nullable=False),
)


@dataclass(frozen=True)
class Account:
    """A person's account, as lists show it."""

    account_id: str
    login: str
    name: str
    posts: tuple[Post, ...]
    one_time_until: datetime | None
    locked_at: datetime | None
    made_at: datetime
    has_totp: bool


@dataclass(frozen=True, repr=False)
class Proof:
    """What a sign-in is judged by."""

    account_id: str
    password_hash: str
    one_time_until: datetime | None
    totp_sealed: str
    totp_step: int
    locked: bool


def check_posts(posts: Collection[Post]) -> None:
    """raises AccountRefused: no post, one that accounts do not have, or ministry and another"""
    roles = {post.role for post in posts}
    if not roles or not roles <= set(ACCOUNT_ROLES):
        raise AccountRefused("posts")
    if Role.MINISTRY in roles and len(roles) > 1:
        raise AccountRefused("ministry")


def add_account(
    records: Records, login: str, name: str, posts: Collection[Post], hashed: str,
    one_time_until: datetime, now: datetime,
) -> str:  # fmt: skip
    """A new account with a one-time password; returns its id. raises AccountRefused ("login",
    "posts", "ministry")
    """
    login = login.strip().lower()
    if not login or len(login) > 64 or not login.isprintable() or any(c.isspace() for c in login):
        raise AccountRefused("login")
    check_posts(posts)
    row = {
        "account_id": new_id(), "login": login, "name": name[:128], "password_hash": hashed,
        "one_time_until": one_time_until, "totp_sealed": "", "totp_step": 0, "locked_at": None,
        "made_at": now,
    }  # fmt: skip
    with records.write() as connection:
        added = connection.execute(
            records.insert(account).values(row).on_conflict_do_nothing().returning(account.c.login)
        )
        if added.first() is None:
            raise AccountRefused("login")
        write_posts(connection, row["account_id"], posts)
    return str(row["account_id"])


def write_posts(connection: sa.Connection, account_id: object, posts: Iterable[Post]) -> None:
    connection.execute(sa.delete(account_post).where(account_post.c.account_id == account_id))
    rows = [
        {"account_id": account_id, "role": str(post.role), "site_id": post.site_id}
        for post in set(posts)
    ]
    if rows:
        connection.execute(sa.insert(account_post), rows)


def load_accounts(records: Records, login: str | None = None) -> list[Account]:
    """All accounts by login, or the one."""
    question = sa.select(account).order_by(account.c.login)
    if login is not None:
        question = question.where(account.c.login == login.strip().lower())
    with records.read() as connection:
        rows = connection.execute(question).all()
        ids = [row.account_id for row in rows]
        posts = _load_posts(connection, ids)
    return [
        Account(
            row.account_id, row.login, row.name, posts.get(row.account_id, ()),
            row.one_time_until, row.locked_at, row.made_at, bool(row.totp_sealed),
        )
        for row in rows
    ]  # fmt: skip


def _load_posts(connection: sa.Connection, ids: Sequence[str]) -> dict[str, tuple[Post, ...]]:
    found: dict[str, tuple[Post, ...]] = {}
    question = sa.select(account_post).where(account_post.c.account_id.in_(ids))
    for row in connection.execute(question.order_by(account_post.c.role, account_post.c.site_id)):
        post = Post(Role(row.role), row.site_id)
        found[row.account_id] = (*found.get(row.account_id, ()), post)
    return found


def name_of(records: Records, account_id: str) -> str:
    """As colleagues know it: its name, or its login; "" if there is no such account."""
    question = sa.select(account.c.name, account.c.login).where(account.c.account_id == account_id)
    with records.read() as connection:
        row = connection.execute(question).first()
    return (row.name or row.login) if row else ""


def find_account(records: Records, login: str) -> Account:
    """raises AccountRefused ("unknown")"""
    found = load_accounts(records, login)
    if not found:
        raise AccountRefused("unknown")
    return found[0]


def load_posts(connection: sa.Connection, account_id: str) -> tuple[Post, ...] | None:
    """The posts of an account; None if there is none, or it is locked."""
    question = sa.select(account.c.locked_at).where(account.c.account_id == account_id)
    row = connection.execute(question).first()
    if row is None or row.locked_at is not None:
        return None
    return _load_posts(connection, [account_id]).get(account_id, ())


def load_login(records: Records, account_id: str) -> str:
    """raises AccountRefused ("unknown")"""
    question = sa.select(account.c.login).where(account.c.account_id == account_id)
    with records.read() as connection:
        row = connection.execute(question).first()
    if row is None:
        raise AccountRefused("unknown")
    return str(row.login)


def load_proof(records: Records, login: str) -> Proof | None:
    """What a sign-in with this login is judged by; None if there is no such account."""
    question = sa.select(account).where(account.c.login == login.strip().lower())
    with records.read() as connection:
        row = connection.execute(question).first()
    if row is None:
        return None
    return Proof(
        row.account_id, row.password_hash, row.one_time_until, row.totp_sealed, row.totp_step,
        row.locked_at is not None,
    )  # fmt: skip


def save_posts(records: Records, account_id: str, posts: Collection[Post]) -> None:
    """These and no other posts from now on; raises AccountRefused."""
    check_posts(posts)
    with records.write() as connection:
        write_posts(connection, account_id, posts)


def save_lock(records: Records, account_id: str, locked_at: datetime | None) -> None:
    """An administrator shuts an account, or (None) opens it."""
    _update(records, account_id, locked_at=locked_at)


def save_password(
    records: Records, account_id: str, hashed: str, one_time_until: datetime | None = None
) -> None:
    """one_time_until  a password that somebody else knows and that must be changed

    raises  AccountRefused ("unknown"; "outside" for who signs in with another issuer)
    """
    question = sa.select(account.c.password_hash).where(account.c.account_id == account_id)
    with records.read() as connection:
        if connection.execute(question).scalar() == "":
            raise AccountRefused("outside")
    _update(records, account_id, password_hash=hashed, one_time_until=one_time_until)


def save_totp(records: Records, account_id: str, sealed: str, step: int) -> None:
    """The authenticator that is used from now on ("" none), and its code that was just taken."""
    _update(records, account_id, totp_sealed=sealed, totp_step=step)


def take_totp_step(records: Records, account_id: str, step: int) -> bool:
    """A code is good once: whether this one was the first of its step or later."""
    taken = sa.update(account).where(account.c.account_id == account_id, account.c.totp_step < step)
    with records.write() as connection:
        return connection.execute(taken.values(totp_step=step)).rowcount == 1


def _update(records: Records, account_id: str, **values: object) -> None:
    with records.write() as connection:
        changed = sa.update(account).where(account.c.account_id == account_id).values(values)
        if connection.execute(changed).rowcount == 0:
            raise AccountRefused("unknown")


def begin_try(
    records: Records, login: str, address: str, known: bool, now: datetime, *, at_code: bool = False
) -> None:
    """Count a try as a wrong one before it is judged: tries at the same time cannot pass together.

    known    the account has been used from this address before: then nobody else's wrong tries
             hold it up
    at_code  of the second thing that is asked for, by somebody who knows the password
    raises   TooManyTries; then the try was not counted
    """
    patience = _subjects(login, address)
    for subject in (_subject("account", login), _subject("code", login)):
        if known or (subject == _subject("code", login) and not at_code):
            del patience[subject]
    with records.write() as connection:
        question = sa.select(wrong_try).where(wrong_try.c.subject.in_(patience))
        locked = question.order_by(wrong_try.c.subject).with_for_update()
        rows = {row.subject: row for row in connection.execute(locked)}
        counts = {}
        for subject, limits in patience.items():
            row = rows.get(subject)
            quiet = None if row is None else (now - row.last_at).total_seconds()
            if row is None or quiet is None or quiet > 2 * limits.longest_s:
                counts[subject] = 1
                continue
            wait_s = limits.wait_s(row.failures) - quiet
            if wait_s > 0:
                raise TooManyTries(wait_s)
            counts[subject] = row.failures + 1
        for subject, failures in sorted(counts.items()):
            told = {"subject": subject, "failures": failures, "last_at": now}
            # Not there a moment ago: then somebody else's try has just made it.
            after = failures if subject in rows else wrong_try.c.failures + 1
            counted = (
                records.insert(wrong_try)
                .values(told)
                .on_conflict_do_update(
                    index_elements=["subject"], set_={"failures": after, "last_at": now}
                )
            )
            connection.execute(counted)


def end_try(records: Records, login: str, address: str, *, is_in: bool = True) -> None:
    """The try was right: it counts nowhere.

    is_in  everything is proven: the account at this address begins anew. A right password alone
           forgets no wrong code, or codes could be guessed without an end.
    """
    subjects = _subjects(login, address)
    if not is_in:
        del subjects[_subject("code", login)]
    with records.write() as connection:
        for subject in sorted(subjects):
            mine = wrong_try.c.subject == subject
            if is_in and subject == _subject("both", login, network_of(address)):
                connection.execute(sa.delete(wrong_try).where(mine))
            else:
                less = sa.update(wrong_try).where(mine, wrong_try.c.failures > 0)
                connection.execute(less.values(failures=wrong_try.c.failures - 1))


def wrong_tries(records: Records, login: str, since: datetime) -> int:
    """Of whatever address; 0 if the last one was before."""
    with records.read() as connection:
        mine = sa.select(wrong_try.c.failures).where(
            wrong_try.c.subject == _subject("account", login), wrong_try.c.last_at >= since
        )
        return connection.execute(mine).scalar() or 0


def forget_tries(records: Records, before: datetime) -> int:
    """Delete what no longer counts; returns how many rows."""
    longest = max(p.longest_s for p in (OF_ACCOUNT_AT_ADDRESS, OF_ADDRESS, OF_ACCOUNT))
    old = wrong_try.c.last_at < before - timedelta(seconds=2 * longest)
    with records.write() as connection:
        return connection.execute(sa.delete(wrong_try).where(old)).rowcount


def _subjects(login: str, address: str) -> dict[str, Patience]:
    address = network_of(address)
    return {
        _subject("both", login, address): OF_ACCOUNT_AT_ADDRESS,
        _subject("address", address): OF_ADDRESS,
        _subject("account", login): OF_ACCOUNT,
        _subject("code", login): OF_CODE,
    }


def _subject(kind: str, *parts: str) -> str:
    """Digests, so that wrong logins (passwords typed into the wrong field) are not kept."""
    told = "\0".join(part.strip().lower() for part in parts)
    return f"{kind}:{hashlib.sha256(told.encode('utf-8', 'replace')).hexdigest()}"
