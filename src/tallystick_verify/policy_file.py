"""The auditor's own file: whom to trust, and how much is enough. Nothing in a pack can change it.

TOML, or JSON with the same members; `docs/evidence-pack.md` explains each. Members that aren't known are refused, for
a misspelled rule would be a rule that isn't there.
"""

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from tallystick_verify.canonical import JsonRefusedError, parse
from tallystick_verify.ed25519 import PublicKey, PublicKeyRefusedError
from tallystick_verify.encodings import EncodingRefusedError, base64_bytes, base64url_bytes
from tallystick_verify.merkle import HASH_SIZE_BYTES
from tallystick_verify.notes import LOG, WITNESS, VerifierKey, read_verifier_key

__all__ = ["CheckpointRule", "Pin", "Policy", "PolicyFileError", "RootRule", "Seen", "read_policy"]

_SIZE_MAX_BYTES: Final = 1_048_576
_VERSION: Final = 1
_ID: Final = re.compile(r"issuer_[0-7][0-9a-hjkmnp-tv-z]{25}", re.ASCII)


class PolicyFileError(ValueError):
    """The policy file can't be understood; the message names the member."""


class Pin(NamedTuple):
    """A key of the issuer's that the auditor trusts, for the indexes given (both included; None is no end)."""

    public_key: PublicKey
    from_index: int
    until_index: int | None


class Seen(NamedTuple):
    """A size and root of the log that the auditor noted before."""

    size: int
    root: bytes
    source: str


@dataclass(frozen=True, slots=True)
class RootRule:
    """The root keys that say which keys may sign, how many of them it takes, and the least version that is taken."""

    keys: tuple[PublicKey, ...]
    threshold: int = 1
    version_min: int = 1


@dataclass(frozen=True, slots=True)
class CheckpointRule:
    """Which log's checkpoints are taken, and how many different witnesses must have cosigned one."""

    origin: str
    log_keys: tuple[VerifierKey, ...]
    witnesses: tuple[VerifierKey, ...]
    quorum: int
    uncovered_events_max: int


@dataclass(frozen=True, slots=True)
class Policy:
    """What the auditor pins. `quorums` are by operation, where they are above `quorum`.

    With a `root` packs are judged by it, and `pins` only serve for receipts and for what holders are given.
    """

    issuer_id: str
    pins: tuple[Pin, ...]
    quorum: int = 1
    quorums: dict[str, int] = field(default_factory=dict)
    checkpoint: CheckpointRule | None = None
    seen: tuple[Seen, ...] = ()
    held: Path | None = None
    root: RootRule | None = None

    def quorum_of(self, operation: str) -> int:
        """Return how many other people an operation takes at least."""
        return self.quorums.get(operation, self.quorum)


