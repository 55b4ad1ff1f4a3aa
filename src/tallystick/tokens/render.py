"""How an instruction looks to those who asked for it: the resource in answers, and the payload of its event.

The answer's last member is the signed event itself, so that the API's response, a replay and the log hold one and the
same signed object. It is stored once, in the log, and joined on here.
"""

from collections.abc import Sequence
from datetime import date, datetime
from functools import lru_cache
from typing import Any, Final

import orjson

from tallystick.core.canonical_json import canonical_json
from tallystick.core.clock import format_time
from tallystick.core.ids import with_prefix
from tallystick.core.money import format_amount
from tallystick.ledger import Line
from tallystick.orders import Order
from tallystick.tokens.instructions import Instruction, Kind, State

__all__ = [
    "EVENT_TYPES",
    "event_payload",
    "fact_payload",
    "order_resource",
    "resource",
    "settled_transfer",
]

EVENT_TYPES: Final[dict[str, str]] = {
    Kind.DEPOSIT: "deposit.confirmed",
    Kind.DEPOSIT_RELEASE: "deposit.released",
    Kind.MINT: "token.minted",
    Kind.TRANSFER: "token.transferred",
    Kind.REDEMPTION: "token.redeemed",
    Kind.HOLD: "hold.placed",
    Kind.HOLD_EXECUTION: "hold.executed",
    Kind.HOLD_VOID: "hold.voided",
    Kind.REVERSAL: "transfer.reversed",
    Kind.ACCOUNT_FREEZE: "account.frozen",
    Kind.ACCOUNT_UNFREEZE: "account.unfrozen",
    Kind.ACCOUNT_CLOSURE: "account.closed",
    Kind.ORDER: "order.placed",
    Kind.ORDER_TOP_UP: "order.topped_up",
    Kind.ORDER_LIFT: "order.lifted",
    Kind.ORDER_SEIZURE: "order.seized",
    Kind.ORDER_EXPIRY: "order.expired",
    Kind.PAYOUT: "payout.accepted",
    Kind.PAYOUT_CANCELLATION: "payout.cancelled",
    Kind.PAYOUT_REJECTION: "payout.rejected",
    Kind.PAYOUT_SETTLEMENT: "payout.settled",
    Kind.PAYOUT_RETURN: "payout.returned",
    Kind.PAYOUT_GIVE_BACK: "payout.given_back",
}

_EVENT_VERSION: Final = 1
# A batch has few days.
_format_date: Final = lru_cache(maxsize=256)(date.isoformat)
# One account, seen from its holder: it needs no side.
_ACCOUNT_ONLY: Final = frozenset(
    {
        Kind.DEPOSIT,
        Kind.DEPOSIT_RELEASE,
        Kind.MINT,
        Kind.REDEMPTION,
        Kind.ACCOUNT_FREEZE,
        Kind.ACCOUNT_UNFREEZE,
        Kind.ACCOUNT_CLOSURE,
        Kind.ORDER,
        Kind.ORDER_TOP_UP,
        Kind.ORDER_LIFT,
        Kind.ORDER_SEIZURE,
        Kind.ORDER_EXPIRY,
        Kind.PAYOUT,
        Kind.PAYOUT_CANCELLATION,
        Kind.PAYOUT_REJECTION,
        Kind.PAYOUT_SETTLEMENT,
        Kind.PAYOUT_RETURN,
        Kind.PAYOUT_GIVE_BACK,
    }
)
_WAITED_FOR_APPROVAL: Final = frozenset(
    {Kind.MINT, Kind.REVERSAL, Kind.ACCOUNT_UNFREEZE, Kind.ORDER_LIFT, Kind.ORDER_SEIZURE}
)
_WAITS_OR_WAITED: Final = frozenset({State.PENDING_APPROVAL, State.REJECTED, State.EXPIRED})
_RELATED_NAMES: Final[dict[str, str]] = {
    Kind.HOLD_EXECUTION: "hold_id",
    Kind.HOLD_VOID: "hold_id",
    Kind.REVERSAL: "transfer_id",
    Kind.DEPOSIT: "statement_entry_id",
    Kind.ORDER_TOP_UP: "order_id",
    Kind.ORDER_LIFT: "order_id",
    Kind.ORDER_SEIZURE: "order_id",
    Kind.ORDER_EXPIRY: "order_id",
    Kind.PAYOUT_CANCELLATION: "payout_id",
    Kind.PAYOUT_REJECTION: "payout_id",
    Kind.PAYOUT_SETTLEMENT: "payout_id",
    Kind.PAYOUT_RETURN: "payout_id",
    Kind.PAYOUT_GIVE_BACK: "payout_id",
}


