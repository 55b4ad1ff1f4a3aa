"""Documents that must not be taken, each with the code that says why, and what is made of those that are."""

import json
from typing import Any, Final, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.core.errors import DomainError, MalformedError
from tallystick.policy import compile_document, read_document
from tallystick.policy.documents import DOCUMENT_SIZE_MAX_BYTES, KindName, written_out
from tallystick.policy.expressions import FACTS, compile_expression
from tallystick.policy.kinds import KINDS
from tallystick.tokens import Kind
from tests.policy.cases import codes, document, facts, policy_of, rule


def refused(members: dict[str, Any]) -> DomainError:
    with pytest.raises(DomainError) as caught:
        policy_of(**members)
    return caught.value


EXPRESSIONS: Final[list[tuple[str, str]]] = [
    ("", "policy_expression_invalid"),
    ("amount_minor >", "policy_expression_invalid"),
    ("amount_minor > 1 &&& true", "policy_expression_invalid"),
    ("(amount_minor > 1", "policy_expression_invalid"),
    ("amount_minor = 1", "policy_expression_invalid"),
    ("amount_minor > 1 // a remark", "policy_expression_invalid"),
    ("amount_minor > 1 // amount_minor", "policy_expression_invalid"),
    ("true; false", "policy_expression_invalid"),
    ("{'a': 1} == {'a': 1}", "policy_expression_invalid"),
    ("purpose == 'a\\n'", "policy_expression_invalid"),
    ("purpose == 'a\nb'", "policy_expression_invalid"),
    ("purpose == '''a'''", "policy_expression_invalid"),
    ("purpose == r'a'", "policy_expression_invalid"),
    ("purpose == b'a'", "policy_expression_invalid"),
    ('purpose == "a""b"', "policy_expression_invalid"),
    ("purpose == 'a", "policy_expression_invalid"),
    ("purpose == \u2018a\u2019", "policy_expression_invalid"),
    ("[1, 2][0] == 1", "policy_expression_invalid"),
    ("purpose[0] == 'a'", "policy_expression_invalid"),
    ("payer['country'] == 'DE'", "policy_fact_unknown"),
    ("payer. == 'DE'", "policy_expression_invalid"),
    ("amount_minor > 1.5", "policy_number_not_integer"),
    ("amount_minor > .5", "policy_number_not_integer"),
    ("amount_minor > 1e3", "policy_number_not_integer"),
    ("amount_minor > 1u", "policy_number_not_integer"),
    ("amount_minor > 0x10", "policy_number_not_integer"),
    ("amount_minor > 9999999999999999999", "policy_number_not_integer"),
    ("amount_minor > \u0661", "policy_expression_invalid"),
    ("[1].exists(x, x > 0)", "policy_function_not_allowed"),
    ("[1].all(x, true)", "policy_function_not_allowed"),
    ("size([1].map(x, x)) > 0", "policy_function_not_allowed"),
    ("size([1].filter(x, true)) > 0", "policy_function_not_allowed"),
    ("has(payer.country)", "policy_function_not_allowed"),
    ("purpose.matches('(a+)+$')", "policy_function_not_allowed"),
    ("matches(purpose, 'a')", "policy_function_not_allowed"),
    ("timestamp(today) > timestamp('2026-01-01T00:00:00Z')", "policy_function_not_allowed"),
    ("double(amount_minor) > double(1)", "policy_function_not_allowed"),
    ("payer.contains('country')", "policy_function_not_allowed"),
    ("startsWith(purpose, 'G')", "policy_function_not_allowed"),
    ("amount > 5", "policy_fact_unknown"),
    ("null == purpose", "policy_fact_unknown"),
    ("payer == payee", "policy_fact_unknown"),
    ("payer.legal_name == 'x'", "policy_fact_unknown"),
    ("payer.country.country == 'x'", "policy_fact_unknown"),
    ("payer.payer.country == 'x'", "policy_fact_unknown"),
    ("purpose.country == 'x'", "policy_fact_unknown"),
    ("used > 5", "policy_fact_unknown"),
    ("used.year_minor > 5", "policy_fact_unknown"),
    ("__import__ == 'os'", "policy_fact_unknown"),
    ("amount_minor", "policy_expression_type"),
    ("'true'", "policy_expression_type"),
    ("amount_minor > 'a'", "policy_expression_type"),
    ("amount_minor + purpose == 'a'", "policy_expression_type"),
    ("amount_minor.startsWith('1')", "policy_expression_type"),
    ("!amount_minor", "policy_expression_type"),
    ("(" * 9 + "true" + ")" * 9, "policy_expression_too_large"),
    ("amount_minor in " + "[" * 9 + "]" * 9, "policy_expression_too_large"),
    ("!!!true", "policy_expression_too_large"),
    ("---1 > 0", "policy_expression_too_large"),
    ("true ? true : " * 9 + "true", "policy_expression_too_large"),
    ("true || " * 200 + "true", "policy_expression_too_large"),
    ("(" * 100_000, "policy_expression_too_large"),
]


