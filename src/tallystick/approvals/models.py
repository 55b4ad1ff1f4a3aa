"""Tables of four-eyes: what waits for a second person, and what each person decided."""

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Index, SmallInteger, Table, text
from sqlalchemy.dialects.postgresql import JSONB

from tallystick.core.columns import bytes_column, id_column, integer_column, moment_column, text_column
from tallystick.core.database import metadata
from tallystick.core.table_classes import LOGGED

approval = Table(
    "approval",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("id", primary_key=True),
    text_column("operation"),
    id_column("subject_id"),
    bytes_column("request_hash"),
    integer_column("amount_minor", nullable=True),
    text_column("currency", nullable=True),
    Column("scale", SmallInteger, nullable=True),
    id_column("maker_principal_id"),
    text_column("maker_person"),
    Column("quorum", SmallInteger, nullable=False),
    text_column("state"),
    moment_column("created_at"),
    moment_column("expires_at"),
    ForeignKeyConstraint(["issuer_id"], ["issuer.issuer_id"]),
    # What the request hash can't tell: a change's payload, or why the rules referred an instruction.
    Column("details", JSONB(none_as_null=True), nullable=True),
    Index(None, "issuer_id", "state", "id"),
    Index("ix_approval_expires_at", "issuer_id", "expires_at", postgresql_where=text("state = 'pending'")),
    Index(None, "issuer_id", "subject_id", "id"),
    CheckConstraint("quorum >= 1", name="quorum"),
    CheckConstraint("state IN ('pending', 'approved', 'rejected', 'expired')", name="state"),
    info=LOGGED,
)

approval_vote = Table(
    "approval_vote",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("approval_id", primary_key=True),
    Column("person", text_column("person").type, primary_key=True),
    id_column("principal_id"),
    text_column("decision"),
    text_column("reason", nullable=True),
    bytes_column("hash"),
    moment_column("decided_at"),
    integer_column("event_index", nullable=True),
    ForeignKeyConstraint(["issuer_id", "approval_id"], ["approval.issuer_id", "approval.id"]),
    CheckConstraint("decision IN ('approve', 'reject')", name="decision"),
    CheckConstraint("octet_length(hash) = 32", name="hash"),
    info=LOGGED,
)
