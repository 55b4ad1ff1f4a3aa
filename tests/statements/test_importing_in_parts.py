"""Long files: parts that are committed one by one, and an import that is cut short anywhere goes on where it was."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import pytest
from sqlalchemy import Connection

from tallystick import statements
from tallystick.statements import StatementImport, importing
from tallystick.statements.refusals import StatementTooLargeError
from tests.bank import Bank, oracle
from tests.camt_writer import EUR_CONTROL, Entry, Stated, message, notification, replace, statement
from tests.reconciliation.runs import reconcile, told
from tests.statements.imports import codes, counts, deposit, deposits_minor, entries, only, read

PART_SIZE = 3
CREDITS = tuple(Entry("1.00", remittance="HARBOUR-USD", bank_reference=f"B-{n}") for n in range(10))
CONTENT = statement(*CREDITS)


class CrashError(Exception):
    pass


@pytest.fixture(autouse=True)
def short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "PART_SIZE_MAX", PART_SIZE)


def ahead(bank: Bank, content: bytes, on_progress: Callable[[int], None] | None = None) -> None:
    statements.import_ahead(bank.database, bank.settler, bank.maker, read(content), on_progress=on_progress)


def crash_at(count: int) -> Callable[[int], None]:
    def crash(told_count: int) -> None:
        if told_count >= count:
            raise CrashError

    return crash


def test_progress_is_told_part_by_part_and_the_end_completes(bank: Bank) -> None:
    progress: list[int] = []

    ahead(bank, CONTENT, progress.append)

    assert progress == [3, 6, 9, 10]
    with bank.database.read() as connection:
        [begun] = statements.statements(connection, bank.issuer_id)
    assert begun.completed_at is None
    assert deposits_minor(bank, "HARBOUR-USD") == 1_000
    done = bank.import_statement(CONTENT)
    assert (done.imported, only(done).completed_at) == (True, bank.clock.now())
    assert only(done) == statement_of(bank)
    assert not bank.import_statement(CONTENT).imported
    oracle(bank)


def statement_of(bank: Bank) -> statements.Statement:
    with bank.database.read() as connection:
        [one] = statements.statements(connection, bank.issuer_id)
        return one


@pytest.mark.parametrize("entry_count", [3, 6, 10])
def test_an_import_that_was_cut_short_goes_on_with_the_same_file(bank: Bank, entry_count: int) -> None:
    with pytest.raises(CrashError):
        ahead(bank, CONTENT, crash_at(entry_count))
    begun = statement_of(bank)
    assert len(entries(bank, begun)) == entry_count
    assert deposits_minor(bank, "HARBOUR-USD") == 100 * entry_count

    respelled = CONTENT.decode().replace("UTF-8", "UTF-16").encode("utf-16")
    done = bank.import_statement(respelled)

    assert (done.imported, only(done).id) == (True, begun.id)
    kept = entries(bank, begun)
    assert [one.entry_number for one in kept] == list(range(1, 11))
    assert [deposit(bank, one).related_id for one in kept] == [one.id for one in kept]
    assert deposits_minor(bank, "HARBOUR-USD") == 1_000
    before = counts(bank)
    assert not bank.import_statement(CONTENT).imported
    assert counts(bank) == before
    oracle(bank)


def test_until_it_is_whole_a_statement_proves_nothing(bank: Bank) -> None:
    bank.import_statement(statement(Entry("5.00", remittance="LANTERN-USD"), day="2026-11-19"))
    content = statement(*CREDITS, opening="5.00")
    with pytest.raises(CrashError):
        ahead(bank, content, crash_at(6))

    run, found = reconcile(bank)
    assert (run.verdict, sum(one.difference_minor for one in found)) == ("tied", 600)
    assert {kind for kind, _ in told(found)} == {"timing"}
    with bank.database.read() as connection:
        latest = statements.latest_statement(connection, bank.issuer_id, bank.classes["USD"].id)
    assert latest is not None
    assert latest.closing_minor == 500

    bank.import_statement(content)
    run, found = reconcile(bank)
    assert (run.verdict, found) == ("tied", [])


def test_another_file_under_the_name_of_one_that_was_cut_short_is_refused(bank: Bank) -> None:
    with pytest.raises(CrashError):
        ahead(bank, CONTENT, crash_at(3))
    before = counts(bank)

    with pytest.raises(statements.StatementConflictError):
        bank.import_statement(statement(*CREDITS[:9], Entry("1.00", remittance="LANTERN-USD")))

    assert counts(bank) == before
    assert bank.import_statement(CONTENT).imported


def test_what_is_refused_is_refused_before_the_first_part(bank: Bank) -> None:
    before = counts(bank)
    wrong = Stated((*CREDITS, Entry("1.00", currency="EUR")))

    with pytest.raises(statements.StatementCurrencyMismatchError):
        bank.import_statement(message(Stated(CREDITS, statement_id="A"), wrong))
    with pytest.raises(statements.StatementImportNotAllowedError):
        statements.import_ahead(bank.database, bank.settler, bank.platform, read(CONTENT))

    assert counts(bank) == before


def test_a_file_of_many_statements_is_parted_by_their_entries(bank: Bank) -> None:
    stated = [
        Stated(tuple(CREDITS[first:last]), day=f"2026-11-{10 + number}", statement_id=f"S-{number}")
        for number, (first, last) in enumerate([(0, 1), (1, 3), (3, 3), (3, 8), (8, 10)])
    ]
    euro = Stated(
        (Entry("2.00", remittance="HARBOUR-EUR"),) * 4, account=EUR_CONTROL, currency="EUR", day="2026-11-15"
    )
    content = message(*stated, stated[1], euro)
    progress: list[int] = []
    ahead(bank, content, progress.append)
    assert progress == [3, 6, 8, 10, 13, 14]

    done = bank.import_statement(content)

    assert [one.imported for one in done.statements] == [True] * 5 + [False, True]
    assert deposits_minor(bank, "HARBOUR-USD") == 1_000
    assert deposits_minor(bank, "HARBOUR-EUR") == 800
    assert not bank.import_statement(content).imported
    oracle(bank)


def test_imports_of_one_long_file_at_once_share_its_parts(bank: Bank) -> None:
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: bank.import_statement(CONTENT), range(4)))

    assert sorted(one.imported for one in done) == [False] * 3 + [True]
    assert deposits_minor(bank, "HARBOUR-USD") == 1_000
    assert len(entries(bank, statement_of(bank))) == 10
    oracle(bank)


def test_an_entry_told_twice_is_seen_across_parts(bank: Bank) -> None:
    told_twice = (*CREDITS[:4], CREDITS[0])

    stored = only(bank.import_statement(statement(*told_twice)))

    assert [deposit(bank, one).state for one in entries(bank, stored)] == ["settled"] * 4 + ["unassigned"]
    assert "entry_seen_before" in codes(bank, stored)


def test_findings_are_bounded_across_parts(bank: Bank) -> None:
    bank.freeze("HARBOUR-USD")
    many = [replace(CREDITS[0], bank_reference=f"C-{n}") for n in range(60)]

    stored = only(bank.import_statement(statement(*many)))

    found = codes(bank, stored)
    assert found.count("deposit_refused") == 50
    assert found[-1] == "findings_suppressed"
    with bank.database.read() as connection:
        last = statements.findings(connection, bank.issuer_id, stored.id)[-1]
    assert last.message == "10 more findings of code deposit_refused are not listed."


def test_a_long_notification_and_its_statement(bank: Bank) -> None:
    early = only(bank.import_statement(notification(*CREDITS)))
    late = only(bank.import_statement(CONTENT))

    pairs = zip(entries(bank, early), entries(bank, late), strict=True)
    assert all(one.deposit_id == other.deposit_id for one, other in pairs)
    assert {one.matched_by for one in entries(bank, late)} == {"notified"}
    assert deposits_minor(bank, "HARBOUR-USD") == 1_000


def test_all_at_once_is_right_too(bank: Bank) -> None:
    """Whoever calls for a whole file in one transaction holds the log longer, and gets the same."""

    def whole(connection: Connection) -> StatementImport:
        return statements.import_statement(connection, bank.settler, bank.maker, read(CONTENT))

    assert bank.database.run(whole).imported
    assert deposits_minor(bank, "HARBOUR-USD") == 1_000
    oracle(bank)


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16", "ISO-8859-1"])
def test_an_opened_file_says_what_its_bytes_say(encoding: str) -> None:
    content = CONTENT.decode().replace("UTF-8", encoding).encode(encoding)

    from_file = statements.read_file(BytesIO(content), size_max_bytes=len(content))

    assert from_file == read(content)
    with pytest.raises(StatementTooLargeError):
        statements.read_file(BytesIO(content), size_max_bytes=len(content) - 1)
