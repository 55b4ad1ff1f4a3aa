"""The root over all liabilities: what its leaves come to, and what was signed of it against the books of then."""

from tests.bank import Bank
from tests.database import connect
from tests.liabilities.attested import attest
from tests.reconciliation.runs import live, reconcile, told


def change(bank: Bank, table: str, statement: str) -> None:
    with connect(bank.urls.superuser_url) as connection:
        connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER".encode())
        assert connection.execute(statement.encode()).rowcount == 1


def test_the_newest_signed_root_is_told_beside_the_present_total(bank: Bank) -> None:
    live(bank)
    signed = attest(bank)
    bank.redeem("HARBOUR-USD", "1.00")
    run, found = reconcile(bank)
    assert run.figures["liability_root"] == {
        "total": "993.75",
        "attestation_id": signed.tree.id,
        "attested_index": str(signed.tree.as_of_index),
        "attested_root_hash": signed.tree.root_hash.hex(),
        "attested_total": "994.75",
        "books_at_attested_index": "994.75",
    }
    assert (run.verdict, told(found)) == ("tied", [("timing", -77_777)])
    # As of a moment before it was signed there was none.
    bank.clock.at = run.created_at
    assert reconcile(bank, "EUR")[0].figures["liability_root"]["attestation_id"] is None


def test_books_of_then_that_are_others_than_the_signed_root_are_a_break(bank: Bank) -> None:
    live(bank)
    signed = attest(bank)
    bank.redeem("HARBOUR-USD", "1.00")
    # What the account had after the last line before the tree; the present balance and all movements stay right.
    change(
        bank,
        "journal_line",
        f"""UPDATE journal_line
            SET balance_minor = balance_minor + 1, previous_balance_minor = previous_balance_minor + 1
            WHERE ledger_account_id = '2110.{bank.accounts["HARBOUR-USD"].id}' AND event_index = (
                SELECT max(event_index) FROM journal_line
                WHERE ledger_account_id = '2110.{bank.accounts["HARBOUR-USD"].id}'
                  AND event_index <= {signed.tree.as_of_index})""",
    )
    run, found = reconcile(bank)
    assert (run.verdict, told(found)) == ("broken", [("amount", 1), ("timing", -77_777)])
    assert found[0].evidence == {
        "liability_attestation_id": signed.tree.id,
        "as_of_index": signed.tree.as_of_index,
    }


def test_what_is_owed_to_nobody_on_record_is_in_no_root(bank: Bank) -> None:
    live(bank)
    with connect(bank.urls.superuser_url) as connection:
        connection.execute(b"ALTER TABLE liability DISABLE TRIGGER USER")
        connection.execute(
            b"DELETE FROM liability WHERE holder_id = %s AND token_class_id = %s",
            (bank.holders["HARBOUR"].id, bank.classes["USD"].id),
        )
    run, found = reconcile(bank)
    assert run.figures["liability_root"]["total"] == run.figures["supply"]["liability_register"]
    # One break names the account; neither register nor root is a second one.
    assert [one.type for one in found if one.type != "timing"] == ["amount"]
    assert "No liability record covers" in found[0].explanation
