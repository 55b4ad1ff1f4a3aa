"""The write path alone, as a process of its own: no HTTP, prepared requests, as many to a commit as the service takes.

    python -m benchmarks.engine BANK_FILE

Questions: {"traffic": …, "seconds": …} measures; {"traffic": …, "events": …} settles until the log is that long.
"""

import io
import random
import secrets
import sys
import time
from pathlib import Path
from typing import Any, Final

from benchmarks.bank import COMMIT_SIZE, CURRENCY, Bank, request_for, settle_all, write_path
from benchmarks.traffic import Traffic, transfers
from benchmarks.workers import answer_questions
from tallystick import events, participants
from tallystick.core.clock import SystemClock
from tallystick.core.interpreter import tune_interpreter
from tallystick.tokens import Kind, Request

__all__ = ["Engine"]

# So many times what the first batch promises is prepared, so that it does not run out before the time is up.
_PREPARED_SHARE: Final = 1.5


class Engine:
    """One bank's write path, acting for its platform."""

    def __init__(self, bank: Bank) -> None:
        self._bank = bank
        self._service = write_path(bank)
        with self._service.database.read() as connection:
            self._platform = participants.authenticate(connection, SystemClock(), bank.platform_key)
        self._random = random.Random(1)
        self._acknowledged_path = Path(f"{bank.acknowledged_path}.engine")
        self._acknowledged = io.StringIO()
        # As in the service's own process.
        tune_interpreter()

    def answer(self, question: dict[str, Any]) -> dict[str, float]:
        """Measure, or fill, as asked."""
        traffic = Traffic(question["traffic"])
        if "events" in question:
            return self.fill(traffic, question["events"])
        return self.measure(traffic, question["seconds"])

    def measure(self, traffic: Traffic, seconds: float) -> dict[str, float]:
        """Settle prepared batches for so long; return the rate and the processor time of this process."""
        first = self._batch(traffic)
        began = time.perf_counter()
        self._settle(first)
        batches = 2 + int(_PREPARED_SHARE * seconds / (time.perf_counter() - began))
        prepared = [self._batch(traffic) for _ in range(batches)]
        count = 0
        processor_began = time.process_time()
        began = ended = time.perf_counter()
        while prepared and ended - began < seconds:
            self._settle(prepared.pop())
            count += COMMIT_SIZE
            ended = time.perf_counter()
        processor_seconds = time.process_time() - processor_began
        self._note_acknowledged()
        return {"per_second": count / (ended - began), "cpu_us": processor_seconds / count * 1e6}

    def fill(self, traffic: Traffic, length: int) -> dict[str, float]:
        """Settle batches until the log holds `length` events."""
        with self._service.database.read() as connection:
            missing = length - 1 - events.last_index(connection, self._bank.issuer_id)
        began = time.perf_counter()
        for start in range(0, missing, COMMIT_SIZE):
            self._settle(self._batch(traffic, min(COMMIT_SIZE, missing - start)))
            self._note_acknowledged()
        return {"per_second": max(missing, 0) / (time.perf_counter() - began)}

    def _batch(self, traffic: Traffic, size: int = COMMIT_SIZE) -> list[Request]:
        key = secrets.token_hex(8)
        return [
            request_for(
                self._platform,
                Kind.TRANSFER,
                f"{key}-{number}",
                payer_account_id=payer,
                payee_account_id=payee,
                amount=amount,
                currency=CURRENCY,
            )
            for number, (payer, payee, amount) in enumerate(
                transfers(traffic, self._bank.account_ids, size, self._random)
            )
        ]

    def _note_acknowledged(self) -> None:
        with self._acknowledged_path.open("a", encoding="ascii") as file:
            file.write(self._acknowledged.getvalue())
        self._acknowledged = io.StringIO()

    def _settle(self, batch: list[Request]) -> None:
        settle_all(self._service, self._bank.issuer_id, batch, self._acknowledged)


if __name__ == "__main__":
    answer_questions(Engine(Bank.load(Path(sys.argv[1]))).answer)
