"""Asking for one batch of a file, whatever was asked for it before: today's answer, found again or asked for anew.

A batch's key comes from what it holds, so that a batch that waits for people is found again and not put before them a
second time. What a key was answered stays its answer; so where rows of an earlier answer were refused they are tried
again under the next key. Every row has a key of its own all the while, and is paid once.
"""

import hashlib
import secrets
from collections.abc import Sequence
from typing import Any, Final

import orjson

from tallystick.cli.report import CommandRefusedError
from tallystick.cli.transfer_file.results import EXPIRED, REFUSED, REJECTED, SETTLED
from tallystick.cli.transfer_file.rows import Row
from tallystick.cli.transfer_file.sending import Sender, Sent

__all__ = ["ends_of"]

# So often the same rows are sent under keys of their own making; after that under one that nobody can guess.
_ASKED_MAX: Final = 100


def ends_of(
    sender: Sender, rows: Sequence[Row], *, atomic: bool, ask_again: bool
) -> dict[int, dict[str, Any]]:
    """Return what became of each row, by its number; rows of an atomic batch that was refused may be left out.

    With `ask_again` people are asked anew for what they rejected or let expire. Raises CommandRefusedError as
    `Sender.send` does.
    """
    if not rows:
        return {}
    try:
        sent = _ask(sender, rows, atomic=atomic, ask_again=ask_again)
    except CommandRefusedError as error:
        if error.code == "batch_items_malformed":
            named = error.members["items"]
            assert isinstance(named, list)
            refused = _by_row(rows, named)
            rest = [] if atomic else [row for row in rows if row.number not in refused]
            return refused | ends_of(sender, rest, atomic=atomic, ask_again=ask_again)
        if error.code == "batch_classes_mixed" and not atomic:
            ends: dict[int, dict[str, Any]] = {}
            for currency in dict.fromkeys(row.item["currency"] for row in rows):
                part = [row for row in rows if row.item["currency"] == currency]
                ends |= ends_of(sender, part, atomic=atomic, ask_again=ask_again)
            return ends
        raise
    if sent.items:
        return _by_row(rows, sent.items)
    if sent.approval_id is None:
        return {}
    end = {"status": sent.state, "approval_id": sent.approval_id}
    return {row.number: end for row in rows}


def _ask(sender: Sender, rows: Sequence[Row], *, atomic: bool, ask_again: bool) -> Sent:
    items = [row.item for row in rows]
    held = hashlib.sha256(orjson.dumps({"items": items, "atomic": atomic})).hexdigest()
    for number in range(_ASKED_MAX):
        sent = sender.send(items, key=f"batch-{held}-{number}", atomic=atomic)
        if not _is_over(sent, ask_again=ask_again):
            return sent
    return sender.send(items, key=f"batch-{held}-{secrets.token_hex(16)}", atomic=atomic)


def _is_over(sent: Sent, *, ask_again: bool) -> bool:
    """Tell whether the answer is an earlier one's that is to be asked for again."""
    if not sent.is_replayed:
        return False
    if sent.state in {REJECTED, EXPIRED}:
        return ask_again
    return sent.state == SETTLED and any(item["status"] == REFUSED for item in sent.items)


def _by_row(rows: Sequence[Row], items: Sequence[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    return {rows[item["item"]].number: item for item in items}
