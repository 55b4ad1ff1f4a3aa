"""The service that is measured, as a process of its own: `tallystick serve` itself, with one more route.

    python -m benchmarks.server product|baseline|unruled
    python -m benchmarks.server settling-unruled SOCKET    (started by `unruled`, to settle beside it)

Settings come from the environment, as the product's do. The route is an empty POST that authenticates like any other;
the baseline is the same process with another way to the write path (see `benchmarks.baseline`), the unruled one lets
everything pass unasked (see `benchmarks.rules`).
"""

import contextlib
import os
import signal
import sys
import threading
from unittest.mock import patch

from fastapi import Request, Response

from benchmarks.baseline import TransactionPerTransfer
from benchmarks.requests import EMPTY_PATH
from benchmarks.rules import without_rules
from tallystick import app, cli
from tallystick.api import transfers
from tallystick.api.access import authenticated
from tallystick.api.attempts import attempt_of
from tallystick.api.bodies import idempotency_key, read_body
from tallystick.api.posts import post_route
from tallystick.participants import Role
from tallystick.tokens import settling_child, settling_process

_ROLES = frozenset({Role.PLATFORM})
_SETTLING_UNRULED = "settling-unruled"


async def _empty(request: Request) -> Response:
    caller = await authenticated(request, _ROLES)
    # It does nothing, so there is nothing to put on record.
    attempt_of(request.scope).is_recorded = True
    idempotency_key(request)
    await read_body(request, caller.service.settings.body_size_max_bytes)
    return Response(b"{}", 201, media_type="application/json")


def _add_empty_route() -> None:
    # Added as the product adds its own, so that it takes the same way through the framework.
    post_route(
        transfers.router,
        EMPTY_PATH,
        _empty,
        schema=transfers.TransferRequest,
        view=transfers.TransferRequest,
        roles=_ROLES,
        summary="Do nothing",
        tag="Benchmark",
        status=201,
    )


def _stop_with_parent() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Serve until standard input ends."""
    if sys.argv[1] == _SETTLING_UNRULED:
        with without_rules():
            settling_child.main(int(sys.argv[2]))
        return
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    _add_empty_route()
    with contextlib.ExitStack() as changes:
        if sys.argv[1] == "baseline":
            changes.enter_context(patch.object(app, "Service", TransactionPerTransfer))
        elif sys.argv[1] == "unruled":
            child = ("-m", "benchmarks.server", _SETTLING_UNRULED)
            changes.enter_context(patch.object(settling_process, "_CHILD", child))
        changes.enter_context(patch.object(sys, "argv", ["tallystick", "serve"]))
        cli.main()


if __name__ == "__main__":
    main()
