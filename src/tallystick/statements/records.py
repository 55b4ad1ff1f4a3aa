"""What is kept of a statement once it is imported. Amounts are minor units of the token class's scale."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, NamedTuple

from tallystick.core.errors import NotFoundError

__all__ = [
    "INTRADAY_TYPES",
    "DepositBalance",
    "EntryLink",
    "ImportedStatement",
    "PartLink",
    "Statement",
    "StatementEntry",
    "StatementFinding",
    "StatementImport",
    "StatementNotFoundError",
    "statement_entry_id",
]


#: Messages that tell of a day before it is over: nothing of them proves a balance, and the statement repeats them.
INTRADAY_TYPES: Final = frozenset({"camt.052", "camt.054", "MT942"})


class StatementNotFoundError(NotFoundError):
    """No such statement of this issuer."""

    code = "statement_not_found"
    title = "No such statement"


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement as it was imported: one page of it, where the bank parts it into pages.

    `opening_minor` and `closing_minor` are the booked balances, negative when overdrawn. A page that is not the last
    has no closing balance here, so that no part is ever taken for the whole; None also stands where the bank names
    none. `closed_on` is the closing balance's day, or else the nearest day that the statement tells of its end.
    `completed_at` is None while not all of its entries are in: its import was cut short, or is under way.
    `abandoned_at` is set if a person gave up on that.
    """

    issuer_id: str
    id: str
    token_class_id: str
    message_type: str
    message_id: str
    bank_account: str
    bank_statement_id: str
    sequence_number: int | None
    currency: str
    opened_on: date | None
    closed_on: date | None
    opening_minor: int | None
    closing_minor: int | None
    entry_count: int
    content_hash: bytes
    file_hash: bytes
    imported_by: str
    imported_at: datetime
    completed_at: datetime | None = None
    abandoned_at: datetime | None = None

    @property
    def intraday(self) -> bool:
        """Whether this is a report or a notification, which an end-of-day statement will repeat."""
        return self.message_type in INTRADAY_TYPES


class StatementEntry(NamedTuple):
    """One entry of a statement, numbered from 1 in the order of the file.

    `deposit_id` names the deposit that a booked credit became, or that was confirmed for it before. `matched_by` is
    `reference`, `iban` or `account_number` if the import confirmed it to an account; `confirmed_by_hand` if people had
    and `notified` if a report or notification had; `retold` if a statement had that was abandoned; `told_before` in a
    report or notification that repeats another; and None if it waited for assignment. With `notified_in_parts` it is
    linked to several deposits, or with other entries to one: `deposit_id` is None then, and `links_of_parts` has them.
    With `payout_return` it gives a payout back, and is no deposit; `return_reason` is why, as the bank codes it.
    A reversal is already signed: a reversed credit is a debit.
    """

    statement_id: str
    entry_number: int
    amount_minor: int
    credit: bool
    booked: bool
    reversal: bool
    booking_date: date | None
    value_date: date | None
    bank_reference: str | None
    end_to_end_id: str | None
    uetr: str | None
    counterparty_name: str | None
    counterparty_account: str | None
    remittance: str | None
    deposit_id: str | None
    matched_by: str | None
    return_reason: str | None = None

    @property
    def id(self) -> str:
        """What a deposit names as its evidence."""
        return statement_entry_id(self.statement_id, self.entry_number)

    @property
    def signed_minor(self) -> int:
        """Minor units, negative for a debit."""
        return self.amount_minor if self.credit else -self.amount_minor


class EntryLink(NamedTuple):
    """Of an entry only what pairing it with a deposit takes. `signed_minor` is negative for a debit."""

    statement_id: str
    entry_number: int
    signed_minor: int
    deposit_id: str | None

    @property
    def id(self) -> str:
        """What a deposit names as its evidence."""
        return statement_entry_id(self.statement_id, self.entry_number)


class StatementFinding(NamedTuple):
    """Something odd in a statement: a stable code, how much it matters, where it stands, and a sentence for people."""

    statement_id: str
    finding_number: int
    code: str
    severity: str
    location: str
    message: str


@dataclass(frozen=True, slots=True)
class DepositBalance:
    """A figure that a core bank pushed: of an account's deposit account, or of the class's backing account.

    `kind` is `balance` (negative when overdrawn) or `hold`.
    """

    issuer_id: str
    id: str
    token_class_id: str
    account_id: str | None
    kind: str
    amount_minor: int
    as_of: datetime
    source: str
    source_reference: str
    recorded_by: str
    recorded_at: datetime

    @property
    def facts(self) -> tuple[str, str | None, str, int, datetime]:
        """What is told: two figures of these facts are one."""
        return self.token_class_id, self.account_id, self.kind, self.amount_minor, self.as_of


@dataclass(frozen=True, slots=True)
class ImportedStatement:
    """A statement of an imported message. `imported` is False if all of it was there before and nothing was done."""

    statement: Statement
    imported: bool


@dataclass(frozen=True, slots=True)
class StatementImport:
    """What became of a message: its statements in the order of the file."""

    message_type: str
    message_id: str
    statements: tuple[ImportedStatement, ...]

    @property
    def imported(self) -> bool:
        """False if every statement was there before."""
        return any(one.imported for one in self.statements)


@dataclass(frozen=True, slots=True)
class PartLink:
    """An entry and a deposit of which one is a part of the other."""

    statement_entry_id: str
    deposit_id: str


def statement_entry_id(statement_id: str, entry_number: int) -> str:
    """Return the id of an entry: the statement's, a point, and the entry's number."""
    return f"{statement_id}.{entry_number}"
