"""Every limit that a policy sets, as a list to be shown: what it limits, for whom, and what of it is used.

The limits are the very terms that `compiled` decides by, and their keys those that it counts under; nothing here
decides. What is told may be out of date a moment later.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from tallystick.policy import subjects
from tallystick.policy.terms import Terms
from tallystick.policy.usage import UsageBook

__all__ = ["AMOUNT", "MINTS_COUNTED", "Issued", "Limit", "LimitState", "limits_of", "states_of"]

AMOUNT: Final = "amount"
MINTS_COUNTED: Final = "mints"


class Limit(NamedTuple):
    """One limit of a class's policy.

    `unit` is `amount` (minor units) or `mints` (how many). `period` says over what it is used up: `each` (every
    instruction for itself), `rolling_day`, `ever`, `supply` (what exists now) or `window` (`window_seconds`).
    `subject_id` is the account, holder, principal, class or corridor that it counts for; None where it is one for each
    and none was named. `code` is what a refusal is named by; of an approvals' row, above whose `limit` so many
    `checkers` are asked, it is None. `key` is where its usage is kept.
    """

    name: str
    rule_id: str
    code: str | None
    period: str
    unit: str
    limit: int
    subject_id: str | None = None
    key: str | None = None
    window_seconds: int | None = None
    checkers: int | None = None

    @property
    def part(self) -> str:
        """The policy document's member that sets it: `limits`, `issuance`, `corridors`, `approvals` or `breaker`."""
        return self.rule_id.partition("/")[0]


class Issued(NamedTuple):
    """What the books and the log say of a class: its supply, and the mints within the breaker's window."""

    supply_minor: int
    mints: int
    minted_minor: int


class LimitState(NamedTuple):
    """A limit, what of it is used (None: nothing is counted, or it isn't told for whom), and what is left."""

    limit: Limit
    used: int | None
    headroom: int | None


def limits_of(
    terms: Terms, token_class_id: str, payer: tuple[str, str] | None = None, minter_id: str | None = None
) -> list[Limit]:
    """Return every limit that is set, in the order of the policy document.

    `payer` is an account and its holder, whose own limits then have a subject. `minter_id` keeps of the allowances
    that maker's alone: none is an allowance of nothing.
    """
    return [
        *_of_payments(terms, token_class_id, payer),
        *_of_issuance(terms, token_class_id, minter_id),
        *_of_corridors(terms, token_class_id),
        *_of_approvals(terms),
        *_of_breaker(terms, token_class_id),
    ]


def states_of(limits: list[Limit], usage: UsageBook, issued: Issued) -> list[LimitState]:
    """Return each limit with what is used of it; `usage` holds the limits' keys."""
    return [_state(one, _used(one, usage, issued)) for one in limits]


def _state(limit: Limit, used: int | None) -> LimitState:
    if limit.period == "each":
        return LimitState(limit, None, limit.limit)
    return LimitState(limit, used, None if used is None else max(limit.limit - used, 0))


def _used(limit: Limit, usage: UsageBook, issued: Issued) -> int | None:
    if limit.period == "supply":
        return issued.supply_minor
    if limit.period == "window":
        return issued.mints if limit.unit == MINTS_COUNTED else issued.minted_minor
    if limit.key is None:
        return None
    return usage.total_minor(limit.key) if limit.period == "ever" else usage.used_minor(limit.key)


def _of_payments(terms: Terms, class_id: str, payer: tuple[str, str] | None) -> list[Limit]:
    account_id, holder_id = payer or (None, None)
    found = []
    if terms.transaction_minor is not None:
        found.append(_amount("transaction", "limits", "each", terms.transaction_minor))
    if terms.payer_day_minor is not None:
        of_account = _amount("payer_day", "limits", "rolling_day", terms.payer_day_minor)
        key = None if account_id is None else subjects.payer_day(account_id)
        found.append(of_account._replace(subject_id=account_id, key=key))
    if terms.pair_day_minor is not None:
        # One for every pair of holders: which is not told here.
        found.append(_amount("pair_day", "limits", "rolling_day", terms.pair_day_minor))
    if terms.holder_day_minor is not None:
        of_holder = _amount("holder_day", "limits", "rolling_day", terms.holder_day_minor)
        key = None if holder_id is None else subjects.holder_day(class_id, holder_id)
        found.append(of_holder._replace(subject_id=holder_id, key=key))
    return found


def _of_issuance(terms: Terms, class_id: str, minter_id: str | None) -> list[Limit]:
    found = []
    if terms.mint_minor is not None:
        found.append(_amount("mint", "issuance", "each", terms.mint_minor))
    if terms.issuance_day_minor is not None:
        of_day = _amount(
            "issuance_day", "issuance", "rolling_day", terms.issuance_day_minor, rule_id="issuance/day"
        )
        found.append(of_day._replace(subject_id=class_id, key=subjects.issuance_day(class_id)))
    if terms.supply_minor is not None:
        of_supply = _amount("supply", "issuance", "supply", terms.supply_minor, code="supply_cap_exceeded")
        found.append(of_supply._replace(subject_id=class_id))
    allowances: Mapping[str, int] = terms.allowances_minor or {}
    if minter_id is not None and terms.allowances_minor is not None:
        allowances = {minter_id: allowances.get(minter_id, 0)}
    for principal_id, allowance_minor in sorted(allowances.items()):
        of_minter = _amount(
            "minter_allowance",
            "issuance",
            "ever",
            allowance_minor,
            rule_id="issuance/minter_allowances",
            code="minter_allowance_exceeded",
        )
        key = subjects.minter(class_id, principal_id)
        found.append(of_minter._replace(subject_id=principal_id, key=key))
    return found


def _of_corridors(terms: Terms, class_id: str) -> list[Limit]:
    return [
        Limit(
            "corridor_day",
            row.rule_id,
            "corridor_quota_exceeded",
            "rolling_day",
            AMOUNT,
            row.quota_minor or 0,
            subject_id=row.id,
            key=subjects.corridor_day(class_id, row.id),
        )
        for row in (terms.corridors.with_quota if terms.corridors is not None else ())
    ]


def _of_approvals(terms: Terms) -> list[Limit]:
    return [
        Limit(kind, f"approvals/{kind}", None, "each", AMOUNT, above_minor, checkers=checkers)
        for kind, rows in terms.checkers.items()
        for above_minor, checkers in rows
    ]


def _of_breaker(terms: Terms, class_id: str) -> list[Limit]:
    breaker = terms.breaker
    if breaker is None:
        return []
    found = []
    for name, unit, limit in (
        ("mints", MINTS_COUNTED, breaker.mints_max),
        ("amount", AMOUNT, breaker.amount_max_minor),
    ):
        if limit is not None:
            found.append(
                Limit(
                    f"breaker_{name}",
                    f"breaker/{name}",
                    "breaker_tripped",
                    "window",
                    unit,
                    limit,
                    subject_id=class_id,
                    window_seconds=breaker.window_seconds,
                )
            )
    return found


def _amount(
    name: str,
    part: str,
    period: str,
    limit_minor: int,
    *,
    rule_id: str | None = None,
    code: str | None = None,
) -> Limit:
    return Limit(
        name, rule_id or f"{part}/{name}", code or f"{name}_limit_exceeded", period, AMOUNT, limit_minor
    )
