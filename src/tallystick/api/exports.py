"""`/v1/exports`: the books and the log of a period as files, for auditors and the issuer's staff."""

import base64
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from sqlalchemy import Connection

from tallystick import closing, exports, tokens
from tallystick.api.access import EVERYONE, STAFF_AND_AUDITORS, AnyCaller, Caller, authenticated
from tallystick.api.attempts import attempt_of
from tallystick.api.bodies import Reason, Schema, idempotency_key, path_ids, read_json, understood
from tallystick.api.export_arguments import ExportRequest, HolderExportRequest
from tallystick.api.money import answer
from tallystick.api.pages import Cursor, Limit, PathId, page
from tallystick.api.posts import post_route
from tallystick.api.recording import drafted_write
from tallystick.api.views import ListView, View
from tallystick.api.writes import write_route
from tallystick.core.clock import format_time
from tallystick.core.strict_json import JsonValue
from tallystick.exports import Export, ExportArguments, ExportFormat, ExportOptions
from tallystick.participants import Role, Scope
from tallystick.tokens import Made, Outcome

__all__ = ["router", "show_export"]

router = APIRouter()

_OPERATION: Final = "export"
_HOLDER_OPERATION: Final = "holder_export"
_CHUNK_BYTES: Final = 262_144
_BINARY: Final = {"schema": {"type": "string", "format": "binary"}}


class ControlTotalView(View):
    """The totals of one token class, to check the files against. `ties` is false for books that do not add up.

    Of an account's statement they are the account's: its movements, and as supply what its holder has of it.
    """

    token_class_id: str
    currency: str
    scale: int
    entries: int
    lines: int
    debits: str
    credits: str
    opening_supply: str
    supply: str
    ties: bool


class ExportFileView(View):
    """One file, to be had under `/v1/exports/{export_id}/files/{name}`. `sha256` is in hexadecimal."""

    name: str
    media_type: str
    rows: int
    bytes: int
    sha256: str


class ManifestView(View):
    """The content of `manifest.json`: the same for equal arguments and event indexes, byte for byte.

    An evidence pack's has `pack_version`, `pack_kind` and `export_key_id` too, and is signed in `manifest.jws`;
    `written_by` names the versions of other people's libraries that the bytes depend on, where they do.
    """

    format_version: int
    issuer: dict[str, str]
    arguments: dict[str, str | int | None]
    first_event_index: int
    last_event_index: int
    control_totals: list[ControlTotalView]
    files: list[ExportFileView]


class ProgressView(View):
    """How far an export is. `rows_to_write` is about how many there will be, null until that is known."""

    rows_written: int
    rows_to_write: int | None
    current_file: str | None


class FailureView(View):
    """Why nothing was made: a stable code, and a sentence for people."""

    code: str
    reason: str


class ExportView(View):
    """An export: `pending`, `running`, `finished`, `failed` or `cancelled`.

    `manifest` is null until it is finished; `event_index` is where the log has an evidence pack.
    """

    id: str
    object: str
    created_at: str
    issuer_id: str
    requested_by: str
    format: str
    arguments: dict[str, str | None]
    state: str
    progress: ProgressView
    started_at: str | None
    ended_at: str | None
    failure: FailureView | None
    event_index: int | None
    manifest: ManifestView | None


class CancellationRequest(Schema):
    """Give an export up that is not finished."""

    reason: Reason


async def post_export(request: Request) -> Response:
    """Ask for an export. A worker makes it; poll `GET /v1/exports/{export_id}` until it has ended."""

    def arguments(body: ExportRequest) -> ExportArguments:
        found: ExportArguments = body.arguments()
        return found

    return await _post(request, STAFF_AND_AUDITORS, ExportRequest, arguments, _OPERATION)


async def post_holder_export(request: Request) -> Response:
    """Ask for a holder's own evidence pack: its leaves of the log with proofs, its journal, balances and claims.

    Holders and platforms have those of the holders that they act for. It ends with the newest checkpoint, and `to`
    before that. Poll `GET /v1/exports/{export_id}` until it has ended.
    """

    def arguments(body: HolderExportRequest) -> ExportArguments:
        options = ExportOptions(holder_id=request.path_params["holder_id"])
        return ExportArguments(ExportFormat.EVIDENCE, body.from_, body.to, options=options)

    return await _post(request, EVERYONE, HolderExportRequest, arguments, _HOLDER_OPERATION)


async def _post(
    request: Request,
    roles: frozenset[Role],
    schema: type[BaseModel],
    arguments: Callable[[Any], ExportArguments],
    operation: str,
) -> Response:
    caller = await authenticated(request, roles, Scope.READ)
    key = idempotency_key(request)
    asked = await read_json(request, caller.service.settings.body_size_max_bytes)
    wanted = arguments(understood(schema, asked))
    hashed: dict[str, JsonValue] = {"body": asked}
    if ids := path_ids(request):
        hashed["path"] = dict(ids)
    attempt = attempt_of(request.scope)
    request_hash = attempt.request_hash = tokens.request_hash(operation, hashed)

    def once(make: Callable[[Connection], Made]) -> Outcome:
        return caller.service.once(
            caller.principal,
            key_digest=tokens.key_digest(caller.principal.id, operation, key),
            request_hash=request_hash,
            make=make,
            draft=drafted_write(request),
        )

    outcome = await run_in_threadpool(_ask, caller, wanted, once)
    attempt.is_recorded = True
    return answer(outcome)


