"""The public part of every issuer's signing keys, and which may sign. Private parts are never in the database."""

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, Table, text

from tallystick.core.columns import bytes_column, id_column, integer_column, moment_column, text_column
from tallystick.core.database import metadata
from tallystick.core.table_classes import LOGGED

signing_key = Table(
    "signing_key",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("id", primary_key=True),
    text_column("algorithm"),
    bytes_column("public_key"),
    text_column("use"),
    text_column("state"),
    moment_column("created_at"),
    moment_column("activated_at", nullable=True),
    moment_column("retired_at", nullable=True),
    moment_column("revoked_at", nullable=True),
    moment_column("compromised_at", nullable=True),
    text_column("reason", nullable=True),
    integer_column("activated_index", nullable=True),
    integer_column("from_index", nullable=True),
    integer_column("until_index", nullable=True),
    integer_column("revoked_index", nullable=True),
    integer_column("compromised_from_index", nullable=True),
    integer_column("manifest_version", nullable=True),
    ForeignKeyConstraint(["issuer_id"], ["issuer.issuer_id"]),
    # One key signs at a time, whatever two operators do at once.
    Index(
        "uq_signing_key_active", "issuer_id", "use", unique=True, postgresql_where=text("state = 'active'")
    ),
    CheckConstraint("algorithm IN ('EdDSA')", name="algorithm"),
    CheckConstraint("octet_length(public_key) = 32", name="public_key"),
    CheckConstraint("use IN ('event', 'checkpoint')", name="use"),
    CheckConstraint("state IN ('prepared', 'active', 'retired', 'revoked')", name="state"),
    CheckConstraint(
        "(state IN ('prepared', 'active')) = (retired_at IS NULL AND revoked_at IS NULL)", name="active"
    ),
    CheckConstraint(
        "CASE state WHEN 'prepared' THEN activated_at IS NULL WHEN 'revoked' THEN TRUE"
        " ELSE activated_at IS NOT NULL END",
        name="activated_at",
    ),
    CheckConstraint("(state = 'revoked') = (revoked_at IS NOT NULL)", name="revoked_at"),
    CheckConstraint("(state = 'revoked') = (reason IS NOT NULL)", name="reason"),
    CheckConstraint("compromised_at IS NULL OR state = 'revoked'", name="compromised_at"),
    CheckConstraint("compromised_from_index IS NULL OR state = 'revoked'", name="compromised_from_index"),
    CheckConstraint("(activated_index IS NULL) = (manifest_version IS NULL)", name="manifest_version"),
    info=LOGGED,
)

root_manifest = Table(
    "root_manifest",
    metadata,
    id_column("issuer_id", primary_key=True),
    integer_column("version", primary_key=True),
    text_column("document"),
    bytes_column("sha256"),
    moment_column("imported_at"),
    ForeignKeyConstraint(["issuer_id"], ["issuer.issuer_id"]),
    CheckConstraint("version > 0", name="version"),
    CheckConstraint("octet_length(sha256) = 32", name="sha256"),
    info=LOGGED,
)
