"""`/healthz` and `/readyz`: whether the process lives, and whether it can do its work."""

from typing import Any

from fastapi import APIRouter, Request

from tallystick.api.access import public, service_of
from tallystick.core import migrations
from tallystick.core.database import DatabaseUnavailableError

__all__ = ["router"]

router = APIRouter(dependencies=[public])


@router.get("/healthz", tags=["Health"], summary="Is the process alive?")
async def get_health() -> dict[str, str]:
    """Answer as long as the process runs; it asks nobody else."""
    return {"status": "alive"}


@router.get("/readyz", tags=["Health"], summary="Can the service work?")
def get_readiness(request: Request) -> Any:
    """Answer 200 when the database can be reached at this release's schema; 503 `database_unavailable` otherwise."""
    with service_of(request).database.read() as connection:
        try:
            migrations.require_head(connection)
        except migrations.SchemaMismatchError as error:
            raise DatabaseUnavailableError("The database's schema is not this release's.") from error
    return {"status": "ready"}
