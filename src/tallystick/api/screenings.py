"""`/v1/screening-lists` and `/v1/screenings`: whom the bank must not serve, and which holder may be one of them.

For the bank's own people and its auditors: a customer is never told that it was taken for somebody on a list.
"""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, Final, Self

import orjson
from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import Field, StringConstraints, model_validator
from sqlalchemy import Connection

from tallystick import participants, screening, tokens
from tallystick.api.access import Caller, StaffCaller, authenticated
from tallystick.api.bodies import ObjectId, Reason, Schema, idempotency_key, read_body
from tallystick.api.changes import change_route
from tallystick.api.money import answer
from tallystick.api.pages import LIMIT_MAX, Cursor, IdQuery, Limit, PathId, page
from tallystick.api.problems import validation_problem
from tallystick.api.service import Service
from tallystick.api.views import ListView, View
from tallystick.api.writes import write_route
from tallystick.core.canonical_json import CanonicalValue
from tallystick.core.clock import format_time
from tallystick.core.errors import DomainError
from tallystick.core.ids import new_id
from tallystick.participants import Principal, Role
from tallystick.screening import Decision, Hit, Screening, ScreeningList
from tallystick.tokens import Made, Outcome

__all__ = ["SCREENERS", "router", "show_list"]

router = APIRouter()

SCREENERS: Final = frozenset({Role.OPERATOR})
_OPERATION: Final = "screening_list_import"
_MEDIA_TYPES: Final = frozenset({"application/x-ndjson", "application/jsonl", "application/json"})
_HITS_SHOWN_MAX: Final = 20


class ScreeningListMediaTypeUnsupportedError(DomainError):
    """A body that says it is something else than JSON or JSON Lines is no screening list."""

    code = "screening_list_media_type_unsupported"
    status = 415
    title = "A screening list must be application/x-ndjson or application/json"


class ScreeningDecisionRequest(Schema):
    """Say that a hit is not, or is, the one on the list, and why. Another person decides."""

    reason: Reason


class ScreeningRequest(Schema):
    """Screen one holder now, or the next `limit` of all holders behind `cursor`: those that the lists in force were not
    applied to yet.
    """

    holder_id: ObjectId | None = None
    limit: Annotated[int, Field(ge=1, le=LIMIT_MAX)] | None = None
    cursor: Annotated[str, StringConstraints(max_length=64, pattern=r"^[A-Za-z0-9_.\-]*$")] = ""

    @model_validator(mode="after")
    def _one_or_many(self) -> Self:
        # So that no empty body sets off a run.
        if (self.holder_id is None) == (self.limit is None):
            raise ValueError("give either holder_id or limit")
        return self


class ScreeningListView(View):
    """One version of a list. `skipped_count` are addresses, relationships and other things that are nobody."""

    id: str
    object: str
    created_at: str
    issuer_id: str
    number: int
    name: str
    version: str
    content_hash: str
    entity_count: int
    skipped_count: int
    imported_by: str


class ImportedScreeningListView(ScreeningListView):
    """A list as it was sent; `imported` is false if this version was there before and nothing was changed."""

    imported: bool


class HitView(View):
    """A listed entity that the holder may be: which name matched, how well, and by which reading."""

    entity_id: str
    entity_hash: str
    schema_: Annotated[str, Field(alias="schema")]
    matched_name: str
    matched_property: str
    algorithm: str
    score: int
    confidence: int
    countries: list[str]
    datasets: list[str]
    decision: str | None


class ScreeningView(View):
    """One holder against one list version, with its first twenty hits; `hit_count` counts all.

    `holder_id` is the beneficiary's own id (`beneficiary_…`) where it is whom payouts pay.
    """

    id: str
    object: str
    created_at: str
    issuer_id: str
    holder_id: str
    list_id: str
    list_name: str
    state: str
    subject: dict[str, str | None]
    threshold: int
    hit_count: int
    hits: list[HitView]
    decided_at: str | None
    superseded_by: str | None


class DecisionView(View):
    """What people made of a screening."""

    verdict: str
    reason: str
    decided_by: str
    decided_at: str
    approvals: list[str]


class DecidedScreeningView(ScreeningView):
    """A screening with all its hits and what people decided of it, oldest first."""

    decisions: list[DecisionView]


class ScreeningRunView(View):
    """What a run did; kept as the answer to its key and nowhere else. `next_cursor` is null when all are done."""

    id: str
    object: str
    created_at: str
    issuer_id: str
    screened_count: int
    kept_count: int
    hit_count: int
    next_cursor: str | None


async def post_screening_list(request: Request) -> Response:
    """Import a version of a list: 201, or 200 if it was imported before. The newest of each name is in force.

    The body is FollowTheMoney entities, one JSON object per line or one array of them. From then on every holder that
    was not screened against it is `unscreened`: run `POST /v1/screenings` until it has no `next_cursor`.
    """
    caller = await authenticated(request, SCREENERS)
    key = idempotency_key(request) if "idempotency-key" in request.headers else None
    asked = _query(request)
    media_type = request.headers.get("content-type")
    if media_type is not None and media_type.partition(";")[0].strip().lower() not in _MEDIA_TYPES:
        raise ScreeningListMediaTypeUnsupportedError
    content = await read_body(request, caller.service.settings.screening_list_size_max_bytes)
    return await run_in_threadpool(_import, caller.service, caller.principal, key, content, asked)


