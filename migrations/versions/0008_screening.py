"""Sanctions screening: list versions and their entities, screenings, decisions, and how each holder stands.

Lists, entities and decisions are only ever added. A screening changes by people's decision and when a newer one takes
its place; a standing is derived from the screenings that count.
"""

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import BYTEA, JSONB

revision: Final = "0008"
down_revision: Final = "0007"
branch_labels: Final = None
depends_on: Final = None

SERVICE: Final = "tallystick_service"
APPEND_ONLY: Final = ("screening_decision", "screening_entity", "screening_list")
CHANGEABLE: Final = {
    "screening": ("state", "hits", "decided_at", "superseded_by"),
    "screening_scope": ("number",),
    "screening_standing": ("state", "scope_number", "last_number", "changed_at"),
}
# In the order of their making: what others refer to comes first.
TABLES: Final = (
    "screening_scope",
    "screening_list",
    "screening_entity",
    "screening",
    "screening_decision",
    "screening_standing",
)


def upgrade() -> None:
    create_lists()
    create_screenings()
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
        op.execute(f"GRANT SELECT, INSERT ON {table} TO {SERVICE}")
    for table, columns in CHANGEABLE.items():
        op.execute(f"GRANT SELECT, INSERT, UPDATE ({', '.join(columns)}) ON {table} TO {SERVICE}")


def create_lists() -> None:
    op.create_table(
        "screening_scope",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.CheckConstraint("number >= 0", name=op.f("ck_screening_scope_number")),
        sa.ForeignKeyConstraint(["issuer_id"], ["issuer.issuer_id"], name=op.f("fk_screening_scope_issuer")),
        sa.PrimaryKeyConstraint("issuer_id", name=op.f("pk_screening_scope")),
    )
    op.create_table(
        "screening_list",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("content_hash", BYTEA(), nullable=False),
        sa.Column("entity_count", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("skipped_count", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("imported_by", sa.Text(collation="C"), nullable=False),
        sa.Column("imported_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint("entity_count > 0", name=op.f("ck_screening_list_entity_count")),
        sa.CheckConstraint("octet_length(content_hash) = 32", name=op.f("ck_screening_list_content_hash")),
        sa.ForeignKeyConstraint(["issuer_id"], ["issuer.issuer_id"], name=op.f("fk_screening_list_issuer")),
        sa.PrimaryKeyConstraint("issuer_id", "id", name=op.f("pk_screening_list")),
        sa.UniqueConstraint("issuer_id", "number", name=op.f("uq_screening_list_issuer_id_number")),
        sa.UniqueConstraint(
            "issuer_id", "name", "version", name=op.f("uq_screening_list_issuer_id_name_version")
        ),
    )
    op.create_index(
        op.f("ix_screening_list_issuer_id_name_number"),
        "screening_list",
        ["issuer_id", "name", "number"],
        unique=False,
    )
    op.create_table(
        "screening_entity",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("list_id", sa.Text(collation="C"), nullable=False),
        sa.Column("entity_id", sa.Text(collation="C"), nullable=False),
        sa.Column("entity_hash", BYTEA(), nullable=False),
        sa.Column("facts", JSONB(), nullable=False),
        sa.CheckConstraint("octet_length(entity_hash) = 32", name=op.f("ck_screening_entity_entity_hash")),
        sa.ForeignKeyConstraint(
            ["issuer_id", "list_id"],
            ["screening_list.issuer_id", "screening_list.id"],
            name=op.f("fk_screening_entity_screening_list"),
        ),
        sa.PrimaryKeyConstraint("issuer_id", "list_id", "entity_id", name=op.f("pk_screening_entity")),
    )


def create_screenings() -> None:
    op.create_table(
        "screening",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("holder_id", sa.Text(collation="C"), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("list_id", sa.Text(collation="C"), nullable=False),
        sa.Column("list_name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("subject", JSONB(), nullable=False),
        sa.Column("subject_hash", BYTEA(), nullable=False),
        sa.Column("basis_hash", BYTEA(), nullable=False),
        sa.Column("threshold", sa.SmallInteger(), nullable=False),
        sa.Column("hit_count", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hits", JSONB(), nullable=False),
        sa.Column("screened_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("decided_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("superseded_by", sa.Text(collation="C"), nullable=True),
        sa.CheckConstraint(
            "state IN ('clear', 'hit', 'cleared', 'confirmed')", name=op.f("ck_screening_state")
        ),
        sa.CheckConstraint("threshold BETWEEN 50 AND 100", name=op.f("ck_screening_threshold")),
        sa.CheckConstraint("(hit_count = 0) = (state = 'clear')", name=op.f("ck_screening_hit_count")),
        sa.CheckConstraint("octet_length(subject_hash) = 32", name=op.f("ck_screening_subject_hash")),
        sa.CheckConstraint("octet_length(basis_hash) = 32", name=op.f("ck_screening_basis_hash")),
        sa.ForeignKeyConstraint(
            ["issuer_id", "holder_id"], ["holder.issuer_id", "holder.id"], name=op.f("fk_screening_holder")
        ),
        sa.ForeignKeyConstraint(
            ["issuer_id", "list_id"],
            ["screening_list.issuer_id", "screening_list.id"],
            name=op.f("fk_screening_screening_list"),
        ),
        sa.PrimaryKeyConstraint("issuer_id", "id", name=op.f("pk_screening")),
        sa.UniqueConstraint(
            "issuer_id", "holder_id", "number", name=op.f("uq_screening_issuer_id_holder_id_number")
        ),
    )
    counts = sa.text("superseded_by IS NULL")
    op.create_index(
        "uq_screening_current",
        "screening",
        ["issuer_id", "holder_id", "list_name"],
        unique=True,
        postgresql_where=counts,
    )
    op.create_index(
        "ix_screening_open", "screening", ["issuer_id", "state", "id"], unique=False, postgresql_where=counts
    )
    op.create_table(
        "screening_decision",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("holder_id", sa.Text(collation="C"), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("screening_id", sa.Text(collation="C"), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("decided_by", sa.Text(collation="C"), nullable=False),
        sa.Column("approvals", JSONB(), nullable=False),
        sa.Column("subject_hash", BYTEA(), nullable=False),
        sa.Column("pairs", JSONB(), nullable=False),
        sa.Column("decided_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint("verdict IN ('cleared', 'confirmed')", name=op.f("ck_screening_decision_verdict")),
        sa.CheckConstraint("jsonb_array_length(approvals) > 0", name=op.f("ck_screening_decision_approvals")),
        sa.ForeignKeyConstraint(
            ["issuer_id", "screening_id"],
            ["screening.issuer_id", "screening.id"],
            name=op.f("fk_screening_decision_screening"),
        ),
        sa.PrimaryKeyConstraint("issuer_id", "holder_id", "number", name=op.f("pk_screening_decision")),
    )
    op.create_index(
        op.f("ix_screening_decision_issuer_id_screening_id"),
        "screening_decision",
        ["issuer_id", "screening_id"],
        unique=False,
    )
    op.create_table(
        "screening_standing",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("holder_id", sa.Text(collation="C"), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("scope_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("changed_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('clear', 'hit', 'confirmed', 'unscreened')", name=op.f("ck_screening_standing_state")
        ),
        sa.ForeignKeyConstraint(
            ["issuer_id", "holder_id"],
            ["holder.issuer_id", "holder.id"],
            name=op.f("fk_screening_standing_holder"),
        ),
        sa.PrimaryKeyConstraint("issuer_id", "holder_id", name=op.f("pk_screening_standing")),
    )


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
