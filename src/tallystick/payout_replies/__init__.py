"""What the bank answers to payouts: status reports, and the debits and credits of its statements.

Only a statement's debit settles, and only a rejection or a returned payment gives tokens back, once. What contradicts
the books, or itself, is left to people, who own it, look into it and resolve it.
"""

from tallystick.payout_replies.expected import expected_again
from tallystick.payout_replies.following import Followed, follow
from tallystick.payout_replies.status_reports import ParsedStatus, PayoutStatusMalformedError, parse_status
from tallystick.payout_replies.taking_in import PayoutStatusConflictError, TakenStatus, take_in_status
from tallystick.payout_replies.working import (
    WORKERS,
    PayoutCorrectionUnfitError,
    PayoutFindingEndedError,
    PayoutFindingOwnerUnfitError,
    assign_finding,
    note_finding,
    resolve_finding,
)

__all__ = [
    "WORKERS",
    "Followed",
    "ParsedStatus",
    "PayoutCorrectionUnfitError",
    "PayoutFindingEndedError",
    "PayoutFindingOwnerUnfitError",
    "PayoutStatusConflictError",
    "PayoutStatusMalformedError",
    "TakenStatus",
    "assign_finding",
    "expected_again",
    "follow",
    "note_finding",
    "parse_status",
    "resolve_finding",
    "take_in_status",
]
