"""Whether an instruction may be done at all: pure decisions over facts that the write path has read under lock.

Each token class has rules of its own, in versions that two people let into force, or the shipped ones. They decide
inside the write path, and the event names the version that decided.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from tallystick import participants
from tallystick.core.clock import Clock
from tallystick.core.errors import InvariantError
from tallystick.core.ids import new_id
from tallystick.core.pipeline import Asked, Pipeline, pipelined
from tallystick.participants import Principal
from tallystick.policy import store
from tallystick.policy.compiled import CompiledPolicy
from tallystick.policy.differences import Difference, differences
from tallystick.policy.documents import PolicyDocument, read_document, written_out
from tallystick.policy.facts import ALLOW, DENY, REFER, ClassFacts, Decision, Facts, Party, Reason
from tallystick.policy.in_force import (
    PoliciesInForce,
    compiled_before,
    compiled_now,
    compiled_version,
    shipped_policy,
)
from tallystick.policy.kinds import SUPPLY_SIGN
from tallystick.policy.limits import Issued, Limit, LimitState, states_of
from tallystick.policy.refusals import REFUSALS
from tallystick.policy.shipped import SHIPPED_DOCUMENT, SHIPPED_VERSION
from tallystick.policy.terms import BreakerTerms, ReconciliationTerms, make_terms
from tallystick.policy.usage import Usage, UsageBook, hour_of, stored
from tallystick.policy.versions import (
    Policy,
    PolicyNotFoundError,
    PolicyStateConflictError,
    approved,
    retired,
)

__all__ = [
    "ALLOW",
    "DENY",
    "REFER",
    "REFUSALS",
    "SUPPLY_SIGN",
    "BreakerTerms",
    "ClassFacts",
    "CompiledPolicy",
    "Decision",
    "Difference",
    "Facts",
    "Issued",
    "Limit",
    "LimitState",
    "Party",
    "PoliciesInForce",
    "Policy",
    "PolicyDocument",
    "PolicyNotFoundError",
    "PolicyStateConflictError",
    "Reason",
    "ReconciliationTerms",
    "Usage",
    "UsageBook",
    "activate",
    "check_activation",
    "check_retirement",
    "compile_document",
    "difference",
    "draft",
    "every_version",
    "explain",
    "hour_of",
    "limits",
    "policies",
    "policies_in_force",
    "policy",
    "read_document",
    "read_usage",
    "retire",
    "shipped_policy",
    "simulate",
    "stored",
    "write_usage",
]

_PAGE: Final = 500


def draft(
    connection: Connection,
    clock: Clock,
    author: Principal,
    *,
    token_class_id: str,
    document: PolicyDocument,
    effective_from: datetime | None = None,
) -> Policy:
    """Keep a document as the class's next version, which decides nothing yet.

    Raises TokenClassNotFoundError, and for a document that would not work what `compile_document` raises.
    """
    of_class = participants.token_class(connection, author.issuer_id, token_class_id)
    whole, canonical = written_out(document)
    make_terms(document, of_class.currency, of_class.scale)
    now = clock.now()
    new = Policy(
        issuer_id=author.issuer_id,
        id=new_id("policy"),
        token_class_id=of_class.id,
        version=store.read_last_version(connection, author.issuer_id, of_class.id) + 1,
        currency=of_class.currency,
        scale=of_class.scale,
        effective_from=effective_from or now,
        document=whole,
        content_hash=hashlib.sha256(canonical).digest(),
        author_principal_id=author.id,
        author_person=author.person,
        created_at=now,
        approved_at=None,
        active_from=None,
        retired_at=None,
        approval_hashes=[],
    )
    # Two drafts at once ask for one version: the unique key lets one in, and the caller tries again.
    store.insert_policy(connection, new)
    return new


def policy(connection: Connection, issuer_id: str, policy_id: str) -> Policy:
    """Return one version or raise PolicyNotFoundError."""
    found = store.read_policy(connection, issuer_id, policy_id)
    if found is None:
        raise PolicyNotFoundError
    return found


def policies(
    connection: Connection,
    issuer_id: str,
    *,
    token_class_id: str | None = None,
    after: str = "",
    limit: int = 100,
) -> list[Policy]:
    """Return a page of versions in the order they were drafted."""
    return store.read_policies(connection, issuer_id, token_class_id, after, limit)


def difference(
    connection: Connection, issuer_id: str, policy_id: str, at: datetime
) -> tuple[str, list[Difference]]:
    """Return what a version changes of the rules in force in its class at a moment, and which version those are.

    Both documents are written out, so that a default counts as what it means. Raises PolicyNotFoundError.
    """
    found = policy(connection, issuer_id, policy_id)
    with pipelined(connection) as pipeline:
        asked = store.read_in_force(pipeline, issuer_id, (), at, list)
    for row in asked.result():
        if row.token_class_id == found.token_class_id:
            return f"{row.id}/{row.version}", differences(row.document, found.document)
    shipped, _ = written_out(read_document(SHIPPED_DOCUMENT))
    return SHIPPED_VERSION, differences(shipped, found.document)


def check_activation(connection: Connection, clock: Clock, issuer_id: str, policy_id: str) -> Policy:
    """Return the draft that may be put before another person.

    Raises PolicyNotFoundError, PolicyStateConflictError.
    """
    found = policy(connection, issuer_id, policy_id)
    approved(found, (), [], clock.now())
    return found


def activate(
    connection: Connection, clock: Clock, issuer_id: str, policy_id: str, approval_hashes: Sequence[bytes]
) -> Policy:
    """Let an approved draft into force, from its `effective_from` or from now, and end the version that it follows.

    `approval_hashes` are the hashes of the votes that let it through. The caller holds the issuer's log head, so that
    no batch is half way through meanwhile. Raises PolicyNotFoundError, PolicyStateConflictError.
    """
    if not approval_hashes:
        raise InvariantError("a policy is activated without an approval")
    found, others = _lock(connection, issuer_id, policy_id)
    changed = approved(found, others, list(approval_hashes), clock.now())
    _write(connection, changed)
    return changed[0]


def check_retirement(connection: Connection, clock: Clock, issuer_id: str, policy_id: str) -> Policy:
    """Return the version whose retirement may be put before another person.

    Raises PolicyNotFoundError, PolicyStateConflictError.
    """
    found = policy(connection, issuer_id, policy_id)
    retired(found, (), clock.now())
    return found


def retire(connection: Connection, clock: Clock, issuer_id: str, policy_id: str) -> Policy:
    """Take a version out of force; see `versions.retired` for what takes its place.

    The caller holds the issuer's log head. Raises PolicyNotFoundError, PolicyStateConflictError.
    """
    found, others = _lock(connection, issuer_id, policy_id)
    changed = retired(found, others, clock.now())
    _write(connection, changed)
    return changed[0]


def policies_in_force(pipeline: Pipeline, issuer_id: str, at: datetime) -> Asked[PoliciesInForce]:
    """Ask which rules decide in each of the issuer's classes at a moment."""
    known = compiled_before(issuer_id)
    return store.read_in_force(
        pipeline, issuer_id, known, at, lambda found: compiled_now(issuer_id, found, known)
    )


