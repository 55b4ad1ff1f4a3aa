"""`/v1/statements`: what the core bank says of the backing accounts, and what became of it."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final, Literal, NamedTuple

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import Connection

from tallystick import audit, matching, participants, statements, tokens
from tallystick.api.access import Caller, StaffCaller, authenticated
from tallystick.api.attempts import attempt_of
from tallystick.api.bodies import Reason, Schema, idempotency_key, read_body, understood
from tallystick.api.money import answer
from tallystick.api.pages import Cursor, IdQuery, Limit, NumberCursor, PathId, page
from tallystick.api.recording import drafted_write
from tallystick.api.service import Service
from tallystick.api.views import ListView, View
from tallystick.api.writes import write_route
from tallystick.audit import Draft
from tallystick.core.clock import format_time
from tallystick.core.errors import DomainError, UnavailableError
from tallystick.core.money import format_amount
from tallystick.core.strict_json import parse_json
from tallystick.participants import Principal, Role
from tallystick.statements import Statement, StatementEntry, StatementFile, StatementFinding, StatementImport
from tallystick.tokens import Made, Outcome

__all__ = ["IMPORTERS", "match_imported", "router", "show_import"]

router = APIRouter()

IMPORTERS: Final = frozenset({Role.TREASURY_MAKER})
_OPERATION: Final = "statement_import"
#: XML and SWIFT's texts tell themselves apart.
_AS_IT_IS: Final = frozenset({"application/xml", "text/xml", "text/plain"})
_CSV: Final = "application/vnd.tallystick.csv+json"


class StatementMediaTypeUnsupportedError(DomainError):
    """A body that says it is something else than XML, text, or CSV with its mapping is no statement."""

    code = "statement_media_type_unsupported"
    status = 415
    title = "A statement must be application/xml, text/plain or application/vnd.tallystick.csv+json"


class CsvStatement(Schema):
    """A CSV file as text, with the mapping by which it is read (see the treasury's guide)."""

    csv: str
    mapping: dict[str, Any]


class AbandonRequest(Schema):
    """Give up on a statement whose import was cut short, and say why. Its deposits stay; another may take its place."""

    reason: Reason


class StatementView(View):
    """One imported statement, report or notification; `importing` while not all of its entries are in.

    `abandoned` if a person gave up on that: what came of it stands, and nothing more comes.

    Its balances are the booked ones: negative when overdrawn, null where there is none.
    """

    id: str
    object: str
    created_at: str
    issuer_id: str
    token_class_id: str
    currency: str
    message_type: str
    message_id: str
    bank_account: str
    bank_statement_id: str
    sequence_number: int | None
    opened_on: str | None
    closed_on: str | None
    opening_balance: str | None
    closing_balance: str | None
    entry_count: int
    content_hash: str
    file_hash: str
    imported_by: str
    state: Literal["importing", "complete", "abandoned"]
    completed_at: str | None
    abandoned_at: str | None


class ImportedStatementView(StatementView):
    """A statement of the message that was sent; `imported` is false if it was there before."""

    imported: bool


class StatementImportView(View):
    """What became of a message. `imported` is false if all of it was there before and nothing was changed."""

    object: str
    imported: bool
    message_type: str
    message_id: str
    statements: list[ImportedStatementView]


class StatementEntryView(View):
    """One entry of a statement. `deposit_id` names the deposit that a booked credit became."""

    id: str
    object: str
    statement_id: str
    entry_number: int
    amount: str
    currency: str
    direction: str
    status: str
    reversal: bool
    booking_date: str | None
    value_date: str | None
    bank_reference: str | None
    end_to_end_id: str | None
    uetr: str | None
    counterparty_name: str | None
    counterparty_account: str | None
    remittance: str | None
    deposit_id: str | None
    matched_by: str | None


class StatementFindingView(View):
    """Something odd in a statement that was no reason to refuse it."""

    object: str
    statement_id: str
    finding_number: int
    code: str
    severity: str
    location: str
    message: str


async def post_statement(request: Request) -> Response:
    """Import every statement of the message; answer 201, or 200 if all of them were imported before.

    Credits become deposits: confirmed to the account that reference or payer name, or waiting for assignment. To send
    a statement again changes nothing, with or without an `Idempotency-Key`.
    """
    caller = await authenticated(request, IMPORTERS)
    key = idempotency_key(request) if "idempotency-key" in request.headers else None
    media_type = _media_type(request)
    content = await read_body(request, caller.service.settings.statement_size_max_bytes)
    attempt = attempt_of(request.scope)
    attempt.request_hash = tokens.request_hash(
        _OPERATION, {"body_sha256": hashlib.sha256(content).hexdigest()}
    )
    asked = _Asked(key, content, media_type, attempt.request_hash, drafted_write(request), set())
    outcome = await run_in_threadpool(_import, caller, asked)
    attempt.is_recorded = True
    await run_in_threadpool(match_imported, caller.service, caller.principal, asked.classes)
    return answer(outcome)


router.add_api_route(
    "/v1/statements",
    post_statement,
    methods=["POST"],
    summary="Import a bank statement",
    tags=["Statements"],
    status_code=201,
    response_model=None,
    responses={
        201: {"model": StatementImportView, "description": "Imported"},
        200: {"model": StatementImportView, "description": "Imported before; nothing was changed"},
    },
    operation_id="post_v1_statements",
    openapi_extra={
        "parameters": [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "description": "Optional here: a statement is known by its content.",
                "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
            }
        ],
        "requestBody": {
            "required": True,
            "description": "camt.052, camt.053 or camt.054 (02 to 12), MT940 or MT942, or CSV and its mapping.",
            "content": {
                "application/xml": {"schema": {"type": "string"}},
                "text/plain": {"schema": {"type": "string"}},
                _CSV: {"schema": CsvStatement.model_json_schema()},
            },
        },
    },
)
post_statement.allowed_roles = IMPORTERS  # type: ignore[attr-defined]
post_statement.operation = _OPERATION  # type: ignore[attr-defined]


