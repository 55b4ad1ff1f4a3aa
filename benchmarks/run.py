"""The run: one PostgreSQL, all measurements in turn, again and again; the oracle; growth, reconciling and packs."""

import contextlib
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import psycopg

from benchmarks import oracle, reconciling
from benchmarks.bank import connect, open_bank
from benchmarks.figures import Figure, figures
from benchmarks.limits import CopyLimit, SigningLimit, flushes_per_second
from benchmarks.packs import measure_packs
from benchmarks.requests import Kind
from benchmarks.resources import postmaster_id
from benchmarks.rules import decision_times
from benchmarks.subject import Samples, Subject
from benchmarks.traffic import Traffic, accounts_of
from tallystick.core.embedded_postgres import EmbeddedPostgres, embedded_postgres

__all__ = ["FULL", "QUICK", "Plan", "run"]

_GB: Final = 1 << 30
_PAGE_BYTES: Final = 8_192
# A quarter of the memory, as PostgreSQL's manual begins with for a machine of its own; here it also serves and asks.
_BUFFERS_GB: Final = max(1, min(8, round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / _GB / 4)))
_SETTINGS: Final = {
    "shared_buffers": f"{_BUFFERS_GB}GB",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    # Where a server has run for long, files of its log are used again, not made anew.
    "min_wal_size": "4GB",
    # So much that checkpoints come by time, every five minutes, as PostgreSQL's manual advises: behind each of them the
    # first change of every page is logged whole.
    "max_wal_size": "16GB",
}
# A pack of a million events takes minutes, and what is asked of it is no close call.
_PACK_ROUNDS: Final = 1
_COPY_BATCHES: Final = 60
_GROWTH_SECONDS_MAX: Final = 3_600.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How thoroughly to measure. `sides_repeated` repeats what no ratio needs in every round too.

    `warm_up_gb` is how much is written before anything is measured: all that the server's buffers hold, or about what
    the run will write. `turns` is how often each side of what the rules cost has its turn in a round, `pack_events` how
    long the log is that a pack is made of; with `packs_only` nothing else is measured.
    """

    rounds: int
    seconds: float
    sides_repeated: bool
    accounts: int
    warm_up_gb: int
    turns: int
    growth_events: int | None
    pack_events: int | None = None
    reconciled_events: int | None = None
    only: str = ""
    packs_only: bool = False


QUICK: Final = Plan(
    rounds=3,
    seconds=0.5,
    sides_repeated=False,
    accounts=20_000,
    warm_up_gb=1,
    turns=2,
    growth_events=None,
)
FULL: Final = Plan(
    rounds=5,
    seconds=3.0,
    sides_repeated=True,
    accounts=100_000,
    warm_up_gb=_BUFFERS_GB,
    turns=6,
    growth_events=5_000_000,
    pack_events=1_000_000,
    reconciled_events=1_000_000,
)


class _Measurement(NamedTuple):
    name: str
    in_ratios: bool
    measure: Callable[[float], Samples]


def run(plan: Plan, state_directory: Path) -> list[Figure]:
    """Measure and return every figure; raise oracle.OracleError where the books do not bear them out."""
    samples: dict[str, list[float]] = {}
    with _server(state_directory, plan.warm_up_gb) as (server, directory):
        if not plan.packs_only:
            _load(plan, server, directory, samples)
            if plan.growth_events is not None:
                _grow(plan, server, directory, samples)
            if plan.reconciled_events is not None and not plan.only:
                _add(samples, reconciling.measure(server, directory, plan.reconciled_events))
                _drop_banks(server)
        if plan.pack_events is not None:
            _tell(f"packs: filling a log with {plan.pack_events:,} events")
            for found in measure_packs(
                server, directory, plan.pack_events, rounds=_PACK_ROUNDS, seconds=min(plan.seconds, 2.0)
            ):
                _add(samples, found)
    return figures(samples)


def _load(plan: Plan, server: EmbeddedPostgres, directory: Path, samples: dict[str, list[float]]) -> None:
    """Measure limits, baseline and product in turn, the memory under load, and what the oracle says of it."""
    _tell(f"PostgreSQL in {directory}, opening a bank of {plan.accounts:,} accounts")
    _add(samples, {"limit_fdatasync_per_second": flushes_per_second(directory, min(plan.seconds, 1.0))})
    bank = open_bank(server, directory, "measured", plan.accounts)
    with contextlib.ExitStack() as open_things:
        subject = open_things.enter_context(
            Subject(bank, postmaster_id(server), services=("product", "baseline", "unruled"))
        )
        copy_limit = CopyLimit(bank, min(_COPY_BATCHES, plan.accounts // 1_000))
        open_things.callback(copy_limit.close)
        with connect(bank.superuser_url) as connection:
            signing_limit = SigningLimit(connection, bank.issuer_id)
        found = _measurements(plan, subject, copy_limit, signing_limit)
        wanted = [one for one in found if plan.only in one.name]
        # What is divided by each other first, as close together as can be, and then what no ratio needs.
        _measure(plan.rounds, plan.seconds, [one for one in wanted if one.in_ratios], samples)
        rounds = plan.rounds if plan.sides_repeated else 1
        _measure(rounds, plan.seconds, [one for one in wanted if not one.in_ratios], samples)
        _add(samples, subject.memory(plan.seconds))
    _tell(f"the oracle: {oracle.check(bank):,} acknowledged transfers are in the books")
    _drop_banks(server)


def _measurements(plan: Plan, subject: Subject, copy: CopyLimit, signing: SigningLimit) -> list[_Measurement]:
    """Return every measurement that the bank is large enough for."""
    found = []
    traffics = [traffic for traffic in Traffic if accounts_of(traffic) <= plan.accounts]

    def load(name: str, kind: Kind, traffic: Traffic, connections: int, service: str = "product") -> None:
        in_ratios = connections == 64 and traffic is not Traffic.UNIFORM_100K
        found.append(
            _Measurement(
                name,
                in_ratios or name == "bulk_uniform_1k",
                lambda seconds: subject.load(name, kind, traffic, connections, seconds, service),
            )
        )

    load("limit_empty_post_64", Kind.EMPTY, Traffic.UNIFORM_1K, 64)
    for traffic in (Traffic.UNIFORM_1K, Traffic.HOT):
        load(f"baseline_64_{traffic}", Kind.TRANSFER, traffic, 64, "baseline")
        load(f"single_64_{traffic}", Kind.TRANSFER, traffic, 64)
    for traffic in traffics:
        for connections in (1, 16, 64, 256):
            if connections != 64 or traffic is Traffic.UNIFORM_100K:
                load(f"single_{connections}_{traffic}", Kind.TRANSFER, traffic, connections)
    if Traffic.UNIFORM_100K in traffics:
        load(f"baseline_64_{Traffic.UNIFORM_100K}", Kind.TRANSFER, Traffic.UNIFORM_100K, 64, "baseline")
    found.append(_Measurement("limit_copy", True, lambda seconds: _copy_limit(subject, copy, seconds)))
    for traffic in traffics:
        # A commit of a thousand takes a while: to count them takes longer.
        load(f"bulk_{traffic}", Kind.BATCH, traffic, 4)
    found.append(
        _Measurement("limit_signing", True, lambda seconds: _signing_limit(subject, signing, seconds))
    )
    found += [
        _Measurement(
            f"engine_{traffic}",
            traffic is Traffic.UNIFORM_1K,
            partial(subject.engine, f"engine_{traffic}", traffic),
        )
        for traffic in traffics
    ]
    found.append(_Measurement("rules", True, decision_times))
    found.append(_Measurement("price_of_rules", True, partial(_price_of_rules, subject, plan.turns)))
    found.append(_Measurement("reads", False, subject.reads))
    return found


def _price_of_rules(subject: Subject, turns: int, seconds: float) -> Samples:
    """Return the rate with the rules and without, in turns that are short beside what disturbs a machine.

    The two differ by less than one turn's noise: each turn of one stands between two of the other, and the sums count.
    """
    rates: dict[str, list[float]] = {"product": [], "unruled": []}
    for number in range(turns):
        for service in rates if number % 2 == 0 else reversed(rates):
            name = f"rules_{number}_{service}"
            found = subject.load(name, Kind.TRANSFER, Traffic.UNIFORM_1K, 64, seconds / 2, service)
            rates[service].append(found[f"{name}_per_second"])
    return {
        "ruled_64_per_second": statistics.fmean(rates["product"]),
        "unruled_64_per_second": statistics.fmean(rates["unruled"]),
    }


def _copy_limit(subject: Subject, copy: CopyLimit, seconds: float) -> Samples:
    with subject.alone():
        return {"limit_copy_per_second": copy.per_second(seconds)}


def _signing_limit(subject: Subject, signing: SigningLimit, seconds: float) -> Samples:
    with subject.alone():
        return {
            "limit_signing_per_second": signing.per_second(seconds / 2),
            "limit_signing_cryptography_per_second": signing.per_second_cryptography(seconds / 2),
        }


def _measure(
    rounds: int, seconds: float, measurements: list[_Measurement], samples: dict[str, list[float]]
) -> None:
    for number in range(rounds):
        # Every other round runs backwards, so that no measurement always comes first or behind the same one.
        for one in measurements if number % 2 == 0 else reversed(measurements):
            found = one.measure(seconds)
            _add(samples, found)
            rates = ", ".join(
                f"{rate:,.0f}/s" for name, rate in found.items() if name.endswith("_per_second")
            )
            _tell(f"round {number + 1} of {rounds}: {one.name} {rates}")


def _grow(plan: Plan, server: EmbeddedPostgres, directory: Path, samples: dict[str, list[float]]) -> None:
    """Measure the same load on a small log and on one that the engine has filled, in turn."""
    assert plan.growth_events is not None
    sizes = {"10k": 10_000, "5m": plan.growth_events}
    with contextlib.ExitStack() as open_things:
        subjects = {}
        banks = {}
        for name, size in sizes.items():
            banks[name] = open_bank(server, directory, f"growth_{name}", 1_000)
            subject = Subject(banks[name], postmaster_id(server), services=("product",))
            subjects[name] = open_things.enter_context(subject)
            _tell(f"growth: filling a log with {size:,} events")
            _add(
                samples,
                {f"growth_{name}_fill_per_second": subject.fill(size, _GROWTH_SECONDS_MAX)["per_second"]},
            )
            with connect(banks[name].superuser_url) as connection:
                connection.execute("VACUUM ANALYZE")
                # No CHECKPOINT: just behind one every page's first change is logged whole, which is not how it stays.
        for number in range(plan.rounds):
            for name in sizes if number % 2 == 0 else reversed(sizes):
                subject = subjects[name]
                single = subject.load(
                    f"growth_{name}_single_64", Kind.TRANSFER, Traffic.UNIFORM_1K, 64, plan.seconds
                )
                engine = subject.engine(f"growth_{name}_engine", Traffic.UNIFORM_1K, plan.seconds)
                _add(samples, {**single, **engine})
                rate = single[f"growth_{name}_single_64_per_second"]
                _tell(f"growth, round {number + 1} of {plan.rounds}: {name} events {rate:,.0f}/s")
    for name, bank in banks.items():
        _tell(f"the oracle: {oracle.check(bank):,} acknowledged transfers of growth_{name} are in the books")
    _drop_banks(server)


@contextmanager
def _server(state_directory: Path, warm_up_gb: int) -> Iterator[tuple[EmbeddedPostgres, Path]]:
    """Yield a PostgreSQL of this run alone, on a disk, durable; nothing of it is left at the end."""
    state_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="bench-", dir=state_directory)).resolve()
    try:
        with embedded_postgres(directory, settings=_SETTINGS) as server:
            with connect(server.superuser_url) as connection:
                for name, value in _SETTINGS.items():
                    row = connection.execute(f"SHOW {name}".encode()).fetchone()
                    assert row == (value,), f"{name} is {row}"
                _tell("filling the server's buffers once")
                _warm_up(connection, warm_up_gb)
            yield server, directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _warm_up(connection: psycopg.Connection[tuple[object, ...]], gigabytes: int) -> None:
    """Let the server be as it is when it has run for a while: its memory touched once, and files of its log made.

    On a virtual machine, both are done by whoever comes first, for 10 µs and more a page: several times what a transfer
    takes otherwise, and a commit waits while a file of the log is made.
    """
    connection.execute("CREATE TABLE warm_up (filler text)")
    connection.execute("ALTER TABLE warm_up ALTER filler SET STORAGE PLAIN")
    # Rows that fill a page each.
    pages = gigabytes * _GB // _PAGE_BYTES
    connection.execute(
        f"INSERT INTO warm_up SELECT repeat('x', 8000) FROM generate_series(1, {pages})".encode()
    )
    connection.execute("DROP TABLE warm_up")
    # Files of the log that are not needed any more are kept for later, up to `min_wal_size`.
    connection.execute("CHECKPOINT")


def _drop_banks(server: EmbeddedPostgres) -> None:
    """Drop the banks that were measured: tables that nobody needs would be vacuumed beside what comes next."""
    with connect(server.superuser_url) as connection:
        rows = connection.execute(
            "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname NOT IN ('postgres', 'tallystick')"
        ).fetchall()
        for (name,) in rows:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def _add(samples: dict[str, list[float]], found: Samples) -> None:
    for name, value in found.items():
        samples.setdefault(name, []).append(value)


def _tell(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
