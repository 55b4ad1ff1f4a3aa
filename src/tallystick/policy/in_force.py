"""Which rules decide now: the version in force of each class, compiled once per process; else the shipped rules."""

import hashlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from tallystick.core.canonical_json import canonical_json
from tallystick.core.errors import DomainError, InvariantError
from tallystick.policy.compiled import CompiledPolicy
from tallystick.policy.documents import read_document
from tallystick.policy.facts import ClassFacts
from tallystick.policy.shipped import SHIPPED_DOCUMENT, SHIPPED_VERSION
from tallystick.policy.store import InForce
from tallystick.policy.terms import make_terms
from tallystick.policy.versions import Policy

__all__ = ["PoliciesInForce", "compiled_before", "compiled_now", "compiled_version", "shipped_policy"]

_COMPILED_MAX: Final = 256

# By issuer and policy: a version's content never changes, so what was compiled stays right. Full, it begins anew.
_compiled: dict[tuple[str, str], CompiledPolicy] = {}


class PoliciesInForce:
    """The compiled rules of one issuer's classes at one moment."""

    def __init__(self, by_class: Mapping[str, CompiledPolicy]) -> None:
        self._by_class = by_class

    def of(self, token_class: ClassFacts) -> CompiledPolicy:
        """Return the rules that decide in this class."""
        found = self._by_class.get(token_class.token_class_id)
        return found or shipped_policy(token_class.currency, token_class.scale)


@lru_cache(maxsize=_COMPILED_MAX)
def shipped_policy(currency: str, scale: int) -> CompiledPolicy:
    """Return the shipped rules for classes of this currency and scale."""
    return CompiledPolicy(make_terms(read_document(SHIPPED_DOCUMENT), currency, scale), SHIPPED_VERSION)


def compiled_version(found: Policy) -> CompiledPolicy | None:
    """Return a version's rules; None for a document that is not the one that was hashed, or that is none."""
    of = found
    try:
        return _compile(
            InForce(of.token_class_id, of.id, of.version, of.currency, of.scale, of.content_hash, of.document)
        )
    except (DomainError, InvariantError, ValueError):
        return None


def compiled_before(issuer_id: str) -> dict[str, CompiledPolicy]:
    """Return the issuer's versions that this process has compiled, by policy id."""
    # A copy first: another thread may compile meanwhile.
    return {policy_id: one for (owner, policy_id), one in _compiled.copy().items() if owner == issuer_id}


def compiled_now(
    issuer_id: str, found: Iterable[InForce], known: Mapping[str, CompiledPolicy]
) -> PoliciesInForce:
    """Return what is in force, compiling what `known` doesn't hold.

    Raises InvariantError for a document that is not the one that was hashed.
    """
    by_class: dict[str, CompiledPolicy] = {}
    for row in found:
        compiled = known.get(row.id)
        if compiled is None:
            compiled = _compile(row)
            if len(_compiled) >= _COMPILED_MAX:
                _compiled.clear()
            _compiled[issuer_id, row.id] = compiled
        by_class[row.token_class_id] = compiled
    return PoliciesInForce(by_class)


def _compile(row: InForce) -> CompiledPolicy:
    if row.document is None or hashlib.sha256(canonical_json(row.document)).digest() != row.content_hash:
        raise InvariantError("a policy document is not what was approved")
    terms = make_terms(read_document(row.document), row.currency, row.scale)
    return CompiledPolicy(terms, f"{row.id}/{row.version}")
