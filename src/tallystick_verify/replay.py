"""The books, rebuilt from the signed events alone, with every rule evaluated again on the way.

Per entry: it balances, it is the journal of its type, no floor is broken, no frozen or closed account takes part. Per
account: versions without gaps. Per class: one scale and one currency; tokens come from confirmed deposits only.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from tallystick_verify.chart import (
    CLAIM_CODES,
    CONTROL_CODE,
    DEBIT_NORMAL_CODES,
    DEPOSITS_CODE,
    FLOORED_CODES,
    IN_TRANSIT_CODE,
    LOSS_CODE,
)
from tallystick_verify.dates import BusinessDates
from tallystick_verify.events import Event, Line, format_amount, minor_units
from tallystick_verify.facts import PAYOUT_FILE_TYPE, Fact
from tallystick_verify.failures import ExitCode, Failure
from tallystick_verify.instructions import Instructions

__all__ = ["LedgerAccount", "Posted", "Replay", "TokenClass"]

_BALANCE_MAX: Final = 2**63 - 1
_CHANGES_SUPPLY: Final = frozenset(
    {
        "token.minted",
        "token.redeemed",
        "order.seized",
        "payout.accepted",
        "payout.cancelled",
        "payout.rejected",
        "payout.given_back",
    }
)
# Where a payout must stand for each of its steps, and where it stands behind it.
_PAYOUT_STEPS: Final[dict[str, tuple[str, str]]] = {
    "payout.cancelled": ("payout", "cancelled payout"),
    "payout.rejected": ("filed payout", "rejected payout"),
    "payout.settled": ("filed payout", "settled payout"),
    "payout.returned": ("settled payout", "returned payout"),
    "payout.given_back": ("returned payout", "given-back payout"),
}


@dataclass(slots=True)
class LedgerAccount:
    """A ledger account as it stands; `opening_minor` is its balance before the period."""

    code: str
    owner: str
    token_class_id: str
    opening_minor: int = 0
    balance_minor: int = 0
    version: int = 0
    first_booked_at: str = ""
    last_index: int = -1


@dataclass(slots=True)
class TokenClass:
    """A token class as its events tell it, with the sums that the mint rule is held against."""

    id: str
    currency: str
    scale: int
    deposited_minor: int = 0
    released_minor: int = 0
    minted_minor: int = 0
    redeemed_minor: int = 0
    seized_minor: int = 0
    # Payouts: what was accepted and not given back, and what of it the bank has paid and not returned.
    paid_out_minor: int = 0
    left_minor: int = 0
    file_count: int = 0

    @property
    def supply_minor(self) -> int:
        """All tokens of the class. What was seized is a holder's claim no more: the bank owes it to an authority. What
        is paid out it owes to another bank's customer, until it has paid.
        """
        return self.minted_minor - self.redeemed_minor - self.seized_minor - self.paid_out_minor

    @property
    def confirmed_minor(self) -> int:
        """What the bank holds for the class, by all that its statements have told."""
        return self.deposited_minor - self.released_minor - self.left_minor


class Posted(NamedTuple):
    """A line with what it did to its account."""

    line: Line
    previous_minor: int
    balance_minor: int
    version: int


@dataclass(slots=True)
class Replay:
    """The books of one issuer; events are to be posted in the order of the log."""

    issuer_id: str
    instructions: Instructions
    accounts: dict[str, LedgerAccount] = field(default_factory=dict)
    classes: dict[str, TokenClass] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    # Frozen and closed ones; all others are open. And each holder's account belongs to one class.
    statuses: dict[str, str] = field(default_factory=dict)
    class_of_account: dict[str, str] = field(default_factory=dict)
    dates: BusinessDates = field(default_factory=BusinessDates)

    def post(self, event: Event) -> list[Posted]:
        """Check and post an event; raises Failure (books), after which the books are to be used no more."""
        of_class = self._class(event)
        self._check_parties(event)
        self._check_standing(event)
        self._check_lines(event, of_class)
        _RELATIONS.get(event.type, _unrelated)(self, event)
        self.instructions.add(event)
        posted = [self._post(line, event) for line in event.lines]
        self._count(event, of_class)
        self.dates.post(event)
        self.counts[event.type] = self.counts.get(event.type, 0) + 1
        return posted

    def take(self, fact: Fact) -> None:
        """Check what was signed of the books without moving any money; raises Failure (books)."""
        self.dates.take(fact, self.instructions.supply_at, self._may_be_class)
        if fact.type == PAYOUT_FILE_TYPE:
            self._take_file(fact.members)

    def _take_file(self, told: dict[str, Any]) -> None:
        """Let a file's payouts stand in it: each accepted before, in no other, and together the control sum."""
        of_class = self.classes.get(told["token_class_id"])
        if of_class is None or (of_class.currency, of_class.scale) != (told["currency"], told["scale"]):
            raise _refused("A payout file is of a class, currency or scale that no payout has.")
        of_class.file_count += 1
        if told["sequence"] != of_class.file_count:
            raise _refused(f"Payout file {told['sequence']} stands where {of_class.file_count} belongs.")
        sum_minor = 0
        for payout_id in told["payout_ids"]:
            payout = self.instructions.move_payout(payout_id, "payout", "filed payout")
            if payout.token_class_id != of_class.id:
                raise _refused("A payout file pays a payout of another class.")
            sum_minor += payout.remaining_minor
        if not told["payout_ids"] or sum_minor != minor_units(told["control_sum"], of_class.scale):
            raise _refused("A payout file's control sum is not what its payouts come to.")

    def check_attestation(self, fact: Fact) -> None:
        """Raise Failure (figures) unless an attested total is what supply was at the index that it tells of."""
        told = fact.members
        of_class = self.classes.get(told["token_class_id"])
        if of_class is not None and (of_class.currency, of_class.scale) != (told["currency"], told["scale"]):
            raise Failure(
                ExitCode.FIGURES, "The attestation has another currency or scale than its token class."
            )
        supply_minor = self.instructions.supply_at(told["token_class_id"], told["as_of_index"])
        if minor_units(told["total"], told["scale"]) != supply_minor:
            raise Failure(
                ExitCode.FIGURES,
                f"Liabilities of {told['total']} are attested, and supply was "
                f"{format_amount(supply_minor, told['scale'])} at event {told['as_of_index']}.",
            )

    def begin_period(self) -> None:
        """Everything that was posted so far is what the period opens with."""
        for account in self.accounts.values():
            account.opening_minor = account.balance_minor

    def check_sums(self) -> str:
        """Return what was checked; raises Failure (books) unless supply and deposits are what the accounts come to."""
        for of_class in self.classes.values():
            sums = dict.fromkeys(("claims", "deposits", "control", "in_transit", "loss"), 0)
            for account in self.accounts.values():
                if account.token_class_id == of_class.id:
                    sums["claims"] += account.balance_minor if account.code in CLAIM_CODES else 0
                    sums["deposits"] += account.balance_minor if account.code == DEPOSITS_CODE else 0
                    sums["control"] += account.balance_minor if account.code == CONTROL_CODE else 0
                    sums["loss"] += account.balance_minor if account.code == LOSS_CODE else 0
                    sums["in_transit"] += account.balance_minor if account.code == IN_TRANSIT_CODE else 0
            if sums["claims"] != of_class.supply_minor:
                raise _refused(
                    f"Supply in {of_class.currency} is not mints less redemptions, seizures and payouts."
                )
            in_transit_minor = of_class.seized_minor + of_class.paid_out_minor - of_class.left_minor
            if sums["in_transit"] != in_transit_minor:
                raise _refused(
                    f"What is in transit in {of_class.currency} is not what was seized and is to be paid."
                )
            # What was written off, the bank has lost itself: it still owes all of it.
            owed_minor = sums["deposits"] + sums["claims"] + sums["in_transit"]
            if sums["control"] + sums["loss"] != owed_minor:
                raise _refused(f"Deposits at the core and claims in {of_class.currency} differ.")
        return (
            f"{sum(self.counts.values()):,} instructions, {len(self.accounts):,} ledger accounts, floors held"
        )

    def _class(self, event: Event) -> TokenClass:
        found = self.classes.get(event.token_class_id)
        if found is None:
            if any(one.currency == event.currency for one in self.classes.values()):
                raise _refused("Two token classes have one currency.")
            found = TokenClass(event.token_class_id, event.currency, event.scale)
            self.classes[event.token_class_id] = found
        if (found.currency, found.scale) != (event.currency, event.scale):
            raise _refused("The event has another currency or scale than its token class.")
        return found

    def _may_be_class(self, token_class_id: str, currency: str, scale: int) -> bool:
        """Tell whether a class has these; of one without events, whether no other class has the currency."""
        found = self.classes.get(token_class_id)
        if found is None:
            return all(one.currency != currency for one in self.classes.values())
        return (found.currency, found.scale) == (currency, scale)

    def _check_parties(self, event: Event) -> None:
        if event.payer == event.payee and event.payer is not None:
            raise _refused("Payer and payee are the same account.")
        for account_id in (event.payer, event.payee):
            if account_id is None:
                continue
            if self.class_of_account.setdefault(account_id, event.token_class_id) != event.token_class_id:
                raise _refused("An account takes part in two token classes.")

    def _check_standing(self, event: Event) -> None:
        """Frozen accounts neither pay nor are paid, save for what gives a payer's own tokens back.

        What is done under an authority's order is no payment, and a frozen account is as much in its reach as any.
        """
        if event.type in _PAYOUT_STEPS:
            self._check_standing_of_payout(event)
        elif event.type == "transfer.reversed":
            if self.statuses.get(event.payee or "") == "closed":
                raise _refused("Tokens are given back to a closed account.")
        elif event.type == "order.placed":
            if self.statuses.get(event.payer or "") == "closed":
                raise _refused("An order is placed on a closed account.")
        elif event.type != "hold.voided" and not event.type.startswith(("account.", "order.")):
            for account_id in (event.payer, event.payee):
                status = self.statuses.get(account_id or "")
                if status is not None:
                    raise _refused(f"An account takes part that is {status}.")

    def _check_standing_of_payout(self, event: Event) -> None:
        """The bank's own entries bind whatever became of the account; its tokens come back to no closed one."""
        gives_back = event.type in _CHANGES_SUPPLY
        if gives_back and self.statuses.get(event.payer or "") == "closed":
            raise _refused("Tokens are given back to a closed account.")

    def _check_lines(self, event: Event, of_class: TokenClass) -> None:
        if sum(line.debit_minor for line in event.lines) != sum(line.credit_minor for line in event.lines):
            raise _refused("The entry does not balance.")
        owners = {"payer": event.payer, "payee": event.payee, "class": of_class.id}
        debit, credit = event.kind.debit, event.kind.credit
        if debit is None or credit is None:
            if event.lines or event.amount_minor:
                raise _refused("An event that posts nothing has lines or an amount.")
            return
        amount_minor = event.amount_minor
        if amount_minor == 0 and not event.lines and event.kind.may_be_zero:
            return
        journal = (
            Line(f"{debit[0]}.{owners[debit[1]]}", debit[0], amount_minor, 0),
            Line(f"{credit[0]}.{owners[credit[1]]}", credit[0], 0, amount_minor),
        )
        if amount_minor == 0 or event.lines != journal:
            raise _refused(f"The entry is not the journal of a {event.type} event of this amount.")

    def _post(self, line: Line, event: Event) -> Posted:
        account = self.accounts.get(line.account)
        if account is None:
            account = LedgerAccount(
                line.code, line.account[5:], event.token_class_id, first_booked_at=event.booked_at
            )
            self.accounts[line.account] = account
        movement_minor = line.debit_minor - line.credit_minor
        previous_minor = account.balance_minor
        balance_minor = previous_minor + (
            movement_minor if line.code in DEBIT_NORMAL_CODES else -movement_minor
        )
        if balance_minor < 0 and line.code in FLOORED_CODES:
            if event.type == "token.minted":
                raise _refused("More is minted than deposits were confirmed for.")
            raise _refused(f"{line.account} falls below zero.")
        if not -_BALANCE_MAX <= balance_minor <= _BALANCE_MAX:
            raise _refused(f"{line.account} exceeds what any account can hold.")
        account.balance_minor, account.last_index = balance_minor, event.index
        account.version += 1
        return Posted(line, previous_minor, balance_minor, account.version)

    def _count(self, event: Event, of_class: TokenClass) -> None:
        match event.type:
            case "deposit.confirmed":
                of_class.deposited_minor += event.amount_minor
            case "deposit.released":
                of_class.released_minor += event.amount_minor
            case "token.minted":
                of_class.minted_minor += event.amount_minor
            case "token.redeemed":
                of_class.redeemed_minor += event.amount_minor
            case "order.seized":
                of_class.seized_minor += event.amount_minor
            case "payout.accepted":
                of_class.paid_out_minor += event.amount_minor
            case "payout.cancelled" | "payout.rejected" | "payout.given_back":
                of_class.paid_out_minor -= event.amount_minor
            case "payout.settled":
                of_class.left_minor += event.amount_minor
            case "payout.returned":
                of_class.left_minor -= event.amount_minor
        if event.type in _CHANGES_SUPPLY:
            self.instructions.note_supply(of_class.id, event.index, of_class.supply_minor)
        # Whatever path the tokens came by, they never exceed the deposits that the bank has confirmed.
        confirmed_minor = of_class.confirmed_minor
        if of_class.supply_minor > confirmed_minor:
            raise _refused(
                f"Supply of {format_amount(of_class.supply_minor, of_class.scale)} {of_class.currency} exceeds the "
                f"confirmed deposits of {format_amount(confirmed_minor, of_class.scale)}."
            )


