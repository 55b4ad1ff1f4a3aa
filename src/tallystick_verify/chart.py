"""The chart of accounts and the journal of every event type, as `docs/accounting.md` of the service tells them.

Written down a second time on purpose: the verifier holds the log against the published rules, not against the code
that is to be checked.
"""

from typing import Final, NamedTuple

__all__ = [
    "CHANGES",
    "CHART",
    "CLAIM_CODES",
    "CONTROL_CODE",
    "DEBIT_NORMAL_CODES",
    "DEPOSITS_CODE",
    "EVENT_KINDS",
    "FLOORED_CODES",
    "HELD_CODE",
    "HOLDER_CODES",
    "IN_TRANSIT_CODE",
    "LOSS_CODE",
    "WRITE_OFFS",
    "WRITTEN_OFF_TYPE",
    "EventKind",
]

#: code: name, and whether debits raise it
CHART: Final[dict[str, tuple[str, bool]]] = {
    "1010": ("Central-bank reserves", True),
    "1020": ("Nostro", True),
    "1100": ("Deposits held at the core bank (control)", True),
    "1210": ("Due from banks", True),
    "1390": ("Recoverable from holders", True),
    "1510": ("FX position", True),
    "1511": ("FX counter-value", False),
    "2010": ("Customer deposits available to tokenise", False),
    "2110": ("Tokens available", False),
    "2120": ("Tokens held or in escrow", False),
    "2125": ("Tokens pledged", False),
    "2130": ("Tokens restricted", False),
    "2140": ("Tokens dormant", False),
    "2210": ("Due to banks", False),
    "2310": ("Payments in transit", False),
    "2410": ("Accrued interest payable", False),
    "2420": ("Withholding tax", False),
    "4010": ("Fees", False),
    "4020": ("FX result", False),
    "5010": ("Interest expense", True),
    "5020": ("Operational loss", True),
}
DEBIT_NORMAL_CODES: Final = frozenset(code for code, (_, debit_normal) in CHART.items() if debit_normal)
#: kept per holder's account, and never below zero
HOLDER_CODES: Final = ("2010", "2110", "2120", "2125", "2130", "2140")
FLOORED_CODES: Final = frozenset(HOLDER_CODES)
CLAIM_CODES: Final = HOLDER_CODES[1:]
CONTROL_CODE: Final = "1100"
DEPOSITS_CODE: Final = "2010"
HELD_CODE: Final = "2120"
IN_TRANSIT_CODE: Final = "2310"
LOSS_CODE: Final = "5020"


class EventKind(NamedTuple):
    """What an event of a type must look like.

    `debit` and `credit` are a code and whose account it is (None: posts nothing). `related` is `always`, `never` or
    `sometimes`: a transfer is to the batch that people approved as a whole. `approved` too: what the bank's rules refer
    to people is approved `sometimes`; a deposit is `by_hand`: always if it names no statement's entry. `may_be_zero`:
    an authority's order may find nothing to take, and then posts nothing.
    """

    operation: str
    prefix: str
    debit: tuple[str, str] | None
    credit: tuple[str, str] | None
    payer: bool
    payee: bool
    related: str
    approved: str
    may_be_zero: bool = False


