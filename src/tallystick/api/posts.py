"""POST routes that read the raw request: FastAPI's own parsing is neither strict enough for money nor fast enough."""

from collections.abc import Awaitable, Callable
from inspect import cleandoc
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from tallystick.api.short_way import reads_raw_request
from tallystick.participants import Role, Scope

__all__ = ["REQUEST_SCHEMAS", "post_route"]

# What these routes read, for the OpenAPI document: FastAPI sees only the raw request.
REQUEST_SCHEMAS: Final[dict[str, type[BaseModel]]] = {}


def post_route(
    router: APIRouter,
    path: str,
    endpoint: Callable[[Request], Awaitable[Response]],
    *,
    schema: type[BaseModel],
    view: type[BaseModel],
    roles: frozenset[Role],
    summary: str,
    tag: str,
    status: int,
    takes_key: bool = True,
    operation: str | None = None,
    scope: Scope | None = None,
    waiting_view: type[BaseModel] | None = None,
) -> None:
    """Add a POST route that reads the raw request itself; declare who may call it and document what it reads.

    Whatever writes takes a key; `takes_key` False is for what only asks. `operation` is what the audit trail calls it;
    its path unless given. The endpoint authenticates with the same roles and scope. `waiting_view` is what it answers
    with 202 instead, where people have to look at it first.
    """
    endpoint.allowed_roles = roles  # type: ignore[attr-defined]
    endpoint.required_scope = scope  # type: ignore[attr-defined]
    endpoint.operation = str(operation or path)  # type: ignore[attr-defined]
    REQUEST_SCHEMAS[schema.__name__] = schema
    parameters: list[dict[str, Any]] = []
    if takes_key:
        parameters.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": True,
                "description": "Unique per principal and operation; the answer to it is kept for ever.",
                "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
            }
        )
    parameters += [
        {"name": part[1:-1], "in": "path", "required": True, "schema": {"type": "string", "maxLength": 64}}
        for part in path.split("/")
        if part.startswith("{")
    ]
    responses: dict[int | str, dict[str, Any]] = {status: {"model": view}}
    if waiting_view is not None:
        responses[202] = {"model": waiting_view, "description": "It waits for other people."}
    reference = {"$ref": f"#/components/schemas/{schema.__name__}"}
    router.add_api_route(
        path,
        reads_raw_request(endpoint),
        methods=["POST"],
        summary=summary,
        description=cleandoc(endpoint.__doc__ or schema.__doc__ or ""),
        tags=[tag],
        status_code=status,
        response_model=None,
        responses=responses,
        operation_id=_operation_id(path),
        openapi_extra={
            "parameters": parameters,
            "requestBody": {"required": True, "content": {"application/json": {"schema": reference}}},
        },
    )


def _operation_id(path: str) -> str:
    return "post" + path.replace("/", "_").replace("-", "_").replace("{", "").replace("}", "")
