"""Which payouts go into a file, and what the file says: checked and written under the issuer's log head.

The file, its place in the sequence and its payouts' places in it are one transaction with its signed event, so that a
crash leaves nothing or the whole file. That a payout is in one file only is a key of the database.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection

from tallystick import participants
from tallystick.core.clock import format_time, parse_time
from tallystick.core.errors import InvariantError
from tallystick.core.ids import new_id, suffix_of
from tallystick.core.money import format_amount
from tallystick.payouts import store
from tallystick.payouts.messages import Order, Originator, Sender, write_message
from tallystick.payouts.records import (
    FiledItem,
    FileFormat,
    Payout,
    PayoutFile,
    PayoutFileOutdatedError,
    StepKind,
)

__all__ = ["PAYOUTS_PER_FILE_MAX", "ask_for_file", "check_file", "make_file", "tell_file"]

#: As many as matching ties to one debit, for banks that book a whole file as one.
PAYOUTS_PER_FILE_MAX: Final = 500


class _Wanted(NamedTuple):
    """A file as it is asked for: exactly these payouts, which come to exactly this sum."""

    file_id: str
    format: str
    execution_date: date
    payouts: Sequence[Payout]


def ask_for_file(
    connection: Connection,
    issuer_id: str,
    token_class_id: str,
    *,
    file_format: FileFormat,
    execution_date: date,
    limit: int = PAYOUTS_PER_FILE_MAX,
    held: Collection[str] = (),
) -> dict[str, Any]:
    """Return what a file of the payouts that wait now would be, for people to look at; with none it is refused later.

    `held` are kept out of it.
    Raises TokenClassNotFoundError.
    """
    of_class = participants.token_class(connection, issuer_id, token_class_id)
    ids = store.read_fileable(connection, issuer_id, token_class_id, held, min(limit, PAYOUTS_PER_FILE_MAX))
    found = store.read_payouts(connection, issuer_id, ids)
    sum_minor = sum(one.amount_minor for one in found.values())
    return {
        "control_sum": format_amount(sum_minor, of_class.scale),
        "currency": of_class.currency,
        "execution_date": execution_date.isoformat(),
        "file_id": new_id("payout_file"),
        "format": file_format.value,
        "payout_count": len(ids),
        "payout_ids": ids,
    }


def check_file(
    connection: Connection, issuer_id: str, token_class_id: str, payload: Mapping[str, Any]
) -> int:
    """Refuse what can't be made now; return how many other people it takes.

    A file is what pays, and can't be taken back: one person alone never makes one.
    """
    _wanted(connection, issuer_id, token_class_id, payload)
    return 1


def tell_file(
    connection: Connection,
    issuer_id: str,
    token_class_id: str,
    payload: Mapping[str, Any],
    now: datetime,
) -> dict[str, Any]:
    """Return what the file's event says of it: its place in the sequence, its sums, and the hash of its bytes."""
    wanted = _wanted(connection, issuer_id, token_class_id, payload)
    of_class = participants.token_class(connection, issuer_id, token_class_id)
    content = _write(connection, issuer_id, token_class_id, wanted, now)
    sum_minor = sum(one.amount_minor for one in wanted.payouts)
    return {
        "content_sha256": hashlib.sha256(content).hexdigest(),
        "control_sum": format_amount(sum_minor, of_class.scale),
        "currency": of_class.currency,
        "file_id": wanted.file_id,
        "format": wanted.format,
        "made_at": format_time(now),
        "payout_ids": [one.id for one in wanted.payouts],
        "scale": of_class.scale,
        "sequence": store.read_last_sequence(connection, issuer_id, token_class_id) + 1,
        "token_class_id": token_class_id,
    }


