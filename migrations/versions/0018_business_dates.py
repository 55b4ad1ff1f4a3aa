"""Business dates and their close, attestations of reconciliations, and what is reconciled on a schedule.

An instruction's value date is known only when it settles, so that it may be written then. A small index over the days
of the journal lets a date's entries be found without one that every entry would have to pay for.
"""

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: Final = "0018"
down_revision: Final = "0017"
branch_labels: Final = None
depends_on: Final = None

SERVICE: Final = "tallystick_service"
APPEND_ONLY: Final = (
    "business_calendar",
    "business_date_action",
    "late_item",
    "hand_off",
    "attestation",
    "reconciled_statement",
)


def upgrade() -> None:
    op.execute(f"GRANT UPDATE (value_date) ON instruction TO {SERVICE}")
    op.create_index(
        "ix_journal_line_value_date",
        "journal_line",
        ["issuer_id", "value_date"],
        unique=False,
        postgresql_using="brin",
        postgresql_with={"autosummarize": "on"},
    )
    _create_dates()
    _create_hand_off()
    _create_attestation()
    _create_schedules()
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
        op.execute(f"GRANT SELECT, INSERT ON {table} TO {SERVICE}")
    op.execute(
        f"GRANT SELECT, INSERT, UPDATE (missed_at, done_at, reconciliation_id) ON scheduled_run TO {SERVICE}"
    )
    op.execute(f"GRANT SELECT, INSERT, UPDATE (looked_at) ON schedule_leader TO {SERVICE}")


def _id(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(collation="C"), nullable=nullable)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.TIMESTAMP(timezone=True), nullable=nullable)


def _integer(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=nullable)


def _json(name: str) -> sa.Column[object]:
    return sa.Column(name, postgresql.JSONB(), nullable=False)


def _of_issuer(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["issuer_id"], ["issuer.issuer_id"], name=op.f(f"fk_{table}_issuer"))


def _of_class(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["issuer_id", "token_class_id"],
        ["token_class.issuer_id", "token_class.id"],
        name=op.f(f"fk_{table}_token_class"),
    )


def _of_run(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["issuer_id", "reconciliation_id"],
        ["reconciliation.issuer_id", "reconciliation.id"],
        name=op.f(f"fk_{table}_reconciliation"),
    )


def _create_dates() -> None:
    op.create_table(
        "business_calendar",
        _id("issuer_id"),
        _integer("event_index"),
        _json("terms"),
        sa.Column("opened_on", sa.Date(), nullable=False),
        _id("set_by"),
        _moment("set_at"),
        _of_issuer("business_calendar"),
        sa.PrimaryKeyConstraint("issuer_id", "event_index", name=op.f("pk_business_calendar")),
    )
    op.create_table(
        "business_date_action",
        _id("issuer_id"),
        _integer("event_index"),
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("period_from", sa.Date(), nullable=False),
        sa.Column("period_until", sa.Date(), nullable=False),
        sa.Column("closed_until", sa.Date(), nullable=False),
        _json("reopened"),
        _json("figures"),
        sa.Column("reason", sa.Text(), nullable=True),
        _id("done_by"),
        _json("approvals"),
        _moment("done_at"),
        sa.CheckConstraint("action IN ('closed', 'reopened')", name=op.f("ck_business_date_action_action")),
        sa.CheckConstraint(
            "period_from <= period_until AND period_until = business_date",
            name=op.f("ck_business_date_action_period"),
        ),
        _of_issuer("business_date_action"),
        sa.PrimaryKeyConstraint("issuer_id", "event_index", name=op.f("pk_business_date_action")),
    )
    op.create_index(
        op.f("ix_business_date_action_issuer_id_business_date_event_index"),
        "business_date_action",
        ["issuer_id", "business_date", "event_index"],
        unique=False,
    )
    op.create_table(
        "late_item",
        _id("issuer_id"),
        _integer("event_index"),
        _id("instruction_id"),
        sa.Column("value_date", sa.Date(), nullable=False),
        sa.Column("original_value_date", sa.Date(), nullable=False),
        sa.CheckConstraint("original_value_date < value_date", name=op.f("ck_late_item_lands_later")),
        sa.PrimaryKeyConstraint("issuer_id", "event_index", name=op.f("pk_late_item")),
    )
    for column in ("value_date", "original_value_date"):
        op.create_index(
            op.f(f"ix_late_item_issuer_id_{column}_event_index"),
            "late_item",
            ["issuer_id", column, "event_index"],
            unique=False,
        )


