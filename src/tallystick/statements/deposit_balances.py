"""Figures that a core bank pushes between its statements: a balance as of a moment, or an amount that it holds.

They are kept as they were told, to be compared with the books. Nothing is confirmed, posted or adjusted by them: only
money that a statement, a report or a notification shows, or that two people vouch for, becomes a deposit.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection

from tallystick import participants
from tallystick.core.clock import Clock
from tallystick.core.errors import ConflictError, MalformedError, NotFoundError
from tallystick.core.ids import new_id
from tallystick.core.money import AmountMalformedError, parse_amount
from tallystick.participants import AccountNotFoundError, Principal
from tallystick.statements import store
from tallystick.statements.abandoning import StatementImportNotAllowedError
from tallystick.statements.records import DepositBalance
from tallystick.statements.taking_up import StatementCurrencyMismatchError
from tallystick.tokens import BankDataKind, tell_bank_data

__all__ = [
    "DepositBalanceConflictError",
    "DepositBalanceInFutureError",
    "DepositBalanceKind",
    "DepositBalanceNotFoundError",
    "NewDepositBalance",
    "record_deposit_balance",
]


class DepositBalanceKind(StrEnum):
    """`balance`: what is on an account. `hold`: what the core has set aside on it, never negative."""

    BALANCE = "balance"
    HOLD = "hold"


class DepositBalanceNotFoundError(NotFoundError):
    """No such figure of this issuer."""

    code = "deposit_balance_not_found"
    title = "No such deposit balance"


class DepositBalanceConflictError(ConflictError):
    """The source told another figure under this reference; `existing_id` names it."""

    code = "deposit_balance_conflict"
    title = "The source has told another figure under this reference"


class DepositBalanceInFutureError(MalformedError):
    """A figure as of a moment that is yet to come."""

    code = "deposit_balance_in_future"
    title = "The moment of the figure lies in the future"


@dataclass(frozen=True, slots=True)
class NewDepositBalance:
    """A figure as it is told. `account_id` is None for the token class's backing account itself.

    `figure` is a decimal string of the class's scale without a sign, and may be zero; `overdrawn` says that it is
    below zero. `source` names the system, and `source_reference` is that system's own name for the figure.
    """

    token_class_id: str
    account_id: str | None
    kind: DepositBalanceKind
    figure: str
    currency: str
    overdrawn: bool
    as_of: datetime
    source: str
    source_reference: str


def record_deposit_balance(
    connection: Connection, clock: Clock, recorder: Principal, new: NewDepositBalance
) -> DepositBalance:
    """Keep a figure and return it; the caller commits. Told again in the same words, it is the one that is there.

    Raises StatementImportNotAllowedError, TokenClassNotFoundError, AccountNotFoundError (also for an account of
    another class), StatementCurrencyMismatchError, AmountMalformedError, DepositBalanceInFutureError,
    DepositBalanceConflictError.
    """
    if not recorder.sees_whole_issuer:
        raise StatementImportNotAllowedError
    of_class = participants.token_class(connection, recorder.issuer_id, new.token_class_id)
    if new.account_id is not None:
        account = participants.account(connection, recorder, new.account_id)
        if account.token_class_id != of_class.id:
            raise AccountNotFoundError(field="account_id")
    if new.currency != of_class.currency:
        raise StatementCurrencyMismatchError(f"The token class is in {of_class.currency}.")
    now = clock.now()
    if new.as_of > now:
        raise DepositBalanceInFutureError
    told = DepositBalance(
        issuer_id=recorder.issuer_id,
        id=new_id("deposit_balance"),
        token_class_id=of_class.id,
        account_id=new.account_id,
        kind=new.kind.value,
        amount_minor=_amount_minor(new, of_class.scale),
        as_of=new.as_of,
        source=new.source,
        source_reference=new.source_reference,
        recorded_by=recorder.id,
        recorded_at=now,
    )
    if store.add_deposit_balance(connection, told):
        if told.account_id is not None and new.kind == DepositBalanceKind.HOLD:
            tell_bank_data(connection, told.issuer_id, of_class.id, BankDataKind.HOLD, told.as_of, now=now)
        return told
    known = store.read_deposit_balance_of_source(
        connection, told.issuer_id, told.source, told.source_reference
    )
    if known.facts != told.facts:
        raise DepositBalanceConflictError(existing_id=known.id)
    return known


def _amount_minor(new: NewDepositBalance, scale: int) -> int:
    minor = parse_amount(new.figure, scale)
    if new.overdrawn and (new.kind == DepositBalanceKind.HOLD or minor == 0):
        raise AmountMalformedError("Only a balance other than zero can be overdrawn.")
    return -minor if new.overdrawn else minor
