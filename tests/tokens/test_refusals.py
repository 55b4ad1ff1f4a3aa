"""Every refusal of the write path, per kind, in descending precedence.

A case starts with a request in which everything is wrong. Each step mends one thing and tells what is refused next;
`$name` stands for the id of something that the bank has.
"""

from datetime import timedelta
from typing import Any, Final

import pytest

from tallystick.core.ids import with_prefix
from tallystick.tokens import Kind
from tests.bank import OPENED_AT, Bank

Steps = list[tuple[dict[str, Any], str]]

ABSENT: Final = "account_01h455vb4pex5vsknk084sn02q"
PAYER: Final = "payer_account_id"
PAYEE: Final = "payee_account_id"
CREDITS: Final = {"kind": "freeze", "scope": "credit", "authority": "Financial intelligence unit"}

CASES: Final[dict[Kind, list[Steps]]] = {
    Kind.TRANSFER: [
        [
            ({PAYER: ABSENT, PAYEE: ABSENT, "currency": "XXX", "amount": "1"}, "account_not_found payer"),
            ({PAYER: "$NORTHWIND-USD"}, "account_not_found payer"),
            ({PAYER: "$HARBOUR-USD"}, "account_not_found payee"),
            ({PAYEE: "$HARBOUR-USD"}, "same_account"),
            ({PAYEE: "$LANTERN-EUR"}, "token_class_mismatch"),
            ({PAYEE: "$SILKROAD-USD"}, "currency_mismatch"),
            ({"currency": "EUR"}, "currency_mismatch"),
            ({"currency": "USD"}, "amount_malformed"),
            ({"amount": "0.00"}, "amount_malformed"),
            ({"amount": "9999.99"}, "account_frozen"),
            ({PAYEE: "$LANTERN-USD"}, "insufficient_funds"),
        ]
    ],
    Kind.HOLD: [
        [
            (
                {"expires_at": OPENED_AT, PAYER: ABSENT, PAYEE: ABSENT, "currency": "XXX", "amount": "1"},
                "hold_expired",
            ),
            ({"expires_at": None}, "account_not_found payer"),
            ({PAYER: "$HARBOUR-USD"}, "account_not_found payee"),
            ({PAYEE: "$HARBOUR-USD"}, "same_account"),
            ({PAYEE: "$LANTERN-EUR"}, "token_class_mismatch"),
            ({PAYEE: "$SILKROAD-USD"}, "currency_mismatch"),
            ({"currency": "USD"}, "amount_malformed"),
            ({"amount": "9999.99"}, "account_frozen"),
            ({PAYEE: "$LANTERN-USD"}, "insufficient_funds"),
        ]
    ],
    Kind.HOLD_EXECUTION: [
        [
            ({"related_id": "hold_absent", "currency": "XXX", "amount": "1"}, "hold_not_found"),
            ({"related_id": "$transfer"}, "hold_not_found"),
            ({"related_id": "$hold of another"}, "hold_not_found"),
            ({"related_id": "$hold voided"}, "hold_closed"),
            ({"related_id": "$hold expired"}, "hold_expired"),
            ({"related_id": "$hold for a frozen account"}, "currency_mismatch"),
            ({"currency": "USD"}, "amount_malformed"),
            ({"amount": "1.01"}, "remaining_exceeded"),
            ({"amount": "1.00"}, "account_frozen"),
        ]
    ],
    Kind.HOLD_VOID: [
        [
            ({"related_id": "hold_absent"}, "hold_not_found"),
            ({"related_id": "$transfer"}, "hold_not_found"),
            ({"related_id": "$hold of another"}, "hold_not_found"),
            ({"related_id": "$hold voided"}, "hold_closed"),
        ]
    ],
    Kind.REDEMPTION: [
        [
            ({PAYER: ABSENT, "currency": "EUR", "amount": "1"}, "account_not_found payer"),
            ({PAYER: "$NORTHWIND-USD"}, "account_not_found payer"),
            ({PAYER: "$SILKROAD-USD"}, "currency_mismatch"),
            ({"currency": "USD"}, "amount_malformed"),
            ({"amount": "9999.99"}, "account_frozen"),
            ({PAYER: "$HARBOUR-USD"}, "insufficient_funds"),
        ]
    ],
    Kind.DEPOSIT_RELEASE: [
        [
            ({PAYER: ABSENT, "currency": "EUR", "amount": "1"}, "account_not_found payer"),
            ({PAYER: "$SILKROAD-USD"}, "currency_mismatch"),
            ({"currency": "USD"}, "amount_malformed"),
            ({"amount": "9999.99"}, "account_frozen"),
            ({PAYER: "$HARBOUR-USD"}, "insufficient_funds"),
        ]
    ],
    Kind.DEPOSIT: [
        [
            ({PAYEE: ABSENT, "currency": "EUR", "amount": "1"}, "account_not_found account_id"),
            ({PAYEE: "$SILKROAD-USD"}, "currency_mismatch"),
            ({"currency": "USD"}, "amount_malformed"),
            ({"amount": "92233720368547758.07"}, "account_frozen"),
            ({PAYEE: "$HARBOUR-USD"}, "balance_too_large"),
            ({"amount": "1.00"}, "maker_not_a_person"),
        ],
        [
            ({"currency": "EUR", "amount": "1"}, "account_not_found account_id"),
            ({"token_class_id": "class_absent"}, "account_not_found account_id"),
            ({"evidence": True}, "token_class_not_found"),
            ({"token_class_id": "$class USD"}, "currency_mismatch"),
            ({"currency": "USD"}, "amount_malformed"),
        ],
    ],
    Kind.DEPOSIT_ASSIGNMENT: [
        [
            ({"related_id": "deposit_absent", PAYEE: ABSENT}, "instruction_not_found"),
            ({"related_id": "$transfer"}, "instruction_not_found"),
            ({"related_id": "$deposit"}, "deposit_not_assignable"),
            ({"related_id": "$deposit unassigned"}, "account_not_found account_id"),
            ({PAYEE: "$LANTERN-EUR"}, "token_class_mismatch"),
            ({PAYEE: "$SILKROAD-USD"}, "account_frozen"),
        ]
    ],
    Kind.MINT: [
        [
            ({PAYEE: ABSENT, "currency": "EUR", "amount": "1"}, "account_not_found account_id"),
            ({PAYEE: "$SILKROAD-USD"}, "currency_mismatch"),
            ({"currency": "USD"}, "amount_malformed"),
            ({"amount": "9999.99"}, "account_frozen"),
            ({PAYEE: "$HARBOUR-USD"}, "insufficient_funds"),
            ({"amount": "0.01"}, "maker_not_a_person"),
        ]
    ],
    Kind.REVERSAL: [
        [
            ({"related_id": "transfer_absent", "currency": "USD", "amount": "1"}, "instruction_not_found"),
            ({"related_id": "$mint"}, "not_reversible"),
            ({"related_id": "$transfer from a closed account"}, "currency_mismatch"),
            ({"currency": "EUR"}, "amount_malformed"),
            ({"amount": "2.01"}, "remaining_exceeded"),
            ({"amount": "2.00"}, "account_status_conflict"),
            ({"related_id": "$transfer spent on"}, "insufficient_funds"),
            ({"related_id": "$transfer"}, "maker_not_a_person"),
        ]
    ],
    Kind.ACCOUNT_FREEZE: [
        [
            ({PAYER: ABSENT}, "account_not_found account_id"),
            ({PAYER: "$SILKROAD-USD"}, "account_status_conflict"),
        ]
    ],
    Kind.ACCOUNT_UNFREEZE: [
        [
            ({PAYER: ABSENT}, "account_not_found account_id"),
            ({PAYER: "$HARBOUR-USD"}, "account_status_conflict"),
            ({PAYER: "$SILKROAD-USD"}, "maker_not_a_person"),
        ]
    ],
    Kind.ACCOUNT_CLOSURE: [
        [
            ({PAYER: ABSENT}, "account_not_found account_id"),
            ({PAYER: "$SILKROAD-USD"}, "account_status_conflict"),
            ({PAYER: "$HARBOUR-USD"}, "account_not_empty"),
            ({PAYER: "$LANTERN-USD"}, "account_has_orders"),
        ]
    ],
    Kind.ORDER: [
        [
            (
                {PAYER: ABSENT, "currency": "EUR", "amount": "1", "payload": CREDITS, "reason": "x"},
                "account_not_found account_id",
            ),
            ({PAYER: "$NORTHWIND-USD"}, "account_not_found account_id"),
            ({PAYER: "$HARBOUR-EUR"}, "account_status_conflict"),
            ({PAYER: "$LANTERN-USD"}, "currency_mismatch"),
            ({"currency": "USD"}, "amount_malformed"),
            ({"amount": "1.00"}, "order_malformed"),
            ({"amount": None, "reason": ""}, "order_malformed"),
            ({"reason": "x", "expires_at": OPENED_AT}, "order_malformed"),
        ]
    ],
    Kind.ORDER_TOP_UP: [
        [
            ({"related_id": "order_absent", "reason": "x"}, "order_not_found"),
            ({"related_id": "$transfer"}, "order_not_found"),
            ({"related_id": "$order of another"}, "order_not_found"),
            ({"related_id": "$order lifted"}, "order_state_conflict"),
            ({"related_id": "$order over"}, "order_state_conflict"),
            ({"related_id": "$order"}, "order_nothing_to_take"),
        ]
    ],
    Kind.ORDER_LIFT: [
        [
            ({"related_id": "order_absent", "reason": "x"}, "order_not_found"),
            ({"related_id": "$transfer"}, "order_not_found"),
            ({"related_id": "$order of another"}, "order_not_found"),
            ({"related_id": "$order lifted"}, "order_state_conflict"),
            ({"related_id": "$order"}, "maker_not_a_person"),
        ]
    ],
    Kind.ORDER_SEIZURE: [
        [
            (
                {"related_id": "order_absent", "reason": "x", "amount": "1", "currency": "XXX"},
                "order_not_found",
            ),
            ({"related_id": "$transfer"}, "order_not_found"),
            ({"related_id": "$order of another"}, "order_not_found"),
            ({"related_id": "$order lifted"}, "currency_mismatch"),
            ({"currency": "USD"}, "amount_malformed"),
            ({"amount": "0.01"}, "order_state_conflict"),
            ({"related_id": "$order over"}, "order_state_conflict"),
            ({"related_id": "$order to freeze"}, "seizure_without_court_order"),
            ({"related_id": "$order"}, "seizure_exceeds_restricted"),
        ]
    ],
    Kind.ORDER_EXPIRY: [
        [
            ({"related_id": "order_absent", "reason": "x"}, "order_not_found"),
            ({"related_id": "$transfer"}, "order_not_found"),
            ({"related_id": "$order of another"}, "order_not_found"),
            ({"related_id": "$order lifted"}, "order_state_conflict"),
            ({"related_id": "$order"}, "order_not_expired"),
        ]
    ],
    Kind.APPROVE: [
        [
            ({"related_id": "approval_absent", "amount": "1", "currency": "EUR"}, "approval_not_found"),
            ({"related_id": "$mint"}, "approval_not_found"),
            ({"related_id": "$approval decided"}, "approval_closed"),
            ({"related_id": "$approval expired"}, "approval_expired"),
            ({"related_id": "$approval for a frozen account"}, "checker_not_a_person"),
            ({"principal": "maker"}, "checker_is_maker"),
            ({"principal": "checker"}, "approval_mismatch"),
            ({"currency": "USD"}, "amount_malformed"),
            ({"amount": None}, "approval_mismatch"),
            ({"amount": "1.01"}, "approval_mismatch"),
            ({"amount": "1.00"}, "account_frozen"),
            ({"related_id": "$approval without a deposit"}, "insufficient_funds"),
        ]
    ],
    Kind.REJECT: [
        [
            ({"related_id": "approval_absent"}, "approval_not_found"),
            ({"related_id": "$approval decided"}, "approval_closed"),
            ({"related_id": "$approval expired"}, "approval_expired"),
            ({"related_id": "$approval for a frozen account"}, "checker_not_a_person"),
            ({"principal": "maker"}, "checker_is_maker"),
        ]
    ],
    Kind.APPROVAL_EXPIRY: [
        [
            ({"related_id": "approval_absent"}, "approval_not_found"),
            ({"related_id": "$approval decided"}, "approval_not_expired"),
            ({"related_id": "$approval without a deposit"}, "approval_not_expired"),
        ]
    ],
    Kind.CHANGE: [
        [
            ({"operation": "unheard_of", "related_id": "policy_absent", "payload": {}}, "change_unknown"),
            ({"operation": "policy_activation"}, "policy_not_found"),
            ({"operation": "policy_retirement"}, "policy_not_found"),
            (
                {"operation": "token_class_mode", "payload": {"mode": "paused", "reason": "Drill."}},
                "token_class_not_found",
            ),
            ({"operation": "breaker_trip"}, "token_class_not_found"),
            ({"operation": "breaker_reset"}, "token_class_not_found"),
            ({"related_id": "$class USD"}, "breaker_conflict"),
            ({"operation": "breaker_trip"}, "maker_not_a_person"),
            ({"operation": "token_class_mode"}, "maker_not_a_person"),
        ]
    ],
}
# A machine for which HARBOUR, LANTERN and SILKROAD are its own, and NORTHWIND is not.
_PRINCIPAL: Final = "platform"


