"""`/log/{issuer_id}`: an issuer's log in the formats of C2SP tlog-tiles; `/v1/log`: its proofs, and who has seen it.

Checkpoints and hash tiles are public: they tell how many events there are, and nothing of any. Entry bundles are the
events themselves, for those who read the whole log.
"""

import gzip
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request, Response

from tallystick import transparency
from tallystick.api.access import AnyCaller, StaffCaller, public, service_of
from tallystick.api.pages import PathId
from tallystick.api.views import View
from tallystick.core.clock import format_time
from tallystick.ledger import INDEX_MAX
from tallystick.transparency import TileNotFoundError
from tallystick.transparency.notes import encode_base64

__all__ = ["router"]

router = APIRouter()

_TEXT: Final = "text/plain; charset=utf-8"
_OCTETS: Final = "application/octet-stream"
_YEAR: Final = "max-age=31536000, immutable"
_BINARY: Final = {"schema": {"type": "string", "format": "binary"}}
_STRING: Final = {"schema": {"type": "string"}}

TilePath = Annotated[
    str, Path(max_length=64, pattern=r"^[0-9xp./]+$", description="`x001/x234/067`, or `067.p/12`: partial.")
]
Index = Annotated[int, Query(ge=0, le=INDEX_MAX, description="An event's index.")]
Size = Annotated[int, Query(ge=1, le=INDEX_MAX, description="A tree's number of leaves.")]


class LogView(View):
    """A log: its name for ever, and the verifier keys (C2SP signed-note) of its checkpoints, oldest first."""

    object: str
    issuer_id: str
    origin: str
    verifier_keys: list[str]


class InclusionProofView(View):
    """RFC 6962's audit path from the leaf at `index` to the root of the tree of `size`. Hashes are in base64."""

    object: str
    origin: str
    index: int
    size: int
    root_hash: str
    hashes: list[str]


class ConsistencyProofView(View):
    """RFC 6962's proof that the tree of `second` leaves began as that of `first`. Hashes are in base64."""

    object: str
    origin: str
    first: int
    second: int
    first_root_hash: str
    second_root_hash: str
    hashes: list[str]


class WitnessStandingView(View):
    """How far one witness has seen the log."""

    name: str
    verifier_key: str
    cosigned_size: int
    cosigned_at: str | None


class WitnessingView(View):
    """How far the log is recorded, signed and witnessed; `window` events are not under a witnessed checkpoint, the
    oldest of them for `window_seconds`.
    """

    object: str
    origin: str | None
    sequenced_size: int
    signed_size: int
    signed_at: str | None
    witnessed_size: int
    window: int
    window_seconds: int
    quorum: int
    witnesses: list[WitnessStandingView]


@router.get(
    "/log/{issuer_id}", tags=["Log"], summary="Get a log", response_model=LogView, dependencies=[public]
)
def get_log(request: Request, issuer_id: PathId) -> Any:
    """Return the log's origin and the keys that verify its checkpoints."""
    with service_of(request).database.read() as connection:
        origin, keys = transparency.log_keys(connection, issuer_id)
    return {"object": "log", "issuer_id": issuer_id, "origin": origin, "verifier_keys": keys}


@router.get(
    "/log/{issuer_id}/checkpoint",
    tags=["Log"],
    summary="Get the newest checkpoint",
    response_class=Response,
    responses={
        200: {"description": "A signed note (C2SP tlog-checkpoint)", "content": {"text/plain": _STRING}}
    },
    dependencies=[public],
)
def get_checkpoint(request: Request, issuer_id: PathId) -> Response:
    """Return the newest witnessed checkpoint with its cosignatures; the newest signed one if none is witnessed yet."""
    service = service_of(request)
    with service.database.read() as connection:
        note = transparency.published_checkpoint(connection, issuer_id, service.witness_policy)
    return Response(note, headers={"Content-Type": _TEXT, "Cache-Control": "no-cache"})


