"""Months of bank data made from the ledger, imported by the product, with faults of every kind the bank can make.

The same as `test_worlds`, over the database: what is read, how it is paired, and what is kept.
"""

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from tests.bank import Bank, oracle
from tests.camt_writer import Entry, statement
from tests.database import connect
from tests.reconciliation.runs import carried, compared, reconcile, root_hash_of, told
from tests.statements.imports import confirm_by_hand

DAYS = 20
NAMES = ("HARBOUR-USD", "LANTERN-USD", "NORTHWIND-USD", "SILKROAD-USD")


@dataclass(slots=True)
class Month:
    """The statements of a month, and what a run must find."""

    files: list[tuple[str, bytes]] = field(default_factory=list)
    expected: Counter[tuple[str, int]] = field(default_factory=Counter)
    amount: int = 1_000

    def unlike(self, chance: random.Random) -> int:
        self.amount += chance.randint(1, 90)
        return self.amount


def text(minor: int) -> str:
    sign = "-" if minor < 0 else ""
    return f"{sign}{abs(minor) // 100}.{abs(minor) % 100:02}"


def lived(bank: Bank, chance: random.Random, *, faults: bool) -> Month:
    """Let the bank's people and its customers live a month; return what the core bank writes of it."""
    month = Month()
    balance = 0
    for number in range(DAYS):
        day = bank.clock.at.date()
        entries: list[Entry] = []
        for _ in range(chance.randint(1, 3)):
            minor, name = month.unlike(chance), chance.choice(NAMES)
            if chance.random() < 0.3:
                confirm_by_hand(bank, name, text(minor))
            entries.append(Entry(text(minor), remittance=name, bank_reference=f"B-{number}-{len(entries)}"))
        if faults:
            _fault(bank, chance, month, entries, number)
        opening = balance
        balance += sum(int(one.amount.replace(".", "")) * (1 if one.credit else -1) for one in entries)
        month.files.append(
            (
                f"{day}",
                statement(*entries, day=f"{day}", opening=text(opening), sequence=number + 1),
            )
        )
        bank.clock.at += timedelta(days=1)
    return month


def _fault(bank: Bank, chance: random.Random, month: Month, entries: list[Entry], number: int) -> None:
    minor = month.unlike(chance)
    match number % 5:
        case 0:
            confirm_by_hand(bank, "HARBOUR-USD", text(minor))
            month.expected["missing_bank_entry", minor] += 1
        case 1:
            entries.append(Entry(text(minor), credit=False))
            month.expected["unexpected_bank_entry", minor] += 1
        case 2:
            entries.append(Entry(text(minor), remittance="Nobody's"))
            month.expected["timing", -minor] += 1
        case 3:
            twice = Entry(text(minor), remittance="LANTERN-USD", bank_reference=f"T-{number}")
            entries += [twice, twice]
            month.expected["duplicate", -minor] += 1
        case _:
            # Confirmed by hand twice, and told by the bank once.
            confirm_by_hand(bank, "SILKROAD-USD", text(minor))
            confirm_by_hand(bank, "SILKROAD-USD", text(minor))
            entries.append(Entry(text(minor), remittance="SILKROAD-USD"))
            month.expected["duplicate", minor] += 1


@pytest.mark.parametrize(("seed", "order"), [(1, "days"), (2, "backwards"), (3, "any")])
def test_a_month_with_faults(bank: Bank, seed: int, order: str) -> None:
    chance = random.Random(seed)
    month = lived(bank, chance, faults=True)
    files = list(month.files)
    if order == "backwards":
        files.reverse()
    elif order == "any":
        chance.shuffle(files)
    for _, content in files:
        bank.import_statement(content)
        bank.import_statement(content)

    run, found = reconcile(bank)

    assert Counter(told(found)) == month.expected
    control = run.figures["control_account"]
    assert control["difference"] == text(
        sum(minor for (_, minor), n in month.expected.items() for _ in range(n))
    )
    again, found_again = reconcile(bank)
    # The first of the two suspended issuance, by an event of its own: only the log's own figures are others.
    assert (compared(again), again.verdict, told(found_again)) == (compared(run), run.verdict, told(found))
    assert [one.id for one in carried(bank, found_again)] == [one.id for one in carried(bank, found)]
    oracle(bank)


def test_a_clean_month_ties_and_a_cent_in_it_is_found(bank: Bank) -> None:
    month = lived(bank, random.Random(9), faults=False)
    for _, content in month.files:
        bank.import_statement(content)
    assert reconcile(bank)[1] == []
    with connect(bank.urls.superuser_url) as connection:
        connection.execute(b"ALTER TABLE statement_entry DISABLE TRIGGER USER")
        connection.execute(
            b"UPDATE statement_entry SET amount_minor = amount_minor - 1 WHERE (statement_id, entry_number) ="
            b" (SELECT statement_id, entry_number FROM statement_entry ORDER BY random() LIMIT 1)"
        )
    # The deposit has a cent more than its entry, and the entries no longer lead to the balance.
    assert sorted(told(reconcile(bank)[1])) == [("amount", -1), ("amount", 1)]


def test_parts_of_the_log_come_to_the_same(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long log is looked at in several processes: the result is that of one."""
    month = lived(bank, random.Random(4), faults=True)
    for _, content in month.files:
        bank.import_statement(content)
    whole, found = reconcile(bank)
    monkeypatch.setattr("tallystick.reconciliation.in_parts._PARTED_FROM", 1)
    monkeypatch.setattr("tallystick.reconciliation.in_parts._PART_SIZE", 16)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    parted, found_in_parts = reconcile(bank)
    # The first of the two suspended issuance, by an event of its own: the log has grown.
    assert parted.figures["log"]["root_hash"] == root_hash_of(bank, parted.event_index + 1)
    assert (compared(parted), told(found_in_parts)) == (compared(whole), told(found))
    assert [one.evidence for one in found_in_parts] == [one.evidence for one in found]