def resource(issuer_id: str, row: Instruction, currency: str | None, scale: int) -> dict[str, Any]:
    """Return an instruction as its JSON object, without its signed event."""
    kind = row.kind
    shown: dict[str, Any] = {
        "id": row.id,
        "object": kind,
        "created_at": format_time(row.created_at),
        "issuer_id": issuer_id,
        "state": row.state,
    }
    if kind == Kind.CHANGE:
        shown |= {"operation": row.operation, "subject_id": row.related_id}
        shown["approval_id"] = with_prefix("approval", row.id)
        return shown | _settled_members(row)
    shown |= {"token_class_id": row.token_class_id, "currency": currency}
    if kind == Kind.TRANSFER_BATCH:
        shown |= {"principal_id": row.principal_id, "amount": format_amount(row.amount_minor, scale)}
        shown["approval_id"] = with_prefix("approval", row.id)
        return shown | _settled_members(row)
    if not kind.startswith("account_"):
        shown["amount"] = format_amount(row.amount_minor, scale)
    if kind in _ACCOUNT_ONLY:
        shown["account_id"] = row.payee_account_id or row.payer_account_id
    else:
        shown["payer_account_id"] = row.payer_account_id
        shown["payee_account_id"] = row.payee_account_id
    if kind == Kind.HOLD:
        shown["remaining_amount"] = format_amount(row.remaining_minor or 0, scale)
        shown["expires_at"] = None if row.expires_at is None else format_time(row.expires_at)
    elif row.remaining_minor is not None:
        shown["reversed_amount"] = format_amount(row.amount_minor - row.remaining_minor, scale)
    if kind in _RELATED_NAMES:
        shown[_RELATED_NAMES[kind]] = row.related_id
    if (
        kind in _WAITED_FOR_APPROVAL
        or (kind == Kind.DEPOSIT and row.related_id is None)
        or (row.state in _WAITS_OR_WAITED and row.settled_at is None)
    ):
        shown["approval_id"] = with_prefix("approval", row.id)
    shown["reference"] = row.reference
    if row.purpose is not None:
        shown["purpose"] = row.purpose
    settled = _settled_members(row)
    if kind == Kind.PAYOUT:
        # Its own event accepts it; the bank settles it later, by an event of its own.
        settled |= {"accepted_at": settled["settled_at"], "settled_at": None, "final_at": None}
    return shown | settled


def order_resource(order: Order, placed: Instruction, currency: str | None, scale: int) -> dict[str, Any]:
    """Return an order as its JSON object, with what tells of the event that placed it.

    `amount` is what it is for, null for the whole account; `restricted` is all that it ever took, `seized` what was
    taken of that for good, and `held` what is held for it now.
    """
    return {
        "id": order.id,
        "object": "order",
        "created_at": format_time(order.created_at),
        "issuer_id": order.issuer_id,
        "state": order.state,
        "token_class_id": placed.token_class_id,
        "currency": currency,
        "account_id": order.account_id,
        "kind": order.kind,
        "scope": order.scope,
        "amount": None if order.amount_minor is None else format_amount(order.amount_minor, scale),
        "restricted": format_amount(order.restricted_minor, scale),
        "seized": format_amount(order.seized_minor, scale),
        "held": format_amount(order.held_minor, scale),
        "authority": order.authority,
        "authority_reference": order.authority_reference,
        "created_by": order.created_by,
        "expires_at": None if order.expires_at is None else format_time(order.expires_at),
        "ended_at": None if order.ended_at is None else format_time(order.ended_at),
    } | _settled_members(placed)


def _settled_members(row: Instruction) -> dict[str, Any]:
    shown: dict[str, Any] = {} if row.reason is None else {"reason": row.reason}
    if row.settled_at is None:
        return shown | {"settled_at": None, "final_at": None, "event_id": None, "event_index": None}
    settled_at = format_time(row.settled_at)
    return shown | {
        "settled_at": settled_at,
        "final_at": settled_at,
        "value_date": (row.value_date or row.settled_at.date()).isoformat(),
        "event_id": with_prefix("event", row.id),
        "event_index": row.event_index,
    }


