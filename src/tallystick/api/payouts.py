"""`/v1/payouts`: tokens redeemed to an account at another bank; how each stands, and everything that was said of it."""

import uuid
from collections.abc import Mapping
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Query, Response
from pydantic import Field, StringConstraints
from sqlalchemy import Connection

from tallystick import events, participants, payouts, tokens
from tallystick.api.access import AnyCaller, Caller
from tallystick.api.bodies import Amount, Currency, ObjectId, Purpose, Reason, Reference, Schema
from tallystick.api.instructions import own_account_ids, shown_instructions
from tallystick.api.money import Fields, money_route
from tallystick.api.pages import Cursor, IdQuery, Limit, PathId, page
from tallystick.api.views import ListView, PayoutMoveView, PayoutView, RecordedPayoutView
from tallystick.core.clock import format_time
from tallystick.core.money import AmountMalformedError, parse_positive_amount
from tallystick.participants import AccountNotFoundError, Role
from tallystick.payouts import FiledItem, Payout, StatusItem, Step, StepKind
from tallystick.tokens import Instruction, Kind

__all__ = ["router"]

router = APIRouter()

_TAG: Final = "Payouts"
_ROLES: Final = frozenset({Role.PLATFORM, Role.HOLDER, Role.TREASURY_MAKER, Role.OPERATOR})
# What the bank says of a payout that moves no money.
_UNDER_WAY: Final = frozenset({"ACTC", "ACCP", "ACSP", "ACWC", "ACSC", "ACCC", "PDNG", "RCVD"})

Text = Annotated[str, StringConstraints(min_length=1, max_length=140)]
Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
Uetr = Annotated[str, StringConstraints(max_length=36)]


class BeneficiaryRequest(Schema):
    """Who is paid, and where; the address in its parts, for lines of free text are not taken by banks any more."""

    name: Text
    iban: Text | None = None
    account_number: Text | None = Field(
        default=None, description="Where there is no IBAN; `bic` is needed then."
    )
    bic: Text | None = None
    street_name: Text | None = None
    building_number: Text | None = None
    post_code: Text | None = None
    town_name: Text
    country: Country


class PayoutRequest(Schema):
    """Redeem tokens to an account at another bank. `uetr` is made if it is left out; `remittance` is what the
    beneficiary reads, and `reference` is the caller's own.
    """

    account_id: ObjectId
    amount: Amount
    currency: Currency
    beneficiary: BeneficiaryRequest
    remittance: Text | None = None
    purpose: Purpose | None = None
    reference: Reference | None = None
    uetr: Uetr | None = None


class PayoutCancellationRequest(Schema):
    """Take a payout back that is in no file yet; its tokens are available again."""

    reason: Reason


def _asked(body: PayoutRequest, _path: Mapping[str, str]) -> Fields:
    return {
        "payer_account_id": body.account_id,
        "amount": body.amount,
        "currency": body.currency,
        "reference": body.reference,
        "purpose": body.purpose,
        "payload": {
            "beneficiary": body.beneficiary.model_dump(exclude_none=True),
            "remittance": body.remittance,
            # Whoever sends the same key again gets the first answer, with the first one's.
            "uetr": body.uetr or str(uuid.uuid4()),
        },
    }


def _screen(caller: Caller, body: PayoutRequest, instruction: tokens.Request) -> Fields:
    """Screen whom it shall pay, so that the write path only has to read how they stand."""
    service = caller.service

    def work(connection: Connection) -> None:
        if _is_understood(connection, caller, body):
            tokens.screen_beneficiary(
                connection,
                service.clock,
                caller.issuer_id,
                instruction.payload or {},
                threshold=service.settings.screening_threshold,
            )

    service.database.run(work)
    return {}


def _is_understood(connection: Connection, caller: Caller, body: PayoutRequest) -> bool:
    """Tell whether it is of the caller's account and has an amount; of what is malformed nothing is kept."""
    try:
        account = participants.account(connection, caller.principal, body.account_id)
        of_class = participants.token_class(connection, caller.issuer_id, account.token_class_id)
        parse_positive_amount(body.amount, of_class.scale)
    except (AccountNotFoundError, AmountMalformedError):
        return False
    return body.currency == of_class.currency


money_route(
    router,
    "/v1/payouts",
    kind=Kind.PAYOUT,
    schema=PayoutRequest,
    view=PayoutView,
    roles=_ROLES,
    fields=_asked,
    prepare=_screen,
    summary="Pay out to an account at another bank",
    tag=_TAG,
)
money_route(
    router,
    "/v1/payouts/{payout_id}/cancel",
    kind=Kind.PAYOUT_CANCELLATION,
    schema=PayoutCancellationRequest,
    view=PayoutMoveView,
    roles=_ROLES,
    fields=lambda body, path: {"related_id": path["payout_id"], "reason": body.reason},
    summary="Cancel a payout",
    tag=_TAG,
)


