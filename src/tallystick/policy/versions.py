"""The life of a policy's versions: draft, approved, active, retired. All but the draft follow from moments.

A version is in force from `active_from` until before `retired_at`. Approving one ends the version that it follows at
the moment that it begins, so that a class's versions never overlap, and which one decides at any moment needs no job:
it is the one whose time it is. Where there is none, the shipped rules decide.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from tallystick.core.errors import ConflictError, NotFoundError

__all__ = ["Policy", "PolicyNotFoundError", "PolicyStateConflictError", "approved", "retired"]


class PolicyNotFoundError(NotFoundError):
    """No such policy of this issuer."""

    code = "policy_not_found"
    title = "No such policy"


class PolicyStateConflictError(ConflictError):
    """A draft may be approved once, and whatever is not retired may be retired."""

    code = "policy_state_conflict"
    title = "The policy's state does not allow this"


@dataclass(frozen=True, slots=True)
class Policy:
    """One version of a class's rules. `document` is written out; `content_hash` is the SHA-256 of its canonical JSON.

    `effective_from` was asked for; `active_from` is when it was, or will be, in force: never before its approval.
    """

    issuer_id: str
    id: str
    token_class_id: str
    version: int
    currency: str
    scale: int
    effective_from: datetime
    document: dict[str, Any]
    content_hash: bytes
    author_principal_id: str
    author_person: str | None
    created_at: datetime
    approved_at: datetime | None
    active_from: datetime | None
    retired_at: datetime | None
    approval_hashes: list[bytes]

    @property
    def label(self) -> str:
        """How events name the version."""
        return f"{self.id}/{self.version}"

    def state_at(self, at: datetime) -> str:
        """Return `draft`, `approved`, `active` or `retired`."""
        if self.retired_at is not None and self.retired_at <= at:
            return "retired"
        if self.active_from is None:
            return "draft"
        return "approved" if at < self.active_from else "active"


def approved(
    draft: Policy, others: Iterable[Policy], approval_hashes: list[bytes], now: datetime
) -> list[Policy]:
    """Return the versions that change when a draft is approved: itself first, then those that it ends.

    Raises PolicyStateConflictError for what is no draft any more.
    """
    _require(draft, now, "draft")
    begins_at = max(draft.effective_from, now)
    scheduled = [one for one in others if one.active_from is not None and _has_time(one)]
    later = [
        one.active_from for one in scheduled if one.active_from is not None and one.active_from > begins_at
    ]
    new = replace(
        draft,
        approved_at=now,
        active_from=begins_at,
        retired_at=min(later, default=None),
        approval_hashes=approval_hashes,
    )
    ended = [
        replace(one, retired_at=begins_at)
        for one in scheduled
        if one.active_from is not None
        and one.active_from <= begins_at
        and (one.retired_at is None or one.retired_at > begins_at)
    ]
    return [new, *ended]


def retired(policy: Policy, others: Iterable[Policy], now: datetime) -> list[Policy]:
    """Return the versions that change when one is retired: itself first.

    One that was only waiting for its day gives its time back to the version before it. One that is in force leaves
    its time to the shipped rules. Raises PolicyStateConflictError for one that is retired.
    """
    _require(policy, now, "draft", "approved", "active")
    changed = [replace(policy, retired_at=now)]
    if policy.state_at(now) == "approved":
        changed += [
            replace(one, retired_at=policy.retired_at)
            for one in others
            if one.id != policy.id and one.retired_at == policy.active_from and _has_time(one)
        ]
    return changed


def _has_time(policy: Policy) -> bool:
    """Tell whether a version is, was or will be in force at any moment."""
    return policy.active_from is not None and (
        policy.retired_at is None or policy.retired_at > policy.active_from
    )


def _require(policy: Policy, now: datetime, *states: str) -> None:
    state = policy.state_at(now)
    if state not in states:
        raise PolicyStateConflictError(f"The policy is {state}.")
