"""How fast the books are held against the bank: `python -m benchmarks.reconciling [events]`.

So many ledger events (nine deposits to one release) against as many entries of the bank's statements, on an embedded
PostgreSQL of its own. Every journal entry is compared, every entry paired. Reconciled twice: the first run verifies
every signature (`…_all_…`), the next one what came since, and that the rest is still what the first had verified.

The time is that of a fresh process that does nothing else; processor time is that of all its processes and of
PostgreSQL; memory is that process's and of those that it starts, what they share counted once, at its highest.
"""

import contextlib
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import psycopg
import sqlalchemy
from nacl.signing import SigningKey

from benchmarks.bank import connect
from benchmarks.resources import cpu_seconds, postmaster_id
from tallystick import attestations, participants, reconciliation, signing, tokens
from tallystick.core import migrations
from tallystick.core.clock import SystemClock
from tallystick.core.database import Database
from tallystick.core.embedded_postgres import EmbeddedPostgres, embedded_postgres
from tallystick.core.money import format_amount
from tallystick.participants import HolderKind, KycStatus, Principal, Role
from tallystick.signing import KeyDirectory
from tallystick.tokens import Kind, Request, Settler, Submission

__all__ = ["measure"]

_CLOCK: Final = SystemClock()
_ACCOUNTS: Final = 200
_BATCH: Final = 2_000
_STATEMENT: Final = 10_000
_RELEASE_EVERY: Final = 10
# Reading what processes share costs a millisecond or two of the very processors that are measured.
_POLL_SECONDS: Final = 0.5
_VERIFICATIONS: Final = 5_000
_JOIN: Final = """
SELECT count(*) FILTER (WHERE b.id IS NULL OR e.deposit_id IS NULL OR b.minor <> e.amount_minor)
FROM (SELECT v.subject_id AS id, abs(j.debit_minor - j.credit_minor) AS minor
      FROM event v JOIN journal_line j ON j.issuer_id = v.issuer_id AND j.event_index = v.event_index
      WHERE j.ledger_account_id LIKE '1100.%') b
FULL OUTER JOIN statement_entry e ON e.deposit_id = b.id
"""


