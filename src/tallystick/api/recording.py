"""What the edge knows of each request for the audit trail, and the one place where it is put on record.

Routes only note facts. Whether there is an entry is decided here, once the answer is known and before any of it is
sent: a refusal, an auditor's reading and whatever else isn't in the signed log is durable before anybody is told.
"""

import hashlib
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl

from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tallystick import participants, tokens
from tallystick.api.attempts import Attempt, attempt_of, source_of
from tallystick.api.problems import problem_response
from tallystick.audit import Decision, Draft
from tallystick.core.errors import DomainError, UnavailableError
from tallystick.core.ids import ID_PATTERN
from tallystick.participants import Principal, Role
from tallystick.tokens import InternalError, Kind, Outcome, SubmissionOutcome

__all__ = ["Trail", "drafted_write", "note_batch", "note_instruction"]

# What these settle is somebody else's instruction: the log tells who asked, the trail tells who decided.
_DECIDES_ANOTHERS: Final = frozenset({Kind.APPROVE, Kind.REJECT, Kind.DEPOSIT_ASSIGNMENT})
# Only what can be an id of ours is kept of a path, a query or a body: people may write anything there.
_IS_OURS: Final = re.compile(ID_PATTERN, re.ASCII)
_IS_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_CODE: Final = re.compile(r"[A-Za-z0-9_.\-]{1,64}", re.ASCII)
_CODES_MAX: Final = 50
_QUERY_LENGTH_MAX: Final = 2_048
# What is counted within one issuer, and so names nothing by itself.
_COUNTED: Final = frozenset({"event_index"})
_INDEX_LENGTH_MAX: Final = 19


class Trail:
    """Puts attempts on record between the caller and the routes; what can't be recorded is answered 503 instead."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        attempt = scope["attempt"] = Attempt()
        withheld = False

        async def send_once_recorded(message: Message) -> None:
            nonlocal withheld
            if withheld:
                return
            if not attempt.is_recorded and message["type"] == "http.response.start":
                attempt.is_recorded = True
                try:
                    await _record(scope, attempt, message["status"])
                except UnavailableError as unavailable:
                    withheld = True
                    await problem_response(unavailable)(scope, receive, send)
                    return
            await send(message)

        try:
            await self.app(scope, receive, send_once_recorded)
        except ClientDisconnect:
            raise
        except Exception:
            if not attempt.is_recorded and attempt.principal is not None:
                attempt.refusal = InternalError()
                await _record(scope, attempt, HTTPStatus.INTERNAL_SERVER_ERROR)
            raise
        finally:
            # Each holds the other. Left to the collector they made it stop everybody, every few thousand requests.
            attempt.routed = None


def note_instruction(request: Request, asked: tokens.Request, outcome: Outcome) -> None:
    """Note what the write path made of an instruction. What it settled for its caller is kept by the log already."""
    attempt = attempt_of(request.scope)
    if outcome.refusal is not None:
        named = asked.related_id or asked.payer_account_id or asked.payee_account_id or asked.token_class_id
        attempt.subject_id = named if named is not None and _IS_OURS.fullmatch(named) else None
        return
    attempt.subject_id = outcome.resource_id
    attempt.event_index = outcome.event_index
    if outcome.replayed:
        attempt.decision = Decision.REPLAYED
    elif outcome.status == HTTPStatus.ACCEPTED:
        attempt.decision = Decision.PENDING
    elif outcome.event_index is None or asked.kind in _DECIDES_ANOTHERS:
        attempt.decision = Decision.SETTLED
    else:
        attempt.is_recorded = True


def note_batch(request: Request, settled: SubmissionOutcome) -> None:
    """Note what became of a batch: one entry that counts its refused items by code, none if the log has it all."""
    assert settled.batch is not None
    attempt = attempt_of(request.scope)
    if settled.batch.refusal is not None:
        return
    attempt.subject_id = settled.batch.resource_id
    refusals = [one.refusal for one in settled.outcomes if one.refusal is not None]
    if settled.batch.replayed:
        attempt.decision = Decision.REPLAYED
    elif settled.batch.status == HTTPStatus.ACCEPTED:
        attempt.decision = Decision.PENDING
    elif refusals:
        attempt.decision = Decision.PARTIAL
        attempt.reasons = _counted([refusal.code for refusal in refusals])
    elif any(one.status == HTTPStatus.ACCEPTED for one in settled.outcomes):
        attempt.decision = Decision.PENDING
    elif any(one.replayed for one in settled.outcomes):
        # What was sent before under keys of its own is in the log, but not as part of this batch.
        attempt.decision = Decision.SETTLED
    else:
        attempt.is_recorded = True


def drafted_write(request: Request) -> Callable[[Outcome], Draft]:
    """Return how to draft the entry of a write that isn't an instruction, for the write's own transaction."""
    attempt = attempt_of(request.scope)

    def draft(outcome: Outcome) -> Draft:
        attempt.subject_id = outcome.resource_id
        decision = Decision.REPLAYED if outcome.replayed else Decision.SETTLED
        return _draft(request.scope, attempt, decision, outcome.status)

    return draft


async def _record(scope: Scope, attempt: Attempt, status: int) -> None:
    principal = attempt.principal
    if principal is None:
        if attempt.named_key is not None:
            issuer_id, _ = attempt.named_key
            draft = _draft(scope, attempt, Decision.REFUSED, status)
            await attempt.service.record_stray(issuer_id, draft)
        return
    decision = _decision(attempt, principal, scope["method"], status)
    if decision is None:
        return
    draft = _draft(scope, attempt, decision, status)
    if decision == Decision.FAILED:
        # The database may be what failed. The caller learns that at once, and nothing was done or told.
        attempt.service.record_soon(principal.issuer_id, draft)
    else:
        await attempt.service.record(principal.issuer_id, draft)


def _decision(attempt: Attempt, principal: Principal, method: str, status: int) -> Decision | None:
    """Return what became of the attempt, or None for a reading by the bank's own people or customers."""
    if attempt.refusal is not None or status >= HTTPStatus.BAD_REQUEST:
        return Decision.FAILED if status >= HTTPStatus.INTERNAL_SERVER_ERROR else Decision.REFUSED
    if attempt.decision is not None:
        return Decision(attempt.decision)
    if method == "GET":
        return Decision.READ if Role.AUDITOR in principal.roles else None
    # A write that noted nothing: a route that is added without a thought leaves its entry all the same.
    return Decision.SETTLED


