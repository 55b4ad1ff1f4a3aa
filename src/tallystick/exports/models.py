"""Tables of exports: what was asked for, how far it is, and the manifest of what was made."""

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Index, Table, text
from sqlalchemy.dialects.postgresql import JSONB

from tallystick.core.columns import id_column, integer_column, moment_column, text_column
from tallystick.core.database import metadata
from tallystick.core.table_classes import EPHEMERAL, LOGGED

export = Table(
    "export",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("id", primary_key=True),
    Column("arguments", JSONB, nullable=False),
    id_column("requested_by"),
    moment_column("created_at"),
    ForeignKeyConstraint(["issuer_id"], ["issuer.issuer_id"]),
    info=LOGGED,
)

# Of no consequence once it is lost but for the states: what was asked for stands above, what was made below.
export_run = Table(
    "export_run",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("export_id", primary_key=True),
    text_column("state"),
    integer_column("attempts"),
    integer_column("rows_written"),
    integer_column("rows_to_write", nullable=True),
    text_column("current_file", nullable=True),
    moment_column("started_at", nullable=True),
    moment_column("ended_at", nullable=True),
    text_column("failure_code", nullable=True),
    text_column("failure_reason", nullable=True),
    CheckConstraint("state IN ('pending', 'running', 'finished', 'failed', 'cancelled')", name="state"),
    ForeignKeyConstraint(["issuer_id", "export_id"], ["export.issuer_id", "export.id"]),
    info=EPHEMERAL,
)
Index(
    "ix_export_run_open",
    export_run.c.issuer_id,
    export_run.c.export_id,
    postgresql_where=text("state IN ('pending', 'running')"),
)

export_result = Table(
    "export_result",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("export_id", primary_key=True),
    Column("manifest", JSONB, nullable=False),
    text_column("manifest_jws", nullable=True),
    integer_column("event_index", nullable=True),
    ForeignKeyConstraint(["issuer_id", "export_id"], ["export.issuer_id", "export.id"]),
    info=LOGGED,
)
