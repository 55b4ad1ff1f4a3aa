"""Changes that people approve, and why an instruction waits; votes find their events; purposes of payments.

A change (a policy's activation, a class's mode, a principal's return) is an instruction of no token class.
"""

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: Final = "0005"
down_revision: Final = "0004"
branch_labels: Final = None
depends_on: Final = None

SERVICE: Final = "tallystick_service"


def upgrade() -> None:
    op.alter_column("instruction", "token_class_id", nullable=True)
    op.add_column("instruction", sa.Column("operation", sa.Text(), nullable=True))
    op.add_column("instruction", sa.Column("purpose", sa.Text(), nullable=True))
    op.create_check_constraint("of_class", "instruction", "(kind = 'change') = (token_class_id IS NULL)")
    op.create_check_constraint("operation", "instruction", "(kind = 'change') = (operation IS NOT NULL)")
    op.add_column("approval", sa.Column("details", JSONB(), nullable=True))
    op.drop_constraint(op.f("ck_approval_state"), "approval", type_="check")
    op.create_check_constraint("state", "approval", "state IN ('pending', 'approved', 'rejected', 'expired')")
    op.create_index(
        "ix_approval_expires_at",
        "approval",
        ["issuer_id", "expires_at"],
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index(
        "ix_instruction_expires_at",
        "instruction",
        ["issuer_id", "expires_at"],
        postgresql_where=sa.text("state = 'held' AND expires_at IS NOT NULL"),
    )
    op.create_index(
        "ix_instruction_mints",
        "instruction",
        ["issuer_id", "token_class_id", "settled_at"],
        postgresql_where=sa.text("kind = 'mint'"),
    )
    op.add_column(
        "approval_vote", sa.Column("event_index", sa.BigInteger(), autoincrement=False, nullable=True)
    )
    op.create_table(
        "breaker",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("token_class_id", sa.Text(collation="C"), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("event_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.CheckConstraint("state IN ('closed', 'tripped')", name=op.f("ck_breaker_state")),
        sa.ForeignKeyConstraint(
            ["issuer_id", "token_class_id"],
            ["token_class.issuer_id", "token_class.id"],
            name=op.f("fk_breaker_token_class"),
        ),
        sa.PrimaryKeyConstraint("issuer_id", "token_class_id", name=op.f("pk_breaker")),
    )
    op.execute(
        f"GRANT SELECT, INSERT, UPDATE (state, reason, changed_at, event_index) ON breaker TO {SERVICE}"
    )


def downgrade() -> None:
    op.drop_table("breaker")
    op.drop_column("approval_vote", "event_index")
    op.drop_index("ix_instruction_mints", table_name="instruction")
    op.drop_index("ix_instruction_expires_at", table_name="instruction")
    op.drop_index("ix_approval_expires_at", table_name="approval")
    # The schema before this one knows no changes and no expiry: what is of them goes, the log keeps their events.
    op.execute("ALTER TABLE approval_vote DISABLE TRIGGER USER")
    op.execute(
        "DELETE FROM approval_vote v USING approval a WHERE a.issuer_id = v.issuer_id AND a.id = v.approval_id "
        "AND (a.operation = 'change' OR a.state = 'expired')"
    )
    op.execute("ALTER TABLE approval_vote ENABLE TRIGGER USER")
    op.execute("DELETE FROM approval WHERE operation = 'change'")
    op.execute("UPDATE approval SET state = 'rejected' WHERE state = 'expired'")
    op.execute("DELETE FROM instruction WHERE kind = 'change'")
    op.drop_constraint(op.f("ck_approval_state"), "approval", type_="check")
    op.create_check_constraint("state", "approval", "state IN ('pending', 'approved', 'rejected')")
    op.drop_column("approval", "details")
    op.drop_constraint(op.f("ck_instruction_operation"), "instruction", type_="check")
    op.drop_constraint(op.f("ck_instruction_of_class"), "instruction", type_="check")
    op.drop_column("instruction", "purpose")
    op.drop_column("instruction", "operation")
    op.alter_column("instruction", "token_class_id", nullable=False)
