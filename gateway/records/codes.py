"""Codes that a viewer changes into a token (RFC 6749 4.1.3): each is good once and for a minute.

A row stays as long as the session may that it was given in. Who brings a code a second time has
stolen it, or was stolen from: the token that it was changed into is withdrawn (RFC 9700 2.1.1).
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from gateway.errors import OAuthRefused
from gateway.model.authorization import CODE_S, Asked
from gateway.model.credentials import digest, new_id, new_secret
from gateway.model.tokens import LONGEST_S
from gateway.records.clients import oauth_client, withdraw_token
from gateway.records.engine import Records, UtcDateTime, metadata
from gateway.records.sessions import LONGEST

oauth_code = sa.Table(
    "oauth_code",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("client_id", sa.String(16), nullable=False),
    sa.Column("session_id", sa.String(16), nullable=False),
    sa.Column("redirect_uri", sa.String(512), nullable=False),
    sa.Column("challenge", sa.String(43), nullable=False),
    sa.Column("scope", sa.String(64), nullable=False),
    sa.Column("jti", sa.String(64), nullable=False),  # of the token that it is changed into
    sa.Column("until", UtcDateTime, nullable=False),
    sa.Column("used_at", UtcDateTime),
)
sa.Index("oauth_code_by_session", oauth_code.c.session_id)


@dataclass(frozen=True)
class Taken:
    """A code that has just been brought for the first time, in time, by its own viewer."""

    session_id: str
    redirect_uri: str
    challenge: str
    scope: tuple[str, ...]
    jti: str


def save_code(records: Records, asked: Asked, session_id: str, now: datetime) -> str:
    """Returns the code; only its digest is kept."""
    code = new_secret()
    row = {
        "digest": digest(code),
        "client_id": asked.client_id,
        "session_id": session_id,
        "redirect_uri": asked.redirect_uri,
        "challenge": asked.challenge,
        "scope": " ".join(asked.scope),
        "jti": new_id(),
        "until": now + timedelta(seconds=CODE_S),
        "used_at": None,
    }
    with records.write() as connection:
        connection.execute(sa.delete(oauth_code).where(oauth_code.c.until < now - LONGEST))
        connection.execute(sa.insert(oauth_code).values(row))
    return code


def take_code(records: Records, code: str, client_id: str, now: datetime) -> Taken:
    """Whatever comes of it, the code is of no use any more; raises OAuthRefused."""
    mine = sa.and_(oauth_code.c.digest == digest(code), oauth_code.c.client_id == client_id)
    with records.write() as connection:
        row = connection.execute(sa.select(oauth_code).where(mine).with_for_update()).first()
        fresh = row is not None and row.used_at is None
        if fresh:
            connection.execute(sa.update(oauth_code).where(mine).values(used_at=now))
    if row is not None and not fresh:
        withdraw_token(records, row.jti, now + timedelta(seconds=LONGEST_S), now)
    if row is None or not fresh or now > row.until:
        raise OAuthRefused("invalid_grant")
    return Taken(
        row.session_id, row.redirect_uri, row.challenge, tuple(row.scope.split(" ")), row.jti
    )


def was_let_in(records: Records, asked: Asked, session_id: str) -> bool:
    """Whether the person has let this viewer in before, within this session and as far."""
    question = sa.select(oauth_code.c.digest).where(
        oauth_code.c.session_id == session_id,
        oauth_code.c.client_id == asked.client_id,
        oauth_code.c.redirect_uri == asked.redirect_uri,
        oauth_code.c.scope == " ".join(asked.scope),
        oauth_code.c.used_at.is_not(None),
    )
    with records.read() as connection:
        return connection.execute(question.limit(1)).first() is not None


def load_viewers(records: Records, session_ids: Collection[str]) -> dict[str, list[str]]:
    """Names of the viewers that were let in within these sessions."""
    question = (
        sa.select(oauth_code.c.session_id, oauth_client.c.name)
        .join(oauth_client, oauth_client.c.client_id == oauth_code.c.client_id)
        .where(oauth_code.c.session_id.in_(session_ids), oauth_code.c.used_at.is_not(None))
        .distinct()
        .order_by(oauth_client.c.name)
    )
    found: dict[str, list[str]] = {}
    with records.read() as connection:
        for row in connection.execute(question):
            found.setdefault(row.session_id, []).append(row.name)
    return found
