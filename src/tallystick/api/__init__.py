"""The HTTP edge: one file per resource, each with its routes and what they read and return."""

from fastapi import FastAPI

from tallystick.api import (
    accounts,
    approvals,
    deposits,
    documents,
    events,
    health,
    holds,
    ledger,
    liabilities,
    mints,
    participants,
    problems,
    redemptions,
    reversals,
    transfers,
)
from tallystick.api.middleware import RequestIds
from tallystick.api.service import Service

__all__ = ["Service", "build"]

_ROOMS = (
    participants,
    accounts,
    deposits,
    mints,
    transfers,
    holds,
    redemptions,
    reversals,
    approvals,
    events,
    ledger,
    liabilities,
    health,
    documents,
)


def build() -> FastAPI:
    """Return the application with every route; `app.state.service` is to be set before it serves."""
    app = documents.application()
    problems.install(app)
    for room in _ROOMS:
        app.include_router(room.router)
    app.add_middleware(RequestIds)
    return app
