"""The benchmark's parts work together: a small bank under a moment's load satisfies its oracle. Nothing is timed."""

import dataclasses
import secrets
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy

from benchmarks import oracle
from benchmarks.bank import Bank, connect, open_bank
from benchmarks.figures import figures, table
from benchmarks.limits import CopyLimit, SigningLimit
from benchmarks.requests import Kind
from benchmarks.resources import postmaster_id
from benchmarks.subject import Subject
from benchmarks.traffic import Traffic
from tallystick.core.embedded_postgres import EmbeddedPostgres

pytestmark = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="it reads Linux's /proc")

ACCOUNTS = 1_000
SECONDS = 0.2


@pytest.fixture(scope="module")
def opened_bank(
    postgres_server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Bank]]:
    """A funded bank to clone."""
    name = f"bench_{secrets.token_hex(8)}"
    yield name, open_bank(postgres_server, tmp_path_factory.mktemp("bench"), name, ACCOUNTS)
    _drop(postgres_server, name)


@pytest.fixture
def bank(postgres_server: EmbeddedPostgres, opened_bank: tuple[str, Bank], tmp_path: Path) -> Iterator[Bank]:
    """A bank of this test's own."""
    template, opened = opened_bank
    name = f"bench_{secrets.token_hex(8)}"
    with connect(postgres_server.superuser_url) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())

    def of_clone(url: str) -> str:
        return sqlalchemy.make_url(url).set(database=name).render_as_string(hide_password=False)

    acknowledged = tmp_path / "acknowledged"
    acknowledged.write_bytes(Path(opened.acknowledged_path).read_bytes())
    yield dataclasses.replace(
        opened,
        service_url=of_clone(opened.service_url),
        superuser_url=of_clone(opened.superuser_url),
        acknowledged_path=str(acknowledged),
    )
    _drop(postgres_server, name)


@pytest.mark.slow
def test_a_moment_of_load_satisfies_the_oracle(bank: Bank, postgres_server: EmbeddedPostgres) -> None:
    samples: dict[str, float] = {}
    with Subject(bank, postmaster_id(postgres_server), services=("product", "baseline")) as subject:
        for name, kind, service in (
            ("single_64_uniform_1k", Kind.TRANSFER, "product"),
            ("baseline_64_uniform_1k", Kind.TRANSFER, "baseline"),
            ("bulk_uniform_1k", Kind.BATCH, "product"),
            ("limit_empty_post_64", Kind.EMPTY, "product"),
        ):
            samples |= subject.load(name, kind, Traffic.UNIFORM_1K, 4, SECONDS, service)
        samples |= subject.reads(SECONDS)
        samples |= subject.engine("engine_uniform_1k", Traffic.HOT, SECONDS)
        samples |= subject.memory(SECONDS)

    # Each of 4 connections had at least one batch of 1,000 answered, and the engine settled one.
    assert oracle.check(bank, samples=200) > ACCOUNTS + 5_000
    shown = figures({name: [value] for name, value in samples.items()})
    assert {one.figure for one in shown} >= {"rss_api_mb", "p99_single_64_ms", "bulk_uniform_1k_per_second"}
    assert len(table(shown).splitlines()) == len(shown) + 1


def test_the_limits_are_taken_from_what_the_product_wrote(bank: Bank) -> None:
    copy = CopyLimit(bank, 1)
    try:
        assert copy.per_second(0) > 0
    finally:
        copy.close()
    with connect(bank.superuser_url) as connection:
        signing = SigningLimit(connection, bank.issuer_id)
    assert signing.per_second(0.01) > 0
    assert signing.per_second_cryptography(0.01) > 0


@pytest.mark.parametrize(
    ("table_name", "change"),
    [
        ("event", "DELETE FROM event WHERE event_index = 9"),
        ("event", "UPDATE event SET jws = overlay(jws placing 'AAAA' from length(jws) - 9 for 4)"),
        (
            "journal_line",
            "UPDATE journal_line SET previous_balance_minor = balance_minor WHERE event_index = 9",
        ),
        ("journal_line", "DELETE FROM journal_line WHERE event_index = 9 AND line_number = 0"),
        ("ledger_account", "UPDATE ledger_account SET balance_minor = balance_minor + 1 WHERE code = '1100'"),
        ("instruction", "UPDATE instruction SET amount_minor = amount_minor + 1 WHERE kind = 'mint'"),
        ("instruction", "UPDATE instruction SET key_digest = NULL WHERE event_index = 9"),
    ],
)
def test_the_oracle_notices(bank: Bank, table_name: str, change: str) -> None:
    with connect(bank.superuser_url) as connection:
        _change(connection, table_name, change)

    with pytest.raises(oracle.OracleError):
        oracle.check(bank)


def test_the_oracle_notices_a_lost_acknowledgement(bank: Bank) -> None:
    Path(f"{bank.acknowledged_path}.load").write_text("transfer_lost\t999999\n", encoding="ascii")

    with pytest.raises(oracle.OracleError, match="acknowledgement"):
        oracle.check(bank, samples=1)


def _change(connection: psycopg.Connection[tuple[object, ...]], table_name: str, change: str) -> None:
    connection.execute(f"ALTER TABLE {table_name} DISABLE TRIGGER USER".encode())
    connection.execute(b"ALTER TABLE journal_line DROP CONSTRAINT ck_journal_line_moves_by_amount")
    connection.execute(change.encode())


def _drop(server: EmbeddedPostgres, name: str) -> None:
    with connect(server.superuser_url) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
