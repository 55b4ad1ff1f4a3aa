"""The log against the journal, entry by entry: what was signed is what was posted, and nothing else was.

Both are read in the order of the log's index, a page at a time, so that memory grows with the number of ledger
accounts and never with that of events.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection

from tallystick import events, ledger, signing, transparency
from tallystick.core.clock import format_time
from tallystick.core.money import parse_amount
from tallystick.events import Event
from tallystick.ledger import CLAIM_CODES, DEBIT_NORMAL_CODES, Code, EntryLine, ledger_account_id
from tallystick.reconciliation.breaks import BreakCollector, BreakDraft, Money
from tallystick.reconciliation.records import BreakType
from tallystick.signing import JwsInvalidError, SigningKey, VerificationKey, verify_compact

__all__ = ["ControlMovement", "Replay", "replay"]

#: Movements of one entry, in the normal sense of each ledger account.
_Movements = Counter[str]


class ControlMovement(NamedTuple):
    """What one signed event moved on the control account (1100): positive for a deposit that came in."""

    event_index: int
    instruction_id: str
    movement_minor: int
    value_date: date
    account_id: str | None
    statement_entry_id: str | None


@dataclass(slots=True)
class Replay:
    """What the log says of one token class, and what the journal's lines add up to.

    `journal_minor` is by ledger account, in its normal sense. `unproven` are indexes without a valid signed event.
    """

    minted_minor: int = 0
    redeemed_minor: int = 0
    seized_minor: int = 0
    events_verified_count: int = 0
    journal_minor: _Movements = field(default_factory=Counter)
    unproven: set[int] = field(default_factory=set)


@dataclass(slots=True)
class _Reader:
    """The class that is looked at and what its log is checked with."""

    issuer_id: str
    token_class_id: str
    money: Money
    ledger_ids: frozenset[str]
    keys: dict[str | None, SigningKey]
    # Of a key that is revoked: how much of the log somebody else had cosigned before that.
    covered: dict[str, int]
    found: BreakCollector
    result: Replay = field(default_factory=Replay)


def replay(
    connection: Connection,
    issuer_id: str,
    token_class_id: str,
    money: Money,
    *,
    ledger_ids: frozenset[str],
    last_index: int,
    found: BreakCollector,
    take_movement: Callable[[ControlMovement], None],
) -> Replay:
    """Verify every event of a class up to `last_index` and compare it with what the journal has at its index.

    `ledger_ids` are all the class's ledger accounts. Each movement of the control account that was signed is handed
    to `take_movement` in the order of the log; breaks go to `found`.
    """
    keys: dict[str | None, SigningKey] = {key.id: key for key in signing.list_keys(connection, issuer_id)}
    covered = {
        key.id: 0
        if key.revoked_index is None
        else transparency.cosigned_size(connection, issuer_id, key.revoked_index)
        for key in keys.values()
    }
    reader = _Reader(issuer_id, token_class_id, money, ledger_ids, keys, covered, found)
    control_id = ledger_account_id(Code.DEPOSITS_AT_CORE, token_class_id)
    for index, event, lines in _side_by_side(connection, issuer_id, last_index):
        own_lines = [line for line in lines if line.ledger_account_id in ledger_ids]
        for line in own_lines:
            reader.result.journal_minor[line.ledger_account_id] += _movement(
                line.ledger_account_id, line.debit_minor, line.credit_minor
            )
        if own_lines or (event is None and not lines) or _says_to_be_of(event, token_class_id):
            payload = _check_entry(reader, index, event, own_lines)
            if payload is not None:
                _take_control_movement(payload, control_id, take_movement)
    return reader.result


def _side_by_side(
    connection: Connection, issuer_id: str, last_index: int
) -> Iterator[tuple[int, Event | None, list[EntryLine]]]:
    """Yield each index of the log with its event, if there is one, and the journal's lines at it."""
    log = events.stream(connection, issuer_id, 0, last_index)
    journal = ledger.stream_lines(connection, issuer_id, 0, last_index)
    event, line = next(log, None), next(journal, None)
    for index in range(last_index + 1):
        lines = []
        while line is not None and line.event_index == index:
            lines.append(line)
            line = next(journal, None)
        at_index = event if event is not None and event.event_index == index else None
        if at_index is not None:
            event = next(log, None)
        yield index, at_index, lines


def _says_to_be_of(event: Event | None, token_class_id: str) -> bool:
    return event is not None and event.token_class_id in (token_class_id, None)