def _create_hand_off() -> None:
    op.create_table(
        "hand_off",
        _id("issuer_id"),
        _id("id"),
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("period_from", sa.Date(), nullable=False),
        _integer("event_index"),
        _json("totals"),
        sa.Column("sha256", postgresql.BYTEA(), nullable=False),
        _id("produced_by"),
        sa.Column("reason", sa.Text(), nullable=True),
        _moment("produced_at"),
        sa.CheckConstraint("octet_length(sha256) = 32", name=op.f("ck_hand_off_sha256")),
        _of_issuer("hand_off"),
        sa.PrimaryKeyConstraint("issuer_id", "id", name=op.f("pk_hand_off")),
    )
    op.create_index(
        op.f("ix_hand_off_issuer_id_business_date_id"),
        "hand_off",
        ["issuer_id", "business_date", "id"],
        unique=False,
    )


def _create_attestation() -> None:
    op.create_table(
        "attestation",
        _id("issuer_id"),
        _id("reconciliation_id"),
        _id("token_class_id"),
        _integer("event_index"),
        _integer("ledger_index"),
        _moment("ledger_as_of"),
        sa.Column("bank_as_of", sa.Date(), nullable=True),
        _integer("supply_minor"),
        _integer("control_minor"),
        _integer("bank_minor", nullable=True),
        _integer("timing_minor", nullable=True),
        _json("breaks"),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("backing", sa.Text(), nullable=False),
        sa.Column("current", sa.Boolean(), nullable=False),
        _moment("attested_at"),
        sa.CheckConstraint("verdict IN ('tied', 'broken')", name=op.f("ck_attestation_verdict")),
        _of_class("attestation"),
        _of_run("attestation"),
        sa.PrimaryKeyConstraint("issuer_id", "reconciliation_id", name=op.f("pk_attestation")),
    )
    op.create_index(
        op.f("ix_attestation_issuer_id_token_class_id_event_index"),
        "attestation",
        ["issuer_id", "token_class_id", "event_index"],
        unique=True,
    )


def _create_schedules() -> None:
    op.create_table(
        "scheduled_run",
        _id("issuer_id"),
        _moment("due_at"),
        _id("token_class_id"),
        sa.Column("business_date", sa.Date(), nullable=False),
        _moment("missed_at", nullable=True),
        _moment("done_at", nullable=True),
        _id("reconciliation_id", nullable=True),
        sa.CheckConstraint(
            "(done_at IS NULL) = (reconciliation_id IS NULL)", name=op.f("ck_scheduled_run_done")
        ),
        _of_class("scheduled_run"),
        sa.PrimaryKeyConstraint("issuer_id", "due_at", "token_class_id", name=op.f("pk_scheduled_run")),
    )
    op.create_table(
        "schedule_leader",
        _id("issuer_id"),
        _moment("looked_at"),
        _of_issuer("schedule_leader"),
        sa.PrimaryKeyConstraint("issuer_id", name=op.f("pk_schedule_leader")),
    )
    op.create_table(
        "reconciled_statement",
        _id("issuer_id"),
        _id("statement_id"),
        _id("reconciliation_id"),
        sa.ForeignKeyConstraint(
            ["issuer_id", "statement_id"],
            ["statement.issuer_id", "statement.id"],
            name=op.f("fk_reconciled_statement_statement"),
        ),
        _of_run("reconciled_statement"),
        sa.PrimaryKeyConstraint("issuer_id", "statement_id", name=op.f("pk_reconciled_statement")),
    )


def downgrade() -> None:
    for table in (
        "reconciled_statement",
        "schedule_leader",
        "scheduled_run",
        "attestation",
        "hand_off",
        "late_item",
        "business_date_action",
        "business_calendar",
    ):
        op.drop_table(table)
    op.drop_index("ix_journal_line_value_date", "journal_line")
    op.execute(f"REVOKE UPDATE (value_date) ON instruction FROM {SERVICE}")
