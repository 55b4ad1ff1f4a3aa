"""What time ends: undecided approvals, holds that nobody executed and orders, each closed on the write path."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from tallystick import approvals, orders
from tallystick.participants import Principal, Role
from tallystick.tokens import store
from tallystick.tokens.instructions import ID_PREFIX, Kind, Request
from tallystick.tokens.requests import key_digest, new_instruction_id, request_hash

__all__ = ["SYSTEM_PRINCIPAL_ID", "due", "system_principal"]

SYSTEM_PRINCIPAL_ID: Final = "system"
_REASON: Final = "Its time was over."


def due(connection: Connection, issuer_id: str, at: datetime, limit: int) -> list[Request]:
    """Return at most `limit` requests of each kind that close what had expired at `at`.

    Their keys are made of what they close, so that several processes may ask for the same and it is done once.
    """
    acting = system_principal(issuer_id, at)
    expired_orders = orders.expired_orders(connection, issuer_id, at, limit=limit)
    return [
        *_closing(acting, Kind.APPROVAL_EXPIRY, approvals.expired_ids(connection, issuer_id, at, limit)),
        *_closing(acting, Kind.HOLD_VOID, store.read_expired_hold_ids(connection, issuer_id, at, limit)),
        *_closing(acting, Kind.ORDER_EXPIRY, [one.id for one in expired_orders]),
    ]


def system_principal(issuer_id: str, at: datetime) -> Principal:
    """Return whom the log names where the service acts by itself: nobody's login, and no person.

    What time ends, what a reconciliation found, and what the first commands at a new bank do.
    """
    return Principal(
        issuer_id=issuer_id,
        id=SYSTEM_PRINCIPAL_ID,
        name="The service itself",
        person=None,
        roles=frozenset({Role.OPERATOR}),
        holder_id=None,
        status="active",
        created_at=at,
    )


def _closing(acting: Principal, kind: Kind, ids: Iterable[str]) -> list[Request]:
    assert kind in ID_PREFIX
    return [
        Request(
            id=new_instruction_id(kind),
            kind=kind,
            principal=acting,
            key_digest=key_digest(acting.id, kind, one),
            request_hash=request_hash(kind, {"id": one}),
            related_id=one,
            reason=_REASON,
            source=SYSTEM_PRINCIPAL_ID,
        )
        for one in ids
    ]