def make_file(
    connection: Connection,
    issuer_id: str,
    token_class_id: str,
    payload: Mapping[str, Any],
    told: Mapping[str, Any],
    *,
    made_by: str,
    event_index: int,
) -> PayoutFile:
    """Write the file that was told of, in the transaction of its event. The caller holds the issuer's log head.

    Raises InvariantError if its bytes are not those whose hash is signed.
    """
    wanted = _wanted(connection, issuer_id, token_class_id, payload)
    made_at = parse_time(told["made_at"])
    content = _write(connection, issuer_id, token_class_id, wanted, made_at)
    content_hash = hashlib.sha256(content).digest()
    if content_hash.hex() != told["content_sha256"]:
        raise InvariantError("a payout file came out otherwise than it was signed")
    made = PayoutFile(
        issuer_id=issuer_id,
        id=wanted.file_id,
        token_class_id=token_class_id,
        sequence=told["sequence"],
        format=wanted.format,
        message_id=suffix_of(wanted.file_id),
        execution_date=wanted.execution_date,
        payout_count=len(wanted.payouts),
        control_sum_minor=sum(one.amount_minor for one in wanted.payouts),
        content_hash=content_hash,
        made_by=made_by,
        event_index=event_index,
        made_at=made_at,
    )
    items = [
        FiledItem(one.id, made.id, number, new_id("payout_settlement"))
        for number, one in enumerate(wanted.payouts, 1)
    ]
    store.insert_file(connection, made, content, items)
    return made


def _wanted(
    connection: Connection, issuer_id: str, token_class_id: str, payload: Mapping[str, Any]
) -> _Wanted:
    """Return what was asked for, if it still is what it was; raises PayoutFileOutdatedError."""
    ids: list[str] = payload["payout_ids"]
    of_class = participants.token_class(connection, issuer_id, token_class_id)
    if of_class.backing_iban is None and of_class.backing_account_number is None:
        raise PayoutFileOutdatedError("The class names no control account that the bank could debit.")
    if not ids:
        raise PayoutFileOutdatedError("No payout of this class waits for a file, or screening keeps them.")
    found = store.read_payouts(connection, issuer_id, ids)
    steps = store.read_steps(connection, issuer_id, ids)
    filed = store.read_filed(connection, issuer_id, ids)
    for one in ids:
        if one in filed:
            raise PayoutFileOutdatedError("A payout of this file is in another one by now.", payout_id=one)
        if [step.step for step in steps.get(one, ())] != [StepKind.ACCEPTED]:
            raise PayoutFileOutdatedError("A payout of this file was cancelled.", payout_id=one)
    payouts = [found[one] for one in ids]
    sum_minor = sum(one.amount_minor for one in payouts)
    told = (payload["payout_count"], payload["control_sum"], payload["currency"])
    known = (len(ids), format_amount(sum_minor, of_class.scale), of_class.currency)
    if told != known or any(one.token_class_id != token_class_id for one in payouts):
        raise PayoutFileOutdatedError("The file's figures are not those of its payouts.")
    return _Wanted(
        payload["file_id"], payload["format"], date.fromisoformat(payload["execution_date"]), payouts
    )


def _write(
    connection: Connection, issuer_id: str, token_class_id: str, wanted: _Wanted, made_at: datetime
) -> bytes:
    of_class = participants.token_class(connection, issuer_id, token_class_id)
    issuer = participants.issuer_by_id(connection, issuer_id)
    originators = _originators(connection, issuer_id, wanted.payouts)
    order = Order(
        message_id=suffix_of(wanted.file_id),
        created_at=made_at,
        execution_date=wanted.execution_date,
        sender=Sender(
            issuer.legal_name,
            issuer.lei,
            issuer.bic,
            of_class.backing_iban,
            of_class.backing_account_number,
            of_class.currency,
            of_class.scale,
        ),
        payments=[(one, originators[one.account_id]) for one in wanted.payouts],
    )
    return write_message(wanted.format, order)


def _originators(connection: Connection, issuer_id: str, payouts: Sequence[Payout]) -> dict[str, Originator]:
    accounts = participants.accounts_by_id(connection, issuer_id, sorted({one.account_id for one in payouts}))
    holder_ids = sorted({one.holder_id for one in accounts.values()})
    holders = participants.holders_by_id(connection, issuer_id, holder_ids)
    return {
        one.id: Originator(
            holders[one.holder_id].legal_name,
            holders[one.holder_id].country,
            holders[one.holder_id].lei,
            one.deposit_iban,
            one.deposit_account_number,
        )
        for one in accounts.values()
    }
