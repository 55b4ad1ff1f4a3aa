"""Payouts at the same moment, and payouts whose transaction or answer is lost: one file, one step, one answer."""

from collections.abc import Callable

import pytest

from tallystick import tokens
from tallystick.api.housekeeping import Housekeeping
from tallystick.core.errors import DomainError
from tallystick.core.ids import with_prefix
from tallystick.payout_replies import TakenStatus
from tallystick.payouts import store
from tallystick.tokens import Kind, Outcome, Submission
from tests.bank import Bank, oracle
from tests.camt_writer import statement
from tests.payouts.replying import debit, findings, follow, report, returned, take_in
from tests.tokens.paying import (
    LANTERN,
    ask_for_file,
    code_of,
    figures,
    files,
    make_file,
    pay_out,
    payout_request,
    state,
    step,
)
from tests.tokens.together import at_once


class CrashError(Exception):
    """The process dies here."""


def crash(*_arguments: object, **_named: object) -> None:
    raise CrashError


def open_with(bank: Bank, *amounts: str) -> list[str]:
    bank.deposit(LANTERN, "100.00")
    bank.mint(LANTERN, "100.00", deposited=False)
    return [pay_out(bank, one) for one in amounts]


def approving(bank: Bank, change_id: str, key: str) -> Callable[[], Outcome]:
    """Return a vote on a file that was asked for, on a connection of its own."""
    request = bank.request(Kind.APPROVE, bank.checker, key=key, related_id=with_prefix("approval", change_id))
    return lambda: bank.outcome(request)


def test_files_made_at_once_never_share_a_payout(bank: Bank) -> None:
    open_with(bank, *["5.00"] * 8)
    asked = [ask_for_file(bank).resource_id for _ in range(6)]

    outcomes = at_once([approving(bank, one, f"vote-{one}") for one in asked])

    refusals = [one.refusal.code for one in outcomes if one.refusal is not None]
    assert refusals == ["payout_file_outdated"] * 5
    assert [(one.sequence, one.payout_count) for one in files(bank)] == [(1, 8)]
    oracle(bank)


def test_a_file_and_cancellations_at_once_end_each_payout_one_way(bank: Bank) -> None:
    ids = open_with(bank, *["5.00"] * 6)
    asked = ask_for_file(bank).resource_id
    system = tokens.system_principal(bank.issuer_id, bank.clock.at)

    def cancelling(payout_id: str) -> Callable[[], Outcome]:
        request = bank.request(Kind.PAYOUT_CANCELLATION, system, related_id=payout_id, reason="Changed.")
        return lambda: bank.outcome(request)

    outcomes = at_once([approving(bank, asked, "vote"), *(cancelling(one) for one in ids)])

    cancelled = [one for one in ids if state(bank, one) == "cancelled"]
    if outcomes[0].refusal is None:
        assert (cancelled, files(bank)[0].payout_count) == ([], 6)
    else:
        assert (len(cancelled) > 0, files(bank)) == (True, [])
    assert figures(bank)[1] == 500 * (6 - len(cancelled))
    oracle(bank)


def test_payouts_at_once_never_exceed_what_is_there(bank: Bank) -> None:
    open_with(bank)
    requests = [payout_request(bank, "30.00") for _ in range(8)]

    outcomes = at_once([lambda one=one: bank.outcome(one) for one in requests])  # type: ignore[misc]

    assert sum(one.refusal is None for one in outcomes) == 3
    assert figures(bank) == (1_000, 9_000, 10_000)
    oracle(bank)


def test_a_status_that_comes_twice_at_once_is_taken_in_once(bank: Bank) -> None:
    [one] = open_with(bank, "40.00")
    content = report(make_file(bank).message_id, group="RJCT", reason="AC04")

    taken = at_once([lambda: take_in(bank, content)] * 4)

    assert sorted(one.imported for one in taken) == [False, False, False, True]
    assert len({one.message.id for one in taken}) == 1
    assert (state(bank, one), figures(bank)) == ("rejected", (10_000, 0, 10_000))
    oracle(bank)


def test_a_rejection_and_the_debit_at_once_end_one_way(bank: Bank) -> None:
    [one] = open_with(bank, "40.00")
    content = report(make_file(bank).message_id, group="RJCT", reason="AC04")
    bank.import_statement(statement(debit(bank, one), opening="100.00", day="2026-11-21"))

    def rejecting() -> TakenStatus | None:
        return take_in(bank, content)

    def following() -> None:
        follow(bank)

    at_once([rejecting, following, following])

    # The statement is there in any case, so the bank has paid.
    assert (state(bank, one), figures(bank)) == ("settled", (6_000, 0, 6_000))
    assert findings(bank) == ["rejected_too_late"]
    oracle(bank)


def test_looks_at_one_statement_at_once_settle_and_give_back_once(bank: Bank) -> None:
    [one] = open_with(bank, "40.00")
    make_file(bank)
    both = debit(bank, one), returned(bank, one)
    bank.import_statement(statement(*both, opening="100.00", day="2026-11-21"))

    done = at_once([lambda: follow(bank)] * 4)

    assert sum(one.settled_count for one in done) == sum(one.returned_count for one in done) == 1
    assert (state(bank, one), figures(bank)) == ("given_back", (10_000, 0, 10_000))
    oracle(bank)


