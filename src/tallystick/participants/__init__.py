"""Who takes part: issuers, token classes, holders, accounts, and the principals that act for them."""

from collections.abc import Iterable, Sequence
from datetime import date

from sqlalchemy import Connection

from tallystick.core.clock import Clock
from tallystick.core.errors import ConflictError, NotFoundError
from tallystick.core.pipeline import Asked, Pipeline
from tallystick.participants import store
from tallystick.participants.api_keys import (
    generate_secret,
    key_prefix,
    key_text,
    parse_key,
    secret_hash,
    secret_matches,
)
from tallystick.participants.identifiers import (
    BicMalformedError,
    CountryUnknownError,
    IbanMalformedError,
    check_country,
    compact_bic,
    compact_iban,
)
from tallystick.participants.key_life import (
    OVERLAP_HOURS_MAX,
    ApiKeyInvalidError,
    ApiKeyLifetimeRefusedError,
    ApiKeyNotFoundError,
    ApiKeyNotLiveError,
    bearer,
    check_api_key,
    check_lifetime,
    check_rotation,
    issue_api_key,
    record_uses,
    register_api_key,
    revoke_api_key,
    rotate_api_key,
)
from tallystick.participants.networks import (
    Address,
    IpAllowListMalformedError,
    Network,
    checked_networks,
    let_in,
    parsed_networks,
)
from tallystick.participants.parties import (
    Account,
    AccountFacts,
    AccountStatus,
    ApiKey,
    Bearer,
    ClassMode,
    Holder,
    HolderKind,
    Issuer,
    KycStatus,
    Principal,
    Role,
    Scope,
    TokenClass,
)
from tallystick.participants.principals import (
    AccessEndedError,
    LoginTakenError,
    PrincipalMalformedError,
    PrincipalNotFoundError,
    PrincipalStatusConflictError,
    bind_login,
    check_access,
    check_acting_for,
    check_login,
    check_reactivation,
    check_roles,
    check_term,
    reactivate,
    register_principal,
    required_principal,
    set_call_limit,
    set_roles,
    set_scopes,
    set_signature_threshold,
    set_term,
    suspend,
    suspend_acting_for,
)
from tallystick.participants.registration import (
    AccountNotFoundError,
    AlreadyRegisteredError,
    DepositAccountMalformedError,
    HolderNotFoundError,
    PlatformNotFoundError,
    TokenClassNotFoundError,
    register_account,
    register_holder,
    register_issuer,
    register_token_class,
)
from tallystick.participants.remembered import RememberedFacts

__all__ = [
    "OVERLAP_HOURS_MAX",
    "AccessEndedError",
    "Account",
    "AccountFacts",
    "AccountNotFoundError",
    "AccountStatus",
    "AccountStatusConflictError",
    "Address",
    "AlreadyRegisteredError",
    "ApiKey",
    "ApiKeyInvalidError",
    "ApiKeyLifetimeRefusedError",
    "ApiKeyNotFoundError",
    "ApiKeyNotLiveError",
    "Bearer",
    "BicMalformedError",
    "ClassMode",
    "ClassModeConflictError",
    "CountryUnknownError",
    "DepositAccountMalformedError",
    "Holder",
    "HolderKind",
    "HolderNotFoundError",
    "IbanMalformedError",
    "IpAllowListMalformedError",
    "Issuer",
    "IssuerNotFoundError",
    "KycStatus",
    "LoginTakenError",
    "Network",
    "PlatformNotFoundError",
    "Principal",
    "PrincipalMalformedError",
    "PrincipalNotFoundError",
    "PrincipalStatusConflictError",
    "RememberedFacts",
    "Role",
    "Scope",
    "TokenClass",
    "TokenClassNotFoundError",
    "account",
    "account_facts",
    "account_ids_of",
    "accounts",
    "accounts_by_deposit",
    "accounts_by_id",
    "api_key",
    "api_keys",
    "ask_facts_version",
    "authenticate",
    "bearer",
    "bind_login",
    "check_access",
    "check_acting_for",
    "check_api_key",
    "check_class_mode",
    "check_country",
    "check_lifetime",
    "check_login",
    "check_reactivation",
    "check_roles",
    "check_rotation",
    "check_term",
    "checked_networks",
    "compact_bic",
    "compact_iban",
    "deposit_accounts",
    "generate_secret",
    "holder",
    "holders",
    "holders_by_id",
    "holders_of_issuer",
    "issue_api_key",
    "issuer",
    "issuer_by_id",
    "issuer_ids",
    "key_prefix",
    "key_text",
    "let_in",
    "named_key",
    "owners_of_accounts",
    "parse_key",
    "parsed_networks",
    "principal",
    "principal_by_login",
    "principals",
    "raise_facts_version",
    "reactivate",
    "record_kyc",
    "record_uses",
    "register_account",
    "register_api_key",
    "register_holder",
    "register_issuer",
    "register_principal",
    "register_token_class",
    "revoke_api_key",
    "rotate_api_key",
    "secret_hash",
    "secret_matches",
    "set_account_status",
    "set_call_limit",
    "set_class_mode",
    "set_roles",
    "set_scopes",
    "set_signature_threshold",
    "set_term",
    "suspend",
    "suspend_acting_for",
    "token_class",
    "token_classes",
]


