"""What the database refuses by itself, whoever writes: entries that don't balance, floors, and changes of the past."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg.errors import CheckViolation, InsufficientPrivilege, UniqueViolation

from tallystick.core.database import SERVICE_ROLE
from tallystick.core.embedded_postgres import EmbeddedPostgres
from tallystick.ledger import CLAIM_CODES, DEBIT_NORMAL_CODES, HOLDER_CODES, ISSUER_CODES
from tests.bank import Bank, open_bank, oracle
from tests.database import cloned_database, connect

# Written once, then only read.
APPEND_ONLY = (
    "answer",
    "approval_vote",
    "event",
    "export",
    "export_result",
    "issuer",
    "journal_line",
    "liability",
    "reconciliation",
    "statement",
    "statement_entry",
    "statement_finding",
)
Line = tuple[str, int, int, str, str, int, int, int, int]


@pytest.fixture(scope="module")
def settled_bank(
    postgres_server: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bank]:
    """A bank in which every table of the write path has rows. Its tests leave nothing behind."""
    with (
        cloned_database(postgres_server, migrated_template) as urls,
        open_bank(urls, tmp_path_factory.mktemp("keys"), pool_size=2) as bank,
    ):
        bank.mint("HARBOUR-USD", "10.00")
        bank.transfer("HARBOUR-USD", "LANTERN-USD", "1.00")
        yield bank
        oracle(bank)


@pytest.fixture
def service(settled_bank: Bank) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A connection with the rights of the service, whose transaction is rolled back at the end."""
    with connect(settled_bank.urls.service_url) as connection:
        connection.execute(f"SET ROLE {SERVICE_ROLE}")
        with connection.transaction(force_rollback=True):
            yield connection


def line(bank: Bank, number: int, account: str, debit: int, credit: int, after: int, **other: object) -> Line:
    """Return the values of a journal line at an index that the log has not reached."""
    return (
        str(other.get("issuer_id", bank.issuer_id)),
        1_000,
        number,
        account,
        str(other.get("currency", "USD")),
        debit,
        credit,
        0,
        after,
    )


def insert(service: psycopg.Connection[tuple[object, ...]], *lines: Line) -> None:
    row = "(%s, %s, %s, %s, %s, %s, %s, %s, %s, 1, now(), '2026-11-22')"
    service.execute(
        (
            "INSERT INTO journal_line (issuer_id, event_index, line_number, ledger_account_id, currency, debit_minor,"
            " credit_minor, previous_balance_minor, balance_minor, account_version, booked_at, value_date) VALUES "
            + ", ".join([row] * len(lines))
        ).encode(),
        [value for values in lines for value in values],
    )


def test_a_balanced_entry_is_taken(
    service: psycopg.Connection[tuple[object, ...]], settled_bank: Bank
) -> None:
    insert(
        service,
        line(settled_bank, 0, "1100.x", 5, 0, 5),
        line(settled_bank, 1, "2010.x", 0, 3, 3),
        line(settled_bank, 2, "2010.y", 0, 2, 2),
        line(settled_bank, 3, "1100.e", 7, 0, 7, currency="EUR"),
        line(settled_bank, 4, "2010.e", 0, 7, 7, currency="EUR"),
    )


@pytest.mark.parametrize(
    ("lines", "constraint"),
    [
        ([("1100.x", 5, 0, 5)], "ck_journal_entry_balances"),
        ([("1100.x", 5, 0, 5), ("2010.x", 0, 4, 4)], "ck_journal_entry_balances"),
        ([("1100.x", 5, 0, 5), ("2010.x", 0, 5, 5, {"currency": "EUR"})], "ck_journal_entry_balances"),
        ([("1100.x", 5, 0, 5), ("2010.x", 0, 5, 5, {"issuer_id": "issuer_y"})], "ck_journal_entry_balances"),
        ([("1100.x", 5, 0, 4), ("2010.x", 0, 5, 5)], "ck_journal_line_moves_by_amount"),
        ([("1100.x", 5, 0, 0), ("2010.x", 0, 5, 5)], "ck_journal_line_moves_by_amount"),
        ([("1100.x", 0, 0, 0), ("2010.x", 0, 0, 0)], "ck_journal_line_one_side"),
        # The debit of a liability lowers it, and the credit of an asset too.
        ([("1100.x", 5, 0, 5), ("2010.x", 0, 5, -5)], "ck_journal_line_moves_by_amount"),
        ([("1100.x", 0, 5, 5), ("2010.x", 5, 0, 5)], "ck_journal_line_moves_by_amount"),
        ([("1100.x", 5, 5, 0), ("2010.x", 5, 5, 0)], "ck_journal_line_one_side"),
        ([("1100.x", -5, 0, -5), ("2010.x", 0, -5, -5)], "ck_journal_line_"),
    ],
)
def test_an_entry_that_is_wrong_is_refused(
    service: psycopg.Connection[tuple[object, ...]],
    settled_bank: Bank,
    lines: list[tuple[object, ...]],
    constraint: str,
) -> None:
    rows = []
    for number, (account, debit, credit, after, *other) in enumerate(lines):
        further = other[0] if other else {}
        assert isinstance(further, dict)
        rows.append(line(settled_bank, number, str(account), debit, credit, after, **further))  # type: ignore[arg-type]
    with pytest.raises(CheckViolation) as refused:
        insert(service, *rows)
    assert str(refused.value.diag.constraint_name).startswith(constraint)


