"""Nothing that makes, takes back or releases is done by one person, whatever logins they use."""

import threading
from datetime import timedelta
from typing import Any, Final

import pytest

from tallystick import approvals, participants, tokens
from tallystick.core.errors import DomainError
from tallystick.core.ids import with_prefix
from tallystick.participants import Principal, Role
from tallystick.tokens import Kind, Outcome, Submission
from tests.bank import APPROVAL_LIFETIME, OPENED_AT, Bank, oracle
from tests.database import connect

HARBOUR: Final = "HARBOUR-USD"


def asked_mint(bank: Bank, amount: str = "5.00", **asked: Any) -> str:
    return bank.ask(
        Kind.MINT,
        bank.maker,
        amount=amount,
        currency="USD",
        payee_account_id=bank.account_id(HARBOUR),
        **asked,
    ).resource_id


def vote(
    bank: Bank, instruction_id: str, principal: Principal, kind: Kind = Kind.APPROVE, **typed: Any
) -> Outcome:
    typed = {"amount": "5.00", "currency": "USD", **typed} if kind == Kind.APPROVE else typed
    return bank.outcome(
        bank.request(kind, principal, related_id=with_prefix("approval", instruction_id), **typed)
    )


def code_of(outcome: Outcome) -> str:
    return "settled" if outcome.refusal is None else outcome.refusal.code


def person(bank: Bank, name: str, *, behind: str | None) -> Principal:
    """Return another principal with both treasury roles; `behind` it is that person."""

    def register(connection: Any) -> Principal:
        if behind is None:
            return participants.register_principal(
                connection,
                bank.clock,
                bank.issuer_id,
                name=name,
                roles=frozenset({Role.HOLDER}),
                holder_id=bank.holders["HARBOUR"].id,
            )
        return participants.register_principal(
            connection,
            bank.clock,
            bank.issuer_id,
            name=name,
            roles=frozenset({Role.TREASURY_MAKER, Role.TREASURY_CHECKER}),
            person=behind,
        )

    return bank.database.run(register)


def test_an_approved_mint_binds_who_asked_and_who_approved(bank: Bank) -> None:
    bank.deposit(HARBOUR, "5.00")
    mint_id = asked_mint(bank)
    approval_id = with_prefix("approval", mint_id)
    assert bank.balance_minor("2110", HARBOUR) == 0
    vote(bank, mint_id, bank.checker, reason="Seen the statement.")

    assert bank.balance_minor("2110", HARBOUR) == 500
    with bank.database.read() as connection:
        approval = approvals.approval(connection, bank.issuer_id, approval_id)
        [cast] = approvals.votes(connection, bank.issuer_id, [approval_id])[approval_id]
        mint = tokens.instruction(connection, bank.maker, Kind.MINT, mint_id)
    assert (approval.state, approval.maker_person) == ("approved", bank.maker.person)
    assert approval.request_hash == mint.request_hash
    assert approval.expires_at == OPENED_AT + APPROVAL_LIFETIME
    assert (cast.person, cast.decision, cast.reason) == (
        bank.checker.person,
        "approve",
        "Seen the statement.",
    )
    oracle(bank)


def test_nobody_approves_or_rejects_their_own_request_through_any_login(bank: Bank) -> None:
    bank.deposit(HARBOUR, "5.00")
    mint_id = asked_mint(bank)
    other_login = person(bank, "Mara's second login", behind=bank.maker.person)
    for principal in (bank.maker, other_login):
        assert code_of(vote(bank, mint_id, principal)) == "checker_is_maker"
        assert code_of(vote(bank, mint_id, principal, Kind.REJECT)) == "checker_is_maker"
    assert code_of(vote(bank, mint_id, bank.checker)) == "settled"


def test_a_machine_neither_asks_nor_approves(bank: Bank) -> None:
    bank.deposit(HARBOUR, "5.00")
    machine = person(bank, "Harbour's other server", behind=None)
    request = bank.request(
        Kind.MINT, machine, amount="5.00", currency="USD", payee_account_id=bank.account_id(HARBOUR)
    )
    assert code_of(bank.outcome(request)) == "maker_not_a_person"
    assert code_of(vote(bank, asked_mint(bank), machine)) == "checker_not_a_person"


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ({"amount": "50.00"}, "approval_mismatch"),
        ({"amount": "0.05"}, "approval_mismatch"),
        ({"amount": "5"}, "amount_malformed"),
        ({"amount": "5.0"}, "amount_malformed"),
        ({"amount": None}, "approval_mismatch"),
        ({"currency": "EUR"}, "approval_mismatch"),
        ({"currency": None}, "approval_mismatch"),
        ({"amount": "5.00"}, "settled"),
    ],
)
def test_the_checker_types_amount_and_currency_again(
    shared_bank: Bank, typed: dict[str, Any], code: str
) -> None:
    shared_bank.deposit(HARBOUR, "5.00")
    assert code_of(vote(shared_bank, asked_mint(shared_bank), shared_bank.checker, **typed)) == code


