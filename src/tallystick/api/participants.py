"""`/v1/issuers`, `/v1/token-classes`, `/v1/holders`: who takes part."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import Field, StringConstraints
from sqlalchemy import Connection

from tallystick import participants, screening, tokens
from tallystick.api.access import AnyCaller, Caller
from tallystick.api.bodies import Currency, Day, ObjectId, Reason, Schema
from tallystick.api.changes import change_route
from tallystick.api.pages import Cursor, Limit, PathId, page
from tallystick.api.views import ListView, View
from tallystick.api.writes import write_route
from tallystick.core.clock import format_time
from tallystick.core.money import SCALE_MAX
from tallystick.participants import Holder, HolderKind, Issuer, KycStatus, Role, TokenClass

__all__ = ["AccountNumber", "Iban", "router"]

router = APIRouter()

_OPERATOR = frozenset({Role.OPERATOR})
Name = Annotated[str, StringConstraints(min_length=1, max_length=140)]
Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
Lei = Annotated[str, StringConstraints(max_length=24)]
Iban = Annotated[str, StringConstraints(max_length=42)]
AccountNumber = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.\-/ ]{1,34}$")]


class TokenClassRequest(Schema):
    """A new token class, backed by one control account at the core bank."""

    currency: Currency
    name: Name
    scale: Annotated[int, Field(ge=0, le=SCALE_MAX)] | None = None
    backing_iban: Iban | None = None
    backing_account_number: AccountNumber | None = None


class ModeRequest(Schema):
    """Pause a class, wind it down, or open it again. What lets less through counts at once; what lets more through
    waits for another person.
    """

    mode: Annotated[str, StringConstraints(pattern="^(normal|redeem_only|paused)$")]
    reason: Reason


class HolderRequest(Schema):
    """A new customer of the issuer."""

    kind: Literal["corporate", "merchant", "platform", "institution"]
    legal_name: Name
    country: Country
    residency: Country
    lei: Lei | None = None
    platform_id: ObjectId | None = None


class KycRequest(Schema):
    """Where the bank's check of a holder stands."""

    status: Literal["pending", "verified", "rejected"]
    expires_on: Day | None = None


class IssuerView(View):
    """A bank that owes what its tokens promise."""

    id: str
    object: str
    created_at: str
    legal_name: str
    lei: str
    bic: str
    jurisdiction: str


class TokenClassView(View):
    """One issuer's token of one currency."""

    id: str
    object: str
    created_at: str
    issuer_id: str
    currency: str
    scale: int
    name: str
    mode: str
    backing_iban: str | None
    backing_account_number: str | None
    terms_version: int


class HolderView(View):
    """A customer of the issuer."""

    id: str
    object: str
    created_at: str
    issuer_id: str
    kind: str
    legal_name: str
    country: str
    residency: str
    lei: str | None
    platform_id: str | None
    kyc_status: str
    kyc_expires_on: str | None


def _make_token_class(
    caller: Caller, connection: Connection, body: TokenClassRequest, _path: Mapping[str, str]
) -> dict[str, Any]:
    return _show_token_class(
        tokens.open_token_class(
            connection,
            caller.service.clock,
            caller.issuer_id,
            currency=body.currency,
            name=body.name,
            scale=body.scale,
            backing_iban=body.backing_iban,
            backing_account_number=body.backing_account_number,
        )
    )


def _make_holder(
    caller: Caller, connection: Connection, body: HolderRequest, _path: Mapping[str, str]
) -> dict[str, Any]:
    registered = participants.register_holder(
        connection,
        caller.service.clock,
        caller.issuer_id,
        kind=HolderKind(body.kind),
        legal_name=body.legal_name,
        country=body.country,
        residency=body.residency,
        lei=body.lei,
        platform_id=body.platform_id,
    )
    # What it finds is not part of the answer: a customer is not told that it was taken for somebody on a list.
    screening.screen_holder(
        connection,
        caller.service.clock,
        caller.issuer_id,
        registered,
        threshold=caller.service.settings.screening_threshold,
    )
    return _show_holder(registered)


def _record_kyc(
    caller: Caller, connection: Connection, body: KycRequest, path: Mapping[str, str]
) -> dict[str, Any]:
    return _show_holder(
        participants.record_kyc(
            connection, caller.issuer_id, path["holder_id"], KycStatus(body.status), body.expires_on
        )
    )


