"""The standing rules on the write path: which kinds a class's mode, an account's status and a holder's KYC block.

The rules themselves are tried in tests/policy; here each is set for real, and every kind is asked.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Final

import pytest

from tallystick import participants
from tallystick.core.errors import DomainError
from tallystick.participants import KycStatus
from tallystick.tokens import Kind
from tests.bank import OPENED_AT, Bank
from tests.database import connect

TODAY: Final = OPENED_AT.date()
SPARE: Final = 12


class Prepared:
    """A bank with what each kind needs, and a way to ask HARBOUR's account for each."""

    def __init__(self, bank: Bank) -> None:
        self.bank = bank
        bank.mint("HARBOUR-USD", "900.00")
        bank.deposit("HARBOUR-USD", "100.00")
        bank.transfer("HARBOUR-USD", "NORTHWIND-USD", "500.00")
        self.hold_out = bank.hold("HARBOUR-USD", "NORTHWIND-USD", "100.00")
        self.hold_in = bank.hold("NORTHWIND-USD", "HARBOUR-USD", "100.00")
        self.holds = [bank.hold("HARBOUR-USD", "NORTHWIND-USD", "0.01") for _ in range(SPARE)]
        self.mints = [self.mint() for _ in range(SPARE)]
        self.unassigned = [self.deposit_of_nobody() for _ in range(SPARE)]
        self.ways: dict[str, Callable[[], object]] = {
            "deposit": lambda: bank.deposit("HARBOUR-USD", "0.01"),
            "deposit assignment": self.assign,
            "deposit release": lambda: bank.release_deposit("HARBOUR-USD", "0.01"),
            "mint": self.mint,
            "mint approval": lambda: bank.approve(self.mints.pop(), "0.01", "USD"),
            "transfer out": lambda: bank.transfer("HARBOUR-USD", "NORTHWIND-USD", "0.01"),
            "transfer in": lambda: bank.transfer("NORTHWIND-USD", "HARBOUR-USD", "0.01"),
            "redemption": lambda: bank.redeem("HARBOUR-USD", "0.01"),
            "hold": lambda: bank.hold("HARBOUR-USD", "NORTHWIND-USD", "0.01"),
            "hold execution out": lambda: bank.execute_hold(self.hold_out, "0.01"),
            "hold execution in": lambda: bank.execute_hold(self.hold_in, "0.01"),
            "hold void": lambda: bank.void_hold(self.holds.pop()),
        }

    def mint(self) -> str:
        return self.bank.ask(
            Kind.MINT,
            self.bank.maker,
            amount="0.01",
            currency="USD",
            payee_account_id=self.bank.account_id("HARBOUR-USD"),
        ).resource_id

    def deposit_of_nobody(self) -> str:
        return self.bank.ask(
            Kind.DEPOSIT,
            self.bank.maker,
            amount="0.01",
            currency="USD",
            token_class_id=self.bank.classes["USD"].id,
            evidence=True,
            related_id="statement_0.1",
        ).resource_id

    def assign(self) -> str:
        return self.bank.ask(
            Kind.DEPOSIT_ASSIGNMENT,
            self.bank.maker,
            related_id=self.unassigned.pop(),
            payee_account_id=self.bank.account_id("HARBOUR-USD"),
        ).resource_id

    def outcomes(self) -> dict[str, str]:
        """Ask for every kind once; return what it was refused with, or `settled`."""
        return {way: self._outcome(ask) for way, ask in self.ways.items()}

    def _outcome(self, ask: Callable[[], object]) -> str:
        try:
            ask()
        except DomainError as refusal:
            [reason] = refusal.members["reasons"]
            return str(reason) if reason == refusal.code else f"{refusal.code} for {reason}"
        return "settled"


@pytest.fixture(scope="module")
def prepared(shared_bank: Bank) -> Prepared:
    return Prepared(shared_bank)


@contextmanager
def class_mode(bank: Bank, mode: str) -> Iterator[None]:
    def become(wanted: str) -> None:
        with connect(bank.urls.superuser_url) as connection:
            connection.execute(
                "UPDATE token_class SET mode = %s WHERE id = %s", [wanted, bank.classes["USD"].id]
            )
            connection.execute("UPDATE facts_version SET version = version + 1")

    become(mode)
    yield
    become("normal")


