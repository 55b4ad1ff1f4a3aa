"""Seals: a signed event carries one hash over every record that no event of its own tells of.

Neither table is ever changed. The service writes both in the transaction of the seal's event.
"""

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import BYTEA, JSONB

revision: Final = "0020"
down_revision: Final = "0019"
branch_labels: Final = None
depends_on: Final = None

SERVICE: Final = "tallystick_service"
TABLES: Final = ("seal", "sealed_record")


def upgrade() -> None:
    op.create_table(
        "seal",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("record_count", sa.BigInteger(), nullable=False),
        sa.Column("records_hash", BYTEA(), nullable=False),
        sa.Column("columns", JSONB(), nullable=False),
        sa.Column("spans", JSONB(), nullable=False),
        sa.Column("audit_next_number", sa.BigInteger(), nullable=False),
        sa.Column("audit_last_hash", BYTEA(), nullable=False),
        sa.Column("sealed_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("event_index", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("number >= 0 AND record_count >= 0", name=op.f("ck_seal_number")),
        sa.CheckConstraint("octet_length(records_hash) = 32", name=op.f("ck_seal_records_hash")),
        sa.CheckConstraint("octet_length(audit_last_hash) = 32", name=op.f("ck_seal_audit_last_hash")),
        sa.ForeignKeyConstraint(["issuer_id"], ["issuer.issuer_id"], name=op.f("fk_seal_issuer")),
        sa.PrimaryKeyConstraint("issuer_id", "number", name=op.f("pk_seal")),
    )
    op.create_table(
        "sealed_record",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("table_name", sa.Text(collation="C"), nullable=False),
        sa.Column("record_key", sa.Text(collation="C"), nullable=False),
        sa.Column("seal_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("column_hashes", BYTEA(), nullable=False),
        sa.CheckConstraint(
            "octet_length(column_hashes) % 16 = 0", name=op.f("ck_sealed_record_column_hashes")
        ),
        sa.PrimaryKeyConstraint(
            "issuer_id", "table_name", "record_key", "seal_number", name=op.f("pk_sealed_record")
        ),
    )
    op.create_index(
        "ix_sealed_record_seal",
        "sealed_record",
        ["issuer_id", "seal_number", "table_name", "record_key"],
    )
    for table in TABLES:
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
        op.execute(f"GRANT SELECT, INSERT ON {table} TO {SERVICE}")


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
