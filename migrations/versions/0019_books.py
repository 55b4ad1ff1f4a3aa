"""Books by value date, and trees that prove liabilities to their holders.

On a large installation the new index takes as long as one look at every journal line.
"""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0019"
down_revision: Final = "0018"
branch_labels: Final = None
depends_on: Final = None

SERVICE: Final = "tallystick_service"
# Nothing of a tree ever changes; what is attested stays attested.
APPEND_ONLY: Final = ("liability_tree", "liability_tree_tile", "liability_attestation")


def upgrade() -> None:
    op.create_index(
        "ix_journal_line_days_late",
        "journal_line",
        [
            "issuer_id",
            sa.text("((booked_at AT TIME ZONE 'UTC')::date - value_date)"),
            "value_date",
            "event_index",
        ],
        unique=False,
        postgresql_where=sa.text("value_date <> (booked_at AT TIME ZONE 'UTC')::date"),
    )
    op.create_table(
        "liability_tree",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("token_class_id", sa.Text(collation="C"), nullable=False),
        sa.Column("as_of_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("depth", sa.SmallInteger(), nullable=False),
        sa.Column("root_hash", sa.LargeBinary(), nullable=False),
        sa.Column("total_minor", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("key_digest", sa.LargeBinary(), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint("as_of_index >= -1", name=op.f("ck_liability_tree_as_of_index")),
        sa.CheckConstraint("depth BETWEEN 0 AND 32", name=op.f("ck_liability_tree_depth")),
        sa.CheckConstraint("total_minor >= 0", name=op.f("ck_liability_tree_total")),
        sa.CheckConstraint(
            "octet_length(root_hash) = 32 AND octet_length(secret) = 32", name=op.f("ck_liability_tree_size")
        ),
        sa.ForeignKeyConstraint(
            ["issuer_id", "token_class_id"],
            ["token_class.issuer_id", "token_class.id"],
            name=op.f("fk_liability_tree_token_class"),
        ),
        sa.PrimaryKeyConstraint("issuer_id", "id", name=op.f("pk_liability_tree")),
        sa.UniqueConstraint(
            "issuer_id",
            "key_digest",
            "request_hash",
            name=op.f("uq_liability_tree_issuer_id_key_digest_request_hash"),
        ),
    )
    op.create_table(
        "liability_tree_tile",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("tree_id", sa.Text(collation="C"), nullable=False),
        sa.Column("level", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("nodes", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["issuer_id", "tree_id"],
            ["liability_tree.issuer_id", "liability_tree.id"],
            name=op.f("fk_liability_tree_tile_liability_tree"),
        ),
        sa.PrimaryKeyConstraint(
            "issuer_id", "tree_id", "level", "number", name=op.f("pk_liability_tree_tile")
        ),
    )
    op.create_table(
        "liability_attestation",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("event_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("attested_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["issuer_id", "id"],
            ["liability_tree.issuer_id", "liability_tree.id"],
            name=op.f("fk_liability_attestation_liability_tree"),
        ),
        sa.PrimaryKeyConstraint("issuer_id", "id", name=op.f("pk_liability_attestation")),
    )
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
        op.execute(f"GRANT SELECT, INSERT ON {table} TO {SERVICE}")


def downgrade() -> None:
    op.drop_table("liability_attestation")
    op.drop_table("liability_tree_tile")
    op.drop_table("liability_tree")
    op.drop_index("ix_journal_line_days_late", table_name="journal_line")
