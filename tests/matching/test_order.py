"""Whatever comes first, and however often matching runs in between: the same matches, and nothing left over."""

import random
from datetime import timedelta
from pathlib import Path

from tallystick import statements
from tallystick.core.embedded_postgres import EmbeddedPostgres
from tallystick.core.ids import suffix_of
from tallystick.matching import Side
from tests.bank import Bank, open_bank, oracle
from tests.camt_writer import Entry, Stated, message
from tests.database import cloned_database
from tests.matching.helpers import accepted, debit, matches, open_ids, open_now, run
from tests.matching.test_matching import redeem, release

#: What the bank tells of three days; amounts in units. The releases are told by their place in `RELEASES`.
RELEASES = (("10.00", "A"), ("10.00", "B"), ("20.00", None), ("30.00", "C"), ("7.00", "A"), ("10.00", None))
DAYS = (
    (Entry("100.00", remittance="HARBOUR-USD", bank_reference="B-1"), debit("10.00", end_to_end_id="A")),
    (debit("10.00"), debit("7.00", end_to_end_id="A"), debit("10.00", end_to_end_id="B")),
    (
        debit("5.00", end_to_end_id="R-1"),
        debit("30.01", end_to_end_id="C"),
        debit("9.00", end_to_end_id="X", bank_reference="Z"),
        Entry("9.00", reversal=True, bank_reference="Z", end_to_end_id="X"),
    ),
)


def tell(bank: Bank, day: int) -> None:
    stated = Stated(DAYS[day], day=f"2026-11-{20 + day}", statement_id=f"S-{day}", opening="1000.00")
    bank.import_statement(message(stated, message_id=f"M-{day}"))


def outcome(bank: Bank, names: dict[str, str], **asked: str) -> list[tuple[str, ...]]:
    """Return matches in words that don't hang on when anything was made."""

    def name(item_id: str) -> str:
        statement_id, point, number = item_id.partition(".")
        return f"{names[statement_id]}.{number}" if point else names.get(item_id, item_id.partition("_")[0])

    return sorted(
        (
            one.rule,
            one.confidence,
            one.kind,
            " ".join(sorted(map(name, one.bank_item_ids))),
            " ".join(sorted(map(name, one.book_item_ids))),
        )
        for one in matches(bank, **asked)
    )


def lived(bank: Bank, seed: int) -> list[list[tuple[str, ...]]]:
    """Let statements come in any order among the releases, whose order is the log's, and match now and then."""
    chance = random.Random(seed)
    bank.mint("HARBOUR-USD", "50.00")
    bank.deposit("HARBOUR-USD", "500.00")
    days, releases, names = [0, 1, 2], list(enumerate(RELEASES)), {}
    chance.shuffle(days)
    while days or releases:
        if days and chance.random() < len(days) / (len(days) + len(releases)):
            tell(bank, days.pop())
        else:
            number, asked = releases.pop(0)
            names[release(bank, *asked)] = f"release {number}"
            if number == 2:
                names[redeem(bank, "5.00", "R-1")] = "redemption"
        if chance.random() < 0.5:
            run(bank)
    run(bank)
    names |= statement_names(bank)
    oracle(bank)
    return [outcome(bank, names, state="accepted"), outcome(bank, names, state="proposed")]


def test_statements_in_any_order_and_runs_in_between(
    postgres_server: EmbeddedPostgres, migrated_template: str, tmp_path: Path
) -> None:
    ends = []
    for seed in range(5):
        with (
            cloned_database(postgres_server, migrated_template) as urls,
            open_bank(urls, tmp_path / str(seed)) as bank,
        ):
            ends.append(lived(bank, seed))
    assert ends[0] == [
        [
            ("end_to_end_id", "exact", "deposit_release", "S-0.2", "release 0"),
            ("end_to_end_id", "exact", "deposit_release", "S-1.2", "release 4"),
            ("end_to_end_id", "exact", "deposit_release", "S-1.3", "release 1"),
            ("end_to_end_id", "exact", "redemption", "S-2.1", "redemption"),
            ("evidence", "exact", "deposit", "S-0.1", "deposit"),
            ("reversal", "exact", "reversal", "S-2.3 S-2.4", ""),
        ],
        [
            ("amount_and_day", "fair", "deposit_release", "S-1.1", "release 5"),
            ("end_to_end_id", "fair", "deposit_release", "S-2.2", "release 3"),
        ],
    ]
    assert all(end == ends[0] for end in ends)


def statement_names(bank: Bank) -> dict[str, str]:
    with bank.database.read() as connection:
        return {
            one.id: one.bank_statement_id
            for one in statements.statements(connection, bank.issuer_id, limit=100)
        }


def test_both_times_part_what_is_tied_later(bank: Bank) -> None:
    bank.deposit("HARBOUR-USD", "500.00")
    early = release(bank, "10.00", "A")
    tell(bank, 0)
    run(bank)
    [reference] = [one for one in accepted(bank) if one.rule == "end_to_end_id"]
    now = bank.clock.now()

    assert [one.item.id for one in open_now(bank).books if one.item.id == early] == []
    before = open_now(bank, known_until=now - timedelta(seconds=1))
    assert before.bank == ()
    [waiting] = [one for one in before.books if one.item.id == early]
    assert waiting.waits_for == tuple(reference.bank_item_ids)
    [deposit] = [one for one in before.books if one.waits_for and one.item.id != early]
    [tie] = [one for one in accepted(bank) if one.rule == "evidence"]
    assert (deposit.item.id, deposit.waits_for, deposit.match_id) == (
        tie.book_item_ids[0],
        tuple(tie.bank_item_ids),
        tie.id,
    )
    # And the other way: the bank is ahead of the log.
    ahead = open_now(bank, event_index=-1)
    assert ahead.books == ()
    assert {one.item.id for one in ahead.bank} == {*tie.bank_item_ids, *reference.bank_item_ids}
    assert suffix_of(tie.id) == suffix_of(tie.book_item_ids[0])
    assert open_ids(bank, Side.BANK) == []
