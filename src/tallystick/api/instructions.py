"""Reading instructions back: one, with its signed event, or a page of a kind."""

from typing import Any

import orjson
from fastapi import Response
from sqlalchemy import Connection

from tallystick import events, ledger, participants, tokens
from tallystick.api.access import Caller
from tallystick.api.pages import LIMIT_MAX, page
from tallystick.ledger import CLAIM_CODES, ledger_account_id
from tallystick.tokens import Instruction, Kind

__all__ = ["own_account_ids", "show_instruction", "show_instructions", "show_transfers", "shown_instructions"]


def show_instruction(caller: Caller, kind: str, instruction_id: str) -> Response:
    """Return one instruction of a kind as it stands now; raises InstructionNotFoundError."""
    with caller.read() as connection:
        row = tokens.instruction(connection, caller.principal, kind, instruction_id)
        shown = shown_instructions(connection, caller.issuer_id, [row])[0]
        if row.event_index is not None:
            shown["signed_event"] = events.event_by_index(connection, caller.issuer_id, row.event_index).jws
    return Response(orjson.dumps(shown), media_type="application/json")


def show_instructions(
    caller: Caller, kind: str, *, state: str | None, account_id: str | None, cursor: str, limit: int
) -> dict[str, Any]:
    """Return a page of a kind's instructions, oldest first: all of the issuer's, or the caller's own."""
    with caller.read() as connection:
        rows = tokens.instructions(
            connection,
            caller.issuer_id,
            kind,
            state=state,
            account_ids=own_account_ids(connection, caller, account_id),
            after=cursor,
            limit=limit + 1,
        )
        shown = {one["id"]: one for one in shown_instructions(connection, caller.issuer_id, rows)}
    return page(rows, limit, lambda row: shown[row.id], lambda row: row.id)


def show_transfers(caller: Caller, *, account_id: str | None, after_index: int, limit: int) -> dict[str, Any]:
    """Return a page of settled transfers in the order of the log, found through the accounts they touched."""
    with caller.read() as connection:
        account_ids = own_account_ids(connection, caller, account_id)
        found = _transfer_events(connection, caller.issuer_id, account_ids, after_index, limit + 1)
        rows = tokens.instructions_by_id(connection, caller.issuer_id, [event.subject_id for event in found])
        in_order = [rows[event.subject_id] for event in found]
        shown = {one["id"]: one for one in shown_instructions(connection, caller.issuer_id, in_order)}
    return page(in_order, limit, lambda row: shown[row.id], lambda row: str(row.event_index))


def _transfer_events(
    connection: Connection, issuer_id: str, account_ids: list[str] | None, after_index: int, limit: int
) -> list[events.Event]:
    of_type = tokens.EVENT_TYPES[Kind.TRANSFER]
    found: list[events.Event] = []
    while len(found) < limit:
        if account_ids is None:
            batch = events.events(connection, issuer_id, after_index=after_index, limit=LIMIT_MAX)
        else:
            ids = [ledger_account_id(code, account_id) for account_id in account_ids for code in CLAIM_CODES]
            indexes = ledger.touching_indexes(connection, issuer_id, ids, after_index, LIMIT_MAX)
            batch = events.events_at(connection, issuer_id, indexes)
        if not batch:
            break
        found += [event for event in batch if event.type == of_type]
        after_index = batch[-1].event_index
    return found[:limit]


def own_account_ids(connection: Connection, caller: Caller, account_id: str | None) -> list[str] | None:
    """Return whose instructions a caller may list: of one account, all of its own, or None for the whole issuer's."""
    if account_id is not None:
        return [participants.account(connection, caller.principal, account_id).id]
    if caller.principal.sees_whole_issuer:
        return None
    return [account.id for account in participants.accounts(connection, caller.principal, limit=10_000)]


def shown_instructions(
    connection: Connection, issuer_id: str, rows: list[Instruction]
) -> list[dict[str, Any]]:
    """Return instructions as JSON objects, in their order and without their signed events."""
    classes = {
        class_id: participants.token_class(connection, issuer_id, class_id)
        for class_id in {row.token_class_id for row in rows}
        if class_id is not None
    }
    shown = []
    for row in rows:
        of_class = classes.get(row.token_class_id or "")
        currency, scale = (None, 0) if of_class is None else (of_class.currency, of_class.scale)
        shown.append(tokens.resource(issuer_id, row, currency, scale))
    return shown
