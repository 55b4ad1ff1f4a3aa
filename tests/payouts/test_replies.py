"""What the bank answers: in any order and twice, and nothing is paid or given back twice."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from lxml import etree

from tallystick.core.errors import DomainError
from tallystick.payout_replies import parse_status
from tallystick.payouts import FileFormat
from tests.bank import Bank, oracle
from tests.camt_writer import Entry, statement
from tests.payouts.replying import (
    debit,
    findings,
    follow,
    of_message,
    payout,
    report,
    report_between_banks,
    returned,
    state_of_bank,
    take_in,
    transaction,
)
from tests.tokens.paying import LANTERN, figures, make_file, pay_out, state


def filed(bank: Bank, *amounts: str) -> tuple[list[str], str]:
    """Have payouts of these amounts in one file; return them and the file's message id."""
    bank.deposit(LANTERN, "100.00")
    bank.mint(LANTERN, "100.00", deposited=False)
    ids = [pay_out(bank, one) for one in amounts or ("40.00",)]
    return ids, make_file(bank).message_id


def test_a_debit_on_the_statement_settles_and_a_status_does_not(bank: Bank) -> None:
    [one], message_id = filed(bank)
    take_in(bank, report(message_id, transaction(one, "ACSC"), group="ACSC"))
    assert (state(bank, one), figures(bank)) == ("accepted", (6_000, 4_000, 10_000))

    state_of_bank(bank, debit(bank, one))

    assert (state(bank, one), figures(bank)) == ("settled", (6_000, 0, 6_000))
    again = follow(bank)
    assert (again.settled_count, again.returned_count, again.finding_count) == (0, 0, 0)
    assert findings(bank) == []
    oracle(bank)


@pytest.mark.parametrize("named", ["uetr", "end_to_end_id"])
def test_either_reference_is_enough(bank: Bank, named: str) -> None:
    [one], _ = filed(bank)
    bare = {"uetr": debit(bank, one, end_to_end_id=None), "end_to_end_id": debit(bank, one, uetr=None)}

    state_of_bank(bank, bare[named])

    assert state(bank, one) == "settled"


def test_a_file_that_the_bank_books_as_one_settles_whole(bank: Bank) -> None:
    ids, message_id = filed(bank, "10.00", "20.00", "30.00")

    state_of_bank(bank, Entry("60.00", credit=False, end_to_end_id=f"{message_id}-1"))

    assert [state(bank, one) for one in ids] == ["settled"] * 3
    assert figures(bank) == (4_000, 0, 4_000)
    oracle(bank)


@pytest.mark.parametrize(("level", "code"), [("group", None), ("batch", None), ("transaction", "AC04")])
def test_a_rejection_gives_the_tokens_back_once(bank: Bank, level: str, code: str | None) -> None:
    [one], message_id = filed(bank)
    content = {
        "group": report(message_id, group="RJCT", reason="FF01"),
        "batch": report(message_id, batch="RJCT", reason="FF01"),
        "transaction": report(message_id, transaction(one, "RJCT", "AC04"), group="PART"),
    }[level]

    first = take_in(bank, content)
    again = take_in(bank, content)

    assert (first.imported, again.imported, again.message.id) == (True, False, first.message.id)
    assert (state(bank, one), figures(bank)) == ("rejected", (10_000, 0, 10_000))
    assert [item.reason_code for item in again.items] == [code or "FF01"]
    oracle(bank)


def test_a_second_rejection_in_another_report_changes_nothing(bank: Bank) -> None:
    [one], message_id = filed(bank)
    take_in(bank, report(message_id, group="RJCT", message_id="BANK-1"))
    take_in(bank, report(message_id, transaction(one, "RJCT"), message_id="BANK-2"))

    assert (state(bank, one), figures(bank)) == ("rejected", (10_000, 0, 10_000))
    assert findings(bank) == []


def test_a_part_of_a_file_is_rejected_and_the_rest_goes_on(bank: Bank) -> None:
    (one, two), message_id = filed(bank, "10.00", "20.00")
    take_in(
        bank, report(message_id, transaction(one, "RJCT", "AC01"), transaction(two, "ACSP"), group="PART")
    )

    assert [state(bank, each) for each in (one, two)] == ["rejected", "accepted"]
    state_of_bank(bank, debit(bank, two, "20.00"))
    assert (state(bank, two), figures(bank)) == ("settled", (8_000, 0, 8_000))


def test_another_report_of_the_same_name_is_refused(bank: Bank) -> None:
    [one], message_id = filed(bank)
    take_in(bank, report(message_id, transaction(one, "ACSP")))

    with pytest.raises(DomainError) as refused:
        take_in(bank, report(message_id, transaction(one, "RJCT")))

    assert refused.value.code == "payout_status_conflict"
    assert state(bank, one) == "accepted"


