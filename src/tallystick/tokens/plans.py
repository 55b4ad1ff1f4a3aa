"""What a decision is made on, and what it leads to."""

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, NamedTuple

from tallystick import orders, policy
from tallystick.approvals import Approval, Vote
from tallystick.business_dates import BusinessDays
from tallystick.core.errors import DomainError
from tallystick.ledger import Book, Posting
from tallystick.orders import Order, Step
from tallystick.participants import AccountFacts, AccountStatus, TokenClass
from tallystick.payouts import Payout
from tallystick.payouts import Step as PayoutStep
from tallystick.policy import ALLOW, ClassFacts, CompiledPolicy, Decision, Party, PoliciesInForce, UsageBook
from tallystick.tokens.changing import CheckedChange
from tallystick.tokens.instructions import Instruction, Kind, Submission
from tallystick.tokens.issuance import BreakerTrippedError, Issuance, IssuanceSuspendedError, Trip

__all__ = ["Facts", "Mark", "Plan", "Ruling", "Trip", "count"]


@dataclass(slots=True)
class Facts:
    """What a batch decides on, read under lock: accounts, earlier instructions, approvals, balances, rules.

    `next_index` is the place in the log of the next event, booked at `booked_at`. `changes` are by the request that
    asks for one or approves it: what checking it gave. `orders` are by account and id: the active ones of accounts
    that a request decides by them. `usage` is None where no rule counts. `business_date` is where an entry lands that
    names no day, and `late` the day that an instruction belongs to where that one was closed already.
    """

    book: Book
    accounts: dict[str, AccountFacts]
    parties: dict[str, Party]
    now: datetime
    today: date
    booked_at: datetime
    next_index: int
    policies: PoliciesInForce
    days: BusinessDays = field(default_factory=BusinessDays)
    usage: UsageBook | None = None
    classes: dict[str, TokenClass] = field(default_factory=dict)
    instructions: dict[str, Instruction] = field(default_factory=dict)
    approvals: dict[str, tuple[Approval, list[Vote]]] = field(default_factory=dict)
    changes: dict[str, CheckedChange | DomainError] = field(default_factory=dict)
    orders: dict[str, dict[str, Order]] = field(default_factory=dict)
    issuance: dict[str, Issuance] = field(default_factory=dict)
    # By instruction: what batches ask for that people may let through now.
    batches: dict[str, Submission] = field(default_factory=dict)
    late: dict[str, date] = field(default_factory=dict)
    # Of payouts: which are in a file, whose accounts have one under way, and the UETRs that are taken.
    filed_payouts: set[str] = field(default_factory=set)
    paying_out: set[str] = field(default_factory=set)
    uetrs: set[str] = field(default_factory=set)
    # By the payout: how screening knows its beneficiary.
    beneficiaries: dict[str, str] = field(default_factory=dict)
    business_date: date = field(init=False)
    _policies: dict[str, CompiledPolicy] = field(default_factory=dict)
    _class_facts: dict[str, ClassFacts] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.business_date = self.days.current(self.booked_at)

    def value_date_of(self, instruction_id: str, asked: date | None) -> date:
        """Return the day that an entry counts from: as asked, or the open business date if that day is closed."""
        if asked is None:
            return self.business_date
        if not self.days.is_closed(asked):
            return asked
        self.late[instruction_id] = asked
        return self.business_date

    def policy_of(self, account: AccountFacts) -> CompiledPolicy:
        """Return the rules that decide in the account's class."""
        found = self._policies.get(account.token_class_id)
        if found is None:
            found = self.policies.of(self.class_facts_of(account))
            self._policies[account.token_class_id] = found
        return found

    def class_facts_of(self, account: AccountFacts) -> ClassFacts:
        """Return the account's class as the rules see it."""
        found = self._class_facts.get(account.token_class_id)
        if found is None:
            found = ClassFacts(account.token_class_id, account.mode, account.currency, account.scale)
            self._class_facts[account.token_class_id] = found
        return found

    def check_issuance_open(self, account: AccountFacts) -> None:
        """Refuse to mint in a class whose breaker has tripped, or must trip now because the bank's data are too old.

        Raises IssuanceSuspendedError, BreakerTrippedError.
        """
        lately = self.issuance[account.token_class_id]
        if lately.tripped:
            raise IssuanceSuspendedError
        if lately.stale is not None:
            raise BreakerTrippedError(Trip(account.token_class_id, lately.stale), detail=lately.stale)

    def set_status(self, account_id: str, status: AccountStatus) -> None:
        """Let an account have another status for what is decided from here on."""
        self.accounts[account_id] = self.accounts[account_id]._replace(status=status)
        self.parties[account_id] = self.parties[account_id]._replace(account_status=status)

    def orders_on(self, account_id: str) -> list[Order]:
        """Return an account's active orders as they stand after everything decided so far, and those asked for."""
        return list(self.orders.get(account_id, {}).values())

    def take_step(self, step: Step) -> None:
        """Let a step count for what is decided from here on: the account's orders, and what they block."""
        account_id = step.order.account_id
        of_account = self.orders.setdefault(account_id, {})
        of_account.update((changed.id, changed) for changed in step.changed)
        blocked = orders.blocks_of(of_account.values(), self.now)
        self.parties[account_id] = self.parties[account_id]._replace(**blocked._asdict())


