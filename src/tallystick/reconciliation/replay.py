"""The log against the journal, entry by entry: what was signed is what was posted, and nothing else was.

Both are read in the order of the log's index, a page at a time, so that memory grows with the number of ledger
accounts and never with that of events. A part of the log is looked at by itself, so that several can be at once; what
the parts leave behind is put together in the order of the log.

Every event is hashed as it is read, and the hash of all of them is kept with what was found. Where that of the log's
beginning is still what an earlier run signed, the very bytes are there that it verified, and the arithmetic of their
signatures is not done once more; all else is. See decision 26.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy import Connection

from tallystick import events, ledger, signing, statements, transparency
from tallystick.core.clock import format_time
from tallystick.core.errors import DomainError
from tallystick.core.money import parse_amount
from tallystick.events import Event
from tallystick.ledger import CLAIM_CODES, DEBIT_NORMAL_CODES, Code, ledger_account_id
from tallystick.reconciliation.breaks import BreakCollector, BreakDraft, Money
from tallystick.reconciliation.pairing import ControlMovement, Forward
from tallystick.reconciliation.records import BreakType
from tallystick.signing import (
    JwsInvalidError,
    SigningKey,
    VerificationKey,
    content_of,
    key_id_of,
    verify_compact,
)

__all__ = ["LogChangedError", "Part", "Scope", "movements_at", "proven_payload", "replay_part"]

#: Movements of one entry by ledger account, in each one's normal sense.
_Movements = dict[str, int]
#: So many deposits are held against the bank's entries at once.
_PAIRED_AT_ONCE: Final = 1_000
#: So many indexes of the log are read at once.
_PAGE: Final = 2_000
_NO_LEAF: Final = bytes(32)


class LogChangedError(Exception):
    """What an earlier run had verified is no longer what is there; all is to be verified anew."""


class Scope(NamedTuple):
    """The class that is looked at, and which of the bank's statements count.

    `ledger_ids` are all the class's ledger accounts. `covered` are the statements up to the latest closing balance,
    empty where nothing is to be paired; `imported_ids` those and the ones behind them.
    """

    issuer_id: str
    token_class_id: str
    money: Money
    ledger_ids: frozenset[str]
    covered: frozenset[str]
    imported_ids: frozenset[str]


@dataclass(slots=True)
class Part:
    """What a part of the log says of one token class, and what the journal's lines add up to.

    `journal_minor` is by ledger account, in its normal sense. `unproven` are indexes without a valid signed event.
    `forward` are the control account's movements, paired with the bank's entries as far as these bear them out.
    `roots` are the Merkle tree hashes of the parts of the log, from left to right, and `verified_roots` those of what
    an earlier run had verified. `whole` tells whether every event was there, of whichever class, and was valid.
    """

    found: BreakCollector
    minted_minor: int = 0
    redeemed_minor: int = 0
    seized_minor: int = 0
    paid_out_minor: int = 0
    events_verified_count: int = 0
    journal_minor: Counter[str] = field(default_factory=Counter)
    unproven: set[int] = field(default_factory=set)
    forward: Forward = field(default_factory=Forward)
    roots: list[bytes] = field(default_factory=list)
    verified_roots: list[bytes] = field(default_factory=list)
    whole: bool = True

    def take(self, later: "Part") -> None:
        """Take over the part of the log behind this one."""
        self.found.take(later.found)
        self.minted_minor += later.minted_minor
        self.redeemed_minor += later.redeemed_minor
        self.seized_minor += later.seized_minor
        self.paid_out_minor += later.paid_out_minor
        self.events_verified_count += later.events_verified_count
        self.journal_minor.update(later.journal_minor)
        self.unproven |= later.unproven
        self.forward.take(later.forward)
        self.roots += later.roots
        self.verified_roots += later.verified_roots
        self.whole = self.whole and later.whole


@dataclass(slots=True)
class _Reader:
    """What a part of the log is checked with, and what comes of it."""

    scope: Scope
    keys: Mapping[str | None, SigningKey]
    # Of a key that is revoked: how much of the log somebody else had cosigned before that.
    cosigned: Mapping[str, int]
    control_id: str
    result: Part
    queue: list[ControlMovement] = field(default_factory=list)
    # Below this index an earlier run had verified the very bytes that are hashed now.
    verified_size: int = 0
    leaves: list[bytes] = field(default_factory=list)
    # Of each ledger account of the class: 1 where a debit adds to it.
    signs: dict[str, int] = field(default_factory=dict)


def replay_part(
    connection: Connection, scope: Scope, first_index: int, last_index: int, verified_size: int = 0
) -> Part:
    """Compare every event of a class within these indexes with what the journal has, and verify those from
    `verified_size` on.

    Each signed movement of the control account is held against the bank's entries. Equal rows give equal results.
    Raises LogChangedError for what is no event below `verified_size`.
    """
    reader = _reader(connection, scope)
    reader.verified_size = verified_size
    reader.signs = {
        account_id: 1 if account_id[:4] in DEBIT_NORMAL_CODES else -1 for account_id in scope.ledger_ids
    }
    for start in range(first_index, last_index + 1, _PAGE):
        try:
            _replay_page(connection, reader, start, min(start + _PAGE - 1, last_index))
        except (DomainError, LookupError, TypeError, ValueError, AttributeError):
            # Only what nobody verified yet can be no event at all; what is signed is as it was made.
            if start >= verified_size:
                raise
            raise LogChangedError from None
    _pair(connection, reader)
    result = reader.result
    result.roots.append(transparency.root_of_leaves(reader.leaves))
    if first_index < verified_size:
        result.verified_roots.append(
            transparency.root_of_leaves(reader.leaves[: verified_size - first_index])
        )
    return result


def _replay_page(connection: Connection, reader: _Reader, first_index: int, last_index: int) -> None:
    scope, result = reader.scope, reader.result
    log = events.between(connection, scope.issuer_id, first_index, last_index)
    journal = ledger.moved_between(connection, scope.issuer_id, first_index, last_index)
    _take_leaves(reader, log, last_index - first_index + 1)
    at_index = {event.event_index: event for event in log}
    place, line_count = 0, len(journal)
    for index in range(first_index, last_index + 1):
        posted: _Movements = {}
        first_line = place
        while place < line_count and journal[place][0] == index:
            _, account_id, debit_minor, credit_minor = journal[place]
            place += 1
            sign = reader.signs.get(account_id)
            if sign is not None:
                posted[account_id] = posted.get(account_id, 0) + sign * (debit_minor - credit_minor)
        for account_id, moved in posted.items():
            result.journal_minor[account_id] += moved
        event = at_index.get(index)
        if posted or (event is None and place == first_line) or _says_to_be_of(event, scope.token_class_id):
            _check_entry(reader, index, event, posted)
            if len(reader.queue) >= _PAIRED_AT_ONCE:
                _pair(connection, reader)
        elif not _stands(reader, index, event):
            # It is another class's to tell; but nobody may say of this log that all of it is valid.
            result.whole = False


def _stands(reader: _Reader, index: int, event: Event | None) -> bool:
    """Tell whether an event of another class is there and valid."""
    if event is None or index >= reader.verified_size:
        return _signed(reader, index, event)[0] is not None
    if _trusted_key(reader, key_id_of(event.jws), index, event.booked_at) is None:
        raise LogChangedError
    return True


def _take_leaves(reader: _Reader, log: Sequence[Event], wanted_count: int) -> None:
    """Hash a page of the log; what lacks an event has another tree than any log."""
    entries = [event.jws for event in log]
    if len(entries) == wanted_count and all(map(str.isascii, entries)):
        reader.leaves += transparency.leaf_hashes(entries)
    else:
        reader.leaves += [_NO_LEAF] * wanted_count
        reader.result.whole = False


def movements_at(connection: Connection, scope: Scope, indexes: Sequence[int]) -> list[ControlMovement]:
    """Return the control account's signed movements at these indexes, in the order of the log."""
    reader = _reader(connection, scope)
    found = []
    for start in range(0, len(indexes), _PAIRED_AT_ONCE):
        for event in events.events_at(connection, scope.issuer_id, indexes[start : start + _PAIRED_AT_ONCE]):
            payload, _ = _signed(reader, event.event_index, event)
            if payload is None:
                continue
            movement_minor = _signed_movements(payload).get(reader.control_id, 0)
            if movement_minor:
                found.append(_control_movement(payload, movement_minor))
    return found


