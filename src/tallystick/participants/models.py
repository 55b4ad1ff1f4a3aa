"""Tables of who takes part: issuers, their token classes, holders, accounts, and the principals that act."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import ARRAY

from tallystick.core.columns import (
    bytes_column,
    date_column,
    id_column,
    integer_column,
    moment_column,
    text_column,
)
from tallystick.core.database import metadata
from tallystick.core.table_classes import EPHEMERAL, LOGGED, logged

issuer = Table(
    "issuer",
    metadata,
    id_column("issuer_id", primary_key=True),
    text_column("legal_name"),
    text_column("lei"),
    text_column("bic"),
    text_column("jurisdiction"),
    moment_column("created_at"),
    info=LOGGED,
)

# Raised by every change of what decisions are made on: an account, a holder, a token class.
facts_version = Table(
    "facts_version",
    metadata,
    id_column("issuer_id", primary_key=True),
    integer_column("version"),
    ForeignKeyConstraint(["issuer_id"], ["issuer.issuer_id"]),
    info=EPHEMERAL,
)

token_class = Table(
    "token_class",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("id", primary_key=True),
    text_column("currency"),
    Column("scale", SmallInteger, nullable=False),
    text_column("name"),
    text_column("mode"),
    text_column("backing_iban", nullable=True),
    text_column("backing_account_number", nullable=True),
    integer_column("terms_version"),
    moment_column("created_at"),
    ForeignKeyConstraint(["issuer_id"], ["issuer.issuer_id"]),
    UniqueConstraint("issuer_id", "currency"),
    CheckConstraint("scale BETWEEN 0 AND 9", name="scale"),
    CheckConstraint("mode IN ('normal', 'redeem_only', 'paused')", name="mode"),
    info=LOGGED,
)

holder = Table(
    "holder",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("id", primary_key=True),
    text_column("kind"),
    text_column("legal_name"),
    text_column("country"),
    text_column("residency"),
    text_column("lei", nullable=True),
    id_column("platform_id", nullable=True),
    text_column("kyc_status"),
    date_column("kyc_expires_on", nullable=True),
    moment_column("created_at"),
    ForeignKeyConstraint(["issuer_id"], ["issuer.issuer_id"]),
    ForeignKeyConstraint(["issuer_id", "platform_id"], ["holder.issuer_id", "holder.id"]),
    Index(None, "issuer_id", "platform_id", "id"),
    CheckConstraint("kind IN ('corporate', 'merchant', 'platform', 'institution')", name="kind"),
    CheckConstraint("kyc_status IN ('pending', 'verified', 'rejected')", name="kyc_status"),
    info=LOGGED,
)

account = Table(
    "account",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("id", primary_key=True),
    id_column("holder_id"),
    id_column("token_class_id"),
    text_column("status"),
    text_column("status_reason", nullable=True),
    text_column("deposit_iban", nullable=True),
    text_column("deposit_account_number", nullable=True),
    text_column("reference"),
    moment_column("opened_at"),
    moment_column("closed_at", nullable=True),
    ForeignKeyConstraint(["issuer_id", "holder_id"], ["holder.issuer_id", "holder.id"]),
    ForeignKeyConstraint(["issuer_id", "token_class_id"], ["token_class.issuer_id", "token_class.id"]),
    UniqueConstraint("issuer_id", "token_class_id", "reference"),
    UniqueConstraint("issuer_id", "token_class_id", "deposit_iban"),
    UniqueConstraint("issuer_id", "token_class_id", "deposit_account_number"),
    Index(None, "issuer_id", "holder_id", "id"),
    CheckConstraint("status IN ('open', 'frozen', 'closed')", name="status"),
    CheckConstraint("(deposit_iban IS NULL) <> (deposit_account_number IS NULL)", name="deposit_account"),
    info=LOGGED,
)

principal = Table(
    "principal",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("id", primary_key=True),
    text_column("name"),
    text_column("person", nullable=True),
    Column("roles", ARRAY(Text), nullable=False),
    id_column("holder_id", nullable=True),
    text_column("status"),
    moment_column("created_at"),
    text_column("status_reason", nullable=True),
    Column("scopes", ARRAY(Text), nullable=True),
    moment_column("access_until", nullable=True),
    text_column("oidc_subject", nullable=True),
    integer_column("calls_per_minute_max", nullable=True),
    integer_column("signature_required_from_minor", nullable=True),
    ForeignKeyConstraint(["issuer_id"], ["issuer.issuer_id"]),
    ForeignKeyConstraint(["issuer_id", "holder_id"], ["holder.issuer_id", "holder.id"]),
    UniqueConstraint("issuer_id", "oidc_subject"),
    CheckConstraint("status IN ('active', 'suspended')", name="status"),
    CheckConstraint("NOT 'auditor' = ANY (roles) OR access_until IS NOT NULL", name="auditor_term"),
    CheckConstraint("calls_per_minute_max >= 0", name="calls_per_minute_max"),
    CheckConstraint("signature_required_from_minor >= 0", name="signature_required_from_minor"),
    info=LOGGED,
)

api_key = Table(
    "api_key",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("id", primary_key=True),
    id_column("principal_id"),
    bytes_column("secret_hash"),
    moment_column("created_at"),
    moment_column("expires_at", nullable=True),
    moment_column("revoked_at", nullable=True),
    Column("ip_allow_list", ARRAY(Text), nullable=True),
    moment_column("last_used_at", nullable=True),
    ForeignKeyConstraint(["issuer_id", "principal_id"], ["principal.issuer_id", "principal.id"]),
    Index(None, "issuer_id", "principal_id", "id"),
    CheckConstraint("octet_length(secret_hash) = 32", name="secret_hash"),
    info=logged(left_out={"last_used_at": "a convenience: written late, and lost when a process dies"}),
)
