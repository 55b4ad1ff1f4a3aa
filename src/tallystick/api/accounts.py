"""`/v1/accounts`: a holder's token account, its balance now or as of any moment, and its entries."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import StringConstraints
from sqlalchemy import Connection

from tallystick import ledger, participants, tokens
from tallystick.api.access import AnyCaller, Caller
from tallystick.api.bodies import ObjectId, Reason, Schema
from tallystick.api.money import money_route
from tallystick.api.pages import Cursor, IdQuery, Limit, PathId, page
from tallystick.api.participants import AccountNumber, Iban
from tallystick.api.signed_books import Asked, Signed, pinned, sign, signer_of, standing
from tallystick.api.times import AsOf, EffectiveOn, standpoint_of
from tallystick.api.views import AccountActionView, ListView, View
from tallystick.api.writes import write_route
from tallystick.core.clock import format_time
from tallystick.core.money import format_amount
from tallystick.ledger import CLAIM_CODES, HOLDER_CODES, INDEX_MAX, Code, EntryLine, ledger_account_id
from tallystick.participants import Account, Role
from tallystick.tokens import Kind

__all__ = ["balance_document", "router"]

router = APIRouter()

_STAFF = frozenset({Role.TREASURY_MAKER, Role.OPERATOR})
_NAMES = {
    Code.DEPOSITS_AVAILABLE.value: "deposits_available",
    Code.TOKENS_AVAILABLE.value: "available",
    Code.TOKENS_HELD.value: "held",
    Code.TOKENS_PLEDGED.value: "pledged",
    Code.TOKENS_RESTRICTED.value: "restricted",
    Code.TOKENS_DORMANT.value: "dormant",
}


class AccountRequest(Schema):
    """A new account of a holder in a token class, linked to the deposit account it is funded from."""

    holder_id: ObjectId
    token_class_id: ObjectId
    deposit_iban: Iban | None = None
    deposit_account_number: AccountNumber | None = None
    reference: Annotated[str, StringConstraints(pattern=r"^[A-Z0-9\-]{4,35}$")] | None = None


class AccountActionRequest(Schema):
    """Why an account is frozen, unfrozen or closed."""

    reason: Reason


class AccountView(View):
    """A holder's token account."""

    id: str
    object: str
    created_at: str
    issuer_id: str
    holder_id: str
    token_class_id: str
    status: str
    status_reason: str | None
    deposit_iban: str | None
    deposit_account_number: str | None
    reference: str
    closed_at: str | None


class BalanceView(View):
    """What an account holds: by status of the claim, their total, and deposits not yet tokenised.

    By value date a figure can lie below zero, where money was moved on before the day that it counts from. The last
    members are there if the answer is signed.
    """

    object: str
    account_id: str
    currency: str
    as_of: str | None
    effective_on: str | None
    event_index: int
    available: str
    held: str
    pledged: str
    restricted: str
    dormant: str
    total: str
    deposits_available: str
    issuer_id: str | None = None
    event_hash: str | None = None
    log_size: int | None = None
    signed_at: str | None = None
    signature: str | None = None


class EntryLineView(View):
    """One journal line of an account, with the balance before and after."""

    object: str
    event_index: int
    line_number: int
    ledger_account_id: str
    code: str
    currency: str
    debit: str | None
    credit: str | None
    previous_balance: str
    balance: str
    account_version: int
    booked_at: str
    value_date: str


def _make_account(
    caller: Caller, connection: Connection, body: AccountRequest, _path: Mapping[str, str]
) -> dict[str, Any]:
    return _show(
        tokens.open_account(
            connection,
            caller.service.clock,
            caller.issuer_id,
            holder_id=body.holder_id,
            token_class_id=body.token_class_id,
            deposit_iban=body.deposit_iban,
            deposit_account_number=body.deposit_account_number,
            reference=body.reference,
        )
    )


write_route(
    router,
    "/v1/accounts",
    operation="account",
    schema=AccountRequest,
    view=AccountView,
    roles=frozenset({Role.OPERATOR}),
    make=_make_account,
    summary="Open an account",
    tag="Accounts",
)
for _action, _kind, _summary, _status in (
    ("freeze", Kind.ACCOUNT_FREEZE, "Freeze an account", 201),
    ("unfreeze", Kind.ACCOUNT_UNFREEZE, "Ask to unfreeze an account", 202),
    ("close", Kind.ACCOUNT_CLOSURE, "Close an empty account", 201),
):
    money_route(
        router,
        f"/v1/accounts/{{account_id}}/{_action}",
        kind=_kind,
        schema=AccountActionRequest,
        view=AccountActionView,
        roles=_STAFF,
        fields=lambda body, path: {"payer_account_id": path["account_id"], "reason": body.reason},
        summary=_summary,
        tag="Accounts",
        status=_status,
    )


@router.get("/v1/accounts", tags=["Accounts"], summary="List accounts", response_model=ListView[AccountView])
def get_accounts(
    caller: AnyCaller,
    holder_id: IdQuery = None,
    token_class_id: IdQuery = None,
    cursor: Cursor = "",
    limit: Limit = 100,
) -> Any:
    """Return the accounts that the caller may know of."""
    with caller.read() as connection:
        found = participants.accounts(
            connection,
            caller.principal,
            holder_id=holder_id,
            token_class_id=token_class_id,
            after=cursor,
            limit=limit + 1,
        )
    return page(found, limit, _show, lambda one: one.id)


