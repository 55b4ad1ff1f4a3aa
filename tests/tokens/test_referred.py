"""What the rules refer waits for people: 202 for ever, settled by approval, and what is denied stays denied."""

from datetime import timedelta
from typing import Any, Final

import pytest

from tallystick import approvals, tokens
from tallystick.core.errors import DomainError
from tallystick.core.ids import with_prefix
from tallystick.tokens import Instruction, Kind, Outcome, Request, Submission
from tests.bank import Bank, oracle
from tests.tokens.changing import asked, code_of, log_of, refers, rows, vote

HARBOUR: Final = "HARBOUR-USD"
LANTERN: Final = "LANTERN-USD"
SILKROAD: Final = "SILKROAD-USD"
WRITTEN: Final = """SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM answer),
    (SELECT count(*) FROM instruction), (SELECT count(*) FROM approval_vote),
    (SELECT string_agg(id || state, ',' ORDER BY id) FROM approval),
    (SELECT string_agg(id || state, ',' ORDER BY id) FROM instruction),
    (SELECT sum(version) FROM ledger_account)"""


@pytest.fixture
def referring(bank: Bank) -> Bank:
    """A bank with 10.00 of tokens whose rules let people look at whatever is above 1.00."""
    bank.mint(HARBOUR, "10.00")
    bank.enact(rules=[refers("transfer", "hold", "redemption", "hold_execution", above_minor=100)])
    return bank


def transfer(bank: Bank, amount: str, *, key: str | None = None) -> Request:
    return bank.request(
        Kind.TRANSFER,
        bank.platform,
        key=key,
        amount=amount,
        currency="USD",
        payer_account_id=bank.account_id(HARBOUR),
        payee_account_id=bank.account_id(LANTERN),
    )


def waiting(bank: Bank, amount: str = "2.00", *, key: str | None = None) -> Outcome:
    """Ask for a payment that people must look at."""
    outcome = bank.outcome(transfer(bank, amount, key=key))
    assert (outcome.status, outcome.refusal) == (202, None)
    return outcome


def kept(bank: Bank, kind: Kind, instruction_id: str) -> Instruction:
    with bank.database.read() as connection:
        return tokens.instruction(connection, bank.auditor, kind, instruction_id)


def balances(bank: Bank) -> tuple[int, int]:
    return bank.balance_minor("2110", HARBOUR), bank.balance_minor("2110", LANTERN)


def approve(bank: Bank, instruction_id: str, amount: str = "2.00") -> Outcome:
    return vote(bank, instruction_id, bank.checker, amount=amount, currency="USD")


def test_what_is_referred_waits_and_moves_nothing(referring: Bank) -> None:
    assert referring.outcome(transfer(referring, "1.00")).status == 201
    outcome = waiting(referring, "1.01")

    told = asked(outcome)
    assert (told["state"], told["settled_at"], told["event_id"]) == ("pending_approval", None, None)
    assert told["approval_id"] == with_prefix("approval", outcome.resource_id)
    assert "signed_event" not in told
    assert balances(referring) == (900, 100)
    with referring.database.read() as connection:
        found = approvals.approval(connection, referring.issuer_id, told["approval_id"])
    assert (found.state, found.operation, found.quorum, found.amount) == ("pending", "transfer", 1, "1.01")
    assert found.details == {"referred": [{"code": "large_one", "rule_id": "rules/large_one"}]}
    assert log_of(referring)[-1]["type"] == "token.transferred"
    oracle(referring)


@pytest.mark.parametrize("decision", [Kind.APPROVE, Kind.REJECT])
def test_the_first_answer_is_repeated_whatever_became_of_it(referring: Bank, decision: Kind) -> None:
    first = waiting(referring, key="large")
    before = referring.outcome(transfer(referring, "2.00", key="large"))
    if decision == Kind.APPROVE:
        assert code_of(approve(referring, first.resource_id)) == "settled"
    else:
        referring.reject(first.resource_id)
    behind = referring.outcome(transfer(referring, "2.00", key="large"))

    for again in (before, behind):
        assert (again.status, again.body, again.replayed) == (202, first.body, True)
        assert (again.resource_id, again.event_index) == (first.resource_id, None)
    other = referring.outcome(transfer(referring, "3.00", key="large"))
    assert other.refusal is not None
    assert other.refusal.members == {"existing_id": first.resource_id}
    # Within one batch as over two.
    both = referring.settle(*[Submission((transfer(referring, "2.50", key="both"),)) for _ in range(2)])
    assert both[0].outcomes[0].body == both[1].outcomes[0].body
    oracle(referring)