def read_policy(path: Path) -> Policy:
    """Read the auditor's file; raises PolicyFileError."""
    try:
        octets = path.read_bytes()
        if len(octets) > _SIZE_MAX_BYTES:
            raise PolicyFileError("the policy file is too large")
        found = parse(octets) if path.suffix == ".json" else tomllib.loads(octets.decode())
    except OSError as error:
        raise PolicyFileError(f"the policy file can't be read: {error.strerror}") from None
    except (JsonRefusedError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PolicyFileError(f"the policy file can't be understood: {error}") from None
    table = _Table(found, "")
    issuer_id = table.text("issuer_id")
    if table.number("version") != _VERSION:
        raise PolicyFileError("`version` must be 1")
    if _ID.fullmatch(issuer_id) is None:
        raise PolicyFileError("`issuer_id` is no issuer's id")
    approvals = table.table("approvals")
    root = _root(table.table("root"))
    held = table.text("held", "")
    policy = Policy(
        issuer_id=issuer_id,
        pins=_pins(table, needed=root is None),
        quorum=approvals.number("quorum", 1, least=1),
        quorums=_quorums(approvals.table("operations")),
        checkpoint=_checkpoint(table.table("checkpoint")),
        seen=tuple(_seen(one) for one in table.tables("seen")),
        held=path.parent / held if held else None,
        root=root,
    )
    approvals.end()
    table.end()
    return policy


def _root(table: "_Table") -> RootRule | None:
    if not table.names():
        return None
    keys = tuple(_public_key(f"{table.name}.keys", one) for one in table.texts("keys"))
    rule = RootRule(keys, table.number("threshold", 1, least=1), table.number("version_min", 1, least=1))
    if len({one.kid for one in keys}) != len(keys):
        raise PolicyFileError("`root.keys` names a key twice")
    if rule.threshold > len(keys):
        raise PolicyFileError("`root.threshold` is more than there are root keys")
    table.end()
    return rule


def _pins(table: "_Table", *, needed: bool) -> tuple[Pin, ...]:
    pins = tuple(_pin(one) for one in table.tables("keys"))
    if needed and not pins:
        raise PolicyFileError("neither `root` nor `keys` names a key: nothing could be trusted")
    if len({one.public_key.kid for one in pins}) != len(pins):
        raise PolicyFileError("`keys` names a key twice")
    return pins


def _pin(table: "_Table") -> Pin:
    public_key = _public_key(f"{table.name}.x", table.text("x"))
    if table.text("kid", public_key.kid) != public_key.kid:
        raise PolicyFileError(f"`{table.name}.kid` is not the thumbprint of `x`")
    until_index = table.number("until_index", -1, least=-1)
    pin = Pin(public_key, table.number("from_index", 0), None if until_index < 0 else until_index)
    table.end()
    return pin


def _public_key(name: str, x: str) -> PublicKey:
    try:
        return PublicKey(base64url_bytes(x.encode()))
    except (EncodingRefusedError, PublicKeyRefusedError) as error:
        raise PolicyFileError(f"`{name}` is no public key: {error}") from None


def _quorums(table: "_Table") -> dict[str, int]:
    quorums = {name: table.number(name, least=1) for name in table.names()}
    table.end()
    return quorums


def _checkpoint(table: "_Table") -> CheckpointRule | None:
    if not table.names():
        return None
    witnesses = _verifier_keys(table, "witnesses", WITNESS)
    rule = CheckpointRule(
        origin=table.text("origin"),
        log_keys=_verifier_keys(table, "log_keys", LOG),
        witnesses=witnesses,
        quorum=table.number("quorum"),
        uncovered_events_max=table.number("uncovered_events_max", 0),
    )
    if not rule.log_keys:
        raise PolicyFileError("`checkpoint.log_keys` names no key")
    # Two names of one key are still one witness.
    if len({one.public_key.octets for one in witnesses}) != len(witnesses):
        raise PolicyFileError("`checkpoint.witnesses` names a key twice")
    if {one.public_key.octets for one in rule.log_keys} & {one.public_key.octets for one in witnesses}:
        raise PolicyFileError("a key of the log's own is no witness")
    if rule.quorum > len(witnesses):
        raise PolicyFileError("`checkpoint.quorum` is more than there are witnesses")
    table.end()
    return rule


def _verifier_keys(table: "_Table", name: str, signature_type: int) -> tuple[VerifierKey, ...]:
    keys = []
    for text in table.texts(name):
        try:
            key = read_verifier_key(text)
        except ValueError as error:
            raise PolicyFileError(f"`{table.name}.{name}`: {error}") from None
        if key.signature_type != signature_type:
            raise PolicyFileError(f"`{table.name}.{name}`: the verifier key is of the wrong type")
        keys.append(key)
    return tuple(keys)


def _seen(table: "_Table") -> Seen:
    try:
        root = base64_bytes(table.text("root"))
    except EncodingRefusedError:
        root = b""
    if len(root) != HASH_SIZE_BYTES:
        raise PolicyFileError(f"`{table.name}.root` is no hash in base64")
    seen = Seen(table.number("size", least=1), root, "the policy file")
    table.end()
    return seen


class _Table:
    """A table of the file that is taken apart: each member once, of the type wanted, and none left at the end."""

    def __init__(self, found: Any, name: str) -> None:
        if not isinstance(found, dict):
            raise PolicyFileError(f"`{name}` must be a table")
        self._left: dict[str, Any] = dict(found)
        self.name = name

    def names(self) -> list[str]:
        return list(self._left)

    def text(self, name: str, default: str | None = None) -> str:
        value = self._left.pop(name, default)
        if not isinstance(value, str):
            raise PolicyFileError(f"`{self._path(name)}` must be a text")
        return value

    def number(self, name: str, default: int | None = None, *, least: int = 0) -> int:
        value = self._left.pop(name, default)
        if type(value) is not int or value < least:
            raise PolicyFileError(f"`{self._path(name)}` must be a whole number of at least {least}")
        return value

    def texts(self, name: str) -> list[str]:
        value = self._left.pop(name, [])
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise PolicyFileError(f"`{self._path(name)}` must be a list of texts")
        return value

    def table(self, name: str) -> "_Table":
        return _Table(self._left.pop(name, {}), self._path(name))

    def tables(self, name: str) -> list["_Table"]:
        value = self._left.pop(name, [])
        if not isinstance(value, list):
            raise PolicyFileError(f"`{self._path(name)}` must be a list of tables")
        return [_Table(one, f"{self._path(name)}[{number}]") for number, one in enumerate(value)]

    def end(self) -> None:
        if self._left:
            raise PolicyFileError(f"`{self._path(min(self._left))}` is not known")

    def _path(self, name: str) -> str:
        return f"{self.name}.{name}" if self.name else name
