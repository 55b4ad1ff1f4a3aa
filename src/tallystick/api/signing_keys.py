"""`/v1/signing-keys`: which keys signed which events, and the changes that let one sign or trust one no more."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter
from pydantic import Field

from tallystick import signing
from tallystick.api.access import StaffCaller
from tallystick.api.bodies import ObjectId, Reason, Schema
from tallystick.api.changes import change_route
from tallystick.api.pages import PathId
from tallystick.api.views import ListView, View
from tallystick.core.clock import format_time
from tallystick.participants import Role
from tallystick.signing import KeptManifest, SigningKey

__all__ = ["router"]

router = APIRouter()

_OPERATOR: Final = frozenset({Role.OPERATOR})
_TAG: Final = "Signing keys"


class ActivationRequest(Schema):
    """Let a key sign that the root manifest names; refuse if another than `expected_key_id` is active."""

    expected_key_id: ObjectId | None = None
    reason: Reason


class RetirementRequest(Schema):
    """Let the active key sign no more, without a successor."""

    reason: Reason


class RevocationRequest(Schema):
    """Trust a key no more: from an event on, or in nothing that it signed where that event is not known."""

    compromised_from_index: Annotated[int, Field(ge=0, le=2**53 - 1)] | None = None
    reason: Reason


class SigningKeyView(View):
    """A key of the issuer's. `from_index` and `until_index` are the first and the last event that it may sign."""

    id: str
    object: str
    created_at: str
    issuer_id: str
    use: str
    state: str
    public_key: str
    from_index: int | None
    until_index: int | None
    activated_index: int | None
    activated_at: str | None
    retired_at: str | None
    revoked_index: int | None
    revoked_at: str | None
    compromised_from_index: int | None
    manifest_version: int | None
    reason: str | None


class RootManifestView(View):
    """A version of the root manifest. `document` is what roots signed: a JWS, JSON serialization."""

    id: str
    object: str
    imported_at: str
    origin: str
    version: int
    sha256: str
    threshold: int
    root_key_ids: list[str]
    key_ids: list[str]
    document: str


def _asked(body: Any) -> Mapping[str, Any]:
    asked: dict[str, Any] = body.model_dump(exclude_none=True)
    return asked


change_route(
    router,
    "/v1/signing-keys/{key_id}/activate",
    operation="signing_key_activation",
    schema=ActivationRequest,
    roles=_OPERATOR,
    subject="key_id",
    payload=_asked,
    summary="Ask for a key to sign from now on",
    tag=_TAG,
)
change_route(
    router,
    "/v1/signing-keys/{key_id}/retire",
    operation="signing_key_retirement",
    schema=RetirementRequest,
    roles=_OPERATOR,
    subject="key_id",
    payload=_asked,
    summary="Ask for a key to sign no more",
    tag=_TAG,
)
change_route(
    router,
    "/v1/signing-keys/{key_id}/revoke",
    operation="signing_key_revocation",
    schema=RevocationRequest,
    roles=_OPERATOR,
    subject="key_id",
    payload=_asked,
    summary="Trust a key no more",
    tag=_TAG,
)


@router.get(
    "/v1/signing-keys", tags=[_TAG], summary="List signing keys", response_model=ListView[SigningKeyView]
)
def get_signing_keys(caller: StaffCaller) -> Any:
    """Return every key that the issuer has or had, oldest first, with its state and the events it may sign."""
    with caller.read() as connection:
        found = signing.list_keys(connection, caller.issuer_id)
    return _list([_show(one) for one in found])


@router.get(
    "/v1/signing-keys/{key_id}", tags=[_TAG], summary="Get a signing key", response_model=SigningKeyView
)
def get_signing_key(caller: StaffCaller, key_id: PathId) -> Any:
    """Return one key."""
    with caller.read() as connection:
        return _show(signing.signing_key(connection, caller.issuer_id, key_id))


@router.get(
    "/v1/root-manifests",
    tags=[_TAG],
    summary="List root manifests",
    response_model=ListView[RootManifestView],
)
def get_root_manifests(caller: StaffCaller) -> Any:
    """Return every version of the root manifest, the first one first."""
    with caller.read() as connection:
        found = signing.list_manifests(connection, caller.issuer_id)
    return _list([_show_manifest(one) for one in found])


def _list(shown: list[dict[str, Any]]) -> dict[str, Any]:
    return {"object": "list", "data": shown, "has_more": False, "next_cursor": None}


def _show(key: SigningKey) -> dict[str, Any]:
    moments = {
        "activated_at": key.activated_at,
        "retired_at": key.retired_at,
        "revoked_at": key.revoked_at,
    }
    return {
        "id": key.id,
        "object": "signing_key",
        "created_at": format_time(key.created_at),
        "issuer_id": key.issuer_id,
        "use": str(key.use),
        "state": str(key.state),
        "public_key": key.jwk()["x"],
        "from_index": key.from_index,
        "until_index": key.until_index,
        "activated_index": key.activated_index,
        "revoked_index": key.revoked_index,
        "compromised_from_index": key.compromised_from_index,
        "manifest_version": key.manifest_version,
        "reason": key.reason,
        **{name: None if at is None else format_time(at) for name, at in moments.items()},
    }


def _show_manifest(kept: KeptManifest) -> dict[str, Any]:
    manifest = kept.signed.manifest
    return {
        "id": str(manifest.version),
        "object": "root_manifest",
        "imported_at": format_time(kept.imported_at),
        "origin": manifest.origin,
        "version": manifest.version,
        "sha256": kept.signed.sha256.hex(),
        "threshold": manifest.threshold,
        "root_key_ids": [signing.thumbprint(one) for one in manifest.root_keys],
        "key_ids": [one.id for one in manifest.keys],
        "document": kept.document,
    }
