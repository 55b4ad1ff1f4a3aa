"""`/v1/exports`: the books and the log of a period as files, for auditors and the issuer's staff."""

import base64
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from sqlalchemy import Connection

from tallystick import exports, tokens
from tallystick.api.access import STAFF_AND_AUDITORS, Caller, StaffCaller, authenticated
from tallystick.api.attempts import attempt_of
from tallystick.api.bodies import idempotency_key, read_json, understood
from tallystick.api.export_arguments import ExportRequest
from tallystick.api.money import answer
from tallystick.api.pages import Cursor, Limit, PathId, page
from tallystick.api.posts import post_route
from tallystick.api.recording import drafted_write
from tallystick.api.views import ListView, View
from tallystick.core.clock import format_time
from tallystick.exports import Export, ExportArguments
from tallystick.tokens import Made, Outcome

__all__ = ["router"]

router = APIRouter()

_OPERATION: Final = "export"
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


class ExportView(View):
    """An export that was made, with its manifest."""

    id: str
    object: str
    created_at: str
    issuer_id: str
    requested_by: str
    format: str
    manifest: ManifestView


async def post_export(request: Request) -> Response:
    """Make an export. Answered once all its files are durable, so a long period takes its time."""
    caller = await authenticated(request, STAFF_AND_AUDITORS)
    key = idempotency_key(request)
    asked = await read_json(request, caller.service.settings.body_size_max_bytes)
    body = understood(ExportRequest, asked)
    arguments: ExportArguments = body.arguments()
    attempt = attempt_of(request.scope)
    request_hash = attempt.request_hash = tokens.request_hash(_OPERATION, {"body": asked})

    def once(make: Callable[[Connection], Made]) -> Outcome:
        return caller.service.once(
            caller.principal,
            key_digest=tokens.key_digest(caller.principal.id, _OPERATION, key),
            request_hash=request_hash,
            make=make,
            draft=drafted_write(request),
        )

    outcome = await run_in_threadpool(_make, caller, arguments, once)
    attempt.is_recorded = True
    return answer(outcome)


post_route(
    router,
    "/v1/exports",
    post_export,
    schema=ExportRequest,
    view=ExportView,
    roles=STAFF_AND_AUDITORS,
    summary="Export the books and the log",
    tag="Exports",
    status=HTTPStatus.CREATED,
    operation=_OPERATION,
)


@router.get("/v1/exports", tags=["Exports"], summary="List exports", response_model=ListView[ExportView])
def get_exports(caller: StaffCaller, cursor: Cursor = "", limit: Limit = 100) -> Any:
    """Return the issuer's exports, oldest first."""
    with caller.read() as connection:
        found = exports.exports(connection, caller.principal, after=cursor, limit=limit + 1)
    return page(found, limit, _show, lambda one: one.id)


@router.get("/v1/exports/{export_id}", tags=["Exports"], summary="Get an export", response_model=ExportView)
def get_export(caller: StaffCaller, export_id: PathId) -> Any:
    """Return one export with its manifest."""
    with caller.read() as connection:
        return _show(exports.export(connection, caller.principal, export_id))


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
def get_export_file(caller: StaffCaller, export_id: PathId, name: PathId) -> Response:
    """Return a file, checked against the manifest a moment before; one that was lost is made again first."""
    service = caller.service
    path, facts = exports.export_file(
        service.database, caller.principal, export_id, name, service.settings.export_directory
    )
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


def _make(
    caller: Caller, arguments: ExportArguments, once: Callable[[Callable[[Connection], Made]], Outcome]
) -> Outcome:
    # Files take long and a transaction must not: first see whether the key has its answer, then make the files, and
    # only then record export and answer together. Of two at once the later finds the answer and drops its files.
    try:
        return once(_unanswered)
    except _UnansweredError:
        pass
    service = caller.service
    with exports.prepared_export(
        service.database,
        service.clock,
        caller.principal,
        arguments,
        service.settings.export_directory,
        service.vouching,
    ) as prepared:

        def record(connection: Connection) -> Made:
            exports.record_export(connection, prepared.export)
            return Made(prepared.export.id, orjson.dumps(_show(prepared.export)), HTTPStatus.CREATED)

        outcome = once(record)
        if not outcome.replayed:
            prepared.publish()
    return outcome


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _show(one: Export) -> dict[str, Any]:
    return {
        "id": one.id,
        "object": "export",
        "created_at": format_time(one.created_at),
        "issuer_id": one.issuer_id,
        "requested_by": one.requested_by,
        "format": one.pinned.arguments.format.value,
        "manifest": one.manifest,
    }
