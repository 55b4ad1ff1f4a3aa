"""Taking up issuers, token classes, holders and accounts: refuse what is wrong, then write."""

from datetime import date

from sqlalchemy import Connection

from tallystick.core.clock import Clock
from tallystick.core.errors import ConflictError, MalformedError, NotFoundError
from tallystick.core.ids import new_id
from tallystick.core.money import SCALE_MAX, currency_scale
from tallystick.participants import store
from tallystick.participants.identifiers import check_country, compact_bic, compact_iban, compact_lei
from tallystick.participants.models import account, facts_version, holder, issuer, token_class
from tallystick.participants.parties import (
    Account,
    AccountStatus,
    ClassMode,
    Holder,
    HolderKind,
    Issuer,
    KycStatus,
    TokenClass,
)

__all__ = [
    "AccountNotFoundError",
    "AlreadyRegisteredError",
    "DepositAccountMalformedError",
    "HolderNotFoundError",
    "PlatformNotFoundError",
    "TokenClassNotFoundError",
    "register_account",
    "register_holder",
    "register_issuer",
    "register_token_class",
]


class HolderNotFoundError(NotFoundError):
    """No such holder of this issuer."""

    code = "holder_not_found"
    title = "No such holder"


class PlatformNotFoundError(MalformedError):
    """`platform_id` names no platform of this issuer."""

    code = "platform_not_found"
    title = "No such platform"


class TokenClassNotFoundError(NotFoundError):
    """No such token class of this issuer."""

    code = "token_class_not_found"
    title = "No such token class"


class AccountNotFoundError(NotFoundError):
    """No such account, or none that the caller may know of."""

    code = "account_not_found"
    title = "No such account"


class AlreadyRegisteredError(ConflictError):
    """Something with the same natural key is registered."""

    code = "already_registered"
    title = "Already registered"


class DepositAccountMalformedError(MalformedError):
    """An account needs exactly one of an IBAN and a plain account number."""

    code = "deposit_account_malformed"
    title = "Give either a deposit IBAN or a deposit account number"


def register_issuer(
    connection: Connection, clock: Clock, *, legal_name: str, lei: str, bic: str, jurisdiction: str
) -> Issuer:
    """Take up a bank. Raises LeiMalformedError, BicMalformedError, CountryUnknownError."""
    bank = Issuer(
        issuer_id=new_id("issuer"),
        legal_name=legal_name,
        lei=compact_lei(lei),
        bic=compact_bic(bic),
        jurisdiction=check_country(jurisdiction),
        created_at=clock.now(),
    )
    store.add(connection, issuer, **_values(bank))
    store.add(connection, facts_version, issuer_id=bank.issuer_id, version=0)
    return bank


def register_token_class(
    connection: Connection,
    clock: Clock,
    issuer_id: str,
    *,
    currency: str,
    name: str,
    scale: int | None = None,
    backing_iban: str | None = None,
    backing_account_number: str | None = None,
) -> TokenClass:
    """Take up a token class; `scale` is the currency's own unless given (0 to 9).

    Raises CurrencyUnknownError, DepositAccountMalformedError, IbanMalformedError, AlreadyRegisteredError.
    """
    own_scale = currency_scale(currency)
    scale = own_scale if scale is None else scale
    if not 0 <= scale <= SCALE_MAX:
        raise MalformedError(f"A scale lies between 0 and {SCALE_MAX}.")
    iban, number = _deposit_account(backing_iban, backing_account_number)
    registered = TokenClass(
        issuer_id=issuer_id,
        id=new_id("class"),
        currency=currency,
        scale=scale,
        name=name,
        mode=ClassMode.NORMAL,
        backing_iban=iban,
        backing_account_number=number,
        terms_version=1,
        created_at=clock.now(),
    )
    if not store.add_unless_present(connection, token_class, **_values(registered)):
        raise AlreadyRegisteredError("The issuer already has a token class of this currency.")
    return registered


def register_holder(
    connection: Connection,
    clock: Clock,
    issuer_id: str,
    *,
    kind: HolderKind,
    legal_name: str,
    country: str,
    residency: str,
    lei: str | None = None,
    platform_id: str | None = None,
    kyc_status: KycStatus = KycStatus.PENDING,
    kyc_expires_on: date | None = None,
) -> Holder:
    """Take up a customer. Raises CountryUnknownError, LeiMalformedError, PlatformNotFoundError."""
    if platform_id is not None:
        platform = store.read_holder(connection, issuer_id, platform_id)
        if platform is None or platform.kind != HolderKind.PLATFORM:
            raise PlatformNotFoundError
    registered = Holder(
        issuer_id=issuer_id,
        id=new_id("holder"),
        kind=kind,
        legal_name=legal_name,
        country=check_country(country),
        residency=check_country(residency),
        lei=None if lei is None else compact_lei(lei),
        platform_id=platform_id,
        kyc_status=kyc_status,
        kyc_expires_on=kyc_expires_on,
        created_at=clock.now(),
    )
    store.add(connection, holder, **_values(registered))
    return registered


def register_account(
    connection: Connection,
    clock: Clock,
    issuer_id: str,
    *,
    holder_id: str,
    token_class_id: str,
    deposit_iban: str | None = None,
    deposit_account_number: str | None = None,
    reference: str | None = None,
) -> Account:
    """Open a holder's account in a class; `reference` is made unless given, and unique in the class.

    Raises HolderNotFoundError, TokenClassNotFoundError, DepositAccountMalformedError, IbanMalformedError,
    AlreadyRegisteredError.
    """
    if store.read_holder(connection, issuer_id, holder_id) is None:
        raise HolderNotFoundError
    if store.read_token_class(connection, issuer_id, token_class_id) is None:
        raise TokenClassNotFoundError
    iban, number = _deposit_account(deposit_iban, deposit_account_number)
    account_id = new_id("account")
    opened = Account(
        issuer_id=issuer_id,
        id=account_id,
        holder_id=holder_id,
        token_class_id=token_class_id,
        status=AccountStatus.OPEN,
        status_reason=None,
        deposit_iban=iban,
        deposit_account_number=number,
        reference=reference or account_id[-26:].upper(),
        opened_at=clock.now(),
        closed_at=None,
    )
    if not store.add_unless_present(connection, account, **_values(opened)):
        raise AlreadyRegisteredError("The deposit account or the reference is in use in this token class.")
    return opened


def _deposit_account(iban: str | None, number: str | None) -> tuple[str | None, str | None]:
    if (iban is None) == (number is None):
        raise DepositAccountMalformedError
    return (None if iban is None else compact_iban(iban), number)


def _values(record: Issuer | TokenClass | Holder | Account) -> dict[str, object]:
    return {name: getattr(record, name) for name in record.__slots__}
