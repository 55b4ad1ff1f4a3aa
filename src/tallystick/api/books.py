"""`/v1/ledger/trial-balance` and `/v1/ledger/supply`: what the books come to, by what was known and by value date."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Final

import orjson
from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from tallystick import ledger, participants
from tallystick.api.access import Caller, StaffCaller
from tallystick.api.pages import RequiredIdQuery
from tallystick.api.signed_books import Asked, RowsHash, Signed, pinned, sign, signer_of, standing
from tallystick.api.times import AsOf, EffectiveOn, standpoint_of
from tallystick.api.views import View
from tallystick.core.money import format_amount
from tallystick.ledger import CHART, CLAIM_CODES, DEBIT_NORMAL_CODES, TrialBalanceRow
from tallystick.signing import Signer

__all__ = ["router", "supply_document", "trial_balance_parts"]

router = APIRouter()

# Each part that is sent costs a change of threads.
_ROWS_PER_PART: Final = 500


class _BooksView(View):
    object: str
    token_class_id: str
    currency: str
    as_of: str | None
    effective_on: str | None
    event_index: int
    supply: str
    issuer_id: str | None = None
    event_hash: str | None = None
    log_size: int | None = None
    signed_at: str | None = None
    signature: str | None = None


class SupplyView(_BooksView):
    """All tokens of a class as of a standpoint. Members from `issuer_id` on are there if the answer is signed."""


class TrialBalanceRowView(View):
    """One ledger account's balance, on its side."""

    ledger_account_id: str
    code: str
    name: str
    account_id: str | None
    debit: str | None
    credit: str | None


class TrialBalanceView(_BooksView):
    """Every balance of a token class as of a standpoint; debits equal credits.

    Members from `issuer_id` on, `row_count` and `rows_hash` are there if the answer is signed.
    """

    rows: list[TrialBalanceRowView]
    debit_total: str
    credit_total: str
    row_count: int | None = None
    rows_hash: str | None = None


@router.get(
    "/v1/ledger/supply",
    tags=["Ledger"],
    summary="Get a token class's supply",
    response_model=SupplyView,
    response_model_exclude_unset=True,
)
def get_supply(
    caller: StaffCaller,
    token_class_id: RequiredIdQuery,
    as_of: AsOf = None,
    effective_on: EffectiveOn = None,
    signed: Signed = False,
) -> Any:
    """Return all tokens of a class now or as of a moment, by value date or by all that was booked."""
    return supply_document(caller, token_class_id, Asked(as_of, effective_on, signed))


@router.get(
    "/v1/ledger/trial-balance",
    tags=["Ledger"],
    summary="Get a trial balance",
    response_class=StreamingResponse,
    responses={
        200: {
            "model": TrialBalanceView,
            "description": "Sent as it is read: the totals and the signature come behind the rows.",
        }
    },
)
def get_trial_balance(
    caller: StaffCaller,
    token_class_id: RequiredIdQuery,
    as_of: AsOf = None,
    effective_on: EffectiveOn = None,
    signed: Signed = False,
) -> StreamingResponse:
    """Return every balance of a token class now or as of a moment, by value date or by all booked, and supply."""
    parts = trial_balance_parts(caller, token_class_id, Asked(as_of, effective_on, signed))
    return StreamingResponse(parts, media_type="application/json")


def supply_document(caller: Caller, token_class_id: str, asked: Asked) -> dict[str, Any]:
    """Return a class's supply as it is answered. Raises TokenClassNotFoundError, SigningKeyUnavailableError."""
    with caller.read() as connection:
        of_class = participants.token_class(connection, caller.issuer_id, token_class_id)
        at = standpoint_of(connection, caller.issuer_id, asked.as_of, asked.effective_on)
        signer = signer_of(caller, connection) if asked.signed else None
        if asked.as_of is None and asked.effective_on is None:
            supply_minor = ledger.supply_minor(connection, caller.issuer_id, of_class.id)
        else:
            supply_minor = ledger.supply_at_minor(connection, caller.issuer_id, of_class.id, at)
        shown = {
            "object": "supply",
            "token_class_id": of_class.id,
            "currency": of_class.currency,
            **standing(at, asked),
            **({} if signer is None else pinned(caller, connection, at.event_index)),
            "supply": format_amount(supply_minor, of_class.scale),
        }
    return shown if signer is None else sign(signer, shown)


def trial_balance_parts(caller: Caller, token_class_id: str, asked: Asked) -> Iterator[bytes]:
    """Return a trial balance as it is answered, in parts that take constant memory.

    Whatever can be refused is refused before the first part: TokenClassNotFoundError, SigningKeyUnavailableError.
    """
    with ExitStack() as opened:
        connection = opened.enter_context(caller.read())
        of_class = participants.token_class(connection, caller.issuer_id, token_class_id)
        at = standpoint_of(connection, caller.issuer_id, asked.as_of, asked.effective_on)
        signer = signer_of(caller, connection) if asked.signed else None
        head = {
            "object": "trial_balance",
            "token_class_id": of_class.id,
            "currency": of_class.currency,
            **standing(at, asked),
            **({} if signer is None else pinned(caller, connection, at.event_index)),
        }
        rows = ledger.stream_trial_balance(connection, caller.issuer_id, of_class.id, at)
        return _told(opened.pop_all(), rows, of_class.scale, head, signer)


def _told(
    opened: ExitStack,
    rows: Iterator[TrialBalanceRow],
    scale: int,
    head: dict[str, Any],
    signer: Signer | None,
) -> Iterator[bytes]:
    """Yield the answer: the head, the rows as the database gives them, and what they come to."""
    totals_minor = {"debit": 0, "credit": 0, "supply": 0}
    rows_hash = RowsHash()
    with opened:
        yield orjson.dumps(head)[:-1] + b',"rows":['
        part: list[bytes] = []
        separator = b""
        for row in rows:
            side = _side(row)
            totals_minor[side] += abs(row.balance_minor)
            totals_minor["supply"] += row.balance_minor if row.code in CLAIM_CODES else 0
            shown = _show(row, side, scale)
            if signer is not None:
                rows_hash.add(shown)
            part.append(orjson.dumps(shown))
            if len(part) == _ROWS_PER_PART:
                yield separator + b",".join(part)
                part, separator = [], b","
        if part:
            yield separator + b",".join(part)
    tail: dict[str, Any] = {
        "debit_total": format_amount(totals_minor["debit"], scale),
        "credit_total": format_amount(totals_minor["credit"], scale),
        "supply": format_amount(totals_minor["supply"], scale),
    }
    if signer is not None:
        tail |= rows_hash.members()
        tail["signature"] = sign(signer, head | tail)["signature"]
    yield b"]," + orjson.dumps(tail)[1:]


def _side(row: TrialBalanceRow) -> str:
    return "debit" if (row.code in DEBIT_NORMAL_CODES) == (row.balance_minor >= 0) else "credit"


def _show(row: TrialBalanceRow, side: str, scale: int) -> dict[str, Any]:
    amount = format_amount(abs(row.balance_minor), scale)
    return {
        "ledger_account_id": row.id,
        "code": row.code,
        "name": CHART[row.code].name,
        "account_id": row.account_id,
        "debit": amount if side == "debit" else None,
        "credit": amount if side == "credit" else None,
    }
