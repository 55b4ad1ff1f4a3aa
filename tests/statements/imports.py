"""Importing into the test bank, and looking at what came of it."""

from pathlib import Path
from typing import Any

from tallystick import statements, tokens
from tallystick.ledger import Code
from tallystick.statements import Statement, StatementEntry, StatementFile, StatementImport
from tallystick.tokens import Instruction, Kind
from tests.bank import Bank
from tests.database import connect

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "statements"


def read(content: bytes) -> StatementFile:
    return statements.read_file(content, size_max_bytes=10_000_000)


def only(imported: StatementImport) -> Statement:
    [one] = imported.statements
    return one.statement


def entries(bank: Bank, of: Statement) -> list[StatementEntry]:
    with bank.database.read() as connection:
        return list(statements.stream_entries(connection, bank.issuer_id, of.id))


def codes(bank: Bank, of: Statement) -> list[str]:
    with bank.database.read() as connection:
        return [one.code for one in statements.findings(connection, bank.issuer_id, of.id)]


def deposit(bank: Bank, entry: StatementEntry) -> Instruction:
    assert entry.deposit_id is not None
    with bank.database.read() as connection:
        return tokens.instruction(connection, bank.auditor, Kind.DEPOSIT, entry.deposit_id)


def confirm_by_hand(bank: Bank, account: str, amount: str, **asked: Any) -> str:
    """Confirm a deposit that no statement shows, with two people; return its id."""
    waiting = bank.ask(
        Kind.DEPOSIT,
        bank.maker,
        amount=amount,
        currency=account[-3:],
        payee_account_id=bank.account_id(account),
        reason="Seen on a notification.",
        **asked,
    )
    bank.approve(waiting.resource_id, amount, account[-3:])
    return waiting.resource_id


def deposits_minor(bank: Bank, account: str) -> int:
    return bank.balance_minor(Code.DEPOSITS_AVAILABLE, account)


def counts(bank: Bank) -> list[object]:
    tables = ("statement", "statement_entry", "statement_finding", "instruction", "event", "answer")
    with connect(bank.urls.superuser_url) as connection:
        return [connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchall() for table in tables]
