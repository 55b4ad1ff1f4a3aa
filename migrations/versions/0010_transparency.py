"""The log's tree: edge and tiles, checkpoints and cosignatures. A tree only grows, and no size has two roots."""

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import BYTEA

revision: Final = "0010"
down_revision: Final = "0009"
branch_labels: Final = None
depends_on: Final = None

SERVICE: Final = "tallystick_service"
APPEND_ONLY: Final = ("log_checkpoint", "log_cosignature", "log_tile")
# The origin is the log's name for ever, so it is not among the columns that may change.
CHANGEABLE: Final = {"log_tree": ("size", "edge")}

REFUSE_SMALLER: Final = """
CREATE FUNCTION refuse_smaller_tree() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.size < OLD.size THEN
        RAISE EXCEPTION 'a tree only grows' USING ERRCODE = 'check_violation', CONSTRAINT = 'ck_log_tree_grows';
    END IF;
    RETURN NEW;
END
$$
"""


def upgrade() -> None:
    op.create_table(
        "log_tree",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("edge", BYTEA(), nullable=False),
        sa.CheckConstraint("size >= 0", name=op.f("ck_log_tree_size")),
        sa.ForeignKeyConstraint(["issuer_id"], ["issuer.issuer_id"], name=op.f("fk_log_tree_issuer")),
        sa.PrimaryKeyConstraint("issuer_id", name=op.f("pk_log_tree")),
        postgresql_with={"fillfactor": "10"},
    )
    op.create_table(
        "log_tile",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("level", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("tile_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hashes", BYTEA(), nullable=False),
        sa.CheckConstraint("level >= 0 AND tile_index >= 0", name=op.f("ck_log_tile_place")),
        sa.CheckConstraint("octet_length(hashes) = 8192", name=op.f("ck_log_tile_hashes")),
        sa.ForeignKeyConstraint(["issuer_id"], ["log_tree.issuer_id"], name=op.f("fk_log_tile_log_tree")),
        sa.PrimaryKeyConstraint("issuer_id", "level", "tile_index", name=op.f("pk_log_tile")),
    )
    op.create_table(
        "log_checkpoint",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("root_hash", BYTEA(), nullable=False),
        sa.Column("key_id", sa.Text(collation="C"), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("signed_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint("size > 0", name=op.f("ck_log_checkpoint_size")),
        sa.CheckConstraint("octet_length(root_hash) = 32", name=op.f("ck_log_checkpoint_root_hash")),
        sa.ForeignKeyConstraint(
            ["issuer_id"], ["log_tree.issuer_id"], name=op.f("fk_log_checkpoint_log_tree")
        ),
        sa.PrimaryKeyConstraint("issuer_id", "size", name=op.f("pk_log_checkpoint")),
    )
    op.create_table(
        "log_cosignature",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("witness_key", sa.Text(), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.Column("cosigned_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["issuer_id", "size"],
            ["log_checkpoint.issuer_id", "log_checkpoint.size"],
            name=op.f("fk_log_cosignature_log_checkpoint"),
        ),
        sa.PrimaryKeyConstraint("issuer_id", "size", "witness_key", name=op.f("pk_log_cosignature")),
    )
    op.create_index(
        op.f("ix_log_cosignature_issuer_id_witness_key_size"),
        "log_cosignature",
        ["issuer_id", "witness_key", "size"],
        unique=False,
    )
    op.execute(REFUSE_SMALLER)
    op.execute(
        "CREATE TRIGGER grows BEFORE UPDATE ON log_tree FOR EACH ROW EXECUTE FUNCTION refuse_smaller_tree()"
    )
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
        op.execute(f"GRANT SELECT, INSERT ON {table} TO {SERVICE}")
    for table, columns in CHANGEABLE.items():
        op.execute(f"GRANT SELECT, INSERT, UPDATE ({', '.join(columns)}) ON {table} TO {SERVICE}")


def downgrade() -> None:
    op.drop_table("log_cosignature")
    op.drop_table("log_checkpoint")
    op.drop_table("log_tile")
    op.drop_table("log_tree")
    op.execute("DROP FUNCTION refuse_smaller_tree")
