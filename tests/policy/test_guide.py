"""The compliance officer's guide says what the room does: its example works, its tables are complete."""

import json
import re
from typing import Any, Final

import pytest

from tallystick.core.errors import domain_errors
from tallystick.policy import REFUSALS, CompiledPolicy, compile_document, read_document
from tallystick.policy.documents import DOCUMENT_SIZE_MAX_BYTES, PolicyDocument, written_out
from tallystick.policy.expressions import FACTS
from tallystick.policy.shipped import PURPOSE_CODES
from tests.docs.documents import REPOSITORY, prose, table
from tests.policy.cases import USD, book_for, codes, facts, party

GUIDE: Final = (REPOSITORY / "docs" / "compliance.md").read_text(encoding="utf-8")
NAMES: Final = re.compile(r"`([^`]+)`")


@pytest.fixture(scope="module")
def example() -> dict[str, Any]:
    [block] = re.findall(r"^```json\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    parsed: dict[str, Any] = json.loads(block)
    return parsed


@pytest.fixture(scope="module")
def policy(example: dict[str, Any]) -> CompiledPolicy:
    return compile_document(read_document(example), "EUR", 2, "policy_example/1")


def test_the_example_is_complete(example: dict[str, Any]) -> None:
    whole, _ = written_out(read_document(example))
    assert whole == example
    assert set(example) == set(PolicyDocument.model_fields)


@pytest.mark.parametrize(
    ("changed", "effect", "expected"),
    [
        ({}, "allow", []),
        ({"payee": party("b", "CN")}, "deny", ["purpose_code_required", "corridor_denied"]),
        ({"payee": party("b", "CN"), "purpose": "GOD"}, "allow", []),
        ({"payee": party("b", "CN"), "purpose": "STR"}, "refer", ["corridor_referred"]),
        ({"payee": party("b", "CN"), "purpose": "RGOD"}, "deny", ["corridor_denied"]),
        ({"payee": party("b", "FR"), "amount_minor": 10_000_001}, "refer", ["large_abroad"]),
        ({"amount_minor": 20_000_001}, "deny", ["transaction_limit_exceeded"]),
        ({"payer": party("a", holder_kind="platform")}, "deny", ["not_own_merchant"]),
        (
            {"payer": party("a", holder_kind="platform"), "payee": party("b", platform_id="holder_a")},
            "allow",
            [],
        ),
        ({"payer": party("a", screening="unscreened")}, "refer", ["screening_missing"]),
        ({"payer": party("a", holder_kind="institution")}, "deny", ["holder_kind_not_allowed"]),
    ],
)
def test_the_example_does_what_it_says(
    policy: CompiledPolicy, changed: dict[str, Any], effect: str, expected: list[str]
) -> None:
    asked = facts(of_class=USD._replace(currency="EUR"), **changed)
    usage = book_for(policy, asked)
    assert (policy.decide(asked, usage).effect, codes(policy, asked, usage)) == (effect, expected)


def test_every_reason_is_told() -> None:
    told = {name for row in table("compliance.md", "rule") for name in NAMES.findall(row[3])}
    assert told == REFUSALS.keys() | {"policy_rule_refused"}


def test_every_member_is_told() -> None:
    told = " ".join(row[1] for row in table("compliance.md", "rule"))
    for name, field in PolicyDocument.model_fields.items():
        if name in {"format", "description"}:
            continue
        assert f"`{name}" in told
        members = getattr(field.annotation, "model_fields", {})
        for member in members:
            assert f".{member}`" in told, f"{name}.{member}"


def test_every_fact_is_told_with_its_type() -> None:
    told = {name: row[1] for row in table("compliance.md", "fact", "type") for name in NAMES.findall(row[0])}
    types = {str: "string", int: "integer"}
    expected = {}
    for name, sample in FACTS.items():
        members = sample if isinstance(sample, dict) else {"": sample}
        for member, value in members.items():
            expected[f"{name}.{member}".rstrip(".")] = types[type(value)]
    assert told == expected


def test_every_code_of_a_bad_document_is_told() -> None:
    told = {name for row in table("compliance.md", "code", "what is wrong") for name in NAMES.findall(row[0])}
    ours = {
        error.code
        for error in domain_errors()
        if error.__module__.startswith("tallystick.policy.") and error.status in {413, 422}
    }
    assert told == ours - REFUSALS.keys() | {"request_invalid", "amount_malformed", "country_unknown"}


def test_figures_and_lists_are_right() -> None:
    text = prose("compliance.md")
    assert f"{DOCUMENT_SIZE_MAX_BYTES // 1024} KiB" in text
    assert all(f"`{code}`" in text for code in PURPOSE_CODES)