def test_an_approval_settles_it_by_the_rules_of_then(referring: Bank) -> None:
    outcome = waiting(referring)
    decided = approve(referring, outcome.resource_id)

    assert balances(referring) == (800, 200)
    settled = kept(referring, Kind.TRANSFER, outcome.resource_id)
    assert (settled.state, settled.event_index) == ("settled", decided.event_index)
    voted, paid = log_of(referring)[-2:]
    assert (paid["type"], paid["approvals"]) == ("token.transferred", [voted["vote_hash"]])
    assert paid["policy"].startswith("policy_")
    assert paid["principal_id"] == referring.platform.id
    # It can be taken back like any other.
    referring.reverse(outcome.resource_id, "2.00")
    assert balances(referring) == (1000, 0)
    oracle(referring)


def test_a_rejection_ends_it(referring: Bank) -> None:
    outcome = waiting(referring)
    referring.reject(outcome.resource_id)
    assert kept(referring, Kind.TRANSFER, outcome.resource_id).state == "rejected"
    assert code_of(approve(referring, outcome.resource_id)) == "approval_closed"
    assert balances(referring) == (1000, 0)
    oracle(referring)


@pytest.mark.parametrize("obstacle", ["rules", "frozen", "spent", "amount"])
def test_what_is_denied_when_it_is_approved_stays_undone(referring: Bank, obstacle: str) -> None:
    outcome = waiting(referring, "8.00")
    amount = "8.00"
    match obstacle:
        case "rules":
            referring.enact(limits={"transaction": "7.99"})
            code = "transaction_limit_exceeded"
        case "frozen":
            referring.freeze(LANTERN)
            code = "account_frozen"
        case "spent":
            for _ in range(3):
                referring.transfer(HARBOUR, SILKROAD, "1.00")
            code = "insufficient_funds"
        case _:
            amount, code = "80.00", "approval_mismatch"
    before = rows(referring, WRITTEN)
    assert code_of(approve(referring, outcome.resource_id, amount)) == code
    assert rows(referring, WRITTEN) == before, "the vote was not cast"

    if obstacle == "rules":
        referring.enact()
    elif obstacle == "frozen":
        referring.unfreeze(LANTERN)
    elif obstacle == "spent":
        referring.deposit(HARBOUR, "3.00")
        referring.mint(HARBOUR, "3.00", deposited=False)
    assert code_of(approve(referring, outcome.resource_id, "8.00")) == "settled"
    oracle(referring)


def test_whoever_asked_does_not_approve(referring: Bank) -> None:
    asked_by_staff = referring.transfer(HARBOUR, LANTERN, "2.00")
    for principal, code in (
        (referring.maker, "checker_is_maker"),
        (referring.platform, "checker_not_a_person"),
    ):
        outcome = vote(referring, asked_by_staff, principal, amount="2.00", currency="USD")
        assert code_of(outcome) == code
    assert balances(referring) == (1000, 0)


def test_a_referred_hold_holds_from_its_approval_on(referring: Bank) -> None:
    hold = referring.hold(HARBOUR, LANTERN, "2.00")
    assert (kept(referring, Kind.HOLD, hold).state, referring.balance_minor("2120", HARBOUR)) == (
        "pending_approval",
        0,
    )
    with pytest.raises(DomainError) as refused:
        referring.execute_hold(hold, "1.00")
    assert refused.value.code == "hold_closed"
    approve(referring, hold)
    held = kept(referring, Kind.HOLD, hold)
    assert (held.state, held.remaining_minor, referring.balance_minor("2120", HARBOUR)) == ("held", 200, 200)
    # What refers its payment now finds nobody to ask: the tokens stay where they are.
    with pytest.raises(DomainError) as refused:
        referring.execute_hold(hold, "2.00")
    assert (refused.value.code, refused.value.members["reasons"]) == ("policy_rule_refused", ["large_one"])
    referring.execute_hold(hold, "1.00")
    referring.execute_hold(hold, "1.00")
    assert kept(referring, Kind.HOLD, hold).state == "executed"
    oracle(referring)


def test_a_hold_that_is_over_is_not_approved(referring: Bank) -> None:
    hold = referring.hold(HARBOUR, LANTERN, "2.00", expires_at=referring.clock.at + timedelta(hours=1))
    referring.clock.at += timedelta(hours=1)
    assert code_of(approve(referring, hold)) == "hold_expired"
    assert referring.balance_minor("2120", HARBOUR) == 0
    oracle(referring)


