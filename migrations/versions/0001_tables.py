"""The tables of every room. The issuer's id leads each key, constraint and index."""

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSONB

revision: Final = "0001"
down_revision: Final = None
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    op.create_table(
        "answer",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("key_digest", BYTEA(), nullable=False),
        sa.Column("request_hash", BYTEA(), nullable=False),
        sa.Column("resource_id", sa.Text(collation="C"), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("event_index", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("answered_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint("octet_length(key_digest) = 32", name=op.f("ck_answer_key_digest")),
        sa.PrimaryKeyConstraint("issuer_id", "key_digest", name=op.f("pk_answer")),
    )
    op.create_table(
        "event",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("event_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Text(collation="C"), nullable=False),
        sa.Column("token_class_id", sa.Text(collation="C"), nullable=True),
        sa.Column("booked_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("jws", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("issuer_id", "event_index", name=op.f("pk_event")),
    )
    op.create_index("ix_event_booked_at", "event", ["issuer_id", "booked_at", "event_index"], unique=False)
    op.create_index("uq_event_id", "event", ["issuer_id", "id"], unique=True)
    op.create_table(
        "instruction",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("principal_id", sa.Text(collation="C"), nullable=False),
        sa.Column("token_class_id", sa.Text(collation="C"), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("remaining_minor", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("payer_account_id", sa.Text(collation="C"), nullable=True),
        sa.Column("payee_account_id", sa.Text(collation="C"), nullable=True),
        sa.Column("related_id", sa.Text(collation="C"), nullable=True),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("request_hash", BYTEA(), nullable=False),
        sa.Column("value_date", sa.Date(), nullable=True),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("expires_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("settled_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("event_index", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.CheckConstraint(
            "(event_index IS NULL) = (settled_at IS NULL)", name=op.f("ck_instruction_settled")
        ),
        sa.CheckConstraint("amount_minor >= 0", name=op.f("ck_instruction_amount")),
        sa.CheckConstraint(
            "remaining_minor BETWEEN 0 AND amount_minor", name=op.f("ck_instruction_remaining")
        ),
        sa.PrimaryKeyConstraint("issuer_id", "id", name=op.f("pk_instruction")),
    )
    op.create_index(
        "ix_instruction_open",
        "instruction",
        ["issuer_id", "kind", "state", "id"],
        unique=False,
        postgresql_where=sa.text("kind <> 'transfer'"),
    )
    op.create_index(
        "ix_instruction_related",
        "instruction",
        ["issuer_id", "related_id", "id"],
        unique=False,
        postgresql_where=sa.text("related_id IS NOT NULL"),
    )
    op.create_index(
        "ix_instruction_by_hand",
        "instruction",
        ["issuer_id", "payee_account_id", "id"],
        unique=False,
        postgresql_where=sa.text("kind = 'deposit' AND related_id IS NULL"),
    )
    op.create_table(
        "issuer",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("legal_name", sa.Text(), nullable=False),
        sa.Column("lei", sa.Text(), nullable=False),
        sa.Column("bic", sa.Text(), nullable=False),
        sa.Column("jurisdiction", sa.Text(), nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("issuer_id", name=op.f("pk_issuer")),
    )
    op.create_table(
        "journal_line",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("event_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("line_number", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("ledger_account_id", sa.Text(collation="C"), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("debit_minor", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("credit_minor", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("previous_balance_minor", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("balance_minor", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("account_version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("booked_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("value_date", sa.Date(), nullable=False),
        sa.CheckConstraint(
            "balance_minor - previous_balance_minor = CASE WHEN left(ledger_account_id, 4) IN "
            "('1010', '1020', '1100', '1210', '1390', '1510', '5010', '5020') "
            "THEN debit_minor - credit_minor ELSE credit_minor - debit_minor END",
            name=op.f("ck_journal_line_moves_by_amount"),
        ),
        sa.CheckConstraint("account_version > 0", name=op.f("ck_journal_line_account_version")),
        sa.CheckConstraint(
            "debit_minor >= 0 AND credit_minor >= 0 AND (debit_minor = 0) <> (credit_minor = 0)",
            name=op.f("ck_journal_line_one_side"),
        ),
        sa.PrimaryKeyConstraint("issuer_id", "event_index", "line_number", name=op.f("pk_journal_line")),
    )
    op.create_index(
        "uq_journal_line_account",
        "journal_line",
        ["issuer_id", "ledger_account_id", "event_index", "line_number"],
        unique=True,
    )
    op.create_table(
        "approval",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Text(collation="C"), nullable=False),
        sa.Column("request_hash", BYTEA(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("scale", sa.SmallInteger(), nullable=True),
        sa.Column("maker_principal_id", sa.Text(collation="C"), nullable=False),
        sa.Column("maker_person", sa.Text(), nullable=False),
        sa.Column("quorum", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("expires_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint("state IN ('pending', 'approved', 'rejected')", name=op.f("ck_approval_state")),
        sa.CheckConstraint("quorum >= 1", name=op.f("ck_approval_quorum")),
        sa.ForeignKeyConstraint(["issuer_id"], ["issuer.issuer_id"], name=op.f("fk_approval_issuer")),
        sa.PrimaryKeyConstraint("issuer_id", "id", name=op.f("pk_approval")),
    )
    op.create_index(
        op.f("ix_approval_issuer_id_state_id"), "approval", ["issuer_id", "state", "id"], unique=False
    )
    op.create_index(
        op.f("ix_approval_issuer_id_subject_id_id"),
        "approval",
        ["issuer_id", "subject_id", "id"],
        unique=False,
    )
    op.create_table(
        "export",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("arguments", JSONB(), nullable=False),
        sa.Column("manifest", JSONB(), nullable=False),
        sa.Column("requested_by", sa.Text(collation="C"), nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["issuer_id"], ["issuer.issuer_id"], name=op.f("fk_export_issuer")),
        sa.PrimaryKeyConstraint("issuer_id", "id", name=op.f("pk_export")),
    )
    op.create_table(
        "holder",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("legal_name", sa.Text(), nullable=False),
        sa.Column("country", sa.Text(), nullable=False),
        sa.Column("residency", sa.Text(), nullable=False),
        sa.Column("lei", sa.Text(), nullable=True),
        sa.Column("platform_id", sa.Text(collation="C"), nullable=True),
        sa.Column("kyc_status", sa.Text(), nullable=False),
        sa.Column("kyc_expires_on", sa.Date(), nullable=True),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint(
            "kind IN ('corporate', 'merchant', 'platform', 'institution')", name=op.f("ck_holder_kind")
        ),
        sa.CheckConstraint(
            "kyc_status IN ('pending', 'verified', 'rejected')", name=op.f("ck_holder_kyc_status")
        ),
        sa.ForeignKeyConstraint(
            ["issuer_id", "platform_id"], ["holder.issuer_id", "holder.id"], name=op.f("fk_holder_holder")
        ),
        sa.ForeignKeyConstraint(["issuer_id"], ["issuer.issuer_id"], name=op.f("fk_holder_issuer")),
        sa.PrimaryKeyConstraint("issuer_id", "id", name=op.f("pk_holder")),
    )
    op.create_index(
        op.f("ix_holder_issuer_id_platform_id_id"), "holder", ["issuer_id", "platform_id", "id"], unique=False
    )
    op.create_table(
        "log_head",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("next_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last_booked_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint("next_index >= 0", name=op.f("ck_log_head_next_index")),
        sa.ForeignKeyConstraint(["issuer_id"], ["issuer.issuer_id"], name=op.f("fk_log_head_issuer")),
        sa.PrimaryKeyConstraint("issuer_id", name=op.f("pk_log_head")),
        postgresql_with={"fillfactor": "10"},
    )
    op.create_table(
        "signing_key",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("algorithm", sa.Text(), nullable=False),
        sa.Column("public_key", BYTEA(), nullable=False),
        sa.Column("use", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("activated_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("retired_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("compromised_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(state = 'active') = (retired_at IS NULL AND revoked_at IS NULL)",
            name=op.f("ck_signing_key_active"),
        ),
        sa.CheckConstraint("(state = 'revoked') = (reason IS NOT NULL)", name=op.f("ck_signing_key_reason")),
        sa.CheckConstraint(
            "(state = 'revoked') = (revoked_at IS NOT NULL)", name=op.f("ck_signing_key_revoked_at")
        ),
        sa.CheckConstraint("algorithm IN ('EdDSA')", name=op.f("ck_signing_key_algorithm")),
        sa.CheckConstraint(
            "compromised_at IS NULL OR state = 'revoked'", name=op.f("ck_signing_key_compromised_at")
        ),
        sa.CheckConstraint("state IN ('active', 'retired', 'revoked')", name=op.f("ck_signing_key_state")),
        sa.CheckConstraint("use IN ('event', 'checkpoint')", name=op.f("ck_signing_key_use")),
        sa.CheckConstraint("octet_length(public_key) = 32", name=op.f("ck_signing_key_public_key")),
        sa.ForeignKeyConstraint(["issuer_id"], ["issuer.issuer_id"], name=op.f("fk_signing_key_issuer")),
        sa.PrimaryKeyConstraint("issuer_id", "id", name=op.f("pk_signing_key")),
    )
    op.create_index(
        "uq_signing_key_active",
        "signing_key",
        ["issuer_id", "use"],
        unique=True,
        postgresql_where=sa.text("state = 'active'"),
    )
    op.create_table(
        "token_class",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("scale", sa.SmallInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("backing_iban", sa.Text(), nullable=True),
        sa.Column("backing_account_number", sa.Text(), nullable=True),
        sa.Column("terms_version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint("mode IN ('normal', 'redeem_only', 'paused')", name=op.f("ck_token_class_mode")),
        sa.CheckConstraint("scale BETWEEN 0 AND 9", name=op.f("ck_token_class_scale")),
        sa.ForeignKeyConstraint(["issuer_id"], ["issuer.issuer_id"], name=op.f("fk_token_class_issuer")),
        sa.PrimaryKeyConstraint("issuer_id", "id", name=op.f("pk_token_class")),
        sa.UniqueConstraint("issuer_id", "currency", name=op.f("uq_token_class_issuer_id_currency")),
    )
    op.create_table(
        "account",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("holder_id", sa.Text(collation="C"), nullable=False),
        sa.Column("token_class_id", sa.Text(collation="C"), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("status_reason", sa.Text(), nullable=True),
        sa.Column("deposit_iban", sa.Text(), nullable=True),
        sa.Column("deposit_account_number", sa.Text(), nullable=True),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("closed_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint("status IN ('open', 'frozen', 'closed')", name=op.f("ck_account_status")),
        sa.CheckConstraint(
            "(deposit_iban IS NULL) <> (deposit_account_number IS NULL)",
            name=op.f("ck_account_deposit_account"),
        ),
        sa.ForeignKeyConstraint(
            ["issuer_id", "holder_id"], ["holder.issuer_id", "holder.id"], name=op.f("fk_account_holder")
        ),
        sa.ForeignKeyConstraint(
            ["issuer_id", "token_class_id"],
            ["token_class.issuer_id", "token_class.id"],
            name=op.f("fk_account_token_class"),
        ),
        sa.PrimaryKeyConstraint("issuer_id", "id", name=op.f("pk_account")),
        sa.UniqueConstraint(
            "issuer_id",
            "token_class_id",
            "deposit_account_number",
            name=op.f("uq_account_issuer_id_token_class_id_deposit_account_number"),
        ),
        sa.UniqueConstraint(
            "issuer_id",
            "token_class_id",
            "deposit_iban",
            name=op.f("uq_account_issuer_id_token_class_id_deposit_iban"),
        ),
        sa.UniqueConstraint(
            "issuer_id",
            "token_class_id",
            "reference",
            name=op.f("uq_account_issuer_id_token_class_id_reference"),
        ),
    )
    op.create_index(
        op.f("ix_account_issuer_id_holder_id_id"), "account", ["issuer_id", "holder_id", "id"], unique=False
    )
    op.create_table(
        "approval_vote",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("approval_id", sa.Text(collation="C"), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("principal_id", sa.Text(collation="C"), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("hash", BYTEA(), nullable=False),
        sa.Column("decided_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint("decision IN ('approve', 'reject')", name=op.f("ck_approval_vote_decision")),
        sa.CheckConstraint("octet_length(hash) = 32", name=op.f("ck_approval_vote_hash")),
        sa.ForeignKeyConstraint(
            ["issuer_id", "approval_id"],
            ["approval.issuer_id", "approval.id"],
            name=op.f("fk_approval_vote_approval"),
        ),
        sa.PrimaryKeyConstraint("issuer_id", "approval_id", "person", name=op.f("pk_approval_vote")),
    )
    op.create_table(
        "liability",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("holder_id", sa.Text(collation="C"), nullable=False),
        sa.Column("token_class_id", sa.Text(collation="C"), nullable=False),
        sa.Column("terms_version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("opened_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["issuer_id", "holder_id"], ["holder.issuer_id", "holder.id"], name=op.f("fk_liability_holder")
        ),
        sa.ForeignKeyConstraint(
            ["issuer_id", "token_class_id"],
            ["token_class.issuer_id", "token_class.id"],
            name=op.f("fk_liability_token_class"),
        ),
        sa.PrimaryKeyConstraint("issuer_id", "id", name=op.f("pk_liability")),
        sa.UniqueConstraint(
            "issuer_id",
            "token_class_id",
            "holder_id",
            name=op.f("uq_liability_issuer_id_token_class_id_holder_id"),
        ),
    )
    op.create_table(
        "principal",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=True),
        sa.Column("roles", ARRAY(sa.Text()), nullable=False),
        sa.Column("holder_id", sa.Text(collation="C"), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint("status IN ('active', 'suspended')", name=op.f("ck_principal_status")),
        sa.ForeignKeyConstraint(
            ["issuer_id", "holder_id"], ["holder.issuer_id", "holder.id"], name=op.f("fk_principal_holder")
        ),
        sa.ForeignKeyConstraint(["issuer_id"], ["issuer.issuer_id"], name=op.f("fk_principal_issuer")),
        sa.PrimaryKeyConstraint("issuer_id", "id", name=op.f("pk_principal")),
    )
    op.create_table(
        "reconciliation",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("token_class_id", sa.Text(collation="C"), nullable=False),
        sa.Column("event_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("ledger_as_of", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("statement_id", sa.Text(collation="C"), nullable=True),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("figures", JSONB(), nullable=False),
        sa.Column("run_by", sa.Text(collation="C"), nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint("verdict IN ('tied', 'broken')", name=op.f("ck_reconciliation_verdict")),
        sa.ForeignKeyConstraint(
            ["issuer_id", "token_class_id"],
            ["token_class.issuer_id", "token_class.id"],
            name=op.f("fk_reconciliation_token_class"),
        ),
        sa.PrimaryKeyConstraint("issuer_id", "id", name=op.f("pk_reconciliation")),
    )
    op.create_table(
        "statement",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("token_class_id", sa.Text(collation="C"), nullable=False),
        sa.Column("message_type", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("bank_account", sa.Text(), nullable=False),
        sa.Column("bank_statement_id", sa.Text(), nullable=False),
        sa.Column("sequence_number", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("opened_on", sa.Date(), nullable=True),
        sa.Column("closed_on", sa.Date(), nullable=True),
        sa.Column("opening_minor", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("closing_minor", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("entry_count", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("content_hash", BYTEA(), nullable=False),
        sa.Column("file_hash", BYTEA(), nullable=False),
        sa.Column("imported_by", sa.Text(collation="C"), nullable=False),
        sa.Column("imported_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["issuer_id", "token_class_id"],
            ["token_class.issuer_id", "token_class.id"],
            name=op.f("fk_statement_token_class"),
        ),
        sa.PrimaryKeyConstraint("issuer_id", "id", name=op.f("pk_statement")),
        sa.UniqueConstraint(
            "issuer_id",
            "bank_account",
            "message_type",
            "bank_statement_id",
            name=op.f("uq_statement_issuer_id_bank_account_message_type_bank_statement_id"),
        ),
    )
    op.create_index(
        op.f("ix_statement_issuer_id_token_class_id_closed_on_id"),
        "statement",
        ["issuer_id", "token_class_id", "closed_on", "id"],
        unique=False,
    )
    op.create_table(
        "api_key",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("principal_id", sa.Text(collation="C"), nullable=False),
        sa.Column("secret_hash", BYTEA(), nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("expires_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint("octet_length(secret_hash) = 32", name=op.f("ck_api_key_secret_hash")),
        sa.ForeignKeyConstraint(
            ["issuer_id", "principal_id"],
            ["principal.issuer_id", "principal.id"],
            name=op.f("fk_api_key_principal"),
        ),
        sa.PrimaryKeyConstraint("issuer_id", "id", name=op.f("pk_api_key")),
    )
    op.create_table(
        "ledger_account",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("token_class_id", sa.Text(collation="C"), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(collation="C"), nullable=True),
        sa.Column("balance_minor", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last_event_index", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.CheckConstraint(
            "balance_minor >= 0 OR NOT (code = '2010' OR code LIKE '21%')",
            name=op.f("ck_ledger_account_floor"),
        ),
        sa.CheckConstraint("version >= 0", name=op.f("ck_ledger_account_version")),
        sa.ForeignKeyConstraint(
            ["issuer_id", "account_id"],
            ["account.issuer_id", "account.id"],
            name=op.f("fk_ledger_account_account"),
        ),
        sa.ForeignKeyConstraint(
            ["issuer_id", "token_class_id"],
            ["token_class.issuer_id", "token_class.id"],
            name=op.f("fk_ledger_account_token_class"),
        ),
        sa.PrimaryKeyConstraint("issuer_id", "id", name=op.f("pk_ledger_account")),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_table(
        "reconciliation_break",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("reconciliation_id", sa.Text(collation="C"), nullable=False),
        sa.Column("token_class_id", sa.Text(collation="C"), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("difference_minor", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("explanation", sa.Text(), nullable=False),
        sa.Column("evidence", JSONB(), nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('open', 'explained', 'closed')", name=op.f("ck_reconciliation_break_state")
        ),
        sa.ForeignKeyConstraint(
            ["issuer_id", "reconciliation_id"],
            ["reconciliation.issuer_id", "reconciliation.id"],
            name=op.f("fk_reconciliation_break_reconciliation"),
        ),
        sa.PrimaryKeyConstraint("issuer_id", "id", name=op.f("pk_reconciliation_break")),
    )
    op.create_index(
        op.f("ix_reconciliation_break_issuer_id_reconciliation_id_id"),
        "reconciliation_break",
        ["issuer_id", "reconciliation_id", "id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_reconciliation_break_issuer_id_state_id"),
        "reconciliation_break",
        ["issuer_id", "state", "id"],
        unique=False,
    )
    op.create_table(
        "statement_entry",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("statement_id", sa.Text(collation="C"), nullable=False),
        sa.Column("entry_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("credit", sa.Boolean(), nullable=False),
        sa.Column("booked", sa.Boolean(), nullable=False),
        sa.Column("reversal", sa.Boolean(), nullable=False),
        sa.Column("booking_date", sa.Date(), nullable=True),
        sa.Column("value_date", sa.Date(), nullable=True),
        sa.Column("bank_reference", sa.Text(), nullable=True),
        sa.Column("end_to_end_id", sa.Text(), nullable=True),
        sa.Column("uetr", sa.Text(), nullable=True),
        sa.Column("counterparty_name", sa.Text(), nullable=True),
        sa.Column("counterparty_account", sa.Text(), nullable=True),
        sa.Column("remittance", sa.Text(), nullable=True),
        sa.Column("deposit_id", sa.Text(collation="C"), nullable=True),
        sa.Column("matched_by", sa.Text(), nullable=True),
        sa.CheckConstraint("amount_minor >= 0", name=op.f("ck_statement_entry_amount")),
        sa.ForeignKeyConstraint(
            ["issuer_id", "statement_id"],
            ["statement.issuer_id", "statement.id"],
            name=op.f("fk_statement_entry_statement"),
        ),
        sa.PrimaryKeyConstraint("issuer_id", "statement_id", "entry_number", name=op.f("pk_statement_entry")),
    )
    op.create_index(
        "ix_statement_entry_confirmed_by_hand",
        "statement_entry",
        ["issuer_id", "deposit_id"],
        unique=True,
        postgresql_where=sa.text("matched_by = 'confirmed_by_hand'"),
    )
    op.create_table(
        "statement_finding",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("statement_id", sa.Text(collation="C"), nullable=False),
        sa.Column("finding_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["issuer_id", "statement_id"],
            ["statement.issuer_id", "statement.id"],
            name=op.f("fk_statement_finding_statement"),
        ),
        sa.PrimaryKeyConstraint(
            "issuer_id", "statement_id", "finding_number", name=op.f("pk_statement_finding")
        ),
    )


def downgrade() -> None:
    op.drop_table("statement_finding")
    op.drop_table("statement_entry")
    op.drop_table("reconciliation_break")
    op.drop_table("ledger_account")
    op.drop_table("api_key")
    op.drop_table("statement")
    op.drop_table("reconciliation")
    op.drop_table("principal")
    op.drop_table("liability")
    op.drop_table("approval_vote")
    op.drop_table("account")
    op.drop_table("token_class")
    op.drop_table("signing_key")
    op.drop_table("log_head")
    op.drop_table("holder")
    op.drop_table("export")
    op.drop_table("approval")
    op.drop_table("journal_line")
    op.drop_table("issuer")
    op.drop_table("instruction")
    op.drop_table("event")
    op.drop_table("answer")
