"""Freezes and court orders on accounts, and what was done under each."""

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: Final = "0009"
down_revision: Final = "0008"
branch_labels: Final = None
depends_on: Final = None

SERVICE: Final = "tallystick_service"
CHANGEABLE: Final = ("restricted_minor", "seized_minor", "state", "ended_at")


def upgrade() -> None:
    op.create_table(
        "restriction",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("account_id", sa.Text(collation="C"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("restricted_minor", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seized_minor", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("authority", sa.Text(), nullable=False),
        sa.Column("authority_reference", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(collation="C"), nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("ended_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('freeze', 'court_order')", name=op.f("ck_restriction_kind")),
        sa.CheckConstraint("scope IN ('debit', 'credit', 'both')", name=op.f("ck_restriction_scope")),
        sa.CheckConstraint(
            "state IN ('active', 'lifted', 'expired', 'executed')", name=op.f("ck_restriction_state")
        ),
        sa.CheckConstraint(
            "amount_minor > 0 AND scope = 'debit' OR amount_minor IS NULL", name=op.f("ck_restriction_amount")
        ),
        sa.CheckConstraint(
            "restricted_minor >= 0 AND restricted_minor <= coalesce(amount_minor, restricted_minor)",
            name=op.f("ck_restriction_restricted"),
        ),
        sa.CheckConstraint("seized_minor BETWEEN 0 AND restricted_minor", name=op.f("ck_restriction_seized")),
        sa.CheckConstraint("(state = 'active') = (ended_at IS NULL)", name=op.f("ck_restriction_ended")),
        sa.CheckConstraint(
            "kind = 'freeze' OR authority_reference IS NOT NULL", name=op.f("ck_restriction_reference")
        ),
        sa.ForeignKeyConstraint(
            ["issuer_id", "account_id"],
            ["account.issuer_id", "account.id"],
            name=op.f("fk_restriction_account"),
        ),
        sa.PrimaryKeyConstraint("issuer_id", "id", name=op.f("pk_restriction")),
    )
    op.create_index(
        "ix_restriction_active",
        "restriction",
        ["issuer_id", "account_id", "id"],
        unique=False,
        postgresql_where=sa.text("state = 'active'"),
    )
    op.create_index(
        op.f("ix_restriction_issuer_id_account_id_id"),
        "restriction",
        ["issuer_id", "account_id", "id"],
        unique=False,
    )
    create_actions()
    op.execute(f"GRANT SELECT, INSERT, UPDATE ({', '.join(CHANGEABLE)}) ON restriction TO {SERVICE}")
    op.execute(
        "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON restriction_action "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
    op.execute(f"GRANT SELECT, INSERT ON restriction_action TO {SERVICE}")


def create_actions() -> None:
    op.create_table(
        "restriction_action",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("restriction_id", sa.Text(collation="C"), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("done_by", sa.Text(collation="C"), nullable=False),
        sa.Column("approvals", JSONB(), nullable=False),
        sa.Column("done_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint("amount_minor >= 0", name=op.f("ck_restriction_action_amount")),
        sa.CheckConstraint(
            "action IN ('placed', 'topped_up', 'received', 'seized', 'lifted', 'expired')",
            name=op.f("ck_restriction_action_action"),
        ),
        sa.CheckConstraint(
            "action NOT IN ('seized', 'lifted') OR jsonb_array_length(approvals) > 0",
            name=op.f("ck_restriction_action_approvals"),
        ),
        sa.ForeignKeyConstraint(
            ["issuer_id", "restriction_id"],
            ["restriction.issuer_id", "restriction.id"],
            name=op.f("fk_restriction_action_restriction"),
        ),
        sa.PrimaryKeyConstraint("issuer_id", "restriction_id", "number", name=op.f("pk_restriction_action")),
    )


def downgrade() -> None:
    op.drop_table("restriction_action")
    op.drop_table("restriction")
