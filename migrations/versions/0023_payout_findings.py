"""What people do about findings of payouts; and screenings of payouts' beneficiaries, who are no holders."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0023"
down_revision: Final = "0022"
branch_labels: Final = None
depends_on: Final = None

SERVICE: Final = "tallystick_service"
TABLE: Final = "payout_finding_action"
#: What of screening referred to holders alone.
SCREENED: Final = {"screening": "fk_screening_holder", "screening_standing": "fk_screening_standing_holder"}


def upgrade() -> None:
    op.create_table(
        TABLE,
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("finding_id", sa.Text(collation="C"), nullable=False),
        sa.Column("action_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("principal_id", sa.Text(collation="C"), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("subject_id", sa.Text(collation="C"), nullable=True),
        sa.Column("done_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint(
            "kind IN ('assigned', 'noted', 'resolved')", name=op.f("ck_payout_finding_action_kind")
        ),
        sa.CheckConstraint(
            "kind <> 'assigned' OR subject_id IS NOT NULL", name=op.f("ck_payout_finding_action_owner")
        ),
        sa.CheckConstraint(
            "kind = 'assigned' OR note IS NOT NULL", name=op.f("ck_payout_finding_action_note")
        ),
        sa.ForeignKeyConstraint(
            ["issuer_id", "finding_id"],
            ["payout_finding.issuer_id", "payout_finding.id"],
            name=op.f("fk_payout_finding_action_payout_finding"),
        ),
        sa.PrimaryKeyConstraint(
            "issuer_id", "finding_id", "action_number", name=op.f("pk_payout_finding_action")
        ),
    )
    op.create_index(
        "uq_payout_finding_action_resolved",
        TABLE,
        ["issuer_id", "finding_id"],
        unique=True,
        postgresql_where=sa.text("kind = 'resolved'"),
    )
    op.execute(
        f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {TABLE} "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
    op.execute(f"GRANT SELECT, INSERT ON {TABLE} TO {SERVICE}")
    for table, name in SCREENED.items():
        op.drop_constraint(name, table, type_="foreignkey")


def downgrade() -> None:
    for table, name in SCREENED.items():
        op.create_foreign_key(name, table, "holder", ["issuer_id", "holder_id"], ["issuer_id", "id"])
    op.drop_table(TABLE)
