"""What people decide about matches, and who may."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tallystick import matching
from tallystick.core.errors import DomainError
from tallystick.matching import Match, Side
from tallystick.participants import Principal
from tests.bank import Bank, oracle
from tests.matching.helpers import accepted, debit, matches, open_ids, run, told
from tests.matching.test_matching import release


def decided(bank: Bank, verb: str, match_id: str, actor: Principal | None = None, **asked: str) -> Match:
    if verb in ("reject", "undo"):
        asked.setdefault("reason", "Looked into.")
    made: Match = bank.database.run(
        lambda connection: getattr(matching, verb)(
            connection, bank.clock, actor or bank.maker, match_id, **asked
        )
    )
    return made


def code(bank: Bank, verb: str, match_id: str, actor: Principal | None = None, **asked: str) -> str:
    with pytest.raises(DomainError) as refused:
        decided(bank, verb, match_id, actor, **asked)
    return refused.value.code


def proposed(bank: Bank, bank_ids: list[str], book_ids: list[str], actor: Principal | None = None) -> Match:
    return bank.database.run(
        lambda connection: matching.propose(
            connection,
            bank.clock,
            actor or bank.maker,
            bank_item_ids=bank_ids,
            book_item_ids=book_ids,
            reason="On the core's screen.",
        )
    )


def refused_proposal(bank: Bank, *sides: list[str], actor: Principal | None = None) -> str:
    with pytest.raises(DomainError) as refused:
        proposed(bank, sides[0], sides[1], actor)
    return refused.value.code


def tolerate(bank: Bank, tolerance: str, automatic_from: str = "strong") -> None:
    payload = {"tolerance": tolerance, "days_max": 3, "automatic_from": automatic_from}
    asked = bank.change("matching_terms", bank.classes["USD"].id, payload)
    assert asked.status == 202
    bank.approve(asked.resource_id)


def test_a_suggestion_is_accepted_undone_and_never_made_again(bank: Bank) -> None:
    bank.deposit("HARBOUR-USD", "500.00")
    released = release(bank, "40.00")
    statement_id = told(bank, debit("40.00"), opening="500.00")
    run(bank)
    [one] = matches(bank, state="proposed")

    assert decided(bank, "accept", one.id).state == "accepted"
    assert open_ids(bank, Side.BANK) == []
    assert code(bank, "accept", one.id) == code(bank, "reject", one.id) == "match_state_conflict"
    # A run leaves what people accepted, even if something surer turns up.
    told(bank, debit("40.00", end_to_end_id=released), day="2026-11-21", opening="460.00")
    run(bank)
    assert [match.id for match in accepted(bank)] == [one.id]

    assert decided(bank, "undo", one.id).state == "undone"
    assert code(bank, "undo", one.id) == "match_state_conflict"
    run(bank)
    assert [match.rule for match in accepted(bank)] == ["our_reference"]
    assert open_ids(bank, Side.BANK) == [f"{statement_id}.1"]
    with bank.database.read() as connection:
        made = matching.decisions(connection, bank.issuer_id, one.id)
    assert [(each.decision, each.person) for each in made] == [
        ("accepted", bank.maker.person),
        ("undone", bank.maker.person),
    ]


def test_what_was_rejected_or_undone_is_not_tied_again(bank: Bank) -> None:
    bank.deposit("HARBOUR-USD", "500.00")
    release(bank, "40.00", "OUT-1")
    release(bank, "7.00")
    told(bank, debit("40.00", end_to_end_id="OUT-1"), debit("7.00"), opening="500.00")
    run(bank)
    [exact], [suggestion] = accepted(bank), matches(bank, state="proposed")

    decided(bank, "undo", exact.id)
    decided(bank, "reject", suggestion.id, bank.checker)

    assert run(bank)[2:4] == (0, 0)
    assert len(open_ids(bank, Side.BANK)) == len(open_ids(bank, Side.BOOKS)) - 1 == 2


def test_a_difference_takes_a_tolerance_and_two_people(bank: Bank) -> None:
    bank.deposit("HARBOUR-USD", "500.00")
    release(bank, "40.00", "OUT-1")
    told(bank, debit("40.05", end_to_end_id="OUT-1"), opening="500.00")
    run(bank)
    [one] = matches(bank, state="proposed")
    assert code(bank, "accept", one.id, difference="0.05") == "match_difference_exceeds_tolerance"
    tolerate(bank, "0.05")

    assert code(bank, "accept", one.id) == "match_difference_mismatch"
    assert code(bank, "accept", one.id, difference="0.04") == "match_difference_mismatch"
    assert code(bank, "accept", one.id, bank.checker, difference="0.05") == "match_not_allowed"
    assert decided(bank, "accept", one.id, difference="0.05").state == "pending_approval"
    assert len(open_ids(bank, Side.BANK)) == 1
    run(bank)
    assert code(bank, "accept", one.id, difference="0.05") == "match_same_decider"
    assert code(bank, "accept", one.id, bank.checker) == "match_difference_mismatch"
    assert decided(bank, "accept", one.id, bank.checker, difference="0.05").state == "accepted"

    assert open_ids(bank, Side.BANK) == []
    assert code(bank, "accept", one.id, bank.platform, difference="0.05") == "match_not_allowed"
    oracle(bank)


def test_terms_say_what_stands_without_a_person(bank: Bank) -> None:
    from tests.matching.test_matching import statement_with_creditor

    bank.deposit("HARBOUR-USD", "500.00")
    release(bank, "40.00")
    number = bank.accounts["HARBOUR-USD"].deposit_account_number
    statement_with_creditor(bank, [debit("40.00")], number, opening="500.00")
    run(bank)
    assert [one.rule for one in accepted(bank)] == ["amount_and_counterparty"]
    with pytest.raises(DomainError) as refused:
        bank.change(
            "matching_terms",
            bank.classes["USD"].id,
            {"tolerance": "0.005", "days_max": 3, "automatic_from": "strong"},
        )
    assert refused.value.code == "amount_malformed"

    tolerate(bank, "0.00", "exact")
    # What stands is looked at again once something of its amount is open.
    release(bank, "40.00")
    run(bank)

    assert accepted(bank) == []
    assert [(one.rule, one.confidence) for one in matches(bank, state="proposed")] == [
        ("amount_and_counterparty", "fair")
    ]
    oracle(bank)


def test_people_propose_what_no_rule_finds(bank: Bank) -> None:
    credit = bank.deposit("HARBOUR-USD", "500.00")
    released = [release(bank, amount) for amount in ("10.00", "20.00", "20.00")]
    statement_id = told(bank, debit("50.00"), debit("1.00"), opening="500.00")
    run(bank)
    assert matches(bank, state="proposed")[0].rule == "sum_and_day"
    entry, other = f"{statement_id}.1", f"{statement_id}.2"

    assert refused_proposal(bank, [entry], ["deposit_absent"]) == "match_item_not_found"
    assert refused_proposal(bank, [released[0]], [entry]) == "match_item_not_found"
    assert refused_proposal(bank, [entry, entry], released) == "match_sides_malformed"
    assert refused_proposal(bank, [entry, other], []) == "match_sides_malformed"
    assert refused_proposal(bank, [], []) == "match_item_not_found"
    assert refused_proposal(bank, [entry], released, actor=bank.platform) == "match_not_allowed"

    one = proposed(bank, [entry], released)
    another = proposed(bank, [entry], released[:1])
    assert (one.state, one.confidence, one.made_by) == ("proposed", "person", bank.maker.id)
    run(bank)
    assert {match.id for match in matches(bank, state="proposed")} > {one.id, another.id}
    assert code(bank, "accept", another.id, difference="40.00") == "match_difference_exceeds_tolerance"
    decided(bank, "accept", one.id)
    assert code(bank, "accept", another.id) == "match_item_taken"
    assert refused_proposal(bank, [entry], [credit]) == "match_item_taken"
    run(bank)
    assert {match.state for match in matches(bank)} == {"accepted", "superseded"}


def test_evidence_is_nobodys_to_undo(bank: Bank) -> None:
    from tests.camt_writer import Entry

    told(bank, Entry("5.00", remittance="HARBOUR-USD"))
    run(bank)
    [tie] = accepted(bank)

    assert code(bank, "undo", tie.id) == "match_is_evidence"


def test_an_item_stands_in_one_match_whoever_is_faster(bank: Bank) -> None:
    bank.deposit("HARBOUR-USD", "500.00")
    released = release(bank, "40.00")
    ids = [
        f"{told(bank, debit('40.00'), day=f'2026-11-{day}', opening=f'{balance}.00')}.1"
        for day, balance in (("20", 500), ("21", 460), ("22", 420))
    ]
    run(bank)
    made = [proposed(bank, [one], [released]) for one in ids]

    def race(one: Match) -> str:
        try:
            return decided(bank, "accept", one.id).state
        except DomainError as refusal:
            return refusal.code

    with ThreadPoolExecutor(4) as pool:
        ends = pool.map(race, made)
        pool.submit(run, bank).result()
        # The run may have ended what can't be accepted any more before somebody tries to.
        first, *others = sorted(ends)
        assert (first, set(others) <= {"match_item_taken", "match_state_conflict"}) == ("accepted", True)
    assert len(accepted(bank)) == 1
    oracle(bank)
