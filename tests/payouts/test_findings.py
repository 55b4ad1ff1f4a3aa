"""What the bank said that contradicts: somebody has it, notes what was learnt, and says how it ended, once."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from tallystick import payout_replies, payouts
from tallystick.core.ids import new_suffix
from tallystick.participants import Principal
from tallystick.payouts import Finding, FindingAction, FindingState
from tallystick.tokens import Kind
from tests.bank import Bank
from tests.payouts.replying import debit, findings, follow, report, state_of_bank, take_in, transaction
from tests.tokens.paying import LANTERN, code_of, make_file, pay_out, step
from tests.tokens.together import at_once


def found(bank: Bank) -> Finding:
    """Have the bank pay a payout twice; return what is left to people of that."""
    bank.mint(LANTERN, "100.00")
    one = pay_out(bank, "40.00")
    make_file(bank)
    state_of_bank(bank, debit(bank, one))
    state_of_bank(bank, debit(bank, one), number=2, opening="60.00")
    return of_state(bank)[0]


def of_state(bank: Bank, *states: FindingState, owner_id: str | None = None) -> list[Finding]:
    with bank.database.read() as connection:
        return payouts.findings(connection, bank.issuer_id, states=states or None, owner_id=owner_id)


def actions(bank: Bank, finding: Finding) -> list[FindingAction]:
    with bank.database.read() as connection:
        return payouts.finding_actions(connection, bank.issuer_id, finding.id)


def assign(bank: Bank, finding: Finding, owner: str, actor: Principal | None = None) -> Finding:
    return bank.database.run(
        lambda on: payout_replies.assign_finding(
            on, bank.clock, actor or bank.maker, finding.id, owner, note="Ring them."
        )
    )


def note(bank: Bank, finding: Finding, text: str = "They look into it.") -> Finding:
    return bank.database.run(
        lambda on: payout_replies.note_finding(on, bank.clock, bank.checker, finding.id, text)
    )


def resolve(bank: Bank, finding: Finding, instruction_id: str | None = None) -> Finding:
    return bank.database.run(
        lambda on: payout_replies.resolve_finding(
            on, bank.clock, bank.operator, finding.id, "They took it back.", instruction_id=instruction_id
        )
    )


def test_a_finding_has_an_owner_and_an_end(bank: Bank) -> None:
    one = found(bank)
    assert (one.kind, one.state, one.owner_id) == ("debited_again", "open", None)
    assert [of.id for of in of_state(bank, FindingState.OPEN)] == [one.id]

    assign(bank, one, bank.maker.id)
    owned = assign(bank, one, bank.checker.id)
    noted = note(bank, one)

    assert (owned.state, owned.owner_id, noted) == ("assigned", bank.checker.id, owned)
    assert of_state(bank, FindingState.OPEN) == []
    assert of_state(bank, owner_id=bank.maker.id) == []
    assert of_state(bank, FindingState.ASSIGNED, owner_id=bank.checker.id) == [owned]

    ended = resolve(bank, one)

    assert (ended.state, ended.owner_id, ended.ended_at) == ("resolved", bank.checker.id, bank.clock.at)
    assert of_state(bank, FindingState.RESOLVED) == [ended]
    assert note(bank, one, "And told the holder.") == ended
    assert [(of.action_number, of.kind, of.principal_id, of.note) for of in actions(bank, one)] == [
        (1, "assigned", bank.maker.id, "Ring them."),
        (2, "assigned", bank.maker.id, "Ring them."),
        (3, "noted", bank.checker.id, "They look into it."),
        (4, "resolved", bank.operator.id, "They took it back."),
        (5, "noted", bank.checker.id, "And told the holder."),
    ]
    assert code_of(lambda: resolve(bank, one)) == "payout_finding_ended"
    assert code_of(lambda: assign(bank, one, bank.maker.id)) == "payout_finding_ended"
    # The statement is looked at again, and says nothing new.
    follow(bank)
    assert of_state(bank) == [ended]


def test_only_the_staff_owns_findings(bank: Bank) -> None:
    one = found(bank)
    for owner in (bank.platform.id, bank.auditor.id, "principal_absent"):
        assert code_of(lambda owner=owner: assign(bank, one, owner)) == "payout_finding_owner_unfit"  # type: ignore[misc]
    absent = Finding(bank.issuer_id, "payout_finding_absent", "", "", "", None, "", bank.clock.at)
    assert code_of(lambda: note(bank, absent)) == "payout_finding_not_found"
    assert actions(bank, one) == []


def test_what_corrects_a_finding_moved_something_behind_it_in_its_class(bank: Bank) -> None:
    before = bank.mint(LANTERN, "1.00")
    bank.clock.at += timedelta(seconds=1)
    one = found(bank)
    bank.clock.at += timedelta(seconds=1)
    other_class = bank.deposit("HARBOUR-EUR", "1.00")
    frozen = bank.freeze("HARBOUR-USD")
    for unfit in (before, other_class, frozen, "deposit_absent"):
        assert code_of(lambda unfit=unfit: resolve(bank, one, unfit)) == "payout_correction_unfit"  # type: ignore[misc]
    fit = bank.deposit("LANTERN-USD", "1.00")

    assert resolve(bank, one, fit).instruction_id == fit


def test_a_finding_without_a_payout_ends_too(bank: Bank) -> None:
    take_in(bank, report("NOBODYS", transaction(f"payout_{new_suffix()}", "RJCT")))
    [one] = of_state(bank)

    assert resolve(bank, one).state == "resolved"


def test_people_at_once_resolve_once(bank: Bank) -> None:
    one = found(bank)

    def resolving() -> str:
        return code_of(lambda: resolve(bank, one))

    assert sorted(at_once([resolving] * 4)) == ["done", *["payout_finding_ended"] * 3]
    assert [of.kind for of in actions(bank, one)] == ["resolved"]


def test_the_database_keeps_what_was_done(bank: Bank) -> None:
    one = resolve(bank, found(bank))

    def writing(sql: str) -> Callable[[], object]:
        return lambda: bank.database.run(lambda connection: connection.exec_driver_sql(sql))

    row = f"'{bank.issuer_id}', '{one.id}', 2, 'resolved', 'x', 'Again.', NULL, now()"
    for sql in (
        f"INSERT INTO payout_finding_action VALUES ({row})",
        f"INSERT INTO payout_finding_action VALUES ({row.replace('resolved', 'assigned')})",
        f"INSERT INTO payout_finding_action VALUES ({row.replace('resolved', 'forgotten')})",
        "UPDATE payout_finding_action SET note = 'Another'",
        "DELETE FROM payout_finding_action",
    ):
        with pytest.raises(Exception, match=r"duplicate|violates|denied|append"):
            writing(sql)()


def test_a_late_word_is_a_finding_of_its_own(bank: Bank) -> None:
    bank.mint(LANTERN, "40.00")
    one = pay_out(bank)
    message_id = make_file(bank).message_id
    step(bank, Kind.PAYOUT_SETTLEMENT, one)
    take_in(bank, report(message_id, transaction(one, "RJCT")))
    resolve(bank, of_state(bank)[0])

    take_in(bank, report(message_id, transaction(one, "RJCT", "AC04"), message_id="BANK-2"))

    assert findings(bank) == ["rejected_too_late"] * 2
    assert [of.state for of in of_state(bank)] == ["resolved", "open"]