@pytest.fixture(scope="module")
def named(shared_bank: Bank) -> dict[str, str]:
    """A bank in every state that something can be refused for: the ids of what it has."""
    bank = shared_bank
    named = {name: account.id for name, account in bank.accounts.items()}
    named["class USD"] = bank.classes["USD"].id
    bank.deposit("HARBOUR-USD", "1.00")
    named["approval expired"] = asked_mint(bank, "HARBOUR-USD")
    bank.mint("HARBOUR-USD", "10.00")
    in_an_hour = OPENED_AT + timedelta(hours=1)
    named["hold expired"] = bank.hold("HARBOUR-USD", "LANTERN-USD", "1.00", expires_at=in_an_hour)
    named["order over"] = bank.place_order("LANTERN-USD", expires_at=in_an_hour)
    bank.clock.at += timedelta(hours=72)
    named["mint"] = bank.mint("NORTHWIND-USD", "3.00")
    named["approval decided"] = with_prefix("approval", named["mint"])
    named["hold of another"] = bank.hold("NORTHWIND-USD", "HARBOUR-USD", "1.00")
    named["hold voided"] = bank.hold("HARBOUR-USD", "LANTERN-USD", "1.00")
    bank.void_hold(named["hold voided"])
    named["hold for a frozen account"] = bank.hold("HARBOUR-USD", "SILKROAD-USD", "1.00")
    named["deposit"] = bank.deposit("HARBOUR-USD", "1.00")
    named["deposit unassigned"] = bank.ask(
        Kind.DEPOSIT,
        bank.maker,
        amount="1.00",
        currency="USD",
        token_class_id=named["class USD"],
        evidence=True,
        related_id="statement_0.1",
    ).resource_id
    bank.deposit("SILKROAD-USD", "1.00")
    named["approval for a frozen account"] = asked_mint(bank, "SILKROAD-USD")
    bank.freeze("SILKROAD-USD")
    bank.deposit("NORTHWIND-USD", "1.00")
    named["approval without a deposit"] = asked_mint(bank, "NORTHWIND-USD")
    bank.release_deposit("NORTHWIND-USD", "1.00")
    transfer_in_euro(bank, named)
    place_orders(bank, named)
    return named


