"""Tables of what the bank said: statements as they came, their entries, and what was found odd in them."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Table,
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
    ForeignKeyConstraint(["issuer_id", "statement_id"], ["statement.issuer_id", "statement.id"]),
    CheckConstraint("amount_minor >= 0", name="amount"),
    # A deposit that people confirmed stands for one credit of the bank, whatever the code does.
    Index(
        "ix_statement_entry_confirmed_by_hand",
        "issuer_id",
        "deposit_id",
        unique=True,
        postgresql_where=text("matched_by = 'confirmed_by_hand'"),
    ),
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
)