def test_what_a_debit_has_paid_is_not_rejected_even_unmatched(bank: Bank) -> None:
    [one], message_id = filed(bank)
    bank.import_statement(_statement(bank, debit(bank, one)))

    take_in(bank, report(message_id, group="RJCT", reason="AC04"))

    assert (state(bank, one), figures(bank)) == ("settled", (6_000, 0, 6_000))
    assert findings(bank) == ["rejected_too_late"]
    oracle(bank)


def _statement(bank: Bank, *entries: Entry) -> bytes:
    return statement(*entries, opening="100.00", day="2026-11-21")


def test_a_debit_of_what_was_rejected_is_left_to_people(bank: Bank) -> None:
    [one], message_id = filed(bank)
    take_in(bank, report(message_id, group="RJCT"))

    state_of_bank(bank, debit(bank, one))

    assert (state(bank, one), figures(bank)) == ("rejected", (10_000, 0, 10_000))
    assert findings(bank) == ["debited_after_end"]
    follow(bank)
    assert findings(bank) == ["debited_after_end"]


def test_a_report_of_what_is_in_no_file_is_left_to_people(bank: Bank) -> None:
    [one], message_id = filed(bank)
    other = f"payout_{'0' * 26}"

    take_in(bank, report(message_id, transaction(other, "RJCT"), message_id="BANK-1"))
    take_in(bank, report("NOBODYS", group="RJCT", message_id="BANK-2"))
    # Its end-to-end id is one payout's, and its UETR another's.
    mixed = transaction(one, "RJCT", uetr="0c8c1e2a-4f3b-4d5e-9a6b-7c8d9e0f1a2b")
    take_in(bank, report(message_id, mixed, message_id="BANK-3"))

    assert state(bank, one) == "accepted"
    assert findings(bank) == ["status_unknown_payout"] * 3


def test_a_returned_payment_gives_the_tokens_back_once(bank: Bank) -> None:
    [one], _ = filed(bank)
    state_of_bank(bank, debit(bank, one))
    state_of_bank(bank, returned(bank, one), number=2, opening="60.00")

    assert (state(bank, one), figures(bank)) == ("given_back", (10_000, 0, 10_000))
    assert bank.balance_minor("2010", LANTERN) == 0
    follow(bank)
    state_of_bank(bank, returned(bank, one), number=3, opening="100.00")
    assert figures(bank) == (10_000, 0, 10_000)
    assert findings(bank) == ["returned_again"]
    oracle(bank)


def test_a_return_that_comes_before_its_payment_waits_for_it(bank: Bank) -> None:
    [one], _ = filed(bank)
    state_of_bank(bank, returned(bank, one), number=2, opening="60.00")
    assert (state(bank, one), figures(bank)) == ("accepted", (6_000, 4_000, 10_000))

    state_of_bank(bank, debit(bank, one), number=1)

    assert (state(bank, one), figures(bank)) == ("given_back", (10_000, 0, 10_000))
    assert findings(bank) == []
    oracle(bank)


def test_payment_and_return_on_one_statement(bank: Bank) -> None:
    [one], _ = filed(bank)

    state_of_bank(bank, debit(bank, one), returned(bank, one))

    assert (state(bank, one), figures(bank)) == ("given_back", (10_000, 0, 10_000))
    oracle(bank)


def test_wrong_amounts_are_left_to_people(bank: Bank) -> None:
    (one, two), _ = filed(bank, "10.00", "20.00")
    state_of_bank(bank, debit(bank, one, "11.00"), debit(bank, two, "20.00"))
    state_of_bank(bank, returned(bank, two, "19.50"), number=2, opening="69.00")

    assert [state(bank, each) for each in (one, two)] == ["accepted", "settled"]
    assert sorted(findings(bank)) == ["amount_differs", "return_amount_differs"]
    assert figures(bank) == (7_000, 1_000, 8_000)
    oracle(bank)


def test_a_second_debit_is_left_to_people(bank: Bank) -> None:
    [one], _ = filed(bank)
    state_of_bank(bank, debit(bank, one, bank_reference="B-1"))
    state_of_bank(bank, debit(bank, one, bank_reference="B-2"), number=2, opening="60.00")

    assert figures(bank) == (6_000, 0, 6_000)
    assert findings(bank) == ["debited_again"]
    oracle(bank)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))), ids=str)
