"""The application as a server runs it: settings from the environment in, routes and their service out."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from tallystick.api import application
from tallystick.api.service import Service
from tallystick.core import migrations
from tallystick.core.interpreter import tune_interpreter
from tallystick.core.settings import Settings

__all__ = ["create", "create_with"]


def create() -> FastAPI:
    """Return the application for `TALLYSTICK_…` settings; `TALLYSTICK_DATABASE_URL` must be set."""
    settings = Settings.from_environment()
    if settings.database_url is None:
        raise SystemExit(
            "TALLYSTICK_DATABASE_URL is not set; `tallystick serve` starts a database of its own"
        )
    return create_with(settings, settings.database_url)


def create_with(settings: Settings, database_url: str) -> FastAPI:
    """Return the application on a database.

    Starting it raises core.migrations.SchemaMismatchError unless the schema is exactly this release's: stale code must
    not touch newer books. Stopping it settles what is queued.
    """
    app = application.build()
    service = Service(settings, database_url)
    app.state.service = service

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        try:
            with service.database.read() as connection:
                migrations.require_head(connection)
            tune_interpreter()
            if settings.settling_process:
                await service.settle_beside()
            yield
        finally:
            await service.end_settling()
            service.close()

    app.router.lifespan_context = lifespan
    return app