def proven_payload(connection: Connection, issuer_id: str, event_index: int) -> dict[str, Any] | None:
    """Return what the event at an index says, or None unless it is there and valid by the keys' present standing."""
    reader = _reader(connection, Scope(issuer_id, "", Money("", 0), *[frozenset[str]()] * 3))
    found = events.events_at(connection, issuer_id, [event_index])
    return _signed(reader, event_index, found[0] if found else None)[0]


def _reader(connection: Connection, scope: Scope) -> _Reader:
    keys: dict[str | None, SigningKey] = {
        key.id: key for key in signing.list_keys(connection, scope.issuer_id)
    }
    cosigned = {
        key.id: 0
        if key.revoked_index is None
        else transparency.cosigned_size(connection, scope.issuer_id, key.revoked_index)
        for key in keys.values()
    }
    control_id = ledger_account_id(Code.DEPOSITS_AT_CORE, scope.token_class_id)
    return _Reader(scope, keys, cosigned, control_id, Part(BreakCollector(scope.money)))


def _says_to_be_of(event: Event | None, token_class_id: str) -> bool:
    return event is not None and event.token_class_id in (token_class_id, None)


def _check_entry(reader: _Reader, index: int, event: Event | None, posted: _Movements) -> None:
    """Compare one index, and let what was signed for this class count."""
    payload, doubt = _signed(reader, index, event)
    if payload is None:
        reader.result.whole = False
        reader.result.unproven.add(index)
        _add(reader, "log", BreakType.MISSING_EVENT, index, posted, f"{doubt}")
        return
    if payload.get("token_class_id") != reader.scope.token_class_id or "lines" not in payload:
        # Of another class, or a fact that moves no money, such as a vote: nothing may be posted for it.
        signed: _Movements = {}
    else:
        reader.result.events_verified_count += 1
        _count_supply(reader, payload)
        signed = _signed_movements(payload)
        _take_control_movement(reader, payload, signed)
    if posted != signed:
        difference = {
            account_id: posted.get(account_id, 0) - signed.get(account_id, 0)
            for account_id in {*posted, *signed}
        }
        if any(difference.values()):
            text = f"The journal's entry {index} is not what was signed."
            _add(reader, "journal", BreakType.AMOUNT, index, difference, text)