class IssuerNotFoundError(NotFoundError):
    """No such issuer, or not the caller's."""

    code = "issuer_not_found"
    title = "No such issuer"


class ClassModeConflictError(ConflictError):
    """The token class has this mode already."""

    code = "class_mode_conflict"
    title = "The token class has this mode already"


class AccountStatusConflictError(ConflictError):
    """An account may go open → frozen → open, and open → closed with nothing on it."""

    code = "account_status_conflict"
    title = "The account's status does not allow this"


def authenticate(connection: Connection, clock: Clock, presented: str) -> Principal:
    """Return the active principal that bears this key, wherever it is used from.

    Raises AccessEndedError after its term, ApiKeyInvalidError for everything else.
    """
    return bearer(connection, clock, presented).principal


def named_key(presented: str) -> tuple[str, str] | None:
    """Return the ids of issuer and key that a presented key names, whether or not it is good; None if it isn't one."""
    parts = parse_key(presented)
    return None if parts is None else (parts.issuer_id, parts.key_id)


def issuer(connection: Connection, viewer: Principal, issuer_id: str) -> Issuer:
    """Return the issuer that `viewer` belongs to, or raise IssuerNotFoundError for any other."""
    found = store.read_issuer(connection, issuer_id) if issuer_id == viewer.issuer_id else None
    if found is None:
        raise IssuerNotFoundError
    return found


def issuer_by_id(connection: Connection, issuer_id: str) -> Issuer:
    """Return an issuer, for what the bank itself writes, or raise IssuerNotFoundError."""
    found = store.read_issuer(connection, issuer_id)
    if found is None:
        raise IssuerNotFoundError
    return found


def issuer_ids(connection: Connection) -> list[str]:
    """Return every issuer's id, for jobs that serve all of them."""
    return store.read_issuer_ids(connection)


def token_class(connection: Connection, issuer_id: str, token_class_id: str) -> TokenClass:
    """Return one token class or raise TokenClassNotFoundError."""
    found = store.read_token_class(connection, issuer_id, token_class_id)
    if found is None:
        raise TokenClassNotFoundError
    return found


def token_classes(
    connection: Connection, issuer_id: str, *, after: str = "", limit: int = 100
) -> list[TokenClass]:
    """Return a page of token classes in the order of their ids."""
    return store.read_token_classes(connection, issuer_id, after, limit)


def holder(connection: Connection, viewer: Principal, holder_id: str) -> Holder:
    """Return one holder that `viewer` may know of, or raise HolderNotFoundError."""
    found = store.read_holder(connection, viewer.issuer_id, holder_id)
    if found is None or not (viewer.sees_whole_issuer or viewer.holder_id in (found.id, found.platform_id)):
        raise HolderNotFoundError
    return found


