"""Tables of what the bank said: statements as they came, their entries, what was found odd in them, and figures.

Nothing here is ever changed. That a statement is whole is a row of its own, written last.
"""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from tallystick.core.columns import (
    bytes_column,
    date_column,
    id_column,
    integer_column,
    moment_column,
    text_column,
)
from tallystick.core.database import metadata
from tallystick.core.table_classes import LOGGED, logged

statement = Table(
    "statement",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("id", primary_key=True),
    id_column("token_class_id"),
    text_column("message_type"),
    text_column("message_id"),
    text_column("bank_account"),
    text_column("bank_statement_id"),
    integer_column("sequence_number", nullable=True),
    text_column("currency"),
    date_column("opened_on", nullable=True),
    date_column("closed_on", nullable=True),
    integer_column("opening_minor", nullable=True),
    integer_column("closing_minor", nullable=True),
    integer_column("entry_count"),
    bytes_column("content_hash"),
    bytes_column("file_hash"),
    id_column("imported_by"),
    moment_column("imported_at"),
    ForeignKeyConstraint(["issuer_id", "token_class_id"], ["token_class.issuer_id", "token_class.id"]),
    UniqueConstraint("issuer_id", "bank_account", "message_type", "bank_statement_id"),
    Index(None, "issuer_id", "token_class_id", "closed_on", "id"),
    info=LOGGED,
)

statement_entry = Table(
    "statement_entry",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("statement_id", primary_key=True),
    integer_column("entry_number", primary_key=True),
    integer_column("amount_minor"),
    Column("credit", Boolean, nullable=False),
    Column("booked", Boolean, nullable=False),
    Column("reversal", Boolean, nullable=False),
    date_column("booking_date", nullable=True),
    date_column("value_date", nullable=True),
    text_column("bank_reference", nullable=True),
    text_column("end_to_end_id", nullable=True),
    text_column("uetr", nullable=True),
    text_column("counterparty_name", nullable=True),
    text_column("counterparty_account", nullable=True),
    text_column("remittance", nullable=True),
    id_column("deposit_id", nullable=True),
    text_column("matched_by", nullable=True),
    text_column("return_reason", nullable=True),
    ForeignKeyConstraint(["issuer_id", "statement_id"], ["statement.issuer_id", "statement.id"]),
    CheckConstraint("amount_minor >= 0", name="amount"),
    # Payouts that came back are few among all the entries.
    Index(
        "ix_statement_entry_payout_return",
        "issuer_id",
        "statement_id",
        "entry_number",
        postgresql_where=text("matched_by = 'payout_return'"),
    ),
    # A deposit that people confirmed stands for one credit of the bank, whatever the code does.
    Index(
        "ix_statement_entry_confirmed_by_hand",
        "issuer_id",
        "deposit_id",
        unique=True,
        postgresql_where=text("matched_by = 'confirmed_by_hand'"),
    ),
    # A deposit that a notification confirmed stands for one credit of a statement.
    Index(
        "ix_statement_entry_notified",
        "issuer_id",
        "deposit_id",
        unique=True,
        postgresql_where=text("matched_by = 'notified'"),
    ),
    # A deposit of a statement that was abandoned: the one that comes in its stead tells of it again.
    Index(
        "ix_statement_entry_retold",
        "issuer_id",
        "deposit_id",
        postgresql_where=text("matched_by = 'retold'"),
    ),
    # What is longer is no reference, and would not fit into an index.
    Index(
        "ix_statement_entry_bank_reference",
        "issuer_id",
        "bank_reference",
        postgresql_where=text("length(bank_reference) <= 140"),
    ),
    info=logged(together=("statement_id",), complete_by="statement_completion"),
)

statement_completion = Table(
    "statement_completion",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("statement_id", primary_key=True),
    moment_column("completed_at"),
    ForeignKeyConstraint(["issuer_id", "statement_id"], ["statement.issuer_id", "statement.id"]),
    info=LOGGED,
)

# A statement that was left half read for good: what came of it stands, and nothing more comes.
statement_abandonment = Table(
    "statement_abandonment",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("statement_id", primary_key=True),
    id_column("abandoned_by"),
    text_column("reason"),
    moment_column("abandoned_at"),
    ForeignKeyConstraint(["issuer_id", "statement_id"], ["statement.issuer_id", "statement.id"]),
    info=LOGGED,
)

# Credits that stand for several deposits, or share one: what was notified in parts, or booked in parts.
statement_entry_deposit = Table(
    "statement_entry_deposit",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("statement_id", primary_key=True),
    integer_column("entry_number", primary_key=True),
    id_column("deposit_id", primary_key=True),
    ForeignKeyConstraint(["issuer_id", "statement_id"], ["statement.issuer_id", "statement.id"]),
    Index(None, "issuer_id", "deposit_id"),
    info=LOGGED,
)

statement_finding = Table(
    "statement_finding",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("statement_id", primary_key=True),
    integer_column("finding_number", primary_key=True),
    text_column("code"),
    text_column("severity"),
    text_column("location"),
    text_column("message"),
    ForeignKeyConstraint(["issuer_id", "statement_id"], ["statement.issuer_id", "statement.id"]),
    info=logged(together=("statement_id",), complete_by="statement_completion"),
)

notified_deposit = Table(
    "notified_deposit",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("deposit_id", primary_key=True),
    id_column("token_class_id"),
    id_column("account_id", nullable=True),
    integer_column("amount_minor"),
    date_column("booked_on"),
    text_column("uetr", nullable=True),
    ForeignKeyConstraint(["issuer_id", "token_class_id"], ["token_class.issuer_id", "token_class.id"]),
    Index(
        "ix_notified_deposit_clue", "issuer_id", "token_class_id", "account_id", "amount_minor", "booked_on"
    ),
    info=LOGGED,
)

notified_reference = Table(
    "notified_reference",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("token_class_id", primary_key=True),
    Column("reference", Text, primary_key=True),
    id_column("deposit_id", primary_key=True),
    ForeignKeyConstraint(
        ["issuer_id", "deposit_id"], ["notified_deposit.issuer_id", "notified_deposit.deposit_id"]
    ),
    info=LOGGED,
)

deposit_balance = Table(
    "deposit_balance",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("id", primary_key=True),
    id_column("token_class_id"),
    id_column("account_id", nullable=True),
    text_column("kind"),
    integer_column("amount_minor"),
    moment_column("as_of"),
    text_column("source"),
    text_column("source_reference"),
    id_column("recorded_by"),
    moment_column("recorded_at"),
    ForeignKeyConstraint(["issuer_id", "token_class_id"], ["token_class.issuer_id", "token_class.id"]),
    CheckConstraint("kind IN ('balance', 'hold')", name="kind"),
    CheckConstraint("kind = 'balance' OR amount_minor >= 0", name="amount"),
    UniqueConstraint("issuer_id", "source", "source_reference"),
    Index(None, "issuer_id", "token_class_id", "as_of", "id"),
    Index(
        "ix_deposit_balance_holds",
        "issuer_id",
        "account_id",
        "as_of",
        postgresql_where=text("kind = 'hold' AND account_id IS NOT NULL"),
    ),
    # What reconciliation compares: the backing account's balance, and customers' holds.
    Index(
        "ix_deposit_balance_compared",
        "issuer_id",
        "token_class_id",
        "recorded_at",
        postgresql_where=text("(kind = 'balance') = (account_id IS NULL)"),
    ),
    info=LOGGED,
)
