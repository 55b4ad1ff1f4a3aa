"""What is kept of a statement: exact amounts in another scale, its days, and a hash of what it says of money."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.core.money import AMOUNT_MINOR_MAX
from tallystick.statements.camt import parse_camt
from tallystick.statements.content import (
    StatementAmountInexactError,
    closed_on,
    content_hash,
    opened_on,
    rescale,
    to_class_minor,
)
from tallystick.statements.parsed import ParsedStatement
from tests.camt_writer import Entry, statement


def parsed(*entries: Entry, **stated: object) -> ParsedStatement:
    [only] = parse_camt(statement(*entries, **stated), size_max_bytes=100_000).statements
    return only


@pytest.mark.parametrize(
    ("minor", "scale", "new_scale", "expected"),
    [
        (1230, 2, 2, 1230),
        (1230, 2, 4, 123_000),
        (1230, 2, 1, 123),
        (1230, 2, 0, None),
        (1200, 2, 0, 12),
        (-1200, 2, 0, -12),
        (-1250, 2, 0, None),
        (0, 3, 0, 0),
        (AMOUNT_MINOR_MAX, 2, 2, AMOUNT_MINOR_MAX),
        (AMOUNT_MINOR_MAX, 2, 3, None),
        (-AMOUNT_MINOR_MAX, 2, 3, None),
    ],
)
def test_rescaling_is_exact_or_not_at_all(
    minor: int, scale: int, new_scale: int, expected: int | None
) -> None:
    assert rescale(minor, scale, new_scale) == expected


@given(st.integers(-(10**12), 10**12), st.integers(0, 6), st.integers(0, 6))
def test_what_was_rescaled_comes_back(minor: int, scale: int, new_scale: int) -> None:
    there = rescale(minor, scale, new_scale)
    assert there is None or rescale(there, new_scale, scale) == minor


def test_an_inexact_amount_is_refused_with_its_place() -> None:
    assert to_class_minor(1230, "USD", 3, "Ntry[1]") == 12_300
    with pytest.raises(StatementAmountInexactError, match=r"Ntry\[7\]"):
        to_class_minor(1230, "USD", 0, "Ntry[7]")


def test_a_statement_closes_on_the_nearest_day_that_it_tells() -> None:
    told = parsed(Entry("1.00", day="2026-11-18"), Entry("1.00", day="2026-11-19", status="PDNG"))
    assert (opened_on(told), closed_on(told)) == (date(2026, 11, 20), date(2026, 11, 20))
    assert told.created_at is not None

    without_balances = replace(told, balances=())
    period = replace(
        without_balances,
        period_from_at=told.created_at.replace(day=1),
        period_to_at=told.created_at.replace(day=30),
    )
    assert (opened_on(period), closed_on(period)) == (date(2026, 11, 1), date(2026, 11, 30))
    assert (opened_on(without_balances), closed_on(without_balances)) == (None, date(2026, 11, 18))
    assert closed_on(replace(without_balances, entries=())) == date(2026, 11, 20)
    assert closed_on(replace(without_balances, entries=(), created_at=None)) is None


def test_the_hash_is_of_what_the_statement_says() -> None:
    entry = Entry("1.00", remittance="two  words", payer_iban="DE02120300000000202051")
    told = parsed(entry)
    same = [
        parsed(replace(entry, remittance=" two words ")),
        replace(told, created_at=None),
        replace(told, copy_duplicate_code="DUPL"),
        replace(told, findings=()),
    ]
    others = [
        parsed(replace(entry, amount="1.01"), closing="1.00"),
        parsed(replace(entry, remittance="twowords")),
        parsed(replace(entry, credit=False), closing="1.00"),
        parsed(replace(entry, status="PDNG"), closing="1.00"),
        parsed(replace(entry, payer_iban="DE02500105170137075030")),
        parsed(replace(entry, end_to_end_id="E-1")),
        parsed(entry, sequence=1),
        parsed(entry, closing="2.00"),
        parsed(entry, page=(1, True)),
        parsed(entry, entry),
    ]
    assert {content_hash("camt.053", one) for one in same} == {content_hash("camt.053", told)}
    assert len({content_hash("camt.053", one) for one in [told, *others]}) == len(others) + 1
    assert content_hash("camt.052", told) != content_hash("camt.053", told)
