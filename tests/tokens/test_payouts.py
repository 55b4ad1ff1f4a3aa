"""Payouts on the write path: accepted like a redemption, ended once, and bounded by themselves at every step."""

import base64
import json
import uuid
from typing import Any, Final

import pytest

from tallystick import events, payouts, tokens
from tallystick.payouts import StepKind
from tallystick.tokens import Kind, Submission
from tests.bank import Bank, oracle
from tests.tokens.paying import (
    HARBOUR,
    LANTERN,
    ask_for_file,
    code_of,
    content,
    figures,
    files,
    make_file,
    pay_out,
    payout_request,
    standing,
    state,
    step,
)

ENDS = (
    Kind.PAYOUT_CANCELLATION,
    Kind.PAYOUT_REJECTION,
    Kind.PAYOUT_SETTLEMENT,
    Kind.PAYOUT_RETURN,
    Kind.PAYOUT_GIVE_BACK,
)


def paid(bank: Bank) -> str:
    """Have a payout of 40.00 of 100.00 in a file."""
    bank.mint(LANTERN, "100.00")
    payout_id = pay_out(bank)
    make_file(bank)
    return payout_id


def test_an_accepted_payout_leaves_supply_and_waits_in_transit(bank: Bank) -> None:
    bank.mint(LANTERN, "100.00")

    outcome = bank.outcome(payout_request(bank, uetr="0c8c1e2a-4f3b-4d5e-9a6b-7c8d9e0f1a2b", purpose="GDDS"))

    said = json.loads(outcome.body)
    assert (said["state"], said["uetr"]) == ("accepted", "0c8c1e2a-4f3b-4d5e-9a6b-7c8d9e0f1a2b")
    assert said["end_to_end_id"] == outcome.resource_id[-26:]
    assert said["accepted_at"]
    assert (said["settled_at"], said["final_at"]) == (None, None)
    # What is kept under the key for ever names no beneficiary.
    assert b"Acme" not in outcome.body
    assert b"DE89370400440532013000" not in outcome.body
    assert figures(bank) == (6_000, 4_000, 10_000)
    with bank.database.read() as connection:
        found = payouts.payouts(connection, bank.issuer_id, [outcome.resource_id])[outcome.resource_id]
        steps = payouts.steps(connection, bank.issuer_id, [outcome.resource_id])[outcome.resource_id]
    assert (found.beneficiary.name, found.purpose, found.amount_minor) == ("Acme Tooling GmbH", "GDDS", 4_000)
    assert [(one.step, one.event_index) for one in steps] == [(StepKind.ACCEPTED, outcome.event_index)]
    oracle(bank)


def test_every_way_a_payout_can_go_keeps_the_books(bank: Bank) -> None:
    bank.mint(LANTERN, "100.00")
    cancelled = pay_out(bank, "10.00")
    step(bank, Kind.PAYOUT_CANCELLATION, cancelled, reason="Ordered twice.")
    rejected, settled, returned = (pay_out(bank, one) for one in ("11.00", "12.00", "13.00"))
    make_file(bank)
    step(bank, Kind.PAYOUT_REJECTION, rejected, payload={"reason_code": "AC04"}, reason="Closed account.")
    step(bank, Kind.PAYOUT_SETTLEMENT, settled)
    step(bank, Kind.PAYOUT_SETTLEMENT, returned)
    assert figures(bank) == (7_500, 0, 7_500)
    step(bank, Kind.PAYOUT_RETURN, returned, payload={"reason_code": "AC01"})
    assert figures(bank) == (7_500, 1_300, 8_800)
    step(bank, Kind.PAYOUT_GIVE_BACK, returned, payload={"reason_code": "AC01"})

    assert figures(bank) == (8_800, 0, 8_800)
    ids = (cancelled, rejected, settled, returned)
    assert [state(bank, one) for one in ids] == ["cancelled", "rejected", "settled", "given_back"]
    with bank.database.read() as connection:
        steps = payouts.steps(connection, bank.issuer_id, ids)
    assert [one.step.value for one in steps[returned]] == ["accepted", "settled", "returned", "given_back"]
    assert (steps[rejected][-1].reason_code, steps[rejected][-1].reason) == ("AC04", "Closed account.")
    oracle(bank)


def test_no_step_is_taken_twice_or_out_of_its_state(bank: Bank) -> None:
    bank.mint(LANTERN, "1000.00")
    lawful = {
        (),
        (Kind.PAYOUT_REJECTION,),
        (Kind.PAYOUT_SETTLEMENT,),
        (Kind.PAYOUT_SETTLEMENT, Kind.PAYOUT_RETURN),
    }
    lawful |= {(*ENDS[2:4], Kind.PAYOUT_GIVE_BACK)}
    for path in sorted(lawful):
        payout_id = pay_out(bank)
        make_file(bank)
        for kind in path:
            step(bank, kind, payout_id)
        before = figures(bank), state(bank, payout_id)
        for kind in ENDS:
            if (*path, kind) not in lawful:
                code = code_of(lambda: step(bank, kind, payout_id))  # noqa: B023 Called at once.
                assert code in {"payout_state_conflict", "payout_filed"}, (path, kind)
                assert (figures(bank), state(bank, payout_id)) == before
    oracle(bank)


