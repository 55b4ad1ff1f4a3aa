"""Bank data: statements that come in parts, deposits that notifications confirmed, and figures that a core pushes."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0011"
down_revision: Final = "0010"
branch_labels: Final = None
depends_on: Final = None

SERVICE: Final = "tallystick_service"
APPEND_ONLY: Final = ("statement_completion", "notified_deposit", "notified_reference", "deposit_balance")


def upgrade() -> None:
    op.create_table(
        "statement_completion",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("statement_id", sa.Text(collation="C"), nullable=False),
        sa.Column("completed_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["issuer_id", "statement_id"],
            ["statement.issuer_id", "statement.id"],
            name=op.f("fk_statement_completion_statement"),
        ),
        sa.PrimaryKeyConstraint("issuer_id", "statement_id", name=op.f("pk_statement_completion")),
    )
    # Until now a statement was imported in one transaction, so each that is there is whole.
    op.execute(
        "INSERT INTO statement_completion (issuer_id, statement_id, completed_at)"
        " SELECT issuer_id, id, imported_at FROM statement"
    )
    op.create_index(
        "ix_statement_entry_notified",
        "statement_entry",
        ["issuer_id", "deposit_id"],
        unique=True,
        postgresql_where=sa.text("matched_by = 'notified'"),
    )
    op.create_index(
        "ix_statement_entry_bank_reference",
        "statement_entry",
        ["issuer_id", "bank_reference"],
        unique=False,
        postgresql_where=sa.text("length(bank_reference) <= 140"),
    )
    _create_notified()
    _create_deposit_balance()
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
        op.execute(f"GRANT SELECT, INSERT ON {table} TO {SERVICE}")


def _create_notified() -> None:
    op.create_table(
        "notified_deposit",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("deposit_id", sa.Text(collation="C"), nullable=False),
        sa.Column("token_class_id", sa.Text(collation="C"), nullable=False),
        sa.Column("account_id", sa.Text(collation="C"), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("booked_on", sa.Date(), nullable=False),
        sa.Column("uetr", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["issuer_id", "token_class_id"],
            ["token_class.issuer_id", "token_class.id"],
            name=op.f("fk_notified_deposit_token_class"),
        ),
        sa.PrimaryKeyConstraint("issuer_id", "deposit_id", name=op.f("pk_notified_deposit")),
    )
    op.create_index(
        "ix_notified_deposit_clue",
        "notified_deposit",
        ["issuer_id", "token_class_id", "account_id", "amount_minor", "booked_on"],
        unique=False,
    )
    op.create_table(
        "notified_reference",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("token_class_id", sa.Text(collation="C"), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("deposit_id", sa.Text(collation="C"), nullable=False),
        sa.ForeignKeyConstraint(
            ["issuer_id", "deposit_id"],
            ["notified_deposit.issuer_id", "notified_deposit.deposit_id"],
            name=op.f("fk_notified_reference_notified_deposit"),
        ),
        sa.PrimaryKeyConstraint(
            "issuer_id", "token_class_id", "reference", "deposit_id", name=op.f("pk_notified_reference")
        ),
    )


def _create_deposit_balance() -> None:
    op.create_table(
        "deposit_balance",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("token_class_id", sa.Text(collation="C"), nullable=False),
        sa.Column("account_id", sa.Text(collation="C"), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("as_of", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("source_reference", sa.Text(), nullable=False),
        sa.Column("recorded_by", sa.Text(collation="C"), nullable=False),
        sa.Column("recorded_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('balance', 'hold')", name=op.f("ck_deposit_balance_kind")),
        sa.CheckConstraint("kind = 'balance' OR amount_minor >= 0", name=op.f("ck_deposit_balance_amount")),
        sa.ForeignKeyConstraint(
            ["issuer_id", "token_class_id"],
            ["token_class.issuer_id", "token_class.id"],
            name=op.f("fk_deposit_balance_token_class"),
        ),
        sa.PrimaryKeyConstraint("issuer_id", "id", name=op.f("pk_deposit_balance")),
        sa.UniqueConstraint(
            "issuer_id",
            "source",
            "source_reference",
            name=op.f("uq_deposit_balance_issuer_id_source_source_reference"),
        ),
    )
    op.create_index(
        op.f("ix_deposit_balance_issuer_id_token_class_id_as_of_id"),
        "deposit_balance",
        ["issuer_id", "token_class_id", "as_of", "id"],
        unique=False,
    )


def downgrade() -> None:
    op.drop_table("deposit_balance")
    op.drop_table("notified_reference")
    op.drop_table("notified_deposit")
    op.drop_index("ix_statement_entry_bank_reference", "statement_entry")
    op.drop_index("ix_statement_entry_notified", "statement_entry")
    op.drop_table("statement_completion")
