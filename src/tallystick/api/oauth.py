"""`/oauth/token`: the client credentials grant (RFC 6749, section 4.4) with `private_key_jwt` (RFC 7523).

Answers and refusals are as RFC 6749 (sections 5.1 and 5.2) has them, not problems: OAuth libraries read them.
"""

from typing import Any, Final
from urllib.parse import parse_qsl

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from tallystick import identity
from tallystick.api.access import PUBLIC, service_of
from tallystick.api.bodies import read_body
from tallystick.api.service import Service
from tallystick.api.views import View
from tallystick.core.strict_json import BodyTooLargeError
from tallystick.identity import (
    AccessToken,
    AssertionRefusedError,
    ProvenClient,
    RateLimitedError,
    ScopeNotGrantedError,
)

__all__ = ["TOKEN_PATH", "OAuthErrorView", "router"]

router = APIRouter()

TOKEN_PATH: Final = "/oauth/token"  # noqa: S105 A path, not a secret.
_GRANT: Final = "client_credentials"
_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_FORM: Final = "application/x-www-form-urlencoded"
_SIZE_MAX_BYTES: Final = 16_384
_FIELDS_MAX: Final = 20
# RFC 6749, section 5.1: a token is nobody's to keep but its client's.
_NOT_STORED: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class TokenView(View):
    """An access token (RFC 6749, section 5.1)."""

    access_token: str
    token_type: str
    expires_in: int
    scope: str | None = None


class OAuthErrorView(View):
    """A refusal (RFC 6749, section 5.2)."""

    error: str
    error_description: str


class _RefusedError(Exception):
    def __init__(
        self, error: str, description: str, status: int = 400, wait_seconds: int | None = None
    ) -> None:
        super().__init__(error)
        self.error = error
        self.description = description
        self.status = status
        self.wait_seconds = wait_seconds


async def post_token(request: Request) -> Response:
    """Answer a client's signed assertion with a short-lived access token.

    Form-encoded: `grant_type=client_credentials`, `client_assertion_type`, `client_assertion`, and if you like
    `client_id` and `scope`. The assertion's `aud` is this address under the service's public URL.
    """
    service = service_of(request)
    try:
        form = await _read_form(request)
        service.bearers.check_failures(request)
        token = await _token_for(service, form)
    except (AssertionRefusedError, RateLimitedError, ScopeNotGrantedError, _RefusedError) as error:
        if isinstance(error, AssertionRefusedError):
            service.bearers.note_failure(request)
        return _refusal(error)
    lifetime = token.expires_at - service.clock.now()
    body = {
        "access_token": token.text,
        "token_type": "Bearer",
        "expires_in": max(0, int(lifetime.total_seconds())),
    }
    if token.scopes is not None:
        body["scope"] = " ".join(sorted(token.scopes))
    return Response(orjson.dumps(body), 200, _NOT_STORED, media_type="application/json")


post_token.allowed_roles = PUBLIC  # type: ignore[attr-defined]

_TEXT: Final = {"type": "string"}
_FORM_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["grant_type", "client_assertion_type", "client_assertion"],
    "properties": {
        "grant_type": {"type": "string", "enum": [_GRANT]},
        "client_assertion_type": {"type": "string", "enum": [_ASSERTION]},
        "client_assertion": _TEXT,
        "client_id": _TEXT,
        "scope": _TEXT,
    },
}
router.add_api_route(
    TOKEN_PATH,
    post_token,
    methods=["POST"],
    summary="Get an access token",
    tags=["Tokens"],
    response_model=None,
    responses={200: {"model": TokenView}, "default": {"model": OAuthErrorView, "description": "A refusal"}},
    openapi_extra={"requestBody": {"required": True, "content": {_FORM: {"schema": _FORM_SCHEMA}}}},
)


async def _token_for(service: Service, form: dict[str, str]) -> AccessToken:
    if form.get("grant_type") is None or form.get("client_assertion") is None:
        raise _RefusedError("invalid_request", "grant_type or client_assertion is missing.")
    if form["grant_type"] != _GRANT:
        raise _RefusedError("unsupported_grant_type", f"The grant type is {_GRANT}.")
    if form.get("client_assertion_type") != _ASSERTION:
        raise _RefusedError("invalid_request", "The client_assertion_type is another one.")
    scope = form.get("scope")
    asked = frozenset(scope.split(" ")) if scope else None

    def prove() -> ProvenClient:
        with service.database.read() as connection:
            return identity.prove_client(
                connection,
                service.clock,
                form["client_assertion"],
                audience=service.settings.public_url + TOKEN_PATH,
                client_id=form.get("client_id"),
            )

    proven = await run_in_threadpool(prove)
    await service.bearers.count_call(proven.principal)
    return await run_in_threadpool(
        service.database.run,
        lambda connection: identity.issue_access_token(
            connection,
            service.clock,
            proven,
            scopes=asked,
            lifetime_seconds=service.settings.access_token_lifetime_seconds,
        ),
    )


async def _read_form(request: Request) -> dict[str, str]:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise _RefusedError("invalid_request", f"The body must be {_FORM}.")
    try:
        content = (await read_body(request, _SIZE_MAX_BYTES)).decode("ascii")
        fields = parse_qsl(content, keep_blank_values=True, max_num_fields=_FIELDS_MAX, errors="strict")
    except (BodyTooLargeError, ValueError):
        raise _RefusedError("invalid_request", "The body is too large, or no form.") from None
    form = dict(fields)
    # RFC 6749, section 3.2: a parameter comes once, and one without a value wasn't sent.
    if len(form) != len(fields):
        raise _RefusedError("invalid_request", "A parameter comes more than once.")
    if "client_secret" in form or "authorization" in request.headers:
        raise _RefusedError("invalid_request", "A client proves itself in one way, with its assertion.")
    return {name: value for name, value in form.items() if value}


def _refusal(error: Exception) -> Response:
    match error:
        case _RefusedError():
            refused = error
        case ScopeNotGrantedError():
            refused = _RefusedError("invalid_scope", "A scope is unknown, or not the client's.")
        case RateLimitedError():
            # RFC 6749 has no word for it; RFC 6585 has the status.
            refused = _RefusedError("invalid_request", error.detail, 429, error.retry_after_seconds)
        case _:
            refused = _RefusedError("invalid_client", "The client did not prove itself.", 401)
    headers = dict(_NOT_STORED)
    if refused.wait_seconds is not None:
        headers["Retry-After"] = str(refused.wait_seconds)
    body = {"error": refused.error, "error_description": refused.description}
    return Response(orjson.dumps(body), refused.status, headers, media_type="application/json")
