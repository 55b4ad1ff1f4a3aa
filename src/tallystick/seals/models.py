"""Tables of seals: what was sealed of each record, and each seal's head, whose hash a signed event carries."""

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Index, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from tallystick.core.columns import bytes_column, id_column, integer_column, moment_column
from tallystick.core.database import metadata
from tallystick.core.table_classes import SIGNED

seal = Table(
    "seal",
    metadata,
    id_column("issuer_id", primary_key=True),
    integer_column("number", primary_key=True),
    integer_column("record_count"),
    bytes_column("records_hash"),
    # By table: the columns that were hashed, in their order, and behind which number the next span begins.
    Column("columns", JSONB, nullable=False),
    Column("spans", JSONB, nullable=False),
    integer_column("audit_next_number"),
    bytes_column("audit_last_hash"),
    moment_column("sealed_at"),
    integer_column("event_index"),
    ForeignKeyConstraint(["issuer_id"], ["issuer.issuer_id"]),
    CheckConstraint("number >= 0 AND record_count >= 0", name="number"),
    CheckConstraint("octet_length(records_hash) = 32", name="records_hash"),
    CheckConstraint("octet_length(audit_last_hash) = 32", name="audit_last_hash"),
    info=SIGNED,
)

# One row per record and seal that found it new or changed; the newest one tells.
sealed_record = Table(
    "sealed_record",
    metadata,
    id_column("issuer_id", primary_key=True),
    Column("table_name", Text(collation="C"), primary_key=True),
    Column("record_key", Text(collation="C"), primary_key=True),
    integer_column("seal_number", primary_key=True),
    # 16 bytes of each column's hash, in the order that the seal tells.
    bytes_column("column_hashes"),
    Index("ix_sealed_record_seal", "issuer_id", "seal_number", "table_name", "record_key"),
    CheckConstraint("octet_length(column_hashes) % 16 = 0", name="column_hashes"),
    info=SIGNED,
)
