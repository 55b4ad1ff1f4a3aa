"""The tie-out: five records of one thing, compared to the minor unit.

Σ signed mints less redemptions, seizures and payouts = Σ holders' balances = 21xx in the trial balance = the liability
register = the root over all liabilities, and the control account (1100) = what the bank confirms (a statement's closing
balance, or the core's holds) after timing. Pure: equal facts give equal figures and breaks.

A timing break explains its part of a difference and leaves the verdict alone. Every other break breaks it, however
small, and whatever no break explains is a break of its own: nothing is ever rounded, netted or adjusted away.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from tallystick.core.clock import format_time
from tallystick.ledger import CLAIM_CODES, Code, ledger_account_id
from tallystick.reconciliation.breaks import BreakCollector, BreakDraft, Money, control_effect, supply_effect
from tallystick.reconciliation.pushed import PushedFacts
from tallystick.reconciliation.records import EXPLAINED_TYPES, BreakType, Figures, Verdict

__all__ = ["AttestedRoot", "BankFacts", "BooksFacts", "TieOut", "tie_out"]


class AttestedRoot(NamedTuple):
    """The newest root over all liabilities that is in the log: what was signed, and what the books say of then.

    `total_minor` is that of the signed event, and `books_minor` that of 21xx as of the same index, `as_of_index`.
    """

    attestation_id: str
    as_of_index: int
    root_hash: str
    total_minor: int
    books_minor: int


@dataclass(frozen=True, slots=True)
class BooksFacts:
    """What log, journal, balances and register say of one token class. Amounts are minor units.

    By ledger account, each in its normal sense: `journal_minor` is the sum of its lines, `trial_minor` the balance
    that its last line tells, and `stored_minor` the one that is kept beside them (only where it can be compared: of
    accounts that were not touched since). `register_minor` is by holders' account; `root_minor` is what the leaves of a
    tree over all liabilities come to as of this very index, and `attested` the newest such tree that was signed.
    `log_breaks` are those between log and journal.
    """

    minted_minor: int
    redeemed_minor: int
    seized_minor: int
    events_verified_count: int
    journal_minor: Mapping[str, int]
    trial_minor: Mapping[str, int]
    stored_minor: Mapping[str, int]
    register_minor: int
    register_account_ids: frozenset[str]
    root_minor: int
    attested: AttestedRoot | None = None
    log_breaks: list[BreakDraft] = field(default_factory=list)
    paid_out_minor: int = 0


@dataclass(frozen=True, slots=True)
class BankFacts:
    """What the bank says: its closing balance, None without a statement.

    `breaks` explain `difference_minor`, the books' signed movements less the bank's entries; `timing_minor` is the
    part of it that is timing. `pushed` is a balance that the core told of a later moment, whose break is beside these.
    """

    closing_minor: int | None
    difference_minor: int = 0
    timing_minor: int = 0
    breaks: list[BreakDraft] = field(default_factory=list)
    pushed: PushedFacts | None = None


class TieOut(NamedTuple):
    """What came of it."""

    verdict: Verdict
    figures: Figures
    breaks: list[BreakDraft]


def tie_out(token_class_id: str, money: Money, books: BooksFacts, bank: BankFacts) -> TieOut:
    """Compare everything with everything and decide."""
    found = BreakCollector(money)
    breaks = list(books.log_breaks)
    _compare_balances(found, money, books)
    breaks += found.collected()
    breaks += _supply_breaks(money, books, breaks)
    breaks += _control_breaks(token_class_id, money, books, bank, breaks)
    broken = any(draft.type not in EXPLAINED_TYPES for draft in breaks)
    return TieOut(
        Verdict.BROKEN if broken else Verdict.TIED,
        _figures(token_class_id, money, books, bank),
        breaks,
    )


def _compare_balances(found: BreakCollector, money: Money, books: BooksFacts) -> None:
    """Each ledger account: the last line's balance against the sum of its lines, and the stored one against that."""
    for account_id, trial_minor in sorted(books.trial_minor.items()):
        _compare(
            found,
            money,
            "journal_balance",
            account_id,
            trial_minor - books.journal_minor.get(account_id, 0),
            "The balance that the journal tells of {account} is not the sum of its lines: it differs by {amount}.",
            in_trial_balance=True,
        )
        _compare(
            found,
            money,
            "stored_balance",
            account_id,
            books.stored_minor.get(account_id, trial_minor) - trial_minor,
            "The balance that is kept of {account} is not the journal's: it differs by {amount}.",
            in_trial_balance=False,
        )


