"""A policy document made ready to decide by: amounts in minor units, look-ups in sets, expressions compiled.

Whatever can be wrong with a document that has the right form is refused here, each with a code of its own, so that
nothing is found out later while money waits.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from tallystick.core.errors import MalformedError
from tallystick.core.money import AmountMalformedError, parse_amount
from tallystick.participants import CountryUnknownError, check_country
from tallystick.policy.corridors import ANY, Corridor, Corridors
from tallystick.policy.documents import CorridorRow, PolicyDocument, Rule
from tallystick.policy.expressions import Expression, compile_expression
from tallystick.policy.kinds import HAS_PAYEE, HAS_PAYER
from tallystick.policy.refusals import REFUSALS
from tallystick.policy.shipped import APPROVAL_REFERENCE_CURRENCIES, PURPOSE_CODES

__all__ = [
    "BreakerTerms",
    "CompiledRule",
    "PolicyCodeReservedError",
    "PolicyCorridorInvalidError",
    "PolicyFactAbsentError",
    "PolicyPurposeUnknownError",
    "PolicyRuleDuplicateError",
    "ReconciliationTerms",
    "Terms",
    "make_terms",
]

# Which kinds of instruction have what an expression reads.
_ABSENT_FROM_OTHERS: Final = {
    "payer": HAS_PAYER,
    "payee": HAS_PAYEE,
    "used.payer_day_minor": HAS_PAYER,
    "used.holder_day_minor": HAS_PAYER,
    "used.pair_day_minor": HAS_PAYER & HAS_PAYEE,
}
# `used.x_minor` in an expression, by the limit that counts the same.
_COUNTED_NAMES: Final = ("payer_day", "pair_day", "holder_day", "issuance_day")


class PolicyRuleDuplicateError(MalformedError):
    """Two rules, or two corridors, have one id, so that a decision could not say which it was."""

    code = "policy_rule_duplicate"
    title = "An id is used twice"


class PolicyCodeReservedError(MalformedError):
    """A rule's code is one of the service's own, whose meaning is fixed."""

    code = "policy_code_reserved"
    title = "The code is one of the service's own"


class PolicyFactAbsentError(MalformedError):
    """A rule asks for a side that instructions of its kinds don't have: it would deny every one of them."""

    code = "policy_fact_absent"
    title = "An instruction of this kind has no such fact"


class PolicyPurposeUnknownError(MalformedError):
    """A corridor names a purpose code that the policy doesn't take, so that no payment could go through it."""

    code = "policy_purpose_unknown"
    title = "A corridor names a purpose code that is not taken"


class PolicyCorridorInvalidError(MalformedError):
    """A quota needs a corridor that is allowed, with an id under which it is counted."""

    code = "policy_corridor_invalid"
    title = "A corridor with a quota must be allowed and have an id"


class CompiledRule(NamedTuple):
    """A rule of the bank's own, ready to be asked."""

    id: str
    expression: Expression
    effect: str
    code: str
    message: str


class BreakerTerms(NamedTuple):
    """How much may be issued within so many seconds before issuance stops by itself; None: as much as comes."""

    window_seconds: int
    mints_max: int | None
    amount_max_minor: int | None


class ReconciliationTerms(NamedTuple):
    """How a class is held against the bank. `backing` is `control_account` or `customer_holds`; `due_hours` is by type
    of break.
    """

    backing: str
    bank_data_age_max_hours: int | None
    tolerance_minor: int
    sequence_gaps_accepted: bool
    due_hours: Mapping[str, int]


class Terms(NamedTuple):
    """One policy in the terms of one token class; None where something is not limited, or not asked."""

    enabled: bool
    checks_kyc: bool
    on_hit: str
    on_unscreened: str
    holder_kinds: frozenset[str] | None
    listed_holders: frozenset[str] | None
    transaction_minor: int | None
    payer_day_minor: int | None
    pair_day_minor: int | None
    holder_day_minor: int | None
    mint_minor: int | None
    issuance_day_minor: int | None
    supply_minor: int | None
    allowances_minor: Mapping[str, int] | None
    purpose_required_into: frozenset[str]
    purposes: frozenset[str] | None
    corridors: Corridors | None
    rules: Mapping[str, tuple[CompiledRule, ...]]
    counted: frozenset[str]
    checkers: Mapping[str, tuple[tuple[int, int], ...]]
    breaker: BreakerTerms | None
    reconciliation: ReconciliationTerms


