"""`/v1/reconciliations` and `/v1/breaks`: log, books and bank held against each other, and where they differ."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from sqlalchemy import Connection

from tallystick import attestations, participants, reconciliation
from tallystick.api.access import STAFF_AND_AUDITORS, Caller, StaffCaller
from tallystick.api.bodies import Moment, ObjectId, Schema
from tallystick.api.pages import Cursor, IdQuery, Limit, PathId, page
from tallystick.api.views import ListView, View
from tallystick.api.writes import write_route
from tallystick.core.clock import format_time
from tallystick.core.money import format_amount
from tallystick.participants import TokenClass
from tallystick.reconciliation import Break, Reconciliation

__all__ = ["RECONCILERS", "router", "show_run"]

router = APIRouter()

RECONCILERS: Final = STAFF_AND_AUDITORS
_BREAKS_SHOWN_MAX: Final = 100


class ReconciliationRequest(Schema):
    """Reconcile a token class as it stands, or as it stood at a moment."""

    token_class_id: ObjectId
    as_of: Moment | None = None


class BreakView(View):
    """One difference. `difference` is what the books have more (less, if negative) than the evidence bears out."""

    id: str
    object: str
    created_at: str
    issuer_id: str
    reconciliation_id: str
    token_class_id: str
    currency: str
    type: str
    state: str
    difference: str
    explanation: str
    evidence: dict[str, str | int | None]


class ReconciliationView(View):
    """One run: the figures it compared and its verdict, `tied` only if no difference is left unexplained."""

    id: str
    object: str
    created_at: str
    issuer_id: str
    token_class_id: str
    currency: str
    event_index: int
    ledger_as_of: str
    statement_id: str | None
    verdict: str
    figures: dict[str, dict[str, str | None]]
    run_by: str


class ReconciliationWithBreaksView(ReconciliationView):
    """A run with its first hundred breaks; all of them are under `/v1/breaks`."""

    breaks: list[BreakView]
    has_more_breaks: bool


def _make(
    caller: Caller, connection: Connection, body: ReconciliationRequest, _path: Mapping[str, str]
) -> dict[str, Any]:
    run, _ = attestations.reconcile(
        connection, caller.service.settler, caller.principal, body.token_class_id, as_of=body.as_of
    )
    return show_run(connection, run)


write_route(
    router,
    "/v1/reconciliations",
    operation="reconciliation",
    schema=ReconciliationRequest,
    view=ReconciliationWithBreaksView,
    roles=RECONCILERS,
    make=_make,
    summary="Reconcile a token class",
    tag="Reconciliation",
)


@router.get(
    "/v1/reconciliations",
    tags=["Reconciliation"],
    summary="List reconciliations",
    response_model=ListView[ReconciliationView],
)
def get_reconciliations(
    caller: StaffCaller, token_class_id: IdQuery = None, cursor: Cursor = "", limit: Limit = 100
) -> Any:
    """Return runs, oldest first."""
    with caller.read() as connection:
        found = reconciliation.reconciliations(
            connection, caller.issuer_id, token_class_id=token_class_id, after=cursor, limit=limit + 1
        )
        classes = _classes(connection, caller.issuer_id, {one.token_class_id for one in found})
    return page(found, limit, lambda one: _show(one, classes[one.token_class_id]), lambda one: one.id)


@router.get(
    "/v1/reconciliations/{reconciliation_id}",
    tags=["Reconciliation"],
    summary="Get a reconciliation",
    response_model=ReconciliationWithBreaksView,
)
def get_reconciliation(caller: StaffCaller, reconciliation_id: PathId) -> Any:
    """Return one run with its breaks."""
    with caller.read() as connection:
        return show_run(
            connection, reconciliation.reconciliation(connection, caller.issuer_id, reconciliation_id)
        )


@router.get("/v1/breaks", tags=["Reconciliation"], summary="List breaks", response_model=ListView[BreakView])
def get_breaks(
    caller: StaffCaller,
    reconciliation_id: IdQuery = None,
    state: Annotated[str | None, Query(pattern="^(open|explained|closed)$")] = None,
    cursor: Cursor = "",
    limit: Limit = 100,
) -> Any:
    """Return breaks in the order in which they were found; `state=open` is what waits for somebody."""
    with caller.read() as connection:
        found = reconciliation.breaks(
            connection,
            caller.issuer_id,
            reconciliation_id=reconciliation_id,
            state=state,
            after=cursor,
            limit=limit + 1,
        )
        classes = _classes(connection, caller.issuer_id, {one.token_class_id for one in found})
    return page(found, limit, lambda one: _show_break(one, classes[one.token_class_id]), lambda one: one.id)


def show_run(connection: Connection, run: Reconciliation) -> dict[str, Any]:
    """Return a run with its first breaks as JSON."""
    of_class = participants.token_class(connection, run.issuer_id, run.token_class_id)
    breaks = reconciliation.breaks(
        connection, run.issuer_id, reconciliation_id=run.id, limit=_BREAKS_SHOWN_MAX + 1
    )
    return {
        **_show(run, of_class),
        "breaks": [_show_break(one, of_class) for one in breaks[:_BREAKS_SHOWN_MAX]],
        "has_more_breaks": len(breaks) > _BREAKS_SHOWN_MAX,
    }


def _classes(connection: Connection, issuer_id: str, ids: set[str]) -> dict[str, TokenClass]:
    return {class_id: participants.token_class(connection, issuer_id, class_id) for class_id in ids}


def _show(run: Reconciliation, of_class: TokenClass) -> dict[str, Any]:
    return {
        "id": run.id,
        "object": "reconciliation",
        "created_at": format_time(run.created_at),
        "issuer_id": run.issuer_id,
        "token_class_id": run.token_class_id,
        "currency": of_class.currency,
        "event_index": run.event_index,
        "ledger_as_of": format_time(run.ledger_as_of),
        "statement_id": run.statement_id,
        "verdict": run.verdict,
        "figures": run.figures,
        "run_by": run.run_by,
    }


def _show_break(one: Break, of_class: TokenClass) -> dict[str, Any]:
    return {
        "id": one.id,
        "object": "break",
        "created_at": format_time(one.created_at),
        "issuer_id": one.issuer_id,
        "reconciliation_id": one.reconciliation_id,
        "token_class_id": one.token_class_id,
        "currency": of_class.currency,
        "type": one.type,
        "state": one.state,
        "difference": format_amount(one.difference_minor, of_class.scale),
        "explanation": one.explanation,
        "evidence": one.evidence,
    }
