"""`/v1/liabilities`: what the bank owes each holder in each token class, now or as of any moment."""

from typing import Any

from fastapi import APIRouter

from tallystick import liabilities, participants
from tallystick.api.access import AnyCaller
from tallystick.api.pages import Cursor, IdQuery, Limit, PathId, page
from tallystick.api.times import AsOf, index_as_of
from tallystick.api.views import ListView, View
from tallystick.core.clock import format_time
from tallystick.core.money import format_amount
from tallystick.ledger import Code
from tallystick.liabilities import Claim

__all__ = ["router"]

router = APIRouter()

_STATUSES = {
    "available": Code.TOKENS_AVAILABLE.value,
    "held": Code.TOKENS_HELD.value,
    "pledged": Code.TOKENS_PLEDGED.value,
    "restricted": Code.TOKENS_RESTRICTED.value,
    "dormant": Code.TOKENS_DORMANT.value,
}


class LiabilityView(View):
    """The bank's liability to one holder in one token class."""

    id: str
    object: str
    created_at: str
    issuer_id: str
    holder_id: str
    token_class_id: str
    currency: str
    terms_version: int
    since: str | None
    as_of: str | None
    event_index: int
    last_event_index: int | None
    total: str
    claim: dict[str, str]
    account_ids: list[str]


@router.get(
    "/v1/liabilities",
    tags=["Liabilities"],
    summary="List liabilities",
    response_model=ListView[LiabilityView],
)
def get_liabilities(
    caller: AnyCaller,
    holder_id: IdQuery = None,
    token_class_id: IdQuery = None,
    as_of: AsOf = None,
    cursor: Cursor = "",
    limit: Limit = 100,
) -> Any:
    """Return liabilities that the caller may know of. Those of a class sum to its supply."""
    with caller.read() as connection:
        holder_ids = None
        if holder_id is not None:
            holder_ids = [participants.holder(connection, caller.principal, holder_id).id]
        elif not caller.principal.sees_whole_issuer:
            holder_ids = [one.id for one in participants.holders(connection, caller.principal, limit=10_000)]
        found = liabilities.liabilities(
            connection,
            caller.issuer_id,
            holder_ids=holder_ids,
            token_class_id=token_class_id,
            after=cursor,
            limit=limit + 1,
        )
        index = index_as_of(connection, caller.issuer_id, as_of)
        claims = {
            one.liability.id: one for one in liabilities.claims(connection, caller.principal, found, index)
        }
        classes = {
            one.id: one for one in participants.token_classes(connection, caller.issuer_id, limit=1_000)
        }
    as_of_text = None if as_of is None else format_time(as_of)

    def show(record: liabilities.Liability) -> dict[str, Any]:
        of_class = classes[record.token_class_id]
        return _show(claims[record.id], of_class.currency, of_class.scale, as_of_text, index)

    return page(found, limit, show, lambda one: one.id)


@router.get(
    "/v1/liabilities/{liability_id}",
    tags=["Liabilities"],
    summary="Get a liability",
    response_model=LiabilityView,
)
def get_liability(caller: AnyCaller, liability_id: PathId, as_of: AsOf = None) -> Any:
    """Return one liability; `/v1/events?liability_id=…` lists the events that made it."""
    with caller.read() as connection:
        record = liabilities.liability(connection, caller.principal, liability_id)
        of_class = participants.token_class(connection, caller.issuer_id, record.token_class_id)
        index = index_as_of(connection, caller.issuer_id, as_of)
        claim = liabilities.claims(connection, caller.principal, [record], index)[0]
    return _show(
        claim, of_class.currency, of_class.scale, None if as_of is None else format_time(as_of), index
    )


def _show(claim: Claim, currency: str, scale: int, as_of: str | None, index: int) -> dict[str, Any]:
    record = claim.liability
    return {
        "id": record.id,
        "object": "liability",
        "created_at": format_time(record.opened_at),
        "issuer_id": record.issuer_id,
        "holder_id": record.holder_id,
        "token_class_id": record.token_class_id,
        "currency": currency,
        "terms_version": record.terms_version,
        "since": None if claim.since is None else format_time(claim.since),
        "as_of": as_of,
        "event_index": index,
        "last_event_index": claim.last_event_index,
        "total": format_amount(claim.total_minor, scale),
        "claim": {name: format_amount(claim.by_code_minor[code], scale) for name, code in _STATUSES.items()},
        "account_ids": list(claim.account_ids),
    }