def test_an_approval_expires_to_the_microsecond(bank: Bank) -> None:
    bank.deposit(HARBOUR, "10.00")
    in_time, too_late = asked_mint(bank), asked_mint(bank)
    bank.clock.at = OPENED_AT + APPROVAL_LIFETIME - timedelta(microseconds=1)
    assert code_of(vote(bank, in_time, bank.checker)) == "settled"
    bank.clock.at += timedelta(microseconds=1)
    assert code_of(vote(bank, too_late, bank.checker)) == "approval_expired"
    assert code_of(vote(bank, too_late, bank.checker, Kind.REJECT)) == "approval_expired"
    assert bank.balance_minor("2110", HARBOUR) == 500


def test_what_is_decided_stays_decided(bank: Bank) -> None:
    bank.deposit(HARBOUR, "20.00")
    approved, rejected = asked_mint(bank), asked_mint(bank)
    bank.approve(approved, "5.00", "USD")
    bank.reject(rejected)
    for mint_id in (approved, rejected):
        for kind in (Kind.APPROVE, Kind.REJECT):
            assert code_of(vote(bank, mint_id, bank.checker, kind)) == "approval_closed"
    assert bank.balance_minor("2110", HARBOUR) == 500
    with bank.database.read() as connection:
        found = tokens.instruction(connection, bank.maker, Kind.MINT, rejected)
    assert (found.state, found.settled_at, found.event_index) == ("rejected", None, None)
    oracle(bank)


def test_two_approvals_in_one_transaction_have_one_effect(bank: Bank) -> None:
    bank.deposit(HARBOUR, "20.00")
    approval_id = with_prefix("approval", asked_mint(bank))
    other_checker = person(bank, "Second checker", behind="Carla Checker")
    settled = bank.settle(
        *[
            Submission((bank.request(kind, who, related_id=approval_id, amount="5.00", currency="USD"),))
            for who, kind in (
                (bank.checker, Kind.APPROVE),
                (other_checker, Kind.APPROVE),
                (other_checker, Kind.REJECT),
            )
        ]
    )
    assert [code_of(one.outcomes[0]) for one in settled] == ["settled", "approval_closed", "approval_closed"]
    assert bank.balance_minor("2110", HARBOUR) == 500
    oracle(bank)


def test_approvals_at_once_have_one_effect(bank: Bank) -> None:
    bank.deposit(HARBOUR, "100.00")
    mint_id = asked_mint(bank)
    checkers = [person(bank, f"Checker {number}", behind=f"Person {number}") for number in range(8)]
    start = threading.Barrier(8, timeout=30)
    codes: list[str] = []

    def decide(checker: Principal, kind: Kind) -> None:
        start.wait()
        codes.append(code_of(vote(bank, mint_id, checker, kind)))

    kinds = [Kind.APPROVE, Kind.REJECT] * 4
    threads = [threading.Thread(target=decide, args=one) for one in zip(checkers, kinds, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert sorted(codes) == ["approval_closed"] * 7 + ["settled"]
    with bank.database.read() as connection:
        state = approvals.approval(connection, bank.issuer_id, with_prefix("approval", mint_id)).state
    assert bank.balance_minor("2110", HARBOUR) == (500 if state == "approved" else 0)
    oracle(bank)


def test_no_mint_exceeds_confirmed_deposits_not_even_an_approved_one(bank: Bank) -> None:
    bank.deposit(HARBOUR, "5.00")
    with pytest.raises(DomainError) as refused:
        asked_mint(bank, "5.01")
    assert refused.value.code == "insufficient_funds"
    first, second = asked_mint(bank), asked_mint(bank)
    assert code_of(vote(bank, first, bank.checker)) == "settled"
    assert code_of(vote(bank, second, bank.checker)) == "insufficient_funds"
    # The refused approval was not cast: once there is a deposit again, it can be.
    bank.deposit(HARBOUR, "5.00")
    assert code_of(vote(bank, second, bank.checker)) == "settled"
    oracle(bank)


def test_what_was_released_to_the_core_can_not_be_minted(bank: Bank) -> None:
    bank.deposit(HARBOUR, "5.00")
    mint_id = asked_mint(bank)
    bank.release_deposit(HARBOUR, "0.01")
    assert code_of(vote(bank, mint_id, bank.checker)) == "insufficient_funds"


def test_a_quorum_counts_people(bank: Bank) -> None:
    """No rule asks for two checkers yet; the machinery already counts them."""
    bank.deposit(HARBOUR, "5.00")
    mint_id = asked_mint(bank)
    with connect(bank.urls.superuser_url) as connection:
        connection.execute("UPDATE approval SET quorum = 2")
    same_person = person(bank, "Chen's second login", behind=bank.checker.person)
    another = person(bank, "Third pair of eyes", behind="Carla Checker")

    assert code_of(vote(bank, mint_id, bank.checker)) == "settled"
    assert bank.balance_minor("2110", HARBOUR) == 0
    assert code_of(vote(bank, mint_id, same_person)) == "checker_has_voted"
    assert code_of(vote(bank, mint_id, another)) == "settled"
    assert bank.balance_minor("2110", HARBOUR) == 500
    oracle(bank)