def _compare(
    found: BreakCollector,
    money: Money,
    kind: str,
    account_id: str,
    difference_minor: int,
    explanation: str,
    *,
    in_trial_balance: bool,
) -> None:
    if not difference_minor:
        return
    text = explanation.format(account=account_id, amount=money.words(difference_minor))
    is_claim, is_control = account_id[:4] in CLAIM_CODES, account_id[:4] == Code.DEPOSITS_AT_CORE
    found.add(
        kind,
        BreakDraft(
            BreakType.AMOUNT,
            difference_minor,
            text,
            {"ledger_account": account_id},
            difference_minor if is_claim and in_trial_balance else 0,
            difference_minor if is_control and in_trial_balance else 0,
            f"{kind}:{account_id}",
        ),
    )


def _supply_breaks(money: Money, books: BooksFacts, explained: list[BreakDraft]) -> list[BreakDraft]:
    """What remains between the log's supply and the trial balance's, and between the latter and the register."""
    trial_minor = _claims(books.trial_minor)
    unregistered = BreakCollector(money)
    unregistered_minor = 0
    for account_id, minor in sorted(books.trial_minor.items()):
        owner = account_id[5:]
        if account_id[:4] in CLAIM_CODES and minor and owner not in books.register_account_ids:
            unregistered_minor += minor
            unregistered.add(
                "claim_not_registered",
                BreakDraft(
                    BreakType.AMOUNT,
                    minor,
                    f"No liability record covers {money.words(minor)} on {account_id}.",
                    {"ledger_account": account_id, "account_id": owner},
                    cause=f"register:{account_id}",
                ),
            )
    remainders = (
        (
            "signed mints less redemptions, seizures and payouts",
            trial_minor - _supply(books) - supply_effect(explained),
        ),
        ("the liability register", trial_minor - books.register_minor - unregistered_minor),
        ("the root over all liabilities", trial_minor - books.root_minor - unregistered_minor),
    )
    return (
        unregistered.collected()
        + [
            _unexplained(money, "the trial balance's 21xx", what, minor)
            for what, minor in remainders
            if minor
        ]
        + _attested_breaks(money, books.attested)
    )


def _attested_breaks(money: Money, attested: AttestedRoot | None) -> list[BreakDraft]:
    """What the bank signed that it owed is what its books say that it owed then."""
    if attested is None or attested.books_minor == attested.total_minor:
        return []
    difference_minor = attested.books_minor - attested.total_minor
    return [
        BreakDraft(
            BreakType.AMOUNT,
            difference_minor,
            f"As of event {attested.as_of_index} the books say {money.words(attested.books_minor)}, and the signed "
            f"root over all liabilities {money.words(attested.total_minor)}.",
            {"liability_attestation_id": attested.attestation_id, "as_of_index": attested.as_of_index},
            cause=f"attested:{attested.attestation_id}",
        )
    ]


def _control_breaks(
    token_class_id: str, money: Money, books: BooksFacts, bank: BankFacts, explained: list[BreakDraft]
) -> list[BreakDraft]:
    """What the bank's statement leaves open, and what remains of the difference after all of it."""
    ledger_minor = books.trial_minor.get(ledger_account_id(Code.DEPOSITS_AT_CORE, token_class_id), 0)
    if bank.closing_minor is None:
        return [
            BreakDraft(
                BreakType.MISSING_BANK_ENTRY,
                ledger_minor,
                f"Nothing of the bank's confirms the {money.words(ledger_minor)} of the control account: no statement "
                f"with a closing balance, or no hold, has come.",
                {"statement_id": None},
                0,
                ledger_minor,
                "no_bank_data",
            )
        ]
    left = ledger_minor - bank.closing_minor - control_effect(explained) - bank.difference_minor
    remainder = (
        [_unexplained(money, "the control account", "the bank's closing balance", left)] if left else []
    )
    return bank.breaks + remainder


