"""What matching is told to expect at the bank of payouts: it follows from files, payouts and entries alone."""

from collections.abc import Mapping, Sequence
from datetime import date

from sqlalchemy import Connection

from tallystick import payouts, tokens
from tallystick import statements as bank
from tallystick.core.ids import suffix_of
from tallystick.matching import Expected, ItemKind
from tallystick.payouts import FiledItem, Payout, StepKind
from tallystick.statements import StatementEntry
from tallystick.tokens import Kind

__all__ = ["expected_again", "expected_debit", "expected_return"]


def expected_debit(payout: Payout, filed: FiledItem, file_day: date) -> Expected:
    """Return the debit by which the bank will pay: known by UETR, end-to-end id, and the file's own two ids."""
    message_id = suffix_of(filed.file_id)
    return Expected(
        id=filed.settlement_id,
        kind=ItemKind.PAYOUT,
        amount_minor=-payout.amount_minor,
        day=file_day,
        counterparty=payout.beneficiary.iban or payout.beneficiary.account_number,
        account_id=payout.account_id,
        uetr=payout.uetr,
        references=(payout.end_to_end_id, message_id, payouts.payment_information_id(message_id)),
    )


def expected_return(payout: Payout, return_id: str, entry: StatementEntry) -> Expected:
    """Return what a returned payment brings back: as told by its credit."""
    return Expected(
        id=return_id,
        kind=ItemKind.PAYOUT,
        amount_minor=payout.amount_minor,
        day=entry.booking_date or entry.value_date or payout.created_at.date(),
        account_id=payout.account_id,
        uetr=payout.uetr,
        references=(payout.end_to_end_id,),
    )


def expected_again(
    connection: Connection, issuer_id: str, ids: Sequence[str]
) -> dict[str, tuple[str, Expected]]:
    """Return what matching was told to expect under these ids, made again, each with its token class.

    Ids of anything else are left out.
    """
    filed = payouts.settled_by(connection, issuer_id, ids)
    returns = {
        one.id: one.related_id
        for one in tokens.instructions_by_id(connection, issuer_id, ids).values()
        if one.kind == Kind.PAYOUT_RETURN and one.related_id is not None
    }
    known = payouts.payouts(
        connection, issuer_id, [*(one.payout_id for one in filed.values()), *returns.values()]
    )
    days = {
        file_id: payouts.file(connection, issuer_id, file_id).made_at.date()
        for file_id in sorted({one.file_id for one in filed.values()})
    }
    found = {
        settlement_id: (
            known[one.payout_id].token_class_id,
            expected_debit(known[one.payout_id], one, days[one.file_id]),
        )
        for settlement_id, one in filed.items()
        if one.payout_id in known
    }
    entries = _entries_of_returns(connection, issuer_id, list(returns.values()))
    return found | {
        return_id: (
            known[payout_id].token_class_id,
            expected_return(known[payout_id], return_id, entries[payout_id]),
        )
        for return_id, payout_id in returns.items()
        if payout_id in known and payout_id in entries
    }


def _entries_of_returns(
    connection: Connection, issuer_id: str, payout_ids: Sequence[str]
) -> Mapping[str, StatementEntry]:
    sources = {
        payout_id: step.source_id
        for payout_id, taken in payouts.steps(connection, issuer_id, payout_ids).items()
        for step in taken
        if step.step == StepKind.RETURNED and step.source_id is not None
    }
    entries = bank.entries_by_id(connection, issuer_id, list(sources.values()))
    return {payout_id: entries[one] for payout_id, one in sources.items() if one in entries}
