"""Pushed figures that reconciliation compares are found by when they came, so that what came since a run is due."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0022"
down_revision: Final = "0021"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    op.create_index(
        "ix_deposit_balance_compared",
        "deposit_balance",
        ["issuer_id", "token_class_id", "recorded_at"],
        unique=False,
        postgresql_where=sa.text("(kind = 'balance') = (account_id IS NULL)"),
    )


def downgrade() -> None:
    op.drop_index("ix_deposit_balance_compared", "deposit_balance")
