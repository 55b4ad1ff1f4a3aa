"""`/v1/principals`: who acts, with which keys and clients. Here one person may only look, take up, and take away.

Whatever gives power to act (a key, a client, a login, roles, reactivation) takes another person's approval and is no
route of this file.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter
from pydantic import Field
from sqlalchemy import Connection

from tallystick import identity, participants
from tallystick.api.access import Caller, StaffCaller
from tallystick.api.bodies import Moment, ObjectId, Reason, Schema
from tallystick.api.pages import Cursor, Limit, PathId, page
from tallystick.api.participants import Name
from tallystick.api.views import ListView, View
from tallystick.api.writes import write_route
from tallystick.core.clock import format_time
from tallystick.identity import Client
from tallystick.participants import ApiKey, ApiKeyNotFoundError, Principal, Role, Scope

__all__ = ["router", "show_api_key", "show_client", "show_principal"]

router = APIRouter()

_OPERATOR: Final = frozenset({Role.OPERATOR})
_TAG: Final = "Principals"
RoleName = Literal["treasury_maker", "treasury_checker", "platform", "holder", "auditor", "operator"]
ScopeName = Literal["read", "payments", "treasury", "administration"]


class PrincipalRequest(Schema):
    """Somebody new who acts. Treasury, operators and auditors name a person; platforms and holders a holder."""

    name: Name
    roles: Annotated[list[RoleName], Field(min_length=1, max_length=6)]
    person: Name | None = None
    holder_id: ObjectId | None = None
    scopes: Annotated[list[ScopeName], Field(min_length=1, max_length=4)] | None = None
    access_until: Moment | None = None


class SuspensionRequest(Schema):
    """Close every way in for a principal, at once."""

    reason: Reason


class RevocationRequest(Schema):
    """Revoke for ever."""

    reason: Reason


class PrincipalView(View):
    """A person or machine that acts on the issuer."""

    id: str
    object: str
    created_at: str
    issuer_id: str
    name: str
    person: str | None
    roles: list[str]
    holder_id: str | None
    status: str
    status_reason: str | None
    scopes: list[str] | None
    access_until: str | None
    oidc_subject: str | None
    calls_per_minute_max: int | None
    signature_required_from_minor: int | None


class ApiKeyView(View):
    """A bearer key, without its secret: `key_prefix` and the secret are its text."""

    id: str
    object: str
    created_at: str
    issuer_id: str
    principal_id: str
    key_prefix: str
    ip_allow_list: list[str]
    expires_at: str | None
    revoked_at: str | None
    last_used_at: str | None


class ClientView(View):
    """A registered public key: what its principal gets tokens with, or signs messages with."""

    id: str
    object: str
    created_at: str
    issuer_id: str
    principal_id: str
    client_id: str
    use: str
    algorithm: str
    jwk: dict[str, str]
    thumbprint: str
    expires_at: str
    revoked_at: str | None


def _make_principal(
    caller: Caller, connection: Connection, body: PrincipalRequest, _path: Mapping[str, str]
) -> dict[str, Any]:
    return show_principal(
        participants.register_principal(
            connection,
            caller.service.clock,
            caller.issuer_id,
            name=body.name,
            roles=frozenset(map(Role, body.roles)),
            person=body.person,
            holder_id=body.holder_id,
            scopes=None if body.scopes is None else frozenset(map(Scope, body.scopes)),
            access_until=body.access_until,
        )
    )


def _suspend(
    caller: Caller, connection: Connection, body: SuspensionRequest, path: Mapping[str, str]
) -> dict[str, Any]:
    return show_principal(
        participants.suspend(connection, caller.issuer_id, path["principal_id"], body.reason)
    )


def _revoke_api_key(
    caller: Caller, connection: Connection, _body: RevocationRequest, path: Mapping[str, str]
) -> dict[str, Any]:
    issuer_id, principal_id, key_id = caller.issuer_id, path["principal_id"], path["key_id"]
    _require_key(connection, issuer_id, principal_id, key_id)
    participants.revoke_api_key(connection, caller.service.clock, issuer_id, key_id)
    return show_api_key(_require_key(connection, issuer_id, principal_id, key_id))


def _revoke_client(
    caller: Caller, connection: Connection, _body: RevocationRequest, path: Mapping[str, str]
) -> dict[str, Any]:
    return show_client(
        identity.revoke_client(
            connection, caller.service.clock, caller.issuer_id, path["principal_id"], path["client_id"]
        )
    )


write_route(
    router,
    "/v1/principals",
    operation="principal",
    schema=PrincipalRequest,
    view=PrincipalView,
    roles=_OPERATOR,
    make=_make_principal,
    summary="Take up a principal",
    tag=_TAG,
)
write_route(
    router,
    "/v1/principals/{principal_id}/suspend",
    operation="principal_suspension",
    schema=SuspensionRequest,
    view=PrincipalView,
    roles=_OPERATOR,
    make=_suspend,
    summary="Suspend a principal",
    tag=_TAG,
    status=200,
)
write_route(
    router,
    "/v1/principals/{principal_id}/api-keys/{key_id}/revoke",
    operation="api_key_revocation",
    schema=RevocationRequest,
    view=ApiKeyView,
    roles=_OPERATOR,
    make=_revoke_api_key,
    summary="Revoke an API key",
    tag=_TAG,
    status=200,
)
write_route(
    router,
    "/v1/principals/{principal_id}/clients/{client_id}/revoke",
    operation="client_revocation",
    schema=RevocationRequest,
    view=ClientView,
    roles=_OPERATOR,
    make=_revoke_client,
    summary="Revoke a client",
    tag=_TAG,
    status=200,
)


@router.get("/v1/principals", tags=[_TAG], summary="List principals", response_model=ListView[PrincipalView])
def get_principals(caller: StaffCaller, cursor: Cursor = "", limit: Limit = 100) -> Any:
    """Return the people and machines that act on the issuer."""
    with caller.read() as connection:
        found = participants.principals(connection, caller.issuer_id, after=cursor, limit=limit + 1)
    return page(found, limit, show_principal, lambda one: one.id)


@router.get(
    "/v1/principals/{principal_id}", tags=[_TAG], summary="Get a principal", response_model=PrincipalView
)
def get_principal(caller: StaffCaller, principal_id: PathId) -> Any:
    """Return one principal."""
    with caller.read() as connection:
        return show_principal(participants.principal(connection, caller.issuer_id, principal_id))


@router.get(
    "/v1/principals/{principal_id}/api-keys",
    tags=[_TAG],
    summary="List a principal's API keys",
    response_model=ListView[ApiKeyView],
)
def get_api_keys(caller: StaffCaller, principal_id: PathId, cursor: Cursor = "", limit: Limit = 100) -> Any:
    """Return a principal's keys without their secrets, which nobody knows but their bearers."""
    with caller.read() as connection:
        of = participants.principal(connection, caller.issuer_id, principal_id)
        found = participants.api_keys(
            connection, caller.issuer_id, principal_id=of.id, after=cursor, limit=limit + 1
        )
    return page(found, limit, show_api_key, lambda one: one.id)


