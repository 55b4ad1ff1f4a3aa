"""Policy documents in versions, and what limits have counted."""

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSONB

revision: Final = "0004"
down_revision: Final = "0003"
branch_labels: Final = None
depends_on: Final = None

SERVICE: Final = "tallystick_service"

# table: the columns that may change after a row is written. What a policy says never does.
CHANGEABLE: Final = {
    "limit_usage": ("hour", "buckets", "total_minor"),
    "policy_document": ("approved_at", "active_from", "retired_at", "approval_hashes"),
}


def upgrade() -> None:
    op.create_table(
        "policy_document",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("token_class_id", sa.Text(collation="C"), nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("scale", sa.SmallInteger(), nullable=False),
        sa.Column("effective_from", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("document", JSONB(), nullable=False),
        sa.Column("content_hash", BYTEA(), nullable=False),
        sa.Column("author_principal_id", sa.Text(collation="C"), nullable=False),
        sa.Column("author_person", sa.Text(), nullable=True),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("approved_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("active_from", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("retired_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("approval_hashes", ARRAY(BYTEA()), nullable=False),
        sa.CheckConstraint("version >= 1", name=op.f("ck_policy_document_version")),
        sa.CheckConstraint("octet_length(content_hash) = 32", name=op.f("ck_policy_document_content_hash")),
        sa.CheckConstraint(
            "(approved_at IS NULL) = (active_from IS NULL)", name=op.f("ck_policy_document_active_from")
        ),
        sa.CheckConstraint(
            "(approved_at IS NULL) = (cardinality(approval_hashes) = 0)",
            name=op.f("ck_policy_document_approvals"),
        ),
        sa.ForeignKeyConstraint(
            ["issuer_id", "token_class_id"],
            ["token_class.issuer_id", "token_class.id"],
            name=op.f("fk_policy_document_token_class"),
        ),
        sa.PrimaryKeyConstraint("issuer_id", "id", name=op.f("pk_policy_document")),
        sa.UniqueConstraint(
            "issuer_id",
            "token_class_id",
            "version",
            name=op.f("uq_policy_document_issuer_id_token_class_id_version"),
        ),
    )
    op.create_index(
        op.f("ix_policy_document_issuer_id_retired_at_active_from"),
        "policy_document",
        ["issuer_id", "retired_at", "active_from"],
        unique=False,
    )
    op.create_table(
        "limit_usage",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("key", sa.Text(collation="C"), nullable=False),
        sa.Column("hour", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("buckets", ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("total_minor", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.CheckConstraint("cardinality(buckets) = 25", name=op.f("ck_limit_usage_buckets")),
        sa.CheckConstraint("0 <= ALL (buckets) AND total_minor >= 0", name=op.f("ck_limit_usage_floor")),
        sa.PrimaryKeyConstraint("issuer_id", "key", name=op.f("pk_limit_usage")),
    )
    for table, columns in CHANGEABLE.items():
        op.execute(f"GRANT SELECT, INSERT, UPDATE ({', '.join(columns)}) ON {table} TO {SERVICE}")


def downgrade() -> None:
    op.drop_table("limit_usage")
    op.drop_table("policy_document")
