"""Running a reconciliation of the test bank, after a day of its life."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from tallystick import events, reconciliation
from tallystick.reconciliation import Break, Finding, Reconciliation
from tallystick.statements import Statement
from tallystick.tokens import Outcome
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


def compared(run: Reconciliation) -> dict[str, object]:
    """A run's figures but those of the whole log, which grows by what runs themselves sign."""
    return {name: figures for name, figures in run.figures.items() if name != "log"}


def root_hash_of(bank: Bank, size: int) -> str:
    """The log's root over its first events, by the rule of RFC 6962 itself: halves, the left one a power of two."""
    with bank.database.read() as connection:
        leaves = [
            hashlib.sha256(b"\0" + jws.encode()).digest()
            for jws in events.jws_from(connection, bank.issuer_id, 0, size)
        ]
    return _root_of(leaves).hex()


def _root_of(leaves: list[bytes]) -> bytes:
    if len(leaves) == 1:
        return leaves[0]
    left = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + _root_of(leaves[:left]) + _root_of(leaves[left:])).digest()


def told(found: Sequence[Break | Finding]) -> list[tuple[str, int]]:
    return [(one.type, one.difference_minor) for one in found]


def carried(bank: Bank, found: Sequence[Finding]) -> list[Break]:
    """The breaks that a run's findings belong to, in their order."""
    with bank.database.read() as connection:
        return [reconciliation.break_(connection, bank.issuer_id, one.break_id or "") for one in found]


def open_breaks(bank: Bank) -> list[Break]:
    """What a run of the present finds, but for timing."""
    return [one for one in carried(bank, reconcile(bank)[1]) if one.type != "timing"]


def words(minor: int) -> str:
    return f"{'-' if minor < 0 else ''}{abs(minor) // 100}.{abs(minor) % 100:02}"


def ask_to_write_off(bank: Bank, found: Break) -> str:
    """Ask to write a break in USD off, and return the change's id."""
    payload = {"difference": words(found.difference_minor), "currency": "USD", "reason": "Too old."}
    return bank.change("break_write_off", found.id, payload).resource_id


def write_off(bank: Bank, found: Break) -> Outcome:
    """Write a break off that posts an entry, with two people."""
    return bank.approve(ask_to_write_off(bank, found), words(abs(found.difference_minor)), "USD")


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
