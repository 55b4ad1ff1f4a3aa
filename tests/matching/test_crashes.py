"""A run of matching that dies at any of its statements or commits: the next one comes to what it would have come to."""

from pathlib import Path

import pytest

from tallystick.core.embedded_postgres import EmbeddedPostgres
from tallystick.matching import Side
from tests.bank import Bank, open_bank, oracle
from tests.camt_writer import Entry
from tests.database import cloned_database
from tests.faults import CrashError, Faults, crashing
from tests.matching.helpers import accepted, debit, matches, open_ids, run, shown, told
from tests.matching.test_matching import redeem, release


def lived(bank: Bank) -> None:
    """Let there be something to every rule: by evidence, reference, reversal, amount and sum; and something open."""
    bank.mint("HARBOUR-USD", "50.00")
    bank.deposit("HARBOUR-USD", "500.00")
    release(bank, "10.00", "A")
    release(bank, "20.00")
    redeem(bank, "5.00", "R-1")
    release(bank, "30.00", "C")
    told(
        bank,
        Entry("100.00", remittance="HARBOUR-USD", bank_reference="B-1"),
        debit("10.00", end_to_end_id="A"),
    )
    told(
        bank,
        debit("20.00"),
        debit("5.00", end_to_end_id="R-1"),
        debit("9.00", end_to_end_id="X", bank_reference="Z"),
        Entry("9.00", reversal=True, bank_reference="Z", end_to_end_id="X"),
        debit("30.01", end_to_end_id="C"),
        day="2026-11-21",
        opening="90.00",
    )


def outcome(bank: Bank) -> object:
    return (
        shown(accepted(bank)),
        shown(matches(bank, state="proposed")),
        [len(open_ids(bank, side)) for side in Side],
    )


def dies(bank: Bank, faults: Faults) -> bool:
    try:
        with crashing(bank.database, faults):
            run(bank)
    except CrashError:
        return True
    finally:
        # The dead process's connections die with it.
        bank.database.engine.dispose()
    return False


@pytest.mark.parametrize("persisted", [False, True], ids=["not persisted", "persisted"])
def test_a_crash_anywhere_is_as_if_it_had_not_been(
    bank: Bank, postgres_server: EmbeddedPostgres, migrated_template: str, tmp_path: Path, persisted: bool
) -> None:
    with (
        cloned_database(postgres_server, migrated_template) as urls,
        open_bank(urls, tmp_path / "spared") as spared,
    ):
        lived(spared)
        assert run(spared).matched_count > 2
        expected = outcome(spared)
    lived(bank)

    # Each attempt dies one effect later than the one before, which left what it had committed.
    crash_count = 0
    while dies(bank, Faults(crash_count + 1, persisted=persisted)):
        crash_count += 1
        assert crash_count < 1_000
    assert crash_count > 20
    assert outcome(bank) == expected
    assert run(bank).matched_count == 0
    oracle(bank)
