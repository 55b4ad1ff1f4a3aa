"""Who calls, and whether they may: every route declares its roles, and a route that doesn't fails the build.

A route's scope, for callers that were narrowed, is declared in the same place, or follows from method and roles.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final

from fastapi import Depends, Request
from sqlalchemy import Connection

from tallystick.api.attempts import BEHIND_PROXY, attempt_of
from tallystick.api.problems import validation_problem
from tallystick.api.scopes import check_scope, default_scope
from tallystick.api.service import Service
from tallystick.core.errors import DeniedError, DomainError
from tallystick.participants import ApiKeyInvalidError, Principal, Role, Scope, named_key

__all__ = [
    "EVERYONE",
    "PUBLIC",
    "STAFF_AND_AUDITORS",
    "AnyCaller",
    "Caller",
    "RoleNotAllowedError",
    "StaffCaller",
    "allow",
    "authenticated",
    "public",
    "service_of",
]

EVERYONE: Final = frozenset(Role)
STAFF_AND_AUDITORS: Final = frozenset(
    {Role.TREASURY_MAKER, Role.TREASURY_CHECKER, Role.OPERATOR, Role.AUDITOR}
)
PUBLIC: Final = "public"


class RoleNotAllowedError(DeniedError):
    """None of the caller's roles may do this."""

    code = "role_not_allowed"
    title = "The caller's role does not allow this"


class Caller:
    """An authenticated caller of one request, with the way to the database."""

    def __init__(self, service: Service, principal: Principal) -> None:
        self.service = service
        self.principal = principal
        self.issuer_id = principal.issuer_id

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield a connection with one read-only snapshot."""
        with self.service.database.read() as connection:
            yield connection


def service_of(request: Request) -> Service:
    """Return the process's service."""
    service: Service = request.app.state.service
    return service


async def authenticated(request: Request, roles: frozenset[Role], scope: Scope | None = None) -> Caller:
    """Return the caller of a request that one of `roles` may make; `scope` None is `default_scope`.

    Raises ApiKeyInvalidError without a valid `Authorization: Bearer …`, AccessEndedError after the caller's term,
    RateLimitedError, RoleNotAllowedError for other roles, ScopeNotAllowedError for other scopes.
    """
    scheme, _, presented = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not presented:
        raise ApiKeyInvalidError
    service = service_of(request)
    attempt = attempt_of(request.scope)
    attempt.service, attempt.routed = service, request.scope
    if service.bearers.trusts_proxies:
        request.scope[BEHIND_PROXY] = str(service.bearers.address(request))
    try:
        principal = await service.bearers.admit(request, presented.strip())
    except DomainError:
        attempt.named_key = named_key(presented.strip())
        raise
    attempt.principal = principal
    if principal.roles.isdisjoint(roles):
        raise RoleNotAllowedError
    if principal.scopes is not None:
        check_scope(principal, scope or default_scope(request.method, roles))
    return Caller(service, principal)


def allow(*roles: Role, scope: Scope | None = None) -> Any:
    """Return the dependency that lets these roles in and gives the route its `Caller`; no roles: every role.

    `scope` None is `default_scope`.
    """
    allowed = frozenset(roles) or EVERYONE

    async def caller(request: Request) -> Caller:
        found = await authenticated(request, allowed, scope)
        _refuse_unknown_parameters(request)
        return found

    caller.allowed_roles = allowed  # type: ignore[attr-defined]
    caller.required_scope = scope  # type: ignore[attr-defined]
    return Depends(caller)


def _refuse_unknown_parameters(request: Request) -> None:
    # A misspelled `as_of` must not be answered with today's figures, nor one of two with either.
    left = {field.alias for field in request.scope["route"].dependant.query_params}
    errors = []
    for name, _ in request.query_params.multi_items():
        if name in left:
            left.remove(name)
        else:
            errors.append(
                {"loc": ("query", name), "type": "extra_forbidden", "msg": "Unknown or repeated parameter"}
            )
    if errors:
        raise validation_problem(errors)


def _public() -> None:
    """Let anybody in."""


_public.allowed_roles = PUBLIC  # type: ignore[attr-defined]
public: Final = Depends(_public)

AnyCaller = Annotated[Caller, allow()]
StaffCaller = Annotated[Caller, allow(*STAFF_AND_AUDITORS)]