def _signed(reader: _Reader, index: int, event: Event | None) -> tuple[dict[str, Any] | None, str]:
    """Return the payload of a valid event, or None and why there is none."""
    if event is None:
        return None, f"The log has no event at index {index}."
    if index < reader.verified_size:
        key_id, content = content_of(event.jws)
        # Of a key that was revoked since, nothing that it signed counts because it did once.
        if _trusted_key(reader, key_id, index, event.booked_at) is None:
            raise LogChangedError
    else:
        try:
            content = verify_compact(
                event.jws, lambda key_id: _trusted_key(reader, key_id, index, event.booked_at)
            )
        except JwsInvalidError as error:
            return None, f"The event at index {index} does not verify ({error.code})."
    payload: dict[str, Any] = orjson.loads(content)
    told = (payload["issuer_id"], payload["index"], payload["id"], payload["type"], payload["booked_at"])
    row = (reader.scope.issuer_id, index, event.id, event.type, format_time(event.booked_at))
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
    return key.verification_key if key.proves(index, reader.cosigned[key.id]) else None


def _count_supply(reader: _Reader, payload: dict[str, Any]) -> None:
    # What leaves supply goes to one of three places: back into the holder's deposit, to a court, or to another bank.
    match payload["type"]:
        case "token.minted":
            reader.result.minted_minor += _amount_minor(reader, payload)
        case "token.redeemed":
            reader.result.redeemed_minor += _amount_minor(reader, payload)
        case "order.seized":
            reader.result.seized_minor += _amount_minor(reader, payload)
        case "payout.accepted":
            reader.result.paid_out_minor += _amount_minor(reader, payload)
        case "payout.cancelled" | "payout.rejected" | "payout.given_back":
            reader.result.paid_out_minor -= _amount_minor(reader, payload)