@pytest.mark.parametrize("kind", [Kind.PAYOUT_REJECTION, Kind.PAYOUT_SETTLEMENT])
def test_what_no_bank_has_is_neither_rejected_nor_paid(bank: Bank, kind: Kind) -> None:
    bank.mint(LANTERN, "100.00")
    payout_id = pay_out(bank)

    assert code_of(lambda: step(bank, kind, payout_id)) == "payout_state_conflict"
    assert figures(bank) == (6_000, 4_000, 10_000)


REFUSED: Final[list[tuple[dict[str, Any], str]]] = [
    ({"iban": "DE89370400440532013001"}, "iban_malformed"),
    ({"bic": "COBADEFFXX"}, "bic_malformed"),
    ({"country": "XX"}, "country_unknown"),
    ({"name": "Müller GmbH"}, "payout_malformed"),
    ({"name": "A" * 71}, "payout_malformed"),
    ({"name": " Acme"}, "payout_malformed"),
    ({"name": None}, "payout_malformed"),
    ({"town_name": None}, "payout_malformed"),
    ({"iban": None}, "payout_malformed"),
    ({"account_number": "1234"}, "payout_malformed"),
    ({"iban": None, "account_number": "12 34"}, "payout_malformed"),
    ({"iban": None, "account_number": "1234", "bic": None}, "payout_malformed"),
    ({"remittance": "5 < 6"}, "payout_malformed"),
    ({"remittance": "line\nline"}, "payout_malformed"),
    ({"uetr": "0C8C1E2A-4F3B-4D5E-9A6B-7C8D9E0F1A2B"}, "payout_malformed"),
    ({"uetr": "0c8c1e2a-4f3b-1d5e-9a6b-7c8d9e0f1a2b"}, "payout_malformed"),
    ({"currency": "EUR"}, "currency_mismatch"),
]


def test_what_no_message_can_say_is_refused_and_leaves_nothing(bank: Bank) -> None:
    bank.mint(LANTERN, "100.00")
    before = len(bank.acknowledged)

    assert [code_of(lambda: pay_out(bank, **said)) for said, _ in REFUSED] == [code for _, code in REFUSED]  # noqa: B023

    assert figures(bank) == (10_000, 0, 10_000)
    assert len(bank.acknowledged) == before


def test_an_amount_that_is_none_or_not_there_is_refused(bank: Bank) -> None:
    bank.mint(LANTERN, "100.00")

    codes = [code_of(lambda: pay_out(bank, one)) for one in ("0.00", "100.01", "1", "-1.00")]  # noqa: B023

    assert codes == ["amount_malformed", "insufficient_funds", "amount_malformed", "amount_malformed"]
    assert figures(bank) == (10_000, 0, 10_000)


def test_a_uetr_names_one_payout_for_ever(bank: Bank) -> None:
    bank.mint(LANTERN, "100.00")
    uetr = str(uuid.uuid4())
    first, second = (payout_request(bank, "1.00", uetr=uetr) for _ in range(2))

    settled = bank.settle(Submission((first,)), Submission((second,)))

    assert settled[0].outcomes[0].refusal is None
    refused = settled[1].outcomes[0].refusal
    assert refused is not None
    assert refused.code == "payout_uetr_taken"
    assert code_of(lambda: pay_out(bank, uetr=uetr)) == "payout_uetr_taken"


def test_the_same_key_pays_once(bank: Bank) -> None:
    bank.mint(LANTERN, "100.00")
    first, again = (
        payout_request(bank, key="pay-1", uetr=str(uuid.UUID(int=5, version=4))) for _ in range(2)
    )

    answers = [bank.outcome(one) for one in (first, again)]

    assert answers[0].body == answers[1].body
    assert figures(bank) == (6_000, 4_000, 10_000)
    assert bank.outcome(payout_request(bank, "41.00", key="pay-1")).refusal is not None


def test_a_payout_above_the_threshold_waits_for_people_and_keeps_whom_it_pays(bank: Bank) -> None:
    bank.enact(approvals={"payout": [{"above": "30.00", "checkers": 1}]})
    bank.mint(LANTERN, "100.00")
    asked = bank.outcome(payout_request(bank))
    assert (asked.status, state(bank, asked.resource_id)) == (202, "pending_approval")
    assert figures(bank) == (10_000, 0, 10_000)
    assert code_of(lambda: step(bank, Kind.PAYOUT_CANCELLATION, asked.resource_id)) == "payout_state_conflict"

    bank.approve(asked.resource_id, "40.00", "USD")

    assert (state(bank, asked.resource_id), figures(bank)) == ("accepted", (6_000, 4_000, 10_000))
    assert make_file(bank).payout_count == 1
    oracle(bank)


