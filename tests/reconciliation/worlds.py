"""Months of bank data made from a ledger, and faults put into them, each with the break that it must become.

Pure: the same seed makes the same world. What the room reads from the database is answered here from lists, and the
decomposition is the room's own: pairing, naming and the tie-out.
"""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final

from tallystick.ledger import CLAIM_CODES
from tallystick.reconciliation import BreakType, replay
from tallystick.reconciliation.breaks import BreakCollector, Money
from tallystick.reconciliation.pairing import ControlMovement, DepositStanding, Forward, Pairing, Told
from tallystick.reconciliation.tie_out import BankFacts, BooksFacts, TieOut, tie_out
from tallystick.statements import EntryLink, StatementEntry

CLASS: Final = "class_1"
CONTROL: Final = f"1100.{CLASS}"
LOSS: Final = f"5020.{CLASS}"
USD: Final = Money("USD", 2)
FIRST_DAY: Final = date(2026, 9, 1)
ACCOUNTS: Final = ("a", "b", "c", "d")


@dataclass(slots=True)
class Day:
    """One statement: its entries, and balances that follow unless a fault says otherwise."""

    number: int
    entries: list[StatementEntry] = field(default_factory=list)
    opening_shift_minor: int = 0
    closing_shift_minor: int = 0

    @property
    def id(self) -> str:
        return f"statement_{self.number:02}"

    @property
    def day(self) -> date:
        return FIRST_DAY + timedelta(days=self.number)


