"""Reconciling a real bank: what ties, what is only a matter of time, and what the bank and the books each lack."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from tallystick import reconciliation, statements, tokens
from tallystick.core.errors import DomainError
from tallystick.tokens import Kind
from tests.bank import OPENED_AT, Bank, oracle
from tests.camt_writer import EUR_CONTROL, Entry, Stated, message, statement
from tests.reconciliation.runs import EXAMPLES, carried, live, reconcile, root_hash_of, told


def test_books_and_bank_tie_while_a_credit_waits(bank: Bank) -> None:
    stored = live(bank)

    run, found = reconcile(bank)

    assert run.verdict == "tied"
    assert run.statement_id == stored.id
    assert run.ledger_as_of == bank.clock.at
    assert run.figures == {
        "supply": {
            "minted": "1000.00",
            "redeemed": "5.25",
            "seized": "0.00",
            "paid_out": "0.00",
            "signed_events": "994.75",
            "holder_balances": "994.75",
            "trial_balance": "994.75",
            "liability_register": "994.75",
            "events_verified": "10",
        },
        "liability_root": {
            "total": "994.75",
            "attestation_id": None,
            "attested_index": None,
            "attested_root_hash": None,
            "attested_total": None,
            "books_at_attested_index": None,
        },
        "control_account": {
            "ledger": "1262500.50",
            "deposits_available": "1261505.75",
            "payments_in_transit": "0.00",
            "statement_closing": "1263278.27",
            "difference": "-777.77",
            "timing": "-777.77",
            "difference_after_timing": "0.00",
        },
        "pushed_balance": dict.fromkeys(("deposit_balance_id", "as_of", "balance", "expected", "difference")),
        "log": {
            "root_hash": root_hash_of(bank, run.event_index + 1),
            "verified_size": str(run.event_index + 1),
            "verified_before": "0",
        },
        "breaks": {"timing": "-777.77"},
    }
    assert told(found) == [("timing", -77_777)]
    assert found[0].evidence["statement_entry_id"] == f"{stored.id}.4"
    assert "waits to be assigned" in found[0].explanation
    oracle(bank)


def test_the_same_state_gives_the_same_result(bank: Bank) -> None:
    live(bank)
    first, first_breaks = reconcile(bank)
    bank.clock.at += timedelta(hours=1)
    second, second_breaks = reconcile(bank)

    assert (first.figures, first.verdict, first.event_index) == (
        second.figures,
        second.verdict,
        second.event_index,
    )
    assert told(first_breaks) == told(second_breaks)
    assert [one.evidence for one in first_breaks] == [one.evidence for one in second_breaks]


def test_an_assigned_credit_waits_no_more(bank: Bank) -> None:
    stored = live(bank)
    with bank.database.read() as connection:
        waiting = statements.entries(connection, bank.issuer_id, stored.id)[3]
    bank.ask(
        Kind.DEPOSIT_ASSIGNMENT,
        bank.maker,
        related_id=waiting.deposit_id,
        payee_account_id=bank.account_id("SILKROAD-USD"),
    )

    run, found = reconcile(bank)

    assert (run.verdict, found) == ("tied", [])
    assert run.figures["control_account"]["difference"] == "0.00"


def test_without_a_statement_nothing_is_confirmed(bank: Bank) -> None:
    bank.mint("HARBOUR-USD", "10.00")

    run, found = reconcile(bank)

    assert (run.verdict, run.statement_id) == ("broken", None)
    assert told(found) == [("missing_bank_entry", 1_000)]
    assert run.figures["control_account"]["statement_closing"] is None
    assert run.figures["supply"]["trial_balance"] == "10.00"
    empty, found = reconcile(bank, "EUR")
    assert (empty.verdict, told(found)) == ("broken", [("missing_bank_entry", 0)])


def test_classes_are_reconciled_apart(bank: Bank) -> None:
    live(bank)
    bank.import_statement((EXAMPLES / "2026-11-20-eur.xml").read_bytes())
    bank.mint("LANTERN-EUR", "3.00", deposited=False)

    run, found = reconcile(bank, "EUR")

    assert (run.verdict, found) == ("tied", [])
    assert run.figures["supply"]["signed_events"] == "3.00"
    assert run.figures["supply"]["events_verified"] == "5"
    assert run.figures["control_account"]["ledger"] == "434000.25"


def test_a_past_moment_is_reconciled_as_it_was(bank: Bank) -> None:
    live(bank)
    before, before_breaks = reconcile(bank)
    moment = bank.clock.at
    bank.clock.at += timedelta(days=1)
    bank.import_statement((EXAMPLES / "2026-11-21-usd.xml").read_bytes())
    bank.mint("SILKROAD-USD", "7.00", deposited=False)
    bank.transfer("HARBOUR-USD", "LANTERN-USD", "1.00")

    again, again_breaks = reconcile(bank, as_of=moment)
    after, _ = reconcile(bank)
    opening, opening_breaks = reconcile(bank, as_of=OPENED_AT - timedelta(days=1))

    assert (again.figures, again.event_index, again.statement_id) == (
        before.figures,
        before.event_index,
        before.statement_id,
    )
    assert (again.verdict, told(again_breaks)) == (before.verdict, told(before_breaks))
    assert (again.ledger_as_of, again.created_at) == (moment, bank.clock.at)
    assert after.figures["supply"]["signed_events"] == "1001.75"
    assert after.figures["control_account"]["statement_closing"] == "1347578.27"
    assert after.verdict == "tied"
    assert (opening.event_index, told(opening_breaks)) == (-1, [("missing_bank_entry", 0)])


def test_a_credit_confirmed_behind_the_index_is_timing(bank: Bank) -> None:
    stored = live(bank)
    moment = bank.clock.at
    with bank.database.read() as connection:
        waiting = statements.entries(connection, bank.issuer_id, stored.id)[3]
    bank.clock.at += timedelta(hours=1)
    bank.ask(
        Kind.DEPOSIT_ASSIGNMENT,
        bank.maker,
        related_id=waiting.deposit_id,
        payee_account_id=bank.account_id("SILKROAD-USD"),
    )

    run, found = reconcile(bank, as_of=moment)

    assert (run.verdict, told(found)) == ("tied", [("timing", -77_777)])
    assert "behind this index" in found[0].explanation


@pytest.mark.parametrize(
    ("who", "asked", "code"),
    [
        ("platform", {}, "reconciliation_not_allowed"),
        ("holder", {}, "reconciliation_not_allowed"),
        ("auditor", {"as_of": OPENED_AT + timedelta(seconds=1)}, "as_of_in_future"),
        ("auditor", {"token_class_id": "class_00000000000000000000000000"}, "token_class_not_found"),
    ],
)
def test_what_cannot_be_reconciled(bank: Bank, who: str, asked: dict[str, object], code: str) -> None:
    asked = {"token_class_id": bank.classes["USD"].id, **asked}
    with pytest.raises(DomainError) as refusal:
        bank.database.run(
            lambda connection: reconciliation.reconcile(
                connection,
                bank.settler,
                getattr(bank, who),
                **asked,  # type: ignore[arg-type]
            )
        )
    assert refusal.value.code == code


def test_deposits_that_no_statement_shows(bank: Bank) -> None:
    bank.import_statement(statement(Entry("100.00", remittance="HARBOUR-USD")))
    bank.deposit("LANTERN-USD", "30.00")
    waiting = bank.ask(
        Kind.DEPOSIT,
        bank.maker,
        amount="100.00",
        currency="USD",
        payee_account_id=bank.account_id("HARBOUR-USD"),
    )
    bank.approve(waiting.resource_id, "100.00", "USD")
    bank.clock.at += timedelta(days=1)
    bank.deposit("LANTERN-USD", "5.00")

    run, found = reconcile(bank)

    assert run.verdict == "broken"
    assert told(found) == [("missing_bank_entry", 3_000), ("duplicate", 10_000), ("timing", 500)]
    assert run.figures["control_account"]["difference"] == "135.00"
    assert run.figures["control_account"]["difference_after_timing"] == "130.00"
    assert [one.state for one in carried(bank, found)] == ["open", "open", "explained"]


def test_debits_pair_with_releases(bank: Bank) -> None:
    bank.import_statement(statement(Entry("100.00", remittance="HARBOUR-USD")))
    bank.release_deposit("HARBOUR-USD", "20.00")
    bank.release_deposit("HARBOUR-USD", "20.00")
    bank.clock.at += timedelta(days=1)
    bank.release_deposit("HARBOUR-USD", "7.00")

    run, found = reconcile(bank)
    assert told(found) == [("missing_bank_entry", -2_000), ("missing_bank_entry", -2_000), ("timing", -700)]

    bank.import_statement(
        statement(
            Entry("20.00", credit=False),
            Entry("20.00", credit=False),
            Entry("20.00", credit=False),
            Entry("0.50", credit=False),
            Entry("3.00", reversal=True),
            Entry("0.00"),
            Entry("9.00", status="PDNG"),
            day="2026-11-21",
            opening="100.00",
        ),
    )
    run, found = reconcile(bank)
    assert told(found) == [
        ("unexpected_bank_entry", 2_000),
        ("unexpected_bank_entry", 50),
        ("unexpected_bank_entry", -300),
        ("missing_bank_entry", -700),
    ]
    assert run.figures["control_account"]["difference"] == "10.50"
    assert run.verdict == "broken"


def test_what_the_bank_did_between_statements_is_unexpected(bank: Bank) -> None:
    credit = Entry("10.00", remittance="HARBOUR-USD")
    bank.import_statement(statement(credit, opening="1.00", day="2026-11-18"))
    bank.import_statement(statement(credit, opening="11.00", day="2026-11-19"))
    bank.import_statement(statement(credit, opening="25.50", day="2026-11-20"))

    run, found = reconcile(bank)

    assert told(found) == [("unexpected_bank_entry", -100), ("unexpected_bank_entry", -450)]
    assert "no statement before it" in found[0].explanation
    assert "closed at USD 21.00" in found[1].explanation
    assert run.figures["control_account"]["difference"] == "-5.50"


def test_a_statement_that_does_not_add_up_breaks(bank: Bank) -> None:
    bank.import_statement(statement(Entry("10.00", remittance="HARBOUR-USD"), closing="10.01"))

    _, found = reconcile(bank)

    assert sorted(told(found)) == [("amount", -1), ("timing", -1_000)]


def test_pages_tie_together(bank: Bank) -> None:
    credit = Entry("10.00", remittance="HARBOUR-USD")
    bank.import_statement(statement(credit, page=(1, False), statement_id="P"))
    run, found = reconcile(bank)
    assert (run.verdict, told(found)) == ("broken", [("missing_bank_entry", 1_000)])

    bank.import_statement(statement(credit, page=(2, True), statement_id="P", opening="10.00"))
    run, found = reconcile(bank)
    assert (run.verdict, found) == ("tied", [])


def test_a_statement_without_a_closing_balance_proves_nothing_yet(bank: Bank) -> None:
    bank.import_statement(statement(Entry("10.00", remittance="HARBOUR-USD"), day="2026-11-19"))
    bank.import_statement(
        message(
            Stated(
                (Entry("5.00", remittance="HARBOUR-USD"),),
                day="2026-11-20",
                opening="10.00",
                page=(1, False),
                statement_id="P",
            )
        ),
    )

    run, found = reconcile(bank)

    assert (run.verdict, told(found)) == ("tied", [("timing", 500)])
    assert run.figures["control_account"]["statement_closing"] == "10.00"


def test_many_breaks_are_told_as_a_hundred_and_the_sum_of_the_rest(bank: Bank) -> None:
    bank.import_statement(statement(*[Entry("1.00", remittance=f"who knows {n}") for n in range(105)]))

    run, found = reconcile(bank)

    assert run.verdict == "tied"
    assert len(found) == 101
    assert (found[-1].type, found[-1].difference_minor, found[-1].evidence["count"]) == ("timing", -500, 5)
    assert run.figures["control_account"]["timing"] == "-105.00"


def test_many_entries_are_followed_page_by_page(bank: Bank) -> None:
    bank.import_statement(statement(*[Entry("1.00", remittance="HARBOUR-USD") for _ in range(2_100)]))

    run, found = reconcile(bank)

    assert (run.verdict, found) == ("tied", [])
    assert run.figures["control_account"]["ledger"] == "2100.00"


def test_reading_runs_and_breaks(bank: Bank) -> None:
    live(bank)
    runs = [reconcile(bank)[0], reconcile(bank, "EUR")[0], reconcile(bank)[0]]
    with bank.database.read() as connection:
        issuer_id, usd = bank.issuer_id, bank.classes["USD"].id
        assert reconciliation.reconciliations(connection, issuer_id) == runs
        assert reconciliation.reconciliations(connection, issuer_id, after=runs[0].id, limit=1) == [runs[1]]
        assert reconciliation.reconciliations(connection, issuer_id, token_class_id=usd) == [runs[0], runs[2]]
        waiting = reconciliation.breaks(connection, issuer_id, state="open")
        assert [(one.reconciliation_id, one.type) for one in waiting] == [(runs[1].id, "missing_bank_entry")]
        explained = reconciliation.breaks(connection, issuer_id, state="explained")
        # The same cause is the same break: it was found first in one run, and last in another.
        assert [(one.reconciliation_id, one.last_reconciliation_id) for one in explained] == [
            (runs[0].id, runs[2].id)
        ]
        assert reconciliation.breaks(connection, issuer_id, after=explained[0].id, limit=1) == waiting
        assert reconciliation.breaks(connection, issuer_id, reconciliation_id=runs[2].id) == explained
        with pytest.raises(reconciliation.ReconciliationNotFoundError):
            reconciliation.reconciliation(connection, "issuer_other", runs[0].id)


def test_it_ties_at_every_moment_of_a_busy_day(bank: Bank) -> None:
    bank.import_statement(statement(Entry("500.00", remittance="HARBOUR-USD"), day="2026-11-10"))
    bank.mint("HARBOUR-USD", "400.00", deposited=False)

    def pay(payee: str) -> None:
        for _ in range(15):
            bank.transfer("HARBOUR-USD", payee, "1.00")
            bank.redeem("HARBOUR-USD", "0.50")

    def fund() -> None:
        credits_ = [Entry("1.00", remittance=f"{name}-USD") for name in ("LANTERN", "NORTHWIND", "NOBODY")]
        for number in range(6):
            opening = f"{500 + 3 * number}.00"
            bank.import_statement(statement(*credits_, day=f"2026-11-{11 + number}", opening=opening))

    with ThreadPoolExecutor(5) as pool:
        busy = [pool.submit(pay, "LANTERN-USD"), pool.submit(pay, "SILKROAD-USD"), pool.submit(fund)]
        runs = [reconcile(bank)]
        while not all(one.done() for one in busy):
            runs.append(reconcile(bank))
        for one in busy:
            one.result()
    runs.append(reconcile(bank))

    assert {run.verdict for run, _ in runs} == {"tied"}
    assert {one.type for _, found in runs for one in found} == {"timing"}
    assert told(runs[-1][1]) == [("timing", -100)] * 6
    oracle(bank)


def test_a_holder_with_two_accounts_is_owed_the_sum(bank: Bank) -> None:
    live(bank)
    with bank.database.engine.begin() as connection:
        bank.accounts["HARBOUR-2"] = tokens.open_account(
            connection,
            bank.clock,
            bank.issuer_id,
            holder_id=bank.holders["HARBOUR"].id,
            token_class_id=bank.classes["USD"].id,
            deposit_account_number="2000000001",
        )
    bank.transfer("HARBOUR-USD", "HARBOUR-2", "200.00")

    run, _ = reconcile(bank)

    assert (run.verdict, run.figures["supply"]["liability_register"]) == ("tied", "994.75")


def test_another_class_of_the_same_holders_does_not_matter(bank: Bank) -> None:
    live(bank)
    bank.import_statement(
        statement(Entry("9.00", remittance="HARBOUR-EUR"), account=EUR_CONTROL, currency="EUR"),
    )
    bank.mint("HARBOUR-EUR", "9.00", deposited=False)
    assert reconcile(bank)[0].figures["supply"]["signed_events"] == "994.75"