def place_orders(bank: Bank, named: dict[str, str]) -> None:
    named["order of another"] = bank.place_order("NORTHWIND-USD", "1.00")
    named["order lifted"] = bank.place_order("LANTERN-USD")
    bank.lift_order(named["order lifted"])
    named["order to freeze"] = bank.place_order("LANTERN-USD", kind="freeze")
    named["order"] = bank.place_order("LANTERN-USD")


def transfer_in_euro(bank: Bank, named: dict[str, str]) -> None:
    bank.mint("HARBOUR-EUR", "2.00")
    named["transfer from a closed account"] = bank.transfer("HARBOUR-EUR", "NORTHWIND-EUR", "2.00")
    bank.close_account("HARBOUR-EUR")
    bank.mint("SILKROAD-EUR", "2.00")
    named["transfer spent on"] = bank.transfer("SILKROAD-EUR", "LANTERN-EUR", "2.00")
    bank.transfer("LANTERN-EUR", "NORTHWIND-EUR", "2.00")
    named["transfer"] = bank.transfer("NORTHWIND-EUR", "SILKROAD-EUR", "2.00")


def asked_mint(bank: Bank, account: str) -> str:
    asked = bank.ask(
        Kind.MINT, bank.maker, amount="1.00", currency="USD", payee_account_id=bank.account_id(account)
    )
    return with_prefix("approval", asked.resource_id)