def _unrelated(_replay: Replay, _event: Event) -> None:
    """Most events stand for themselves."""


def _hold_executed(replay: Replay, event: Event) -> None:
    hold = replay.instructions.take(event, "hold")
    if (hold.payer, hold.payee, hold.token_class_id) != (event.payer, event.payee, event.token_class_id):
        raise _refused("The hold was for other parties.")


def _hold_voided(replay: Replay, event: Event) -> None:
    hold = replay.instructions.take(event, "hold")
    if hold.payer != event.payer or hold.remaining_minor != event.amount_minor:
        raise _refused("A void must give the hold's payer all that is left of it.")


def _transfer_reversed(replay: Replay, event: Event) -> None:
    transfer = replay.instructions.take(event, "transfer")
    if (transfer.payee, transfer.payer) != (event.payer, event.payee):
        raise _refused("The transfer was between other parties.")


def _order_acted_on(replay: Replay, event: Event) -> None:
    """How much one order holds is not in its events, for what one gives up another may take: 2130's floor is."""
    ends = event.type in {"order.lifted", "order.expired"}
    order = replay.instructions.order(event, ends=ends)
    if (order.payer, order.token_class_id) != (event.payer, event.token_class_id):
        raise _refused("The order is on another account.")


def _payout_stepped(replay: Replay, event: Event) -> None:
    wanted, becomes = _PAYOUT_STEPS[event.type]
    payout = replay.instructions.move_payout(event.related, wanted, becomes)
    if (payout.payer, payout.token_class_id) != (event.payer, event.token_class_id):
        raise _refused("The payout is another account's.")
    if payout.remaining_minor != event.amount_minor:
        raise _refused("The event is not of the payout's whole amount.")


