"""Taking in a status report: each once, by name and content; a rejection gives the tokens back, the rest is noted.

Before anything is given back, the statements that are there are looked at: what a debit has paid is not rejected any
more. What contradicts the books is left to people.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from tallystick import payouts, statements, tokens
from tallystick.core.errors import ConflictError
from tallystick.core.ids import new_id
from tallystick.participants import Principal
from tallystick.payout_replies.following import follow, leave_to_people, step_request, submit
from tallystick.payout_replies.status_reports import ParsedStatus, ParsedTransaction
from tallystick.payouts import FindingKind, NewStatusItem, StatusItem, StatusMessage
from tallystick.tokens import Instruction, Kind, Settler, State

__all__ = ["PayoutStatusConflictError", "TakenStatus", "take_in_status"]

_REJECTED: Final = "RJCT"
_IN_PARTS: Final = "PART"
_ACCEPTED_STATES: Final = frozenset({State.SETTLED, State.RETURNED, State.GIVEN_BACK})


class PayoutStatusConflictError(ConflictError):
    """Another report came under this message id before: the bank's ids name one message."""

    code = "payout_status_conflict"
    title = "Another status report has this message id"


@dataclass(frozen=True, slots=True)
class TakenStatus:
    """A report as it is kept; `imported` is False if it was there before and nothing was changed."""

    message: StatusMessage
    items: tuple[StatusItem, ...]
    imported: bool


def take_in_status(
    connection: Connection, settler: Settler, receiver: Principal, content: bytes, parsed: ParsedStatus
) -> TakenStatus:
    """Keep a report and do what it says; the caller commits. Raises PayoutStatusConflictError.

    The same report again changes nothing, twice at once too: reports of an issuer stand in line.
    """
    issuer_id = receiver.issuer_id
    content_hash = hashlib.sha256(content).digest()
    payouts.lock_statuses(connection, issuer_id)
    known = payouts.status_known(connection, issuer_id, parsed.message_id, content_hash)
    if known is not None:
        if known.content_hash != content_hash:
            raise PayoutStatusConflictError(existing_id=known.id)
        return TakenStatus(
            known, tuple(payouts.status_items_of(connection, issuer_id, known.id)), imported=False
        )
    message = StatusMessage(
        issuer_id,
        new_id("payout_status"),
        parsed.message_id,
        content_hash,
        parsed.created_at,
        receiver.id,
        settler.clock.now(),
    )
    items, unknown = _items(connection, issuer_id, parsed)
    for class_id in sorted(_classes(connection, issuer_id, items)):
        follow(connection, settler, issuer_id, class_id)
    payouts.add_status(connection, message, items)
    for subject in unknown:
        leave_to_people(
            connection,
            settler,
            issuer_id,
            FindingKind.STATUS_UNKNOWN_PAYOUT,
            source_id=message.id,
            payout_id=None,
            subject=subject,
            detail="The report tells of a payment that is in no such file of ours.",
        )
    _act(connection, settler, message, items)
    return TakenStatus(
        message, tuple(payouts.status_items_of(connection, issuer_id, message.id)), imported=True
    )


def _items(
    connection: Connection, issuer_id: str, parsed: ParsedStatus
) -> tuple[list[NewStatusItem], list[str]]:
    """Return what the report says of each payout, and what it names that is in no such file."""
    file = payouts.file_of_message(connection, issuer_id, parsed.original_message_id)
    in_file = (
        [] if file is None else [one.payout_id for one in payouts.file_items(connection, issuer_id, file.id)]
    )
    named = statements.payouts_named(
        connection,
        issuer_id,
        [one.uetr for one in parsed.transactions],
        [text for one in parsed.transactions for text in (one.end_to_end_id, one.instruction_id)],
    )
    items: list[NewStatusItem] = []
    unknown: list[str] = []
    seen: set[str] = set()
    for one in parsed.transactions:
        payout_id = _payout_of(one, named)
        if payout_id is None or payout_id not in in_file:
            unknown.append(one.uetr or one.end_to_end_id or one.instruction_id or parsed.original_message_id)
            continue
        seen.add(payout_id)
        status = one.status or parsed.status
        if status is not None:
            items.append(
                NewStatusItem(
                    payout_id, status, one.reason_code or parsed.reason_code, one.reason or parsed.reason
                )
            )
    if parsed.status is not None and parsed.status != _IN_PARTS:
        if file is None:
            unknown.append(parsed.original_message_id)
        items += [
            NewStatusItem(payout_id, parsed.status, parsed.reason_code, parsed.reason)
            for payout_id in in_file
            if payout_id not in seen
        ]
    return items, sorted(set(unknown))


def _payout_of(one: ParsedTransaction, named: Mapping[str, str]) -> str | None:
    """Return the payout that all references of a transaction name; None if they name none, or two."""
    told = [(text or "").lower() for text in (one.uetr, one.end_to_end_id, one.instruction_id) if text]
    found = {named.get(text) for text in told}
    return found.pop() if len(found) == 1 else None


def _classes(connection: Connection, issuer_id: str, items: list[NewStatusItem]) -> set[str]:
    found = payouts.payouts(connection, issuer_id, sorted({one.payout_id for one in items}))
    return {one.token_class_id for one in found.values()}


def _act(
    connection: Connection, settler: Settler, message: StatusMessage, items: list[NewStatusItem]
) -> None:
    """Reject what is rejected, in one go, and leave to people what can't be true."""
    issuer_id = message.issuer_id
    ids = sorted({one.payout_id for one in items})
    rows = tokens.instructions_by_id(connection, issuer_id, ids)
    rejected: dict[str, NewStatusItem] = {}
    for one in items:
        row = rows[one.payout_id]
        if one.status == _REJECTED and row.state == State.ACCEPTED:
            rejected.setdefault(one.payout_id, one)
            continue
        kind = _contradiction(one, row, is_rejected=one.payout_id in rejected)
        if kind is not None:
            _leave(
                connection,
                settler,
                message,
                kind,
                one,
                f"The payout is {row.state}; the bank says {one.status}.",
            )
    told = list(rejected.values())
    requests = [
        step_request(
            settler,
            issuer_id,
            Kind.PAYOUT_REJECTION,
            one.payout_id,
            source_id=message.id,
            reason_code=one.reason_code,
            reason=one.reason,
        )
        for one in told
    ]
    for one, code in zip(told, submit(connection, settler, issuer_id, requests), strict=True):
        if code is not None:
            text = f"The bank rejected it, and the account can't take the tokens ({code})."
            _leave(connection, settler, message, FindingKind.GIVE_BACK_REFUSED, one, text)


def _contradiction(one: NewStatusItem, row: Instruction, *, is_rejected: bool) -> FindingKind | None:
    if one.status == _REJECTED:
        return FindingKind.REJECTED_TOO_LATE if row.state in _ACCEPTED_STATES else None
    if row.state == State.REJECTED or is_rejected:
        return FindingKind.ACCEPTED_AFTER_END
    return None


def _leave(
    connection: Connection,
    settler: Settler,
    message: StatusMessage,
    kind: FindingKind,
    one: NewStatusItem,
    detail: str,
) -> None:
    leave_to_people(
        connection,
        settler,
        message.issuer_id,
        kind,
        source_id=message.id,
        payout_id=one.payout_id,
        subject=one.payout_id,
        detail=detail,
    )
