"""Facts and policies for the tests of this room: one good payment, and what a test wants otherwise."""

from datetime import UTC, date, datetime
from typing import Any, Final

from tallystick.policy import ClassFacts, CompiledPolicy, Facts, Party, compile_document, read_document
from tallystick.policy.usage import Usage, UsageBook, hour_of

__all__ = [
    "NOW",
    "TODAY",
    "USD",
    "book_for",
    "codes",
    "document",
    "facts",
    "mint",
    "party",
    "policy_of",
    "rule",
]

TODAY: Final = date(2026, 11, 22)
NOW: Final = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
USD: Final = ClassFacts("class_usd", "normal", "USD", 2)


def party(name: str, country: str | None = "DE", **otherwise: Any) -> Party:
    """Return a party against which nothing is, but for what the test says."""
    good = Party(
        account_id=f"account_{name}",
        account_status="open",
        holder_id=f"holder_{name}",
        holder_kind="merchant",
        platform_id=None,
        country=country,
        residency=country,
        kyc_status="verified",
        kyc_expires_on=None,
        screening="clear",
    )
    return good._replace(**otherwise)


def facts(kind: str = "transfer", **otherwise: Any) -> Facts:
    """Return a transfer of 10.00 US dollars from A to B, but for what the test says."""
    good = Facts(
        kind=kind,
        of_class=USD,
        payer=party("a"),
        payee=party("b"),
        purpose=None,
        principal_id="principal_maker",
        today=TODAY,
        amount_minor=1_000,
    )
    return good._replace(**otherwise)


def mint(amount_minor: int = 1_000, **otherwise: Any) -> Facts:
    """Return a mint to B."""
    return facts("mint", payer=None, amount_minor=amount_minor, **otherwise)


def document(**members: Any) -> dict[str, Any]:
    """Return a policy document with these members."""
    return {"format": "tallystick-policy/1", **members}


def policy_of(*, currency: str = "USD", scale: int = 2, **members: Any) -> CompiledPolicy:
    """Return the compiled policy of a document with these members."""
    return compile_document(read_document(document(**members)), currency, scale, "policy_test/1")


def rule(when: str, *on: str, effect: str = "deny", code: str = "our_rule") -> dict[str, Any]:
    """Return a rule of the bank's own."""
    return {
        "id": "our_own",
        "on": list(on or ("transfer",)),
        "when": when,
        "effect": effect,
        "code": code,
        "message": "Against our rule.",
    }


def book_for(policy: CompiledPolicy, *asked: Facts, at: datetime = NOW) -> UsageBook:
    """Return an empty book that knows every subject of these instructions."""
    keys = {key for one in asked for key in policy.usage_keys(one)}
    return UsageBook(hour_of(at), {key: Usage.none(hour_of(at)) for key in keys})


def codes(policy: CompiledPolicy, asked: Facts, usage: UsageBook | None = None) -> list[str]:
    """Return the codes of a decision's reasons, in their order."""
    return [one.code for one in policy.decide(asked, usage).reasons]
