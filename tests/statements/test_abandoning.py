"""Giving up on a statement that came in half, and the corrected one that takes its place."""

import pytest

from tallystick import matching, statements
from tallystick.statements import (
    Statement,
    StatementAbandonedError,
    StatementCompleteError,
    StatementImportNotAllowedError,
    StatementNotFoundError,
    importing,
)
from tests.bank import Bank, oracle
from tests.camt_writer import Entry, notification, replace, statement
from tests.reconciliation.runs import reconcile, told
from tests.statements.imports import codes, deposit, deposits_minor, entries, only, read

CREDITS = tuple(Entry("1.00", remittance="HARBOUR-USD", bank_reference=f"B-{n}") for n in range(8))
UNKNOWN = replace(CREDITS[1], remittance="Who knows")
HALF_READ = statement(CREDITS[0], UNKNOWN, *CREDITS[2:])


class CrashError(Exception):
    pass


@pytest.fixture(autouse=True)
def short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "PART_SIZE_MAX", 3)


def half_read(bank: Bank, content: bytes = HALF_READ) -> Statement:
    def crash(_count: int) -> None:
        raise CrashError

    with pytest.raises(CrashError):
        statements.import_ahead(bank.database, bank.settler, bank.maker, read(content), on_progress=crash)
    with bank.database.read() as connection:
        return statements.statements(connection, bank.issuer_id)[-1]


def abandon(bank: Bank, statement_id: str) -> Statement:
    return bank.database.run(
        lambda connection: statements.abandon_statement(
            connection, bank.clock, bank.maker, statement_id, "The bank sent another."
        )
    )


def test_a_corrected_statement_takes_its_place_and_confirms_nothing_twice(bank: Bank) -> None:
    begun = half_read(bank)
    first = entries(bank, begun)
    assert deposits_minor(bank, "HARBOUR-USD") == 200

    given_up = abandon(bank, begun.id)

    assert (given_up.completed_at, given_up.abandoned_at) == (None, bank.clock.now())
    # Another statement under the same identification: one credit more, and one that the bank changed its mind on.
    corrected = statement(CREDITS[0], UNKNOWN, *CREDITS[2:7], Entry("9.00", remittance="HARBOUR-USD"))
    done = only(bank.import_statement(corrected))
    assert done.bank_statement_id == f"{begun.bank_statement_id}~2"
    again = entries(bank, done)
    assert [one.matched_by for one in again[:4]] == ["notified", "notified", "notified", "reference"]
    assert [one.deposit_id for one in again[:3]] == [one.deposit_id for one in first]
    assert deposit(bank, again[1]).state == "unassigned"
    assert deposits_minor(bank, "HARBOUR-USD") == 600 + 900
    assert "entry_seen_before" not in codes(bank, done)
    assert not bank.import_statement(corrected).imported

    run = matching.match_in_parts(bank.database, bank.clock, bank.issuer_id, bank.classes["USD"].id)
    assert (run.open_bank_count, run.open_books_count) == (1, 0)
    # What waits for a person is all that is left between the books and the bank.
    _, found = reconcile(bank)
    assert told(found) == [("timing", -100)]
    oracle(bank)


def test_the_same_file_may_be_abandoned_and_sent_again_and_again(bank: Bank) -> None:
    names = []
    for _ in range(3):
        begun = half_read(bank)
        names.append(begun.bank_statement_id)
        abandon(bank, begun.id)
    done = only(bank.import_statement(HALF_READ))

    assert [name.rpartition("~")[2] for name in names[1:]] == ["2", "3"]
    assert done.bank_statement_id == f"{names[0]}~4"
    assert [one.matched_by for one in entries(bank, done)[:3]] == ["retold", "retold", "retold"]
    assert deposits_minor(bank, "HARBOUR-USD") == 700
    oracle(bank)


def test_a_report_that_was_abandoned(bank: Bank) -> None:
    report = notification(*CREDITS, kind="camt.052.001.08")
    abandon(bank, half_read(bank, report).id)
    assert deposits_minor(bank, "HARBOUR-USD") == 300

    done = only(bank.import_statement(statement(*CREDITS)))

    assert [one.matched_by for one in entries(bank, done)] == ["notified"] * 3 + ["reference"] * 5
    assert deposits_minor(bank, "HARBOUR-USD") == 800


def test_what_cannot_be_abandoned(bank: Bank) -> None:
    whole = only(bank.import_statement(statement(CREDITS[0], day="2026-11-19")))
    begun = half_read(bank)

    with pytest.raises(StatementCompleteError):
        abandon(bank, whole.id)
    with pytest.raises(StatementNotFoundError):
        abandon(bank, "statement_absent")
    with pytest.raises(StatementImportNotAllowedError):
        bank.database.run(
            lambda connection: statements.abandon_statement(
                connection, bank.clock, bank.platform, begun.id, "Why not?"
            )
        )
    abandon(bank, begun.id)
    with pytest.raises(StatementAbandonedError):
        abandon(bank, begun.id)


def test_an_import_that_is_under_way_stops(bank: Bank) -> None:
    def give_up(count: int) -> None:
        if count == 3:
            with bank.database.read() as connection:
                [one] = statements.statements(connection, bank.issuer_id)
            abandon(bank, one.id)

    with pytest.raises(StatementAbandonedError):
        statements.import_ahead(bank.database, bank.settler, bank.maker, read(HALF_READ), on_progress=give_up)
    assert deposits_minor(bank, "HARBOUR-USD") == 200
