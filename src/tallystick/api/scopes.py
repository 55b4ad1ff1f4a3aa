"""Which scope a route needs. Said by the route, or by the rule for its method and roles: never left open."""

from typing import Final

from tallystick.core.errors import DeniedError
from tallystick.participants import Principal, Role, Scope

__all__ = ["ScopeNotAllowedError", "check_scope", "default_scope"]

_CUSTOMERS: Final = frozenset({Role.PLATFORM, Role.HOLDER})
_TREASURY: Final = frozenset({Role.TREASURY_MAKER, Role.TREASURY_CHECKER})


class ScopeNotAllowedError(DeniedError):
    """The caller, or its token, was narrowed to other scopes than this one."""

    code = "scope_not_allowed"
    title = "The caller's scopes do not allow this"


def default_scope(method: str, roles: frozenset[Role]) -> Scope:
    """Return the scope of a route that names none.

    What only reads, or an auditor may do too, is `read`; what customers may do are `payments`; then `treasury`, and
    what is left to operators alone is `administration`.
    """
    if method == "GET" or Role.AUDITOR in roles:
        return Scope.READ
    if not roles.isdisjoint(_CUSTOMERS):
        return Scope.PAYMENTS
    return Scope.ADMINISTRATION if roles.isdisjoint(_TREASURY) else Scope.TREASURY


def check_scope(principal: Principal, scope: Scope) -> None:
    """Raise ScopeNotAllowedError unless the principal has this scope; most were never narrowed."""
    if principal.scopes is not None and scope not in principal.scopes:
        raise ScopeNotAllowedError
