"""Tables of orders: what an authority restricts on an account, and each thing that was done under it."""

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Index, Table, text
from sqlalchemy.dialects.postgresql import JSONB

from tallystick.core.columns import id_column, integer_column, moment_column, text_column
from tallystick.core.database import metadata
from tallystick.core.table_classes import LOGGED

restriction = Table(
    "restriction",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("id", primary_key=True),
    id_column("account_id"),
    text_column("kind"),
    text_column("scope"),
    integer_column("amount_minor", nullable=True),
    integer_column("restricted_minor"),
    integer_column("seized_minor"),
    text_column("authority"),
    text_column("authority_reference", nullable=True),
    text_column("reason"),
    moment_column("expires_at", nullable=True),
    text_column("state"),
    id_column("created_by"),
    moment_column("created_at"),
    moment_column("ended_at", nullable=True),
    ForeignKeyConstraint(["issuer_id", "account_id"], ["account.issuer_id", "account.id"]),
    # What the write path asks of every account that it touches; most have none.
    Index(
        "ix_restriction_active",
        "issuer_id",
        "account_id",
        "id",
        postgresql_where=text("state = 'active'"),
    ),
    Index(None, "issuer_id", "account_id", "id"),
    # What waits for time to pass.
    Index(
        "ix_restriction_expires_at",
        "issuer_id",
        "expires_at",
        postgresql_where=text("state = 'active' AND expires_at IS NOT NULL"),
    ),
    CheckConstraint("kind IN ('freeze', 'court_order')", name="kind"),
    CheckConstraint("scope IN ('debit', 'credit', 'both')", name="scope"),
    CheckConstraint("state IN ('active', 'lifted', 'expired', 'executed')", name="state"),
    CheckConstraint("amount_minor > 0 AND scope = 'debit' OR amount_minor IS NULL", name="amount"),
    CheckConstraint(
        "restricted_minor >= 0 AND restricted_minor <= coalesce(amount_minor, restricted_minor)",
        name="restricted",
    ),
    CheckConstraint("seized_minor BETWEEN 0 AND restricted_minor", name="seized"),
    CheckConstraint("(state = 'active') = (ended_at IS NULL)", name="ended"),
    CheckConstraint("kind = 'freeze' OR authority_reference IS NOT NULL", name="reference"),
    info=LOGGED,
)

restriction_action = Table(
    "restriction_action",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("restriction_id", primary_key=True),
    integer_column("number", primary_key=True),
    text_column("action"),
    integer_column("amount_minor"),
    text_column("reason"),
    id_column("done_by"),
    Column("approvals", JSONB, nullable=False),
    moment_column("done_at"),
    ForeignKeyConstraint(["issuer_id", "restriction_id"], ["restriction.issuer_id", "restriction.id"]),
    CheckConstraint("amount_minor >= 0", name="amount"),
    CheckConstraint(
        "action IN ('placed', 'topped_up', 'received', 'seized', 'lifted', 'expired')", name="action"
    ),
    # What frees or takes money needs another person.
    CheckConstraint(
        "action NOT IN ('seized', 'lifted') OR jsonb_array_length(approvals) > 0", name="approvals"
    ),
    info=LOGGED,
)
