"""One account's statement: what the holder owned in tokens, and every movement of that, in the order of the log.

The balance is the holder's whole claim, 2110 to 2140 of docs/accounting.md, so tokens that are held or restricted are
in it and placing a hold is no movement. Who paid or was paid is told as far as the API tells the holder too: the other
account's id always, its holder's name where that is the holder itself or acts through it as its platform.
"""

import base64
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from heapq import merge
from itertools import groupby, islice
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection

from tallystick import events, ledger, participants, tokens, transparency
from tallystick.core.errors import InvariantError
from tallystick.core.money import format_amount
from tallystick.exports.reading import Scope, told_at
from tallystick.exports.records import Pinned, Proof
from tallystick.ledger import CLAIM_CODES, Code, EntryLine, ledger_account_id
from tallystick.participants import Account, Holder, Issuer, Principal, TokenClass
from tallystick.tokens import Instruction, Kind

__all__ = [
    "AccountStatement",
    "Change",
    "Movement",
    "StatementTotals",
    "account_statement",
    "changes",
    "movements",
    "pinned_statement",
]

_CHUNK: Final = 500
_TICK: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class AccountStatement:
    """Whose statement, of when, and how it begins and ends.

    `opening` and `closing` are by code of the chart, in minor units; 2010, what could be made into tokens, is told
    beside and is no part of the balance. `from_at` and `to_at` are both included. `told_at` dates the statement.
    """

    issuer: Issuer
    holder: Holder
    account: Account
    of_class: TokenClass
    first_index: int
    last_index: int
    from_at: datetime
    to_at: datetime
    told_at: datetime
    opening: dict[str, int]
    closing: dict[str, int]
    proof: Proof | None

    @property
    def opening_minor(self) -> int:
        return sum(self.opening[code] for code in CLAIM_CODES)

    @property
    def closing_minor(self) -> int:
        return sum(self.closing[code] for code in CLAIM_CODES)

    @property
    def sequence_number(self) -> int | None:
        """The statement's place among the account's, where the period is one day or one calendar month in UTC.

        Days and months are counted from the one that the account was opened in, so each statement follows the one
        before by one. None for other periods, and for what lies before the account.
        """
        first, last = self.from_at.date(), self.to_at.date()
        if not (_begins(self.from_at) and _begins(self.to_at + _TICK)):
            return None
        opened = self.account.opened_at.date()
        if first == last:
            number = (first - opened).days + 1
        elif first.day == 1 and (last + timedelta(days=1)) == _next_month(first):
            number = (first.year - opened.year) * 12 + first.month - opened.month + 1
        else:
            return None
        return number if number > 0 else None

    def amount(self, minor: int) -> str:
        """Return an amount of the account's class as a decimal string."""
        return format_amount(minor, self.of_class.scale)


class Movement(NamedTuple):
    """One event that changed the balance: by `amount_minor`, credits positive, to `balance_minor`.

    `end_to_end_id` is the id that both sides know it by; `counterparty_name` is None where the holder may not know it.
    """

    event_index: int
    event_id: str
    event_type: str
    booked_at: datetime
    value_date: date
    amount_minor: int
    balance_minor: int
    end_to_end_id: str | None
    reference: str | None
    purpose: str | None
    counterparty_account_id: str | None
    counterparty_name: str | None


class StatementTotals:
    """The account's control totals, taken while its statement was read."""

    def __init__(self, statement: AccountStatement) -> None:
        self.debits_minor = self.credits_minor = self.debit_count = self.credit_count = 0
        self._statement = statement

    def add(self, movement: "Movement | Change") -> None:
        """Add a movement."""
        if movement.amount_minor < 0:
            self.debits_minor -= movement.amount_minor
            self.debit_count += 1
        else:
            self.credits_minor += movement.amount_minor
            self.credit_count += 1

    def control_totals(self) -> list[dict[str, Any]]:
        """Return the totals under the names of every manifest's; supply is here what the holder has of it."""
        told, count = self._statement, self.debit_count + self.credit_count
        return [
            {
                "token_class_id": told.of_class.id,
                "currency": told.of_class.currency,
                "scale": told.of_class.scale,
                "entries": count,
                "lines": count,
                "debits": told.amount(self.debits_minor),
                "credits": told.amount(self.credits_minor),
                "opening_supply": told.amount(told.opening_minor),
                "supply": told.amount(told.closing_minor),
                "ties": told.opening_minor + self.credits_minor - self.debits_minor == told.closing_minor,
            }
        ]


def pinned_statement(connection: Connection, viewer: Principal, pinned: Pinned) -> Pinned:
    """Return what is pinned with the first checkpoint that covers it, so that it is told again as it was.

    Raises AccountNotFoundError.
    """
    account_id = pinned.arguments.options.account_id
    assert account_id is not None
    participants.account(connection, viewer, account_id)
    if pinned.last_event_index < 0:
        return pinned
    found = transparency.first_checkpoint_covering(connection, viewer.issuer_id, pinned.last_event_index)
    if found is None:
        return pinned
    return replace(
        pinned, proof=Proof(found.origin, found.size, base64.b64encode(found.root).decode("ascii"))
    )


def account_statement(
    connection: Connection, issuer: Issuer, scope: Scope, pinned: Pinned
) -> AccountStatement:
    """Return everything of a statement but its movements."""
    account_id = pinned.arguments.options.account_id
    assert account_id is not None
    account = participants.account(connection, scope.viewer, account_id)
    at = told_at(connection, scope, pinned)
    after = pinned.arguments.booked_after
    from_at = min(account.opened_at, at) if after is None else after + _TICK
    return AccountStatement(
        issuer=issuer,
        holder=participants.holder(connection, scope.viewer, account.holder_id),
        account=account,
        of_class=participants.token_class(connection, scope.issuer_id, account.token_class_id),
        first_index=scope.first_index,
        last_index=scope.last_index,
        from_at=from_at,
        to_at=max(pinned.arguments.booked_until or at, from_at),
        told_at=at,
        opening=_balances(connection, scope.issuer_id, account_id, scope.first_index - 1),
        closing=_balances(connection, scope.issuer_id, account_id, scope.last_index),
        proof=pinned.proof,
    )


