"""`/v1/liability-attestations`: what the bank owes in a token class, attested in its log so that each holder can check.

And `/v1/liabilities/{liability_id}/proof`: one holder's path to an attested root. It proves liabilities, not assets.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from pydantic import Field
from sqlalchemy import Connection

from tallystick import events, liabilities, participants, tokens, transparency
from tallystick.api.access import AnyCaller, Caller, allow
from tallystick.api.bodies import Moment, ObjectId, Schema
from tallystick.api.changes import ChangeView
from tallystick.api.money import Fields, money_route
from tallystick.api.pages import Cursor, IdQuery, Limit, PathId, page
from tallystick.api.views import ListView, View
from tallystick.core.clock import format_time
from tallystick.core.money import format_amount
from tallystick.liabilities import TREE_FORMAT, Attestation
from tallystick.participants import Role, TokenClass
from tallystick.tokens import Kind
from tallystick.transparency import EventNotIntegratedError

__all__ = ["router", "show_attestation"]

router = APIRouter()

#: What a holder keeps as a file; `tallystick-verify liability-proof` reads it.
PROOF_FORMAT: Final = "tallystick-liability-proof/1"
_OPERATION: Final = "liability_attestation"
_ATTESTING: Final = frozenset({Role.TREASURY_MAKER, Role.TREASURY_CHECKER, Role.AUDITOR})


class LiabilityAttestationRequest(Schema):
    """Attest what is owed in a token class, now or as of a moment; the answer's `subject_id` is the attestation."""

    token_class_id: ObjectId
    as_of: Moment | None = Field(
        default=None, description="A moment with an offset from UTC; now if left out."
    )


class LiabilityAttestationView(View):
    """A root over all liabilities of a class as of an event, signed into the log by a later one."""

    id: str
    object: str
    created_at: str
    issuer_id: str
    token_class_id: str
    currency: str
    scale: int
    as_of_index: int
    tree_format: str
    depth: int
    root_hash: str
    total: str
    event_id: str
    event_index: int
    signed_event: str


class PathNodeView(View):
    """One sibling on the way to the root: its hash, and what all below it comes to."""

    hash: str
    sum: str


class LiabilityProofView(View):
    """What a holder checks offline with `tallystick-verify liability-proof`. The salt is this holder's own: keep it."""

    object: str
    format: str
    issuer_id: str
    attestation_id: str
    token_class_id: str
    currency: str
    scale: int
    as_of_index: int
    liability_id: str
    amount: str
    salt: str
    position: int
    path: list[PathNodeView]
    signed_event: str
    receipt: str | None


def _tree(caller: Caller, body: LiabilityAttestationRequest, asked: tokens.Request) -> Fields:
    """Make the tree that the write path attests, unless the key was answered before."""
    service = caller.service
    with service.database.read() as connection:
        of_class = participants.token_class(connection, caller.issuer_id, body.token_class_id)
        if tokens.answered(connection, caller.issuer_id, asked.key_digest):
            return {}
    # What the write path would refuse anyway is left to it.
    if caller.principal.person is None:
        return {}
    tree = liabilities.tree_for(
        service.database,
        service.clock,
        caller.issuer_id,
        token_class_id=of_class.id,
        as_of=body.as_of,
        key_digest=asked.key_digest,
        request_hash=asked.request_hash,
    )
    return {"related_id": tree.id, "payload": liabilities.told(of_class, tree)}


def _fields(_body: LiabilityAttestationRequest, _path: Mapping[str, str]) -> Fields:
    return {"operation": _OPERATION, "payload": {}}


money_route(
    router,
    "/v1/liability-attestations",
    kind=Kind.CHANGE,
    key_scope=_OPERATION,
    schema=LiabilityAttestationRequest,
    view=ChangeView,
    roles=_ATTESTING,
    fields=_fields,
    summary="Attest liabilities",
    tag="Liabilities",
    prepare=_tree,
)