def settled_transfer(issuer_id: str, row: Instruction, currency: str, amount: str) -> str:
    """Return the text of a settled transfer as it was answered first: `resource` before anything was reversed.

    It is made of columns that never change, in one piece, for it is made more often than all others; a test holds it
    against `resource`.
    """
    assert row.settled_at is not None
    settled_at = format_time(row.settled_at)
    reference = "null" if row.reference is None else orjson.dumps(row.reference).decode()
    purpose = "" if row.purpose is None else f',"purpose":"{row.purpose}"'
    reason = "" if row.reason is None else f',"reason":{orjson.dumps(row.reason).decode()}'
    return (
        f'{{"id":"{row.id}","object":"transfer","created_at":"{format_time(row.created_at)}",'
        f'"issuer_id":"{issuer_id}","state":"settled","token_class_id":"{row.token_class_id}",'
        f'"currency":"{currency}","amount":"{amount}",'
        f'"payer_account_id":"{row.payer_account_id}","payee_account_id":"{row.payee_account_id}",'
        f'"reference":{reference}{purpose}{reason},"settled_at":"{settled_at}","final_at":"{settled_at}",'
        f'"value_date":"{row.value_date or row.settled_at.date()}","event_id":"event_{row.id[-26:]}",'
        f'"event_index":{row.event_index}}}'
    )


def event_payload(
    issuer_id: str,
    row: Instruction,
    *,
    event_index: int,
    currency: str,
    scale: int,
    amount: str,
    booked_at: datetime,
    lines: Sequence[Line],
    approval_hashes: Sequence[bytes],
    policy_version: str | None,
    original_value_date: date | None = None,
) -> bytes:
    """Return the canonical JSON (RFC 8785) that is signed for a settled instruction.

    It repeats amounts as decimal strings with their scale and holds the journal lines, so that the log alone rebuilds
    the books. Balances are not part of it, for payer and payee both get to see it; nor is personal data. Every value is
    an id, a code, a number, a hash or a time of ours, which JSON writes as they are, and the names stand in RFC 8785's
    order: the template below is therefore canonical, and a test holds it against the reference.
    """
    shown_lines = ",".join([_line(line, row.amount_minor, amount, scale) for line in lines])
    value_date = _format_date(row.value_date or booked_at.date())
    approvals = ",".join([f'"{one.hex()}"' for one in approval_hashes]) if approval_hashes else ""
    late = f'"original_value_date":"{original_value_date}",' if original_value_date else ""
    payee = f'"payee_account_id":"{row.payee_account_id}",' if row.payee_account_id else ""
    payer = f'"payer_account_id":"{row.payer_account_id}",' if row.payer_account_id else ""
    ruled = f'"policy":"{policy_version}",' if policy_version else ""
    purpose = f'"purpose":"{row.purpose}",' if row.purpose else ""
    related = f'"related_id":"{row.related_id}",' if row.related_id else ""
    return (
        f'{{"amount":"{amount}","approvals":[{approvals}],"booked_at":"{format_time(booked_at)}",'
        f'"currency":"{currency}","id":"event_{row.id[-26:]}","index":{event_index},"instruction_id":"{row.id}",'
        f'"issuer_id":"{issuer_id}","lines":[{shown_lines}],{late}{payee}{payer}{ruled}"principal_id":"{row.principal_id}",'
        f'{purpose}{related}"request_hash":"{row.request_hash.hex()}","scale":{scale},'
        f'"token_class_id":"{row.token_class_id}","type":"{EVENT_TYPES[row.kind]}",'
        f'"value_date":"{value_date}","version":{_EVENT_VERSION}}}'
    ).encode()


def fact_payload(
    issuer_id: str, event_id: str, event_index: int, booked_at: datetime, event_type: str, **members: Any
) -> bytes:
    """Return the canonical JSON (RFC 8785) that is signed for what moves no money: a vote, a change, a breaker."""
    return canonical_json(
        {
            "booked_at": format_time(booked_at),
            "id": event_id,
            "index": event_index,
            "issuer_id": issuer_id,
            "type": event_type,
            "version": _EVENT_VERSION,
            **members,
        }
    )


def _line(line: Line, amount_minor: int, amount: str, scale: int) -> str:
    _, _, ledger_account_id, _, debit_minor, credit_minor, _, _, _, _ = line
    moved_minor = debit_minor or credit_minor
    moved = amount if moved_minor == amount_minor else format_amount(moved_minor, scale)
    side = "debit" if debit_minor else "credit"
    return f'{{"account":"{ledger_account_id}","{side}":"{moved}"}}'
