"""People and programs that another issuer (OpenID Connect) vouches for. Each has an account like
any other, without a password: so one list shows them, one lock shuts them, the audit knows them.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from gateway.model.access import Post
from gateway.model.credentials import digest, new_id
from gateway.records.accounts import account, write_posts
from gateway.records.engine import Records, UtcDateTime, metadata
from gateway.records.sessions import login_session

outside_account = sa.Table(
    "outside_account",
    metadata,
    sa.Column(
        "account_id", sa.ForeignKey("account.account_id", ondelete="CASCADE"), primary_key=True
    ),
    sa.Column("issuer", sa.String(256), nullable=False),
    sa.Column("subject", sa.String(256), nullable=False),
    sa.Column("signed_out_at", UtcDateTime),  # what the issuer said before is worth nothing
    sa.UniqueConstraint("issuer", "subject"),
)


@dataclass(frozen=True)
class Outsider:
    """What the gateway knows of somebody whom the issuer vouches for."""

    account_id: str
    locked: bool
    signed_out_at: datetime | None


def find_outsider(records: Records, issuer: str, subject: str) -> Outsider | None:
    question = (
        sa.select(outside_account, account.c.locked_at)
        .join(account, account.c.account_id == outside_account.c.account_id)
        .where(outside_account.c.issuer == issuer, outside_account.c.subject == subject)
    )
    with records.read() as connection:
        row = connection.execute(question).first()
    if row is None:
        return None
    return Outsider(row.account_id, row.locked_at is not None, row.signed_out_at)


def save_outsider(
    records: Records, issuer: str, subject: str, name: str, posts: Collection[Post], now: datetime
) -> Outsider:
    """The account of somebody who has come, with these and no other posts from now on."""
    whose = digest(f"{issuer}\0{subject}")
    row = {
        "account_id": new_id(), "login": f"~{whose[:40]}", "name": name[:128], "password_hash": "",
        "one_time_until": None, "totp_sealed": "", "totp_step": 0, "locked_at": None,
        "made_at": now,
    }  # fmt: skip
    named = records.insert(account).values(row)
    named = named.on_conflict_do_update(index_elements=["login"], set_={"name": row["name"]})
    with records.write() as connection:
        account_id = connection.execute(named.returning(account.c.account_id)).scalar_one()
        outside = {
            "account_id": account_id, "issuer": issuer, "subject": subject, "signed_out_at": None,
        }  # fmt: skip
        connection.execute(records.insert(outside_account).values(outside).on_conflict_do_nothing())
        write_posts(connection, account_id, posts)
    found = find_outsider(records, issuer, subject)
    assert found is not None  # noqa: S101 - it was written a moment ago
    return found


def sign_out_subject(records: Records, issuer: str, subject: str, now: datetime) -> frozenset[str]:
    """The issuer says that a person has signed out there: everything of theirs ends here.

    returns  the account, if there is one
    """
    known = find_outsider(records, issuer, subject)
    if known is None:
        return frozenset()
    mine = outside_account.c.account_id == known.account_id
    with records.write() as connection:
        connection.execute(sa.update(outside_account).where(mine).values(signed_out_at=now))
        _end(connection, login_session.c.account_id == known.account_id, now)
    return frozenset({known.account_id})


def sign_out_session(records: Records, outside_sid: str, now: datetime) -> frozenset[str]:
    """The same for one session of the issuer's, named by its digest (model/outside.py).

    returns  the accounts that were signed in by it
    """
    with records.write() as connection:
        return _end(connection, login_session.c.outside_sid == outside_sid, now)


def _end(connection: sa.Connection, which: sa.ColumnElement[bool], now: datetime) -> frozenset[str]:
    ended = sa.update(login_session).where(which, login_session.c.ended_at.is_(None))
    told = ended.values(ended_at=now).returning(login_session.c.account_id)
    return frozenset(connection.execute(told).scalars())
