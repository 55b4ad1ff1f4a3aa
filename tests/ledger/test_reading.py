"""Reading the books: as of any index of the log, page by page, always the same answer."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Connection

from tallystick import ledger
from tallystick.core.embedded_postgres import EmbeddedPostgres
from tallystick.core.errors import InvariantError
from tallystick.core.pipeline import pipelined
from tallystick.ledger import INDEX_MAX, Code, Posting, ledger_account_id
from tests.bank import OPENED_AT, Bank, open_bank, oracle
from tests.database import cloned_database

AVAILABLE = Code.TOKENS_AVAILABLE


@pytest.fixture(scope="module")
def settled_bank(
    postgres_server: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bank]:
    """Events 0 to 2 are a deposit, a vote and a mint of 10.00 to HARBOUR, 3 to 7 transfers of 1.00 to LANTERN, each an
    hour after the one before, and 8 to 10 a deposit, a vote and a mint in euro.
    """
    with (
        cloned_database(postgres_server, migrated_template) as urls,
        open_bank(urls, tmp_path_factory.mktemp("keys"), pool_size=2) as bank,
    ):
        bank.mint("HARBOUR-USD", "10.00")
        for _ in range(5):
            bank.clock.at += timedelta(hours=1)
            bank.transfer("HARBOUR-USD", "LANTERN-USD", "1.00")
        bank.mint("HARBOUR-EUR", "3.00")
        yield bank
        oracle(bank)


@pytest.fixture
def connection(settled_bank: Bank) -> Iterator[Connection]:
    with settled_bank.database.read() as reading:
        yield reading


def available(bank: Bank, account: str) -> str:
    return ledger_account_id(AVAILABLE, bank.account_id(account))


def test_balances_are_those_of_now(connection: Connection, settled_bank: Bank) -> None:
    ids = [available(settled_bank, "HARBOUR-USD"), available(settled_bank, "LANTERN-USD"), "2110.absent"]
    assert ledger.balances(connection, settled_bank.issuer_id, ids) == {ids[0]: 500, ids[1]: 500}
    assert ledger.balances(connection, "issuer_of_others", ids) == {}


@pytest.mark.parametrize(
    ("index", "harbour", "lantern"),
    [(-1, None, None), (1, None, None), (2, 1000, None), (3, 900, 100), (5, 700, 300), (INDEX_MAX, 500, 500)],
)
def test_positions_are_those_of_an_index(
    connection: Connection, settled_bank: Bank, index: int, harbour: int | None, lantern: int | None
) -> None:
    ids = [available(settled_bank, f"{name}-USD") for name in ("HARBOUR", "LANTERN", "SILKROAD")]
    found = ledger.positions(connection, settled_bank.issuer_id, ids, index)
    balances = {one: position.balance_minor for one, position in found.items()}
    expected = {ids[0]: harbour, ids[1]: lantern}
    assert balances == {one: minor for one, minor in expected.items() if minor is not None}


def test_a_position_tells_what_touched_it_first_and_last(connection: Connection, settled_bank: Bank) -> None:
    account = available(settled_bank, "LANTERN-USD")
    position = ledger.positions(connection, settled_bank.issuer_id, [account], 5)[account]
    assert position.first_booked_at == OPENED_AT + timedelta(hours=1)
    assert position.last_event_index == 5


@pytest.mark.parametrize("index", range(-1, 11))
def test_a_trial_balance_balances_at_every_index(
    connection: Connection, settled_bank: Bank, index: int
) -> None:
    for currency, of_class in settled_bank.classes.items():
        rows = ledger.trial_balance(connection, settled_bank.issuer_id, of_class.id, index)
        assert {row.currency for row in rows} == {currency}
        debited = sum(row.balance_minor for row in rows if row.code in ledger.DEBIT_NORMAL_CODES)
        credited = sum(row.balance_minor for row in rows if row.code not in ledger.DEBIT_NORMAL_CODES)
        assert debited == credited
        assert [(row.code, row.id) for row in rows] == sorted((row.code, row.id) for row in rows)
        assert len(rows) == len(ledger.ISSUER_CODES) + 4 * len(ledger.HOLDER_CODES)


def test_lines_of_an_account_come_newest_first_page_by_page(
    connection: Connection, settled_bank: Bank
) -> None:
    ids = [available(settled_bank, "HARBOUR-USD"), available(settled_bank, "LANTERN-USD")]
    whole = ledger.account_lines(connection, settled_bank.issuer_id, ids)
    assert len(whole) == 11
    assert [(one.event_index, one.line_number) for one in whole] == sorted(
        ((one.event_index, one.line_number) for one in whole), reverse=True
    )
    paged: list[ledger.EntryLine] = []
    before = (INDEX_MAX, 0)
    while page := ledger.account_lines(connection, settled_bank.issuer_id, ids, before=before, limit=3):
        paged += page
        before = (page[-1].event_index, page[-1].line_number)
    assert paged == whole


def test_entries_are_read_and_streamed_alike(connection: Connection, settled_bank: Bank) -> None:
    lines = ledger.entry_lines(connection, settled_bank.issuer_id, 2, 4)
    assert [(one.event_index, one.line_number) for one in lines] == [
        (2, 0),
        (2, 1),
        (3, 0),
        (3, 1),
        (4, 0),
        (4, 1),
    ]
    assert list(ledger.stream_lines(connection, settled_bank.issuer_id, 2, 4)) == lines
    assert ledger.entry_lines(connection, "issuer_of_others", 0, INDEX_MAX) == []


def test_events_that_touch_an_account_are_found_in_order(connection: Connection, settled_bank: Bank) -> None:
    ids = [available(settled_bank, "LANTERN-USD")]
    issuer_id = settled_bank.issuer_id
    assert ledger.touching_indexes(connection, issuer_id, ids, -1, 100) == [3, 4, 5, 6, 7]
    assert ledger.touching_indexes(connection, issuer_id, ids, 3, 2) == [4, 5]


def test_accounts_are_found_by_class_account_and_code(connection: Connection, settled_bank: Bank) -> None:
    def found(**by: str) -> list[ledger.LedgerAccount]:
        return ledger.accounts(connection, settled_bank.issuer_id, **by)  # type: ignore[arg-type]

    usd = settled_bank.classes["USD"].id
    assert len(found(token_class_id=usd)) == len(ledger.ISSUER_CODES) + 4 * len(ledger.HOLDER_CODES)
    assert [one.code for one in found(account_id=settled_bank.account_id("HARBOUR-USD"))] == [
        *ledger.HOLDER_CODES
    ]
    [at_core] = found(token_class_id=usd, code="1100")
    assert (at_core.balance_minor, at_core.version, at_core.last_event_index) == (1000, 1, 0)
    pages = [
        *ledger.accounts(connection, settled_bank.issuer_id, limit=50),
        *ledger.accounts(connection, settled_bank.issuer_id, after=found()[49].id, limit=50),
    ]
    assert [one.id for one in pages] == [
        one.id for one in ledger.accounts(connection, settled_bank.issuer_id, limit=100)
    ]


def test_a_balance_that_changed_under_its_lock_stops_everything(settled_bank: Bank) -> None:
    # Locks make this impossible; if it happened all the same, nothing may be written.
    harbour, lantern = available(settled_bank, "HARBOUR-USD"), available(settled_bank, "LANTERN-USD")

    def work(connection: Connection) -> None:
        with pipelined(connection) as pipeline:
            locked = ledger.lock(pipeline, settled_bank.issuer_id, [harbour, lantern])
        book = locked.result()
        book.post(900, OPENED_AT.date(), [Posting(harbour, 1, 0), Posting(lantern, 0, 1)])
        connection.exec_driver_sql(
            "UPDATE ledger_account SET version = version + 1 WHERE issuer_id = %s AND id = %s",
            (settled_bank.issuer_id, harbour),
        )
        with pipelined(connection) as pipeline:
            ledger.write_lines(pipeline, settled_bank.issuer_id, book, OPENED_AT)
            check = ledger.write_balances(pipeline, settled_bank.issuer_id, book)
        check()

    with pytest.raises(InvariantError):
        settled_bank.database.run(work)
