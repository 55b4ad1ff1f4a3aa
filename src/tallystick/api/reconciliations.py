"""`/v1/reconciliations`: log, books and bank held against each other, and where they differ."""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import APIRouter
from sqlalchemy import Connection

from tallystick import attestations, participants, reconciliation
from tallystick.api.access import STAFF_AND_AUDITORS, Caller, StaffCaller
from tallystick.api.bodies import Moment, ObjectId, Schema
from tallystick.api.pages import Cursor, IdQuery, Limit, NumberCursor, PathId, page
from tallystick.api.views import ListView, View
from tallystick.api.writes import write_route
from tallystick.core.clock import format_time
from tallystick.core.money import format_amount
from tallystick.participants import TokenClass
from tallystick.reconciliation import Finding, Reconciliation

__all__ = ["RECONCILERS", "router", "show_run"]

router = APIRouter()

RECONCILERS: Final = STAFF_AND_AUDITORS
_FINDINGS_SHOWN_MAX: Final = 100


class ReconciliationRequest(Schema):
    """Reconcile a token class as it stands, or as of two times.

    `as_of`: what was booked and what of the bank's had come by then. `bank_as_of`: what of the bank's tells of a moment
    up to then. `verify_all`: verify every signature of the log, those too that an earlier, signed run has verified.
    """

    token_class_id: ObjectId
    as_of: Moment | None = None
    bank_as_of: Moment | None = None
    verify_all: bool = False


class FindingView(View):
    """One difference as a run found it. `break_id` names what is carried on; null in runs of a past moment.

    `difference` is what the books have more (less, if negative) than the evidence bears out.
    """

    object: str
    reconciliation_id: str
    finding_number: int
    break_id: str | None
    currency: str
    type: str
    difference: str
    explanation: str
    evidence: dict[str, str | int | None]


class ReconciliationView(View):
    """One run: the figures it compared and its verdict, `tied` only if no difference is left unexplained.

    As of two times: `ledger_as_of`, and `bank_as_of` up to which the bank's data reach. `suspended_because` is why
    nothing more may be issued. `current` runs carry breaks on and move the breaker; those of a past moment don't.
    """

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
    bank_as_of: str | None
    backing: str | None
    suspended_because: str | None
    current: bool | None


class ReconciliationWithFindingsView(ReconciliationView):
    """A run with the first hundred things it found; all of them are under `/findings`."""

    findings: list[FindingView]
    has_more_findings: bool


def _make(
    caller: Caller, connection: Connection, body: ReconciliationRequest, _path: Mapping[str, str]
) -> dict[str, Any]:
    run, _ = attestations.reconcile(
        connection,
        caller.service.settler,
        caller.principal,
        body.token_class_id,
        as_of=body.as_of,
        bank_as_of=body.bank_as_of,
        verify_all=body.verify_all,
    )
    return show_run(connection, run)


write_route(
    router,
    "/v1/reconciliations",
    operation="reconciliation",
    schema=ReconciliationRequest,
    view=ReconciliationWithFindingsView,
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
    response_model=ReconciliationWithFindingsView,
)
def get_reconciliation(caller: StaffCaller, reconciliation_id: PathId) -> Any:
    """Return one run with its breaks."""
    with caller.read() as connection:
        return show_run(
            connection, reconciliation.reconciliation(connection, caller.issuer_id, reconciliation_id)
        )


@router.get(
    "/v1/reconciliations/{reconciliation_id}/findings",
    tags=["Reconciliation"],
    summary="List what a reconciliation found",
    response_model=ListView[FindingView],
)
def get_reconciliation_findings(
    caller: StaffCaller, reconciliation_id: PathId, cursor: NumberCursor = 0, limit: Limit = 100
) -> Any:
    """Return what one run found, in its order."""
    with caller.read() as connection:
        run = reconciliation.reconciliation(connection, caller.issuer_id, reconciliation_id)
        of_class = participants.token_class(connection, run.issuer_id, run.token_class_id)
        found = reconciliation.findings(connection, caller.issuer_id, run.id, after=cursor, limit=limit + 1)
    return page(found, limit, lambda one: _show_finding(one, of_class), lambda one: str(one.finding_number))


def show_run(connection: Connection, run: Reconciliation) -> dict[str, Any]:
    """Return a run with what it found first as JSON."""
    of_class = participants.token_class(connection, run.issuer_id, run.token_class_id)
    found = reconciliation.findings(connection, run.issuer_id, run.id, limit=_FINDINGS_SHOWN_MAX + 1)
    return {
        **_show(run, of_class),
        "findings": [_show_finding(one, of_class) for one in found[:_FINDINGS_SHOWN_MAX]],
        "has_more_findings": len(found) > _FINDINGS_SHOWN_MAX,
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
        "bank_as_of": None if run.bank_as_of is None else format_time(run.bank_as_of),
        "backing": run.backing,
        "suspended_because": run.suspended_because,
        "current": run.current,
    }


def _show_finding(one: Finding, of_class: TokenClass) -> dict[str, Any]:
    return {
        "object": "reconciliation_finding",
        "reconciliation_id": one.reconciliation_id,
        "finding_number": one.finding_number,
        "break_id": one.break_id,
        "currency": of_class.currency,
        "type": one.type,
        "difference": format_amount(one.difference_minor, of_class.scale),
        "explanation": one.explanation,
        "evidence": one.evidence,
    }