def movements(connection: Connection, statement: AccountStatement) -> Iterator[Movement]:
    """Yield the movements of the period in the order of the log, in constant memory.

    Raises InvariantError where the journal names an event that the log has not.
    """
    changed = changes(connection, statement)
    while chunk := list(islice(changed, _CHUNK)):
        yield from _described(connection, statement, chunk)


class Change(NamedTuple):
    """What one event did to the balance, without who and why."""

    event_index: int
    value_date: date
    amount_minor: int
    balance_minor: int


def changes(connection: Connection, statement: AccountStatement) -> Iterator[Change]:
    """Yield what changed the balance, in the order of the log: all that counting takes, at a tenth of the cost."""
    balance_minor = statement.opening_minor
    lines = merge(
        *(
            ledger.stream_account_lines(
                connection,
                statement.issuer.issuer_id,
                ledger_account_id(code, statement.account.id),
                statement.first_index,
                statement.last_index,
            )
            for code in CLAIM_CODES
        ),
        key=_place,
    )
    for event_index, of_event in groupby(lines, key=lambda line: line.event_index):
        amount_minor, value_date = 0, date.min
        for line in of_event:
            amount_minor += line.credit_minor - line.debit_minor
            value_date = line.value_date
        if amount_minor:
            balance_minor += amount_minor
            yield Change(event_index, value_date, amount_minor, balance_minor)


def _place(line: EntryLine) -> tuple[int, int]:
    return line.event_index, line.line_number


def _described(
    connection: Connection, statement: AccountStatement, chunk: list[Change]
) -> Iterator[Movement]:
    issuer_id = statement.issuer.issuer_id
    found = {
        one.event_index: one
        for one in events.events_at(connection, issuer_id, [moved.event_index for moved in chunk])
    }
    asked = tokens.instructions_by_id(connection, issuer_id, [one.subject_id for one in found.values()])
    related = tokens.instructions_by_id(
        connection, issuer_id, [one.related_id for one in asked.values() if one.related_id is not None]
    )
    others = {index: _other_account(statement, asked.get(one.subject_id)) for index, one in found.items()}
    names = _names(connection, statement, {one for one in others.values() if one is not None})
    for moved in chunk:
        event = found.get(moved.event_index)
        if event is None:
            raise InvariantError(f"the log has no event {moved.event_index}")
        instruction = asked.get(event.subject_id)
        origin = None if instruction is None else related.get(instruction.related_id or "")
        other = others[moved.event_index]
        yield Movement(
            event_index=moved.event_index,
            event_id=event.id,
            event_type=event.type,
            booked_at=event.booked_at,
            value_date=moved.value_date,
            amount_minor=moved.amount_minor,
            balance_minor=moved.balance_minor,
            end_to_end_id=_end_to_end_id(instruction),
            reference=_first(instruction, origin, "reference"),
            purpose=_first(instruction, origin, "purpose"),
            counterparty_account_id=other,
            counterparty_name=None if other is None else names.get(other),
        )


def _other_account(statement: AccountStatement, instruction: Instruction | None) -> str | None:
    """Return the other side of a payment; what happens on one account has none."""
    if instruction is None:
        return None
    sides = (instruction.payer_account_id, instruction.payee_account_id)
    return next((one for one in sides if one not in {None, statement.account.id}), None)


def _end_to_end_id(instruction: Instruction | None) -> str | None:
    """Return the transfer's id, the hold's that is paid from, or the transfer's that is reversed."""
    if instruction is None:
        return None
    if instruction.kind == Kind.TRANSFER:
        return instruction.id
    return instruction.related_id if instruction.kind in {Kind.HOLD_EXECUTION, Kind.REVERSAL} else None


def _first(instruction: Instruction | None, origin: Instruction | None, name: str) -> str | None:
    """Return what was written on the instruction itself, or on the one that it goes back to."""
    found = (None if one is None else getattr(one, name) for one in (instruction, origin))
    return next((one for one in found if one is not None), None)


def _names(connection: Connection, statement: AccountStatement, account_ids: set[str]) -> dict[str, str]:
    """Return the names, by account, of those that the holder may know of."""
    issuer_id, owner = statement.issuer.issuer_id, statement.holder
    accounts = participants.accounts_by_id(connection, issuer_id, sorted(account_ids))
    holders = participants.holders_by_id(
        connection, issuer_id, sorted({one.holder_id for one in accounts.values()})
    )
    return {
        one.id: holders[one.holder_id].legal_name
        for one in accounts.values()
        if owner.id in {one.holder_id, holders[one.holder_id].platform_id}
    }


def _balances(connection: Connection, issuer_id: str, account_id: str, event_index: int) -> dict[str, int]:
    codes = (Code.DEPOSITS_AVAILABLE.value, *CLAIM_CODES)
    ids = {code: ledger_account_id(code, account_id) for code in codes}
    found = ledger.positions(connection, issuer_id, list(ids.values()), event_index)
    return {code: found[one].balance_minor if one in found else 0 for code, one in ids.items()}


def _begins(at: datetime) -> bool:
    return at.astimezone(UTC).time() == time.min


def _next_month(first: date) -> date:
    return date(first.year + first.month // 12, first.month % 12 + 1, 1)
