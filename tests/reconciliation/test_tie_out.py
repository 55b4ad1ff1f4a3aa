"""The tie-out by itself: it never says `tied` over a difference, and explains each to the minor unit."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tallystick.reconciliation.breaks import BreakCollector, BreakDraft, Money
from tallystick.reconciliation.records import BreakType, Verdict
from tallystick.reconciliation.tie_out import AttestedRoot, BankFacts, BooksFacts, TieOut, tie_out

USD = Money("USD", 2)
CLASS = "class_1"
CONTROL = f"1100.{CLASS}"
BALANCES = {
    CONTROL: 700,
    "2010.a": 250,
    "2010.b": 100,
    "2110.a": 250,
    "2120.a": 30,
    "2110.b": 20,
    f"2310.{CLASS}": 50,
}
BOOKS = BooksFacts(
    minted_minor=450,
    redeemed_minor=100,
    seized_minor=50,
    events_verified_count=9,
    journal_minor=BALANCES,
    trial_minor=BALANCES,
    stored_minor=BALANCES,
    register_minor=300,
    register_account_ids=frozenset({"a", "b"}),
    root_minor=300,
)
BANK = BankFacts(closing_minor=700)

small = st.integers(-3, 3)
changes = st.dictionaries(st.sampled_from(sorted(BALANCES)), small, max_size=3)


def changed(by: dict[str, int]) -> dict[str, int]:
    return {account_id: minor + by.get(account_id, 0) for account_id, minor in BALANCES.items()}


def told(result: TieOut) -> list[tuple[str, int]]:
    return [(draft.type.value, draft.difference_minor) for draft in result.breaks]


def test_what_agrees_ties() -> None:
    result = tie_out(CLASS, USD, BOOKS, BANK)
    assert (result.verdict, result.breaks) == (Verdict.TIED, [])
    assert result.figures["supply"] == {
        "minted": "4.50",
        "redeemed": "1.00",
        "seized": "0.50",
        "paid_out": "0.00",
        "signed_events": "3.00",
        "holder_balances": "3.00",
        "trial_balance": "3.00",
        "liability_register": "3.00",
        "events_verified": "9",
    }
    told_of_control = result.figures["control_account"]
    assert (told_of_control["deposits_available"], told_of_control["payments_in_transit"]) == ("3.50", "0.50")


@given(st.integers(-5, 5), small, small, small, changes, changes, changes, small, small, st.booleans())
def test_a_tie_leaves_no_difference(
    minted: int,
    redeemed: int,
    seized: int,
    register: int,
    journal: dict[str, int],
    trial: dict[str, int],
    stored: dict[str, int],
    closing: int,
    timing: int,
    registered: bool,
) -> None:
    books = replace(
        BOOKS,
        minted_minor=450 + minted,
        redeemed_minor=100 + redeemed,
        seized_minor=50 + seized,
        register_minor=300 + register,
        journal_minor=changed(journal),
        trial_minor=changed(trial),
        stored_minor=changed(stored),
        register_account_ids=frozenset({"a", "b"} if registered else {"a"}),
    )
    breaks = [BreakDraft(BreakType.TIMING, timing, "Later.", {}, 0, timing)] if timing else []
    result = tie_out(CLASS, USD, books, BankFacts(700 + closing, timing, timing, breaks))

    supply, control = result.figures["supply"], result.figures["control_account"]
    if result.verdict == Verdict.TIED:
        figures = ("signed_events", "holder_balances", "trial_balance", "liability_register")
        assert len({supply[name] for name in figures}) == 1
        assert control["difference_after_timing"] == "0.00"
        assert books.trial_minor == books.stored_minor == books.journal_minor
        assert registered
    else:
        assert any(draft.type != BreakType.TIMING and draft.difference_minor for draft in result.breaks)
    assert tie_out(CLASS, USD, books, BankFacts(700 + closing, timing, timing, breaks)) == result


def test_one_cent_in_the_stored_balance_is_one_break() -> None:
    result = tie_out(CLASS, USD, replace(BOOKS, stored_minor=changed({"2110.a": 1})), BANK)
    assert (result.verdict, told(result)) == (Verdict.BROKEN, [("amount", 1)])
    assert result.figures["supply"]["holder_balances"] == "3.01"


def test_one_cent_in_the_trial_balance_is_traced_to_its_account() -> None:
    same = changed({"2120.a": 1})
    result = tie_out(
        CLASS,
        USD,
        replace(BOOKS, trial_minor=same, stored_minor=same, register_minor=301, root_minor=301),
        BANK,
    )
    assert told(result) == [("amount", 1)]
    assert result.breaks[0].evidence == {"ledger_account": "2120.a"}


def test_two_errors_that_cancel_are_two_breaks() -> None:
    result = tie_out(CLASS, USD, replace(BOOKS, stored_minor=changed({"2110.a": 1, "2110.b": -1})), BANK)
    assert result.figures["supply"]["holder_balances"] == "3.00"
    assert (result.verdict, told(result)) == (Verdict.BROKEN, [("amount", 1), ("amount", -1)])


def test_what_nothing_explains_is_a_break_of_its_own() -> None:
    result = tie_out(
        CLASS, USD, replace(BOOKS, minted_minor=449, register_minor=302, root_minor=297), BankFacts(701)
    )
    assert told(result) == [("amount", 1), ("amount", -2), ("amount", 3), ("amount", -1)]
    assert all("nothing explains" in draft.explanation for draft in result.breaks)


def test_a_signed_root_must_be_what_the_books_say_of_then() -> None:
    attested = AttestedRoot("attestation_1", 7, "00" * 32, 250, 250)
    result = tie_out(CLASS, USD, replace(BOOKS, attested=attested), BANK)
    assert (result.verdict, result.breaks) == (Verdict.TIED, [])
    assert result.figures["liability_root"] == {
        "total": "3.00",
        "attestation_id": "attestation_1",
        "attested_index": "7",
        "attested_root_hash": "00" * 32,
        "attested_total": "2.50",
        "books_at_attested_index": "2.50",
    }
    result = tie_out(CLASS, USD, replace(BOOKS, attested=attested._replace(books_minor=249)), BANK)
    assert (result.verdict, told(result)) == (Verdict.BROKEN, [("amount", -1)])
    assert "As of event 7" in result.breaks[0].explanation


def test_what_the_log_lacks_explains_the_supply() -> None:
    missing = BreakDraft(BreakType.MISSING_EVENT, 50, "No event.", {"event_index": 3}, 50, 0)
    result = tie_out(CLASS, USD, replace(BOOKS, minted_minor=400, log_breaks=[missing]), BANK)
    assert result.breaks == [missing]


def test_no_statement_breaks_even_an_empty_class() -> None:
    empty = BooksFacts(0, 0, 0, 0, {}, {}, {}, 0, frozenset(), 0)
    result = tie_out(CLASS, USD, empty, BankFacts(None))
    assert (result.verdict, told(result)) == (Verdict.BROKEN, [("missing_bank_entry", 0)])
    assert result.figures["control_account"]["difference"] is None


def test_a_hundred_of_a_kind_are_shown_and_the_rest_summed() -> None:
    found = BreakCollector(USD)
    for number in range(103):
        found.add("some", BreakDraft(BreakType.AMOUNT, number, f"{number}", {}, 1, 2))
    found.add("other", BreakDraft(BreakType.TIMING, 7, "7", {}))

    collected = found.collected()

    assert len(collected) == 102
    assert collected[100] == BreakDraft(
        BreakType.AMOUNT,
        100 + 101 + 102,
        "3 more of the kind some, together USD 3.03.",
        {"kind": "some", "count": 3},
        3,
        6,
        "more:some",
        100 + 101 + 102,
    )
    assert collected[101].difference_minor == 7
