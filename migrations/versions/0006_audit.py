"""The audit trail: an append-only table of attempts, numbered and chained per issuer, and the end of each chain."""

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import BYTEA, JSONB

revision: Final = "0006"
down_revision: Final = "0005"
branch_labels: Final = None
depends_on: Final = None

SERVICE: Final = "tallystick_service"


def upgrade() -> None:
    op.create_table(
        "audit_entry",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("entry_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("recorded_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("principal_id", sa.Text(collation="C"), nullable=True),
        sa.Column("person", sa.Text(), nullable=True),
        sa.Column("key_id", sa.Text(collation="C"), nullable=True),
        sa.Column("subject_id", sa.Text(collation="C"), nullable=True),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("request_id", sa.Text(collation="C"), nullable=True),
        sa.Column("request_hash", BYTEA(), nullable=True),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("event_index", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("reasons", JSONB(none_as_null=True), nullable=True),
        sa.Column("hash", BYTEA(), nullable=False),
        sa.CheckConstraint(
            "decision IN ('settled', 'pending', 'partial', 'replayed', 'refused', 'read', 'failed')",
            name=op.f("ck_audit_entry_decision"),
        ),
        sa.CheckConstraint("octet_length(hash) = 32", name=op.f("ck_audit_entry_hash")),
        sa.ForeignKeyConstraint(["issuer_id"], ["issuer.issuer_id"], name=op.f("fk_audit_entry_issuer")),
        sa.PrimaryKeyConstraint("issuer_id", "entry_number", name=op.f("pk_audit_entry")),
    )
    op.create_index("ix_audit_entry_recorded_at", "audit_entry", ["issuer_id", "recorded_at", "entry_number"])
    for name, column in (("principal", "principal_id"), ("subject", "subject_id"), ("code", "code")):
        op.create_index(
            f"ix_audit_entry_{name}",
            "audit_entry",
            ["issuer_id", column, "entry_number"],
            postgresql_where=sa.text(f"{column} IS NOT NULL"),
        )
    op.create_table(
        "audit_head",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("next_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last_recorded_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("last_hash", BYTEA(), nullable=False),
        sa.ForeignKeyConstraint(["issuer_id"], ["issuer.issuer_id"], name=op.f("fk_audit_head_issuer")),
        sa.PrimaryKeyConstraint("issuer_id", name=op.f("pk_audit_head")),
    )
    op.execute(
        "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entry "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
    op.execute(f"GRANT SELECT, INSERT ON audit_entry TO {SERVICE}")
    op.execute(
        f"GRANT SELECT, INSERT, UPDATE (next_number, last_recorded_at, last_hash) ON audit_head TO {SERVICE}"
    )


def downgrade() -> None:
    op.drop_table("audit_head")
    op.drop_table("audit_entry")
