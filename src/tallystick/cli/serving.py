"""`tallystick serve`: the API, with the sandbox if asked for, until it is told to stop."""

import contextlib
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import FrameType
from typing import Any, Final

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp
from uvicorn.supervisors import Multiprocess

from tallystick import app
from tallystick.cli.parents import PARENT, stop_with_parent
from tallystick.cli.report import CommandRefusedError, ExitCode, Report
from tallystick.cli.running import migrated_database
from tallystick.cli.seeding import keys_file, seed
from tallystick.cli.working import worker_beside
from tallystick.core.settings import Settings

__all__ = ["serve", "serve_alone", "worker_application"]

_OWN_MACHINE: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_GRACE_SECONDS: Final = 20
_BACKLOG: Final = 2_048
_WORKER_START_SECONDS_MAX: Final = 60


class _Server(uvicorn.Server):
    """A server that tells when it serves."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._announce()


class _Supervisor(Multiprocess):
    """Worker processes on one socket, and word of it once the first one serves."""

    def __init__(
        self, config: uvicorn.Config, sockets: list[socket.socket], announce: Callable[[], None]
    ) -> None:
        super().__init__(config, sockets)
        self._announce = announce

    def init_processes(self) -> None:
        super().init_processes()
        if self.processes[0].wait_until_ready(_WORKER_START_SECONDS_MAX, self.should_exit):
            self._announce()


def serve(report: Report, settings: Settings, *, with_sandbox: bool) -> None:
    """Serve until SIGINT or SIGTERM, then settle what is queued and stop the embedded database."""
    with (
        _stopped_by_signals(),
        migrated_database(settings, migrate=with_sandbox) as address,
        contextlib.ExitStack() as beside,
    ):
        if with_sandbox:
            seed(settings, address.service_url)
        listener = _listen(settings.host, settings.port)
        url = _url(settings.host, listener)
        if not with_sandbox and settings.log_origin is None and settings.host not in _OWN_MACHINE:
            listener.close()
            raise _log_origin_missing(settings.host)

        announced = threading.Event()

        def announce() -> None:
            beside.enter_context(worker_beside(address.service_url))
            _announce(report, settings, url, with_sandbox=with_sandbox)
            announced.set()

        if settings.workers == 1:
            application = app.create_with(settings, address.service_url)
            _end_followers_at_exit(application)
            _Server(uvicorn.Config(application, **_options(settings.host, settings.port)), announce).run(
                [listener]
            )
        else:
            # The workers read their settings anew, as `app.create` does under any other server.
            os.environ["TALLYSTICK_DATABASE_URL"] = address.service_url
            os.environ[PARENT] = str(os.getpid())
            config = uvicorn.Config(
                f"{__name__}:worker_application",
                factory=True,
                workers=settings.workers,
                **_options(settings.host, settings.port),
            )
            _Supervisor(config, [listener], announce).run()
        if not announced.is_set():
            raise CommandRefusedError(
                "service_not_started", "The service did not start; see above.", ExitCode.UNAVAILABLE
            )


def serve_alone(application: ASGIApp, host: str, port: int, announce: Callable[[str], None]) -> None:
    """Serve another application in this process, with the same manners, until SIGINT or SIGTERM."""
    with _stopped_by_signals():
        listener = _listen(host, port)
        url = _url(host, listener)
        config = uvicorn.Config(application, **_options(host, port))
        _Server(config, lambda: announce(url)).run([listener])


def worker_application() -> FastAPI:
    """Return the application of one of several processes, which ends with the process that started it."""
    application = app.create()
    _end_followers_at_exit(application)
    stop_with_parent()
    return application


def _end_followers_at_exit(application: FastAPI) -> None:
    """Let followers of the log end as soon as the server is asked to stop: it waits for open connections."""
    lifespan = application.router.lifespan_context

    @asynccontextmanager
    async def with_signals(running: FastAPI) -> AsyncIterator[None]:
        # By now the server's own handlers are in place; it puts back what was before them when it ends.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _closing_first(application, signal.getsignal(number)))
        async with lifespan(running):
            yield

    application.router.lifespan_context = with_signals


def _closing_first(application: FastAPI, handler: Any) -> Callable[[int, FrameType | None], None]:
    def handle(number: int, frame: FrameType | None) -> None:
        application.state.service.closing = True
        if callable(handler):
            handler(number, frame)

    return handle


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Turn SIGTERM into what SIGINT is, an exception, so that either one ends the service in order."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt:
        # The server has ended in order and raised its signal again, or had not begun yet.
        return
    finally:
        signal.signal(signal.SIGTERM, before)


def _options(host: str, port: int) -> dict[str, Any]:
    return {
        "host": host,
        "port": port,
        "loop": "uvloop",
        "http": "httptools",
        "log_level": "warning",
        "access_log": False,
        "server_header": False,
        "date_header": False,
        "proxy_headers": False,
        "timeout_graceful_shutdown": _GRACE_SECONDS,
    }


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise CommandRefusedError(
            "address_unusable",
            f"Can't listen on {host} port {port}: {reason}.",
            ExitCode.UNAVAILABLE,
        ) from error
    listener.set_inheritable(True)
    return listener


def _log_origin_missing(host: str) -> CommandRefusedError:
    """Return the refusal to serve others from a log without a name of its own: its first checkpoint fixes it."""
    return CommandRefusedError(
        "log_origin_missing",
        f"This would serve others on {host}, and the logs would be named for ever after nobody's address: set "
        "TALLYSTICK_LOG_ORIGIN_PREFIX (such as log.bank.example/log), or TALLYSTICK_PUBLIC_URL to where callers "
        "reach the service.",
        ExitCode.MISCONFIGURED,
    )


def _url(host: str, listener: socket.socket) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listener.getsockname()[1]}"


def _announce(report: Report, settings: Settings, url: str, *, with_sandbox: bool) -> None:
    keys = str(keys_file(settings).absolute()) if with_sandbox else None
    report.document({"object": "service", "url": url, "documents_url": f"{url}/docs", "keys_file": keys})
    report.end()
    report.say(f"tallystick serves on {url}   documents: {url}/docs")
    if with_sandbox:
        report.say(f"the sandbox's API keys: {keys_file(settings)}")
        report.say("next, in another terminal: make demo, or the five-minute tour in README.md")