def _parameter(name: str, description: str, schema: dict[str, Any], *, required: bool) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": required,
        "description": description,
        "schema": schema,
    }


_NAME_SCHEMA: Final = {"type": "string", "minLength": 1, "maxLength": 64}
router.add_api_route(
    "/v1/screening-lists",
    post_screening_list,
    methods=["POST"],
    summary="Import a screening list",
    tags=["Screening"],
    status_code=201,
    response_model=None,
    responses={
        201: {"model": ImportedScreeningListView, "description": "Imported"},
        200: {"model": ImportedScreeningListView, "description": "Imported before; nothing was changed"},
    },
    operation_id="post_v1_screening_lists",
    openapi_extra={
        "parameters": [
            _parameter("name", "Which list this is a version of.", _NAME_SCHEMA, required=True),
            _parameter("version", "What its publisher calls this version.", _NAME_SCHEMA, required=True),
            _parameter(
                "smaller_accepted",
                "Take a version with less than half the entities of the one before.",
                {"type": "string", "enum": ["true", "false"]},
                required=False,
            ),
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "description": "Optional here: a list is known by its content.",
                "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
            },
        ],
        "requestBody": {
            "required": True,
            "description": "FollowTheMoney entities as JSON Lines.",
            "content": {"application/x-ndjson": {"schema": {"type": "string"}}},
        },
    },
)
post_screening_list.operation = "screening_list_import"  # type: ignore[attr-defined]
post_screening_list.allowed_roles = SCREENERS  # type: ignore[attr-defined]


def _screen(
    caller: Caller, connection: Connection, body: ScreeningRequest, _path: Mapping[str, str]
) -> dict[str, Any]:
    service = caller.service
    threshold = service.settings.screening_threshold
    if body.holder_id is not None:
        holder = participants.holder(connection, caller.principal, body.holder_id)
        done = screening.rescreen_holder(
            connection, service.clock, caller.issuer_id, holder.id, threshold=threshold
        )
    else:
        done = screening.rescreen(
            connection,
            service.clock,
            caller.issuer_id,
            after=body.cursor,
            limit=body.limit or 1,
            threshold=threshold,
        )
    return {
        "id": new_id("screening_run"),
        "object": "screening_run",
        "created_at": format_time(service.clock.now()),
        "issuer_id": caller.issuer_id,
        "screened_count": done.screened_count,
        "kept_count": done.kept_count,
        "hit_count": done.hit_count,
        "next_cursor": done.next_after,
    }


write_route(
    router,
    "/v1/screenings",
    operation="screening",
    schema=ScreeningRequest,
    view=ScreeningRunView,
    roles=SCREENERS,
    make=_screen,
    summary="Screen holders",
    tag="Screening",
)


change_route(
    router,
    "/v1/screenings/{screening_id}/clear",
    operation="screening_clearance",
    schema=ScreeningDecisionRequest,
    roles=SCREENERS,
    subject="screening_id",
    payload=lambda body: {"reason": body.reason},
    summary="Ask for a hit to be cleared",
    tag="Screening",
)
change_route(
    router,
    "/v1/screenings/{screening_id}/confirm",
    operation="screening_confirmation",
    schema=ScreeningDecisionRequest,
    roles=SCREENERS,
    subject="screening_id",
    payload=lambda body: {"reason": body.reason},
    summary="Ask for a hit to be confirmed",
    tag="Screening",
)


@router.get(
    "/v1/screening-lists",
    tags=["Screening"],
    summary="List screening lists",
    response_model=ListView[ScreeningListView],
)
def get_screening_lists(caller: StaffCaller, cursor: Cursor = "", limit: Limit = 100) -> Any:
    """Return list versions in the order of their import; of each name the last is in force."""
    with caller.read() as connection:
        found = screening.screening_lists(connection, caller.issuer_id, after=cursor, limit=limit + 1)
    return page(found, limit, show_list, lambda one: one.id)


@router.get(
    "/v1/screening-lists/{screening_list_id}",
    tags=["Screening"],
    summary="Get a screening list",
    response_model=ScreeningListView,
)
def get_screening_list(caller: StaffCaller, screening_list_id: PathId) -> Any:
    """Return one list version, without its entities."""
    with caller.read() as connection:
        return show_list(screening.screening_list(connection, caller.issuer_id, screening_list_id))