@router.get(
    "/v1/principals/{principal_id}/clients",
    tags=[_TAG],
    summary="List a principal's clients",
    response_model=ListView[ClientView],
)
def get_clients(caller: StaffCaller, principal_id: PathId, cursor: Cursor = "", limit: Limit = 100) -> Any:
    """Return the public keys that a principal registered."""
    with caller.read() as connection:
        found = identity.clients(connection, caller.issuer_id, principal_id, after=cursor, limit=limit + 1)
    return page(found, limit, show_client, lambda one: one.id)


def show_principal(found: Principal) -> dict[str, Any]:
    """Return a principal as JSON."""
    return {
        "id": found.id,
        "object": "principal",
        "created_at": format_time(found.created_at),
        "issuer_id": found.issuer_id,
        "name": found.name,
        "person": found.person,
        "roles": sorted(found.roles),
        "holder_id": found.holder_id,
        "status": found.status,
        "status_reason": found.status_reason,
        "scopes": None if found.scopes is None else sorted(found.scopes),
        "access_until": _moment(found.access_until),
        "oidc_subject": found.oidc_subject,
        "calls_per_minute_max": found.calls_per_minute_max,
        "signature_required_from_minor": found.signature_required_from_minor,
    }


def show_api_key(found: ApiKey) -> dict[str, Any]:
    """Return a key as JSON, without its secret."""
    return {
        "id": found.id,
        "object": "api_key",
        "created_at": format_time(found.created_at),
        "issuer_id": found.issuer_id,
        "principal_id": found.principal_id,
        "key_prefix": participants.key_prefix(found.issuer_id, found.id),
        "ip_allow_list": list(found.ip_allow_list),
        "expires_at": _moment(found.expires_at),
        "revoked_at": _moment(found.revoked_at),
        "last_used_at": _moment(found.last_used_at),
    }


def show_client(found: Client) -> dict[str, Any]:
    """Return a client as JSON; `client_id` is what it calls itself."""
    return {
        "id": found.id,
        "object": "client",
        "created_at": format_time(found.created_at),
        "issuer_id": found.issuer_id,
        "principal_id": found.principal_id,
        "client_id": identity.client_text(found.issuer_id, found.id),
        "use": found.use,
        "algorithm": found.algorithm,
        "jwk": identity.public_members(found),
        "thumbprint": found.thumbprint,
        "expires_at": format_time(found.expires_at),
        "revoked_at": _moment(found.revoked_at),
    }


def _require_key(connection: Connection, issuer_id: str, principal_id: str, key_id: str) -> ApiKey:
    found = participants.api_key(connection, issuer_id, key_id)
    if found is None or found.principal_id != principal_id:
        raise ApiKeyNotFoundError
    return found


def _moment(at: datetime | None) -> str | None:
    return None if at is None else format_time(at)