def every_version(connection: Connection, issuer_id: str) -> dict[str, CompiledPolicy]:
    """Return the rules of every version that there ever was, by the name that events have for it.

    One whose document is not what was hashed is left out.
    """
    found: dict[str, CompiledPolicy] = {}
    after = ""
    while page := policies(connection, issuer_id, after=after, limit=_PAGE):
        for one in page:
            compiled = compiled_version(one)
            if compiled is not None:
                found[compiled.version] = compiled
        after = page[-1].id
    return found


def compile_document(document: PolicyDocument, currency: str, scale: int, version: str) -> CompiledPolicy:
    """Return a document's rules for classes of this currency and scale, without keeping them.

    Raises AmountMalformedError, CountryUnknownError, PolicyCodeReservedError, PolicyCorridorInvalidError,
    PolicyDocumentTooLargeError, PolicyExpressionInvalidError, PolicyExpressionTooLargeError,
    PolicyExpressionTypeError, PolicyFactAbsentError, PolicyFactUnknownError, PolicyFunctionNotAllowedError,
    PolicyNumberNotIntegerError, PolicyPurposeUnknownError, PolicyRuleDuplicateError.
    """
    written_out(document)
    return CompiledPolicy(make_terms(document, currency, scale), version)


def read_usage(pipeline: Pipeline, issuer_id: str, keys: Iterable[str], at: datetime) -> Asked[UsageBook]:
    """Ask what these subjects have used by `at`, which is best the moment of booking: that never runs backwards.

    Whoever will count holds the issuer's log head until the commit.
    """
    return store.read_usage(pipeline, issuer_id, sorted(set(keys)), hour_of(at))


