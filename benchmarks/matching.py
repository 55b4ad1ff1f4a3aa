"""How long it takes to match many entries: credits with their deposits, debits with releases by reference.

Run as `python -m benchmarks.matching [ENTRIES] [CREDITS_PERCENT]`; prints one line of JSON. Everything is made through
the product's own verbs on a PostgreSQL of its own. Not part of `make bench`.
"""

import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

from tallystick import matching
from tallystick.core.embedded_postgres import embedded_postgres
from tallystick.tokens import Kind, Submission
from tests.bank import Bank, open_bank
from tests.camt_writer import Entry, statement
from tests.database import cloned_database, make_template

BATCH = 1_000


def release(bank: Bank, count: int) -> None:
    """Release deposits under references of their own, a thousand in a transaction."""
    bank.deposit("HARBOUR-USD", f"{count * 10 + 1}.00")
    for first in range(0, count, BATCH):
        bank.settle(
            *(
                Submission(
                    (
                        bank.request(
                            Kind.DEPOSIT_RELEASE,
                            bank.maker,
                            payer_account_id=bank.account_id("HARBOUR-USD"),
                            amount="1.25",
                            currency="USD",
                            reference=f"OUT-{number}",
                        ),
                    )
                )
                for number in range(first, min(first + BATCH, count))
            )
        )
        bank.acknowledged.clear()


def cpu_seconds(backend_pid: int) -> float:
    """Return the processor time of this process and of a server process, which a busy machine does not stretch."""
    fields = Path(f"/proc/{backend_pid}/stat").read_text().rpartition(")")[2].split()
    return time.process_time() + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Make the data, match twice, and print what it took."""
    entry_count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    credit_count = entry_count * (int(sys.argv[2]) if len(sys.argv) > 2 else 60) // 100
    debits = entry_count - credit_count
    entries = [
        *(Entry("1.50", remittance="LANTERN-USD", bank_reference=f"B-{n}") for n in range(credit_count)),
        *(Entry("1.25", credit=False, end_to_end_id=f"OUT-{n}") for n in range(debits)),
    ]
    with tempfile.TemporaryDirectory() as folder, embedded_postgres(Path(folder) / "postgres") as server:
        template = make_template(server)
        with cloned_database(server, template) as urls, open_bank(urls, Path(folder) / "keys") as bank:
            release(bank, debits)
            bank.import_statement(statement(*entries, opening=f"{entry_count * 10}.00"), size_max_bytes=10**9)
            entries.clear()
            seconds: list[float] = []
            cpu: list[float] = []
            opened: list[int] = []
            # One connection at a time is used, and it is the same one.
            with bank.database.engine.connect() as connection:
                backend_pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
            for _ in ("first", "again"):
                start, cpu_before = time.perf_counter(), cpu_seconds(backend_pid)
                run = matching.match_in_parts(
                    bank.database, bank.clock, bank.issuer_id, bank.classes["USD"].id
                )
                opened = [run.open_bank_count, run.open_books_count]
                seconds.append(round(time.perf_counter() - start, 2))
                cpu.append(round(cpu_seconds(backend_pid) - cpu_before, 2))
            told = {
                "entries": entry_count,
                "credits": credit_count,
                "seconds": seconds[0],
                "cpu_seconds": cpu[0],
                "seconds_again": seconds[1],
                "open": opened,
                "load": Path("/proc/loadavg").read_text().split()[0],
                "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1_024,
            }
    sys.stdout.write(f"{json.dumps(told)}\n")


if __name__ == "__main__":
    main()