def make_terms(document: PolicyDocument, currency: str, scale: int) -> Terms:
    """Return the document's rules for a class of this currency and scale.

    Raises AmountMalformedError, CountryUnknownError, the refusals above and those of `expressions`, each with the
    JSON Pointer (RFC 6901) of what is wrong, within the document.
    """
    limits, issuance, allow_list = document.limits, document.issuance, document.allow_list

    def minor(amount: str | None, pointer: str) -> int | None:
        return None if amount is None else _amount(amount, scale, pointer)

    needs_reference = document.requires_approval_reference or currency in APPROVAL_REFERENCE_CURRENCIES
    allowances = issuance.minter_allowances
    rules = _rules(document.rules)
    of_payments = {
        f"{name}_minor": minor(getattr(limits, name), f"/limits/{name}")
        for name in ("transaction", "payer_day", "pair_day", "holder_day")
    }
    issuance_day_minor = minor(issuance.day, "/issuance/day")
    set_limits = {**of_payments, "issuance_day_minor": issuance_day_minor}
    read = {name for of_kind in rules.values() for rule in of_kind for name in rule.expression.names}
    return Terms(
        enabled=not needs_reference or document.approval_reference is not None,
        checks_kyc=document.kyc.enabled,
        on_hit=document.screening.on_hit,
        on_unscreened=document.screening.on_unscreened,
        holder_kinds=frozenset(allow_list.holder_kinds)
        if allow_list.enabled and allow_list.holder_kinds
        else None,
        listed_holders=frozenset(allow_list.holders)
        if allow_list.enabled and allow_list.only_listed
        else None,
        **of_payments,
        mint_minor=minor(issuance.mint, "/issuance/mint"),
        issuance_day_minor=issuance_day_minor,
        supply_minor=minor(issuance.supply, "/issuance/supply"),
        allowances_minor=None
        if allowances is None
        else {
            principal_id: _amount(amount, scale, f"/issuance/minter_allowances/{principal_id}")
            for principal_id, amount in allowances.items()
        },
        purpose_required_into=_countries(document.purposes.required_into),
        purposes=_purposes(document),
        corridors=_corridors(document, currency, scale),
        rules=rules,
        counted=frozenset(
            name
            for name in _COUNTED_NAMES
            if set_limits[f"{name}_minor"] is not None or f"used.{name}_minor" in read
        ),
        checkers={
            kind: tuple(
                (0 if row.above is None else _amount(row.above, scale, f"/approvals/{kind}"), row.checkers)
                for row in getattr(document.approvals, kind)
            )
            for kind in type(document.approvals).model_fields
            if getattr(document.approvals, kind)
        },
        breaker=_breaker(document, scale),
        reconciliation=_reconciliation(document, scale),
    )


def _breaker(document: PolicyDocument, scale: int) -> BreakerTerms | None:
    asked = document.breaker
    if asked.mints is None and asked.amount is None:
        return None
    amount_max_minor = None if asked.amount is None else _amount(asked.amount, scale, "/breaker/amount")
    return BreakerTerms(asked.window_seconds, asked.mints, amount_max_minor)


def _reconciliation(document: PolicyDocument, scale: int) -> ReconciliationTerms:
    asked = document.reconciliation
    return ReconciliationTerms(
        asked.backing,
        asked.bank_data_age_max_hours,
        0 if asked.tolerance is None else _amount(asked.tolerance, scale, "/reconciliation/tolerance"),
        asked.sequence_gaps_accepted,
        asked.due_hours.model_dump(),
    )


def _amount(amount: str, scale: int, pointer: str) -> int:
    try:
        return parse_amount(amount, scale)
    except AmountMalformedError as error:
        raise AmountMalformedError(error.detail, pointer=pointer) from None


def _country(code: str, pointer: str) -> str:
    try:
        return code if code == ANY else check_country(code)
    except CountryUnknownError:
        raise CountryUnknownError(pointer=pointer) from None


def _countries(codes: list[str]) -> frozenset[str]:
    return frozenset(_country(code, f"/purposes/required_into/{number}") for number, code in enumerate(codes))


def _purposes(document: PolicyDocument) -> frozenset[str] | None:
    if document.purposes.codes is not None:
        return frozenset(document.purposes.codes)
    return PURPOSE_CODES if document.purposes.required_into else None


def _corridors(document: PolicyDocument, currency: str, scale: int) -> Corridors | None:
    table = document.corridors
    purposes = _purposes(document)
    rows: list[Corridor] = []
    ids: set[str] = set()
    for number, row in enumerate(table.rows):
        pointer = f"/corridors/rows/{number}"
        if row.id is not None:
            if row.id in ids:
                raise PolicyRuleDuplicateError(pointer=f"{pointer}/id")
            ids.add(row.id)
        if purposes is not None and row.purpose != ANY and row.purpose not in purposes:
            raise PolicyPurposeUnknownError(pointer=f"{pointer}/purpose")
        corridor = _corridor(row, number, scale, pointer)
        if row.currency in {ANY, currency}:
            rows.append(corridor)
    return Corridors(rows, table.otherwise) if table.enabled else None


def _corridor(row: CorridorRow, number: int, scale: int, pointer: str) -> Corridor:
    if row.quota_day is not None and (row.action != "allow" or row.id is None):
        raise PolicyCorridorInvalidError(pointer=pointer)
    return Corridor(
        f"corridors/{row.id or number}",
        (
            _country(row.payer_country, f"{pointer}/payer_country"),
            _country(row.payer_residency, f"{pointer}/payer_residency"),
            _country(row.payee_country, f"{pointer}/payee_country"),
            _country(row.payee_residency, f"{pointer}/payee_residency"),
            row.purpose,
        ),
        row.action,
        None if row.quota_day is None else _amount(row.quota_day, scale, f"{pointer}/quota_day"),
    )


def _rules(rules: list[Rule]) -> dict[str, tuple[CompiledRule, ...]]:
    """Return each kind's rules in the order of the document."""
    found: dict[str, list[CompiledRule]] = {}
    ids: set[str] = set()
    for number, rule in enumerate(rules):
        pointer = f"/rules/{number}"
        if rule.id in ids:
            raise PolicyRuleDuplicateError(pointer=f"{pointer}/id")
        ids.add(rule.id)
        if rule.code in REFUSALS:
            raise PolicyCodeReservedError(pointer=f"{pointer}/code")
        expression = compile_expression(rule.when, f"{pointer}/when")
        named = {*expression.names, *(name.partition(".")[0] for name in expression.names)}
        if not all(
            _ABSENT_FROM_OTHERS[name].issuperset(rule.on) for name in named & _ABSENT_FROM_OTHERS.keys()
        ):
            raise PolicyFactAbsentError(pointer=f"{pointer}/when")
        compiled = CompiledRule(f"rules/{rule.id}", expression, rule.effect, rule.code, rule.message)
        for kind in dict.fromkeys(rule.on):
            found.setdefault(kind, []).append(compiled)
    return {kind: tuple(of_kind) for kind, of_kind in found.items()}
