"""Who calls: limits on principals and their keys, registered clients and their tokens, and shared rate limits.

`access_token` and `client_nonce` are the first tables whose rows the service may delete: both hold what is of no use
and no evidence once it has expired, and grow with every call otherwise.
"""

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA

revision: Final = "0007"
down_revision: Final = "0006"
branch_labels: Final = None
depends_on: Final = None

SERVICE: Final = "tallystick_service"

# table: the columns that may change after a row is written
CHANGEABLE: Final = {
    "api_key": ("expires_at", "last_used_at"),
    "client": ("revoked_at",),
    "principal": (
        "access_until",
        "calls_per_minute_max",
        "oidc_subject",
        "roles",
        "scopes",
        "signature_required_from_minor",
        "status_reason",
    ),
    "rate_bucket": ("full_at", "leased_count"),
}
# Rows that may be deleted once they have expired.
EPHEMERAL: Final = ("access_token", "client_nonce")
NEW: Final = ("rate_bucket", "client_nonce", "access_token", "client")


def upgrade() -> None:
    change_principals_and_keys()
    create_clients()
    create_tokens()
    for table, columns in CHANGEABLE.items():
        op.execute(f"GRANT SELECT, INSERT, UPDATE ({', '.join(columns)}) ON {table} TO {SERVICE}")
    for table in EPHEMERAL:
        op.execute(f"GRANT SELECT, INSERT, DELETE ON {table} TO {SERVICE}")


def change_principals_and_keys() -> None:
    op.add_column("principal", sa.Column("status_reason", sa.Text(), nullable=True))
    op.add_column("principal", sa.Column("scopes", ARRAY(sa.Text()), nullable=True))
    op.add_column("principal", sa.Column("access_until", sa.TIMESTAMP(timezone=True), nullable=True))
    op.add_column("principal", sa.Column("oidc_subject", sa.Text(), nullable=True))
    op.add_column("principal", sa.Column("calls_per_minute_max", sa.BigInteger(), nullable=True))
    op.add_column("principal", sa.Column("signature_required_from_minor", sa.BigInteger(), nullable=True))
    # An auditor who was taken up before gets a term like everybody else; the bank may extend it.
    op.execute("UPDATE principal SET access_until = now() + interval '90 days' WHERE 'auditor' = ANY(roles)")
    op.create_check_constraint(
        op.f("ck_principal_auditor_term"),
        "principal",
        "NOT 'auditor' = ANY (roles) OR access_until IS NOT NULL",
    )
    op.create_check_constraint(
        op.f("ck_principal_calls_per_minute_max"), "principal", "calls_per_minute_max >= 0"
    )
    op.create_check_constraint(
        op.f("ck_principal_signature_required_from_minor"), "principal", "signature_required_from_minor >= 0"
    )
    op.create_unique_constraint(
        op.f("uq_principal_issuer_id_oidc_subject"), "principal", ["issuer_id", "oidc_subject"]
    )
    op.add_column("api_key", sa.Column("ip_allow_list", ARRAY(sa.Text()), nullable=True))
    op.add_column("api_key", sa.Column("last_used_at", sa.TIMESTAMP(timezone=True), nullable=True))
    op.create_index(
        op.f("ix_api_key_issuer_id_principal_id_id"), "api_key", ["issuer_id", "principal_id", "id"]
    )


def create_clients() -> None:
    op.create_table(
        "client",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("principal_id", sa.Text(collation="C"), nullable=False),
        sa.Column("use", sa.Text(), nullable=False),
        sa.Column("algorithm", sa.Text(), nullable=False),
        sa.Column("jwk", sa.Text(), nullable=False),
        sa.Column("thumbprint", sa.Text(), nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("expires_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint("use IN ('token', 'signature')", name=op.f("ck_client_use")),
        sa.ForeignKeyConstraint(
            ["issuer_id", "principal_id"],
            ["principal.issuer_id", "principal.id"],
            name=op.f("fk_client_principal"),
        ),
        sa.PrimaryKeyConstraint("issuer_id", "id", name=op.f("pk_client")),
        sa.UniqueConstraint("issuer_id", "thumbprint", name=op.f("uq_client_issuer_id_thumbprint")),
    )
    op.create_index(
        op.f("ix_client_issuer_id_principal_id_id"), "client", ["issuer_id", "principal_id", "id"]
    )
    op.create_table(
        "client_nonce",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("client_id", sa.Text(collation="C"), nullable=False),
        sa.Column("digest", BYTEA(), nullable=False),
        sa.Column("expires_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint("octet_length(digest) = 32", name=op.f("ck_client_nonce_digest")),
        sa.ForeignKeyConstraint(
            ["issuer_id", "client_id"], ["client.issuer_id", "client.id"], name=op.f("fk_client_nonce_client")
        ),
        sa.PrimaryKeyConstraint("issuer_id", "client_id", "digest", name=op.f("pk_client_nonce")),
    )
    op.create_index(op.f("ix_client_nonce_issuer_id_expires_at"), "client_nonce", ["issuer_id", "expires_at"])


def create_tokens() -> None:
    op.create_table(
        "access_token",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("client_id", sa.Text(collation="C"), nullable=False),
        sa.Column("secret_hash", BYTEA(), nullable=False),
        sa.Column("scopes", ARRAY(sa.Text()), nullable=True),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("expires_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint("octet_length(secret_hash) = 32", name=op.f("ck_access_token_secret_hash")),
        sa.ForeignKeyConstraint(
            ["issuer_id", "client_id"], ["client.issuer_id", "client.id"], name=op.f("fk_access_token_client")
        ),
        sa.PrimaryKeyConstraint("issuer_id", "id", name=op.f("pk_access_token")),
    )
    op.create_index(op.f("ix_access_token_issuer_id_expires_at"), "access_token", ["issuer_id", "expires_at"])
    op.create_table(
        "rate_bucket",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("principal_id", sa.Text(collation="C"), nullable=False),
        sa.Column("full_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("leased_count", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(
            ["issuer_id", "principal_id"],
            ["principal.issuer_id", "principal.id"],
            name=op.f("fk_rate_bucket_principal"),
        ),
        sa.PrimaryKeyConstraint("issuer_id", "principal_id", name=op.f("pk_rate_bucket")),
    )


def downgrade() -> None:
    for table in (*CHANGEABLE, *EPHEMERAL):
        if table in NEW:
            op.execute(f"REVOKE ALL ON {table} FROM {SERVICE}")
    for table in NEW:
        op.drop_table(table)
    op.drop_index(op.f("ix_api_key_issuer_id_principal_id_id"), table_name="api_key")
    for column in ("last_used_at", "ip_allow_list"):
        op.drop_column("api_key", column)
    op.execute(f"REVOKE UPDATE (expires_at) ON api_key FROM {SERVICE}")
    op.execute(f"REVOKE UPDATE (roles) ON principal FROM {SERVICE}")
    op.drop_constraint(op.f("ck_principal_auditor_term"), "principal", type_="check")
    for column in (
        "signature_required_from_minor",
        "calls_per_minute_max",
        "oidc_subject",
        "access_until",
        "scopes",
        "status_reason",
    ):
        op.drop_column("principal", column)