@router.get(
    "/v1/accounts/{account_id}", tags=["Accounts"], summary="Get an account", response_model=AccountView
)
def get_account(caller: AnyCaller, account_id: PathId) -> Any:
    """Return one account."""
    with caller.read() as connection:
        return _show(participants.account(connection, caller.principal, account_id))


@router.get(
    "/v1/accounts/{account_id}/balance",
    tags=["Accounts"],
    summary="Get a balance",
    response_model=BalanceView,
    response_model_exclude_unset=True,
)
def get_balance(
    caller: AnyCaller,
    account_id: PathId,
    as_of: AsOf = None,
    effective_on: EffectiveOn = None,
    signed: Signed = False,
) -> Any:
    """Return what an account holds now, or held at a moment; by value date, or by all that was booked.

    `effective_on=2026-11-23&as_of=2026-11-24T18:00:00Z` asks for Monday's balance as it was known on Tuesday evening.
    """
    return balance_document(caller, account_id, Asked(as_of, effective_on, signed))


@router.get(
    "/v1/accounts/{account_id}/entries",
    tags=["Accounts"],
    summary="List an account's entries",
    response_model=ListView[EntryLineView],
)
def get_entries(
    caller: AnyCaller,
    account_id: PathId,
    cursor: Annotated[str, Query(pattern=r"^([0-9]{1,18}\.[0-9]{1,4})?$", description="`next_cursor`.")] = "",
    limit: Limit = 100,
) -> Any:
    """Return the journal lines of an account, newest first."""
    index, _, number = cursor.partition(".")
    before = (int(index), int(number)) if cursor else (INDEX_MAX, 0)
    with caller.read() as connection:
        account = participants.account(connection, caller.principal, account_id)
        of_class = participants.token_class(connection, caller.issuer_id, account.token_class_id)
        ids = [ledger_account_id(code, account.id) for code in HOLDER_CODES]
        found = ledger.account_lines(connection, caller.issuer_id, ids, before=before, limit=limit + 1)
    return page(
        found,
        limit,
        lambda line: show_line(line, of_class.scale),
        lambda line: f"{line.event_index}.{line.line_number}",
    )


def balance_document(caller: Caller, account_id: str, asked: Asked) -> dict[str, Any]:
    """Return a balance as it is answered. Raises AccountNotFoundError, SigningKeyUnavailableError."""
    with caller.read() as connection:
        account = participants.account(connection, caller.principal, account_id)
        of_class = participants.token_class(connection, caller.issuer_id, account.token_class_id)
        at = standpoint_of(connection, caller.issuer_id, asked.as_of, asked.effective_on)
        ids = {code: ledger_account_id(code, account.id) for code in HOLDER_CODES}
        if asked.as_of is None and asked.effective_on is None:
            found = ledger.balances(connection, caller.issuer_id, list(ids.values()))
        else:
            found = ledger.balances_at(connection, caller.issuer_id, list(ids.values()), at)
        balances_minor = {code: found.get(one, 0) for code, one in ids.items()}
        signer = signer_of(caller, connection) if asked.signed else None
        place = pinned(caller, connection, at.event_index) if asked.signed else {}
    shown: dict[str, Any] = {
        "object": "balance",
        "account_id": account.id,
        "currency": of_class.currency,
        **standing(at, asked),
        **place,
    }
    for code, name in _NAMES.items():
        shown[name] = format_amount(balances_minor[code], of_class.scale)
    shown["total"] = format_amount(sum(balances_minor[code] for code in CLAIM_CODES), of_class.scale)
    return shown if signer is None else sign(signer, shown)


def show_line(line: EntryLine, scale: int) -> dict[str, Any]:
    """Return one journal line as it is shown; amounts have the token class's scale."""
    return {
        "object": "journal_line",
        "event_index": line.event_index,
        "line_number": line.line_number,
        "ledger_account_id": line.ledger_account_id,
        "code": line.ledger_account_id.partition(".")[0],
        "currency": line.currency,
        "debit": format_amount(line.debit_minor, scale) if line.debit_minor else None,
        "credit": format_amount(line.credit_minor, scale) if line.credit_minor else None,
        "previous_balance": format_amount(line.previous_balance_minor, scale),
        "balance": format_amount(line.balance_minor, scale),
        "account_version": line.account_version,
        "booked_at": format_time(line.booked_at),
        "value_date": line.value_date.isoformat(),
    }


def _show(account: Account) -> dict[str, Any]:
    return {
        "id": account.id,
        "object": "account",
        "created_at": format_time(account.opened_at),
        "issuer_id": account.issuer_id,
        "holder_id": account.holder_id,
        "token_class_id": account.token_class_id,
        "status": account.status,
        "status_reason": account.status_reason,
        "deposit_iban": account.deposit_iban,
        "deposit_account_number": account.deposit_account_number,
        "reference": account.reference,
        "closed_at": None if account.closed_at is None else format_time(account.closed_at),
    }
