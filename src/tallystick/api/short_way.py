"""The short way to routes that read the raw request themselves: past the framework's routing, to the same function.

Everything such a route does is in its endpoint, authentication included, so nothing is left out on the way; the
framework's share of a single transfer was measured to be larger than the transfer's.
"""

from collections.abc import Awaitable, Callable, Iterable

from fastapi import Request, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tallystick.api.problems import refused
from tallystick.core.errors import DomainError

__all__ = ["ShortWay", "reads_raw_request"]

Endpoint = Callable[[Request], Awaitable[Response]]


def reads_raw_request(endpoint: Endpoint) -> Endpoint:
    """Mark an endpoint whose whole work is in itself, so that it may be reached by the short way."""
    endpoint.reads_raw_request = True  # type: ignore[attr-defined]
    return endpoint


class ShortWay:
    """Answers `POST` to the marked routes whose path has no parameter; everything else goes on to the framework."""

    def __init__(self, app: ASGIApp, routes: Iterable[BaseRoute]) -> None:
        self.app = app
        self._endpoints: dict[str, Endpoint] = {
            route.path: route.endpoint
            for route in routes
            if isinstance(route, Route)
            and getattr(route.endpoint, "reads_raw_request", False)
            and "{" not in route.path
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._endpoints.get(scope["path"]) if scope["type"] == "http" else None
        if endpoint is None or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        # As the framework's routing does.
        scope["endpoint"] = endpoint
        try:
            response = await endpoint(Request(scope, receive))
        except DomainError as refusal:
            response = refused(scope, refusal)
        await response(scope, receive, send)
