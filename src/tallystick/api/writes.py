"""Writes that aren't instructions: registering and recording. Idempotent by the same keys and the same answers."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel
from sqlalchemy import Connection

from tallystick import tokens
from tallystick.api.access import Caller, authenticated
from tallystick.api.attempts import attempt_of
from tallystick.api.bodies import idempotency_key, path_ids, read_json, understood
from tallystick.api.money import answer
from tallystick.api.posts import post_route
from tallystick.api.recording import drafted_write
from tallystick.core.strict_json import JsonValue
from tallystick.participants import Role, Scope
from tallystick.tokens import Made, Outcome

__all__ = ["write_route"]


def write_route(
    router: APIRouter,
    path: str,
    *,
    operation: str,
    schema: type[BaseModel],
    view: type[BaseModel],
    roles: frozenset[Role],
    make: Callable[[Caller, Connection, Any, Mapping[str, str]], dict[str, Any]],
    summary: str,
    tag: str,
    status: int = 201,
    scope: Scope | None = None,
    size_max_bytes: int | None = None,
) -> None:
    """Add `POST path`: read the body as `schema`, do `make` in one transaction, answer with the object it returns.

    The object's `id` is what a key that is used again for something else is answered with. `scope` None follows from
    the roles. `size_max_bytes` is for bodies that may be larger than the installation's `body_size_max_bytes`.
    """

    async def endpoint(request: Request) -> Response:
        caller = await authenticated(request, roles, scope)
        key = idempotency_key(request)
        asked = await read_json(
            request, max(size_max_bytes or 0, caller.service.settings.body_size_max_bytes)
        )
        body = understood(schema, asked)
        ids = path_ids(request)
        hashed: dict[str, JsonValue] = {"body": asked, "path": dict(ids)}
        attempt = attempt_of(request.scope)
        request_hash = attempt.request_hash = tokens.request_hash(operation, hashed)

        def made(connection: Connection) -> Made:
            shown = make(caller, connection, body, ids)
            return Made(shown["id"], orjson.dumps(shown), status)

        def work() -> Outcome:
            return caller.service.once(
                caller.principal,
                key_digest=tokens.key_digest(caller.principal.id, operation, key),
                request_hash=request_hash,
                make=made,
                draft=drafted_write(request),
            )

        outcome = await run_in_threadpool(work)
        attempt.is_recorded = True
        return answer(outcome)

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
        operation=operation,
        scope=scope,
    )
