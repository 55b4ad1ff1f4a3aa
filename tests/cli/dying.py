"""A command of ours that kills itself (SIGKILL) at one exact place: nothing depends on how fast anything is.

`python -m tests.cli.dying before payout_step payouts ask FILE` dies before the COMMIT of the first transaction that
wrote to the table, `behind` right behind it; a place with a dot is a function, such as `os.replace`.
`approve PATH KEY` votes.
"""

import importlib
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import psycopg
from sqlalchemy.engine.default import DefaultDialect

from tallystick.cli import main
from tallystick.cli.asking import ask
from tallystick.cli.running import load_settings

# Whoever writes to a table holds this lock until its transaction ends, however the rows went there.
_WROTE = """
SELECT count(*) FROM pg_locks
WHERE pid = pg_backend_pid() AND mode = 'RowExclusiveLock' AND relation = to_regclass(%s)
"""


def die() -> None:
    """Give nothing of this process a chance to tidy up."""
    os.kill(os.getpid(), signal.SIGKILL)


def dying_at_commit(table: str, *, persisted: bool) -> None:
    commit: Callable[..., None] = DefaultDialect.do_commit

    def do_commit(dialect: DefaultDialect, connection: Any) -> None:
        with connection.cursor() as cursor:
            struck = (
                connection.driver_connection.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS
                and cursor.execute(_WROTE, (table,)).fetchone() != (0,)
            )
        if struck and not persisted:
            die()
        commit(dialect, connection)
        if struck:
            die()

    DefaultDialect.do_commit = do_commit  # type: ignore[method-assign]


def dying_at_call(place: str, *, persisted: bool) -> None:
    module, _, name = place.rpartition(".")
    effect: Callable[..., Any] = getattr(importlib.import_module(module), name)

    def fatal(*given: Any, **named: Any) -> None:
        if persisted:
            effect(*given, **named)
        die()

    setattr(importlib.import_module(module), name, fatal)


def run(spot: str, place: str, *arguments: str) -> None:
    """Run a command that does not survive."""
    strike = dying_at_call if "." in place else dying_at_commit
    strike(place, persisted=spot == "behind")
    if arguments[0] == "approve":
        key = os.environ["TALLYSTICK_API_KEY"]
        ask(load_settings(), key, arguments[1], {}, idempotency_key=arguments[2])
    else:
        main(list(arguments))


if __name__ == "__main__":
    run(*sys.argv[1:])