@contextmanager
def kyc(bank: Bank, status: KycStatus, expires_on: date | None = None) -> Iterator[None]:
    def become(wanted: KycStatus, on: date | None) -> None:
        bank.database.run(
            lambda connection: participants.record_kyc(
                connection, bank.issuer_id, bank.holders["HARBOUR"].id, wanted, on
            )
        )

    become(status, expires_on)
    yield
    become(KycStatus.VERIFIED, None)


@contextmanager
def frozen(bank: Bank) -> Iterator[None]:
    bank.freeze("HARBOUR-USD")
    yield
    bank.unfreeze("HARBOUR-USD")


GIVES_BACK: Final = frozenset({"deposit release", "redemption"})


@pytest.mark.parametrize("status", [KycStatus.PENDING, KycStatus.REJECTED])
def test_an_unfinished_check_of_a_holder_blocks_debits_and_credits(
    prepared: Prepared, status: KycStatus
) -> None:
    with kyc(prepared.bank, status):
        refused = prepared.outcomes()
    assert refused == dict.fromkeys(refused, "kyc_not_verified") | {"hold void": "settled"}


def test_an_expired_check_of_a_holder_blocks_debits_and_credits(prepared: Prepared) -> None:
    with kyc(prepared.bank, KycStatus.VERIFIED, TODAY - timedelta(days=1)):
        refused = prepared.outcomes()
    assert refused == dict.fromkeys(refused, "kyc_expired") | {"hold void": "settled"}


def test_a_check_holds_to_the_end_of_its_last_day(prepared: Prepared) -> None:
    with kyc(prepared.bank, KycStatus.VERIFIED, TODAY):
        assert set(prepared.outcomes().values()) == {"settled"}


def test_a_frozen_account_neither_pays_nor_is_paid(prepared: Prepared) -> None:
    with frozen(prepared.bank):
        refused = prepared.outcomes()
    assert refused == dict.fromkeys(refused, "account_frozen") | {"hold void": "settled"}


def test_in_a_paused_class_nothing_moves(prepared: Prepared) -> None:
    with class_mode(prepared.bank, "paused"):
        refused = prepared.outcomes()
    assert refused == dict.fromkeys(refused, "token_class_paused") | {"hold void": "settled"}


def test_a_class_that_is_wound_down_only_gives_back(prepared: Prepared) -> None:
    with class_mode(prepared.bank, "redeem_only"):
        outcomes = prepared.outcomes()
    assert outcomes == {
        way: "settled" if way in {"hold void", *GIVES_BACK} else "token_class_redeem_only" for way in outcomes
    }


def test_every_reason_is_told_at_once(prepared: Prepared) -> None:
    bank = prepared.bank
    with (
        frozen(bank),
        kyc(bank, KycStatus.VERIFIED, TODAY - timedelta(days=1)),
        class_mode(bank, "paused"),
        pytest.raises(DomainError) as refused,
    ):
        bank.transfer("NORTHWIND-USD", "HARBOUR-USD", "0.01")
    codes = ["token_class_paused", "account_frozen", "kyc_expired"]
    assert refused.value.members == {
        "reasons": codes,
        "rules": [
            {"code": code, "rule_id": rule_id, "effect": "deny"}
            for code, rule_id in zip(codes, ("operating_mode", "account_status", "kyc"), strict=True)
        ],
        "policy_version": "shipped/1",
    }


def test_a_closed_account_takes_nothing(bank: Bank) -> None:
    bank.mint("HARBOUR-USD", "5.00")
    hold_id = bank.hold("HARBOUR-USD", "LANTERN-USD", "1.00")
    transfer_id = bank.transfer("HARBOUR-USD", "SILKROAD-USD", "1.00")
    bank.close_account("LANTERN-USD")
    ways: list[Callable[[], object]] = [
        lambda: bank.transfer("HARBOUR-USD", "LANTERN-USD", "1.00"),
        lambda: bank.hold("HARBOUR-USD", "LANTERN-USD", "1.00"),
        lambda: bank.execute_hold(hold_id, "1.00"),
        lambda: bank.deposit("LANTERN-USD", "1.00"),
    ]
    for ask in ways:
        with pytest.raises(DomainError) as refused:
            ask()
        assert refused.value.code == "account_closed"
    bank.void_hold(hold_id)
    bank.reverse(transfer_id, "1.00")