def _draft(scope: Scope, attempt: Attempt, decision: Decision, status: int) -> Draft:
    # The framework may hand routes a copy of the scope with more in it.
    routed = attempt.routed or scope
    principal, refusal = attempt.principal, attempt.refusal
    issuer_and_key = attempt.named_key or _presented_key(scope)
    request_hash = attempt.request_hash
    if request_hash is None and scope["method"] == "GET":
        request_hash = _target_hash(scope)
    return Draft(
        operation=_operation(routed),
        decision=decision,
        method=scope["method"],
        status=int(status),
        principal_id=None if principal is None else principal.id,
        person=None if principal is None else principal.person,
        key_id=None if issuer_and_key is None else issuer_and_key[1],
        subject_id=_id_in_path(routed) or attempt.subject_id or _id_in_query(scope),
        source=source_of(scope),
        request_id=scope["request_id"].decode() if "request_id" in scope else None,
        request_hash=request_hash,
        code=None if refusal is None else refusal.code,
        event_index=attempt.event_index,
        reasons=attempt.reasons if refusal is None else _reasons(refusal),
    )


def _operation(scope: Scope) -> str:
    """Return what the route calls itself, or its path's template; never the path as it was sent."""
    named = getattr(scope.get("endpoint"), "operation", None) or getattr(scope.get("route"), "path", None)
    return str(named or "unknown")


def _id_in_path(scope: Scope) -> str | None:
    found = scope.get("path_params", {}).items()
    return next((value for name, value in found if _is_kept(name, value)), None)


def _is_kept(name: str, value: str) -> bool:
    if name in _COUNTED:
        return value.isascii() and value.isdecimal() and len(value) <= _INDEX_LENGTH_MAX
    is_day = name == "business_date" and _IS_DAY.fullmatch(value) is not None
    return is_day or _IS_OURS.fullmatch(value) is not None


def _id_in_query(scope: Scope) -> str | None:
    query: bytes = scope.get("query_string", b"")
    # As many as a route takes, and then some; anything that is odd was refused for it.
    asked = parse_qsl(query.decode("latin-1")[:_QUERY_LENGTH_MAX]) if query else []
    return next((value for name, value in asked if name.endswith("_id") and _IS_OURS.fullmatch(value)), None)


def _presented_key(scope: Scope) -> tuple[str, str] | None:
    for name, value in scope["headers"]:
        if name == b"authorization":
            return participants.named_key(value.decode("latin-1").partition(" ")[2].strip())
    return None


def _target_hash(scope: Scope) -> bytes:
    """Return the SHA-256 of a reading's request target as it was sent, so that a question can be told again."""
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope.get("query_string", b"")
    return hashlib.sha256(path.partition(b"?")[0] + (b"?" + query if query else b"")).digest()


def _reasons(refusal: DomainError) -> dict[str, int] | None:
    """Count the codes that a refusal carries beside its own: every reason of a decision, or the items of a batch."""
    members: dict[str, Any] = refusal.members
    codes = [*members.get("reasons", ()), *(item.get("code") for item in members.get("items", ()))]
    return _counted([code for code in codes if isinstance(code, str)]) or None


def _counted(codes: list[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for code in codes:
        if _CODE.fullmatch(code) and (code in counts or len(counts) < _CODES_MAX):
            counts[code] = counts.get(code, 0) + 1
    return counts