@router.get(
    "/v1/payouts",
    tags=[_TAG],
    summary="List payouts",
    response_model=ListView[PayoutView],
    response_model_exclude_unset=True,
)
def get_payouts(
    caller: AnyCaller,
    state: Annotated[
        str | None,
        Query(
            pattern="^(pending_approval|rejected|expired|accepted|cancelled|settled|returned|given_back)$",
        ),
    ] = None,
    account_id: IdQuery = None,
    cursor: Cursor = "",
    limit: Limit = 100,
) -> Any:
    """Return payouts as they stand, oldest first."""
    with caller.read() as connection:
        rows = tokens.instructions(
            connection,
            caller.issuer_id,
            Kind.PAYOUT,
            state=state,
            account_ids=own_account_ids(connection, caller, account_id),
            after=cursor,
            limit=limit + 1,
        )
        shown = {one["id"]: one for one in _shown(connection, caller.issuer_id, rows)}
    return page(rows, limit, lambda row: shown[row.id], lambda row: row.id)


@router.get("/v1/payouts/{payout_id}", tags=[_TAG], summary="Get a payout", response_model=RecordedPayoutView)
def get_payout(caller: AnyCaller, payout_id: PathId) -> Response:
    """Return one payout with its history: each step, its file, and what the bank said, by the time it came."""
    with caller.read() as connection:
        row = tokens.instruction(connection, caller.principal, Kind.PAYOUT, payout_id)
        [shown] = _shown(connection, caller.issuer_id, [row])
        steps = payouts.steps(connection, caller.issuer_id, [row.id]).get(row.id, [])
        filed = payouts.filed(connection, caller.issuer_id, [row.id]).get(row.id)
        made_at = None
        if filed is not None:
            made_at = format_time(payouts.file(connection, caller.issuer_id, filed.file_id).made_at)
        said = payouts.status_items(connection, caller.issuer_id, [row.id])
        shown["history"] = _history(steps, filed, made_at, said)
        if row.event_index is not None:
            shown["signed_event"] = events.event_by_index(connection, caller.issuer_id, row.event_index).jws
    return Response(orjson.dumps(shown), media_type="application/json")


def _shown(connection: Connection, issuer_id: str, rows: list[Instruction]) -> list[dict[str, Any]]:
    ids = [row.id for row in rows]
    found = payouts.payouts(connection, issuer_id, ids)
    steps = payouts.steps(connection, issuer_id, ids)
    filed = payouts.filed(connection, issuer_id, ids)
    said = {one.payout_id: one for one in payouts.status_items(connection, issuer_id, ids)}
    return [
        shown | _members(found[shown["id"]], steps.get(shown["id"], []), filed.get(shown["id"]), said)
        for shown in shown_instructions(connection, issuer_id, rows)
    ]


def _members(
    payout: Payout, steps: list[Step], filed: FiledItem | None, said: Mapping[str, StatusItem]
) -> dict[str, Any]:
    settled = next((one for one in steps if one.step == StepKind.SETTLED), None)
    ended = next(
        (one for one in reversed(steps) if one.step not in (StepKind.ACCEPTED, StepKind.SETTLED)), None
    )
    settled_at = None if settled is None else format_time(settled.done_at)
    latest = said.get(payout.id)
    return {
        "uetr": payout.uetr,
        "end_to_end_id": payout.end_to_end_id,
        "beneficiary": payout.beneficiary._asdict(),
        "remittance": payout.remittance,
        "payout_file_id": None if filed is None else filed.file_id,
        # The bank's latest word; the books wait for its statement.
        "bank_status": None if latest is None else latest.status,
        "in_progress": latest is not None and latest.status in _UNDER_WAY and len(steps) == 1,
        "settled_at": settled_at,
        "final_at": settled_at,
        "reason_code": None if ended is None else ended.reason_code,
        "ended_reason": None if ended is None else ended.reason,
    }


def _history(
    steps: list[Step], filed: FiledItem | None, filed_at: str | None, said: list[StatusItem]
) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = [
        {
            "what": one.step.value,
            "at": format_time(one.done_at),
            "event_index": one.event_index,
            "done_by": one.done_by,
            "source_id": one.source_id,
            "reason_code": one.reason_code,
            "reason": one.reason,
        }
        for one in steps
    ]
    if filed is not None and filed_at is not None:
        told.append({"what": "filed", "at": filed_at, "source_id": filed.file_id})
    told += [
        {
            "what": "bank_status",
            "at": format_time(one.received_at),
            "status": one.status,
            "source_id": one.status_id,
            "reason_code": one.reason_code,
            "reason": one.reason,
        }
        for one in said
    ]
    return sorted(told, key=lambda one: str(one["at"]))
