"""Which accounts each kind of instruction debits and credits: the journals of `docs/accounting.md`, as data."""

from tallystick.ledger import Code, Posting, ledger_account_id

__all__ = ["journal", "ledger_accounts_of"]

_AVAILABLE = Code.TOKENS_AVAILABLE.value
_HELD = Code.TOKENS_HELD.value
_DEPOSITS = Code.DEPOSITS_AVAILABLE.value
_CORE = Code.DEPOSITS_AT_CORE.value

# kind: (debited code, whose), (credited code, whose)
_JOURNALS: dict[str, tuple[tuple[str, str], tuple[str, str]]] = {
    "deposit": ((_CORE, "class"), (_DEPOSITS, "payee")),
    "deposit_release": ((_DEPOSITS, "payer"), (_CORE, "class")),
    "mint": ((_DEPOSITS, "payee"), (_AVAILABLE, "payee")),
    "transfer": ((_AVAILABLE, "payer"), (_AVAILABLE, "payee")),
    "redemption": ((_AVAILABLE, "payer"), (_DEPOSITS, "payer")),
    "hold": ((_AVAILABLE, "payer"), (_HELD, "payer")),
    "hold_execution": ((_HELD, "payer"), (_AVAILABLE, "payee")),
    "hold_void": ((_HELD, "payer"), (_AVAILABLE, "payer")),
    "reversal": ((_AVAILABLE, "payer"), (_AVAILABLE, "payee")),
}


def journal(
    kind: str,
    amount_minor: int,
    token_class_id: str,
    payer_account_id: str | None,
    payee_account_id: str | None,
) -> tuple[Posting, Posting]:
    """Return the debit and the credit of an instruction of `kind`."""
    (debit_code, debited), (credit_code, credited) = _JOURNALS[kind]
    owners = {"class": token_class_id, "payer": payer_account_id or "", "payee": payee_account_id or ""}
    return (
        Posting(f"{debit_code}.{owners[debited]}", amount_minor, 0),
        Posting(f"{credit_code}.{owners[credited]}", 0, amount_minor),
    )


def ledger_accounts_of(
    kind: str, token_class_id: str | None, payer_account_id: str | None, payee_account_id: str | None
) -> list[str]:
    """Return the ledger accounts that an instruction of `kind` would post to, for locking; unknown sides left out."""
    owners = {"class": token_class_id, "payer": payer_account_id, "payee": payee_account_id}
    found = []
    for code, side in _JOURNALS.get(kind, ()):
        owner = owners[side]
        if owner is not None:
            found.append(ledger_account_id(code, owner))
    return found
