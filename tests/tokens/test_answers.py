"""What callers are answered: the instruction as it stands, and with it the very event that the log holds."""

from datetime import date, timedelta
from typing import Any

import orjson
import pytest

from tallystick import events, tokens
from tallystick.core.clock import format_time
from tallystick.core.errors import InvariantError
from tallystick.core.ids import is_id, with_prefix
from tallystick.core.money import format_amount
from tallystick.tokens import Instruction, InstructionNotFoundError, Kind, Outcome
from tallystick.tokens.render import settled_transfer
from tests.bank import OPENED_AT, Bank


def answer_of(outcome: Outcome) -> dict[str, Any]:
    answer: dict[str, Any] = orjson.loads(outcome.body)
    return answer


def logged(bank: Bank, event_index: int | None) -> str:
    assert event_index is not None
    with bank.database.read() as connection:
        return events.event_by_index(connection, bank.issuer_id, event_index).jws


def transfer(bank: Bank, **asked: Any) -> Outcome:
    bank.mint("HARBOUR-USD", "7.00")
    return bank.ask(
        Kind.TRANSFER,
        bank.platform,
        amount="7.00",
        currency="USD",
        payer_account_id=bank.account_id("HARBOUR-USD"),
        payee_account_id=bank.account_id("LANTERN-USD"),
        **asked,
    )


def test_a_settled_transfer(shared_bank: Bank) -> None:
    outcome = transfer(shared_bank, reference="Invoice 7")
    answer = answer_of(outcome)

    assert outcome.status == 201
    assert is_id("transfer", answer["id"])
    assert answer == {
        "id": outcome.resource_id,
        "object": "transfer",
        "created_at": format_time(OPENED_AT),
        "issuer_id": shared_bank.issuer_id,
        "state": "settled",
        "token_class_id": shared_bank.classes["USD"].id,
        "currency": "USD",
        "amount": "7.00",
        "payer_account_id": shared_bank.account_id("HARBOUR-USD"),
        "payee_account_id": shared_bank.account_id("LANTERN-USD"),
        "reference": "Invoice 7",
        "settled_at": format_time(OPENED_AT),
        "final_at": format_time(OPENED_AT),
        "value_date": OPENED_AT.date().isoformat(),
        "event_id": with_prefix("event", outcome.resource_id),
        "event_index": outcome.event_index,
        "signed_event": logged(shared_bank, outcome.event_index),
    }
    assert [*answer][-1] == "signed_event"


def test_a_mint_that_waits_has_no_event_yet(shared_bank: Bank) -> None:
    shared_bank.deposit("HARBOUR-USD", "7.00")
    outcome = shared_bank.ask(
        Kind.MINT,
        shared_bank.maker,
        amount="7.00",
        currency="USD",
        payee_account_id=shared_bank.account_id("HARBOUR-USD"),
    )
    answer = answer_of(outcome)

    assert (outcome.status, outcome.event_index) == (202, None)
    assert answer["state"] == "pending_approval"
    assert answer["account_id"] == shared_bank.account_id("HARBOUR-USD")
    assert answer["approval_id"] == with_prefix("approval", outcome.resource_id)
    assert {answer[name] for name in ("settled_at", "final_at", "event_id", "event_index")} == {None}
    assert "signed_event" not in answer


def test_an_approval_answers_with_what_it_settled(shared_bank: Bank) -> None:
    mint_id = shared_bank.mint("HARBOUR-USD", "7.00")
    vote = shared_bank.acknowledged[-1]
    answer = answer_of(vote)

    assert vote.status == 200
    assert answer["id"] == vote.resource_id == with_prefix("approval", mint_id)
    assert (answer["object"], answer["state"], answer["decision"]) == ("approval", "approved", "approve")
    assert answer["person"] == shared_bank.checker.person
    assert answer["instruction"]["id"] == mint_id
    assert answer["instruction"]["state"] == "settled"
    assert answer["signed_event"] == logged(shared_bank, vote.event_index)