def holders(connection: Connection, viewer: Principal, *, after: str = "", limit: int = 100) -> list[Holder]:
    """Return a page of the holders that `viewer` may know of."""
    return store.read_holders(connection, viewer.issuer_id, _on_behalf_of(viewer), after, limit)


def holders_of_issuer(
    connection: Connection, issuer_id: str, *, after: str = "", limit: int = 100
) -> list[Holder]:
    """Return a page of all the issuer's holders in the order of their ids, for jobs that nobody looks at through."""
    return store.read_holders(connection, issuer_id, None, after, limit)


def holders_by_id(connection: Connection, issuer_id: str, holder_ids: Sequence[str]) -> dict[str, Holder]:
    """Return holders by id; absent ones are left out."""
    return {one.id: one for one in store.read_holders_by_id(connection, issuer_id, holder_ids)}


def record_kyc(
    connection: Connection, issuer_id: str, holder_id: str, status: KycStatus, expires_on: date | None
) -> Holder:
    """Record where the bank's check of a holder stands; raise HolderNotFoundError."""
    if store.read_holder(connection, issuer_id, holder_id) is None:
        raise HolderNotFoundError
    store.update_holder(connection, issuer_id, holder_id, kyc_status=status, kyc_expires_on=expires_on)
    found = store.read_holder(connection, issuer_id, holder_id)
    assert found is not None
    return found


def account(connection: Connection, viewer: Principal, account_id: str) -> Account:
    """Return one account that `viewer` may know of, or raise AccountNotFoundError."""
    found = store.read_account(connection, viewer.issuer_id, account_id)
    if found is None:
        raise AccountNotFoundError
    if not viewer.sees_whole_issuer:
        owner = store.read_holder(connection, viewer.issuer_id, found.holder_id)
        assert owner is not None
        if viewer.holder_id not in (owner.id, owner.platform_id):
            raise AccountNotFoundError
    return found


def accounts(
    connection: Connection,
    viewer: Principal,
    *,
    holder_id: str | None = None,
    token_class_id: str | None = None,
    after: str = "",
    limit: int = 100,
) -> list[Account]:
    """Return a page of the accounts that `viewer` may know of."""
    return store.read_accounts(
        connection,
        viewer.issuer_id,
        on_behalf_of=_on_behalf_of(viewer),
        holder_id=holder_id,
        token_class_id=token_class_id,
        after=after,
        limit=limit,
    )


def account_ids_of(connection: Connection, issuer_id: str, holder_id: str, token_class_id: str) -> list[str]:
    """Return every account that a holder has, or had, in a class."""
    return store.read_account_ids_of(connection, issuer_id, holder_id, token_class_id)


def owners_of_accounts(connection: Connection, issuer_id: str, account_ids: Sequence[str]) -> dict[str, str]:
    """Return whose these accounts are: holders' ids by accounts' ids."""
    return store.read_owners_of_accounts(connection, issuer_id, account_ids)


def accounts_by_deposit(
    connection: Connection,
    issuer_id: str,
    token_class_id: str,
    ibans: Sequence[str],
    references: Sequence[str],
) -> list[Account]:
    """Return the class's accounts that are funded from one of these deposit accounts or bear such a reference."""
    return store.read_accounts_by_deposit(connection, issuer_id, token_class_id, ibans, references)


def accounts_by_id(connection: Connection, issuer_id: str, account_ids: Sequence[str]) -> dict[str, Account]:
    """Return accounts by id; absent ones are left out."""
    return {one.id: one for one in store.read_accounts_by_id(connection, issuer_id, account_ids)}


def deposit_accounts(connection: Connection, issuer_id: str, account_ids: Sequence[str]) -> dict[str, str]:
    """Return, by account, the IBAN or number of the deposit account that it is funded from."""
    return store.read_deposit_accounts(connection, issuer_id, account_ids)


