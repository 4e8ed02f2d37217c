"""Snapshots of the rollout, which the database itself keeps from being changed or deleted."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    counts = (
        "digital_part", "digital_whole", "connected_part", "connected_whole", "proven_part",
        "proven_whole",
    )  # fmt: skip
    op.create_table(
        "rollout_snapshot",
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("taken_at", MOMENT, nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("form", sa.Integer, nullable=False),
        *(sa.Column(name, sa.Integer, nullable=False) for name in counts),
        sa.Column("studies", sa.Integer),
        sa.Column("shares", sa.LargeBinary, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "snapshot_order",
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("ordered_at", MOMENT, nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'a snapshot is frozen'; END $$"
        )
        op.execute(
            "CREATE TRIGGER rollout_snapshot_is_frozen BEFORE UPDATE OR DELETE ON rollout_snapshot "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
        return
    for change in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER rollout_snapshot_no_{change.lower()} BEFORE {change} "
            "ON rollout_snapshot BEGIN SELECT RAISE(ABORT, 'a snapshot is frozen'); END"
        )
