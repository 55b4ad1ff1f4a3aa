"""`/v1/limits`: every limit of a token class's policy, what is used of it now, and what is left."""

from typing import Any, Final

from fastapi import APIRouter

from tallystick import participants, tokens
from tallystick.api.access import AnyCaller
from tallystick.api.pages import IdQuery, RequiredIdQuery
from tallystick.api.problems import validation_problem
from tallystick.api.views import View
from tallystick.core.clock import format_time
from tallystick.core.money import format_amount
from tallystick.participants import AccountNotFoundError, TokenClass
from tallystick.policy import LimitState

__all__ = ["router"]

router = APIRouter()

# What of a policy is a customer's business: what limits its own payments, and when people of the bank look at them.
_CUSTOMERS_APPROVALS: Final = frozenset({"transfer", "transfer_batch", "hold", "redemption", "payout"})


class LimitView(View):
    """One limit. `used` and `headroom` are null where nothing is counted or it isn't told for whom.

    `unit` is the currency of decimal strings, or `mints`. `period` is `each` (of one instruction: all of it is left),
    `rolling_day`, `ever`, `supply` or `window`. Above an approvals' row's limit so many `checkers` are asked.
    """

    name: str
    rule_id: str
    code: str | None
    period: str
    window_seconds: int | None
    subject_id: str | None
    unit: str
    limit: str
    used: str | None
    headroom: str | None
    checkers: int | None


class LimitsView(View):
    """The limits in force in a token class, as of a moment."""

    object: str
    token_class_id: str
    account_id: str | None
    currency: str
    policy_version: str
    as_of: str
    data: list[LimitView]


@router.get("/v1/limits", tags=["Policy"], summary="Get limits and what is left", response_model=LimitsView)
def get_limits(caller: AnyCaller, token_class_id: RequiredIdQuery, account_id: IdQuery = None) -> Any:
    """Return every limit in force, used and left; customers must name an account of theirs, and see what limits it."""
    is_customer = not caller.principal.sees_whole_issuer
    if is_customer and account_id is None:
        raise validation_problem(
            [{"loc": ("query", "account_id"), "type": "missing", "msg": "Name an account of yours"}]
        )
    at = caller.service.clock.now()
    with caller.read() as connection:
        of_class = participants.token_class(connection, caller.issuer_id, token_class_id)
        account = None
        if account_id is not None:
            account = participants.account(connection, caller.principal, account_id)
            if account.token_class_id != of_class.id:
                raise AccountNotFoundError
        version, found = tokens.limits(connection, of_class, at, account=account)
    return {
        "object": "limits",
        "token_class_id": of_class.id,
        "account_id": account_id,
        "currency": of_class.currency,
        "policy_version": version,
        "as_of": format_time(at),
        "data": [_show(one, of_class) for one in found if not is_customer or _is_for_customers(one)],
    }


def _is_for_customers(state: LimitState) -> bool:
    limit = state.limit
    return limit.part == "limits" or (limit.part == "approvals" and limit.name in _CUSTOMERS_APPROVALS)


def _show(state: LimitState, of_class: TokenClass) -> dict[str, Any]:
    limit, used, headroom = state
    is_amount = limit.unit == "amount"

    def told(number: int | None) -> str | None:
        if number is None:
            return None
        return format_amount(number, of_class.scale) if is_amount else str(number)

    return {
        "name": limit.name,
        "rule_id": limit.rule_id,
        "code": limit.code,
        "period": limit.period,
        "window_seconds": limit.window_seconds,
        "subject_id": limit.subject_id,
        "unit": of_class.currency if is_amount else limit.unit,
        "limit": told(limit.limit),
        "used": told(used),
        "headroom": told(headroom),
        "checkers": limit.checkers,
    }
