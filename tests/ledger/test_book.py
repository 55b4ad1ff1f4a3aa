"""Posting in memory: what `check` lets through can be posted, balances, keeps floors, and can be taken back."""

import copy
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.core.errors import DomainError, InvariantError
from tallystick.core.money import AMOUNT_MINOR_MAX
from tallystick.ledger import CHART, BalanceOverflowError, Book, InsufficientFundsError, Posting
from tallystick.ledger.book import Balance

TODAY = date(2026, 11, 22)
FLOORED = ("2010", "2110", "2120", "2125", "2130", "2140")
DEBIT_NORMAL = ("1010", "1020", "1100", "1210", "1390", "1510", "5010", "5020")
AMOUNTS = st.one_of(st.integers(1, 20), st.integers(1, AMOUNT_MINOR_MAX))
ACCOUNTS = tuple(
    f"{code}.{currency}" for code in ("1100", "2010", "2110", "2310") for currency in ("USD", "EUR")
)


def book_of(**balances: int) -> Book:
    """Return a book of accounts named `c2110`: the code, in US dollars."""
    return Book({name: Balance(name[1:5], "USD", balance, 7) for name, balance in balances.items()})


def debit(account: str, minor: int) -> Posting:
    return Posting(account, minor, 0)


def credit(account: str, minor: int) -> Posting:
    return Posting(account, 0, minor)


@st.composite
def books(draw: st.DrawFn) -> Book:
    balances = {}
    for account in ACCOUNTS:
        code, currency = account.split(".")
        lowest = 0 if code in FLOORED else -50
        balances[account] = Balance(
            code, currency, draw(st.one_of(st.integers(lowest, 50), st.just(AMOUNT_MINOR_MAX))), 0
        )
    return Book(balances)


@st.composite
def entries(draw: st.DrawFn) -> list[Posting]:
    """Return postings of one to three balanced pairs, each within one currency."""
    postings = []
    for _ in range(draw(st.integers(1, 3))):
        currency = draw(st.sampled_from(("USD", "EUR")))
        own = [account for account in ACCOUNTS if account.endswith(currency)]
        amount = draw(AMOUNTS)
        postings += [debit(draw(st.sampled_from(own)), amount), credit(draw(st.sampled_from(own)), amount)]
    return postings


def expected_balances(book: Book, postings: list[Posting]) -> dict[str, int]:
    balances = {name: account.balance_minor for name, account in book.balances.items()}
    for name, debit_minor, credit_minor in postings:
        movement = debit_minor - credit_minor
        balances[name] += movement if name[:4] in DEBIT_NORMAL else -movement
    return balances


def refusal_of(book: Book, postings: list[Posting]) -> type[DomainError] | None:
    try:
        book.check(postings)
    except DomainError as refusal:
        return type(refusal)
    return None


@given(books(), st.lists(entries(), max_size=6))
def test_a_book_keeps_its_rules_whatever_is_asked(book: Book, asked: list[list[Posting]]) -> None:
    posted: list[tuple[int, Book]] = []
    for index, postings in enumerate(asked):
        before, expected = copy.deepcopy(book), expected_balances(book, postings)
        below = [name for name in expected if name[:4] in FLOORED and expected[name] < 0]
        beyond = [name for name in expected if abs(expected[name]) > AMOUNT_MINOR_MAX]
        refused = refusal_of(book, postings)
        if refused is not None:
            assert book == before
            assert below if refused is InsufficientFundsError else beyond
            continue
        assert not below
        assert not beyond
        lines = book.post(index, TODAY, postings)
        posted.append((len(before.lines), before))
        assert {name: account.balance_minor for name, account in book.balances.items()} == expected
        assert book.lines[len(before.lines) :] == lines
        for line in lines:
            movement = line.debit_minor - line.credit_minor
            sign = 1 if line.ledger_account_id[:4] in DEBIT_NORMAL else -1
            assert line.balance_minor - line.previous_balance_minor == sign * movement
    versions = sum(account.version for account in book.balances.values())
    assert versions == len(book.lines)
    for lines_kept, before in reversed(posted):
        book.undo_to(lines_kept)
        assert book == before


@pytest.mark.parametrize("code", FLOORED)
def test_floors_are_exact(code: str) -> None:
    book = Book({"payer": Balance(code, "USD", 100, 0), "other": Balance("4010", "USD", 0, 0)})
    book.check([debit("payer", 100), credit("other", 100)])
    with pytest.raises(InsufficientFundsError):
        book.check([debit("payer", 101), credit("other", 101)])


