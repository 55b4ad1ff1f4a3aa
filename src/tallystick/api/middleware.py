"""Around every request: a `Request-Id` on each response, and a problem instead of a broken connection."""

import logging
import re
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tallystick.api.problems import problem_response
from tallystick.core.ids import new_id
from tallystick.tokens import InternalError

__all__ = ["RequestIds"]

_log: Final = logging.getLogger(__name__)
_OWN_ID: Final = re.compile(rb"[A-Za-z0-9._\-]{1,128}")


class RequestIds:
    """Give each response the caller's `Request-Id`, or one of ours, and log it with any fault of ours."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = scope["request_id"] = _request_id(scope)
        started = False

        async def send_with_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message.get("headers", ()), (b"request-id", request_id)]
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        except ClientDisconnect:
            # The caller went away before it had sent everything: nothing was begun, and nobody is there to answer.
            return
        except Exception:
            _log.exception("request %s failed", request_id.decode())
            if started:
                raise
            await problem_response(InternalError())(scope, receive, send_with_id)


def _request_id(scope: Scope) -> bytes:
    for name, value in scope["headers"]:
        if name == b"request-id" and _OWN_ID.fullmatch(value):
            found: bytes = value
            return found
    return new_id("request").encode()
