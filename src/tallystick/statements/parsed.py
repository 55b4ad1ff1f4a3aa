"""What an inbound account statement says, whichever format it came in: plain facts, no rules.

Amounts are minor units of their own currency (ISO 4217) and never negative: `credit` carries the sign, seen from
the account owner. A reversal (`reversal=True`) is already signed: a reversed credit arrives as a debit.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from tallystick.statements.findings import Finding

__all__ = [
    "BankTransactionCode",
    "PageInformation",
    "ParsedBalance",
    "ParsedBatch",
    "ParsedCharge",
    "ParsedEntry",
    "ParsedEntryDetail",
    "ParsedMessage",
    "ParsedParty",
    "ParsedStatement",
]


@dataclass(frozen=True, slots=True)
class BankTransactionCode:
    """ISO 20022 bank transaction code: domain, family and sub-family, the bank's own code, or both."""

    domain: str | None = None
    family: str | None = None
    sub_family: str | None = None
    proprietary: str | None = None
    issuer: str | None = None


@dataclass(frozen=True, slots=True)
class PageInformation:
    """Which page of a statement this is, counted from 1, and whether it is the last."""

    number: int
    last: bool

    @property
    def only(self) -> bool:
        """Whether the page is the whole statement."""
        return self.number == 1 and self.last


@dataclass(frozen=True, slots=True)
class ParsedBalance:
    """A balance: `type_code` is OPBD, CLBD, … (ISO 20022 external code set), or the bank's own if `proprietary`."""

    type_code: str
    proprietary: bool
    sub_type_code: str | None
    amount_minor: int
    currency: str
    credit: bool
    date: date | None

    @property
    def signed_minor(self) -> int:
        """Minor units, negative for a debit balance (overdrawn)."""
        return self.amount_minor if self.credit else -self.amount_minor


@dataclass(frozen=True, slots=True)
class ParsedCharge:
    """A charge on an entry or a transaction. `included`: already deducted from (or added to) the entry's amount."""

    amount_minor: int
    currency: str
    credit: bool | None
    included: bool | None
    type_code: str | None


@dataclass(frozen=True, slots=True)
class ParsedBatch:
    """What an entry that books many transactions says of them as a whole."""

    message_id: str | None
    payment_information_id: str | None
    transaction_count: int | None
    total_minor: int | None
    currency: str | None
    credit: bool | None


@dataclass(frozen=True, slots=True)
class ParsedParty:
    """A debtor or creditor: name, account (IBAN or another identification), and the BIC of its bank."""

    name: str | None = None
    iban: str | None = None
    account: str | None = None
    ultimate_name: str | None = None
    agent_bic: str | None = None


@dataclass(frozen=True, slots=True)
class ParsedEntryDetail:
    """One transaction of an entry.

    `amount_minor` is the part of the entry, in the entry's currency wherever the bank states it so;
    `instructed_amount_minor` is what the payer asked for, in its own currency.
    """

    sequence: int
    end_to_end_id: str | None
    uetr: str | None
    transaction_id: str | None
    instruction_id: str | None
    message_id: str | None
    payment_information_id: str | None
    mandate_id: str | None
    account_servicer_reference: str | None
    clearing_system_reference: str | None
    amount_minor: int | None
    currency: str | None
    credit: bool | None
    instructed_amount_minor: int | None
    instructed_currency: str | None
    debtor: ParsedParty
    creditor: ParsedParty
    remittance_information: str | None
    creditor_references: tuple[str, ...]
    purpose_code: str | None
    return_reason_code: str | None
    return_reason_information: str | None
    bank_transaction_code: BankTransactionCode
    charges: tuple[ParsedCharge, ...]
    additional_information: str | None

    @property
    def debtor_name(self) -> str | None:
        return self.debtor.name

    @property
    def debtor_iban(self) -> str | None:
        return self.debtor.iban

    @property
    def debtor_account(self) -> str | None:
        return self.debtor.account

    @property
    def creditor_name(self) -> str | None:
        return self.creditor.name

    @property
    def creditor_iban(self) -> str | None:
        return self.creditor.iban

    @property
    def creditor_account(self) -> str | None:
        return self.creditor.account

    @property
    def creditor_reference(self) -> str | None:
        """The first structured creditor reference (`creditor_references` has them all)."""
        return self.creditor_references[0] if self.creditor_references else None


@dataclass(frozen=True, slots=True)
class ParsedEntry:
    """One entry on the account. `sequence` counts from 1 within its statement; `status` is BOOK, PDNG, INFO or FUTR."""

    sequence: int
    entry_reference: str | None
    account_servicer_reference: str | None
    amount_minor: int
    currency: str
    credit: bool
    reversal: bool
    status: str
    booking_date: date | None
    value_date: date | None
    bank_transaction_code: BankTransactionCode
    details: tuple[ParsedEntryDetail, ...]
    batches: tuple[ParsedBatch, ...]
    charges: tuple[ParsedCharge, ...]
    additional_information: str | None

    @property
    def booked(self) -> bool:
        """Whether the entry is part of the booked balance."""
        return self.status == "BOOK"

    @property
    def signed_minor(self) -> int:
        """Minor units, negative for a debit."""
        return self.amount_minor if self.credit else -self.amount_minor


@dataclass(frozen=True, slots=True)
class ParsedStatement:
    """One statement, report or notification of one account. `findings` are those about it and its entries.

    `account_iban` or `account_other_id` is set, never both. `entries` are unpacked anew on each walk if there are many:
    walk seldom. Moments keep the offset that the bank wrote; one
    without an offset is taken as UTC.
    """

    statement_id: str
    electronic_sequence_number: int | None
    legal_sequence_number: int | None
    created_at: datetime | None
    period_from_at: datetime | None
    period_to_at: datetime | None
    copy_duplicate_code: str | None
    account_iban: str | None
    account_other_id: str | None
    currency: str
    owner_name: str | None
    servicer_bic: str | None
    page: PageInformation | None
    balances: tuple[ParsedBalance, ...]
    entries: Sequence[ParsedEntry]
    additional_information: str | None
    findings: tuple[Finding, ...]

    @property
    def account_id(self) -> str:
        """The IBAN, or else the bank's own identification of the account."""
        identification = self.account_iban or self.account_other_id
        assert identification is not None, "a statement without an account is refused"
        return identification

    def balances_of(self, type_codes: Iterable[str]) -> tuple[ParsedBalance, ...]:
        """Return the balances of these ISO types in the account's currency, in the order of the file."""
        wanted = frozenset(type_codes)
        return tuple(
            balance
            for balance in self.balances
            if balance.type_code in wanted and not balance.proprietary and balance.currency == self.currency
        )


@dataclass(frozen=True, slots=True)
class ParsedMessage:
    """A whole file: camt.052, camt.053 or camt.054 of a `version` of two digits, MT940, MT942 or CSV (`message_type`).

    `findings` has those about the message and then those of every statement.
    """

    message_type: str
    version: str
    message_id: str
    created_at: datetime | None
    statements: tuple[ParsedStatement, ...]
    findings: tuple[Finding, ...]
