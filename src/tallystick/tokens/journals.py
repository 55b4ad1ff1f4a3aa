"""Which accounts each kind of instruction debits and credits: the journals of `docs/accounting.md`, as data."""

from tallystick.core.records import maker
from tallystick.ledger import Code, Posting, ledger_account_id

__all__ = ["journal", "ledger_accounts_of"]

_AVAILABLE = Code.TOKENS_AVAILABLE.value
_HELD = Code.TOKENS_HELD.value
_RESTRICTED = Code.TOKENS_RESTRICTED.value
_IN_TRANSIT = Code.PAYMENTS_IN_TRANSIT.value
_DEPOSITS = Code.DEPOSITS_AVAILABLE.value
_CORE = Code.DEPOSITS_AT_CORE.value

_PAYER, _PAYEE, _CLASS = 0, 1, 2

_posting = maker(Posting)

# kind: debited code and whose, credited code and whose
_JOURNALS: dict[str, tuple[str, int, str, int]] = {
    "deposit": (_CORE, _CLASS, _DEPOSITS, _PAYEE),
    "deposit_release": (_DEPOSITS, _PAYER, _CORE, _CLASS),
    "mint": (_DEPOSITS, _PAYEE, _AVAILABLE, _PAYEE),
    "transfer": (_AVAILABLE, _PAYER, _AVAILABLE, _PAYEE),
    "redemption": (_AVAILABLE, _PAYER, _DEPOSITS, _PAYER),
    "hold": (_AVAILABLE, _PAYER, _HELD, _PAYER),
    "hold_execution": (_HELD, _PAYER, _AVAILABLE, _PAYEE),
    "hold_void": (_HELD, _PAYER, _AVAILABLE, _PAYER),
    "reversal": (_AVAILABLE, _PAYER, _AVAILABLE, _PAYEE),
    "order": (_AVAILABLE, _PAYER, _RESTRICTED, _PAYER),
    "order_top_up": (_AVAILABLE, _PAYER, _RESTRICTED, _PAYER),
    "order_lift": (_RESTRICTED, _PAYER, _AVAILABLE, _PAYER),
    "order_expiry": (_RESTRICTED, _PAYER, _AVAILABLE, _PAYER),
    "payout": (_AVAILABLE, _PAYER, _IN_TRANSIT, _CLASS),
    "payout_cancellation": (_IN_TRANSIT, _CLASS, _AVAILABLE, _PAYER),
    "payout_rejection": (_IN_TRANSIT, _CLASS, _AVAILABLE, _PAYER),
    "payout_settlement": (_IN_TRANSIT, _CLASS, _CORE, _CLASS),
    "payout_return": (_CORE, _CLASS, _IN_TRANSIT, _CLASS),
    "payout_give_back": (_IN_TRANSIT, _CLASS, _AVAILABLE, _PAYER),
    "order_seizure": (_RESTRICTED, _PAYER, _IN_TRANSIT, _CLASS),
}


def journal(
    kind: str,
    amount_minor: int,
    token_class_id: str,
    payer_account_id: str | None,
    payee_account_id: str | None,
) -> tuple[Posting, Posting]:
    """Return the debit and the credit of an instruction of `kind`."""
    debit_code, debited, credit_code, credited = _JOURNALS[kind]
    owners = (payer_account_id, payee_account_id, token_class_id)
    return (
        _posting((f"{debit_code}.{owners[debited]}", amount_minor, 0)),
        _posting((f"{credit_code}.{owners[credited]}", 0, amount_minor)),
    )


def ledger_accounts_of(
    kind: str, token_class_id: str | None, payer_account_id: str | None, payee_account_id: str | None
) -> list[str]:
    """Return the ledger accounts that an instruction of `kind` would post to, for locking; unknown sides left out."""
    if kind not in _JOURNALS:
        return []
    debit_code, debited, credit_code, credited = _JOURNALS[kind]
    owners = (payer_account_id, payee_account_id, token_class_id)
    sides = ((debit_code, owners[debited]), (credit_code, owners[credited]))
    return [ledger_account_id(code, owner) for code, owner in sides if owner is not None]
