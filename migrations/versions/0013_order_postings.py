"""Orders whose time is over are found without looking through all that are in force.

What orders post to is there already: every class was opened with 2310 and every account with 2130.
"""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0013"
down_revision: Final = "0012"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    op.create_index(
        "ix_restriction_expires_at",
        "restriction",
        ["issuer_id", "expires_at"],
        unique=False,
        postgresql_where=sa.text("state = 'active' AND expires_at IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_restriction_expires_at", table_name="restriction")
