"""The edge of every route that moves money: authenticate, read strictly, hand to the write path, answer.

It is kept thin on purpose: one parse, no tower of dependencies, and the stored answer's bytes go out as they are.
"""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel

from tallystick import tokens
from tallystick.api.access import Caller, authenticated
from tallystick.api.attempts import attempt_of, source_of
from tallystick.api.bodies import idempotency_key, path_ids, read_content, understood
from tallystick.api.posts import post_route
from tallystick.api.recording import note_instruction
from tallystick.api.signed_requests import check_signature
from tallystick.core.strict_json import JsonValue
from tallystick.participants import Principal, Role, Scope
from tallystick.tokens import Outcome, Submission

__all__ = ["Fields", "answer", "money_route", "new_request"]

Fields = dict[str, Any]


def new_request(
    principal: Principal,
    kind: str,
    key: str,
    asked: JsonValue,
    fields: Fields,
    scope: Mapping[str, str] | None = None,
    *,
    key_scope: str | None = None,
    source: str | None = None,
) -> tokens.Request:
    """Return the write path's request for what was asked; `scope` is what the path adds to the body.

    A key is unique within `key_scope`, by default the kind.
    """
    within = key_scope or kind
    hashed: dict[str, JsonValue] = {"body": asked}
    if scope:
        hashed["path"] = dict(scope)
    return tokens.Request(
        id=tokens.new_instruction_id(kind),
        kind=kind,
        principal=principal,
        key_digest=tokens.key_digest(principal.id, within, key),
        request_hash=tokens.request_hash(within, hashed),
        source=source,
        **fields,
    )


def answer(outcome: Outcome) -> Response:
    """Return the outcome's stored bytes, or raise its refusal."""
    if outcome.refusal is not None:
        raise outcome.refusal
    headers = {"Idempotency-Replayed": "true"} if outcome.replayed else None
    return Response(outcome.body, outcome.status, headers, media_type="application/json")


def money_route(  # noqa: PLR0913 Each says one thing of the route.
    router: APIRouter,
    path: str,
    *,
    kind: str,
    key_scope: str | None = None,
    schema: type[BaseModel],
    view: type[BaseModel],
    roles: frozenset[Role],
    fields: Callable[[Any, Mapping[str, str]], Fields],
    summary: str,
    tag: str,
    status: int = 201,
    scope: Scope | None = None,
    check: Callable[[Caller, Any], None] | None = None,
    prepare: Callable[[Caller, Any, tokens.Request], Fields] | None = None,
) -> None:
    """Add `POST path`, which asks the write path for an instruction of `kind`.

    A key is unique within `key_scope`, by default the kind. `fields` turns the understood body and the path's
    parameters into the request's fields; `view` documents the answer; `scope` None follows from the roles; `check`
    refuses what only this installation refuses; `prepare` does what takes long before the write path is asked, and
    returns further fields of the request.
    """

    async def endpoint(request: Request) -> Response:
        caller = await authenticated(request, roles, scope)
        key = idempotency_key(request)
        content, asked = await read_content(request, caller.service.settings.body_size_max_bytes)
        ids = path_ids(request)
        body = understood(schema, asked)
        if check is not None:
            check(caller, body)
        await check_signature(caller, request, content, (getattr(body, "amount", None),))
        instruction = new_request(
            caller.principal,
            kind,
            key,
            asked,
            fields(body, ids),
            ids,
            key_scope=key_scope,
            source=source_of(request.scope),
        )
        attempt_of(request.scope).request_hash = instruction.request_hash
        if prepare is not None:
            instruction = instruction._replace(**await run_in_threadpool(prepare, caller, body, instruction))
        settled = await caller.service.settle(caller.issuer_id, Submission((instruction,)))
        note_instruction(request, instruction, settled.outcomes[0])
        return answer(settled.outcomes[0])

    post_route(
        router,
        path,
        endpoint,
        schema=schema,
        view=view,
        roles=roles,
        summary=summary,
        tag=tag,
        status=status,
        # What the rules refer, or an amount asks people for, waits.
        waiting_view=view if status == HTTPStatus.CREATED else None,
        operation=kind,
        scope=scope,
    )
