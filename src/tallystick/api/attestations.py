"""`/v1/reconciliations/{id}/attestation`: what a run found, signed, for anybody; `/v1/attestations`: their history.

An attestation names no holder, and its id can't be guessed: whoever was given it may fetch it without a key, so that a
regulator or a counterparty needs no login. The history is for the bank's staff and its auditors.
"""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import Connection

from tallystick import attestations, participants, tokens
from tallystick.api.access import StaffCaller, public, service_of
from tallystick.api.bodies import Moment
from tallystick.api.pages import Cursor, IdQuery, Limit, PathId, page
from tallystick.api.views import ListView, View
from tallystick.attestations import Attestation, SignedAttestation
from tallystick.core.clock import format_time
from tallystick.core.money import format_amount
from tallystick.participants import Issuer, TokenClass

__all__ = ["router"]

router = APIRouter()

_PDF: Final = "application/pdf"
_YEAR: Final = "public, max-age=31536000, immutable"
# What is kept of an id's issuer is nothing that a stranger could use: who they are is public anyway.
_CLASSES_MAX: Final = 1_000

After = Annotated[Moment | None, Query(description="Ledgers as of later than this moment.")]
Until = Annotated[Moment | None, Query(description="Ledgers as of up to this moment.")]
Verdict = Annotated[str | None, Query(pattern="^(tied|broken)$")]


class IssuerOfAttestationView(View):
    """The bank that attests."""

    id: str
    legal_name: str
    lei: str
    bic: str
    jurisdiction: str


class SignedAttestationView(View):
    """What was signed: `jws` (RFC 7515 compact, EdDSA), its payload, and the key's id in `/.well-known/jwks.json`."""

    id: str
    object: str
    created_at: str
    issuer: IssuerOfAttestationView
    token_class_id: str
    currency: str
    event_id: str
    event_index: int
    key_id: str
    jws: str
    payload: dict[str, Any]


class AttestationView(View):
    """One point of the history: supply against the bank's balance, and what a run made of it."""

    id: str
    object: str
    created_at: str
    issuer_id: str
    token_class_id: str
    currency: str
    event_index: int
    ledger_index: int
    ledger_as_of: str
    bank_as_of: str | None
    supply: str
    control_account: str
    bank_balance: str | None
    timing: str | None
    difference: str | None
    breaks: dict[str, dict[str, str | int]]
    verdict: str


@router.get(
    "/v1/reconciliations/{reconciliation_id}/attestation",
    tags=["Reconciliation"],
    summary="Get a reconciliation's attestation",
    response_model=SignedAttestationView,
    dependencies=[public],
    openapi_extra={"security": []},
)
def get_attestation(request: Request, response: Response, reconciliation_id: PathId) -> Any:
    """Return what was signed of a run, to anybody who knows its id. It never changes."""
    with service_of(request).database.read() as connection:
        signed, bank, of_class = _found(connection, reconciliation_id)
    response.headers["Cache-Control"] = _YEAR
    return {
        "id": reconciliation_id,
        "object": "attestation",
        "created_at": format_time(signed.attestation.attested_at),
        "issuer": {
            "id": bank.issuer_id,
            "legal_name": bank.legal_name,
            "lei": bank.lei,
            "bic": bank.bic,
            "jurisdiction": bank.jurisdiction,
        },
        "token_class_id": of_class.id,
        "currency": of_class.currency,
        "event_id": signed.event_id,
        "event_index": signed.attestation.event_index,
        "key_id": signed.key_id,
        "jws": signed.jws,
        "payload": signed.payload,
    }


@router.get(
    "/v1/reconciliations/{reconciliation_id}/attestation.pdf",
    tags=["Reconciliation"],
    summary="Get a reconciliation's attestation as a page",
    response_class=Response,
    responses={
        200: {
            "description": "One A4 page, the same bytes every time",
            "content": {_PDF: {"schema": {"type": "string", "format": "binary"}}},
        }
    },
    dependencies=[public],
    openapi_extra={"security": []},
)
def get_attestation_page(request: Request, reconciliation_id: PathId) -> Response:
    """Return the same as a page that can be filed, to anybody who knows the run's id."""
    # What draws pages is large, and most processes never draw one.
    from tallystick.attestations.page import attestation_page  # noqa: PLC0415

    service = service_of(request)
    with service.database.read() as connection:
        signed, bank, of_class = _found(connection, reconciliation_id)
    public_url = f"{service.settings.public_url}/v1/reconciliations/{reconciliation_id}/attestation"
    return Response(
        attestation_page(signed, bank, of_class, public_url),
        media_type=_PDF,
        headers={
            "Content-Disposition": f'inline; filename="attestation-{reconciliation_id}.pdf"',
            "Cache-Control": _YEAR,
            "X-Content-Type-Options": "nosniff",
        },
    )


@router.get(
    "/v1/attestations",
    tags=["Reconciliation"],
    summary="List attestations",
    response_model=ListView[AttestationView],
)
def get_attestations(  # noqa: PLR0917 FastAPI passes them by name.
    caller: StaffCaller,
    token_class_id: IdQuery = None,
    verdict: Verdict = None,
    after: After = None,
    until: Until = None,
    cursor: Cursor = "",
    limit: Limit = 100,
) -> Any:
    """Return what was attested, oldest run first: the trend of supply, the bank's balance and what lay between them."""
    with caller.read() as connection:
        found = attestations.attestations(
            connection,
            caller.issuer_id,
            token_class_id=token_class_id,
            verdict=verdict,
            after=after,
            until=until,
            behind=cursor,
            limit=limit + 1,
        )
        classes = {
            one.id: one
            for one in participants.token_classes(connection, caller.issuer_id, limit=_CLASSES_MAX)
        }
    return page(
        found, limit, lambda one: _show(one, classes[one.token_class_id]), lambda one: one.reconciliation_id
    )


def _found(connection: Connection, reconciliation_id: str) -> tuple[SignedAttestation, Issuer, TokenClass]:
    signed = attestations.signed_attestation(connection, reconciliation_id)
    issuer_id = signed.attestation.issuer_id
    viewer = tokens.system_principal(issuer_id, signed.attestation.attested_at)
    bank = participants.issuer(connection, viewer, issuer_id)
    return signed, bank, participants.token_class(connection, issuer_id, signed.attestation.token_class_id)


def _show(one: Attestation, of_class: TokenClass) -> dict[str, Any]:
    def text(minor: int | None) -> str | None:
        return None if minor is None else format_amount(minor, of_class.scale)

    return {
        "id": one.reconciliation_id,
        "object": "attestation",
        "created_at": format_time(one.attested_at),
        "issuer_id": one.issuer_id,
        "token_class_id": one.token_class_id,
        "currency": of_class.currency,
        "event_index": one.event_index,
        "ledger_index": one.ledger_index,
        "ledger_as_of": format_time(one.ledger_as_of),
        "bank_as_of": None if one.bank_as_of is None else one.bank_as_of.isoformat(),
        "supply": text(one.supply_minor),
        "control_account": text(one.control_minor),
        "bank_balance": text(one.bank_minor),
        "timing": text(one.timing_minor),
        "difference": None if one.bank_minor is None else text(one.control_minor - one.bank_minor),
        "breaks": one.breaks,
        "verdict": one.verdict,
    }
