"""What is remembered of accounts counts until anything about them changes, and never a batch longer."""

from datetime import date

from tallystick import participants
from tallystick.participants import AccountFacts, KycStatus, RememberedFacts
from tallystick.tokens import Kind
from tests.bank import Bank, oracle


def facts(account_id: str) -> AccountFacts:
    return AccountFacts(
        account_id=account_id,
        status="open",
        holder_id="holder",
        holder_kind="merchant",
        platform_id=None,
        country="DE",
        residency="DE",
        kyc_status="verified",
        kyc_expires_on=None,
        token_class_id="class",
        mode="normal",
        currency="USD",
        scale=2,
    )


def test_a_version_has_its_own_memory() -> None:
    remembered = RememberedFacts()
    assert remembered.recall("a", 1, ["x", "y"]) == ({}, ["x", "y"])
    remembered.keep("a", 1, {"x": facts("x")})

    assert remembered.recall("a", 1, ["x", "y"]) == ({"x": facts("x")}, ["y"])
    assert remembered.recall("b", 1, ["x"]) == ({}, ["x"])
    assert remembered.recall("a", 2, ["x"]) == ({}, ["x"])
    assert remembered.recall("a", 1, ["x"]) == ({}, ["x"])


def test_memory_is_bounded() -> None:
    remembered = RememberedFacts()
    remembered.keep("a", 1, {str(number): facts("x") for number in range(19_999)})
    remembered.keep("a", 1, {"y": facts("y"), "z": facts("z")})

    assert remembered.recall("a", 1, ["0", "y", "z"])[1] == ["0"]


def test_what_changes_counts_from_the_next_batch_on(bank: Bank) -> None:
    def pay() -> str | None:
        refusal = bank.outcome(
            bank.request(
                Kind.TRANSFER,
                bank.platform,
                amount="1.00",
                currency="USD",
                payer_account_id=bank.account_id("HARBOUR-USD"),
                payee_account_id=bank.account_id("LANTERN-USD"),
            )
        ).refusal
        return None if refusal is None else refusal.code

    def check(status: KycStatus, expires_on: date | None = None) -> None:
        with bank.database.engine.begin() as connection:
            participants.record_kyc(
                connection, bank.issuer_id, bank.holders["LANTERN"].id, status, expires_on
            )

    bank.mint("HARBOUR-USD", "10.00")
    assert pay() is None
    check(KycStatus.REJECTED)
    assert pay() == "kyc_not_verified"
    check(KycStatus.VERIFIED, date(2026, 1, 1))
    assert pay() == "kyc_expired"
    check(KycStatus.VERIFIED)
    assert pay() is None
    bank.freeze("LANTERN-USD")
    assert pay() == "account_frozen"
    bank.unfreeze("LANTERN-USD")
    assert pay() is None
    oracle(bank)