@pytest.mark.parametrize(("when", "code"), EXPRESSIONS)
def test_an_expression_that_is_not_taken(when: str, code: str) -> None:
    refusal = refused({"rules": [rule(when)]})
    assert (refusal.code, refusal.members) == (code, {"pointer": "/rules/0/when"})
    assert refusal.status == 422


@pytest.mark.parametrize(
    "when",
    [
        "true || " * 124 + "true",
        "(" * 8 + "true" + ")" * 8,
        "!!true && - -1 > 0",
        "(true ? false : true) || " * 8 + "true",
        "amount_minor in [1, 2]",
        "amount_minor / 2 / 2 == 1",
        "'a.b(c[' + purpose == \"it's\"",
        "purpose.contains('x') || purpose.endsWith('y')",
        "size(payer.holder_id) > 3 && size([1, 2]) == 2",
        "9" * 18 + " > amount_minor % 7 - 2 / 3 * 4 + 5",
    ],
)
def test_an_expression_that_is(when: str) -> None:
    assert len(when) <= 1_000
    assert isinstance(policy_of(rules=[rule(when)]).decide(facts()).effect, str)


@settings(max_examples=150)
@given(st.text("()[]{}.,?:!-+*/%<>=&|'\" \n\\abx019_", max_size=40) | st.text(max_size=30))
def test_whatever_is_written_is_refused_or_decides(when: str) -> None:
    try:
        expression = compile_expression(when, "/rules/0/when")
    except MalformedError:
        return
    assert expression.holds(dict(FACTS)) in {True, False, None}


MEMBERS: Final[list[tuple[dict[str, Any], str, str]]] = [
    ({"limits": {"transaction": "10"}}, "amount_malformed", "/limits/transaction"),
    ({"limits": {"pair_day": "10.000"}}, "amount_malformed", "/limits/pair_day"),
    ({"limits": {"holder_day": "-1.00"}}, "amount_malformed", "/limits/holder_day"),
    ({"issuance": {"supply": "1e9"}}, "amount_malformed", "/issuance/supply"),
    ({"issuance": {"day": "NaN"}}, "amount_malformed", "/issuance/day"),
    (
        {"issuance": {"minter_allowances": {"principal_1": "1"}}},
        "amount_malformed",
        "/issuance/minter_allowances/principal_1",
    ),
    ({"purposes": {"required_into": ["DE", "XX"]}}, "country_unknown", "/purposes/required_into/1"),
    (
        {"corridors": {"rows": [{"payee_residency": "ZZ", "action": "deny"}]}},
        "country_unknown",
        "/corridors/rows/0/payee_residency",
    ),
    (
        {"corridors": {"rows": [{"id": "a", "action": "deny", "quota_day": "1.00"}]}},
        "policy_corridor_invalid",
        "/corridors/rows/0",
    ),
    (
        {"corridors": {"rows": [{"action": "allow", "quota_day": "1.00"}]}},
        "policy_corridor_invalid",
        "/corridors/rows/0",
    ),
    (
        {"corridors": {"rows": [{"id": "a", "action": "allow", "quota_day": "1"}]}},
        "amount_malformed",
        "/corridors/rows/0/quota_day",
    ),
    (
        {"corridors": {"rows": [{"id": "a", "action": "allow"}, {"id": "a", "action": "deny"}]}},
        "policy_rule_duplicate",
        "/corridors/rows/1/id",
    ),
    (
        {"purposes": {"codes": ["GOD"]}, "corridors": {"rows": [{"purpose": "STR", "action": "deny"}]}},
        "policy_purpose_unknown",
        "/corridors/rows/0/purpose",
    ),
    ({"rules": [rule("true"), rule("false")]}, "policy_rule_duplicate", "/rules/1/id"),
    ({"rules": [rule("true", code="kyc_expired")]}, "policy_code_reserved", "/rules/0/code"),
    ({"rules": [rule("payer.country == 'DE'", "mint")]}, "policy_fact_absent", "/rules/0/when"),
    (
        {"rules": [rule("payee.country == 'DE'", "transfer", "redemption")]},
        "policy_fact_absent",
        "/rules/0/when",
    ),
    ({"rules": [rule("used.payer_day_minor > 1", "mint")]}, "policy_fact_absent", "/rules/0/when"),
    ({"rules": [rule("used.pair_day_minor > 1", "redemption")]}, "policy_fact_absent", "/rules/0/when"),
]