def test_an_entry_is_posted_once(service: psycopg.Connection[tuple[object, ...]], settled_bank: Bank) -> None:
    entry = (line(settled_bank, 0, "1100.x", 5, 0, 5), line(settled_bank, 1, "2010.x", 0, 5, 5))
    insert(service, *entry)
    with pytest.raises(UniqueViolation):
        insert(service, *entry)


@pytest.mark.parametrize("code", [*HOLDER_CODES, *ISSUER_CODES])
def test_floors(service: psycopg.Connection[tuple[object, ...]], settled_bank: Bank, code: str) -> None:
    below = "UPDATE ledger_account SET balance_minor = -1 WHERE issuer_id = %s AND code = %s"
    if code in {"2010", *CLAIM_CODES}:
        with pytest.raises(CheckViolation) as refused:
            service.execute(below, [settled_bank.issuer_id, code])
        assert refused.value.diag.constraint_name == "ck_ledger_account_floor"
    else:
        assert service.execute(below, [settled_bank.issuer_id, code]).rowcount == 2


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize(
    "change", ["UPDATE {} SET issuer_id = issuer_id", "DELETE FROM {}", "TRUNCATE {} CASCADE"]
)
def test_the_past_is_not_changed(settled_bank: Bank, table: str, change: str) -> None:
    statement = change.format(table).encode()
    with connect(settled_bank.urls.service_url) as connection:
        connection.execute(f"SET ROLE {SERVICE_ROLE}")
        with pytest.raises(InsufficientPrivilege, match="permission denied"):
            connection.execute(statement)
    with (
        connect(settled_bank.urls.owner_url) as connection,
        pytest.raises(InsufficientPrivilege, match="append-only"),
    ):
        connection.execute(statement)


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("account", "holder_id"),
        ("approval", "amount_minor"),
        ("approval", "request_hash"),
        ("approval", "maker_person"),
        ("approval", "quorum"),
        ("holder", "legal_name"),
        ("instruction", "amount_minor"),
        ("instruction", "payer_account_id"),
        ("instruction", "request_hash"),
        ("ledger_account", "code"),
        ("ledger_account", "currency"),
        ("ledger_account", "id"),
        ("log_head", "issuer_id"),
        ("principal", "person"),
        ("principal", "holder_id"),
        ("signing_key", "public_key"),
        ("token_class", "scale"),
        ("token_class", "currency"),
    ],
)
def test_the_service_changes_only_what_may_change(
    service: psycopg.Connection[tuple[object, ...]], table: str, column: str
) -> None:
    with pytest.raises(InsufficientPrivilege):
        service.execute(f"UPDATE {table} SET {column} = {column}".encode())


@pytest.mark.parametrize("table", ["instruction", "ledger_account", "log_head", "account", "approval"])
def test_the_service_deletes_nothing(service: psycopg.Connection[tuple[object, ...]], table: str) -> None:
    with pytest.raises(InsufficientPrivilege):
        service.execute(f"DELETE FROM {table}".encode())


def test_every_line_moved_its_account_to_its_normal_side(
    service: psycopg.Connection[tuple[object, ...]],
) -> None:
    moved = service.execute(
        "SELECT ledger_account_id, debit_minor - credit_minor, balance_minor - previous_balance_minor"
        " FROM journal_line"
    ).fetchall()
    assert len(moved) == 6
    for account, debited, change in moved:
        assert isinstance(debited, int)
        assert change == (debited if str(account)[:4] in DEBIT_NORMAL_CODES else -debited)
