"""Tables of the liability register, and of the trees that prove it to each holder.

The register says what the bank owes a holder in a class, as a record of its own. Amounts are not kept here: they are
the holder's 21xx balances, so the register can't differ from the books. A tree's nodes are hashes and sums that can be
made again from its secret and the books as of its index; the secret leaves this table only as one holder's own salt.
"""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    SmallInteger,
    Table,
    UniqueConstraint,
)

from tallystick.core.columns import bytes_column, id_column, integer_column, moment_column
from tallystick.core.database import metadata
from tallystick.core.table_classes import LOGGED, logged

liability = Table(
    "liability",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("id", primary_key=True),
    id_column("holder_id"),
    id_column("token_class_id"),
    integer_column("terms_version"),
    moment_column("opened_at"),
    ForeignKeyConstraint(["issuer_id", "holder_id"], ["holder.issuer_id", "holder.id"]),
    ForeignKeyConstraint(["issuer_id", "token_class_id"], ["token_class.issuer_id", "token_class.id"]),
    UniqueConstraint("issuer_id", "token_class_id", "holder_id"),
    info=LOGGED,
)

# Made before it is attested: who asks again with the same key gets the same one, and not another secret.
liability_tree = Table(
    "liability_tree",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("id", primary_key=True),
    id_column("token_class_id"),
    integer_column("as_of_index"),
    Column("depth", SmallInteger, nullable=False),
    bytes_column("root_hash"),
    integer_column("total_minor"),
    bytes_column("secret"),
    bytes_column("key_digest"),
    bytes_column("request_hash"),
    moment_column("made_at"),
    ForeignKeyConstraint(["issuer_id", "token_class_id"], ["token_class.issuer_id", "token_class.id"]),
    UniqueConstraint("issuer_id", "key_digest", "request_hash"),
    CheckConstraint("as_of_index >= -1", name="as_of_index"),
    CheckConstraint("depth BETWEEN 0 AND 32", name="depth"),
    CheckConstraint("total_minor >= 0", name="total"),
    CheckConstraint("octet_length(root_hash) = 32 AND octet_length(secret) = 32", name="size"),
    info=LOGGED,
)

# Up to 256 nodes of one level that lie side by side, of each eighth level, as they are hashed: 32 bytes and 8.
liability_tree_tile = Table(
    "liability_tree_tile",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("tree_id", primary_key=True),
    Column("level", SmallInteger, primary_key=True, autoincrement=False),
    integer_column("number", primary_key=True),
    bytes_column("nodes"),
    ForeignKeyConstraint(["issuer_id", "tree_id"], ["liability_tree.issuer_id", "liability_tree.id"]),
    info=logged(together=("tree_id",)),
)

liability_attestation = Table(
    "liability_attestation",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("id", primary_key=True),
    integer_column("event_index"),
    moment_column("attested_at"),
    ForeignKeyConstraint(["issuer_id", "id"], ["liability_tree.issuer_id", "liability_tree.id"]),
    info=LOGGED,
)
