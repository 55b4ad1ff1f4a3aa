"""What is kept of an order: what it asks for, what it holds fast, and what people did under it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

__all__ = ["Action", "ActionKind", "Blocks", "Order", "OrderKind", "OrderScope", "OrderState"]


class OrderKind(StrEnum):
    """Why an account is restricted. Only a court order may be executed by seizure."""

    FREEZE = "freeze"
    COURT_ORDER = "court_order"


class OrderScope(StrEnum):
    """Which side of the account an order binds. An order for an amount binds the debit side."""

    DEBIT = "debit"
    CREDIT = "credit"
    BOTH = "both"


class OrderState(StrEnum):
    """Where an order stands; only an active one binds. `executed` is seized in full."""

    ACTIVE = "active"
    LIFTED = "lifted"
    EXPIRED = "expired"
    EXECUTED = "executed"


class ActionKind(StrEnum):
    """What was done under an order. `received` is what an order that ended passed on to this one."""

    PLACED = "placed"
    TOPPED_UP = "topped_up"
    RECEIVED = "received"
    SEIZED = "seized"
    LIFTED = "lifted"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Order:
    """A freeze or court order on one account.

    `amount_minor` is what it is for, None for the whole account. `restricted_minor` is all that was ever moved from
    2110 to 2130 for it, `seized_minor` what left 2130 for 2310 since; the difference is what 2130 holds for it, until
    it ends.
    """

    issuer_id: str
    id: str
    account_id: str
    kind: str
    scope: str
    amount_minor: int | None
    restricted_minor: int
    seized_minor: int
    authority: str
    authority_reference: str | None
    reason: str
    expires_at: datetime | None
    state: str
    created_by: str
    created_at: datetime
    ended_at: datetime | None = None

    @property
    def held_minor(self) -> int:
        """What 2130 holds for it now."""
        return self.restricted_minor - self.seized_minor if self.state == OrderState.ACTIVE else 0

    @property
    def binds_debits(self) -> bool:
        """Whether it is about what leaves the account."""
        return self.scope != OrderScope.CREDIT


@dataclass(frozen=True, slots=True)
class Action:
    """One thing done under an order, in order of `number`; `approvals` prove the other people's consent."""

    issuer_id: str
    restriction_id: str
    number: int
    action: str
    amount_minor: int
    reason: str
    done_by: str
    approvals: tuple[str, ...]
    done_at: datetime


class Blocks(NamedTuple):
    """Whether anything may leave or reach an account."""

    debit_blocked: bool
    credit_blocked: bool