@pytest.mark.parametrize(
    ("kind", "steps"),
    [pytest.param(kind, steps, id=kind) for kind, cases in CASES.items() for steps in cases],
)
def test_refusals_come_in_their_order_and_leave_nothing(
    shared_bank: Bank, named: dict[str, str], kind: Kind, steps: Steps
) -> None:
    before = written(shared_bank)
    # The deposits of statements belong to nobody's holder, so only staff can assign them.
    asked: dict[str, Any] = {"principal": _PRINCIPAL}
    for mended, expected in steps:
        asked |= {name: resolved(named, value) for name, value in mended.items()}
        principal = getattr(shared_bank, asked["principal"])
        request = shared_bank.request(
            kind, principal, **{name: value for name, value in asked.items() if name != "principal"}
        )
        refusal = shared_bank.outcome(request).refusal
        assert refusal is not None, f"{mended} leaves nothing to refuse"
        told = refusal.members.get("field", "")
        assert f"{refusal.code} {told.removesuffix('_account_id')}".strip() == expected
    assert written(shared_bank) == before


def resolved(named: dict[str, str], value: object) -> object:
    return named[value.removeprefix("$")] if isinstance(value, str) and value.startswith("$") else value


def written(bank: Bank) -> list[tuple[object, ...]]:
    """Return how many rows each table of the write path has, and what balances and states there are."""
    tables = ("answer", "approval", "approval_vote", "breaker", "event", "instruction", "journal_line")
    counts = " UNION ALL ".join(f"SELECT '{table}', count(*)::text FROM {table}" for table in tables)
    statements = (
        counts,
        "SELECT id, balance_minor, version FROM ledger_account ORDER BY id",
        "SELECT id, state, remaining_minor FROM instruction ORDER BY id",
        "SELECT id, status FROM account ORDER BY id",
        "SELECT id, mode FROM token_class ORDER BY id",
        "SELECT issuer_id, next_index FROM log_head",
    )
    with bank.database.read() as connection:
        return [tuple(row) for statement in statements for row in connection.exec_driver_sql(statement)]


def test_every_kind_has_its_table() -> None:
    # A batch's items are transfers; what is refused of the batch itself is in test_batches.py. What a run found is the
    # service's own to attest, and asks nobody.
    # Payouts are refused in test_payouts.py.
    payouts = {one for one in Kind if one.startswith("payout")}
    assert set(CASES) == set(Kind) - payouts - {Kind.TRANSFER_BATCH, Kind.ATTESTATION}
