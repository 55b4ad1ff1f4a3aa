"""The table of attestations: one for each reconciliation, so that history and trend need no log to be read."""

from sqlalchemy import Boolean, CheckConstraint, Column, ForeignKeyConstraint, Index, Table
from sqlalchemy.dialects.postgresql import JSONB

from tallystick.core.columns import date_column, id_column, integer_column, moment_column, text_column
from tallystick.core.database import metadata
from tallystick.core.table_classes import LOGGED

attestation = Table(
    "attestation",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("reconciliation_id", primary_key=True),
    id_column("token_class_id"),
    integer_column("event_index"),
    integer_column("ledger_index"),
    moment_column("ledger_as_of"),
    date_column("bank_as_of", nullable=True),
    integer_column("supply_minor"),
    integer_column("control_minor"),
    integer_column("bank_minor", nullable=True),
    integer_column("timing_minor", nullable=True),
    Column("breaks", JSONB, nullable=False),
    text_column("verdict"),
    text_column("backing"),
    Column("current", Boolean, nullable=False),
    moment_column("attested_at"),
    ForeignKeyConstraint(["issuer_id", "token_class_id"], ["token_class.issuer_id", "token_class.id"]),
    ForeignKeyConstraint(
        ["issuer_id", "reconciliation_id"], ["reconciliation.issuer_id", "reconciliation.id"]
    ),
    Index(None, "issuer_id", "token_class_id", "event_index", unique=True),
    CheckConstraint("verdict IN ('tied', 'broken')", name="verdict"),
    info=LOGGED,
)