@pytest.mark.parametrize(("members", "code", "pointer"), MEMBERS)
def test_what_has_the_form_and_makes_no_sense(members: dict[str, Any], code: str, pointer: str) -> None:
    refusal = refused(members)
    assert (refusal.code, refusal.members["pointer"]) == (code, pointer)


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"format": "tallystick-policy/2"}, "/format"),
        ({"limit": {}}, "/limit"),
        ({"limits": {"transaction": 10}}, "/limits/transaction"),
        ({"limits": {"transaction": 10.5}}, "/limits/transaction"),
        ({"limits": {"year": "1.00"}}, "/limits/year"),
        ({"kyc": {"enabled": "no"}}, "/kyc/enabled"),
        ({"kyc": {"enabled": 0}}, "/kyc/enabled"),
        ({"screening": {"on_hit": "allow"}}, "/screening/on_hit"),
        ({"approval_reference": ""}, "/approval_reference"),
        ({"purposes": {"codes": ["g"]}}, "/purposes/codes/0"),
        ({"corridors": {"rows": [{}]}}, "/corridors/rows/0/action"),
        ({"corridors": {"rows": [{"action": "quota"}]}}, "/corridors/rows/0/action"),
        ({"corridors": {"rows": [{"action": "deny"}] * 2_001}}, "/corridors/rows"),
        ({"corridors": {"otherwise": None}}, "/corridors/otherwise"),
        ({"rules": [rule("true")] * 201}, "/rules"),
        ({"rules": [rule("true") | {"on": []}]}, "/rules/0/on"),
        ({"rules": [rule("true") | {"on": ["approve"]}]}, "/rules/0/on/0"),
        ({"rules": [rule("true") | {"effect": "allow"}]}, "/rules/0/effect"),
        ({"rules": [rule("true") | {"id": "A b"}]}, "/rules/0/id"),
        ({"rules": [rule("true") | {"message": ""}]}, "/rules/0/message"),
        ({"rules": [rule("true") | {"when": True}]}, "/rules/0/when"),
        ({"a\u2028b": 1}, ""),
    ],
)
def test_what_has_not_the_form(members: dict[str, Any], pointer: str) -> None:
    refusal = refused(members)
    assert refusal.code == "policy_document_invalid"
    assert pointer in {error["pointer"] for error in refusal.members["errors"]}


@pytest.mark.parametrize("value", [None, [], "x", 1, {}])
def test_what_is_no_document_at_all(value: Any) -> None:
    with pytest.raises(DomainError) as caught:
        read_document(value)
    assert caught.value.code == "policy_document_invalid"


def test_the_largest_document_is_taken_and_one_more_byte_is_not() -> None:
    rows = [{"payer_country": "DE", "payee_country": "CN", "action": "deny"}] * 2_000
    policy_of(corridors={"enabled": True, "rows": rows})
    rules = [rule("true || " * 124 + "true") | {"id": f"rule_{number}"} for number in range(200)]
    whole = document(rules=rules, description="")
    _, canonical = written_out(read_document(whole))
    assert len(canonical) < DOCUMENT_SIZE_MAX_BYTES
    holders = [f"holder_{number:057d}" for number in range(2_000)]
    refusal = refused({"rules": rules, "allow_list": {"holders": holders}})
    assert (refusal.code, refusal.status) == ("policy_document_too_large", 413)


def test_a_document_is_written_out_and_means_the_same_again() -> None:
    row = {"id": "goods", "payee_country": "CN", "action": "allow", "quota_day": "5.00"}
    asked = document(corridors={"enabled": True, "rows": [row]}, rules=[rule("amount_minor > 5")])
    whole, canonical = written_out(read_document(asked))
    assert whole["kyc"] == {"enabled": True}
    assert whole["corridors"]["rows"] == [row], "what fits anything isn't written two thousand times"
    assert written_out(read_document(json.loads(canonical))) == (whole, canonical)


def test_a_row_for_another_currency_does_not_count() -> None:
    rows = [{"currency": "EUR", "action": "deny"}]
    assert codes(policy_of(corridors={"enabled": True, "rows": rows}), facts()) == []
    with_euro = compile_document(
        read_document(document(corridors={"enabled": True, "rows": rows})), "EUR", 2, "x"
    )
    assert codes(with_euro, facts()) == ["corridor_denied"]


def test_amounts_are_in_the_classs_scale() -> None:
    yen = policy_of(currency="JPY", scale=0, limits={"transaction": "1000"})
    assert codes(yen, facts(amount_minor=1_000)) == []
    assert codes(yen, facts(amount_minor=1_001)) == ["transaction_limit_exceeded"]


def test_rules_know_the_write_paths_kinds() -> None:
    assert set(get_args(KindName)) == KINDS
    assert set(Kind) >= KINDS