def _abandon(
    caller: Caller, connection: Connection, body: AbandonRequest, scope: Mapping[str, str]
) -> dict[str, Any]:
    found = statements.abandon_statement(
        connection, caller.service.clock, caller.principal, scope["statement_id"], body.reason
    )
    return _show(found, _scales(connection, caller.issuer_id, [found])[found.token_class_id])


write_route(
    router,
    "/v1/statements/{statement_id}/abandon",
    operation="statement_abandonment",
    schema=AbandonRequest,
    view=StatementView,
    roles=IMPORTERS,
    make=_abandon,
    summary="Give up on a statement that came in half",
    tag="Statements",
)


@router.get(
    "/v1/statements", tags=["Statements"], summary="List statements", response_model=ListView[StatementView]
)
def get_statements(
    caller: StaffCaller, token_class_id: IdQuery = None, cursor: Cursor = "", limit: Limit = 100
) -> Any:
    """Return imported statements in the order of their import."""
    with caller.read() as connection:
        found = statements.statements(
            connection, caller.issuer_id, token_class_id=token_class_id, after=cursor, limit=limit + 1
        )
        scales = _scales(connection, caller.issuer_id, found)
    return page(found, limit, lambda one: _show(one, scales[one.token_class_id]), lambda one: one.id)


@router.get(
    "/v1/statements/{statement_id}",
    tags=["Statements"],
    summary="Get a statement",
    response_model=StatementView,
)
def get_statement(caller: StaffCaller, statement_id: PathId) -> Any:
    """Return one statement."""
    with caller.read() as connection:
        found = statements.statement(connection, caller.issuer_id, statement_id)
        return _show(found, _scales(connection, caller.issuer_id, [found])[found.token_class_id])