def _check_entry(
    reader: _Reader, index: int, event: Event | None, lines: Sequence[EntryLine]
) -> dict[str, Any] | None:
    """Compare one index and return what was signed for this class there, or None."""
    payload, doubt = _signed(reader, index, event)
    posted = _posted_movements(lines)
    if payload is None:
        reader.result.unproven.add(index)
        _add(reader, "log", BreakType.MISSING_EVENT, posted, {"event_index": index}, f"{doubt}")
        return None
    if payload.get("token_class_id") != reader.token_class_id or "lines" not in payload:
        # Of another class, or a fact that moves no money, such as a vote: nothing may be posted for it.
        payload = None
    else:
        reader.result.events_verified_count += 1
        _count_supply(reader, payload)
    signed = Counter() if payload is None else _signed_movements(payload)
    difference = Counter(posted)
    difference.subtract(signed)
    if any(difference.values()):
        _add(
            reader,
            "journal",
            BreakType.AMOUNT,
            difference,
            {"event_index": index},
            f"The journal's entry {index} is not what was signed.",
        )
    return payload


def _signed(reader: _Reader, index: int, event: Event | None) -> tuple[dict[str, Any] | None, str]:
    """Return the payload of a valid event, or None and why there is none."""
    if event is None:
        return None, f"The log has no event at index {index}."
    try:
        content = verify_compact(
            event.jws, lambda key_id: _trusted_key(reader, key_id, index, event.booked_at)
        )
    except JwsInvalidError as error:
        return None, f"The event at index {index} does not verify ({error.code})."
    payload: dict[str, Any] = orjson.loads(content)
    told = (payload["issuer_id"], payload["index"], payload["id"], payload["type"], payload["booked_at"])
    row = (reader.issuer_id, index, event.id, event.type, format_time(event.booked_at))
    if told != row:
        return None, f"The event at index {index} was signed as another one."
    return payload, ""


def _trusted_key(
    reader: _Reader, key_id: str | None, index: int, booked_at: datetime
) -> VerificationKey | None:
    key = reader.keys.get(key_id)
    if key is None:
        return None
    if key.compromised_at is not None and key.revoked_index is None:
        # It was revoked before the log had events about keys. The row's time is our own record and no witness's: enough
        # to compare our own records with each other.
        return key.verification_key if key.trusted_for(booked_at) else None
    return key.verification_key if key.proves(index, reader.covered[key.id]) else None


def _count_supply(reader: _Reader, payload: dict[str, Any]) -> None:
    amount_minor = parse_amount(payload["amount"], reader.money.scale)
    # What leaves supply goes to one of two places: back into the holder's deposit, or to a court.
    match payload["type"]:
        case "token.minted":
            reader.result.minted_minor += amount_minor
        case "token.redeemed":
            reader.result.redeemed_minor += amount_minor
        case "order.seized":
            reader.result.seized_minor += amount_minor


def _take_control_movement(
    payload: dict[str, Any], control_id: str, take_movement: Callable[[ControlMovement], None]
) -> None:
    movement_minor = _signed_movements(payload)[control_id]
    if movement_minor:
        take_movement(
            ControlMovement(
                event_index=payload["index"],
                instruction_id=payload["instruction_id"],
                movement_minor=movement_minor,
                value_date=date.fromisoformat(payload["value_date"]),
                account_id=payload.get("payee_account_id") or payload.get("payer_account_id"),
                statement_entry_id=payload.get("related_id"),
            )
        )


def _posted_movements(lines: Sequence[EntryLine]) -> _Movements:
    movements: _Movements = Counter()
    for line in lines:
        movements[line.ledger_account_id] += _movement(
            line.ledger_account_id, line.debit_minor, line.credit_minor
        )
    return movements


def _signed_movements(payload: dict[str, Any]) -> _Movements:
    movements: _Movements = Counter()
    scale = payload["scale"]
    for line in payload["lines"]:
        debit_minor = parse_amount(line["debit"], scale) if "debit" in line else 0
        credit_minor = parse_amount(line["credit"], scale) if "credit" in line else 0
        movements[line["account"]] += _movement(line["account"], debit_minor, credit_minor)
    return movements


def _movement(account_id: str, debit_minor: int, credit_minor: int) -> int:
    return debit_minor - credit_minor if account_id[:4] in DEBIT_NORMAL_CODES else credit_minor - debit_minor


def _add(
    reader: _Reader,
    kind: str,
    break_type: BreakType,
    movements: _Movements,
    evidence: dict[str, str | int | None],
    explanation: str,
) -> None:
    """Record that the journal moved by `movements` without proof, or short of it."""
    supply = sum(moved for account_id, moved in movements.items() if account_id[:4] in CLAIM_CODES)
    control = sum(moved for account_id, moved in movements.items() if account_id[:4] == Code.DEPOSITS_AT_CORE)
    moved = max((abs(one) for one in movements.values()), default=0)
    accounts = sorted(account_id for account_id, one in movements.items() if one)
    text = ", ".join(f"{account_id} {reader.money.text(movements[account_id])}" for account_id in accounts)
    reader.found.add(
        kind,
        BreakDraft(
            break_type,
            supply or control or moved,
            f"{explanation} The books differ by {text}." if text else explanation,
            {**evidence, **{f"ledger_account_{n}": one for n, one in enumerate(accounts, 1)}},
            supply,
            control,
        ),
    )