def test_a_referred_redemption_is_paid_back_once_people_agree(referring: Bank) -> None:
    redemption = referring.redeem(HARBOUR, "2.00")
    assert referring.balance_minor("2010", HARBOUR) == 0
    approve(referring, redemption)
    assert (referring.balance_minor("2010", HARBOUR), balances(referring)) == (200, (800, 0))
    oracle(referring)


@pytest.mark.parametrize("ended_by", ["rejection", "time"])
def test_a_deposit_on_a_statement_is_not_lost_when_people_say_no(bank: Bank, ended_by: str) -> None:
    """The money has come: it waits to be assigned, as what nobody waited for does."""
    bank.enact(rules=[refers("deposit", above_minor=100)])
    deposit = bank.deposit(HARBOUR, "2.00")
    assert kept(bank, Kind.DEPOSIT, deposit).state == "pending_approval"
    if ended_by == "rejection":
        bank.reject(deposit)
    else:
        bank.clock.at += timedelta(hours=72)
        with bank.database.read() as connection:
            [request] = tokens.due(connection, bank.issuer_id, bank.clock.at, 10)
        assert code_of(bank.outcome(request)) == "settled"

    found = kept(bank, Kind.DEPOSIT, deposit)
    assert (found.state, found.payee_account_id, found.event_index) == ("unassigned", None, None)
    bank.ask(
        Kind.DEPOSIT_ASSIGNMENT,
        bank.maker,
        related_id=deposit,
        payee_account_id=bank.account_id(LANTERN),
        reason="It was for Lantern.",
    )
    assert (bank.balance_minor("2010", LANTERN), bank.balance_minor("2010", HARBOUR)) == (200, 0)
    oracle(bank)


def test_a_deposit_by_hand_that_people_reject_is_rejected(bank: Bank) -> None:
    deposit = bank.ask(
        Kind.DEPOSIT, bank.maker, amount="2.00", currency="USD", payee_account_id=bank.account_id(HARBOUR)
    ).resource_id
    bank.reject(deposit)
    assert kept(bank, Kind.DEPOSIT, deposit).state == "rejected"


def batch_of(bank: Bank, *amounts: str, atomic: bool) -> Submission:
    items = tuple(transfer(bank, amount) for amount in amounts)
    return Submission(items, bank.request(Kind.TRANSFER_BATCH, bank.platform), atomic)


def test_an_item_of_a_batch_waits_for_itself(referring: Bank) -> None:
    submission = batch_of(referring, "1.00", "2.00", "99.00", atomic=False)
    [settled] = referring.settle(submission)
    assert settled.batch is not None
    body = asked(settled.batch)
    assert [body[f"{name}_count"] for name in ("settled", "pending", "refused")] == [1, 1, 1]
    assert [one["status"] for one in body["items"]] == ["settled", "pending_approval", "refused"]
    item_id = submission.requests[1].id
    assert body["items"][1] == {
        "item": 1,
        "status": "pending_approval",
        "id": item_id,
        "approval_id": with_prefix("approval", item_id),
    }
    assert balances(referring) == (900, 100)
    approve(referring, item_id)
    assert balances(referring) == (700, 300)
    oracle(referring)


def test_all_or_none_does_not_wait(referring: Bank) -> None:
    before = rows(referring, WRITTEN)
    [settled] = referring.settle(batch_of(referring, "1.00", "2.00", "1.00", atomic=True))
    assert settled.batch is not None
    assert settled.batch.refusal is not None
    told: list[dict[str, Any]] = settled.batch.refusal.members["items"]
    assert [(one["item"], one["code"]) for one in told] == [(1, "approval_needed")]
    assert rows(referring, WRITTEN) == before
    [settled] = referring.settle(batch_of(referring, "1.00", "1.00", atomic=True))
    assert balances(referring) == (800, 200)
    oracle(referring)


def test_all_or_none_does_not_count_what_waits_already(referring: Bank) -> None:
    waiting(referring, "2.00", key="large")
    items = (transfer(referring, "1.00"), transfer(referring, "2.00", key="large"))
    batch = referring.request(Kind.TRANSFER_BATCH, referring.platform)
    [settled] = referring.settle(Submission(items, batch, atomic=True))
    assert settled.batch is not None
    assert settled.batch.refusal is not None
    assert [one["code"] for one in settled.batch.refusal.members["items"]] == ["approval_needed"]
    assert balances(referring) == (1000, 0)
    oracle(referring)