@router.get(
    "/v1/statements/{statement_id}/entries",
    tags=["Statements"],
    summary="List a statement's entries",
    response_model=ListView[StatementEntryView],
)
def get_statement_entries(
    caller: StaffCaller, statement_id: PathId, cursor: NumberCursor = 0, limit: Limit = 100
) -> Any:
    """Return the entries in the order of the file: credits and debits, booked or not."""
    with caller.read() as connection:
        of = statements.statement(connection, caller.issuer_id, statement_id)
        scale = _scales(connection, caller.issuer_id, [of])[of.token_class_id]
        found = statements.entries(connection, caller.issuer_id, of.id, after=cursor, limit=limit + 1)
    return page(
        found, limit, lambda one: _show_entry(one, of.currency, scale), lambda one: str(one.entry_number)
    )


@router.get(
    "/v1/statements/{statement_id}/findings",
    tags=["Statements"],
    summary="List a statement's findings",
    response_model=ListView[StatementFindingView],
)
def get_statement_findings(
    caller: StaffCaller, statement_id: PathId, cursor: NumberCursor = 0, limit: Limit = 100
) -> Any:
    """Return what was odd in the statement, such as a balance that doesn't follow from the one before."""
    with caller.read() as connection:
        of = statements.statement(connection, caller.issuer_id, statement_id)
        found = statements.findings(connection, caller.issuer_id, of.id, after=cursor, limit=limit + 1)
    return page(found, limit, _show_finding, lambda one: str(one.finding_number))


def show_import(connection: Connection, issuer_id: str, done: StatementImport) -> dict[str, Any]:
    """Return what became of a message as JSON."""
    scales = _scales(connection, issuer_id, [one.statement for one in done.statements])
    return {
        "object": "statement_import",
        "imported": done.imported,
        "message_type": done.message_type,
        "message_id": done.message_id,
        "statements": [
            {**_show(one.statement, scales[one.statement.token_class_id]), "imported": one.imported}
            for one in done.statements
        ],
    }


def match_imported(service: Service, importer: Principal, class_ids: Iterable[str]) -> None:
    """Match what was imported with the books, and let payouts follow it, in transactions of their own behind it.

    If the database or this process goes away meanwhile the import stands, and the same file again makes up for it.
    """
    with suppress(UnavailableError):
        for class_id in sorted(class_ids):
            matching.match_in_parts(service.database, service.clock, importer.issuer_id, class_id)
            service.follow_payouts(importer.issuer_id, class_id)


def _media_type(request: Request) -> str | None:
    stated = request.headers.get("content-type")
    media_type = None if stated is None else stated.partition(";")[0].strip().lower()
    if media_type is not None and media_type not in _AS_IT_IS | {_CSV}:
        raise StatementMediaTypeUnsupportedError
    return media_type


def _read(content: bytes, media_type: str | None, size_max_bytes: int) -> StatementFile:
    """Return what the body says: a bank's file as it is, or one of CSV with its mapping."""
    if media_type != _CSV:
        return statements.read_file(content, size_max_bytes=size_max_bytes)
    asked = parse_json(content, size_max_bytes=size_max_bytes)
    sent = understood(CsvStatement, asked)
    assert isinstance(asked, dict)  # It was just understood.
    # JSON has told the characters already, whatever the bank's own file is in.
    mapping = statements.understood_mapping(asked["mapping"]).model_copy(update={"encoding": "utf-8"})
    text = sent.csv.encode("utf-8", "surrogatepass")
    return statements.read_file(text, size_max_bytes=size_max_bytes, mapping=mapping)


class _Asked(NamedTuple):
    """One import: what was sent, under which key, and how its attempt is put on record."""

    key: str | None
    content: bytes
    media_type: str | None
    request_hash: bytes
    draft: Callable[[Outcome], Draft]
    #: The token classes of its statements.
    classes: set[str]


class _NotAnsweredError(Exception):
    """Nothing was answered under the key yet."""


