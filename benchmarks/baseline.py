"""What peers do: every transfer in a database transaction of its own, `SELECT … FOR UPDATE`, COMMIT.

Everything else is the product's: HTTP, authentication, schema, checks, idempotency, the gap-free log, a signature for
each event. So the difference is what sharing a commit brings, and nothing else.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from tallystick import tokens
from tallystick.api.service import Service
from tallystick.core.clock import Clock
from tallystick.core.settings import Settings
from tallystick.tokens import Submission, SubmissionOutcome

__all__ = ["TransactionPerTransfer"]


class TransactionPerTransfer(Service):
    """The service without group commit: a thread and a connection for each transaction under way.

    One connection of the pool is left for reading who calls.
    """

    def __init__(self, settings: Settings, database_url: str, clock: Clock | None = None) -> None:
        super().__init__(settings, database_url, clock)
        self._threads = ThreadPoolExecutor(settings.database_pool_size - 1)

    def close(self) -> None:
        self._threads.shutdown()
        super().close()

    async def settle(self, issuer_id: str, submission: Submission) -> SubmissionOutcome:
        def settle_alone() -> SubmissionOutcome:
            return self.database.run(
                lambda connection: tokens.settle(connection, self.settler, issuer_id, [submission])
            )[0]

        return await asyncio.get_running_loop().run_in_executor(self._threads, settle_alone)