def test_a_rejection_answers_with_what_it_rejected(shared_bank: Bank) -> None:
    shared_bank.deposit("HARBOUR-USD", "7.00")
    asked = shared_bank.ask(
        Kind.MINT,
        shared_bank.maker,
        amount="7.00",
        currency="USD",
        payee_account_id=shared_bank.account_id("HARBOUR-USD"),
    )
    answer = answer_of(shared_bank.reject(asked.resource_id))

    assert (answer["state"], answer["decision"]) == ("rejected", "reject")
    assert answer["instruction"]["state"] == "rejected"
    assert "signed_event" not in answer


def test_a_hold_tells_what_remains(shared_bank: Bank) -> None:
    shared_bank.mint("HARBOUR-USD", "7.00")
    expires_at = OPENED_AT + timedelta(days=3)
    hold_id = shared_bank.hold("HARBOUR-USD", "LANTERN-USD", "7.00", expires_at=expires_at)
    answer = answer_of(shared_bank.acknowledged[-1])
    assert answer["state"] == "held"
    assert answer["remaining_amount"] == "7.00"
    assert answer["expires_at"] == format_time(expires_at)

    execution_id = shared_bank.execute_hold(hold_id, "3.00")
    executed = answer_of(shared_bank.acknowledged[-1])
    assert (executed["id"], executed["hold_id"], executed["amount"]) == (execution_id, hold_id, "3.00")
    with shared_bank.database.read() as connection:
        hold = tokens.instruction(connection, shared_bank.maker, Kind.HOLD, hold_id)
    shown = tokens.resource(shared_bank.issuer_id, hold, "USD", 2)
    assert shown["remaining_amount"] == "4.00"


def test_a_transfer_tells_what_was_reversed_of_it(shared_bank: Bank) -> None:
    transfer_id = transfer(shared_bank).resource_id
    shared_bank.reverse(transfer_id, "2.00")
    with shared_bank.database.read() as connection:
        found = tokens.instruction(connection, shared_bank.maker, Kind.TRANSFER, transfer_id)
    assert tokens.resource(shared_bank.issuer_id, found, "USD", 2)["reversed_amount"] == "2.00"


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "tab\tand\nnewline\r",
        "\\N",
        "\\.",
        "back\\slash",
        'quote"s',
        "\u4e2d\u6587 \U0001f600",
        "\x01\x1f\x7f",
    ],
)
def test_free_text_is_kept_to_the_character(shared_bank: Bank, text: str) -> None:
    outcome = transfer(shared_bank, reference=text, reason=text)
    answer = answer_of(outcome)
    assert (answer["reference"], answer["reason"]) == (text, text)
    with shared_bank.database.read() as connection:
        kept = tokens.instruction(connection, shared_bank.maker, Kind.TRANSFER, outcome.resource_id)
    assert (kept.reference, kept.reason) == (text, text)


def test_the_value_date_may_be_another_than_that_of_booking(shared_bank: Bank) -> None:
    outcome = transfer(shared_bank, value_date=date(2026, 11, 23))
    answer = answer_of(outcome)
    assert answer["value_date"] == "2026-11-23"
    assert answer["settled_at"].startswith("2026-11-20")


def test_time_that_goes_backwards_does_not_take_the_log_with_it(bank: Bank) -> None:
    bank.deposit("HARBOUR-USD", "1.00")
    bank.clock.at = OPENED_AT - timedelta(days=1)
    bank.deposit("HARBOUR-USD", "1.00")
    bank.clock.at = OPENED_AT + timedelta(days=1)
    bank.deposit("HARBOUR-USD", "1.00")
    with bank.database.read() as connection:
        log = events.events(connection, bank.issuer_id)
        assert [one.booked_at for one in log] == [OPENED_AT, OPENED_AT, OPENED_AT + timedelta(days=1)]
        assert events.index_as_of(connection, bank.issuer_id, OPENED_AT) == 1


