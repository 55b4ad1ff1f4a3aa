"""Opening what the books need before anything is posted: an issuer's log, a class's and an account's ledger rows."""

from sqlalchemy import Connection

from tallystick import events, ledger, liabilities, participants
from tallystick.core.clock import Clock
from tallystick.participants import Account, Issuer, TokenClass

__all__ = ["open_account", "open_issuer", "open_token_class"]


def open_issuer(
    connection: Connection, clock: Clock, *, legal_name: str, lei: str, bic: str, jurisdiction: str
) -> Issuer:
    """Register a bank and begin its log. Raises what `participants.register_issuer` raises."""
    bank = participants.register_issuer(
        connection, clock, legal_name=legal_name, lei=lei, bic=bic, jurisdiction=jurisdiction
    )
    events.open_log(connection, bank.issuer_id, bank.created_at)
    return bank


def open_token_class(
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
    """Register a token class and open the ledger accounts it has once."""
    of_class = participants.register_token_class(
        connection,
        clock,
        issuer_id,
        currency=currency,
        name=name,
        scale=scale,
        backing_iban=backing_iban,
        backing_account_number=backing_account_number,
    )
    ledger.open_class_accounts(connection, issuer_id, of_class.id, of_class.currency)
    return of_class


def open_account(
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
    """Register a holder's account and open its ledger accounts, all at zero, and liability record."""
    opened = participants.register_account(
        connection,
        clock,
        issuer_id,
        holder_id=holder_id,
        token_class_id=token_class_id,
        deposit_iban=deposit_iban,
        deposit_account_number=deposit_account_number,
        reference=reference,
    )
    of_class = participants.token_class(connection, issuer_id, token_class_id)
    ledger.open_holder_accounts(connection, issuer_id, of_class.id, of_class.currency, opened.id)
    liabilities.open_liability(
        connection,
        clock,
        issuer_id,
        holder_id=holder_id,
        token_class_id=of_class.id,
        terms_version=of_class.terms_version,
    )
    return opened
