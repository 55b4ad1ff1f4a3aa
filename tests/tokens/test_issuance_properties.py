"""Issuance, whatever anybody tries: one person alone makes no token, and no mint breaks a deposit or a cap."""

import random
from collections import Counter
from collections.abc import Iterator
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick import participants
from tallystick.core.embedded_postgres import EmbeddedPostgres
from tallystick.core.ids import with_prefix
from tallystick.core.money import format_amount
from tallystick.participants import Principal, Role
from tallystick.tokens import Kind, Request, Submission
from tests.bank import Bank, open_bank, oracle
from tests.database import cloned_database
from tests.soaking import in_full
from tests.tokens.changing import code_of, rows

HARBOUR: Final = "HARBOUR-USD"
ACCOUNTS: Final = ("HARBOUR-USD", "LANTERN-USD", "SILKROAD-USD", "NORTHWIND-USD")
# What one person can try, each with an account or something that waits, and an amount in cents.
STEPS: Final = (
    *("mint", "approve") * 3,
    "reject",
    "deposit",
    "transfer",
    "hold",
    "execute",
    "void",
    "redeem",
    "release",
    "reverse",
    "rules",
    "reset",
    "mode",
    "assign",
)


class Alone:
    """One person at the bank with every role and two logins, the machines of a platform and a holder, and nobody else.

    `waiting`, `holds` and `transfers` are ids of what the steps made so far.
    """

    def __init__(self, bank: Bank) -> None:
        self.bank = bank
        self.logins = [bank.maker, self._second_login(), bank.platform, bank.holder]
        self.waiting: list[str] = []
        self.holds: list[str] = []
        self.transfers: list[str] = []
        self.tried: Counter[str] = Counter()

    def _second_login(self) -> Principal:
        return self.bank.database.run(
            lambda connection: participants.register_principal(
                connection,
                self.bank.clock,
                self.bank.issuer_id,
                name="Mara's second login",
                roles=frozenset({Role.TREASURY_MAKER, Role.TREASURY_CHECKER, Role.OPERATOR}),
                person=self.bank.maker.person,
            )
        )

    def step(self, name: str, login: int, place: int, cents: int) -> None:
        """Try one thing, and remember what it made; refusals are part of the game."""
        principal = self.logins[login % len(self.logins)]
        for request in self._requests(name, principal, place, cents):
            outcome = self.bank.outcome(request)
            self.tried[f"{name}: {code_of(outcome)}"] += 1
            if outcome.refusal is not None:
                continue
            if outcome.status == 202:
                self.waiting.append(outcome.resource_id)
            elif request.kind == Kind.HOLD:
                self.holds.append(outcome.resource_id)
            elif request.kind == Kind.TRANSFER:
                self.transfers.append(outcome.resource_id)

    def _requests(self, name: str, principal: Principal, place: int, cents: int) -> list[Request]:
        account, other = (self.bank.account_id(ACCOUNTS[number % 4]) for number in (place, place + 1))
        money = {"amount": format_amount(cents, 2), "currency": "USD"}
        moves: dict[str, tuple[Kind, dict[str, str]]] = {
            "mint": (Kind.MINT, {"payee_account_id": account}),
            "deposit": (Kind.DEPOSIT, {"payee_account_id": account}),
            "transfer": (Kind.TRANSFER, {"payer_account_id": account, "payee_account_id": other}),
            "hold": (Kind.HOLD, {"payer_account_id": account, "payee_account_id": other}),
            "redeem": (Kind.REDEMPTION, {"payer_account_id": account}),
            "release": (Kind.DEPOSIT_RELEASE, {"payer_account_id": account}),
        }
        if name in moves:
            kind, asked = moves[name]
            return [self.bank.request(kind, principal, **asked, **money)]
        if name in {"approve", "reject", "assign"}:
            return self._about_waiting(name, principal, place, account) if self.waiting else []
        if name in {"execute", "void", "reverse"}:
            return self._about_earlier(name, principal, place, money)
        return self._changes(name, principal, place)

    def _about_waiting(self, name: str, principal: Principal, place: int, account: str) -> list[Request]:
        waits = self.waiting[place % len(self.waiting)]
        approval_id = with_prefix("approval", waits)
        if name == "reject":
            return [self.bank.request(Kind.REJECT, principal, related_id=approval_id, reason="Alone.")]
        if name == "assign":
            return [
                self.bank.request(
                    Kind.DEPOSIT_ASSIGNMENT,
                    principal,
                    related_id=waits,
                    payee_account_id=account,
                    reason="Mine.",
                )
            ]
        [(amount_minor,)] = rows(self.bank, f"SELECT amount_minor FROM instruction WHERE id = '{waits}'")
        typed = {"amount": format_amount(amount_minor, 2), "currency": "USD"} if amount_minor else {}
        return [self.bank.request(Kind.APPROVE, principal, related_id=approval_id, **typed)]

    def _about_earlier(
        self, name: str, principal: Principal, place: int, money: dict[str, str]
    ) -> list[Request]:
        found = self.transfers if name == "reverse" else self.holds
        if not found:
            return []
        earlier = found[place % len(found)]
        if name == "void":
            return [self.bank.request(Kind.HOLD_VOID, principal, related_id=earlier)]
        kind = Kind.REVERSAL if name == "reverse" else Kind.HOLD_EXECUTION
        return [self.bank.request(kind, principal, related_id=earlier, reason="Alone.", **money)]

    def _changes(self, name: str, principal: Principal, place: int) -> list[Request]:
        usd = self.bank.classes["USD"].id
        asked: dict[str, list[tuple[str, str, dict[str, str]]]] = {
            "mode": [("token_class_mode", usd, {"mode": ("normal", "redeem_only")[place % 2]})],
            "reset": [(f"breaker_{one}", usd, {"reason": "Alone."}) for one in ("trip", "reset")],
        }
        if name == "rules":
            asked["rules"] = [("policy_activation", self.bank.draft().id, {})]
        return [
            self.bank.request(
                Kind.CHANGE,
                principal,
                operation=operation,
                related_id=subject_id,
                reason="Alone.",
                payload=payload,
            )
            for operation, subject_id, payload in asked[name]
        ]

    def open_again(self) -> None:
        """Let two people open what this one has closed, so that there is something to try."""
        usd = self.bank.classes["USD"].id
        [(mode,)] = rows(self.bank, f"SELECT mode FROM token_class WHERE id = '{usd}'")
        if mode != "normal":
            self.bank.approve(self.bank.change("token_class_mode", usd, {"mode": "normal"}).resource_id)
        if rows(self.bank, "SELECT 1 FROM breaker WHERE state = 'tripped'"):
            self.bank.run_clean()
            self.bank.approve(self.bank.change("breaker_reset", usd).resource_id)

    def supply_minor(self) -> int:
        [(found,)] = rows(
            self.bank, "SELECT coalesce(sum(balance_minor), 0) FROM ledger_account WHERE code LIKE '21%'"
        )
        return int(found)


