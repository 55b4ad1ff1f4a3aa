"""Table of exports: what was asked for and the manifest of what was made."""

from sqlalchemy import Column, ForeignKeyConstraint, Table
from sqlalchemy.dialects.postgresql import JSONB

from tallystick.core.columns import id_column, moment_column
from tallystick.core.database import metadata
from tallystick.core.table_classes import LOGGED

export = Table(
    "export",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("id", primary_key=True),
    Column("arguments", JSONB, nullable=False),
    Column("manifest", JSONB, nullable=False),
    id_column("requested_by"),
    moment_column("created_at"),
    ForeignKeyConstraint(["issuer_id"], ["issuer.issuer_id"]),
    info=LOGGED,
)
