"""Tables of reconciliation: each run as it was computed, what it found, and the breaks that people work on."""

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
from sqlalchemy.dialects.postgresql import JSONB

from tallystick.core.columns import bytes_column, id_column, integer_column, moment_column, text_column
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
    moment_column("bank_as_of", nullable=True),
    text_column("backing", nullable=True),
    text_column("suspended_because", nullable=True),
    # Whether it looked at the present, and so moves breaks and the breaker.
    Column("current", Boolean, nullable=True),
    ForeignKeyConstraint(["issuer_id", "token_class_id"], ["token_class.issuer_id", "token_class.id"]),
    CheckConstraint("verdict IN ('tied', 'broken')", name="verdict"),
    Index(
        "ix_reconciliation_current",
        "issuer_id",
        "token_class_id",
        "created_at",
        postgresql_where=text("current"),
    ),
    info=LOGGED,
)

reconciliation_finding = Table(
    "reconciliation_finding",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("reconciliation_id", primary_key=True),
    integer_column("finding_number", primary_key=True),
    # Null for what was found before breaks were carried from run to run, and by runs of a past moment.
    id_column("break_id", nullable=True),
    text_column("type"),
    integer_column("difference_minor"),
    text_column("explanation"),
    Column("evidence", JSONB, nullable=False),
    ForeignKeyConstraint(
        ["issuer_id", "reconciliation_id"], ["reconciliation.issuer_id", "reconciliation.id"]
    ),
    Index(None, "issuer_id", "break_id"),
    info=LOGGED,
)

reconciliation_break = Table(
    "reconciliation_break",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("id", primary_key=True),
    id_column("token_class_id"),
    text_column("cause"),
    text_column("type"),
    text_column("state"),
    integer_column("difference_minor"),
    text_column("explanation"),
    Column("evidence", JSONB, nullable=False),
    id_column("reconciliation_id"),
    id_column("last_reconciliation_id"),
    moment_column("created_at"),
    moment_column("seen_at"),
    id_column("owner_id", nullable=True),
    moment_column("due_at"),
    id_column("instruction_id", nullable=True),
    integer_column("accepted_minor", nullable=True),
    moment_column("ended_at", nullable=True),
    ForeignKeyConstraint(["issuer_id", "token_class_id"], ["token_class.issuer_id", "token_class.id"]),
    UniqueConstraint("issuer_id", "token_class_id", "cause"),
    Index(None, "issuer_id", "state", "id"),
    Index(
        "ix_reconciliation_break_waiting",
        "issuer_id",
        "token_class_id",
        "due_at",
        postgresql_where=text("ended_at IS NULL"),
    ),
    CheckConstraint(
        "state IN ('open', 'assigned', 'explained', 'resolved', 'written_off', 'cleared')", name="state"
    ),
    CheckConstraint("(state IN ('open', 'assigned', 'explained')) = (ended_at IS NULL)", name="ended"),
    CheckConstraint("state <> 'resolved' OR instruction_id IS NOT NULL", name="resolution"),
    CheckConstraint("(state = 'written_off') = (accepted_minor IS NOT NULL)", name="accepted"),
    info=LOGGED,
)

break_action = Table(
    "break_action",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("break_id", primary_key=True),
    integer_column("action_number", primary_key=True),
    text_column("kind"),
    id_column("principal_id"),
    text_column("note", nullable=True),
    # What it names: the run, the new owner, the instruction, or the file's hash.
    id_column("subject_id", nullable=True),
    moment_column("done_at"),
    ForeignKeyConstraint(
        ["issuer_id", "break_id"], ["reconciliation_break.issuer_id", "reconciliation_break.id"]
    ),
    info=LOGGED,
)

break_evidence = Table(
    "break_evidence",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("break_id", primary_key=True),
    bytes_column("content_hash", primary_key=True),
    text_column("name"),
    text_column("media_type"),
    integer_column("size_bytes"),
    bytes_column("content"),
    id_column("added_by"),
    moment_column("added_at"),
    ForeignKeyConstraint(
        ["issuer_id", "break_id"], ["reconciliation_break.issuer_id", "reconciliation_break.id"]
    ),
    CheckConstraint("sha256(content) = content_hash", name="hash"),
    CheckConstraint("octet_length(content) = size_bytes", name="size"),
    info=LOGGED,
)
