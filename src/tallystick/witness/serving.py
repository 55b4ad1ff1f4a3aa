"""The witness over HTTP: C2SP tlog-witness, with one prefix for submission and monitoring."""

from http import HTTPStatus
from typing import Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tallystick.transparency.add_checkpoint import BODY_SIZE_MAX_BYTES
from tallystick.witness.cosigning import Answer, Witness

__all__ = ["build_witness"]

_TEXT: Final = "text/plain; charset=utf-8"


def build_witness(witness: Witness) -> Starlette:
    """Return the application: `add-checkpoint`, `<SHA-256 of an origin>/checkpoint`, and `healthz`."""

    async def add_checkpoint(request: Request) -> Response:
        body = await _body(request)
        if body is None:
            answer = Answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is too large\n")
        else:
            answer = await run_in_threadpool(witness.add_checkpoint, body)
        # Exactly the media type that is said: a client compares it.
        return Response(answer.body, answer.status, {"Content-Type": answer.media_type})

    async def checkpoint(request: Request) -> Response:
        found = await run_in_threadpool(witness.latest, request.path_params["digest"])
        if found is None:
            return PlainTextResponse("no such log, or nothing of it was cosigned\n", HTTPStatus.NOT_FOUND)
        return Response(found, headers={"Content-Type": _TEXT, "Cache-Control": "no-store"})

    async def health(_request: Request) -> Response:
        return PlainTextResponse("alive\n")

    return Starlette(
        routes=[
            Route("/add-checkpoint", add_checkpoint, methods=["POST"]),
            Route("/healthz", health, methods=["GET"]),
            Route("/{digest}/checkpoint", checkpoint, methods=["GET"]),
        ]
    )


async def _body(request: Request) -> bytes | None:
    """Return the body; None as soon as it is longer than any honest one."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_SIZE_MAX_BYTES:
            return None
    return body