def write_usage(pipeline: Pipeline, issuer_id: str, book: UsageBook) -> None:
    """Write what was counted; nothing where nothing was."""
    if book.changed():
        store.write_usage(pipeline, issuer_id, book)


def explain(decision: Decision) -> dict[str, Any]:
    """Return a decision as JSON, with every reason."""
    return {
        "effect": decision.effect,
        "reasons": [one._asdict() for one in decision.reasons],
        "policy_version": decision.version,
    }


def simulate(
    connection: Connection, issuer_id: str, facts: Facts, at: datetime, *, supply_minor: int | None = None
) -> dict[str, Any]:
    """Return what the rules in force would say of an instruction, as `explain` tells it, and write nothing.

    Nothing is locked: what is told may be out of date a moment later. `supply_minor` is the class's supply, which is
    asked for where `CompiledPolicy.needs_supply`.
    """
    with pipelined(connection) as pipeline:
        asked = policies_in_force(pipeline, issuer_id, at)
    decides = asked.result().of(facts.of_class)
    with pipelined(connection) as pipeline:
        counted = read_usage(pipeline, issuer_id, decides.usage_keys(facts), at)
    usage = counted.result()
    if supply_minor is not None:
        usage.set_supply(facts.of_class.token_class_id, supply_minor)
    return explain(decides.decide(facts, usage))


def limits(
    connection: Connection,
    issuer_id: str,
    of_class: ClassFacts,
    at: datetime,
    *,
    tell_issued: Callable[[int | None], Issued],
    payer: tuple[str, str] | None = None,
    minter_id: str | None = None,
) -> tuple[str, list[LimitState]]:
    """Return the version in force in a class, and every limit that it sets with what is used of it by `at`.

    Nothing is locked: what is told may be out of date a moment later. `payer` is an account and its holder, for whom
    what is counted by account and holder is told; `minter_id` keeps of the allowances that maker's alone. `tell_issued`
    returns what was issued, in the breaker's window of so many seconds where there is one.
    """
    with pipelined(connection) as pipeline:
        asked = policies_in_force(pipeline, issuer_id, at)
    decides = asked.result().of(of_class)
    found = decides.limits(of_class.token_class_id, payer, minter_id)
    with pipelined(connection) as pipeline:
        counted = read_usage(pipeline, issuer_id, [one.key for one in found if one.key is not None], at)
    issued = tell_issued(None if decides.breaker is None else decides.breaker.window_seconds)
    return decides.version, states_of(found, counted.result(), issued)


def _lock(connection: Connection, issuer_id: str, policy_id: str) -> tuple[Policy, list[Policy]]:
    """Lock every version of the policy's class; return it and the others."""
    of_class = policy(connection, issuer_id, policy_id).token_class_id
    versions = store.lock_versions(connection, issuer_id, of_class)
    [found] = [one for one in versions if one.id == policy_id]
    return found, [one for one in versions if one.id != policy_id]


def _write(connection: Connection, changed: Sequence[Policy]) -> None:
    for one in changed:
        store.update_life(connection, one)
