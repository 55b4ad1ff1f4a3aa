"""Under which names limits count. A name is kept for ever: another one would begin to count anew."""

from typing import Final

__all__ = ["corridor_day", "holder_day", "issuance_day", "minter", "pair_day", "payer_day"]

_SEPARATOR: Final = ":"


def payer_day(account_id: str) -> str:
    """Return what an account's payments are counted under."""
    return _SEPARATOR.join(("payer_day", account_id))


def holder_day(token_class_id: str, holder_id: str) -> str:
    """Return what a holder's payments from all its accounts of a class are counted under."""
    return _SEPARATOR.join(("holder_day", token_class_id, holder_id))


def pair_day(token_class_id: str, payer_holder_id: str, payee_holder_id: str) -> str:
    """Return what a holder's payments to another are counted under; by holders: a second account is no second pair."""
    return _SEPARATOR.join(("pair_day", token_class_id, payer_holder_id, payee_holder_id))


def corridor_day(token_class_id: str, corridor_id: str) -> str:
    """Return what goes through a corridor is counted under."""
    return _SEPARATOR.join(("corridor_day", token_class_id, corridor_id))


def issuance_day(token_class_id: str) -> str:
    """Return what is minted of a class is counted under."""
    return _SEPARATOR.join(("issuance_day", token_class_id))


def minter(token_class_id: str, principal_id: str) -> str:
    """Return what one maker's mints are counted under."""
    return _SEPARATOR.join(("minter", token_class_id, principal_id))