def test_whatever_comes_first_the_books_end_the_same(bank: Bank, order: tuple[int, ...]) -> None:
    [one], message_id = filed(bank)
    said: list[Callable[[], object]] = [
        lambda: take_in(bank, report(message_id, transaction(one, "ACSP"), message_id="BANK-1")),
        lambda: take_in(bank, report(message_id, transaction(one, "ACSC"), message_id="BANK-2")),
        lambda: state_of_bank(bank, debit(bank, one), number=1),
        lambda: state_of_bank(bank, returned(bank, one), number=2, opening="60.00"),
    ]

    for place in order:
        said[place]()
        said[place]()

    assert (state(bank, one), figures(bank)) == ("given_back", (10_000, 0, 10_000))
    assert findings(bank) == []
    oracle(bank)


@pytest.mark.parametrize("named", ["group", "transaction"])
def test_a_banks_answer_to_a_bank_does_the_same(bank: Bank, named: str) -> None:
    bank.mint(LANTERN, "100.00")
    one, two = pay_out(bank, "10.00"), pay_out(bank, "20.00")
    message_id = make_file(bank, file_format=FileFormat.PACS_008).message_id
    told = [transaction(one, "RJCT", "AC04"), transaction(two, "ACSC")]
    if named == "group":
        content = report_between_banks(message_id, *told, group="PART")
    else:
        content = report_between_banks(None, *(of_message(each, message_id) for each in told))

    first, again = take_in(bank, content), take_in(bank, content)

    assert (first.imported, again.imported) == (True, False)
    assert [state(bank, each) for each in (one, two)] == ["rejected", "accepted"]
    assert (figures(bank), findings(bank)) == ((8_000, 2_000, 10_000), [])
    oracle(bank)


def test_a_bank_rejects_a_whole_message_of_another(bank: Bank) -> None:
    bank.mint(LANTERN, "100.00")
    one = pay_out(bank, "10.00")
    message_id = make_file(bank, file_format=FileFormat.PACS_008).message_id

    take_in(bank, report_between_banks(message_id, group="RJCT"))

    assert (state(bank, one), figures(bank)) == ("rejected", (10_000, 0, 10_000))


def test_a_banks_report_is_valid_against_its_schema(shared: Path) -> None:
    schema = etree.XMLSchema(etree.parse(str(shared / "xsd" / "pacs.002.001.10.xsd")))
    told = of_message(transaction(f"payout_{'0' * 26}", "RJCT", "AC04"), "M")

    for content in (report_between_banks("M", told, group="PART"), report_between_banks(None, told)):
        schema.assertValid(etree.fromstring(content))
        assert parse_status(content, size_max_bytes=10_000).original_message_id == "M"


def test_reports_are_valid_against_the_schema(shared: Path) -> None:
    schema = etree.XMLSchema(etree.parse(str(shared / "xsd" / "pain.002.001.10.xsd")))
    content = report("M", transaction(f"payout_{'0' * 26}", "RJCT", "AC04"), group="PART")

    schema.assertValid(etree.fromstring(content))
    assert parse_status(content, size_max_bytes=10_000).original_message_id == "M"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "statement_not_xml"),
        (b"{}", "statement_not_xml"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "statement_doctype_forbidden"),
        (b"<Document/>", "payout_status_malformed"),
        (b'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"/>', "payout_status_malformed"),
        (b'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:pain.002.001.10"/>', "payout_status_malformed"),
        (report("M")[:-30], "statement_not_xml"),
        (report("M").replace(b"<OrgnlMsgId>M</OrgnlMsgId>", b""), "payout_status_malformed"),
        (report("M", message_id="A" * 200), "payout_status_malformed"),
        (report("M") + b" " * 10_000, "statement_too_large"),
        (report("M").replace(b"pain.002.001.10", b"pain.002.001.99"), "payout_status_malformed"),
        (report("M").replace(b"pain.002", b"pacs.002"), "payout_status_malformed"),
        (report_between_banks(None, transaction("1", "RJCT")), "payout_status_malformed"),
        (
            report_between_banks("M", of_message(transaction("1", "RJCT"), "N")),
            "payout_status_malformed",
        ),
        (
            report_between_banks("M").replace(
                b"<OrgnlGrpInfAndSts>", b"<OrgnlGrpInfAndSts/><OrgnlGrpInfAndSts>"
            ),
            "payout_status_malformed",
        ),
    ],
)
def test_what_is_no_report_is_refused_with_a_code(content: bytes, code: str) -> None:
    with pytest.raises(DomainError) as refused:
        parse_status(content, size_max_bytes=10_000)

    assert refused.value.code == code


def test_a_return_is_nobodys_deposit_whoever_it_names(bank: Bank) -> None:
    [one], _ = filed(bank)
    state_of_bank(bank, debit(bank, one), returned(bank, one, remittance=f"Return to {LANTERN}"))

    assert bank.balance_minor("2010", LANTERN) == 0
    assert payout(bank, one).end_to_end_id == one[-26:]