@pytest.fixture(scope="module")
def alone(
    postgres_server: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Alone]:
    """A bank with deposits and tokens, which two people made, and then one person in it."""
    with (
        cloned_database(postgres_server, migrated_template) as urls,
        open_bank(urls, tmp_path_factory.mktemp("keys"), pool_size=4) as bank,
    ):
        for account in ACCOUNTS:
            bank.mint(account, "100.00")
            bank.deposit(account, "100.00")
        yield Alone(bank)
        oracle(bank)


one_step = st.tuples(st.sampled_from(STEPS), st.integers(0, 3), st.integers(0, 1_000), st.integers(1, 12_000))


@settings(max_examples=40)
@given(steps=st.lists(one_step, min_size=1, max_size=15))
def test_one_person_alone_makes_no_token(alone: Alone, steps: list[tuple[str, int, int, int]]) -> None:
    alone.open_again()
    for step in steps:
        before_minor = alone.supply_minor()
        alone.step(*step)
        assert alone.supply_minor() <= before_minor, step


def test_that_person_had_something_to_approve(alone: Alone) -> None:
    """Else the property above says nothing: it asked, and its own approval was refused."""
    alone.open_again()
    for account in range(4):
        alone.step("deposit", 0, account, 100)
        alone.step("approve", 1, len(alone.waiting) - 1, 100)
    assert alone.tried["approve: checker_is_maker"] >= 4
    # A second person is all that it lacked.
    other = alone.waiting[-1]
    asked = alone.bank.request(
        Kind.APPROVE,
        alone.bank.checker,
        related_id=with_prefix("approval", other),
        amount="1.00",
        currency="USD",
    )
    assert code_of(alone.bank.outcome(asked)) == "settled"
    oracle(alone.bank)


# Thousands of mints come in ten parts, and meet caps and deposits that grow with how many thousands they are.
THOUSANDS: Final = in_full(10, 2)
AT_ONCE: Final = 100 * THOUSANDS
MINTS: Final = 10 * AT_ONCE
CAPS_MINOR: Final = {"mint": 50_000, "supply": 5_000_000 * THOUSANDS, "day": 8_500_000 * THOUSANDS}
DEPOSITED_MINOR: Final = {
    account: part_minor * THOUSANDS
    for account, part_minor in zip(ACCOUNTS, (4_000_000, 4_000_000, 3_000_000, 500_000), strict=True)
}


