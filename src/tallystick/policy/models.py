"""Tables of policy: each version of a class's rules with its life, and what limits have counted."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    SmallInteger,
    Table,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSONB

from tallystick.core.columns import bytes_column, id_column, integer_column, moment_column, text_column
from tallystick.core.database import metadata
from tallystick.core.table_classes import DERIVED, LOGGED

# The document never changes. It is in force from `active_from` until `retired_at`; a class's versions never overlap.
policy_document = Table(
    "policy_document",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("id", primary_key=True),
    id_column("token_class_id"),
    integer_column("version"),
    text_column("currency"),
    Column("scale", SmallInteger, nullable=False),
    moment_column("effective_from"),
    Column("document", JSONB, nullable=False),
    bytes_column("content_hash"),
    id_column("author_principal_id"),
    text_column("author_person", nullable=True),
    moment_column("created_at"),
    moment_column("approved_at", nullable=True),
    moment_column("active_from", nullable=True),
    moment_column("retired_at", nullable=True),
    Column("approval_hashes", ARRAY(BYTEA), nullable=False),
    ForeignKeyConstraint(["issuer_id", "token_class_id"], ["token_class.issuer_id", "token_class.id"]),
    UniqueConstraint("issuer_id", "token_class_id", "version"),
    # To find what is in force among all that ever was.
    Index(None, "issuer_id", "retired_at", "active_from"),
    CheckConstraint("version >= 1", name="version"),
    CheckConstraint("octet_length(content_hash) = 32", name="content_hash"),
    CheckConstraint("(approved_at IS NULL) = (active_from IS NULL)", name="active_from"),
    CheckConstraint("(approved_at IS NULL) = (cardinality(approval_hashes) = 0)", name="approvals"),
    info=LOGGED,
)

# One row per subject, no foreign keys: it is written with every batch that a limit counts.
limit_usage = Table(
    "limit_usage",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("key", primary_key=True),
    integer_column("hour"),
    Column("buckets", ARRAY(BigInteger), nullable=False),
    integer_column("total_minor"),
    CheckConstraint("cardinality(buckets) = 25", name="buckets"),
    CheckConstraint("0 <= ALL (buckets) AND total_minor >= 0", name="floor"),
    info=DERIVED,
)
