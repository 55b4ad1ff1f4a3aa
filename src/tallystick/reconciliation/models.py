"""Tables of reconciliation: each run as it was computed, and the breaks it found."""

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Index, Table
from sqlalchemy.dialects.postgresql import JSONB

from tallystick.core.columns import id_column, integer_column, moment_column, text_column
from tallystick.core.database import metadata
from tallystick.core.table_classes import LOGGED

reconciliation = Table(
    "reconciliation",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("id", primary_key=True),
    id_column("token_class_id"),
    integer_column("event_index"),
    moment_column("ledger_as_of"),
    id_column("statement_id", nullable=True),
    text_column("verdict"),
    Column("figures", JSONB, nullable=False),
    id_column("run_by"),
    moment_column("created_at"),
    ForeignKeyConstraint(["issuer_id", "token_class_id"], ["token_class.issuer_id", "token_class.id"]),
    CheckConstraint("verdict IN ('tied', 'broken')", name="verdict"),
    info=LOGGED,
)

reconciliation_break = Table(
    "reconciliation_break",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("id", primary_key=True),
    id_column("reconciliation_id"),
    id_column("token_class_id"),
    text_column("type"),
    text_column("state"),
    integer_column("difference_minor"),
    text_column("explanation"),
    Column("evidence", JSONB, nullable=False),
    moment_column("created_at"),
    ForeignKeyConstraint(
        ["issuer_id", "reconciliation_id"], ["reconciliation.issuer_id", "reconciliation.id"]
    ),
    Index(None, "issuer_id", "state", "id"),
    Index(None, "issuer_id", "reconciliation_id", "id"),
    CheckConstraint("state IN ('open', 'explained', 'closed')", name="state"),
    info=LOGGED,
)
