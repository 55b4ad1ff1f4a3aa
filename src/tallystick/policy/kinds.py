"""What kinds of instruction there are to the rules: those that make tokens, pay somebody, give back, or take in.

A kind that is not named here counts as a payment, so that one that is added later meets every rule until somebody
decides which it needs.
"""

from typing import Final

__all__ = [
    "GIVES_BACK",
    "HAS_PAYEE",
    "HAS_PAYER",
    "KINDS",
    "MINTS",
    "SUPPLY_SIGN",
    "is_counted_payment",
    "is_payment",
]

MINTS: Final = frozenset({"mint"})
# Tokens go, or are set aside to go, to another holder.
_PAYS: Final = frozenset({"transfer", "hold", "hold_execution"})
# Payments that limits count. A hold counts when it is made: its execution was counted then.
_COUNTED: Final = frozenset({"transfer", "hold"})
# Tokens or deposits go back to where they came from: open while a class is wound down, in no corridor, under no limit.
GIVES_BACK: Final = frozenset({"redemption", "payout", "deposit_release", "hold_void", "reversal"})
_TAKES_IN: Final = frozenset({"deposit", "deposit_assignment"})

KINDS: Final = MINTS | _PAYS | GIVES_BACK | _TAKES_IN
HAS_PAYER: Final = _PAYS | GIVES_BACK
HAS_PAYEE: Final = _PAYS | MINTS | _TAKES_IN | {"reversal"}

# What an instruction of a kind does to the class's supply.
SUPPLY_SIGN: Final[dict[str, int]] = {
    "mint": 1,
    "redemption": -1,
    "order_seizure": -1,
    "payout": -1,
    "payout_cancellation": 1,
    "payout_rejection": 1,
    "payout_give_back": 1,
}


def is_payment(kind: str) -> bool:
    """Tell whether tokens go, or are set aside to go, to another holder."""
    return kind in _PAYS or kind not in KINDS


def is_counted_payment(kind: str) -> bool:
    """Tell whether it is a payment that limits count."""
    return kind in _COUNTED or kind not in KINDS