@pytest.mark.parametrize("place", ["insert_payout", "insert_step"])
def test_a_crash_while_a_payout_is_accepted_leaves_nothing(
    bank: Bank, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    open_with(bank)
    request = payout_request(bank, key="pay")
    with monkeypatch.context() as crashing:
        crashing.setattr(store, place, crash)
        with pytest.raises(CrashError):
            bank.outcome(request)
    assert figures(bank) == (10_000, 0, 10_000)

    bank.outcome(request)

    assert figures(bank) == (6_000, 4_000, 10_000)
    oracle(bank)


def test_a_crash_while_a_file_is_made_leaves_nothing_or_the_whole_file(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_with(bank, "5.00", "6.00")
    vote = approving(bank, ask_for_file(bank).resource_id, "vote")
    with monkeypatch.context() as crashing:
        # Failed and not persisted.
        crashing.setattr(store, "insert_file", crash)
        with pytest.raises(CrashError):
            vote()
    assert files(bank) == []

    # Failed and persisted: the answer is lost, and the same key gets the one answer.
    first, again = vote(), vote()

    assert (first.body, again.replayed) == (again.body, True)
    [made] = files(bank)
    assert (made.sequence, made.payout_count) == (1, 2)
    oracle(bank)


@pytest.mark.parametrize("place", ["insert_step", "insert_status"])
def test_a_crash_while_a_status_is_taken_in_leaves_nothing(
    bank: Bank, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    [one] = open_with(bank, "40.00")
    content = report(make_file(bank).message_id, group="RJCT", reason="AC04")
    with monkeypatch.context() as crashing:
        crashing.setattr(store, place, crash)
        with pytest.raises(CrashError):
            take_in(bank, content)
    assert (state(bank, one), figures(bank)) == ("accepted", (6_000, 4_000, 10_000))

    first, again = take_in(bank, content), take_in(bank, content)

    assert (first.imported, again.imported) == (True, False)
    assert (state(bank, one), figures(bank)) == ("rejected", (10_000, 0, 10_000))
    oracle(bank)


def test_a_crash_between_settlement_and_return_leaves_both_undone(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    [one] = open_with(bank, "40.00")
    make_file(bank)
    both = debit(bank, one), returned(bank, one)
    bank.import_statement(statement(*both, opening="100.00", day="2026-11-21"))
    insert_step = store.insert_step
    steps = []

    def crash_on_the_last(*arguments: object) -> None:
        steps.append(arguments)
        if len(steps) == 3:
            raise CrashError
        insert_step(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as crashing:
        crashing.setattr(store, "insert_step", crash_on_the_last)
        with pytest.raises(CrashError):
            follow(bank)
    assert (state(bank, one), figures(bank)) == ("accepted", (6_000, 4_000, 10_000))

    follow(bank)

    assert (state(bank, one), figures(bank)) == ("given_back", (10_000, 0, 10_000))
    oracle(bank)


def test_the_database_keeps_a_payout_to_one_file_one_amount_and_one_giving_back(bank: Bank) -> None:
    [one] = open_with(bank, "40.00")
    made = make_file(bank)
    step(bank, Kind.PAYOUT_REJECTION, one)

    def writing(sql: str) -> Callable[[], object]:
        return lambda: bank.database.run(lambda connection: connection.exec_driver_sql(sql))

    values = f"'{bank.issuer_id}', '{one}'"
    columns = "issuer_id, payout_id, step, amount_minor, event_index, source_id, done_by, done_at"
    for sql in (
        f"INSERT INTO payout_file_item VALUES ({values}, '{made.id}', 2, 'payout_settlement_x')",
        f"INSERT INTO payout_step ({columns}) VALUES ({values}, 'given_back', 4000, 9, 'x', 'x', now())",
        f"INSERT INTO payout_step ({columns}) VALUES ({values}, 'settled', 4000, 9, 'x', 'x', now())",
        f"INSERT INTO payout_step ({columns}) VALUES ({values}, 'returned', 4001, 9, 'x', 'x', now())",
        f"INSERT INTO payout_step ({columns}) VALUES ({values}, 'returned', 4000, 9, NULL, 'x', now())",
        "UPDATE payout_step SET amount_minor = 1",
        "DELETE FROM payout_file_item",
    ):
        with pytest.raises(Exception, match=r"duplicate|violates|denied|append"):
            writing(sql)()


def test_a_batch_of_one_transaction_takes_each_step_once(bank: Bank) -> None:
    [one] = open_with(bank, "40.00")
    system = tokens.system_principal(bank.issuer_id, bank.clock.at)
    twice = [
        Submission((bank.request(Kind.PAYOUT_CANCELLATION, system, related_id=one, reason="Twice."),))
        for _ in range(2)
    ]

    outcomes = [done.outcomes[0] for done in bank.settle(*twice)]

    refused = outcomes[1].refusal
    assert outcomes[0].refusal is None
    assert isinstance(refused, DomainError)
    assert refused.code == "payout_state_conflict"
    assert code_of(lambda: step(bank, Kind.PAYOUT_REJECTION, one)) == "payout_state_conflict"
    oracle(bank)


def test_a_statement_whose_import_was_cut_short_before_it_is_followed_later(bank: Bank) -> None:
    [one] = open_with(bank, "40.00")
    make_file(bank)
    bank.import_statement(statement(debit(bank, one), opening="100.00", day="2026-11-21"))
    looked_at: list[tuple[str, str]] = []

    def following(issuer_id: str, class_id: str) -> None:
        looked_at.append((issuer_id, class_id))
        follow(bank)

    Housekeeping(bank.database, bank.clock, 3_600, lambda _issuer, _request: None, following).follow()

    assert looked_at == [(bank.issuer_id, bank.classes["USD"].id)]
    assert (state(bank, one), figures(bank)) == ("settled", (6_000, 0, 6_000))
