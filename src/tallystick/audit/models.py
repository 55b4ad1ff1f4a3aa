"""Tables of the audit trail: every attempt that no signed event tells of, and the end of each issuer's chain."""

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Index, SmallInteger, Table, text
from sqlalchemy.dialects.postgresql import JSONB

from tallystick.core.columns import bytes_column, id_column, integer_column, moment_column, text_column
from tallystick.core.database import metadata
from tallystick.core.table_classes import DERIVED, logged

audit_entry = Table(
    "audit_entry",
    metadata,
    id_column("issuer_id", primary_key=True),
    integer_column("entry_number", primary_key=True),
    id_column("id"),
    moment_column("recorded_at"),
    text_column("operation"),
    text_column("method"),
    text_column("decision"),
    Column("status", SmallInteger, nullable=False),
    id_column("principal_id", nullable=True),
    text_column("person", nullable=True),
    id_column("key_id", nullable=True),
    id_column("subject_id", nullable=True),
    text_column("source", nullable=True),
    id_column("request_id", nullable=True),
    bytes_column("request_hash", nullable=True),
    text_column("code", nullable=True),
    integer_column("event_index", nullable=True),
    Column("reasons", JSONB(none_as_null=True), nullable=True),
    bytes_column("hash"),
    ForeignKeyConstraint(["issuer_id"], ["issuer.issuer_id"]),
    Index("ix_audit_entry_recorded_at", "issuer_id", "recorded_at", "entry_number"),
    Index(
        "ix_audit_entry_principal",
        "issuer_id",
        "principal_id",
        "entry_number",
        postgresql_where=text("principal_id IS NOT NULL"),
    ),
    Index(
        "ix_audit_entry_subject",
        "issuer_id",
        "subject_id",
        "entry_number",
        postgresql_where=text("subject_id IS NOT NULL"),
    ),
    Index(
        "ix_audit_entry_code", "issuer_id", "code", "entry_number", postgresql_where=text("code IS NOT NULL")
    ),
    CheckConstraint(
        "decision IN ('settled', 'pending', 'partial', 'replayed', 'refused', 'read', 'failed')",
        name="decision",
    ),
    CheckConstraint("octet_length(hash) = 32", name="hash"),
    info=logged(along="entry_number"),
)

audit_head = Table(
    "audit_head",
    metadata,
    id_column("issuer_id", primary_key=True),
    integer_column("next_number"),
    moment_column("last_recorded_at"),
    bytes_column("last_hash"),
    ForeignKeyConstraint(["issuer_id"], ["issuer.issuer_id"]),
    info=DERIVED,
)
