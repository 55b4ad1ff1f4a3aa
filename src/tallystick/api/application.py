"""All of the edge put together: the application, with every route and what stands around them."""

from fastapi import FastAPI

from tallystick.api import (
    account_statements,
    accounts,
    approvals,
    attestations,
    audit_trail,
    books,
    breakers,
    breaks,
    business_dates,
    changes,
    deposit_balances,
    deposits,
    documents,
    events,
    exports,
    health,
    holds,
    ledger,
    liabilities,
    liability_attestations,
    limits,
    log,
    matches,
    metrics,
    mints,
    oauth,
    orders,
    participants,
    payout_files,
    payout_findings,
    payout_statuses,
    payouts,
    policies,
    powers,
    principals,
    problems,
    reconciliations,
    redemptions,
    reversals,
    schedules,
    screenings,
    signing_keys,
    simulations,
    statements,
    transfers,
)
from tallystick.api.middleware import RequestIds
from tallystick.api.recording import Trail
from tallystick.api.short_way import ShortWay

__all__ = ["build"]

_ROOMS = (
    participants,
    principals,
    oauth,
    accounts,
    account_statements,
    statements,
    deposits,
    deposit_balances,
    matches,
    mints,
    transfers,
    holds,
    redemptions,
    payouts,
    payout_files,
    payout_statuses,
    payout_findings,
    reversals,
    orders,
    approvals,
    events,
    log,
    ledger,
    books,
    liabilities,
    liability_attestations,
    reconciliations,
    breaks,
    attestations,
    business_dates,
    schedules,
    exports,
    policies,
    limits,
    powers,
    signing_keys,
    simulations,
    changes,
    breakers,
    audit_trail,
    screenings,
    metrics,
    health,
    documents,
)


def build() -> FastAPI:
    """Return the application with every route; `app.state.service` is to be set before it serves."""
    app = documents.application()
    problems.install(app)
    for room in _ROOMS:
        app.include_router(room.router)
    # The last one added is the outermost.
    # Asked of the rooms: the application may keep their routes folded.
    app.add_middleware(ShortWay, routes=[route for room in _ROOMS for route in room.router.routes])
    app.add_middleware(Trail)
    app.add_middleware(RequestIds)
    return app
