"""What a holder is given: some leaves of the log, each with the proof that it is in it; and single receipts.

A receipt is a C2SP tlog-proof: index, inclusion proof and checkpoint in one text.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from tallystick_verify.canonical import JsonRefusedError, parse
from tallystick_verify.encodings import EncodingRefusedError, base64_bytes
from tallystick_verify.events import Event, read_event
from tallystick_verify.facts import Fact
from tallystick_verify.failures import ExitCode, Failure, PackFailure
from tallystick_verify.jws import EVENT_TYPE, Token, read_token
from tallystick_verify.keys import KeyBook
from tallystick_verify.log import signed_checkpoint
from tallystick_verify.manifest import Manifest
from tallystick_verify.merkle import ProofRefusedError, check_inclusion, leaf_hash
from tallystick_verify.notes import Checkpoint
from tallystick_verify.policy_file import Pin, Policy

__all__ = ["Receipt", "check_event", "check_leaves", "check_receipt", "check_token", "read_receipt"]

_FIRST_LINE: Final = "c2sp.org/tlog-proof@v1"
_INDEX: Final = re.compile(r"index (0|[1-9][0-9]{0,15})", re.ASCII)
_HASHES_MAX: Final = 64
_SIZE_MAX_BYTES: Final = 262_144


@dataclass(slots=True)
class Receipt:
    """A tlog-proof taken apart, not verified yet."""

    index: int
    proof: list[bytes]
    checkpoint: bytes


def check_leaves(
    rows: Iterator[bytes],
    manifest: Manifest,
    keys: KeyBook,
    root: Checkpoint,
    take: Callable[[Event | Fact], None],
) -> int:
    """Check each leaf of a holder's pack, hand its event to `take`, and return how many there are. Raises Failure."""
    count, previous = 0, -1
    for count, line in enumerate(rows, 1):
        place = f"events.jsonl, row {count}"
        try:
            row = parse(line)
            index, leaf = row["index"], row["jws"].encode("ascii")
            proof = [base64_bytes(one) for one in row["proof"]]
        except (JsonRefusedError, EncodingRefusedError, KeyError, TypeError, AttributeError, UnicodeError):
            raise PackFailure("The row is malformed.", place=place) from None
        if type(index) is not int or len(row) != 3 or index <= previous or len(proof) > _HASHES_MAX:
            raise PackFailure("The row is malformed, or out of order.", place=place)
        previous = index
        try:
            _check_leaf(index, leaf, proof, root)
            take(_checked_event(index, leaf, keys, manifest.issuer_id))
        except Failure as failure:
            raise failure.at(place) from None
    return count


def read_receipt(octets: bytes) -> Receipt:
    """Take a tlog-proof apart; raises Failure (log) for what is malformed."""
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        raise _malformed() from None
    head, blank, note = text.partition("\n\n")
    lines = head.split("\n")
    if len(octets) > _SIZE_MAX_BYTES or not blank or lines[0] != _FIRST_LINE:
        raise _malformed()
    rest = lines[2:] if lines[1:2] and lines[1].startswith("extra ") else lines[1:]
    match = _INDEX.fullmatch(rest[0]) if rest else None
    if match is None or len(rest) > _HASHES_MAX:
        raise _malformed()
    try:
        proof = [base64_bytes(line) for line in rest[1:]]
    except EncodingRefusedError:
        raise _malformed() from None
    return Receipt(int(match[1]), proof, note.encode())


def check_receipt(octets: bytes, leaf: bytes, policy: Policy) -> tuple[Event | Fact, int, tuple[str, ...]]:
    """Check a receipt of an event; return the event, the size of its log, and who witnessed it. Raises Failure."""
    if policy.checkpoint is None:
        raise Failure(ExitCode.LOG, "The policy pins no log, so the receipt can't be judged.")
    receipt = read_receipt(octets)
    signed = signed_checkpoint(receipt.checkpoint, policy.checkpoint)
    _check_leaf(receipt.index, leaf, receipt.proof, signed.checkpoint)
    event = check_event(leaf, policy)
    if event.index != receipt.index:
        raise Failure(ExitCode.LOG, "The event was signed for another place, or by another issuer.")
    return event, signed.checkpoint.size, tuple(one.name for one in signed.witnesses)


def check_event(leaf: bytes, policy: Policy) -> Event | Fact:
    """Return an event of the policy's issuer that a pinned key signed, at an index that it is pinned for.

    Raises Failure (signature, key, log, unsupported).
    """
    token = read_token(leaf, EVENT_TYPE)
    pin = _pin(token.kid, policy)
    if not pin.public_key.verifies(token.signature, token.signing_input):
        raise Failure(ExitCode.SIGNATURE, "The event's signature does not verify.")
    event = read_event(token.payload)
    _check_pinned_at(event.index, pin)
    if event.issuer_id != policy.issuer_id:
        raise Failure(ExitCode.LOG, "The event was signed for another place, or by another issuer.")
    return event


def check_token(token: Token, index: int, policy: Policy) -> None:
    """Check that a pinned key signed a token when the log was at an index. Raises Failure (signature, key)."""
    pin = _pin(token.kid, policy)
    if not pin.public_key.verifies(token.signature, token.signing_input):
        raise Failure(ExitCode.SIGNATURE, "The signature does not verify.")
    _check_pinned_at(index, pin)


def _check_pinned_at(index: int, pin: Pin) -> None:
    if index < pin.from_index or (pin.until_index is not None and index > pin.until_index):
        raise Failure(ExitCode.KEY, "The key is not pinned for this index.")


def _pin(kid: str, policy: Policy) -> Pin:
    for pin in policy.pins:
        if pin.public_key.kid == kid:
            return pin
    raise Failure(ExitCode.KEY, "The key is not among those that are pinned.")


def _check_leaf(index: int, leaf: bytes, proof: list[bytes], root: Checkpoint) -> None:
    try:
        check_inclusion(index, root.size, leaf_hash(leaf), proof, root.root)
    except ProofRefusedError as error:
        raise Failure(ExitCode.LOG, f"The event is not proven to be in the log: {error}.") from None


def _checked_event(index: int, leaf: bytes, keys: KeyBook, issuer_id: str) -> Event | Fact:
    token = read_token(leaf, EVENT_TYPE)
    if not keys.pinned_at(token.kid, index).verifies(token.signature, token.signing_input):
        raise Failure(ExitCode.SIGNATURE, "The signature does not verify.")
    event = read_event(token.payload)
    if event.index != index or event.issuer_id != issuer_id:
        raise Failure(ExitCode.LOG, "The event was signed for another place, or by another issuer.")
    return event


def _malformed() -> Failure:
    return Failure(ExitCode.LOG, "The receipt is malformed.")
