"""The check: silent on an honest bank, exact about where a dishonest one differs, and patient with what is lawful."""

import pytest
from sqlalchemy import event

from tallystick import audit, integrity, matching, participants, payout_replies, seals
from tallystick.integrity import IntegrityBrokenError
from tallystick.participants import HolderKind, KycStatus
from tests.bank import Bank
from tests.camt_writer import Entry, statement
from tests.database import connect
from tests.integrity.lived import TILES, check, live_fully, seal, today


def test_an_honest_bank_has_no_findings(lived: Bank) -> None:
    found = check(lived)
    assert (found.findings, found.seal_number) == ([], 0)
    # The seal's own instruction came after what it sealed.
    assert set(found.unsealed) <= {"instruction", "answer"}


def test_it_reads_one_snapshot_and_writes_nothing(lived: Bank) -> None:
    with lived.database.read() as connection:
        asked: list[str] = []
        event.listen(
            connection,
            "before_cursor_execute",
            lambda _c, _k, statement, *_: asked.append(statement.split()[0]),
        )
        integrity.check(connection, TILES, lived.issuer_id)
    assert set(asked) <= {"SELECT", "WITH", "SET", "SAVEPOINT", "RELEASE"}


def test_progress_is_told_to_the_end(lived: Bank) -> None:
    told: list[tuple[int, int]] = []
    with lived.database.read() as connection:
        integrity.check(
            connection, TILES, lived.issuer_id, progress=lambda _w, done, of: told.append((done, of))
        )
    assert told[0][0] == 0
    assert told[-1][0] == told[-1][1]
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_what_is_newer_than_the_seal_is_counted_and_what_is_on_record_may_change(bank: Bank) -> None:
    live_fully(bank)
    # Nothing is sealed yet, and the log alone is enough for everything that it tells of.
    assert (check(bank).findings, check(bank).seal_number) == ([], None)
    first = seal(bank)
    lantern = bank.holders["LANTERN"].id

    with connect(bank.urls.superuser_url) as connection:
        connection.execute("UPDATE holder SET kyc_status = 'rejected' WHERE id = %s", [lantern])
    [found] = check(bank).findings
    assert (found.table, found.key, found.column) == ("holder", lantern, "kyc_status")
    assert "by seal 0" in str(found.expected)
    with pytest.raises(IntegrityBrokenError):
        seal(bank)

    # The same change by somebody's act is on record, and the next seal covers it.
    def rejected(connection: object) -> None:
        draft = audit.Draft("kyc", audit.Decision.SETTLED, "POST", 200, bank.operator.id, subject_id=lantern)
        audit.append(connection, bank.clock, bank.issuer_id, [draft])  # type: ignore[arg-type]

    bank.database.run(rejected)
    found_now = check(bank)
    assert (found_now.findings, found_now.changed["holder"]) == ([], 1)
    bank.database.run(
        lambda on: participants.register_holder(
            on,
            bank.clock,
            bank.issuer_id,
            kind=HolderKind.MERCHANT,
            legal_name="Newcomer GmbH",
            country="DE",
            residency="DE",
            kyc_status=KycStatus.PENDING,
        )
    )
    assert check(bank).unsealed["holder"] == 1
    bank.redeem("HARBOUR-USD", "0.05")
    second = seal(bank)
    after = check(bank)
    assert (after.findings, after.changed["holder"], after.unsealed["holder"]) == ([], 0, 0)
    assert (second.number, second.event_index > first.event_index) == (1, True)
    # Of a thousand records few had changed.
    assert 0 < second.record_count < first.record_count / 3

    # An old seal goes on telling: to put back what was, is a change too.
    with connect(bank.urls.superuser_url) as connection:
        connection.execute("UPDATE holder SET kyc_status = 'verified' WHERE id = %s", [lantern])
    assert [one.column for one in check(bank, "holder").findings] == ["kyc_status"]


def test_matching_and_paying_go_on_behind_a_seal(bank: Bank) -> None:
    """What a later run takes in, ties and gives up is no finding, and neither is what limits count meanwhile."""
    live_fully(bank)
    paid = Entry("1.00", credit=False, bank_reference="later", remittance="A fee")
    bank.import_statement(statement(paid, day=today(bank, 2), opening="193.00"))
    seal(bank)
    bank.transfer("HARBOUR-USD", "LANTERN-USD", "1.00")
    matching.match_in_parts(bank.database, bank.clock, bank.issuer_id, bank.classes["USD"].id)

    assert check(bank).findings == []
    with bank.database.read() as connection:
        made = list(matching.items_again(connection, bank.issuer_id, payout_replies.expected_again))
    assert any("bank:later" in one.kept_references for one in made)
    seal(bank)
    assert check(bank).findings == []


def test_money_moved_past_the_log_is_found_without_any_seal(bank: Bank) -> None:
    """One cent from one holder to another, line by line and balance by balance, as a careful insider would."""
    bank.mint("HARBOUR-USD", "10.00")
    with connect(bank.urls.superuser_url) as connection:
        connection.execute("SET session_replication_role = replica")
        for name, minor in (("HARBOUR-USD", -1), ("LANTERN-USD", 1)):
            connection.execute(
                "UPDATE ledger_account SET balance_minor = balance_minor + %s WHERE id = %s",
                [minor, f"2110.{bank.account_id(name)}"],
            )
    found = check(bank)
    assert [(one.table, one.column, one.expected, one.found) for one in found.findings] == [
        ("ledger_account", "balance_minor", "1000", "999"),
        ("ledger_account", "balance_minor", "0", "1"),
    ]


def test_rows_of_no_bank_are_found(bank: Bank) -> None:
    with connect(bank.urls.superuser_url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("INSERT INTO facts_version VALUES ('issuer_none', 1)")
    assert [(one.table, one.key) for one in check(bank).findings] == [("facts_version", "issuer_none")]


def test_a_log_that_can_not_be_read_is_told_and_ends_nothing(bank: Bank) -> None:
    bank.mint("HARBOUR-USD", "10.00")
    with connect(bank.urls.superuser_url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE event SET jws = 'x.e30.y' WHERE event_index = 1")
        connection.execute("UPDATE event SET jws = 'x.!.y' WHERE event_index = 2")
    found = check(bank)
    assert {("event", "1", "jws"), ("event", "2", "jws")} <= {
        (one.table, one.key, one.column) for one in found.findings
    }
    assert ("journal_line", "*") in {(one.table, one.column) for one in found.findings}


def test_two_seals_are_never_set_at_once(lived: Bank) -> None:
    with lived.database.read() as connection:
        newest = seals.newest(connection, lived.issuer_id)
        assert newest is not None
        with pytest.raises(seals.SealNumberTakenError):
            seals.check_seal(connection, lived.issuer_id, seals.contents_of(newest))


def test_the_tree_may_lag_behind(bank: Bank) -> None:
    """Events that are not integrated yet are no difference; a tree that is ahead of them is one."""
    bank.mint("HARBOUR-USD", "10.00")
    assert check(bank, "log_tree", "log_checkpoint").findings == []
