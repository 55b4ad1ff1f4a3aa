"""What is known of a request by the time it is answered: noted on the way, put on record by `recording`."""

from typing import TYPE_CHECKING, Final

from starlette.types import Scope

from tallystick.core.errors import DomainError
from tallystick.participants import Principal

if TYPE_CHECKING:
    from tallystick.api.service import Service

__all__ = ["BEHIND_PROXY", "Attempt", "attempt_of", "source_of"]

_PLACE: Final = "attempt"
# Where the edge notes the address that a trusted proxy forwarded for.
BEHIND_PROXY: Final = "source_behind_proxy"
_SOURCE_LENGTH_MAX: Final = 64


class Attempt:
    """One request's facts. Their defaults belong to the class, so that a request that notes little costs little.

    `routed` is the scope as the route saw it; `named_key` is what a key that opens nothing claims to be. `is_recorded`
    says that there is nothing to put on record any more: it was, or the log keeps it.
    """

    service: "Service"
    routed: Scope | None = None
    principal: Principal | None = None
    named_key: tuple[str, str] | None = None
    request_hash: bytes | None = None
    refusal: DomainError | None = None
    decision: str | None = None
    subject_id: str | None = None
    event_index: int | None = None
    reasons: dict[str, int] | None = None
    is_recorded: bool = False


def source_of(scope: Scope) -> str | None:
    """Return the address that a request came from: what a trusted proxy says, or else the connection's."""
    behind_proxy: str | None = scope.get(BEHIND_PROXY)
    if behind_proxy is not None:
        return behind_proxy
    client = scope.get("client")
    return None if client is None else str(client[0])[:_SOURCE_LENGTH_MAX]


def attempt_of(scope: Scope) -> Attempt:
    """Return the attempt that a request is noted in; one that nobody will record where the edge has none around it."""
    found: Attempt | None = scope.get(_PLACE)
    if found is None:
        found = scope[_PLACE] = Attempt()
    return found
