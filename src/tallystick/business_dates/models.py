"""Tables of business dates: calendars, what was closed and reopened, and what came too late for its date.

All of them are only ever added to: the newest calendar is in force, and the newest action tells how far the books are
closed.
"""

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Index, Table
from sqlalchemy.dialects.postgresql import JSONB

from tallystick.core.columns import date_column, id_column, integer_column, moment_column, text_column
from tallystick.core.database import metadata
from tallystick.core.table_classes import logged

business_calendar = Table(
    "business_calendar",
    metadata,
    id_column("issuer_id", primary_key=True),
    integer_column("event_index", primary_key=True),
    Column("terms", JSONB, nullable=False),
    date_column("opened_on"),
    id_column("set_by"),
    moment_column("set_at"),
    ForeignKeyConstraint(["issuer_id"], ["issuer.issuer_id"]),
    info=logged(along="event_index"),
)

business_date_action = Table(
    "business_date_action",
    metadata,
    id_column("issuer_id", primary_key=True),
    integer_column("event_index", primary_key=True),
    date_column("business_date"),
    text_column("action"),
    date_column("period_from"),
    date_column("period_until"),
    date_column("closed_until"),
    Column("reopened", JSONB, nullable=False),
    Column("figures", JSONB, nullable=False),
    text_column("reason", nullable=True),
    id_column("done_by"),
    Column("approvals", JSONB, nullable=False),
    moment_column("done_at"),
    ForeignKeyConstraint(["issuer_id"], ["issuer.issuer_id"]),
    Index(None, "issuer_id", "business_date", "event_index"),
    CheckConstraint("action IN ('closed', 'reopened')", name="action"),
    CheckConstraint("period_from <= period_until AND period_until = business_date", name="period"),
    info=logged(along="event_index"),
)

late_item = Table(
    "late_item",
    metadata,
    id_column("issuer_id", primary_key=True),
    integer_column("event_index", primary_key=True),
    id_column("instruction_id"),
    date_column("value_date"),
    date_column("original_value_date"),
    Index(None, "issuer_id", "value_date", "event_index"),
    Index(None, "issuer_id", "original_value_date", "event_index"),
    CheckConstraint("original_value_date < value_date", name="lands_later"),
    info=logged(along="event_index"),
)