@router.get(
    "/v1/liability-attestations",
    tags=["Liabilities"],
    summary="List attestations of liabilities",
    response_model=ListView[LiabilityAttestationView],
)
def get_liability_attestations(
    caller: AnyCaller, token_class_id: IdQuery = None, cursor: Cursor = "", limit: Limit = 100
) -> Any:
    """Return attestations, oldest first: what anybody who holds a claim may compare with what others were shown."""
    with caller.read() as connection:
        found = liabilities.attestations(
            connection, caller.issuer_id, token_class_id=token_class_id, after=cursor, limit=limit + 1
        )
        classes = {
            one.id: one for one in participants.token_classes(connection, caller.issuer_id, limit=1_000)
        }
        signed = {
            one.event_index: one
            for one in events.events_at(connection, caller.issuer_id, [one.event_index for one in found])
        }

    def show(one: Attestation) -> dict[str, Any]:
        return _show(one, classes[one.tree.token_class_id], signed[one.event_index])

    return page(found, limit, show, lambda one: one.tree.id)


@router.get(
    "/v1/liability-attestations/{attestation_id}",
    tags=["Liabilities"],
    summary="Get an attestation of liabilities",
    response_model=LiabilityAttestationView,
)
def get_liability_attestation(caller: AnyCaller, attestation_id: PathId) -> Any:
    """Return one attestation."""
    with caller.read() as connection:
        return show_attestation(
            connection, liabilities.attestation(connection, caller.issuer_id, attestation_id)
        )


@router.get(
    "/v1/liabilities/{liability_id}/proof",
    tags=["Liabilities"],
    summary="Get a liability's proof",
    response_model=LiabilityProofView,
)
def get_liability_proof(
    caller: Annotated[Caller, allow(Role.HOLDER, Role.PLATFORM)],
    liability_id: PathId,
    attestation: Annotated[
        str | None,
        Query(
            max_length=64,
            pattern=r"^[A-Za-z0-9_.\-]+$",
            description="An attestation's id; the newest if left out.",
        ),
    ] = None,
) -> Any:
    """Return what proves that a liability is counted in an attested total: for its holder, or who acts for it.

    It proves what is owed, and not that the bank has the assets. `receipt` is there a second after the attestation.
    """
    with caller.read() as connection:
        record = liabilities.liability(connection, caller.principal, liability_id)
        if attestation is None:
            of = liabilities.newest_attestation(connection, caller.issuer_id, record.token_class_id)
        else:
            of = liabilities.attestation(connection, caller.issuer_id, attestation)
        proof = liabilities.proof(connection, record, of)
        of_class = participants.token_class(connection, caller.issuer_id, record.token_class_id)
        signed = events.event_by_index(connection, caller.issuer_id, of.event_index)
        receipt = _receipt(caller, connection, of.event_index)
    return {
        "object": "liability_proof",
        "format": PROOF_FORMAT,
        "issuer_id": record.issuer_id,
        "attestation_id": of.tree.id,
        "token_class_id": of_class.id,
        "currency": of_class.currency,
        "scale": of_class.scale,
        "as_of_index": of.tree.as_of_index,
        "liability_id": record.id,
        "amount": format_amount(proof.amount_minor, of_class.scale),
        "salt": proof.salt.hex(),
        "position": proof.position,
        "path": [
            {"hash": one.hash.hex(), "sum": format_amount(one.sum_minor, of_class.scale)}
            for one in proof.path
        ],
        "signed_event": signed.jws,
        "receipt": receipt,
    }


def show_attestation(connection: Connection, one: Attestation) -> dict[str, Any]:
    """Return an attestation as its JSON object."""
    of_class = participants.token_class(connection, one.issuer_id, one.tree.token_class_id)
    return _show(one, of_class, events.event_by_index(connection, one.issuer_id, one.event_index))


def _receipt(caller: Caller, connection: Connection, event_index: int) -> str | None:
    try:
        return transparency.receipt(
            connection,
            caller.service.log.tiles,
            caller.issuer_id,
            event_index,
            caller.service.witness_policy,
        )
    except EventNotIntegratedError:
        return None


def _show(one: Attestation, of_class: TokenClass, signed: events.Event) -> dict[str, Any]:
    return {
        "id": one.tree.id,
        "object": "liability_attestation",
        "created_at": format_time(one.attested_at),
        "issuer_id": one.issuer_id,
        "token_class_id": of_class.id,
        "currency": of_class.currency,
        "scale": of_class.scale,
        "as_of_index": one.tree.as_of_index,
        "tree_format": TREE_FORMAT,
        "depth": one.tree.depth,
        "root_hash": one.tree.root_hash.hex(),
        "total": format_amount(one.tree.total_minor, of_class.scale),
        "event_id": signed.id,
        "event_index": one.event_index,
        "signed_event": signed.jws,
    }
