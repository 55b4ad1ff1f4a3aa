"""Tables of screening: list versions and who is on them, what was found and decided, and how a holder stands.

`holder_id` is a holder, or the beneficiary of payouts: whoever has that name, and so no row of another table.
"""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    SmallInteger,
    Table,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from tallystick.core.columns import bytes_column, id_column, integer_column, moment_column, text_column
from tallystick.core.database import metadata
from tallystick.core.table_classes import DERIVED, LOGGED, logged

# One row per issuer: how many list versions were imported. Imports queue on it, and a holder's standing counts only if
# it was reached against all of them.
screening_scope = Table(
    "screening_scope",
    metadata,
    id_column("issuer_id", primary_key=True),
    integer_column("number"),
    ForeignKeyConstraint(["issuer_id"], ["issuer.issuer_id"]),
    CheckConstraint("number >= 0", name="number"),
    info=DERIVED,
)

screening_list = Table(
    "screening_list",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("id", primary_key=True),
    integer_column("number"),
    text_column("name"),
    text_column("version"),
    bytes_column("content_hash"),
    integer_column("entity_count"),
    integer_column("skipped_count"),
    id_column("imported_by"),
    moment_column("imported_at"),
    ForeignKeyConstraint(["issuer_id"], ["issuer.issuer_id"]),
    UniqueConstraint("issuer_id", "number"),
    UniqueConstraint("issuer_id", "name", "version"),
    Index(None, "issuer_id", "name", "number"),
    CheckConstraint("entity_count > 0", name="entity_count"),
    CheckConstraint("octet_length(content_hash) = 32", name="content_hash"),
    info=LOGGED,
)

screening_entity = Table(
    "screening_entity",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("list_id", primary_key=True),
    id_column("entity_id", primary_key=True),
    bytes_column("entity_hash"),
    Column("facts", JSONB, nullable=False),
    ForeignKeyConstraint(["issuer_id", "list_id"], ["screening_list.issuer_id", "screening_list.id"]),
    CheckConstraint("octet_length(entity_hash) = 32", name="entity_hash"),
    info=logged(together=("list_id",)),
)

screening = Table(
    "screening",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("id", primary_key=True),
    id_column("holder_id"),
    integer_column("number"),
    id_column("list_id"),
    text_column("list_name"),
    text_column("state"),
    Column("subject", JSONB, nullable=False),
    bytes_column("subject_hash"),
    bytes_column("basis_hash"),
    Column("threshold", SmallInteger, nullable=False),
    integer_column("hit_count"),
    Column("hits", JSONB, nullable=False),
    moment_column("screened_at"),
    moment_column("decided_at", nullable=True),
    id_column("superseded_by", nullable=True),
    ForeignKeyConstraint(["issuer_id", "list_id"], ["screening_list.issuer_id", "screening_list.id"]),
    UniqueConstraint("issuer_id", "holder_id", "number"),
    # Of a list name, a holder has one screening that counts, whatever the code does.
    Index(
        "uq_screening_current",
        "issuer_id",
        "holder_id",
        "list_name",
        unique=True,
        postgresql_where=text("superseded_by IS NULL"),
    ),
    Index("ix_screening_open", "issuer_id", "state", "id", postgresql_where=text("superseded_by IS NULL")),
    CheckConstraint("state IN ('clear', 'hit', 'cleared', 'confirmed')", name="state"),
    CheckConstraint("threshold BETWEEN 50 AND 100", name="threshold"),
    CheckConstraint("(hit_count = 0) = (state = 'clear')", name="hit_count"),
    CheckConstraint("octet_length(subject_hash) = 32", name="subject_hash"),
    CheckConstraint("octet_length(basis_hash) = 32", name="basis_hash"),
    info=LOGGED,
)

screening_decision = Table(
    "screening_decision",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("holder_id", primary_key=True),
    integer_column("number", primary_key=True),
    id_column("screening_id"),
    text_column("verdict"),
    text_column("reason"),
    id_column("decided_by"),
    Column("approvals", JSONB, nullable=False),
    bytes_column("subject_hash"),
    Column("pairs", JSONB, nullable=False),
    moment_column("decided_at"),
    ForeignKeyConstraint(["issuer_id", "screening_id"], ["screening.issuer_id", "screening.id"]),
    Index(None, "issuer_id", "screening_id"),
    CheckConstraint("verdict IN ('cleared', 'confirmed')", name="verdict"),
    # Nobody decides alone.
    CheckConstraint("jsonb_array_length(approvals) > 0", name="approvals"),
    info=LOGGED,
)

# What the write path reads, by primary key: see `standing`. `last_number` numbers a holder's screenings and decisions.
screening_standing = Table(
    "screening_standing",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("holder_id", primary_key=True),
    text_column("state"),
    integer_column("scope_number"),
    integer_column("last_number"),
    moment_column("changed_at"),
    CheckConstraint("state IN ('clear', 'hit', 'confirmed', 'unscreened')", name="state"),
    info=LOGGED,
)