def account_facts(
    pipeline: Pipeline, issuer_id: str, account_ids: Iterable[str]
) -> Asked[dict[str, AccountFacts]]:
    """Ask what a decision needs of these accounts, by id; absent ones are left out."""
    return store.read_account_facts(pipeline, issuer_id, account_ids)


def raise_facts_version(connection: Connection, issuer_id: str) -> None:
    """Let nobody decide on what is remembered any more: for other rooms that change what decisions rest on."""
    store.raise_facts_version(connection, issuer_id)


def ask_facts_version(pipeline: Pipeline, issuer_id: str) -> Asked[int]:
    """Ask for the version of the facts: what `RememberedFacts` kept at the same version still stands."""
    return store.ask_facts_version(pipeline, issuer_id)


def set_account_status(
    connection: Connection, clock: Clock, issuer_id: str, account_id: str, status: AccountStatus, reason: str
) -> Account:
    """Open, freeze or close an account. Raises AccountNotFoundError, AccountStatusConflictError.

    The caller holds the account's ledger rows, so that no instruction is half way through meanwhile.
    """
    found = store.read_account(connection, issuer_id, account_id, lock=True)
    if found is None:
        raise AccountNotFoundError
    if found.status in {status, AccountStatus.CLOSED}:
        raise AccountStatusConflictError(f"The account is {found.status}.")
    if found.status == AccountStatus.FROZEN and status == AccountStatus.CLOSED:
        raise AccountStatusConflictError("A frozen account can't be closed.")
    closed_at = clock.now() if status == AccountStatus.CLOSED else None
    store.update_account(
        connection, issuer_id, account_id, status=status, status_reason=reason, closed_at=closed_at
    )
    changed = store.read_account(connection, issuer_id, account_id)
    assert changed is not None
    return changed


def check_class_mode(
    connection: Connection, issuer_id: str, token_class_id: str, mode: ClassMode
) -> TokenClass:
    """Return the token class that may get this mode. Raises TokenClassNotFoundError, ClassModeConflictError."""
    found = token_class(connection, issuer_id, token_class_id)
    if found.mode == mode:
        raise ClassModeConflictError(f"The token class is in the mode {mode} already.")
    return found


def set_class_mode(
    connection: Connection, issuer_id: str, token_class_id: str, mode: ClassMode
) -> TokenClass:
    """Let a token class be open for more, or for less. The caller holds the issuer's log head.

    Raises TokenClassNotFoundError, ClassModeConflictError.
    """
    check_class_mode(connection, issuer_id, token_class_id, mode)
    store.update_token_class(connection, issuer_id, token_class_id, mode=mode)
    return token_class(connection, issuer_id, token_class_id)


def principals(
    connection: Connection, issuer_id: str, *, after: str = "", limit: int | None = None
) -> list[Principal]:
    """Return everybody who acts on the issuer, or a page of them in the order of their ids."""
    return store.read_principals(connection, issuer_id, after, limit)


def principal(connection: Connection, issuer_id: str, principal_id: str) -> Principal:
    """Return one principal or raise PrincipalNotFoundError."""
    return required_principal(connection, issuer_id, principal_id)


def principal_by_login(connection: Connection, issuer_id: str, oidc_subject: str) -> Principal | None:
    """Return who has this login at the identity provider."""
    return store.read_principal_by_login(connection, issuer_id, oidc_subject)


def api_key(connection: Connection, issuer_id: str, key_id: str) -> ApiKey | None:
    """Return one bearer key, without its secret."""
    return store.read_api_key(connection, issuer_id, key_id)


def api_keys(
    connection: Connection,
    issuer_id: str,
    *,
    principal_id: str | None = None,
    after: str = "",
    limit: int | None = None,
) -> list[ApiKey]:
    """Return bearer keys, all of the issuer's or one principal's, without secrets."""
    return store.read_api_keys(connection, issuer_id, principal_id, after, limit)


def _on_behalf_of(viewer: Principal) -> str | None:
    return None if viewer.sees_whole_issuer else viewer.holder_id
