"""Credits that give a payout back: they name it, by its UETR or its end-to-end id, and are nobody's deposit.

Left out before anything is confirmed, so that one credit never becomes a deposit and a return. What is done about them
is decided behind the import, when the payment itself is known to have left.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from sqlalchemy import Connection

from tallystick import payouts
from tallystick.core.ids import is_id
from tallystick.statements.drafts import StatementDraft, is_deposit
from tallystick.statements.matching import MatchedBy
from tallystick.statements.parsed import ParsedEntry

__all__ = ["leave_returns_out", "payouts_named", "tells_of_return"]

_ENTRIES_AT_ONCE: Final = 1_000


def leave_returns_out(connection: Connection, draft: StatementDraft) -> None:
    """Mark the credits that name a payout, so that nothing is confirmed from them."""
    credit_entries = [entry for entry in draft.entries if is_deposit(entry)]
    for start in range(0, len(credit_entries), _ENTRIES_AT_ONCE):
        _mark(connection, draft, credit_entries[start : start + _ENTRIES_AT_ONCE])


def payouts_named(
    connection: Connection, issuer_id: str, uetrs: Iterable[str | None], end_to_end_ids: Iterable[str | None]
) -> dict[str, str]:
    """Return the payouts that these name: by UETR, and by end-to-end id in small letters."""
    wanted = sorted({one.lower() for one in uetrs if one})
    ids = sorted(
        {
            f"payout_{one.lower()}"
            for one in end_to_end_ids
            if one and is_id("payout", f"payout_{one.lower()}")
        }
    )
    found = payouts.by_uetr(connection, issuer_id, wanted) if wanted else {}
    known = payouts.payouts(connection, issuer_id, ids) if ids else {}
    return found | {payout_id[-26:]: payout_id for payout_id in known}


def tells_of_return(entry: ParsedEntry) -> bool:
    """Tell whether the bank says why it sends a payment back, or codes the entry as a return."""
    codes = (entry.bank_transaction_code, *(one.bank_transaction_code for one in entry.details))
    return any(one.return_reason_code for one in entry.details) or any(
        one.sub_family == "RRTN" for one in codes
    )


def _mark(connection: Connection, draft: StatementDraft, entries: Sequence[ParsedEntry]) -> None:
    details = [detail for entry in entries for detail in entry.details]
    named = payouts_named(
        connection,
        draft.statement.issuer_id,
        [one.uetr for one in details],
        [one.end_to_end_id for one in details],
    )
    if not named:
        return
    for entry in entries:
        words = [(text or "").lower() for one in entry.details for text in (one.uetr, one.end_to_end_id)]
        if any(word in named for word in words):
            row = draft.rows[entry.sequence]
            draft.rows[entry.sequence] = row._replace(matched_by=MatchedBy.PAYOUT_RETURN.value)
