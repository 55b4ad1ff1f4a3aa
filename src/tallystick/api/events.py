"""`/v1/events`: the log of signed facts, as pages or as a stream that follows it; and the keys to check them with."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from sqlalchemy import Connection

from tallystick import events, ledger, liabilities, participants, signing, transparency
from tallystick.api.access import EVERYONE, AnyCaller, Caller, authenticated, public, service_of
from tallystick.api.pages import IdQuery, IndexCursor, Limit, PathId, page
from tallystick.api.views import ListView, View
from tallystick.core.clock import format_time
from tallystick.core.errors import DomainError, MalformedError
from tallystick.events import Event, EventNotFoundError
from tallystick.ledger import CLAIM_CODES, HOLDER_CODES, ledger_account_id

__all__ = ["router"]

router = APIRouter()

_POLL_SECONDS: Final = 0.25
_HEARTBEAT_POLLS: Final = 60
_STREAM_PAGE: Final = 500


class EventView(View):
    """A signed fact. `jws` is what was signed (RFC 7515 compact, EdDSA); its payload tells everything."""

    id: str
    object: str
    index: int
    type: str
    subject_id: str
    token_class_id: str | None
    booked_at: str
    key_id: str
    jws: str


@router.get(
    "/v1/events",
    tags=["Events"],
    summary="List or follow events",
    response_model=ListView[EventView],
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
def get_events(  # noqa: PLR0917 FastAPI passes them by name.
    request: Request,
    caller: AnyCaller,
    account_id: IdQuery = None,
    liability_id: IdQuery = None,
    cursor: IndexCursor = -1,
    limit: Limit = 100,
    follow: Annotated[
        bool, Query(description="Stream as server-sent events, and go on as the log grows.")
    ] = False,
    last_event_id: Annotated[str | None, Header(pattern="^[0-9]{1,18}$")] = None,
) -> Any:
    """Return events in the order of the log, from behind `cursor` (an index; -1 is the beginning).

    Staff and auditors read the whole log; others the events that touch their accounts. With `follow` each event is
    sent as a server-sent event whose id is its index, so that a client resumes where it stopped.
    """
    if last_event_id is not None:
        cursor = int(last_event_id)
    with caller.read() as connection:
        account_ids = _account_ids(connection, caller, account_id, liability_id)
        if not follow:
            found = _page(connection, caller, account_ids, liability_id is not None, cursor, limit + 1)
            return page(found, limit, _show, lambda one: str(one.event_index))
    return StreamingResponse(
        _follow(request, account_id, liability_id, cursor),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store"},
    )


@router.get("/v1/events/{event_id}", tags=["Events"], summary="Get an event", response_model=EventView)
def get_event(caller: AnyCaller, event_id: PathId) -> Any:
    """Return one event by its id."""
    with caller.read() as connection:
        return _show(_visible(connection, caller, event_id))


@router.get(
    "/v1/events/{event_id}/receipt",
    tags=["Events"],
    summary="Get an event's receipt",
    response_class=Response,
    responses={
        200: {
            "description": "A proof that the event is in the log (C2SP tlog-proof), with who has witnessed it",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        }
    },
)
def get_receipt(caller: AnyCaller, event_id: PathId) -> Response:
    """Return what proves, without asking anybody, that the event is in the log.

    A second after the event was booked at the latest; before that 409 `event_not_integrated`. A receipt that is asked
    for later may be cosigned by more witnesses.
    """
    with caller.read() as connection:
        found = _visible(connection, caller, event_id)
        receipt = transparency.receipt(
            connection,
            caller.service.log.tiles,
            caller.issuer_id,
            found.event_index,
            caller.service.witness_policy,
        )
    return Response(
        receipt,
        headers={
            "Content-Type": "text/plain; charset=utf-8",
            "Content-Disposition": f'attachment; filename="{found.id}.tlog-proof"',
        },
    )


@router.get(
    "/.well-known/jwks.json", tags=["Events"], summary="Get the issuers' public keys", dependencies=[public]
)
def get_jwks(request: Request) -> Any:
    """Return every key that ever signed events or checkpoints, with its state: all that checking a signature needs."""
    with service_of(request).database.read() as connection:
        return signing.published_jwks(connection)


def _visible(connection: Connection, caller: Caller, event_id: str) -> Event:
    """Return an event that the caller may know of; raises EventNotFoundError."""
    found = events.event(connection, caller.issuer_id, event_id)
    account_ids = _account_ids(connection, caller, None, None)
    if account_ids is not None:
        ids = [ledger_account_id(code, account_id) for account_id in account_ids for code in HOLDER_CODES]
        touching = ledger.touching_indexes(connection, caller.issuer_id, ids, found.event_index - 1, 1)
        if touching != [found.event_index]:
            raise EventNotFoundError
    return found


def _account_ids(
    connection: Connection, caller: Caller, account_id: str | None, liability_id: str | None
) -> list[str] | None:
    if account_id is not None and liability_id is not None:
        raise MalformedError("Give an account or a liability, not both.")
    if account_id is not None:
        return [participants.account(connection, caller.principal, account_id).id]
    if liability_id is not None:
        record = liabilities.liability(connection, caller.principal, liability_id)
        return list(liabilities.claims(connection, caller.principal, [record])[0].account_ids)
    if caller.principal.sees_whole_issuer:
        return None
    return [account.id for account in participants.accounts(connection, caller.principal, limit=10_000)]


def _page(
    connection: Connection,
    caller: Caller,
    account_ids: list[str] | None,
    claims_only: bool,
    after_index: int,
    limit: int,
) -> list[Event]:
    if account_ids is None:
        return events.events(connection, caller.issuer_id, after_index=after_index, limit=limit)
    codes = CLAIM_CODES if claims_only else HOLDER_CODES
    ids = [ledger_account_id(code, account_id) for account_id in account_ids for code in codes]
    indexes = ledger.touching_indexes(connection, caller.issuer_id, ids, after_index, limit)
    return events.events_at(connection, caller.issuer_id, indexes)


async def _follow(
    request: Request, account_id: str | None, liability_id: str | None, after_index: int
) -> AsyncIterator[bytes]:
    def next_page(caller: Caller) -> list[Event]:
        with caller.read() as connection:
            account_ids = _account_ids(connection, caller, account_id, liability_id)
            return _page(connection, caller, account_ids, liability_id is not None, after_index, _STREAM_PAGE)

    idle_polls = 0
    yield b": following\n\n"
    while not service_of(request).closing:
        try:
            # Asked again each time: keys are revoked and accounts opened while a stream lives.
            found = await run_in_threadpool(next_page, await authenticated(request, EVERYONE))
        except DomainError:
            # The stream ends in order; whoever may still read resumes from the last event's id.
            return
        for one in found:
            yield b"id: %d\nevent: %s\ndata: %s\n\n" % (
                one.event_index,
                one.type.encode(),
                orjson.dumps(_show(one)),
            )
        if found:
            after_index = found[-1].event_index
            idle_polls = 0
            continue
        idle_polls += 1
        if idle_polls % _HEARTBEAT_POLLS == 0:
            yield b": still here\n\n"
        await asyncio.sleep(_POLL_SECONDS)


def _show(one: Event) -> dict[str, Any]:
    return {
        "id": one.id,
        "object": "event",
        "index": one.event_index,
        "type": one.type,
        "subject_id": one.subject_id,
        "token_class_id": one.token_class_id,
        "booked_at": format_time(one.booked_at),
        "key_id": one.key_id,
        "jws": one.jws,
    }
