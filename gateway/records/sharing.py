"""Links, grants and emergency accesses. A link's secret is here as a digest alone, and so is the
date of birth that its patient must know: a copy of the database opens nothing.
"""

from datetime import datetime

import sqlalchemy as sa

from gateway.model.alarms import EMERGENCY_ACCESS
from gateway.model.credentials import digest, new_id, new_secret
from gateway.model.sharing import EMERGENCY_LASTS, GRANTS, SESSION, TRIES, Kind, Share
from gateway.records.alarms import write_alarm, write_clearance
from gateway.records.engine import Records, UtcDateTime, metadata

share = sa.Table(
    "share",
    metadata,
    sa.Column("share_id", sa.String(16), primary_key=True),
    sa.Column("kind", sa.String(8), nullable=False),
    sa.Column("study_uid", sa.String(64), nullable=False),
    sa.Column("whom", sa.String(16), nullable=False),
    sa.Column("secret_digest", sa.String(64), unique=True),
    sa.Column("factor_digest", sa.String(64), nullable=False),
    sa.Column("made_by", sa.String(16), nullable=False),
    sa.Column("reason", sa.String(200), nullable=False),
    sa.Column("made_at", UtcDateTime, nullable=False),
    sa.Column("not_before", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    sa.Column("revoked_at", UtcDateTime),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("uses", sa.Integer, nullable=False),
    sa.Column("last_used_at", UtcDateTime),
    sa.Column("downloads", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("reviewed_at", UtcDateTime),
    sa.Column("reviewed_by", sa.String(16)),
    sa.Column("review", sa.String(200)),
)
sa.Index("share_by_study", share.c.study_uid)
sa.Index("share_by_whom", share.c.whom)

link_session = sa.Table(
    "link_session",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("share_id", sa.ForeignKey("share.share_id", ondelete="CASCADE"), nullable=False),
    sa.Column("made_at", UtcDateTime, nullable=False),
)


def add_link(
    records: Records, study_uid: str, secret: str, factor_digest: str, made_by: str, reason: str,
    now: datetime, expires_at: datetime,
) -> str:  # fmt: skip
    """The new link's id.

    factor_digest  of the date of birth, under a key that is not in the database
    """
    row = _row(Kind.LINK, study_uid, "", made_by, reason, now, expires_at)
    row |= {"secret_digest": digest(secret), "factor_digest": factor_digest}
    with records.write() as connection:
        connection.execute(sa.insert(share).values(row))
    return str(row["share_id"])


def add_grant(
    records: Records, study_uid: str, whom: str, made_by: str, reason: str, now: datetime,
    expires_at: datetime, *, downloads: bool = False,
) -> str:  # fmt: skip
    """The new grant's id."""
    row = _row(Kind.GRANT, study_uid, whom, made_by, reason, now, expires_at)
    with records.write() as connection:
        connection.execute(sa.insert(share).values(row | {"downloads": downloads}))
    return str(row["share_id"])


def add_emergency(records: Records, study_uid: str, whom: str, reason: str, now: datetime) -> str:
    """The id of the access that a doctor takes by their own word; it is an alarm at once."""
    row = _row(Kind.EMERGENCY, study_uid, whom, whom, reason, now, now + EMERGENCY_LASTS)
    with records.write() as connection:
        connection.execute(sa.insert(share).values(row))
        facts = {"account": whom, "study": study_uid}
        write_alarm(connection, EMERGENCY_ACCESS, str(row["share_id"]), facts, now)
    return str(row["share_id"])


def load_emergencies(records: Records, limit: int = 200) -> list[Share]:
    """Those that nobody has looked at first, each part with the newest first."""
    question = (
        sa.select(share)
        .where(share.c.kind == str(Kind.EMERGENCY))
        .order_by(share.c.reviewed_at.is_not(None), share.c.made_at.desc())
        .limit(limit)
    )
    with records.read() as connection:
        return [_share(row) for row in connection.execute(question).all()]


def save_review(records: Records, share_id: str, by: str, found: str, now: datetime) -> bool:
    """What an auditor found; the alarm ends. False if there is nothing to look at, or not by them:
    nobody reviews what they did themselves.
    """
    open_one = sa.and_(
        share.c.share_id == share_id, share.c.kind == str(Kind.EMERGENCY),
        share.c.reviewed_at.is_(None), share.c.whom != by,
    )  # fmt: skip
    told = {"reviewed_at": now, "reviewed_by": by, "review": found}
    with records.write() as connection:
        if connection.execute(sa.update(share).where(open_one).values(told)).rowcount == 0:
            return False
        write_clearance(connection, EMERGENCY_ACCESS, [share_id], now)
    return True


def _row(
    kind: Kind, study_uid: str, whom: str, made_by: str, reason: str, now: datetime,
    expires_at: datetime,
) -> dict[str, object]:  # fmt: skip
    return {
        "share_id": new_id(), "kind": str(kind), "study_uid": study_uid, "whom": whom,
        "secret_digest": None, "factor_digest": "", "made_by": made_by, "reason": reason,
        "made_at": now, "not_before": now, "expires_at": expires_at, "revoked_at": None,
        "tries": 0, "uses": 0, "last_used_at": None,
    }  # fmt: skip


def load_shares(records: Records, study_uid: str) -> list[Share]:
    """All that was ever shared of a study, the newest first."""
    question = sa.select(share).where(share.c.study_uid == study_uid)
    with records.read() as connection:
        rows = connection.execute(question.order_by(share.c.made_at.desc())).all()
    return [_share(row) for row in rows]


def load_grants(records: Records, account_id: str, now: datetime) -> list[Share]:
    """By what an account sees studies of others now, the newest first."""
    mine = (share.c.kind.in_(map(str, GRANTS)), share.c.whom == account_id, *_good(now))
    with records.read() as connection:
        rows = connection.execute(sa.select(share).where(*mine).order_by(share.c.made_at.desc()))
        return [_share(row) for row in rows]


def granted_studies(records: Records, account_id: str, now: datetime) -> dict[str, bool]:
    """Studies that an account sees by a grant now; True: it may have their files, too."""
    question = (
        sa.select(share.c.study_uid, sa.func.max(sa.cast(share.c.downloads, sa.Integer)))
        .where(share.c.kind.in_(map(str, GRANTS)), share.c.whom == account_id, *_good(now))
        .group_by(share.c.study_uid)
    )
    with records.read() as connection:
        return {study_uid: bool(files) for study_uid, files in connection.execute(question)}


def find_link(records: Records, secret: str) -> tuple[Share, str] | None:
    """The link of a secret, whatever it is worth now, and the digest of its date of birth."""
    question = sa.select(share).where(share.c.secret_digest == digest(secret))
    with records.read() as connection:
        row = connection.execute(question).first()
    return None if row is None else (_share(row), row.factor_digest)


def begin_link_try(records: Records, share_id: str) -> bool:
    """Count a try as a wrong one before it is judged; False if there are none left."""
    mine = sa.and_(share.c.share_id == share_id, share.c.tries < TRIES)
    with records.write() as connection:
        counted = sa.update(share).where(mine).values(tries=share.c.tries + 1)
        return connection.execute(counted).rowcount == 1


def open_link(records: Records, share_id: str, now: datetime) -> str:
    """The date was right: the secret of a session for the patient's browser."""
    secret = new_secret()
    mine = share.c.share_id == share_id
    used = {"tries": 0, "uses": share.c.uses + 1, "last_used_at": now}
    row = {"digest": digest(secret), "share_id": share_id, "made_at": now}
    with records.write() as connection:
        old = sa.delete(link_session).where(link_session.c.made_at < now - SESSION)
        connection.execute(old)
        connection.execute(sa.update(share).where(mine).values(used))
        connection.execute(sa.insert(link_session).values(row))
    return secret


def load_link_session(records: Records, secret: str, now: datetime) -> Share | None:
    """What a patient's browser may see now; None if its half hour or the link is over."""
    question = sa.select(share).join(link_session).where(
        link_session.c.digest == digest(secret), link_session.c.made_at > now - SESSION,
        *_good(now),
    )  # fmt: skip
    with records.read() as connection:
        row = connection.execute(question).first()
    return None if row is None else _share(row)


def revoke(records: Records, study_uid: str, share_id: str, now: datetime) -> bool:
    """Nobody sees the study by this share any more; False if there is no such share of it."""
    mine = sa.and_(share.c.share_id == share_id, share.c.study_uid == study_uid)
    with records.write() as connection:
        ended = sa.update(share).where(mine).values(
            revoked_at=sa.func.coalesce(share.c.revoked_at, sa.literal(now, UtcDateTime))
        )  # fmt: skip
        return connection.execute(ended).rowcount == 1


def _good(now: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    """What Standing.GOOD says, for the database."""
    return (
        share.c.revoked_at.is_(None), share.c.tries < TRIES, share.c.not_before <= now,
        share.c.expires_at > now,
    )  # fmt: skip


def _share(row: sa.Row[tuple[object, ...]]) -> Share:
    found = dict(row._mapping)
    for name in ("secret_digest", "factor_digest"):
        del found[name]
    for name in ("reviewed_by", "review"):
        found[name] = found[name] or ""
    return Share(**found | {"kind": Kind(found["kind"])})