@router.get(
    "/log/{issuer_id}/tile/entries/{tile_path:path}",
    tags=["Log"],
    summary="Get an entry bundle",
    response_class=Response,
    responses={
        200: {
            "description": "Events, each behind its length (C2SP tlog-tiles)",
            "content": {_OCTETS: _BINARY},
        }
    },
    openapi_extra={"security": [{"key": []}]},
)
def get_entry_bundle(
    request: Request, caller: StaffCaller, issuer_id: PathId, tile_path: TilePath
) -> Response:
    """Return up to 256 events as they were signed, compressed for those who accept it; another bank's are absent."""
    if issuer_id != caller.issuer_id:
        raise TileNotFoundError
    with caller.read() as connection:
        bundle = transparency.entry_bundle(connection, issuer_id, tile_path)
    headers = {"Content-Type": _OCTETS, "Cache-Control": f"private, {_YEAR}", "Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(gzip.compress(bundle, 6, mtime=0), headers=headers | {"Content-Encoding": "gzip"})
    return Response(bundle, headers=headers)


@router.get(
    "/log/{issuer_id}/tile/{level}/{tile_path:path}",
    tags=["Log"],
    summary="Get a hash tile",
    response_class=Response,
    responses={200: {"description": "Up to 256 hashes (C2SP tlog-tiles)", "content": {_OCTETS: _BINARY}}},
    dependencies=[public],
)
def get_hash_tile(
    request: Request,
    issuer_id: PathId,
    level: Annotated[str, Path(pattern="^(0|[1-9][0-9]?)$", description="0 holds the leaves' hashes.")],
    tile_path: TilePath,
) -> Response:
    """Return hashes of the tree; a full tile never changes, and a partial one only grows."""
    service = service_of(request)
    with service.database.read() as connection:
        content = transparency.hash_tile(connection, service.log.tiles, issuer_id, int(level), tile_path)
    return Response(content, headers={"Content-Type": _OCTETS, "Cache-Control": f"public, {_YEAR}"})


@router.get(
    "/v1/log/inclusion",
    tags=["Log"],
    summary="Prove that an event is in the log",
    response_model=InclusionProofView,
)
def get_inclusion(caller: AnyCaller, index: Index, size: Size | None = None) -> Any:
    """Return the proof for the event at `index`, in the tree of `size` or in the newest one."""
    with caller.read() as connection:
        found = transparency.inclusion(connection, caller.service.log.tiles, caller.issuer_id, index, size)
    return {
        "object": "inclusion_proof",
        "origin": found.origin,
        "index": found.leaf_index,
        "size": found.size,
        "root_hash": encode_base64(found.root),
        "hashes": [encode_base64(one) for one in found.hashes],
    }


@router.get(
    "/v1/log/consistency",
    tags=["Log"],
    summary="Prove that the log only grew",
    response_model=ConsistencyProofView,
)
def get_consistency(caller: AnyCaller, first: Size, second: Size) -> Any:
    """Return the proof that the tree of `second` leaves began as that of `first`."""
    with caller.read() as connection:
        found = transparency.consistency(
            connection, caller.service.log.tiles, caller.issuer_id, first, second
        )
    return {
        "object": "consistency_proof",
        "origin": found.origin,
        "first": found.first,
        "second": found.second,
        "first_root_hash": encode_base64(found.first_root),
        "second_root_hash": encode_base64(found.second_root),
        "hashes": [encode_base64(one) for one in found.hashes],
    }


@router.get(
    "/v1/log/witnessing", tags=["Log"], summary="See who has seen the log", response_model=WitnessingView
)
def get_witnessing(caller: StaffCaller) -> Any:
    """Return how far the log is recorded, signed and cosigned, and by whom."""
    with caller.read() as connection:
        found = transparency.standing(connection, caller.issuer_id, caller.service.witness_policy)
    return {
        "object": "witnessing",
        "origin": found.origin,
        "sequenced_size": found.sequenced_size,
        "signed_size": found.signed_size,
        "signed_at": None if found.signed_at is None else format_time(found.signed_at),
        "witnessed_size": found.witnessed_size,
        "window": found.window,
        "window_seconds": found.window_seconds(caller.service.clock.now()),
        "quorum": found.quorum,
        "witnesses": [
            {
                "name": one.name,
                "verifier_key": one.witness_key,
                "cosigned_size": one.cosigned_size,
                "cosigned_at": None if one.cosigned_at is None else format_time(one.cosigned_at),
            }
            for one in found.witnesses
        ],
    }