write_route(
    router,
    "/v1/token-classes",
    operation="token_class",
    schema=TokenClassRequest,
    view=TokenClassView,
    roles=_OPERATOR,
    make=_make_token_class,
    summary="Open a token class",
    tag="Participants",
)
change_route(
    router,
    "/v1/token-classes/{token_class_id}/mode",
    operation="token_class_mode",
    schema=ModeRequest,
    roles=_OPERATOR,
    subject="token_class_id",
    payload=lambda body: {"mode": body.mode},
    summary="Change what a token class is open for",
    tag="Participants",
)
write_route(
    router,
    "/v1/holders",
    operation="holder",
    schema=HolderRequest,
    view=HolderView,
    roles=_OPERATOR,
    make=_make_holder,
    summary="Register a holder",
    tag="Participants",
)
write_route(
    router,
    "/v1/holders/{holder_id}/kyc",
    operation="holder_kyc",
    schema=KycRequest,
    view=HolderView,
    roles=_OPERATOR,
    make=_record_kyc,
    summary="Record a know-your-customer check",
    tag="Participants",
    status=200,
)


@router.get("/v1/issuers", tags=["Participants"], summary="List issuers", response_model=ListView[IssuerView])
def get_issuers(caller: AnyCaller) -> Any:
    """Return the issuer that the caller belongs to: a key opens one bank's books only."""
    with caller.read() as connection:
        bank = participants.issuer(connection, caller.principal, caller.issuer_id)
    return page([bank], 1, _show_issuer, lambda one: one.issuer_id)


@router.get(
    "/v1/issuers/{issuer_id}", tags=["Participants"], summary="Get an issuer", response_model=IssuerView
)
def get_issuer(caller: AnyCaller, issuer_id: PathId) -> Any:
    """Return the caller's issuer; any other is absent."""
    with caller.read() as connection:
        return _show_issuer(participants.issuer(connection, caller.principal, issuer_id))


@router.get(
    "/v1/token-classes",
    tags=["Participants"],
    summary="List token classes",
    response_model=ListView[TokenClassView],
)
def get_token_classes(caller: AnyCaller, cursor: Cursor = "", limit: Limit = 100) -> Any:
    """Return the issuer's token classes."""
    with caller.read() as connection:
        found = participants.token_classes(connection, caller.issuer_id, after=cursor, limit=limit + 1)
    return page(found, limit, _show_token_class, lambda one: one.id)


@router.get(
    "/v1/token-classes/{token_class_id}",
    tags=["Participants"],
    summary="Get a token class",
    response_model=TokenClassView,
)
def get_token_class(caller: AnyCaller, token_class_id: PathId) -> Any:
    """Return one token class."""
    with caller.read() as connection:
        return _show_token_class(participants.token_class(connection, caller.issuer_id, token_class_id))


@router.get("/v1/holders", tags=["Participants"], summary="List holders", response_model=ListView[HolderView])
def get_holders(caller: AnyCaller, cursor: Cursor = "", limit: Limit = 100) -> Any:
    """Return the holders that the caller may know of."""
    with caller.read() as connection:
        found = participants.holders(connection, caller.principal, after=cursor, limit=limit + 1)
    return page(found, limit, _show_holder, lambda one: one.id)


@router.get(
    "/v1/holders/{holder_id}", tags=["Participants"], summary="Get a holder", response_model=HolderView
)
def get_holder(caller: AnyCaller, holder_id: PathId) -> Any:
    """Return one holder."""
    with caller.read() as connection:
        return _show_holder(participants.holder(connection, caller.principal, holder_id))


def _show_issuer(bank: Issuer) -> dict[str, Any]:
    return {
        "id": bank.issuer_id,
        "object": "issuer",
        "created_at": format_time(bank.created_at),
        "legal_name": bank.legal_name,
        "lei": bank.lei,
        "bic": bank.bic,
        "jurisdiction": bank.jurisdiction,
    }


def _show_token_class(of_class: TokenClass) -> dict[str, Any]:
    return {
        "id": of_class.id,
        "object": "token_class",
        "created_at": format_time(of_class.created_at),
        "issuer_id": of_class.issuer_id,
        "currency": of_class.currency,
        "scale": of_class.scale,
        "name": of_class.name,
        "mode": of_class.mode,
        "backing_iban": of_class.backing_iban,
        "backing_account_number": of_class.backing_account_number,
        "terms_version": of_class.terms_version,
    }


def _show_holder(found: Holder) -> dict[str, Any]:
    return {
        "id": found.id,
        "object": "holder",
        "created_at": format_time(found.created_at),
        "issuer_id": found.issuer_id,
        "kind": found.kind,
        "legal_name": found.legal_name,
        "country": found.country,
        "residency": found.residency,
        "lei": found.lei,
        "platform_id": found.platform_id,
        "kyc_status": found.kyc_status,
        "kyc_expires_on": None if found.kyc_expires_on is None else found.kyc_expires_on.isoformat(),
    }
