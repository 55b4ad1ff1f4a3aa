"""The table of hand-offs to the general ledger."""

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Index, Table
from sqlalchemy.dialects.postgresql import JSONB

from tallystick.core.columns import (
    bytes_column,
    date_column,
    id_column,
    integer_column,
    moment_column,
    text_column,
)
from tallystick.core.database import metadata
from tallystick.core.table_classes import LOGGED

hand_off = Table(
    "hand_off",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("id", primary_key=True),
    date_column("business_date"),
    date_column("period_from"),
    integer_column("event_index"),
    Column("totals", JSONB, nullable=False),
    bytes_column("sha256"),
    id_column("produced_by"),
    text_column("reason", nullable=True),
    moment_column("produced_at"),
    ForeignKeyConstraint(["issuer_id"], ["issuer.issuer_id"]),
    Index(None, "issuer_id", "business_date", "id"),
    CheckConstraint("octet_length(sha256) = 32", name="sha256"),
    info=LOGGED,
)
