"""What of a transfer can be taken back, by a new and linked entry."""

from tallystick.participants import AccountStatus, AccountStatusConflictError
from tallystick.policy import REFUSALS
from tallystick.tokens.instructions import Instruction
from tallystick.tokens.plans import Facts

__all__ = ["can_take_back", "reversible_minor"]


def reversible_minor(transfer: Instruction) -> int:
    """Return what was not reversed yet."""
    return transfer.amount_minor if transfer.remaining_minor is None else transfer.remaining_minor


def can_take_back(facts: Facts, transfer: Instruction) -> None:
    """Refuse to bring tokens to a closed account, which they could never leave again, or past an order.

    A reversal is the bank's own entry, and no rule of a class decides on it; what an authority blocks, it blocks for
    the bank too.
    """
    if facts.accounts[transfer.payer_account_id or ""].status == AccountStatus.CLOSED:
        raise AccountStatusConflictError("The original payer's account is closed.")
    if facts.parties[transfer.payee_account_id or ""].debit_blocked:
        raise REFUSALS["account_debit_blocked"]
    if facts.parties[transfer.payer_account_id or ""].credit_blocked:
        raise REFUSALS["account_credit_blocked"]