def test_what_people_reject_pays_nobody(bank: Bank) -> None:
    bank.enact(approvals={"payout": [{"above": "30.00", "checkers": 1}]})
    bank.mint(LANTERN, "100.00")
    asked = bank.outcome(payout_request(bank))

    bank.reject(asked.resource_id)

    assert (state(bank, asked.resource_id), figures(bank)) == ("rejected", (10_000, 0, 10_000))
    assert code_of(lambda: make_file(bank)) == "payout_file_outdated"


def test_frozen_accounts_and_orders_hold_payouts_back(bank: Bank) -> None:
    bank.mint(LANTERN, "100.00")
    bank.mint(HARBOUR, "100.00")
    bank.freeze(LANTERN)
    bank.place_order(HARBOUR)

    assert code_of(lambda: pay_out(bank)) == "account_frozen"
    assert code_of(lambda: pay_out(bank, account=HARBOUR)) == "account_debit_blocked"


def test_a_class_that_is_wound_down_still_pays_out_and_a_paused_one_does_not(bank: Bank) -> None:
    bank.mint(LANTERN, "100.00")
    bank.change("token_class_mode", bank.classes["USD"].id, {"mode": "redeem_only"})
    pay_out(bank, "1.00")
    bank.change("token_class_mode", bank.classes["USD"].id, {"mode": "paused"})

    assert code_of(lambda: pay_out(bank, "1.00")) == "token_class_paused"


def test_an_account_with_a_payout_under_way_stays_open(bank: Bank) -> None:
    bank.mint(LANTERN, "40.00")
    payout_id = pay_out(bank)
    assert code_of(lambda: bank.close_account(LANTERN)) == "account_has_payouts"
    make_file(bank)
    step(bank, Kind.PAYOUT_SETTLEMENT, payout_id)
    bank.close_account(LANTERN)

    step(bank, Kind.PAYOUT_RETURN, payout_id)

    # The money is back and waits in transit: a closed account takes no tokens.
    assert code_of(lambda: step(bank, Kind.PAYOUT_GIVE_BACK, payout_id)) == "account_status_conflict"
    assert figures(bank) == (0, 4_000, 4_000)
    oracle(bank)


def test_another_customers_payout_is_as_if_absent(bank: Bank) -> None:
    bank.mint(LANTERN, "100.00")
    payout_id = pay_out(bank)

    refused = code_of(lambda: step(bank, Kind.PAYOUT_CANCELLATION, payout_id, principal=bank.holder))

    assert refused == "payout_not_found"
    with pytest.raises(tokens.InstructionNotFoundError), bank.database.read() as connection:
        tokens.instruction(connection, bank.holder, Kind.PAYOUT, payout_id)


def test_a_file_takes_two_people_and_each_payout_once(bank: Bank) -> None:
    bank.mint(LANTERN, "100.00")
    ids = [pay_out(bank, one) for one in ("1.00", "2.00", "3.00")]
    asked = ask_for_file(bank)
    assert (asked.status, files(bank)) == (202, [])
    again = ask_for_file(bank)
    bank.approve(asked.resource_id)

    assert code_of(lambda: bank.approve(again.resource_id)) == "payout_file_outdated"

    [made] = files(bank)
    assert (made.sequence, made.payout_count, made.control_sum_minor) == (1, 3, 600)
    with bank.database.read() as connection:
        items = payouts.file_items(connection, bank.issuer_id, made.id)
    assert [(one.payout_id, one.number) for one in items] == list(zip(ids, (1, 2, 3), strict=True))
    assert code_of(lambda: make_file(bank)) == "payout_file_outdated"
    pay_out(bank, "4.00")
    assert make_file(bank).sequence == 2
    oracle(bank)


def test_a_payout_cancelled_meanwhile_voids_the_file_that_was_asked_for(bank: Bank) -> None:
    bank.mint(LANTERN, "100.00")
    pay_out(bank, "1.00")
    second = pay_out(bank, "2.00")
    asked = ask_for_file(bank)
    step(bank, Kind.PAYOUT_CANCELLATION, second)

    assert code_of(lambda: bank.approve(asked.resource_id)) == "payout_file_outdated"
    assert files(bank) == []
    assert make_file(bank).control_sum_minor == 100


def test_the_signed_event_names_the_files_hash_and_payouts(bank: Bank) -> None:
    payout_id = paid(bank)
    [made] = files(bank)
    with bank.database.read() as connection:
        jws = events.event_by_index(connection, bank.issuer_id, made.event_index).jws
    part = jws.split(".")[1]
    told = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    assert told["type"] == "payout_file.made"
    assert told["content_sha256"] == made.content_hash.hex()
    assert (told["payout_ids"], told["control_sum"], told["sequence"]) == ([payout_id], "40.00", 1)
    assert content(bank, made.id).startswith(b'<?xml version="1.0" encoding="UTF-8"?>')
    assert standing(bank, payout_id).event_index is not None
