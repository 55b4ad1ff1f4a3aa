"""The standing rules as a table: facts in, every reason against out."""

from datetime import date
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.core.errors import ConflictError, DeniedError
from tallystick.policy import REFUSALS, PartyFacts, PolicyFacts, decide, refusal

TODAY: Final = date(2026, 11, 22)
GOOD: Final = PartyFacts("open", "verified", None)

PARTIES: Final[list[tuple[PartyFacts, list[str]]]] = [
    (GOOD, []),
    (PartyFacts("open", "verified", date(2026, 11, 23)), []),
    (PartyFacts("open", "verified", TODAY), []),
    (PartyFacts("open", "verified", date(2026, 11, 21)), ["kyc_expired"]),
    (PartyFacts("open", "pending", None), ["kyc_not_verified"]),
    (PartyFacts("open", "rejected", None), ["kyc_not_verified"]),
    (PartyFacts("open", "rejected", date(2020, 1, 1)), ["kyc_not_verified"]),
    (PartyFacts("frozen", "verified", None), ["account_frozen"]),
    (PartyFacts("closed", "verified", None), ["account_closed"]),
    (PartyFacts("frozen", "pending", None), ["account_frozen", "kyc_not_verified"]),
    (PartyFacts("closed", "verified", date(2020, 1, 1)), ["account_closed", "kyc_expired"]),
]
MODES: Final[list[tuple[str, bool, list[str]]]] = [
    ("normal", True, []),
    ("normal", False, []),
    ("redeem_only", True, ["token_class_redeem_only"]),
    ("redeem_only", False, []),
    ("paused", True, ["token_class_paused"]),
    ("paused", False, ["token_class_paused"]),
]


def reasons(mode: str, creates_or_moves: bool, *parties: PartyFacts) -> list[str]:
    return list(decide(PolicyFacts(mode, creates_or_moves, parties, TODAY)).reasons)


@pytest.mark.parametrize(("party", "expected"), PARTIES)
def test_a_party(party: PartyFacts, expected: list[str]) -> None:
    assert reasons("normal", True, party) == expected
    assert reasons("normal", True, GOOD, party) == expected
    assert reasons("normal", True, party, GOOD) == expected
    assert reasons("normal", True, party, party) == expected


@pytest.mark.parametrize(("mode", "creates_or_moves", "expected"), MODES)
def test_a_class(mode: str, creates_or_moves: bool, expected: list[str]) -> None:
    assert reasons(mode, creates_or_moves, GOOD, GOOD) == expected


@given(st.sampled_from(MODES), st.lists(st.sampled_from(PARTIES), min_size=1, max_size=3))
def test_every_reason_is_told_once_the_class_first(
    of_class: tuple[str, bool, list[str]], parties: list[tuple[PartyFacts, list[str]]]
) -> None:
    mode, creates_or_moves, expected = of_class
    told = reasons(mode, creates_or_moves, *[party for party, _ in parties])
    every = [*expected, *[reason for _, against in parties for reason in against]]
    assert told == list(dict.fromkeys(every))


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("token_class_paused", ConflictError),
        ("token_class_redeem_only", ConflictError),
        ("account_closed", ConflictError),
        ("account_frozen", DeniedError),
        ("kyc_not_verified", DeniedError),
        ("kyc_expired", DeniedError),
    ],
)
def test_every_reason_has_its_refusal(code: str, kind: type[Exception]) -> None:
    assert issubclass(REFUSALS[code], kind)
    assert REFUSALS[code].code == code


def test_a_refusal_is_named_by_its_first_reason_and_tells_all() -> None:
    decision = decide(
        PolicyFacts("paused", True, (PartyFacts("frozen", "verified", date(2020, 1, 1)),), TODAY)
    )
    assert not decision.allowed
    refused = refusal(decision)
    assert refused.code == "token_class_paused"
    assert refused.members == {"reasons": ["token_class_paused", "account_frozen", "kyc_expired"]}
    assert decide(PolicyFacts("normal", True, (GOOD,), TODAY)).allowed
