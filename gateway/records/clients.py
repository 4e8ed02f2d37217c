"""Programs that get tokens (OAuth 2 clients), the keys that tokens are signed with, and
tokens that were withdrawn before their end.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from gateway.errors import AccountRefused, RecordsRefused
from gateway.model.access import Post, Role
from gateway.model.credentials import digest, is_secret, new_id, new_secret
from gateway.records.engine import Records, UtcDateTime, metadata

KNOWN_AFTER = timedelta(seconds=5)

oauth_client = sa.Table(
    "oauth_client",
    metadata,
    sa.Column("client_id", sa.String(16), primary_key=True),
    sa.Column("name", sa.String(128), nullable=False),
    sa.Column("secret_digest", sa.String(64), nullable=False),  # "": a viewer
    sa.Column("site_id", sa.String(32), nullable=False),  # of its post as service; "*": anywhere
    sa.Column("made_at", UtcDateTime, nullable=False),
    sa.Column("revoked_at", UtcDateTime),
)
oauth_redirect = sa.Table(
    "oauth_redirect",
    metadata,
    sa.Column(
        "client_id", sa.ForeignKey("oauth_client.client_id", ondelete="CASCADE"), primary_key=True
    ),
    sa.Column("redirect_uri", sa.String(512), primary_key=True),
)
signing_key = sa.Table(
    "signing_key",
    metadata,
    sa.Column("kid", sa.String(64), primary_key=True),
    sa.Column("sealed", sa.Text, nullable=False),  # private key as JWK
    sa.Column("public", sa.Text, nullable=False),  # public key as JWK
    sa.Column("made_at", UtcDateTime, nullable=False),
)
withdrawn_token = sa.Table(
    "withdrawn_token",
    metadata,
    sa.Column("jti", sa.String(64), primary_key=True),
    sa.Column("until", UtcDateTime, nullable=False),
)


@dataclass(frozen=True)
class Client:
    """A program: with a secret and a post of its own, or a viewer that people let in.

    redirect_uris  where a viewer's codes go; none for a program of its own
    """

    client_id: str
    name: str
    posts: tuple[Post, ...]
    made_at: datetime
    revoked_at: datetime | None
    redirect_uris: tuple[str, ...] = ()


def add_client(records: Records, name: str, site_id: str, now: datetime) -> tuple[str, str]:
    """(client id, secret) of a new client; the secret is told once and kept as a digest.

    site_id  where it acts as a service; "*" everywhere
    """
    secret = new_secret()
    row = _new(name, digest(secret), site_id, now)
    with records.write() as connection:
        connection.execute(sa.insert(oauth_client).values(row))
    return str(row["client_id"]), secret


def add_viewer(records: Records, name: str, redirect_uris: Collection[str], now: datetime) -> str:
    """The client id of a new viewer. It has no secret that it could keep and no right of its own:
    it acts for the person who lets it in.
    """
    row = _new(name, "", "", now)
    places = [{"client_id": row["client_id"], "redirect_uri": uri} for uri in set(redirect_uris)]
    with records.write() as connection:
        connection.execute(sa.insert(oauth_client).values(row))
        connection.execute(sa.insert(oauth_redirect), places)
    return str(row["client_id"])


def _new(name: str, secret_digest: str, site_id: str, now: datetime) -> dict[str, object]:
    return {
        "client_id": new_id(),
        "name": name[:128],
        "secret_digest": secret_digest,
        "site_id": site_id,
        "made_at": now,
        "revoked_at": None,
    }


def load_clients(records: Records) -> list[Client]:
    """All, the newest last."""
    question = sa.select(oauth_client).order_by(oauth_client.c.made_at, oauth_client.c.client_id)
    with records.read() as connection:
        places = connection.execute(sa.select(oauth_redirect)).all()
        return [_client(row, places) for row in connection.execute(question)]


def load_client(records: Records, client_id: str) -> Client | None:
    """A client that has not been revoked."""
    return _find(records, client_id)[0]


def prove_client(records: Records, client_id: str, secret: str) -> Client | None:
    """The client whose secret this is; None if it is not. A viewer has none to prove."""
    found, kept = _find(records, client_id)
    right = is_secret(kept or digest(""), secret)  # compared also where there is none
    return found if kept and right else None


def _find(records: Records, client_id: str) -> tuple[Client | None, str]:
    """A client that has not been revoked, and the digest of its secret."""
    question = sa.select(oauth_client).where(
        oauth_client.c.client_id == client_id, oauth_client.c.revoked_at.is_(None)
    )
    where = sa.select(oauth_redirect).where(oauth_redirect.c.client_id == client_id)
    with records.read() as connection:
        row = connection.execute(question).first()
        if row is None:
            return None, ""
        return _client(row, connection.execute(where).all()), row.secret_digest


def _client(row: sa.Row[Any], places: Sequence[sa.Row[Any]]) -> Client:
    return Client(
        row.client_id,
        row.name,
        (Post(Role.SERVICE, row.site_id),) if row.secret_digest else (),
        row.made_at,
        row.revoked_at,
        tuple(sorted(p.redirect_uri for p in places if p.client_id == row.client_id)),
    )


def revoke_client(records: Records, client_id: str, now: datetime) -> None:
    """It gets no token any more, and those that it has are refused; raises AccountRefused."""
    open_one = sa.update(oauth_client).where(
        oauth_client.c.client_id == client_id, oauth_client.c.revoked_at.is_(None)
    )
    with records.write() as connection:
        if connection.execute(open_one.values(revoked_at=now)).rowcount == 0:
            raise AccountRefused("unknown")


def save_signing_key(records: Records, kid: str, sealed: str, public: str, now: datetime) -> None:
    row = {"kid": kid, "sealed": sealed, "public": public, "made_at": now}
    with records.write() as connection:
        connection.execute(sa.insert(signing_key).values(row))


def load_signing_keys(records: Records) -> list[tuple[str, str, str]]:
    """(kid, sealed, public), the newest first; all of them are believed."""
    question = sa.select(signing_key.c.kid, signing_key.c.sealed, signing_key.c.public)
    with records.read() as connection:
        found = connection.execute(question.order_by(signing_key.c.made_at.desc())).all()
    return [(row.kid, row.sealed, row.public) for row in found]


def newest_signing_key_at(records: Records) -> datetime | None:
    """When the key that signs tokens was made; None if there is none."""
    with records.read() as connection:
        return connection.execute(sa.select(sa.func.max(signing_key.c.made_at))).scalar()


def load_signer(records: Records, now: datetime) -> tuple[str, str]:
    """(kid, sealed) of the key that signs: the newest that every process has had time to read."""
    question = sa.select(signing_key.c.kid, signing_key.c.sealed, signing_key.c.made_at)
    with records.read() as connection:
        found = connection.execute(question.order_by(signing_key.c.made_at.desc())).all()
    known = [row for row in found if row.made_at <= now - KNOWN_AFTER] or found[-1:]
    if not known:
        raise RecordsRefused("there is no key for tokens; run gateway init")
    return known[0].kid, known[0].sealed


def withdraw_token(records: Records, jti: str, until: datetime, now: datetime) -> None:
    """This token is refused from now on; the row goes when the token would have ended anyway."""
    with records.write() as connection:
        connection.execute(sa.delete(withdrawn_token).where(withdrawn_token.c.until < now))
        added = records.insert(withdrawn_token).values({"jti": jti, "until": until})
        connection.execute(added.on_conflict_do_nothing())


def load_refused(records: Records) -> tuple[frozenset[str], frozenset[str]]:
    """Token ids and client ids that are refused; both are short lists."""
    revoked = sa.select(oauth_client.c.client_id).where(oauth_client.c.revoked_at.is_not(None))
    with records.read() as connection:
        tokens = connection.execute(sa.select(withdrawn_token.c.jti)).scalars().all()
        return frozenset(tokens), frozenset(connection.execute(revoked).scalars())
