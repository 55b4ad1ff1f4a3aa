"""Whom a payout pays is screened as holders are: a hit refers it, and keeps it out of files until it is cleared."""

from collections.abc import Sequence

from tallystick import screening, tokens
from tallystick.payouts import FileFormat
from tallystick.screening import Screening
from tallystick.tokens import Kind
from tests.bank import Bank, oracle
from tests.payouts.replying import payout
from tests.screening.listed import company
from tests.screening.screened import import_list
from tests.tokens.paying import (
    LANTERN,
    ask_for_file,
    code_of,
    figures,
    files,
    make_file,
    pay_out,
    payload,
    state,
    step,
)

LISTED = "Umbral Freight Ltd"


def open_with_list(bank: Bank, *listed: str) -> None:
    bank.mint(LANTERN, "100.00")
    import_list(bank, *(company(f"C-{number}", name) for number, name in enumerate(listed or (LISTED,))))


def ask(bank: Bank, name: str, amount: str = "10.00", **said: str) -> str:
    """Ask for a payout as the API does: whom it pays is screened first."""
    beneficiary = payload(name=name, **said)
    bank.database.run(
        lambda connection: tokens.screen_beneficiary(
            connection, bank.clock, bank.issuer_id, beneficiary, threshold=screening.THRESHOLD
        )
    )
    return pay_out(bank, amount, name=name, **said)


def hits(bank: Bank) -> Sequence[Screening]:
    with bank.database.read() as connection:
        return screening.screenings(connection, bank.issuer_id, state="hit")


def decide(bank: Bank, operation: str) -> None:
    """Let two people clear or confirm every hit."""
    for one in hits(bank):
        bank.approve(bank.change(operation, one.id, {"reason": "We know them."}).resource_id)


def test_a_hit_refers_and_two_people_let_it_go(bank: Bank) -> None:
    open_with_list(bank)
    other = ask(bank, "Acme Tooling GmbH")
    one = ask(bank, "Umbral Freight")
    assert (state(bank, other), state(bank, one)) == ("accepted", "pending_approval")
    [hit] = hits(bank)
    assert (hit.subject.legal_name, hit.subject.country, hit.hits[0].entity_id) == (
        "Umbral Freight",
        "DE",
        "C-0",
    )

    # That people let it be paid out is not yet that they know who it is.
    bank.approve(one, "10.00", "USD")
    assert (state(bank, one), figures(bank)) == ("accepted", (8_000, 2_000, 10_000))
    assert make_file(bank).payout_count == 1
    assert code_of(lambda: ask_for_file(bank)) == "payout_file_outdated"

    decide(bank, "screening_clearance")

    assert make_file(bank).payout_count == 1
    # Cleared once, the same name needs nobody for the next payout; another country is somebody else.
    assert state(bank, ask(bank, "Umbral Freight")) == "accepted"
    assert state(bank, ask(bank, "Umbral Freight", country="FR")) == "pending_approval"
    oracle(bank)


def test_whom_two_people_confirmed_is_paid_nothing(bank: Bank) -> None:
    open_with_list(bank)
    one = ask(bank, LISTED)
    decide(bank, "screening_confirmation")

    assert code_of(lambda: ask(bank, LISTED)) == "screening_hit"
    assert code_of(lambda: bank.approve(one, "10.00", "USD")) == "screening_hit"
    assert (state(bank, one), figures(bank)) == ("pending_approval", (10_000, 0, 10_000))
    oracle(bank)


def test_a_new_list_is_applied_before_a_file(bank: Bank) -> None:
    bank.mint(LANTERN, "100.00")
    waiting, other = pay_out(bank, "10.00", name=LISTED), pay_out(bank, "20.00")
    import_list(bank, company("C-1", LISTED))

    made = make_file(bank)

    assert (made.payout_count, made.control_sum_minor) == (1, 2_000)
    assert [one.subject.legal_name for one in hits(bank)] == [LISTED]
    decide(bank, "screening_confirmation")
    assert code_of(lambda: ask_for_file(bank)) == "payout_file_outdated"
    step(bank, Kind.PAYOUT_CANCELLATION, waiting)
    assert (state(bank, waiting), state(bank, other)) == ("cancelled", "accepted")
    assert figures(bank) == (8_000, 2_000, 10_000)
    oracle(bank)


def test_a_list_between_asking_for_a_file_and_approving_it_stops_it(bank: Bank) -> None:
    bank.mint(LANTERN, "100.00")
    one = pay_out(bank, "10.00", name=LISTED)
    asked = ask_for_file(bank).resource_id
    import_list(bank, company("C-1", "Somebody Else Entirely"))

    assert code_of(lambda: bank.approve(asked)) == "payout_file_outdated"
    assert files(bank) == []

    assert make_file(bank).payout_count == 1
    assert payout(bank, one).beneficiary.name == LISTED


def test_held_payouts_keep_no_others_out_of_a_file(bank: Bank) -> None:
    open_with_list(bank)
    held = [pay_out(bank, "1.00", name=LISTED) for _ in range(3)]
    free = [pay_out(bank, "2.00") for _ in range(2)]

    wanted = bank.database.run(
        lambda connection: tokens.ask_for_payout_file(
            connection,
            bank.clock,
            bank.issuer_id,
            bank.classes["USD"].id,
            file_format=FileFormat.PAIN_001,
            execution_date=bank.clock.at.date(),
            threshold=screening.THRESHOLD,
            limit=1,
        )
    )

    assert wanted["payout_ids"] == free[:1]
    assert [state(bank, one) for one in held] == ["accepted"] * 3


def test_without_a_list_nothing_is_kept(bank: Bank) -> None:
    bank.mint(LANTERN, "100.00")
    ask(bank, LISTED)

    assert make_file(bank).payout_count == 1
    with bank.database.read() as connection:
        assert screening.screenings(connection, bank.issuer_id) == []
