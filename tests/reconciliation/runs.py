"""Running a reconciliation of the test bank, after a day of its life."""

from collections.abc import Sequence
from pathlib import Path

from tallystick import reconciliation
from tallystick.reconciliation import Break, Finding, Reconciliation
from tallystick.statements import Statement
from tests.bank import Bank

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "statements"


def reconcile(bank: Bank, currency: str = "USD", **asked: object) -> tuple[Reconciliation, list[Finding]]:
    run = bank.database.run(
        lambda connection: reconciliation.reconcile(
            connection,
            bank.settler,
            bank.auditor,
            bank.classes[currency].id,
            **asked,  # type: ignore[arg-type]
        )
    )
    with bank.database.read() as connection:
        assert reconciliation.reconciliation(connection, bank.issuer_id, run.id) == run
        found = reconciliation.findings(connection, bank.issuer_id, run.id, limit=1_000)
    return run, found


def told(found: Sequence[Break | Finding]) -> list[tuple[str, int]]:
    return [(one.type, one.difference_minor) for one in found]


def carried(bank: Bank, found: Sequence[Finding]) -> list[Break]:
    """The breaks that a run's findings belong to, in their order."""
    with bank.database.read() as connection:
        return [reconciliation.break_(connection, bank.issuer_id, one.break_id or "") for one in found]


def live(bank: Bank) -> Statement:
    """A day of deposits from a statement, and a life of the tokens that were minted from them."""
    imported = bank.import_statement((EXAMPLES / "2026-11-20-usd.xml").read_bytes())
    bank.mint("HARBOUR-USD", "1000.00", deposited=False)
    transfer = bank.transfer("HARBOUR-USD", "LANTERN-USD", "400.00")
    bank.reverse(transfer, "100.00")
    hold = bank.hold("LANTERN-USD", "SILKROAD-USD", "50.00")
    bank.execute_hold(hold, "20.00")
    bank.freeze("NORTHWIND-USD")
    bank.redeem("HARBOUR-USD", "5.25")
    return imported.statements[0].statement