def _unexplained(money: Money, this: str, that: str, difference_minor: int) -> BreakDraft:
    return BreakDraft(
        BreakType.AMOUNT,
        difference_minor,
        f"Between {this} and {that} {money.words(difference_minor)} are left that nothing explains.",
        {"compared": f"{this} with {that}"},
        cause=f"remainder:{this} with {that}",
    )


def _figures(token_class_id: str, money: Money, books: BooksFacts, bank: BankFacts) -> Figures:
    ledger_minor = books.trial_minor.get(ledger_account_id(Code.DEPOSITS_AT_CORE, token_class_id), 0)
    closing = bank.closing_minor
    difference = None if closing is None else ledger_minor - closing
    stored = {**books.trial_minor, **books.stored_minor}
    return {
        "supply": {
            "minted": money.text(books.minted_minor),
            "redeemed": money.text(books.redeemed_minor),
            "seized": money.text(books.seized_minor),
            "paid_out": money.text(books.paid_out_minor),
            "signed_events": money.text(_supply(books)),
            "holder_balances": money.text(_claims(stored)),
            "trial_balance": money.text(_claims(books.trial_minor)),
            "liability_register": money.text(books.register_minor),
            "events_verified": str(books.events_verified_count),
        },
        "liability_root": _root_figures(money, books),
        "pushed_balance": _pushed_figures(money, bank.pushed),
        "control_account": {
            "ledger": money.text(ledger_minor),
            "deposits_available": money.text(_of_code(books, Code.DEPOSITS_AVAILABLE)),
            "payments_in_transit": money.text(_of_code(books, Code.PAYMENTS_IN_TRANSIT)),
            "statement_closing": None if closing is None else money.text(closing),
            "difference": None if difference is None else money.text(difference),
            "timing": None if closing is None else money.text(bank.timing_minor),
            "difference_after_timing": None
            if difference is None
            else money.text(difference - bank.timing_minor),
        },
    }


def _root_figures(money: Money, books: BooksFacts) -> dict[str, str | None]:
    """`total` is added up as a tree's root is, as of the run's index; the others are of the newest signed tree."""
    attested = books.attested
    return {
        "total": money.text(books.root_minor),
        "attestation_id": None if attested is None else attested.attestation_id,
        "attested_index": None if attested is None else str(attested.as_of_index),
        "attested_root_hash": None if attested is None else attested.root_hash,
        "attested_total": None if attested is None else money.text(attested.total_minor),
        "books_at_attested_index": None if attested is None else money.text(attested.books_minor),
    }


def _pushed_figures(money: Money, pushed: PushedFacts | None) -> dict[str, str | None]:
    """All None where the core told no balance behind its latest statement."""
    if pushed is None:
        return dict.fromkeys(("deposit_balance_id", "as_of", "balance", "expected", "difference"))
    return {
        "deposit_balance_id": pushed.id,
        "as_of": format_time(pushed.as_of),
        "balance": money.text(pushed.amount_minor),
        "expected": money.text(pushed.expected_minor),
        "difference": money.text(pushed.expected_minor - pushed.amount_minor),
    }


def _supply(books: BooksFacts) -> int:
    return books.minted_minor - books.redeemed_minor - books.seized_minor - books.paid_out_minor


def _of_code(books: BooksFacts, code: Code) -> int:
    return sum(minor for account_id, minor in books.trial_minor.items() if account_id[:4] == code)


def _claims(balances: Mapping[str, int]) -> int:
    return sum(minor for account_id, minor in balances.items() if account_id[:4] in CLAIM_CODES)