def _import(caller: Caller, asked: _Asked) -> Outcome:
    service, importer = caller.service, caller.principal
    file = _read(asked.content, asked.media_type, service.settings.statement_size_max_bytes)

    def work(connection: Connection) -> Made:
        done = statements.import_statement(connection, service.settler, importer, file)
        shown = show_import(connection, importer.issuer_id, done)
        asked.classes.update(one.statement.token_class_id for one in done.statements)
        return Made(done.statements[0].statement.id, orjson.dumps(shown), 201 if done.imported else 200)

    def work_on_record(connection: Connection) -> Outcome:
        made = work(connection)
        outcome = Outcome(made.status, made.body, made.resource_id)
        audit.append(connection, service.clock, importer.issuer_id, [asked.draft(outcome)])
        return outcome

    if asked.key is None:
        statements.import_ahead(service.database, service.settler, importer, file)
        return service.database.run(work_on_record)
    key_digest = tokens.key_digest(importer.id, _OPERATION, asked.key)

    def once(make: Callable[[Connection], Made]) -> Outcome:
        return service.once(
            importer, key_digest=key_digest, request_hash=asked.request_hash, make=make, draft=asked.draft
        )

    if file.entry_count > statements.PART_SIZE_MAX:
        # Parts are committed before there is an answer, so a key that was used for something else is refused first.
        with suppress(_NotAnsweredError):
            return once(_not_answered)
        statements.import_ahead(service.database, service.settler, importer, file)
    return once(work)


def _not_answered(_connection: Connection) -> Made:
    raise _NotAnsweredError


def _scales(connection: Connection, issuer_id: str, found: list[Statement]) -> dict[str, int]:
    return {
        class_id: participants.token_class(connection, issuer_id, class_id).scale
        for class_id in {one.token_class_id for one in found}
    }


def _show(found: Statement, scale: int) -> dict[str, Any]:
    return {
        "id": found.id,
        "object": "statement",
        "created_at": format_time(found.imported_at),
        "issuer_id": found.issuer_id,
        "token_class_id": found.token_class_id,
        "currency": found.currency,
        "message_type": found.message_type,
        "message_id": found.message_id,
        "bank_account": found.bank_account,
        "bank_statement_id": found.bank_statement_id,
        "sequence_number": found.sequence_number,
        "opened_on": None if found.opened_on is None else found.opened_on.isoformat(),
        "closed_on": None if found.closed_on is None else found.closed_on.isoformat(),
        "opening_balance": None if found.opening_minor is None else format_amount(found.opening_minor, scale),
        "closing_balance": None if found.closing_minor is None else format_amount(found.closing_minor, scale),
        "entry_count": found.entry_count,
        "content_hash": found.content_hash.hex(),
        "file_hash": found.file_hash.hex(),
        "imported_by": found.imported_by,
        "state": _state(found),
        "completed_at": None if found.completed_at is None else format_time(found.completed_at),
        "abandoned_at": None if found.abandoned_at is None else format_time(found.abandoned_at),
    }


def _state(found: Statement) -> str:
    if found.abandoned_at is not None:
        return "abandoned"
    return "importing" if found.completed_at is None else "complete"


def _show_entry(one: StatementEntry, currency: str, scale: int) -> dict[str, Any]:
    return {
        "id": one.id,
        "object": "statement_entry",
        "statement_id": one.statement_id,
        "entry_number": one.entry_number,
        "amount": format_amount(one.amount_minor, scale),
        "currency": currency,
        "direction": "credit" if one.credit else "debit",
        "status": "booked" if one.booked else "pending",
        "reversal": one.reversal,
        "booking_date": None if one.booking_date is None else one.booking_date.isoformat(),
        "value_date": None if one.value_date is None else one.value_date.isoformat(),
        "bank_reference": one.bank_reference,
        "end_to_end_id": one.end_to_end_id,
        "uetr": one.uetr,
        "counterparty_name": one.counterparty_name,
        "counterparty_account": one.counterparty_account,
        "remittance": one.remittance,
        "deposit_id": one.deposit_id,
        "matched_by": one.matched_by,
    }


def _show_finding(one: StatementFinding) -> dict[str, Any]:
    return {
        "object": "statement_finding",
        "statement_id": one.statement_id,
        "finding_number": one.finding_number,
        "code": one.code,
        "severity": one.severity,
        "location": one.location,
        "message": one.message,
    }
