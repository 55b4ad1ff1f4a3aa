"""Less to write for a transfer: its key stands in its own row, and moments are found through the log's order.

A settled transfer's answer is made of columns that never change, so it is not written a second time. `source` keeps
where an instruction came from. The version of facts tells the write path whether what it remembers of accounts,
holders and classes still stands.
"""

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import BYTEA

revision: Final = "0003"
down_revision: Final = "0002"
branch_labels: Final = None
depends_on: Final = None

SERVICE: Final = "tallystick_service"


def upgrade() -> None:
    op.add_column("instruction", sa.Column("key_digest", BYTEA(), nullable=True))
    op.add_column("instruction", sa.Column("first_answer", sa.Text(), nullable=True))
    op.add_column("instruction", sa.Column("source", sa.Text(), nullable=True))
    op.create_check_constraint("key_digest", "instruction", "octet_length(key_digest) = 32")
    op.execute(
        "UPDATE instruction i SET key_digest = a.key_digest FROM answer a "
        "WHERE a.issuer_id = i.issuer_id AND a.resource_id = i.id AND i.kind = 'transfer'"
    )
    op.create_index(
        "uq_instruction_key",
        "instruction",
        ["issuer_id", "key_digest"],
        unique=True,
        postgresql_where=sa.text("key_digest IS NOT NULL"),
    )
    op.drop_index("ix_event_booked_at", table_name="event")
    op.create_table(
        "facts_version",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["issuer_id"], ["issuer.issuer_id"], name=op.f("fk_facts_version_issuer")),
        sa.PrimaryKeyConstraint("issuer_id", name=op.f("pk_facts_version")),
    )
    op.execute("INSERT INTO facts_version (issuer_id, version) SELECT issuer_id, 0 FROM issuer")
    op.execute(f"GRANT SELECT, INSERT, UPDATE (version) ON facts_version TO {SERVICE}")


def downgrade() -> None:
    op.drop_table("facts_version")
    op.create_index("ix_event_booked_at", "event", ["issuer_id", "booked_at", "event_index"], unique=False)
    # What stood in the transfer's row alone goes back to where it was kept before; the words of those answers can't be
    # made here, so a key of that time finds the transfer and not the bytes.
    op.execute(
        "INSERT INTO answer (issuer_id, key_digest, request_hash, resource_id, status, body, event_index, answered_at) "
        "SELECT issuer_id, key_digest, request_hash, id, 201, json_build_object('id', id)::text, event_index, "
        "created_at FROM instruction WHERE key_digest IS NOT NULL ON CONFLICT DO NOTHING"
    )
    op.drop_index("uq_instruction_key", table_name="instruction")
    for column in ("source", "first_answer", "key_digest"):
        op.drop_column("instruction", column)
