"""Who takes part, as facts. All are immutable; ids are prefixed and time-sortable."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import NamedTuple

__all__ = [
    "Account",
    "AccountFacts",
    "AccountStatus",
    "ApiKey",
    "Bearer",
    "ClassMode",
    "Holder",
    "HolderKind",
    "Issuer",
    "KycStatus",
    "Principal",
    "Role",
    "Scope",
    "TokenClass",
]


class Role(StrEnum):
    """What a principal may be to an issuer. Treasury, audit and operator roles see the whole issuer."""

    TREASURY_MAKER = "treasury_maker"
    TREASURY_CHECKER = "treasury_checker"
    PLATFORM = "platform"
    HOLDER = "holder"
    AUDITOR = "auditor"
    OPERATOR = "operator"


class Scope(StrEnum):
    """What a principal, or one of its tokens, may be narrowed to, within its roles."""

    READ = "read"
    PAYMENTS = "payments"
    TREASURY = "treasury"
    ADMINISTRATION = "administration"


class HolderKind(StrEnum):
    """What a holder is; a platform acts for the holders that name it."""

    CORPORATE = "corporate"
    MERCHANT = "merchant"
    PLATFORM = "platform"
    INSTITUTION = "institution"


class KycStatus(StrEnum):
    """Where the bank's know-your-customer check of a holder stands."""

    PENDING = "pending"
    VERIFIED = "verified"
    REJECTED = "rejected"


class AccountStatus(StrEnum):
    """Whether an account may be debited and credited."""

    OPEN = "open"
    FROZEN = "frozen"
    CLOSED = "closed"


class ClassMode(StrEnum):
    """What a token class is open for."""

    NORMAL = "normal"
    REDEEM_ONLY = "redeem_only"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class Issuer:
    """A bank that owes what its tokens promise. `lei` is ISO 17442, `bic` ISO 9362, `jurisdiction` ISO 3166."""

    issuer_id: str
    legal_name: str
    lei: str
    bic: str
    jurisdiction: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class TokenClass:
    """One issuer's token of one currency. `scale` is its decimals; the backing account is the bank's own control
    account, whose statement must show every confirmed deposit.
    """

    issuer_id: str
    id: str
    currency: str
    scale: int
    name: str
    mode: str
    backing_iban: str | None
    backing_account_number: str | None
    terms_version: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Holder:
    """A customer of the issuer. `platform_id` names the platform holder that may act for it."""

    issuer_id: str
    id: str
    kind: str
    legal_name: str
    country: str
    residency: str
    lei: str | None
    platform_id: str | None
    kyc_status: str
    kyc_expires_on: date | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Account:
    """A holder's token account in one class, linked to the deposit account it is funded from.

    `reference` is what a payer writes so that a credit on the backing account finds this account.
    """

    issuer_id: str
    id: str
    holder_id: str
    token_class_id: str
    status: str
    status_reason: str | None
    deposit_iban: str | None
    deposit_account_number: str | None
    reference: str
    opened_at: datetime
    closed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Principal:
    """A person or machine that acts on one issuer.

    `person` is the human behind it (None for machines): four-eyes counts people, not logins. `holder_id` is the
    holder that a `platform` or `holder` principal acts for. `scopes` None is every scope of its roles; `access_until`
    ends its access, and every auditor has one. `oidc_subject` is who it is at the bank's identity provider.
    `calls_per_minute_max` None is the installation's limit, 0 none. From `signature_required_from_minor` on, in minor
    units of whatever currency, its payments must be signed (RFC 9421); None asks for no signatures.
    """

    issuer_id: str
    id: str
    name: str
    person: str | None
    roles: frozenset[str]
    holder_id: str | None
    status: str
    created_at: datetime
    status_reason: str | None = None
    scopes: frozenset[str] | None = None
    access_until: datetime | None = None
    oidc_subject: str | None = None
    calls_per_minute_max: int | None = None
    signature_required_from_minor: int | None = None

    @property
    def sees_whole_issuer(self) -> bool:
        """True for the issuer's own staff and its auditors; others see their own accounts only."""
        return not self.roles.isdisjoint(_ISSUER_WIDE)


_ISSUER_WIDE = frozenset({Role.TREASURY_MAKER, Role.TREASURY_CHECKER, Role.AUDITOR, Role.OPERATOR})


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A bearer key as it is known afterwards: its secret is shown once, and only its SHA-256 is kept."""

    issuer_id: str
    id: str
    principal_id: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    ip_allow_list: tuple[str, ...] = ()
    last_used_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Bearer:
    """Who bears what was presented, and within which bounds. No networks: from anywhere.

    `api_key_id` names the key where it was one, so that its use can be noted.
    """

    principal: Principal
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    expires_at: datetime | None = None
    api_key_id: str | None = None


class AccountFacts(NamedTuple):
    """What a decision needs to know of one account, its holder and its class, read in one row."""

    account_id: str
    status: str
    holder_id: str
    holder_kind: str
    platform_id: str | None
    country: str
    residency: str
    kyc_status: str
    kyc_expires_on: date | None
    token_class_id: str
    mode: str
    currency: str
    scale: int