@dataclass(slots=True)
class World:
    """A ledger, the bank's data made from it, and what was done to them.

    `expected` are the breaks that the faults must become: type and difference. `written_off` is what write-offs moved
    on the control account, by the cause that each was for.
    """

    seed: int
    chance: random.Random
    days: list[Day] = field(default_factory=list)
    movements: list[ControlMovement] = field(default_factory=list)
    standings: dict[str, DepositStanding] = field(default_factory=dict)
    linked: dict[str, EntryLink] = field(default_factory=dict)
    trial: Counter[str] = field(default_factory=Counter)
    journal: Counter[str] = field(default_factory=Counter)
    stored: Counter[str] = field(default_factory=Counter)
    minted_minor: int = 0
    redeemed_minor: int = 0
    register_minor: int = 0
    root_shift_minor: int = 0
    registered: set[str] = field(default_factory=lambda: set(ACCOUNTS))
    log: BreakCollector = field(default_factory=lambda: BreakCollector(USD))
    expected: list[tuple[str, int]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    unproven: set[int] = field(default_factory=set)
    written_off: Counter[str] = field(default_factory=Counter)
    _amount: int = 100

    def unlike(self) -> int:
        """An amount that no other has, so that a fault can't be taken for another's pair."""
        self._amount += self.chance.randint(1, 50)
        return self._amount

    def post(self, account_id: str, minor: int) -> None:
        """Move a ledger account in all three records."""
        for records in (self.trial, self.journal, self.stored):
            records[account_id] += minor

    def write_off(self, cause: str, difference_minor: int) -> None:
        """Post what two people wrote off: the books have that much less (more, if negative) from then on."""
        self.written_off[cause] -= difference_minor
        self.post(CONTROL, -difference_minor)
        self.post(LOSS, difference_minor)

    def entry(self, day: Day, signed_minor: int, deposit_id: str | None, **of: object) -> StatementEntry:
        """Let the bank book something on a day."""
        number = len(day.entries) + 1
        made = StatementEntry(
            statement_id=day.id,
            entry_number=number,
            amount_minor=abs(signed_minor),
            credit=signed_minor > 0,
            booked=True,
            reversal=False,
            booking_date=day.day,
            value_date=day.day,
            bank_reference=f"R-{day.number}-{number}",
            end_to_end_id=None,
            uetr=None,
            counterparty_name=None,
            counterparty_account=None,
            remittance=None,
            deposit_id=deposit_id,
            matched_by=None,
        )._replace(**of)  # type: ignore[arg-type]
        day.entries.append(made)
        return made

    def movement(
        self, minor: int, day: date, account: str, *, entry_id: str | None = None
    ) -> ControlMovement:
        """Sign a deposit or a release, and post it."""
        index = len(self.movements)
        made = ControlMovement(index, f"deposit_{index}", minor, day, account, entry_id)
        self.movements.append(made)
        self.post(CONTROL, minor)
        self.post(f"2010.{account}", minor)
        if minor > 0:
            self.standings[made.instruction_id] = DepositStanding(account, minor, "settled", True, True)
        return made


def clean_world(seed: int, *, days: int = 6, per_day: int = 3) -> World:
    """Return a world in which everything ties: deposits, some confirmed by hand first, releases, mints, redemptions."""
    chance = random.Random(seed)
    world = World(seed, chance)
    for number in range(days):
        day = Day(number)
        world.days.append(day)
        for _ in range(chance.randint(0, per_day)):
            minor, account = world.unlike(), chance.choice(ACCOUNTS)
            if chance.random() < 0.2:
                by_hand = world.movement(minor, day.day, account)
                made = world.entry(day, minor, by_hand.instruction_id, matched_by="confirmed_by_hand")
                world.linked[by_hand.instruction_id] = _link(made)
            else:
                place = f"{day.id}.{len(day.entries) + 1}"
                deposit = world.movement(minor, day.day, account, entry_id=place)
                world.entry(day, minor, deposit.instruction_id)
            minted = chance.randint(0, minor)
            world.minted_minor += minted
            world.register_minor += minted
            world.post(f"2010.{account}", -minted)
            world.post(f"{chance.choice(CLAIM_CODES)}.{account}", minted)
            if chance.random() < 0.3:
                out = world.unlike()
                world.movement(-out, day.day, account)
                world.entry(day, -out, None)
    return world


def _link(entry: StatementEntry) -> EntryLink:
    return EntryLink(entry.statement_id, entry.entry_number, entry.signed_minor, entry.deposit_id)


def _any_day(world: World) -> Day:
    return world.chance.choice(world.days)


def _odd(world: World) -> int:
    """One minor unit as often as not, either way."""
    return world.chance.choice((1, -1, world.chance.randint(2, 99), -world.chance.randint(2, 99)))


def missing_at_bank(world: World) -> None:
    minor = world.unlike() * world.chance.choice((1, -1))
    world.movement(minor, _any_day(world).day, "a")
    world.expected.append(("missing_bank_entry", minor))


def unexpected_debit(world: World) -> None:
    minor = world.unlike()
    world.entry(_any_day(world), -minor, None)
    world.expected.append(("unexpected_bank_entry", minor))


def unexpected_credit(world: World) -> None:
    minor = world.unlike()
    world.entry(_any_day(world), minor, f"deposit_none_{minor}")
    world.expected.append(("unexpected_bank_entry", -minor))


def other_amount(world: World) -> None:
    """The bank's entry differs from the deposit that it became."""
    day = _any_day(world)
    minor, odd = world.unlike(), _odd(world)
    deposit = world.movement(minor, day.day, "b", entry_id=f"{day.id}.{len(day.entries) + 1}")
    world.entry(day, minor + odd, deposit.instruction_id)
    world.expected.append(("amount", -odd))


def told_twice_in_books(world: World) -> None:
    """Confirmed from the statement, and by hand besides."""
    day = _any_day(world)
    minor = world.unlike()
    deposit = world.movement(minor, day.day, "c", entry_id=f"{day.id}.{len(day.entries) + 1}")
    world.entry(day, minor, deposit.instruction_id)
    world.movement(minor, day.day, "c")
    world.expected.append(("duplicate", minor))


def told_twice_by_bank(world: World) -> None:
    """The bank books one credit twice, under one reference: the second waits for a person."""
    day = _any_day(world)
    minor = world.unlike()
    deposit = world.movement(minor, day.day, "d", entry_id=f"{day.id}.{len(day.entries) + 1}")
    first = world.entry(day, minor, deposit.instruction_id)
    again = f"deposit_again_{minor}"
    world.standings[again] = DepositStanding(None, minor, "unassigned", False, True)
    world.entry(day, minor, again, bank_reference=first.bank_reference)
    world.expected.append(("duplicate", -minor))


def same_deposit_for_two(world: World) -> None:
    """Two deposits name one entry of the bank's."""
    day = _any_day(world)
    minor = world.unlike()
    place = f"{day.id}.{len(day.entries) + 1}"
    deposit = world.movement(minor, day.day, "a", entry_id=place)
    world.entry(day, minor, deposit.instruction_id)
    world.movement(minor, day.day, "b", entry_id=place)
    world.expected.append(("duplicate", minor))


def after_the_statement(world: World) -> None:
    minor = world.unlike() * world.chance.choice((1, -1))
    world.movement(minor, world.days[-1].day + timedelta(days=1), "a")
    world.expected.append(("timing", minor))


def waits_for_somebody(world: World) -> None:
    minor = world.unlike()
    waiting = f"deposit_waiting_{minor}"
    state = world.chance.choice(("unassigned", "pending_approval"))
    world.standings[waiting] = DepositStanding(None, minor, state, False, True)
    world.entry(_any_day(world), minor, waiting)
    world.expected.append(("timing", -minor))


def sum_that_is_none(world: World) -> None:
    """The statement's entries don't lead to the balance that it closes with."""
    odd = _odd(world)
    _any_day(world).closing_shift_minor += odd
    world.expected.append(("amount", -odd))


def unseen_between(world: World) -> None:
    """A statement begins with another balance than the one before it closed with."""
    odd = _odd(world)
    world.days[world.chance.randint(1, len(world.days) - 1)].opening_shift_minor += odd
    world.expected.append(("unexpected_bank_entry", -odd))


def mint_without_event(world: World) -> None:
    minor = world.unlike()
    world.post("2010.a", -minor)
    world.post("2110.a", minor)
    world.register_minor += minor
    _log_break(world, BreakType.MISSING_EVENT, "log", {"2010.a": -minor, "2110.a": minor})
    world.expected.append(("missing_event", minor))


def deposit_without_event(world: World) -> None:
    """The bank bears it out, and nothing signed does."""
    day = _any_day(world)
    minor, index = world.unlike(), 10_000 + len(world.unproven)
    deposit = f"deposit_unsigned_{minor}"
    world.entry(day, minor, deposit)
    world.standings[deposit] = DepositStanding("a", minor, "settled", True, False)
    world.unproven.add(index)
    world.post(CONTROL, minor)
    world.post("2010.a", minor)
    _log_break(world, BreakType.MISSING_EVENT, "log", {CONTROL: minor, "2010.a": minor})
    world.expected.append(("missing_event", minor))


def entry_not_as_signed(world: World) -> None:
    odd = _odd(world)
    world.post("2110.b", odd)
    world.register_minor += odd
    _log_break(world, BreakType.AMOUNT, "journal", {"2110.b": odd})
    world.expected.append(("amount", odd))


def journal_balance(world: World) -> None:
    account, odd = world.chance.choice((CONTROL, "2110.c")), _odd(world)
    world.trial[account] += odd
    world.stored[account] += odd
    if account != CONTROL:
        world.register_minor += odd
    world.expected.append(("amount", odd))


def stored_balance(world: World) -> None:
    account, odd = world.chance.choice((CONTROL, "2110.d", "2010.a", "2120.b")), _odd(world)
    world.trial[account] += 0
    world.stored[account] += odd
    world.expected.append(("amount", odd))


def unregistered(world: World) -> None:
    minor = world.unlike()
    world.post("2010.z", -minor)
    world.post("2110.z", minor)
    world.minted_minor += minor
    world.expected.append(("amount", minor))


def register_remainder(world: World) -> None:
    """Nothing explains it: the remainder is a break itself."""
    odd = _odd(world)
    world.register_minor += odd
    world.root_shift_minor -= odd
    world.expected.append(("amount", -odd))


def root_remainder(world: World) -> None:
    """The leaves of a tree come to something else than the register's records, and so than the books."""
    odd = _odd(world)
    world.root_shift_minor += odd
    world.expected.append(("amount", -odd))


def supply_remainder(world: World) -> None:
    odd = _odd(world)
    world.minted_minor += odd
    world.expected.append(("amount", -odd))


def _log_break(world: World, break_type: BreakType, kind: str, moved: dict[str, int]) -> None:
    scope = replay.Scope("issuer_1", CLASS, USD, frozenset(), frozenset(), frozenset())
    reader = replay._Reader(scope, {}, {}, CONTROL, replay.Part(world.log))
    replay._add(reader, kind, break_type, 10_000 + len(world.faults), moved, "Seeded.")


#: Faults that may be there any number of times, and those of which two would be one.
FAULTS: Final[tuple[Callable[[World], None], ...]] = (
    missing_at_bank,
    unexpected_debit,
    unexpected_credit,
    other_amount,
    told_twice_in_books,
    told_twice_by_bank,
    same_deposit_for_two,
    after_the_statement,
    waits_for_somebody,
    mint_without_event,
    deposit_without_event,
    entry_not_as_signed,
)
ONCE: Final[tuple[Callable[[World], None], ...]] = (
    sum_that_is_none,
    unseen_between,
    journal_balance,
    stored_balance,
    unregistered,
    register_remainder,
    root_remainder,
    supply_remainder,
)


def put_faults(world: World, faults: list[Callable[[World], None]]) -> None:
    """Put faults into a world, in this order."""
    for fault in faults:
        fault(world)
        world.faults.append(fault.__name__)


def decompose(world: World, *, block: int = 7, order: random.Random | None = None) -> TieOut:
    """Tie a world out. The size of blocks, and the order in which lookups are answered, must not matter."""
    entries = {entry.id: entry for day in world.days for entry in day.entries}
    links = {entry_id: _link(entry) for entry_id, entry in entries.items()} | world.linked
    if order is not None:
        shuffled = list(links.items())
        order.shuffle(shuffled)
        links = dict(shuffled)
    covered = frozenset(day.id for day in world.days)
    whole = Forward()
    for start in range(0, len(world.movements), block):
        part = Forward()
        deposits = [one for one in world.movements[start : start + block] if one.movement_minor > 0]
        part.pair(deposits, links, covered)
        part.releases += [
            (one.event_index, one.movement_minor)
            for one in world.movements[start : start + block]
            if one.movement_minor < 0
        ]
        whole.take(part)
    for cause, written_minor in world.written_off.items():
        part = Forward()
        part.written_off[cause] += written_minor
        whole.take(part)
    found = BreakCollector(USD)
    pairing = Pairing(USD, found)
    places = {f"movement:{one.instruction_id}": one.event_index for one in world.movements}
    pairing.take_forward(whole, {places[cause]: cause for cause in world.written_off if cause in places})
    closing = _walk(world, pairing, whole)
    confirmed = Counter(
        (standing.account_id, standing.amount_minor)
        for entry in entries.values()
        if whole.marks.has(entry.statement_id, entry.entry_number)
        and (standing := world.standings.get(entry.deposit_id or "")) is not None
    )
    released = [world.movements[index] for index in pairing.releases_alone()]
    pairing.name_alone([*whole.alone, *released], confirmed, world.days[-1].day)
    pairing.name_written_off(covered)
    bank = BankFacts(closing, pairing.difference_minor, pairing.timing_minor, found.collected())
    books = BooksFacts(
        minted_minor=world.minted_minor,
        redeemed_minor=world.redeemed_minor,
        seized_minor=0,
        events_verified_count=len(world.movements),
        journal_minor=world.journal,
        trial_minor=world.trial,
        stored_minor=world.stored,
        register_minor=world.register_minor,
        register_account_ids=frozenset(world.registered),
        root_minor=world.register_minor + world.root_shift_minor,
        log_breaks=world.log.collected(),
    )
    return tie_out(CLASS, USD, books, bank)


def _walk(world: World, pairing: Pairing, forward: Forward) -> int:
    told: dict[Told, tuple[str, int]] = {}
    for day in world.days:
        for entry in day.entries:
            key = Told(entry.bank_reference or "", entry.signed_minor, entry.booking_date)
            told.setdefault(key, (entry.statement_id, entry.entry_number))
    balance: int | None = None
    for day in world.days:
        opening = (balance or 0) + day.opening_shift_minor
        start = pairing.check_opening(day.id, opening, balance)
        booked = sum(entry.signed_minor for entry in day.entries)
        open_entries = [
            entry for entry in day.entries if not forward.marks.has(entry.statement_id, entry.entry_number)
        ]
        missing = forward.marks.missing(day.id, len(day.entries))
        assert [number for first, last in missing for number in range(first, last + 1)] == [
            entry.entry_number for entry in open_entries
        ]
        pairing.back(pairing.paid_out(open_entries, {}), world.standings, told)
        closing = start + booked + day.closing_shift_minor
        balance = pairing.check_closing(day.id, closing, start + booked)
    return balance or 0
