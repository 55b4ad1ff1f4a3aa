"""`/v1/transfers` and `/v1/transfer-batches`: tokens from one account to another, one at a time or a thousand."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import Field, StringConstraints

from tallystick import events, tokens
from tallystick.api.access import AnyCaller, authenticated
from tallystick.api.attempts import attempt_of, source_of
from tallystick.api.bodies import (
    Amount,
    Currency,
    ObjectId,
    Purpose,
    Reference,
    Schema,
    checked_key,
    idempotency_key,
    read_content,
    understood,
)
from tallystick.api.instructions import show_instruction, show_transfers
from tallystick.api.money import answer, money_route, new_request
from tallystick.api.pages import IdQuery, IndexCursor, Limit, PathId
from tallystick.api.posts import post_route
from tallystick.api.recording import note_batch
from tallystick.api.signed_requests import check_signature
from tallystick.api.views import BatchView, ListView, TransferBatchView, TransferView, WaitingBatchView
from tallystick.core.strict_json import JsonValue
from tallystick.participants import Principal, Role
from tallystick.tokens import Kind, Submission

__all__ = ["router"]

router = APIRouter()

_ROLES = frozenset({Role.PLATFORM, Role.HOLDER})
_BATCH_ITEMS_MAX = 1_000


class TransferRequest(Schema):
    """Move `amount` of the payer's tokens to the payee, now and for good."""

    payer_account_id: ObjectId
    payee_account_id: ObjectId
    amount: Amount
    currency: Currency
    reference: Reference | None = None
    purpose: Purpose | None = None


class BatchItem(TransferRequest):
    """One transfer of a batch. Without a key of its own it has the batch's key and its place in it."""

    idempotency_key: Annotated[str, StringConstraints(min_length=1, max_length=255)] | None = None


class TransferBatchRequest(Schema):
    """Up to 1,000 transfers, settled in order: each on its own, or with `atomic` all or none."""

    items: Annotated[list[BatchItem], Field(min_length=1, max_length=_BATCH_ITEMS_MAX)]
    atomic: bool = False


def _fields(body: TransferRequest, _path: object = None) -> dict[str, Any]:
    return {
        "payer_account_id": body.payer_account_id,
        "payee_account_id": body.payee_account_id,
        "amount": body.amount,
        "currency": body.currency,
        "reference": body.reference,
        "purpose": body.purpose,
    }


money_route(
    router,
    "/v1/transfers",
    kind=Kind.TRANSFER,
    schema=TransferRequest,
    view=TransferView,
    roles=_ROLES,
    fields=_fields,
    summary="Transfer tokens",
    tag="Transfers",
)


async def post_transfer_batch(request: Request) -> Response:
    """Settle up to 1,000 transfers and return a result for each.

    A batch whose total the policy has people approve is answered with 202 and waits; read it under its id.
    """
    caller = await authenticated(request, _ROLES)
    key = idempotency_key(request)
    content, asked = await read_content(request, caller.service.settings.body_size_max_bytes)
    body = understood(TransferBatchRequest, asked)
    await check_signature(caller, request, content, (item.amount for item in body.items))
    assert isinstance(asked, dict)
    source = source_of(request.scope)
    # The body goes along as it was sent: if people have to look at it, it is kept until they have.
    batch = new_request(caller.principal, Kind.TRANSFER_BATCH, key, asked, {"payload": asked}, source=source)
    items = asked["items"]
    assert isinstance(items, list)
    requests = tuple(
        _item_request(caller.principal, key, number, item, sent, source)
        for number, (item, sent) in enumerate(zip(body.items, items, strict=True))
    )
    attempt_of(request.scope).request_hash = batch.request_hash
    settled = await caller.service.settle(caller.issuer_id, Submission(requests, batch, body.atomic))
    assert settled.batch is not None
    note_batch(request, settled)
    return answer(settled.batch)


def _item_request(
    principal: Principal, batch_key: str, number: int, item: BatchItem, sent: JsonValue, source: str | None
) -> Any:
    assert isinstance(sent, dict)
    # The key is how an item is found again, not part of what it asks: alone or in a batch it is the same transfer.
    asked: JsonValue = {name: value for name, value in sent.items() if name != "idempotency_key"}
    key = checked_key(item.idempotency_key) if item.idempotency_key else f"{batch_key}\0{number}"
    return new_request(principal, Kind.TRANSFER, key, asked, _fields(item), source=source)


post_route(
    router,
    "/v1/transfer-batches",
    post_transfer_batch,
    schema=TransferBatchRequest,
    view=BatchView,
    roles=_ROLES,
    summary="Transfer tokens in bulk",
    tag="Transfers",
    status=200,
    operation=Kind.TRANSFER_BATCH,
    waiting_view=WaitingBatchView,
)


@router.get(
    "/v1/transfer-batches/{batch_id}",
    tags=["Transfers"],
    summary="Get a batch of transfers",
    response_model=TransferBatchView,
)
def get_transfer_batch(caller: AnyCaller, batch_id: PathId) -> Response:
    """Return a batch as it stands: whether it waits, and the outcome of each item once it is settled."""
    with caller.read() as connection:
        shown = tokens.read_batch(connection, caller.principal, batch_id)
        if shown.get("event_index") is not None:
            index = shown["event_index"]
            shown["signed_event"] = events.event_by_index(connection, caller.issuer_id, index).jws
    return Response(orjson.dumps(shown), media_type="application/json")


@router.get(
    "/v1/transfers",
    tags=["Transfers"],
    summary="List settled transfers",
    response_model=ListView[TransferView],
    response_model_exclude_unset=True,
)
def get_transfers(
    caller: AnyCaller,
    account_id: IdQuery = None,
    cursor: IndexCursor = -1,
    limit: Limit = 100,
) -> Any:
    """Return settled transfers that the caller may see, oldest first."""
    return show_transfers(caller, account_id=account_id, after_index=cursor, limit=limit)


@router.get(
    "/v1/transfers/{transfer_id}", tags=["Transfers"], summary="Get a transfer", response_model=TransferView
)
def get_transfer(caller: AnyCaller, transfer_id: PathId) -> Response:
    """Return one transfer with its signed event."""
    return show_instruction(caller, Kind.TRANSFER, transfer_id)
