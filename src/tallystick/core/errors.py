"""The tree of everything the service refuses, as RFC 9457 problems.

DomainError            code, status, title; members that help the caller
├── MalformedError     422  the request can't be understood
├── NotFoundError      404  absent, or another tenant's: the two answer alike
├── DeniedError        403  understood, and not allowed
├── ConflictError      409  understood, and at odds with what is recorded
└── UnavailableError   503  nothing was decided; try again (`retry_after_seconds`)

Each room puts its subclasses beside the rule that raises them. A broken invariant is not a domain error: it
raises `InvariantError`, which nobody catches to answer politely.
"""

from typing import Any, ClassVar

__all__ = [
    "ConflictError",
    "DeniedError",
    "DomainError",
    "InvariantError",
    "MalformedError",
    "NotFoundError",
    "UnavailableError",
    "domain_errors",
]


class DomainError(Exception):
    """A refusal with a stable `code`.

    `detail` is one sentence for people; `members` are further RFC 9457 members (JSON values). Neither may hold a
    secret or echo whole input.
    """

    code: ClassVar[str] = "refused"
    status: ClassVar[int] = 400
    title: ClassVar[str] = "The request was refused"
    # After how many seconds the same request may succeed; None where it won't by waiting.
    retry_after_seconds: int | None = None

    def __init__(self, detail: str | None = None, **members: Any) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.members = members

    def __reduce__(self) -> tuple[Any, ...]:
        # As it is, whatever its kind asks for when it is made: refusals are told from one process to another.
        return _made_again, (type(self), self.args, self.__dict__)


def _made_again(kind: type[DomainError], args: tuple[Any, ...], facts: dict[str, Any]) -> DomainError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(facts)
    return error


class MalformedError(DomainError):
    """The request can't be understood as written."""

    code = "malformed"
    status = 422
    title = "The request is malformed"


class NotFoundError(DomainError):
    """The object does not exist, or it is another tenant's: both answer exactly alike."""

    code = "not_found"
    status = 404
    title = "No such object"


class DeniedError(DomainError):
    """The caller, or the instruction, is not allowed."""

    code = "denied"
    status = 403
    title = "Not allowed"


class ConflictError(DomainError):
    """The request contradicts what is already recorded."""

    code = "conflict"
    status = 409
    title = "In conflict with what is recorded"


class UnavailableError(DomainError):
    """Nothing was decided; the same request with the same key may be sent again."""

    code = "unavailable"
    status = 503
    title = "Temporarily unavailable"
    retry_after_seconds = 1


class InvariantError(RuntimeError):
    """Something that must never be false was false: stop and alert, never answer as if it were the caller's fault."""


def domain_errors() -> list[type[DomainError]]:
    """Every concrete refusal that has been imported, sorted by code: the source of the documented list of codes."""
    found: dict[str, type[DomainError]] = {}
    pending = [DomainError]
    while pending:
        error = pending.pop()
        pending.extend(error.__subclasses__())
        found.setdefault(error.code, error)
    return [found[code] for code in sorted(found)]