def measure(server: EmbeddedPostgres, directory: Path, events: int) -> dict[str, float]:
    """Fill a bank with so many events and entries, reconcile it, and return the figures."""
    with connect(server.superuser_url) as connection:
        connection.execute(b"CREATE DATABASE reconciling OWNER tallystick_owner")
    urls = [
        sqlalchemy.make_url(url).set(database="reconciling").render_as_string(hide_password=False)
        for url in (server.owner_url, server.service_url, server.superuser_url)
    ]
    migrations.upgrade(urls[0])
    _tell(f"reconciling: filling a log with {events:,} events, and as many entries of the bank's")
    asked = _fill(urls, directory, events)
    with connect(urls[2]) as connection:
        connection.execute(b"VACUUM ANALYZE")
        began = time.perf_counter()
        row = connection.execute(_JOIN.encode()).fetchone()
        join_seconds = time.perf_counter() - began
    assert row is not None
    # Releases have no link to their debits, so a join leaves both sides of each alone.
    assert row[0] == 2 * (events // _RELEASE_EVERY), row
    short = "1m" if events == 1_000_000 else f"{events // 1_000}k"
    found = {f"outer_join_{short}_s": join_seconds}
    for which, before in (("_all", 0), ("", events)):
        told = _reconciled(server, asked)
        assert (told["verdict"], told["findings"]) == ("tied", 0), told
        assert int(told["events"]) == events, told
        assert int(told["verified_before"]) >= before, told
        found |= {
            f"reconcile_{short}{which}_s": told["seconds"],
            f"reconcile_{short}{which}_processor_s": told["processor_s"],
            f"reconcile_{short}{which}_rss_mb": told["rss_mb"],
            f"reconcile_{short}{which}_vs_outer_join": told["seconds"] / join_seconds,
        }
    # What no design that verifies each signature can be below, on this machine and at this moment.
    found[f"limit_ed25519_{short}_processor_s"] = events * _verification_seconds()
    found["reconcile_all_vs_ed25519"] = (
        found[f"reconcile_{short}_all_processor_s"] / found[f"limit_ed25519_{short}_processor_s"]
    )
    return found


def _reconciled(server: EmbeddedPostgres, asked: dict[str, str]) -> dict[str, Any]:
    """Reconcile in a process of its own, and return what that told."""
    postgres_s = cpu_seconds(postmaster_id(server))
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.reconciling", "--child"],
        input=json.dumps(asked),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    told: dict[str, Any] = json.loads(ran.stdout)
    # Its connections are closed by now, so what their servers took is the postmaster's.
    told["processor_s"] += cpu_seconds(postmaster_id(server)) - postgres_s
    return told


def _verification_seconds() -> float:
    """Return the processor time of one signature's verification, of a message as long as an event."""
    key = SigningKey.generate()
    public_key, message = bytes(key.verify_key), bytes(900)
    signature = bytes(key.sign(message).signature)
    began = time.process_time()
    for _ in range(_VERIFICATIONS):
        assert signing.verify_signature(public_key, message, signature)
    return (time.process_time() - began) / _VERIFICATIONS


def _fill(urls: list[str], directory: Path, events: int) -> dict[str, str]:
    database = Database(urls[1], pool_size=2)
    keys = KeyDirectory(directory / "reconciling-keys", None)
    settler = Settler(
        _CLOCK,
        lambda pipeline, issuer_id: signing.ask_signer(pipeline, issuer_id, keys),
        timedelta(hours=1),
        keys.signer,
    )
    roots = KeyDirectory(directory / "reconciling-root", None)
    maker, auditor, class_id, account_ids = database.run(
        lambda connection: _open(connection, settler, keys, roots)
    )
    rows: list[str] = []
    with connect(urls[2]) as connection:
        connection.execute(b"SET session_replication_role = replica")
        for start in range(0, events, _BATCH):
            numbers = range(start, min(start + _BATCH, events))
            requests = [
                _request(maker, account_ids[(number - _is_release(number)) % _ACCOUNTS], number)
                for number in numbers
            ]
            submissions = [Submission((one,)) for one in requests]
            outcomes = database.run(
                lambda open_, batch=submissions: tokens.settle(open_, settler, maker.issuer_id, batch)  # type: ignore[misc]
            )
            assert all(one.outcomes[0].refusal is None for one in outcomes), outcomes[0]
            rows += [
                _entry(maker.issuer_id, one, number) for one, number in zip(requests, numbers, strict=True)
            ]
            if len(rows) >= _STATEMENT or numbers[-1] == events - 1:
                _copy(connection, rows)
                rows = []
        _add_statements(connection, maker.issuer_id, class_id, events)
    database.close()
    return {
        "url": urls[1],
        "issuer_id": maker.issuer_id,
        "class_id": class_id,
        "auditor_id": auditor.id,
        "keys": str(directory / "reconciling-keys"),
    }


def _open(
    connection: sqlalchemy.Connection, settler: Settler, keys: KeyDirectory, roots: KeyDirectory
) -> tuple[Principal, Principal, str, list[str]]:
    issuer_id = tokens.open_issuer(
        connection,
        _CLOCK,
        legal_name="Riverbank AG",
        lei="529900T8BM49AURSDO55",
        bic="RIVBDEFFXXX",
        jurisdiction="DE",
    ).issuer_id
    tokens.found_log(connection, settler, issuer_id, keys, roots, origin=f"benchmark.invalid/{issuer_id}")
    of_class = tokens.open_token_class(
        connection, _CLOCK, issuer_id, currency="EUR", name="Riverbank euro", backing_account_number="C-1"
    )
    holder = participants.register_holder(
        connection,
        _CLOCK,
        issuer_id,
        kind=HolderKind.CORPORATE,
        legal_name="Harbour",
        country="DE",
        residency="DE",
        kyc_status=KycStatus.VERIFIED,
    )
    account_ids = [
        tokens.open_account(
            connection,
            _CLOCK,
            issuer_id,
            holder_id=holder.id,
            token_class_id=of_class.id,
            deposit_account_number=f"D-{number}",
        ).id
        for number in range(_ACCOUNTS)
    ]
    maker, auditor = (
        participants.register_principal(
            connection,
            _CLOCK,
            issuer_id,
            name=role,
            roles=frozenset({role}),
            person=role,
            access_until=_CLOCK.now() + timedelta(days=2) if role == Role.AUDITOR else None,
        )
        for role in (Role.TREASURY_MAKER, Role.AUDITOR)
    )
    return maker, auditor, of_class.id, account_ids


def _is_release(number: int) -> bool:
    return number % _RELEASE_EVERY == _RELEASE_EVERY - 1


def _amount_minor(number: int) -> int:
    return 100 + number % 97 if _is_release(number) else 10_000 + number % 9_973


def _place(number: int) -> tuple[str, int]:
    return f"statement_{number // _STATEMENT:026d}", number % _STATEMENT + 1


def _request(maker: Principal, account_id: str, number: int) -> Request:
    kind = Kind.DEPOSIT_RELEASE if _is_release(number) else Kind.DEPOSIT
    statement_id, entry_number = _place(number)
    return Request(
        id=tokens.new_instruction_id(kind),
        kind=kind,
        principal=maker,
        key_digest=tokens.key_digest(maker.id, kind, f"{number}"),
        request_hash=tokens.request_hash(kind, {"number": number}),
        amount=format_amount(_amount_minor(number), 2),
        currency="EUR",
        payer_account_id=account_id if _is_release(number) else None,
        payee_account_id=None if _is_release(number) else account_id,
        related_id=None if _is_release(number) else f"{statement_id}.{entry_number}",
        evidence=not _is_release(number),
        value_date=date(2026, 11, 1),
    )


def _entry(issuer_id: str, request: Request, number: int) -> str:
    statement_id, entry_number = _place(number)
    credit = not _is_release(number)
    deposit, matched = (request.id, "reference") if credit else ("\\N", "\\N")
    return (
        f"{issuer_id}\t{statement_id}\t{entry_number}\t{_amount_minor(number)}\t{credit}\ttrue\tfalse\t2026-11-01"
        f"\t2026-11-01\tB-{number}\t{deposit}\t{matched}\n"
    )


def _copy(connection: psycopg.Connection[tuple[object, ...]], rows: list[str]) -> None:
    with connection.cursor().copy(
        b"COPY statement_entry (issuer_id, statement_id, entry_number, amount_minor, credit, booked, reversal,"
        b" booking_date, value_date, bank_reference, deposit_id, matched_by) FROM STDIN"
    ) as copy:
        copy.write("".join(rows))


def _add_statements(
    connection: psycopg.Connection[tuple[object, ...]], issuer_id: str, class_id: str, events: int
) -> None:
    balance = 0
    for first in range(0, events, _STATEMENT):
        numbers = range(first, min(first + _STATEMENT, events))
        opening = balance
        balance += sum(
            -_amount_minor(number) if _is_release(number) else _amount_minor(number) for number in numbers
        )
        sequence = first // _STATEMENT + 1
        statement_id, _ = _place(first)
        closed_on = date(2026, 11, 1) - timedelta(days=events // _STATEMENT - sequence)
        connection.execute(
            b"""INSERT INTO statement (issuer_id, id, token_class_id, message_type, message_id, bank_account,
                bank_statement_id, sequence_number, currency, opened_on, closed_on, opening_minor, closing_minor,
                entry_count, content_hash, file_hash, imported_by, imported_at)
                VALUES (%s, %s, %s, 'camt.053', %s, 'C-1', %s, %s, 'EUR', %s, %s, %s, %s, %s, '', '', 'x', now())""",
            (
                *(issuer_id, statement_id, class_id, statement_id, statement_id, sequence),
                *(closed_on, closed_on, opening, balance, len(numbers)),
            ),
        )
        connection.execute(
            b"INSERT INTO statement_completion (issuer_id, statement_id, completed_at) VALUES (%s, %s, now())",
            (issuer_id, statement_id),
        )


def _child() -> None:
    """Reconcile what standard input names, and tell how long it took and how much memory."""
    asked = json.load(sys.stdin)
    database = Database(asked["url"], pool_size=2)
    keys = KeyDirectory(Path(asked["keys"]), None)
    settler = Settler(
        _CLOCK,
        lambda pipeline, issuer_id: signing.ask_signer(pipeline, issuer_id, keys),
        timedelta(hours=1),
        keys.signer,
    )
    with database.read() as connection:
        auditor = participants.principal(connection, asked["issuer_id"], asked["auditor_id"])
    ended = threading.Event()
    highest = [0.0]
    watch = threading.Thread(target=_watch, args=(ended, highest))
    watch.start()
    used_before = _processor_seconds()
    began = time.perf_counter()
    run, _ = database.run(
        lambda connection: attestations.reconcile(connection, settler, auditor, asked["class_id"])
    )
    seconds = time.perf_counter() - began
    used = _processor_seconds() - used_before
    ended.set()
    watch.join()
    with database.read() as connection:
        found = reconciliation.findings(connection, asked["issuer_id"], run.id)
    told = {
        "seconds": seconds,
        "processor_s": used,
        "rss_mb": highest[0],
        "verdict": run.verdict,
        "findings": len(found),
        "events": run.figures["supply"]["events_verified"],
        "verified_before": run.figures["log"]["verified_before"],
    }
    database.close()
    print(json.dumps(told))


def _processor_seconds() -> float:
    """Return the processor time of this process and of those of its children that ended."""
    return sum(
        one.ru_utime + one.ru_stime
        for one in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )


def _watch(ended: threading.Event, highest: list[float]) -> None:
    while not ended.wait(_POLL_SECONDS):
        highest[0] = max(highest[0], sum(_rss_mb(one) for one in _family("self")))


def _family(process: str) -> Iterator[str]:
    yield process
    for listed in Path(f"/proc/{process}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in listed.read_text().split():
                yield from _family(child)


def _rss_mb(process: str) -> float:
    # What processes share counts once.
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1_024
    return 0.0


def _tell(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def main(events: int) -> None:
    """Print the figures of one run."""
    directory = Path(tempfile.mkdtemp(prefix="reconciling-"))
    try:
        with embedded_postgres(directory, settings={"shared_buffers": "1GB"}) as server:
            for name, value in measure(server, directory, events).items():
                print(f"{name}: {value:.2f}")
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    if "--child" in sys.argv:
        _child()
    else:
        main(int((sys.argv[1:] or ["100000"])[0]))
