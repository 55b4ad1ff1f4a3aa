"""Every refusal as an RFC 9457 problem: `application/problem+json` with a stable `code`, never what was sent."""

import logging
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import Scope

from tallystick.api.attempts import attempt_of
from tallystick.core.errors import DomainError, MalformedError, NotFoundError

__all__ = [
    "MEDIA_TYPE",
    "RequestInvalidError",
    "install",
    "problem_body",
    "problem_response",
    "refused",
    "validation_problem",
]

MEDIA_TYPE: Final = "application/problem+json"
_log: Final = logging.getLogger(__name__)
_ERRORS_SHOWN_MAX: Final = 20
_METHODS: Final = ("GET", "HEAD", "POST")
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9_\-]{1,64}", re.ASCII)


class RequestInvalidError(MalformedError):
    """Fields are missing, unknown or of the wrong type; `errors` names each with a JSON Pointer."""

    code = "request_invalid"
    title = "The request does not have the expected fields"


class PathUnknownError(NotFoundError):
    """No such resource under this path."""

    code = "path_unknown"
    title = "No such path"


class MethodNotAllowedError(DomainError):
    """The path exists, and not with this method."""

    code = "method_not_allowed"
    status = 405
    title = "The method is not allowed here"


def problem_body(error: DomainError) -> bytes:
    """Return the problem as JSON: RFC 9457's members, then `code`, then the refusal's own."""
    return orjson.dumps(
        {
            "type": f"urn:tallystick:problem:{error.code}",
            "title": error.title,
            "status": error.status,
            "detail": error.detail,
            "code": error.code,
            **error.members,
        }
    )


def problem_response(error: DomainError) -> Response:
    """Return the problem as a response; one that may be retried says after how many seconds."""
    headers = {}
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = str(error.retry_after_seconds)
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(problem_body(error), error.status, headers, media_type=MEDIA_TYPE)


def refused(scope: Scope, refusal: DomainError) -> Response:
    """Note a refusal for the audit trail and return its problem.

    It is an answer and no fault: what it was raised through is let go. Those frames hold it and what its batch was
    decided on, and would wait for the collector of cycles, a hundred and more objects for each.
    """
    attempt_of(scope).refusal = refusal
    refusal.__traceback__ = None
    return problem_response(refusal)


def validation_problem(errors: Sequence[Mapping[str, Any]]) -> RequestInvalidError:
    """Return pydantic's findings as one refusal, without the values that were sent."""
    return RequestInvalidError(
        errors=[
            {"pointer": _pointer(error["loc"]), "code": error["type"], "detail": error["msg"]}
            for error in errors[:_ERRORS_SHOWN_MAX]
        ]
    )


def _pointer(location: Sequence[str | int]) -> str:
    """Return the JSON Pointer (RFC 6901) of a field. The schema's names are plain; an unknown one may be anything,
    and where it isn't plain the pointer ends at the object that holds it.
    """
    parts = [str(part) for part in location]
    return "".join(f"/{part}" for part in parts if _PLAIN_NAME.fullmatch(part))


def install(app: FastAPI) -> None:
    """Answer every exception of `app` with a problem, and note it for the audit trail."""

    def domain(request: Request, error: Exception) -> Response:
        assert isinstance(error, DomainError)
        return refused(request.scope, error)

    def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        # An id that can't exist is an absent object.
        absent = any(found["loc"][0] == "path" for found in error.errors())
        return refused(request.scope, NotFoundError() if absent else validation_problem(error.errors()))

    def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            response = problem_response(MethodNotAllowedError())
            response.headers["Allow"] = ", ".join(_allowed_methods(request))
            return response
        return problem_response(PathUnknownError())

    app.add_exception_handler(DomainError, domain)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)


def _allowed_methods(request: Request) -> list[str]:
    # The router names those of one route only; RFC 9110 (15.5.6) wants all that the path has.
    return [
        method
        for method in _METHODS
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL
            for route in request.app.routes
        )
    ]
