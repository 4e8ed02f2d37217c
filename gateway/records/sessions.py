"""Sessions of people who have signed in. They live here, so that each can be ended at once.

The browser has 256 random bits; here is only their digest. A session ends 30 minutes after its last
request, 8 hours after its first, at sign-out, or when the account is shut.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from gateway.model.access import Post, Purpose
from gateway.model.credentials import digest, network_of, new_id, new_secret
from gateway.records.accounts import load_posts
from gateway.records.engine import Records, UtcDateTime, metadata

IDLE = timedelta(minutes=30)
LONGEST = timedelta(hours=8)
SEEN_EVERY = timedelta(minutes=1)
KNOWN_FOR = timedelta(days=90)

login_session = sa.Table(
    "login_session",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column(
        "account_id", sa.ForeignKey("account.account_id", ondelete="CASCADE"), nullable=False
    ),
    sa.Column("address_digest", sa.String(64), nullable=False),
    sa.Column("purpose", sa.String(8), nullable=False),
    sa.Column("made_at", UtcDateTime, nullable=False),
    sa.Column("seen_at", UtcDateTime, nullable=False),
    sa.Column("ended_at", UtcDateTime),
    sa.Column("session_id", sa.String(16)),  # public: in tokens and in a person's list
    sa.Column("outside_sid", sa.String(64)),  # digest of the issuer's own name for it
    sa.Column("proved_at", UtcDateTime),  # when the person proved anew who they are; else NULL
)
sa.Index("login_session_by_account", login_session.c.account_id)
sa.Index("login_session_by_id", login_session.c.session_id, unique=True)


@dataclass(frozen=True)
class Session:
    """A session of an account.

    is_outside  another issuer vouched for the person: there is no password here
    proved_at   when the person proved last who they are
    """

    digest: str
    session_id: str
    account_id: str
    posts: tuple[Post, ...]
    purpose: Purpose
    made_at: datetime
    seen_at: datetime
    is_outside: bool
    proved_at: datetime

    def is_good(self, now: datetime) -> bool:
        return now < self.made_at + LONGEST and now < self.seen_at + IDLE


def start_session(
    records: Records, account_id: str, address: str, purpose: Purpose, now: datetime,
    *, outside_sid: str | None = None,
) -> str:  # fmt: skip
    """Returns the secret for the browser; it is new at each sign-in (trust.md H64).

    outside_sid  of a session that another issuer began: "" if it gives no name to it
    """
    secret = new_secret()
    row = {
        "digest": digest(secret),
        "account_id": account_id,
        "address_digest": _of_address(address),
        "purpose": str(purpose),
        "made_at": now,
        "seen_at": now,
        "ended_at": None,
        "session_id": new_id(),
        "outside_sid": outside_sid,
        "proved_at": None,
    }
    with records.write() as connection:
        connection.execute(sa.insert(login_session).values(row))
    return secret


def load_session(records: Records, secret: str, now: datetime) -> Session | None:
    """The session of a browser; None if it has ended or its account is shut."""
    found = _load(records, login_session.c.digest == digest(secret))
    return found if found is not None and found.is_good(now) else None


def load_session_of_token(records: Records, session_id: str, now: datetime) -> Session | None:
    """The session in which a viewer was let in. The person may have left it idle: the viewer goes
    on until it is ended, by anyone or by its eight hours.
    """
    found = _load(records, login_session.c.session_id == session_id)
    return found if found is not None and now < found.made_at + LONGEST else None


def _load(records: Records, which: sa.ColumnElement[bool]) -> Session | None:
    question = sa.select(login_session).where(which, login_session.c.ended_at.is_(None))
    with records.read() as connection:
        row = connection.execute(question).first()
        posts = None if row is None else load_posts(connection, row.account_id)
    if row is None or posts is None:
        return None
    return _session(row, posts)


def _session(row: sa.Row[Any], posts: tuple[Post, ...]) -> Session:
    return Session(
        row.digest, row.session_id, row.account_id, posts, Purpose(row.purpose), row.made_at,
        row.seen_at, row.outside_sid is not None, row.proved_at or row.made_at,
    )  # fmt: skip


def save_seen(records: Records, found: Session, now: datetime) -> None:
    """Its last request was now; written once a minute at most."""
    if now - found.seen_at < SEEN_EVERY:
        return
    mine = login_session.c.digest == found.digest
    with records.write() as connection:
        connection.execute(sa.update(login_session).where(mine).values(seen_at=now))


def save_proved(records: Records, found: Session, now: datetime) -> None:
    """The person has proven now who they are."""
    mine = login_session.c.digest == found.digest
    with records.write() as connection:
        connection.execute(sa.update(login_session).where(mine).values(proved_at=now))


def end_session(records: Records, secret: str, now: datetime) -> None:
    """Sign out."""
    _end(records, login_session.c.digest == digest(secret), now)


def end_sessions(records: Records, account_id: str, now: datetime) -> None:
    """All of an account: its password was changed, its posts were, or it was shut."""
    _end(records, login_session.c.account_id == account_id, now)


def load_sessions(records: Records, account_id: str, now: datetime) -> list[Session]:
    """Where an account is signed in now, the newest first."""
    question = sa.select(login_session).where(
        login_session.c.account_id == account_id,
        login_session.c.ended_at.is_(None),
        login_session.c.made_at > now - LONGEST,
    )
    with records.read() as connection:
        rows = connection.execute(question.order_by(login_session.c.made_at.desc())).all()
    found = [_session(row, ()) for row in rows]
    return [one for one in found if one.is_good(now)]


def end_one(records: Records, account_id: str, session_id: str, now: datetime) -> None:
    """One of an account's own; another's is left as it is."""
    mine = login_session.c.account_id == account_id
    _end(records, sa.and_(mine, login_session.c.session_id == session_id), now)


def end_others(records: Records, kept: Session, now: datetime) -> None:
    """All of an account but this one."""
    mine = login_session.c.account_id == kept.account_id
    _end(records, sa.and_(mine, login_session.c.session_id != kept.session_id), now)


def _end(records: Records, which: sa.ColumnElement[bool], now: datetime) -> None:
    ended = sa.update(login_session).where(which, login_session.c.ended_at.is_(None))
    with records.write() as connection:
        connection.execute(ended.values(ended_at=now))


def is_known_address(records: Records, account_id: str, address: str, now: datetime) -> bool:
    """Whether this account was signed in to from this address within the last 90 days."""
    question = sa.select(login_session.c.digest).where(
        login_session.c.account_id == account_id,
        login_session.c.address_digest == _of_address(address),
        login_session.c.made_at > now - KNOWN_FOR,
    )
    with records.read() as connection:
        return connection.execute(question.limit(1)).first() is not None


def forget_sessions(records: Records, now: datetime) -> int:
    """Delete those whose address is known no longer; returns how many."""
    old = login_session.c.made_at < now - KNOWN_FOR
    with records.write() as connection:
        return connection.execute(sa.delete(login_session).where(old)).rowcount


def _of_address(address: str) -> str:
    return hashlib.sha256(network_of(address).encode("utf-8", "replace")).hexdigest()