def _amount_minor(reader: _Reader, payload: dict[str, Any]) -> int:
    return parse_amount(payload["amount"], reader.scope.money.scale)


def _take_control_movement(reader: _Reader, payload: dict[str, Any], signed: _Movements) -> None:
    movement_minor = signed.get(reader.control_id, 0)
    if not movement_minor or not reader.scope.covered:
        return
    if payload["type"] == "break.written_off":
        # No entry of the bank's will ever bear it out: it makes up for what it was written off for.
        reader.result.forward.written_off[payload["cause"]] += movement_minor
        return
    if movement_minor < 0 or payload["type"] == "payout.returned":
        reader.result.forward.releases.append((payload["index"], movement_minor))
        return
    reader.queue.append(_control_movement(payload, movement_minor))


def _control_movement(payload: dict[str, Any], movement_minor: int) -> ControlMovement:
    return ControlMovement(
        event_index=payload["index"],
        instruction_id=payload["instruction_id"],
        movement_minor=movement_minor,
        value_date=date.fromisoformat(payload["value_date"]),
        account_id=payload.get("payee_account_id") or payload.get("payer_account_id"),
        statement_entry_id=payload.get("related_id"),
    )


def _pair(connection: Connection, reader: _Reader) -> None:
    """Hold the deposits of one block against the bank's entries."""
    if not reader.queue:
        return
    scope = reader.scope
    links = statements.links_of_deposits(
        connection,
        scope.issuer_id,
        [one.statement_entry_id for one in reader.queue if one.statement_entry_id],
        [one.instruction_id for one in reader.queue if not one.statement_entry_id],
        imported_ids=scope.imported_ids,
    )
    reader.result.forward.pair(reader.queue, links, scope.covered)
    reader.queue = []


def _signed_movements(payload: dict[str, Any]) -> _Movements:
    movements: _Movements = {}
    scale = payload["scale"]
    for line in payload["lines"]:
        account_id = line["account"]
        debit_minor = parse_amount(line["debit"], scale) if "debit" in line else 0
        credit_minor = parse_amount(line["credit"], scale) if "credit" in line else 0
        moved = debit_minor - credit_minor
        movements[account_id] = movements.get(account_id, 0) + (
            moved if account_id[:4] in DEBIT_NORMAL_CODES else -moved
        )
    return movements


def _add(
    reader: _Reader,
    kind: str,
    break_type: BreakType,
    index: int,
    movements: _Movements,
    explanation: str,
) -> None:
    """Record that the journal moved by `movements` without proof, or short of it."""
    money = reader.scope.money
    supply = sum(moved for account_id, moved in movements.items() if account_id[:4] in CLAIM_CODES)
    control = sum(moved for account_id, moved in movements.items() if account_id[:4] == Code.DEPOSITS_AT_CORE)
    moved = max((abs(one) for one in movements.values()), default=0)
    accounts = sorted(account_id for account_id, one in movements.items() if one)
    text = ", ".join(f"{account_id} {money.text(movements[account_id])}" for account_id in accounts)
    reader.result.found.add(
        kind,
        BreakDraft(
            break_type,
            supply or control or moved,
            f"{explanation} The books differ by {text}." if text else explanation,
            {"event_index": index, **{f"ledger_account_{n}": one for n, one in enumerate(accounts, 1)}},
            supply,
            control,
            f"event:{index}",
        ),
    )