class Mark(NamedTuple):
    """Where an atomic group began, to go back to."""

    lines: int
    drafts: int
    answers: int
    keys: int
    next_index: int
    usage: tuple[int, int] | None


class Ruling(NamedTuple):
    """What the rules said of an instruction that they did not deny."""

    policy: CompiledPolicy
    facts: policy.Facts
    decision: Decision

    @property
    def referred(self) -> list[dict[str, str]] | None:
        """Why it waits for people; None where it need not."""
        if self.decision.effect == ALLOW:
            return None
        return [{"code": one.code, "rule_id": one.rule_id} for one in self.decision.reasons]

    def refusal(self) -> DomainError:
        """Return the refusal of what can't wait for people."""
        return self.decision.refusal()


class Plan(NamedTuple):
    """What a request will do. `settled` is the instruction whose event is recorded (None: nothing is settled yet).

    `added` is new, `changed` were there before. `quorum` and `details` are of the approval that an added one waits
    for. `batch` is what people let through, to be decided item by item; `step` what is done to an account's orders;
    `payout` is a new one, and `payout_step` what becomes of one.
    """

    answers_with: Instruction
    currency: str | None
    scale: int
    postings: tuple[Posting, ...] = ()
    settled: Instruction | None = None
    added: Instruction | None = None
    changed: tuple[Instruction, ...] = ()
    vote: tuple[Approval, Vote, str] | None = None
    approval_hashes: tuple[bytes, ...] = ()
    account_status: tuple[str, AccountStatus, str] | None = None
    ruling: Ruling | None = None
    quorum: int = 1
    details: dict[str, Any] | None = None
    change: CheckedChange | None = None
    expired: Approval | None = None
    batch: Submission | None = None
    step: Step | None = None
    payout: Payout | None = None
    payout_step: PayoutStep | None = None


def count(facts: Facts, plan: Plan, settled: Instruction) -> str | None:
    """Count what settles for the rules that limit it and for the breaker; return the version of the rules."""
    policy_version = None
    if plan.ruling is not None:
        policy_version = plan.ruling.policy.version
        if facts.usage is not None or plan.ruling.policy.counts_usage:
            plan.ruling.policy.count(plan.ruling.facts, facts.usage)
    elif facts.usage is not None and settled.kind in policy.SUPPLY_SIGN:
        # No rule decides on a seizure or a payout's end, and the supply that rules look at moves by it all the same.
        movement_minor = policy.SUPPLY_SIGN[settled.kind] * settled.amount_minor
        facts.usage.move_supply(settled.token_class_id or "", movement_minor)
    if settled.kind == Kind.MINT and settled.token_class_id is not None:
        lately = facts.issuance[settled.token_class_id]
        lately.mints += 1
        lately.amount_minor += settled.amount_minor
    return policy_version
