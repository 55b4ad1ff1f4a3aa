"""Tables of the log: one row per event, and each issuer's head, which gives out indexes in the order of commit."""

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, Table

from tallystick.core.columns import id_column, integer_column, moment_column, text_column
from tallystick.core.database import metadata
from tallystick.core.table_classes import DERIVED, SIGNED

log_head = Table(
    "log_head",
    metadata,
    id_column("issuer_id", primary_key=True),
    integer_column("next_index"),
    moment_column("last_booked_at"),
    ForeignKeyConstraint(["issuer_id"], ["issuer.issuer_id"]),
    CheckConstraint("next_index >= 0", name="next_index"),
    postgresql_with={"fillfactor": "10"},
    info=DERIVED,
)

event = Table(
    "event",
    metadata,
    id_column("issuer_id", primary_key=True),
    integer_column("event_index", primary_key=True),
    id_column("id"),
    text_column("type"),
    id_column("subject_id"),
    id_column("token_class_id", nullable=True),
    moment_column("booked_at"),
    text_column("key_id"),
    text_column("jws"),
    Index("uq_event_id", "issuer_id", "id", unique=True),
    info=SIGNED,
)
