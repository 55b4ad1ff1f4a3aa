"""Payouts: whom each pays, its steps, the files that carried it and the bank's word; and why an entry came back.

Nothing of a payout is ever changed. Its keys allow each step once and at its own amount, and one file.
"""

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import BYTEA

revision: Final = "0021"
down_revision: Final = "0020"
branch_labels: Final = None
depends_on: Final = None

SERVICE: Final = "tallystick_service"
TABLES: Final = (
    "payout",
    "payout_step",
    "payout_file",
    "payout_file_item",
    "payout_status",
    "payout_status_item",
    "payout_finding",
)


def upgrade() -> None:
    _tables()
    _tables_of_files()
    _tables_of_statuses()
    op.add_column("statement_entry", sa.Column("return_reason", sa.Text(), nullable=True))
    op.create_index(
        "ix_statement_entry_payout_return",
        "statement_entry",
        ["issuer_id", "statement_id", "entry_number"],
        unique=False,
        postgresql_where=sa.text("matched_by = 'payout_return'"),
    )
    for table in TABLES:
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
        op.execute(f"GRANT SELECT, INSERT ON {table} TO {SERVICE}")


def _tables() -> None:
    op.create_table(
        "payout",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("token_class_id", sa.Text(collation="C"), nullable=False),
        sa.Column("account_id", sa.Text(collation="C"), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("uetr", sa.Text(), nullable=False),
        sa.Column("beneficiary_name", sa.Text(), nullable=False),
        sa.Column("iban", sa.Text(), nullable=True),
        sa.Column("account_number", sa.Text(), nullable=True),
        sa.Column("bic", sa.Text(), nullable=True),
        sa.Column("street_name", sa.Text(), nullable=True),
        sa.Column("building_number", sa.Text(), nullable=True),
        sa.Column("post_code", sa.Text(), nullable=True),
        sa.Column("town_name", sa.Text(), nullable=False),
        sa.Column("country", sa.Text(), nullable=False),
        sa.Column("remittance", sa.Text(), nullable=True),
        sa.Column("purpose", sa.Text(), nullable=True),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(iban IS NULL) <> (account_number IS NULL)", name=op.f("ck_payout_account_number")
        ),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_payout_amount")),
        sa.CheckConstraint("iban IS NOT NULL OR bic IS NOT NULL", name=op.f("ck_payout_bic")),
        sa.ForeignKeyConstraint(
            ["issuer_id", "account_id"], ["account.issuer_id", "account.id"], name=op.f("fk_payout_account")
        ),
        sa.ForeignKeyConstraint(
            ["issuer_id", "token_class_id"],
            ["token_class.issuer_id", "token_class.id"],
            name=op.f("fk_payout_token_class"),
        ),
        sa.PrimaryKeyConstraint("issuer_id", "id", name=op.f("pk_payout")),
        sa.UniqueConstraint(
            "issuer_id", "id", "amount_minor", name=op.f("uq_payout_issuer_id_id_amount_minor")
        ),
        sa.UniqueConstraint("issuer_id", "uetr", name=op.f("uq_payout_issuer_id_uetr")),
    )
    op.create_table(
        "payout_step",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("payout_id", sa.Text(collation="C"), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("event_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("source_id", sa.Text(collation="C"), nullable=True),
        sa.Column("reason_code", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("done_by", sa.Text(collation="C"), nullable=False),
        sa.Column("done_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint(
            "step IN ('accepted', 'cancelled', 'rejected', 'settled', 'returned', 'given_back')",
            name=op.f("ck_payout_step_step"),
        ),
        sa.CheckConstraint(
            "step NOT IN ('rejected', 'settled', 'returned') OR source_id IS NOT NULL",
            name=op.f("ck_payout_step_source_id"),
        ),
        sa.ForeignKeyConstraint(
            ["issuer_id", "payout_id", "amount_minor"],
            ["payout.issuer_id", "payout.id", "payout.amount_minor"],
            name=op.f("fk_payout_step_payout"),
        ),
        sa.PrimaryKeyConstraint("issuer_id", "payout_id", "step", name=op.f("pk_payout_step")),
    )
    op.create_index(
        "ix_payout_step_source",
        "payout_step",
        ["issuer_id", "source_id"],
        unique=False,
        postgresql_where=sa.text("source_id IS NOT NULL"),
    )
    op.create_index(
        "uq_payout_step_given_back",
        "payout_step",
        ["issuer_id", "payout_id"],
        unique=True,
        postgresql_where=sa.text("step IN ('cancelled', 'rejected', 'given_back')"),
    )
    op.create_index(
        "uq_payout_step_left_transit",
        "payout_step",
        ["issuer_id", "payout_id"],
        unique=True,
        postgresql_where=sa.text("step IN ('settled', 'cancelled', 'rejected')"),
    )


def _tables_of_files() -> None:
    op.create_table(
        "payout_file",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("token_class_id", sa.Text(collation="C"), nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(collation="C"), nullable=False),
        sa.Column("execution_date", sa.Date(), nullable=False),
        sa.Column("payout_count", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("control_sum_minor", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("content_hash", BYTEA(), nullable=False),
        sa.Column("content", BYTEA(), nullable=False),
        sa.Column("made_by", sa.Text(collation="C"), nullable=False),
        sa.Column("event_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("made_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint(
            "format IN ('pain.001.001.09', 'pacs.008.001.08')", name=op.f("ck_payout_file_format")
        ),
        sa.CheckConstraint("content_hash = sha256(content)", name=op.f("ck_payout_file_content_hash")),
        sa.CheckConstraint("payout_count > 0 AND control_sum_minor > 0", name=op.f("ck_payout_file_sums")),
        sa.CheckConstraint("sequence > 0", name=op.f("ck_payout_file_sequence")),
        sa.ForeignKeyConstraint(
            ["issuer_id", "token_class_id"],
            ["token_class.issuer_id", "token_class.id"],
            name=op.f("fk_payout_file_token_class"),
        ),
        sa.PrimaryKeyConstraint("issuer_id", "id", name=op.f("pk_payout_file")),
        sa.UniqueConstraint("issuer_id", "message_id", name=op.f("uq_payout_file_issuer_id_message_id")),
        sa.UniqueConstraint(
            "issuer_id",
            "token_class_id",
            "sequence",
            name=op.f("uq_payout_file_issuer_id_token_class_id_sequence"),
        ),
    )
    op.create_table(
        "payout_file_item",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("payout_id", sa.Text(collation="C"), nullable=False),
        sa.Column("file_id", sa.Text(collation="C"), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("settlement_id", sa.Text(collation="C"), nullable=False),
        sa.ForeignKeyConstraint(
            ["issuer_id", "file_id"],
            ["payout_file.issuer_id", "payout_file.id"],
            name=op.f("fk_payout_file_item_payout_file"),
        ),
        sa.ForeignKeyConstraint(
            ["issuer_id", "payout_id"],
            ["payout.issuer_id", "payout.id"],
            name=op.f("fk_payout_file_item_payout"),
        ),
        sa.PrimaryKeyConstraint("issuer_id", "payout_id", name=op.f("pk_payout_file_item")),
        sa.UniqueConstraint(
            "issuer_id", "file_id", "number", name=op.f("uq_payout_file_item_issuer_id_file_id_number")
        ),
        sa.UniqueConstraint(
            "issuer_id", "settlement_id", name=op.f("uq_payout_file_item_issuer_id_settlement_id")
        ),
    )


def _tables_of_statuses() -> None:
    op.create_table(
        "payout_status",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("message_id", sa.Text(collation="C"), nullable=False),
        sa.Column("content_hash", BYTEA(), nullable=False),
        sa.Column("said_to_be_of", sa.Text(), nullable=True),
        sa.Column("received_by", sa.Text(collation="C"), nullable=False),
        sa.Column("received_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["issuer_id"], ["issuer.issuer_id"], name=op.f("fk_payout_status_issuer")),
        sa.PrimaryKeyConstraint("issuer_id", "id", name=op.f("pk_payout_status")),
        sa.UniqueConstraint(
            "issuer_id", "content_hash", name=op.f("uq_payout_status_issuer_id_content_hash")
        ),
        sa.UniqueConstraint("issuer_id", "message_id", name=op.f("uq_payout_status_issuer_id_message_id")),
    )
    op.create_table(
        "payout_status_item",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("status_id", sa.Text(collation="C"), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("payout_id", sa.Text(collation="C"), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason_code", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["issuer_id", "payout_id"],
            ["payout.issuer_id", "payout.id"],
            name=op.f("fk_payout_status_item_payout"),
        ),
        sa.ForeignKeyConstraint(
            ["issuer_id", "status_id"],
            ["payout_status.issuer_id", "payout_status.id"],
            name=op.f("fk_payout_status_item_payout_status"),
        ),
        sa.PrimaryKeyConstraint("issuer_id", "status_id", "number", name=op.f("pk_payout_status_item")),
    )
    op.create_index(
        op.f("ix_payout_status_item_issuer_id_payout_id_status_id_number"),
        "payout_status_item",
        ["issuer_id", "payout_id", "status_id", "number"],
        unique=False,
    )
    op.create_table(
        "payout_finding",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Text(collation="C"), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("payout_id", sa.Text(collation="C"), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("found_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["issuer_id", "payout_id"],
            ["payout.issuer_id", "payout.id"],
            name=op.f("fk_payout_finding_payout"),
        ),
        sa.ForeignKeyConstraint(["issuer_id"], ["issuer.issuer_id"], name=op.f("fk_payout_finding_issuer")),
        sa.PrimaryKeyConstraint("issuer_id", "id", name=op.f("pk_payout_finding")),
        sa.UniqueConstraint(
            "issuer_id",
            "kind",
            "source_id",
            "subject",
            name=op.f("uq_payout_finding_issuer_id_kind_source_id_subject"),
        ),
    )
    op.create_index(
        op.f("ix_payout_finding_issuer_id_payout_id_id"),
        "payout_finding",
        ["issuer_id", "payout_id", "id"],
        unique=False,
    )


def downgrade() -> None:
    op.drop_index("ix_statement_entry_payout_return", table_name="statement_entry")
    op.drop_column("statement_entry", "return_reason")
    for table in reversed(TABLES):
        op.drop_table(table)