def _account_frozen(replay: Replay, event: Event) -> None:
    account_id = event.payer or ""
    if account_id in replay.statuses:
        raise _refused(f"The account is {replay.statuses[account_id]} already.")
    replay.statuses[account_id] = "frozen"


def _account_unfrozen(replay: Replay, event: Event) -> None:
    if replay.statuses.pop(event.payer or "", None) != "frozen":
        raise _refused("The account is not frozen.")


def _account_closed(replay: Replay, event: Event) -> None:
    account_id = event.payer or ""
    if account_id in replay.statuses:
        raise _refused(f"The account is {replay.statuses[account_id]} already.")
    for code in FLOORED_CODES:
        account = replay.accounts.get(f"{code}.{account_id}")
        if account is not None and account.balance_minor:
            raise _refused("An account is closed that is not empty.")
    replay.statuses[account_id] = "closed"


def _refused(message: str) -> Failure:
    return Failure(ExitCode.BOOKS, message)


_RELATIONS: Final[dict[str, Callable[[Replay, Event], None]]] = {
    "hold.executed": _hold_executed,
    "hold.voided": _hold_voided,
    "transfer.reversed": _transfer_reversed,
    "order.topped_up": _order_acted_on,
    "order.lifted": _order_acted_on,
    "order.expired": _order_acted_on,
    "order.seized": _order_acted_on,
    **dict.fromkeys(_PAYOUT_STEPS, _payout_stepped),
    "account.frozen": _account_frozen,
    "account.unfrozen": _account_unfrozen,
    "account.closed": _account_closed,
}
