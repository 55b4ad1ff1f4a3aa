"""Tables of who calls: registered clients, what they used once, the tokens they got, and everybody's rate bucket."""

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Index, Table, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import ARRAY

from tallystick.core.columns import bytes_column, id_column, integer_column, moment_column, text_column
from tallystick.core.database import metadata
from tallystick.core.table_classes import EPHEMERAL, LOGGED

client = Table(
    "client",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("id", primary_key=True),
    id_column("principal_id"),
    text_column("use"),
    text_column("algorithm"),
    text_column("jwk"),
    text_column("thumbprint"),
    moment_column("created_at"),
    moment_column("expires_at"),
    moment_column("revoked_at", nullable=True),
    ForeignKeyConstraint(["issuer_id", "principal_id"], ["principal.issuer_id", "principal.id"]),
    # A key has one owner and one use, for ever.
    UniqueConstraint("issuer_id", "thumbprint"),
    Index(None, "issuer_id", "principal_id", "id"),
    CheckConstraint("use IN ('token', 'signature')", name="use"),
    info=LOGGED,
)

# What a client may use once, until it would be refused for its age anyway: a `jti`, or the nonce of a signature.
client_nonce = Table(
    "client_nonce",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("client_id", primary_key=True),
    bytes_column("digest", primary_key=True),
    moment_column("expires_at"),
    ForeignKeyConstraint(["issuer_id", "client_id"], ["client.issuer_id", "client.id"]),
    Index(None, "issuer_id", "expires_at"),
    CheckConstraint("octet_length(digest) = 32", name="digest"),
    info=EPHEMERAL,
)

access_token = Table(
    "access_token",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("id", primary_key=True),
    id_column("client_id"),
    bytes_column("secret_hash"),
    Column("scopes", ARRAY(Text), nullable=True),
    moment_column("created_at"),
    moment_column("expires_at"),
    ForeignKeyConstraint(["issuer_id", "client_id"], ["client.issuer_id", "client.id"]),
    Index(None, "issuer_id", "expires_at"),
    CheckConstraint("octet_length(secret_hash) = 32", name="secret_hash"),
    info=EPHEMERAL,
)

rate_bucket = Table(
    "rate_bucket",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("principal_id", primary_key=True),
    moment_column("full_at"),
    integer_column("leased_count"),
    ForeignKeyConstraint(["issuer_id", "principal_id"], ["principal.issuer_id", "principal.id"]),
    info=EPHEMERAL,
)
