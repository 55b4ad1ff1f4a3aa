"""What the bank answers to payouts: status reports, and the debits and credits of its statements.

Only a statement's debit settles, and only a rejection or a returned payment gives tokens back, once. What contradicts
the books, or itself, is left to people.
"""

from tallystick.payout_replies.expected import expected_again
from tallystick.payout_replies.following import Followed, follow
from tallystick.payout_replies.pain002 import ParsedStatus, PayoutStatusMalformedError, parse_status
from tallystick.payout_replies.taking_in import PayoutStatusConflictError, TakenStatus, take_in_status

__all__ = [
    "Followed",
    "ParsedStatus",
    "PayoutStatusConflictError",
    "PayoutStatusMalformedError",
    "TakenStatus",
    "expected_again",
    "follow",
    "parse_status",
    "take_in_status",
]
