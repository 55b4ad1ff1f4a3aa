"""Tables of schedules: runs that were due, who looks after them, and which statements were reconciled on arrival."""

from sqlalchemy import TIMESTAMP, CheckConstraint, Column, ForeignKeyConstraint, Table

from tallystick.core.columns import date_column, id_column, moment_column
from tallystick.core.database import metadata
from tallystick.core.table_classes import EPHEMERAL

scheduled_run = Table(
    "scheduled_run",
    metadata,
    id_column("issuer_id", primary_key=True),
    Column("due_at", TIMESTAMP(timezone=True), primary_key=True),
    id_column("token_class_id", primary_key=True),
    date_column("business_date"),
    moment_column("missed_at", nullable=True),
    moment_column("done_at", nullable=True),
    id_column("reconciliation_id", nullable=True),
    ForeignKeyConstraint(["issuer_id", "token_class_id"], ["token_class.issuer_id", "token_class.id"]),
    CheckConstraint("(done_at IS NULL) = (reconciliation_id IS NULL)", name="done"),
    info=EPHEMERAL,
)

# One row per issuer: whoever holds its lock leads, for as long as its transaction lasts.
schedule_leader = Table(
    "schedule_leader",
    metadata,
    id_column("issuer_id", primary_key=True),
    moment_column("looked_at"),
    ForeignKeyConstraint(["issuer_id"], ["issuer.issuer_id"]),
    info=EPHEMERAL,
)

reconciled_statement = Table(
    "reconciled_statement",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("statement_id", primary_key=True),
    id_column("reconciliation_id"),
    ForeignKeyConstraint(["issuer_id", "statement_id"], ["statement.issuer_id", "statement.id"]),
    ForeignKeyConstraint(
        ["issuer_id", "reconciliation_id"], ["reconciliation.issuer_id", "reconciliation.id"]
    ),
    info=EPHEMERAL,
)