@pytest.mark.slow
def test_thousands_of_approved_mints_break_neither_deposits_nor_caps(bank: Bank) -> None:
    """Random mints, each asked for and approved by two people, mostly more than there may be of them."""
    picked = random.Random(20261120)
    for account, deposited_minor in DEPOSITED_MINOR.items():
        bank.deposit(account, format_amount(deposited_minor, 2))
    limits = {name: format_amount(minor, 2) for name, minor in CAPS_MINOR.items()}
    # Asked for before the caps are in force, so that all of them reach their approval.
    asked = [
        bank.request(
            Kind.MINT,
            bank.maker,
            amount=format_amount(picked.choice((1, 100, 12_345, 40_000, 50_000, 50_001, 60_000)), 2),
            currency="USD",
            payee_account_id=bank.account_id(picked.choice(ACCOUNTS)),
        )
        for _ in range(MINTS)
    ]
    for start in range(0, MINTS, AT_ONCE):
        settled = bank.settle(*[Submission((one,)) for one in asked[start : start + AT_ONCE]])
        assert {one.outcomes[0].status for one in settled} == {202}
    bank.enact(issuance=limits)
    ends: Counter[str] = Counter()
    for start in range(0, MINTS, AT_ONCE):
        approvals = [
            bank.request(
                Kind.APPROVE,
                bank.checker,
                related_id=with_prefix("approval", one.id),
                amount=one.amount,
                currency="USD",
            )
            for one in asked[start : start + AT_ONCE]
        ]
        settled = bank.settle(*[Submission((one,)) for one in approvals])
        ends.update(code_of(one.outcomes[0]) for one in settled)
        # A tenth comes back, so that supply goes down as well as up.
        for account in ACCOUNTS:
            bank.redeem(account, format_amount(bank.balance_minor("2110", account) // 10, 2))

    minted = rows(
        bank,
        """SELECT max(amount_minor), sum(amount_minor) FROM instruction WHERE kind = 'mint' AND state = 'settled'""",
    )
    [(largest_minor, day_minor)] = minted
    [(supply_most_minor,)] = rows(
        bank,
        """SELECT max(supply_minor) FROM (SELECT sum(CASE kind WHEN 'mint' THEN amount_minor ELSE -amount_minor END)
           OVER (ORDER BY event_index) AS supply_minor FROM instruction
           WHERE kind IN ('mint', 'redemption') AND event_index IS NOT NULL) AS running""",
    )
    assert (largest_minor, day_minor <= CAPS_MINOR["day"]) == (CAPS_MINOR["mint"], True)
    assert supply_most_minor <= CAPS_MINOR["supply"]
    for account, deposited_minor in DEPOSITED_MINOR.items():
        assert bank.balance_minor("2010", account) + bank.balance_minor("2110", account) == deposited_minor
    # Every rule had its say.
    refusals = (
        "mint_limit_exceeded",
        "supply_cap_exceeded",
        "issuance_day_limit_exceeded",
        "insufficient_funds",
    )
    assert min(ends[one] for one in ("settled", *refusals)) > 5 * THOUSANDS, ends
    oracle(bank)


def test_a_slip_of_three_zeros_is_refused_although_it_was_approved(bank: Bank) -> None:
    """500.00 was meant, 500,000.00 typed, by both; the deposit would cover it, and the cap does not."""
    bank.deposit(HARBOUR, "1000000.00")
    slip = bank.ask(
        Kind.MINT,
        bank.maker,
        amount="500000.00",
        currency="USD",
        payee_account_id=bank.account_id(HARBOUR),
    ).resource_id
    bank.enact(issuance={"mint": "5000.00"})
    approving = bank.request(
        Kind.APPROVE,
        bank.checker,
        related_id=with_prefix("approval", slip),
        amount="500000.00",
        currency="USD",
    )
    assert code_of(bank.outcome(approving)) == "mint_limit_exceeded"
    asked_again = bank.request(
        Kind.MINT,
        bank.maker,
        amount="500000.00",
        currency="USD",
        payee_account_id=bank.account_id(HARBOUR),
    )
    assert code_of(bank.outcome(asked_again)) == "mint_limit_exceeded"
    assert bank.balance_minor("2110", HARBOUR) == 0
    bank.mint(HARBOUR, "500.00", deposited=False)
    oracle(bank)


def test_a_slip_of_three_zeros_finds_no_deposit(bank: Bank) -> None:
    """Without any cap: nobody can mint what was not deposited, or is not there any more."""
    bank.deposit(HARBOUR, "500.00")
    asked = bank.request(
        Kind.MINT,
        bank.maker,
        amount="500000.00",
        currency="USD",
        payee_account_id=bank.account_id(HARBOUR),
    )
    assert code_of(bank.outcome(asked)) == "insufficient_funds"
