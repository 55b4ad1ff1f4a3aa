"""Tables of the log's tree: its edge, its full tiles, and the checkpoints and cosignatures over it."""

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Index, SmallInteger, Table

from tallystick.core.columns import bytes_column, id_column, integer_column, moment_column, text_column
from tallystick.core.database import metadata
from tallystick.core.table_classes import DERIVED, LOGGED, logged

# The one row that changes: whoever integrates an issuer's events holds its lock.
log_tree = Table(
    "log_tree",
    metadata,
    id_column("issuer_id", primary_key=True),
    text_column("origin"),
    integer_column("size"),
    bytes_column("edge"),
    ForeignKeyConstraint(["issuer_id"], ["issuer.issuer_id"]),
    CheckConstraint("size >= 0", name="size"),
    postgresql_with={"fillfactor": "10"},
    info=DERIVED,
)

log_tile = Table(
    "log_tile",
    metadata,
    id_column("issuer_id", primary_key=True),
    Column("level", SmallInteger, primary_key=True, autoincrement=False),
    integer_column("tile_index", primary_key=True),
    bytes_column("hashes"),
    ForeignKeyConstraint(["issuer_id"], ["log_tree.issuer_id"]),
    CheckConstraint("level >= 0 AND tile_index >= 0", name="place"),
    CheckConstraint("octet_length(hashes) = 8192", name="hashes"),
    info=DERIVED,
)

# The size in the key: there are never two roots for one size.
log_checkpoint = Table(
    "log_checkpoint",
    metadata,
    id_column("issuer_id", primary_key=True),
    integer_column("size", primary_key=True),
    bytes_column("root_hash"),
    id_column("key_id"),
    text_column("note"),
    moment_column("signed_at"),
    ForeignKeyConstraint(["issuer_id"], ["log_tree.issuer_id"]),
    CheckConstraint("size > 0", name="size"),
    CheckConstraint("octet_length(root_hash) = 32", name="root_hash"),
    info=logged(along="size"),
)

log_cosignature = Table(
    "log_cosignature",
    metadata,
    id_column("issuer_id", primary_key=True),
    integer_column("size", primary_key=True),
    Column("witness_key", text_column("witness_key").type, primary_key=True),
    text_column("line"),
    moment_column("cosigned_at"),
    ForeignKeyConstraint(["issuer_id", "size"], ["log_checkpoint.issuer_id", "log_checkpoint.size"]),
    Index(None, "issuer_id", "witness_key", "size"),
    info=LOGGED,
)
