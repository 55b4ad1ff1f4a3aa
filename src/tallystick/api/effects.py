"""What approving a request would do, as things stand now: before and after, what is left behind it, and what changes.

Whoever approves must see what it comes to, and not only that somebody asked. Nothing here decides or locks: the write
path does, under lock, when the approval comes.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from tallystick import ledger, participants, policy, tokens
from tallystick.approvals import Approval
from tallystick.core.money import format_amount
from tallystick.ledger import Code, Posting, ledger_account_id
from tallystick.policy import LimitState
from tallystick.tokens import Instruction, Kind

__all__ = ["effect_of", "headroom_of", "request_of"]

_DIFFERENCES_SHOWN_MAX: Final = 1_000


def effect_of(
    connection: Connection, issuer_id: str, postings: Iterable[Posting], scale: int
) -> list[dict[str, Any]]:
    """Return what the postings would do to each account that they move, as the books stand now."""
    raised: dict[str, int] = {}
    for ledger_id, debit_minor, credit_minor in postings:
        moved_minor = debit_minor - credit_minor
        sign = 1 if ledger.is_debit_normal(ledger_id) else -1
        raised[ledger_id] = raised.get(ledger_id, 0) + sign * moved_minor
    balances = ledger.balances(connection, issuer_id, list(raised))
    return [
        {
            "ledger_account_id": ledger_id,
            "before": format_amount(balances[ledger_id], scale),
            "after": format_amount(balances[ledger_id] + raised_minor, scale),
        }
        for ledger_id, raised_minor in raised.items()
    ]


def headroom_of(connection: Connection, subject: Instruction, at: datetime, issuer_id: str) -> dict[str, Any]:
    """Return what a mint would leave of the deposits that cover it and of the limits of issuance.

    Below zero it would be refused; None where there is no such limit.
    """
    assert subject.token_class_id is not None
    assert subject.payee_account_id is not None
    of_class = participants.token_class(connection, issuer_id, subject.token_class_id)
    deposits_id = ledger_account_id(Code.DEPOSITS_AVAILABLE, subject.payee_account_id)
    deposits_minor = ledger.balances(connection, issuer_id, [deposits_id])[deposits_id]
    version, found = tokens.limits(connection, of_class, at, minter_id=subject.principal_id)
    by_name = {one.limit.name: one for one in found if one.limit.part == "issuance"}

    def left(name: str) -> str | None:
        state = by_name.get(name)
        return (
            None
            if state is None
            else format_amount(_room_minor(state) - subject.amount_minor, of_class.scale)
        )

    return {
        "deposits_available_after": format_amount(deposits_minor - subject.amount_minor, of_class.scale),
        "supply_cap_after": left("supply"),
        "issuance_day_after": left("issuance_day"),
        "minter_allowance_after": left("minter_allowance"),
        "policy_version": version,
    }


def request_of(
    connection: Connection, found: Approval, subject: Instruction, at: datetime
) -> dict[str, Any] | None:
    """Return what a change asks for; of a policy's activation also how it differs from the rules in force."""
    if subject.kind != Kind.CHANGE:
        return None
    asked: dict[str, Any] = {
        "operation": subject.operation,
        "subject_id": subject.related_id,
        "reason": subject.reason,
        "payload": (found.details or {}).get("payload", {}),
    }
    if "entry" in (found.details or {}):
        asked["entry"] = (found.details or {})["entry"]
    if subject.operation == "policy_activation":
        against, differing = policy.difference(connection, found.issuer_id, subject.related_id or "", at)
        asked["compared_with"] = against
        asked["differences"] = [one._asdict() for one in differing[:_DIFFERENCES_SHOWN_MAX]]
        asked["differences_omitted_count"] = max(len(differing) - _DIFFERENCES_SHOWN_MAX, 0)
    return asked


def _room_minor(state: LimitState) -> int:
    # Not `headroom`, which ends at zero: by how much it is exceeded is what the checker must see.
    return state.limit.limit - (state.used or 0)