class TestReading:
    def test_instructions_come_in_pages_and_by_account(self, bank: Bank) -> None:
        bank.mint("HARBOUR-USD", "9.00")
        made = [bank.transfer("HARBOUR-USD", payee, "1.00") for payee in ["LANTERN-USD", "SILKROAD-USD"] * 2]
        with bank.database.read() as connection:
            first = tokens.instructions(connection, bank.issuer_id, Kind.TRANSFER, limit=3)
            rest = tokens.instructions(connection, bank.issuer_id, Kind.TRANSFER, after=first[-1].id)
            to_lantern = tokens.instructions(
                connection, bank.issuer_id, Kind.TRANSFER, account_ids=[bank.account_id("LANTERN-USD")]
            )
            mints = tokens.instructions(connection, bank.issuer_id, Kind.MINT, state="settled")
            by_id = tokens.instructions_by_id(connection, bank.issuer_id, [made[0], "transfer_absent"])
            assert tokens.instructions(connection, "issuer_of_others", Kind.TRANSFER) == []
        assert [one.id for one in [*first, *rest]] == sorted(made)
        assert {one.id for one in to_lantern} == {made[0], made[2]}
        assert [one.amount_minor for one in mints] == [900]
        assert [*by_id] == [made[0]]

    def test_an_instruction_is_found_by_those_it_concerns_only(self, bank: Bank) -> None:
        transfer_id = transfer(bank).resource_id
        mint_id = bank.mint("NORTHWIND-USD", "1.00")
        with bank.database.read() as connection:
            for viewer in (bank.maker, bank.auditor, bank.operator, bank.platform):
                assert tokens.instruction(connection, viewer, Kind.TRANSFER, transfer_id).id == transfer_id
            for viewer, kind, absent in (
                (bank.holder, Kind.TRANSFER, transfer_id),
                (bank.platform, Kind.MINT, mint_id),
                (bank.maker, Kind.MINT, transfer_id),
                (bank.maker, Kind.TRANSFER, "transfer_absent"),
            ):
                with pytest.raises(InstructionNotFoundError):
                    tokens.instruction(connection, viewer, kind, absent)
            assert tokens.instruction(connection, bank.holder, Kind.MINT, mint_id).id == mint_id


@pytest.mark.parametrize("reference", [None, "", "Rechnung 7 / “ü”", 'a"b\\c\n\t\x7f\u2028😀'])
@pytest.mark.parametrize("reason", [None, 'say "why"'])
@pytest.mark.parametrize("scale", [0, 2, 9])
def test_a_transfers_answer_is_its_resource_before_anything_was_reversed(
    reference: str | None, reason: str | None, scale: int
) -> None:
    row = Instruction(
        id="transfer_00000000000000000000000001",
        kind=Kind.TRANSFER,
        state="settled",
        principal_id="principal_1",
        token_class_id="class_1",
        amount_minor=1_234_567_890_123,
        remaining_minor=None,
        payer_account_id="account_1",
        payee_account_id="account_2",
        related_id=None,
        reference=reference,
        reason=reason,
        request_hash=bytes(32),
        value_date=OPENED_AT.date(),
        created_at=OPENED_AT,
        expires_at=None,
        settled_at=OPENED_AT + timedelta(microseconds=1),
        event_index=7,
    )
    amount = format_amount(row.amount_minor, scale)

    text = settled_transfer("issuer_1", row, "USD", amount)

    assert text.encode() == orjson.dumps(tokens.resource("issuer_1", row, "USD", scale))
    assert settled_transfer("issuer_1", row._replace(remaining_minor=5), "USD", amount) == text


def test_what_was_answered_with_an_event_that_is_gone_is_no_answer(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank.mint("HARBOUR-USD", "5.00")
    asked = bank.request(
        Kind.TRANSFER,
        bank.platform,
        amount="5.00",
        currency="USD",
        payer_account_id=bank.account_id("HARBOUR-USD"),
        payee_account_id=bank.account_id("LANTERN-USD"),
    )
    bank.settle(tokens.Submission((asked,)))
    monkeypatch.setattr(events, "events_at", lambda *_: [])
    with pytest.raises(InvariantError, match="not in the log"):
        bank.settle(tokens.Submission((asked,)))


def test_an_outcome_shows_neither_its_answer_nor_its_batch() -> None:
    shown = repr(
        Outcome(201, b'{"amount":"1.00"}', "transfer_1", 7, signed_events={7: "header.payload.proof"})
    )
    assert (
        shown == "Outcome(status=201, resource_id='transfer_1', event_index=7, refusal=None, replayed=False)"
    )
