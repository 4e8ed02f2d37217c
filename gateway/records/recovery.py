"""Recovery codes of an account: each is taken once in place of the authenticator's code. Here are
their digests alone.
"""

from collections.abc import Iterable
from datetime import datetime

import sqlalchemy as sa

from gateway.model.credentials import digest
from gateway.records.engine import Records, UtcDateTime, metadata

recovery_code = sa.Table(
    "recovery_code",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column(
        "account_id", sa.ForeignKey("account.account_id", ondelete="CASCADE"), nullable=False
    ),
    sa.Column("used_at", UtcDateTime),
)
sa.Index("recovery_code_by_account", recovery_code.c.account_id)


def save_recovery_codes(records: Records, account_id: str, codes: Iterable[str]) -> None:
    """These and no others from now on; none at all for an empty list."""
    rows = [{"digest": digest(one), "account_id": account_id, "used_at": None} for one in codes]
    mine = recovery_code.c.account_id == account_id
    with records.write() as connection:
        connection.execute(sa.delete(recovery_code).where(mine))
        if rows:
            connection.execute(sa.insert(recovery_code), rows)


def count_recovery_codes(records: Records, account_id: str) -> int:
    """How many are left."""
    question = sa.select(sa.func.count()).where(
        recovery_code.c.account_id == account_id, recovery_code.c.used_at.is_(None)
    )
    with records.read() as connection:
        return int(connection.execute(question).scalar_one())


def take_recovery_code(records: Records, account_id: str, code: str, now: datetime) -> bool:
    """Whether it was one of the account's that are left; it is none from now on."""
    mine = sa.and_(
        recovery_code.c.digest == digest(code), recovery_code.c.account_id == account_id,
        recovery_code.c.used_at.is_(None),
    )  # fmt: skip
    with records.write() as connection:
        used = sa.update(recovery_code).where(mine).values(used_at=now)
        return connection.execute(used).rowcount == 1