post_route(
    router,
    "/v1/exports",
    post_export,
    schema=ExportRequest,
    view=ExportView,
    roles=STAFF_AND_AUDITORS,
    summary="Ask for an export of the books and the log",
    tag="Exports",
    status=HTTPStatus.ACCEPTED,
    operation=_OPERATION,
)

post_route(
    router,
    "/v1/holders/{holder_id}/exports",
    post_holder_export,
    schema=HolderExportRequest,
    view=ExportView,
    roles=EVERYONE,
    summary="Ask for a holder's own evidence pack",
    tag="Exports",
    status=HTTPStatus.ACCEPTED,
    operation=_HOLDER_OPERATION,
    scope=Scope.READ,
)


def _cancel(
    caller: Caller, connection: Connection, body: CancellationRequest, path: Mapping[str, str]
) -> dict[str, Any]:
    return show_export(
        exports.cancel(connection, caller.service.workshop, caller.principal, path["export_id"], body.reason)
    )


write_route(
    router,
    "/v1/exports/{export_id}/cancel",
    operation="export_cancellation",
    schema=CancellationRequest,
    view=ExportView,
    roles=EVERYONE,
    make=_cancel,
    summary="Cancel an export",
    tag="Exports",
    status=HTTPStatus.OK,
    scope=Scope.READ,
)


@router.get("/v1/exports", tags=["Exports"], summary="List exports", response_model=ListView[ExportView])
def get_exports(caller: AnyCaller, cursor: Cursor = "", limit: Limit = 100) -> Any:
    """Return exports, oldest first: staff and auditors see the issuer's, others what they asked for."""
    with caller.read() as connection:
        found = exports.exports(connection, caller.principal, after=cursor, limit=limit + 1)
    return page(found, limit, show_export, lambda one: one.id)


@router.get("/v1/exports/{export_id}", tags=["Exports"], summary="Get an export", response_model=ExportView)
def get_export(caller: AnyCaller, export_id: PathId) -> Any:
    """Return one export: how far it is, and once it is finished its manifest."""
    with caller.read() as connection:
        return show_export(exports.export(connection, caller.principal, export_id))


@router.get(
    "/v1/exports/{export_id}/files/{name}",
    tags=["Exports"],
    summary="Get a file of an export",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "The file; `Repr-Digest` (RFC 9530) and `ETag` hold its SHA-256",
            "content": dict.fromkeys(
                (
                    "text/csv",
                    "application/x-ndjson",
                    "text/plain",
                    "application/json",
                    "application/pdf",
                    "application/vnd.apache.parquet",
                    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
                    "application/xml",
                    "application/jose",
                ),
                _BINARY,
            ),
        }
    },
)
def get_export_file(caller: AnyCaller, export_id: PathId, name: PathId) -> Response:
    """Return a finished export's file, checked against the manifest a moment before; a lost one is made again first."""
    path, facts = exports.export_file(caller.service.workshop, caller.principal, export_id, name)
    digest = base64.b64encode(bytes.fromhex(facts.sha256)).decode()
    return StreamingResponse(
        _chunks(path),
        media_type=facts.media_type,
        headers={
            "Content-Length": str(facts.size_bytes),
            "Content-Disposition": f'attachment; filename="{facts.name}"',
            "ETag": f'"{facts.sha256}"',
            "Repr-Digest": f"sha-256=:{digest}:",
            "X-Content-Type-Options": "nosniff",
        },
    )


class _UnansweredError(Exception):
    """The key is new: there is work to do."""


def _unanswered(_connection: Connection) -> Made:
    raise _UnansweredError


def _ask(
    caller: Caller, arguments: ExportArguments, once: Callable[[Callable[[Connection], Made]], Outcome]
) -> Outcome:
    # What is pinned may lie in files, which no transaction that writes waits for: first see whether the key has its
    # answer, then pin, and only then record export, job and answer together.
    try:
        return once(_unanswered)
    except _UnansweredError:
        pass
    workshop = caller.service.workshop
    with caller.read() as connection:
        wanted = closing.export_arguments(connection, caller.principal.issuer_id, arguments)
        pinned = exports.pin(connection, workshop.clock, caller.principal, wanted, workshop.vouching)

    def record(connection: Connection) -> Made:
        asked = exports.ask(connection, workshop.clock, caller.principal, pinned)
        return Made(asked.id, orjson.dumps(show_export(asked)), HTTPStatus.ACCEPTED)

    return once(record)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def show_export(one: Export) -> dict[str, Any]:
    """Return an export as its JSON object."""
    return {
        "id": one.id,
        "object": "export",
        "created_at": format_time(one.created_at),
        "issuer_id": one.issuer_id,
        "requested_by": one.requested_by,
        "format": one.pinned.arguments.format.value,
        "arguments": one.pinned.asked(),
        "state": one.state.value,
        "progress": one.progress._asdict(),
        "started_at": None if one.started_at is None else format_time(one.started_at),
        "ended_at": None if one.ended_at is None else format_time(one.ended_at),
        "failure": None if one.failure is None else one.failure._asdict(),
        "event_index": None if one.result is None else one.result.event_index,
        "manifest": None if one.result is None else one.result.manifest,
    }
