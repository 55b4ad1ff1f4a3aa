"""`tallystick serve`: the API, with the sandbox if asked for, until it is told to stop."""

import logging
import os
from types import FrameType
from typing import Any, Final

import typer
import uvicorn
from fastapi import FastAPI

from tallystick import app, sandbox
from tallystick.cli.running import migrated_database
from tallystick.core.clock import SystemClock
from tallystick.core.database import Database
from tallystick.core.settings import Settings
from tallystick.signing import KeyDirectory

__all__ = ["serve"]

_log: Final = logging.getLogger("tallystick")
_GRACE_SECONDS: Final = 20


class _Server(uvicorn.Server):
    """A server that tells followers of the log to end as soon as it is asked to stop."""

    def __init__(self, config: uvicorn.Config, application: FastAPI) -> None:
        super().__init__(config)
        self._application = application

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._application.state.service.closing = True
        super().handle_exit(sig, frame)


def serve(settings: Settings, *, with_sandbox: bool, announce: bool = True) -> None:
    """Serve until SIGINT or SIGTERM, then settle what is queued and stop the embedded database."""
    with migrated_database(settings, migrate=with_sandbox) as address:
        if with_sandbox:
            _seed(settings, address.service_url)
        if announce:
            _announce(settings, with_sandbox=with_sandbox)
        if settings.workers == 1:
            application = app.create_with(settings, address.service_url)
            _Server(uvicorn.Config(application, **_options(settings)), application).run()
        else:
            os.environ["TALLYSTICK_DATABASE_URL"] = address.service_url
            uvicorn.run("tallystick.app:create", factory=True, workers=settings.workers, **_options(settings))


def _options(settings: Settings) -> dict[str, Any]:
    return {
        "host": settings.host,
        "port": settings.port,
        "loop": "uvloop",
        "http": "httptools",
        "log_level": "warning",
        "access_log": False,
        "server_header": False,
        "date_header": False,
        "timeout_graceful_shutdown": _GRACE_SECONDS,
    }


def _seed(settings: Settings, service_url: str) -> None:
    database = Database(service_url, pool_size=2)
    try:
        sandbox.seed_unless_present(
            database,
            SystemClock(),
            KeyDirectory(settings.key_directory, settings.key_passphrase),
            settings.state_directory,
        )
    finally:
        database.close()


def _announce(settings: Settings, *, with_sandbox: bool) -> None:
    address = f"http://{settings.host}:{settings.port}"
    typer.echo(f"tallystick serves on {address}   documents: {address}/docs")
    if with_sandbox:
        typer.echo(f"the sandbox's API keys: {settings.state_directory / sandbox.KEYS_FILE_NAME}")
        typer.echo("next, in another terminal: make demo")
