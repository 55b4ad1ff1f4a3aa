"""What gives a principal power to act, and the switch that takes it from a whole platform: each a signed change."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter
from pydantic import Field, StringConstraints

from tallystick import participants
from tallystick.api.access import Caller
from tallystick.api.bodies import Moment, ObjectId, Reason, Schema
from tallystick.api.changes import change_route
from tallystick.core.clock import format_time
from tallystick.participants import Role

__all__ = ["router"]

router = APIRouter()

_OPERATOR: Final = frozenset({Role.OPERATOR})
_TAG: Final = "Principals"
_ROLES_MAX: Final = 6
RoleName = Literal["treasury_maker", "treasury_checker", "platform", "holder", "auditor", "operator"]
ScopeName = Literal["read", "payments", "treasury", "administration"]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Network = Annotated[str, StringConstraints(max_length=64)]


class ApiKeyRequest(Schema):
    """A new bearer key. Its bearer makes the secret, 43 characters of base64url, and sends its SHA-256 only."""

    secret_sha256: Sha256
    lifetime_days: Annotated[int, Field(ge=1, le=3_650)]
    ip_allow_list: Annotated[list[Network], Field(max_length=50, default_factory=list)]
    reason: Reason


class ApiKeyRotationRequest(Schema):
    """A new key in an old one's place, which works on for so many hours."""

    key_id: ObjectId
    secret_sha256: Sha256
    lifetime_days: Annotated[int, Field(ge=1, le=3_650)]
    overlap_hours: Annotated[int, Field(ge=0, le=720)]
    reason: Reason


class ClientRequest(Schema):
    """A public key: for tokens (`private_key_jwt`), or for signatures of messages (RFC 9421)."""

    use: Literal["token", "signature"]
    jwk: dict[str, str]
    algorithm: Annotated[str, StringConstraints(max_length=32)]
    lifetime_days: Annotated[int, Field(ge=1, le=3_650)]
    reason: Reason


class ReactivationRequest(Schema):
    """Let a suspended principal in again."""

    reason: Reason


class TermsRequest(Schema):
    """What a principal may, until when, and how it is known. What is left out stays as it is."""

    roles: Annotated[list[RoleName], Field(min_length=1, max_length=_ROLES_MAX)] | None = None
    scopes: Annotated[list[ScopeName], Field(min_length=1, max_length=4)] | None = None
    access_until: Moment | None = None
    oidc_subject: Annotated[str, StringConstraints(min_length=1, max_length=255)] | None = None
    calls_per_minute_max: Annotated[int, Field(ge=0, le=60_000_000)] | None = None
    signature_required_from_minor: Annotated[int, Field(ge=0, le=2**53 - 1)] | None = None
    reason: Reason


class KillSwitchRequest(Schema):
    """Suspend everybody who acts for a platform or a holder, at once."""

    reason: Reason


def _lifetime(caller: Caller, body: Any) -> None:
    participants.check_lifetime(body.lifetime_days, caller.service.settings.api_key_lifetime_days_max)


def _terms(body: TermsRequest) -> Mapping[str, Any]:
    asked = body.model_dump(exclude={"reason"}, exclude_unset=True)
    if body.access_until is not None:
        asked["access_until"] = format_time(body.access_until)
    return asked


def _all_but_reason(body: Any) -> Mapping[str, Any]:
    asked: dict[str, Any] = body.model_dump(exclude={"reason"})
    return {"ip_allow_list": [], **asked}


change_route(
    router,
    "/v1/principals/{principal_id}/api-keys",
    operation="api_key_registration",
    schema=ApiKeyRequest,
    roles=_OPERATOR,
    subject="principal_id",
    payload=_all_but_reason,
    check=_lifetime,
    summary="Ask for a new API key",
    tag=_TAG,
)
change_route(
    router,
    "/v1/principals/{principal_id}/api-keys/rotate",
    operation="api_key_rotation",
    schema=ApiKeyRotationRequest,
    roles=_OPERATOR,
    subject="principal_id",
    payload=_all_but_reason,
    check=_lifetime,
    summary="Ask for an API key to be replaced",
    tag=_TAG,
)
change_route(
    router,
    "/v1/principals/{principal_id}/clients",
    operation="client_registration",
    schema=ClientRequest,
    roles=_OPERATOR,
    subject="principal_id",
    payload=lambda body: body.model_dump(exclude={"reason"}),
    check=_lifetime,
    summary="Ask for a new client",
    tag=_TAG,
)
change_route(
    router,
    "/v1/principals/{principal_id}/reactivate",
    operation="principal_reactivation",
    schema=ReactivationRequest,
    roles=_OPERATOR,
    subject="principal_id",
    payload=lambda body: {"reason": body.reason},
    summary="Ask for a principal to be let in again",
    tag=_TAG,
)
change_route(
    router,
    "/v1/principals/{principal_id}/terms",
    operation="principal_terms",
    schema=TermsRequest,
    roles=_OPERATOR,
    subject="principal_id",
    payload=_terms,
    summary="Ask for other roles, scopes, terms or limits",
    tag=_TAG,
)
change_route(
    router,
    "/v1/holders/{holder_id}/suspend",
    operation="holder_suspension",
    schema=KillSwitchRequest,
    roles=_OPERATOR,
    subject="holder_id",
    payload=lambda body: {"reason": body.reason},
    summary="Suspend everybody who acts for a holder",
    tag=_TAG,
)
