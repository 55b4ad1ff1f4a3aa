"""Batches are found by their id: those that settled at once have only their answer."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0012"
down_revision: Final = "0011"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    op.create_index(
        "ix_answer_batch",
        "answer",
        ["issuer_id", "resource_id"],
        unique=False,
        postgresql_where=sa.text(r"resource_id LIKE 'batch\_%'"),
    )


def downgrade() -> None:
    op.drop_index("ix_answer_batch", table_name="answer")