EVENT_KINDS: Final[dict[str, EventKind]] = {
    "deposit.confirmed": EventKind(
        "deposit", "deposit", ("1100", "class"), ("2010", "payee"), False, True, "sometimes", "by_hand"
    ),
    "deposit.released": EventKind(
        "deposit_release", "release", ("2010", "payer"), ("1100", "class"), True, False, "never", "sometimes"
    ),
    "token.minted": EventKind(
        "mint", "mint", ("2010", "payee"), ("2110", "payee"), False, True, "never", "always"
    ),
    "token.transferred": EventKind(
        "transfer", "transfer", ("2110", "payer"), ("2110", "payee"), True, True, "sometimes", "sometimes"
    ),
    "token.redeemed": EventKind(
        "redemption", "redemption", ("2110", "payer"), ("2010", "payer"), True, False, "never", "sometimes"
    ),
    "hold.placed": EventKind(
        "hold", "hold", ("2110", "payer"), ("2120", "payer"), True, True, "never", "sometimes"
    ),
    "hold.executed": EventKind(
        "hold_execution", "execution", ("2120", "payer"), ("2110", "payee"), True, True, "always", "never"
    ),
    "hold.voided": EventKind(
        "hold_void", "void", ("2120", "payer"), ("2110", "payer"), True, False, "always", "never"
    ),
    "transfer.reversed": EventKind(
        "reversal", "reversal", ("2110", "payer"), ("2110", "payee"), True, True, "always", "always"
    ),
    "order.placed": EventKind(
        "order", "order", ("2110", "payer"), ("2130", "payer"), True, False, "never", "never", True
    ),
    "order.topped_up": EventKind(
        "order_top_up",
        "top_up",
        ("2110", "payer"),
        ("2130", "payer"),
        True,
        False,
        "always",
        "never",
    ),
    "order.lifted": EventKind(
        "order_lift",
        "lift",
        ("2130", "payer"),
        ("2110", "payer"),
        True,
        False,
        "always",
        "always",
        True,
    ),
    "order.expired": EventKind(
        "order_expiry",
        "order_expiry",
        ("2130", "payer"),
        ("2110", "payer"),
        True,
        False,
        "always",
        "never",
        True,
    ),
    "order.seized": EventKind(
        "order_seizure",
        "seizure",
        ("2130", "payer"),
        ("2310", "class"),
        True,
        False,
        "always",
        "always",
    ),
    "payout.accepted": EventKind(
        "payout", "payout", ("2110", "payer"), ("2310", "class"), True, False, "never", "sometimes"
    ),
    "payout.cancelled": EventKind(
        "payout_cancellation",
        "payout_cancellation",
        ("2310", "class"),
        ("2110", "payer"),
        True,
        False,
        "always",
        "never",
    ),
    "payout.rejected": EventKind(
        "payout_rejection",
        "payout_rejection",
        ("2310", "class"),
        ("2110", "payer"),
        True,
        False,
        "always",
        "never",
    ),
    "payout.settled": EventKind(
        "payout_settlement",
        "payout_settlement",
        ("2310", "class"),
        ("1100", "class"),
        True,
        False,
        "always",
        "never",
    ),
    "payout.returned": EventKind(
        "payout_return", "payout_return", ("1100", "class"), ("2310", "class"), True, False, "always", "never"
    ),
    "payout.given_back": EventKind(
        "payout_give_back",
        "payout_give_back",
        ("2310", "class"),
        ("2110", "payer"),
        True,
        False,
        "always",
        "never",
    ),
    "account.frozen": EventKind("account_freeze", "freeze", None, None, True, False, "never", "never"),
    "account.unfrozen": EventKind("account_unfreeze", "unfreeze", None, None, True, False, "never", "always"),
    "account.closed": EventKind("account_closure", "closure", None, None, True, False, "never", "never"),
}

#: A break that two people wrote off. Where it was between the books' control account and the bank's statement, it posts
#: the difference as a loss of the bank's own, or makes one good; else it is a change that posts nothing.
WRITTEN_OFF_TYPE: Final = "break.written_off"
WRITE_OFFS: Final = tuple(
    EventKind(
        "break_write_off", "change", (debit, "class"), (credit, "class"), False, False, "never", "always"
    )
    for debit, credit in ((LOSS_CODE, CONTROL_CODE), (CONTROL_CODE, LOSS_CODE))
)

#: Changes of how the bank is run, which post nothing: the operation of each, and whether people must have approved it.
#: What makes the bank stricter takes effect at once. Whether a key's needed people depends on its state (`keys.py`).
CHANGES: Final[dict[str, tuple[str, str]]] = {
    "api_key.registered": ("api_key_registration", "always"),
    "api_key.rotated": ("api_key_rotation", "always"),
    WRITTEN_OFF_TYPE: ("break_write_off", "always"),
    "breaker.reset": ("breaker_reset", "always"),
    "breaker.tripped": ("breaker_trip", "never"),
    "business_calendar.set": ("business_calendar", "always"),
    "business_date.closed": ("business_date_close", "always"),
    "business_date.reopened": ("business_date_reopening", "always"),
    "client.registered": ("client_registration", "always"),
    "export.made": ("export_making", "never"),
    "holder.suspended": ("holder_suspension", "never"),
    "liabilities.attested": ("liability_attestation", "never"),
    "payout_file.made": ("payout_file", "always"),
    "policy.activated": ("policy_activation", "always"),
    "policy.retired": ("policy_retirement", "always"),
    "principal.reactivated": ("principal_reactivation", "always"),
    "principal.terms_changed": ("principal_terms", "always"),
    "records.sealed": ("records_seal", "never"),
    "screening.cleared": ("screening_clearance", "always"),
    "screening.confirmed": ("screening_confirmation", "always"),
    "signing_key.activated": ("signing_key_activation", "sometimes"),
    "signing_key.retired": ("signing_key_retirement", "always"),
    "signing_key.revoked": ("signing_key_revocation", "sometimes"),
    "token_class.matching_terms_changed": ("matching_terms", "always"),
    "token_class.mode_changed": ("token_class_mode", "sometimes"),
}