@pytest.mark.parametrize("code", [code for code in CHART if code not in FLOORED])
def test_other_accounts_have_no_floor(code: str) -> None:
    book = Book({"one": Balance(code, "USD", 0, 0), "other": Balance("4010", "USD", 0, 0)})
    book.check([debit("one", 5), credit("other", 5)])
    book.check([credit("one", 5), debit("other", 5)])


def test_what_was_posted_counts_for_what_comes_next() -> None:
    book = book_of(c2110a=10, c2110b=0)
    move = [debit("c2110a", 10), credit("c2110b", 10)]
    book.check(move)
    book.post(0, TODAY, move)
    assert book.available_minor("c2110a") == 0
    with pytest.raises(InsufficientFundsError):
        book.check(move)
    book.check([debit("c2110b", 10), credit("c2110a", 10)])


def test_an_entry_is_judged_as_a_whole() -> None:
    book = book_of(c2110a=5, c2110b=0)
    book.check(
        [debit("c2110a", 8), credit("c2110b", 8), debit("c2110b", 3), credit("c2110a", 3)],
    )
    with pytest.raises(InsufficientFundsError):
        book.check([debit("c2110a", 8), credit("c2110b", 8), debit("c2110b", 2), credit("c2110a", 2)])


def test_no_balance_outgrows_a_bigint() -> None:
    book = book_of(c1100=AMOUNT_MINOR_MAX - 1, c2010=0, c4010=-AMOUNT_MINOR_MAX)
    book.check([debit("c1100", 1), credit("c2010", 1)])
    with pytest.raises(BalanceOverflowError):
        book.check([debit("c1100", 2), credit("c2010", 2)])
    with pytest.raises(BalanceOverflowError):
        book.check([debit("c4010", 1), credit("c2010", 1)])


@pytest.mark.parametrize(
    "postings",
    [
        [],
        [debit("c1100", 5)],
        [debit("c1100", 5), credit("c2010", 4)],
        [debit("c1100", 5), debit("c2010", 5)],
        [debit("c1100", 5), credit("eur", 5)],
        [debit("c1100", 5), credit("c2010", 3), credit("eur", 2)],
    ],
)
def test_an_entry_that_does_not_balance_in_each_currency_stops_everything(postings: list[Posting]) -> None:
    book = Book({**book_of(c1100=0, c2010=0).balances, "eur": Balance("2010", "EUR", 0, 0)})
    with pytest.raises(InvariantError):
        book.post(0, TODAY, postings)
    assert book.lines == []


def test_two_currencies_may_balance_side_by_side() -> None:
    book = Book(
        {
            "usd": Balance("2110", "USD", 100, 0),
            "usd_fx": Balance("1511", "USD", 0, 0),
            "cnh_fx": Balance("1510", "CNH", 0, 0),
            "cnh": Balance("2110", "CNH", 0, 0),
        }
    )
    exchange = [debit("usd", 100), credit("usd_fx", 100), debit("cnh_fx", 714), credit("cnh", 714)]
    book.check(exchange)
    lines = book.post(3, TODAY, exchange)
    assert [line.balance_minor for line in lines] == [0, 100, 714, 714]
    assert [line.line_number for line in lines] == [0, 1, 2, 3]


def test_lines_are_taken_once_and_what_they_touched_is_remembered() -> None:
    book = book_of(c1100=0, c2010=0, c2110=0)
    deposit, mint = [debit("c1100", 5), credit("c2010", 5)], [debit("c2010", 5), credit("c2110", 5)]
    first = book.post(3, TODAY, deposit)
    assert book.take_lines() == first
    second = book.post(4, TODAY, mint)
    third = book.post(5, TODAY, deposit)
    book.undo_to(2)
    assert book.take_lines() == second
    assert book.take_lines() == []
    assert third[0].balance_minor == 10
    assert {name: account.balance_minor for name, account in book.balances.items()} == {
        "c1100": 5,
        "c2010": 0,
        "c2110": 5,
    }
    assert {name: (account.version_before, account.last_event_index) for name, account in book.touched()} == {
        "c1100": (7, 3),
        "c2010": (7, 4),
        "c2110": (7, 4),
    }