@router.get(
    "/v1/screenings",
    tags=["Screening"],
    summary="List screenings",
    response_model=ListView[ScreeningView],
)
def get_screenings(
    caller: StaffCaller,
    state: Annotated[str | None, Query(pattern="^(clear|hit|cleared|confirmed)$")] = None,
    holder_id: IdQuery = None,
    superseded: Annotated[
        bool, Query(description="Also those that newer ones have taken the place of.")
    ] = False,
    cursor: Cursor = "",
    limit: Limit = 100,
) -> Any:
    """Return screenings in the order in which they were made; `state=hit` is what waits for people."""
    with caller.read() as connection:
        found = screening.screenings(
            connection,
            caller.issuer_id,
            state=state,
            holder_id=holder_id,
            superseded=superseded,
            after=cursor,
            limit=limit + 1,
        )
    return page(found, limit, lambda one: _show(one, one.hits[:_HITS_SHOWN_MAX]), lambda one: one.id)


@router.get(
    "/v1/screenings/{screening_id}",
    tags=["Screening"],
    summary="Get a screening",
    response_model=DecidedScreeningView,
)
def get_screening(caller: StaffCaller, screening_id: PathId) -> Any:
    """Return one screening with all that explains it and all that was decided of it."""
    with caller.read() as connection:
        found = screening.screening(connection, caller.issuer_id, screening_id)
        made = screening.decisions(connection, caller.issuer_id, screening_id)
    return {**_show(found, found.hits), "decisions": [_show_decision(one) for one in made]}


def show_list(found: ScreeningList) -> dict[str, Any]:
    """Return a list version as JSON."""
    return {
        "id": found.id,
        "object": "screening_list",
        "created_at": format_time(found.imported_at),
        "issuer_id": found.issuer_id,
        "number": found.number,
        "name": found.name,
        "version": found.version,
        "content_hash": found.content_hash.hex(),
        "entity_count": found.entity_count,
        "skipped_count": found.skipped_count,
        "imported_by": found.imported_by,
    }


def _query(request: Request) -> dict[str, str]:
    """Return the list's name and version, and whether it may be smaller; refuse what is missing or unknown."""
    asked = request.query_params.multi_items()
    given = dict(asked)
    errors = [
        {"loc": ("query", name), "type": "missing", "msg": "Field required"}
        for name in ("name", "version")
        if name not in given
    ]
    if len(given) < len(asked) or set(given) - {"name", "version", "smaller_accepted"}:
        errors.append({"loc": ("query",), "type": "extra_forbidden", "msg": "Unknown or repeated parameter"})
    if given.get("smaller_accepted", "false") not in {"true", "false"}:
        errors.append(
            {"loc": ("query", "smaller_accepted"), "type": "bool_parsing", "msg": "Either true or false"}
        )
    if errors:
        raise validation_problem(errors)
    return given


def _import(
    service: Service, importer: Principal, key: str | None, content: bytes, asked: Mapping[str, str]
) -> Response:
    def work(connection: Connection) -> Made:
        done = screening.import_list(
            connection,
            service.clock,
            importer,
            content,
            name=asked["name"],
            version=asked["version"],
            size_max_bytes=service.settings.screening_list_size_max_bytes,
            smaller_accepted=asked.get("smaller_accepted") == "true",
        )
        shown = {**show_list(done.list), "imported": done.imported}
        return Made(done.list.id, orjson.dumps(shown), 201 if done.imported else 200)

    if key is None:
        made = service.database.run(work)
        return answer(Outcome(made.status, made.body, made.resource_id))
    hashed: dict[str, CanonicalValue] = {
        "query": dict(asked),
        "body_sha256": hashlib.sha256(content).hexdigest(),
    }
    return answer(
        service.once(
            importer,
            key_digest=tokens.key_digest(importer.id, _OPERATION, key),
            request_hash=tokens.request_hash(_OPERATION, hashed),
            make=work,
        )
    )


def _show(one: Screening, hits: tuple[Hit, ...]) -> dict[str, Any]:
    return {
        "id": one.id,
        "object": "screening",
        "created_at": format_time(one.screened_at),
        "issuer_id": one.issuer_id,
        "holder_id": one.holder_id,
        "list_id": one.list_id,
        "list_name": one.list_name,
        "state": one.state,
        "subject": one.subject._asdict(),
        "threshold": one.threshold,
        "hit_count": one.hit_count,
        "hits": [_show_hit(hit) for hit in hits],
        "decided_at": None if one.decided_at is None else format_time(one.decided_at),
        "superseded_by": one.superseded_by,
    }


def _show_hit(hit: Hit) -> dict[str, Any]:
    return {
        "entity_id": hit.entity_id,
        "entity_hash": hit.entity_hash,
        "schema": hit.schema,
        "matched_name": hit.matched_name,
        "matched_property": hit.matched_property,
        "algorithm": hit.algorithm,
        "score": hit.score,
        "confidence": hit.confidence,
        "countries": list(hit.countries),
        "datasets": list(hit.datasets),
        "decision": hit.decision,
    }


def _show_decision(one: Decision) -> dict[str, Any]:
    return {
        "verdict": one.verdict,
        "reason": one.reason,
        "decided_by": one.decided_by,
        "decided_at": format_time(one.decided_at),
        "approvals": list(one.approvals),
    }
