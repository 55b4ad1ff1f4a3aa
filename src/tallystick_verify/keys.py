"""Which key may have signed which event: a signature is judged by its key's state at the event's index.

Trust begins with the keys that the auditor pins, and goes on only through `key.*` events that a trusted key signed.
The pack's `keys.jsonl` can take trust away (a revocation) and never give it.
"""

from dataclasses import dataclass
from typing import Any, Final

from tallystick_verify.ed25519 import PublicKey, PublicKeyRefusedError
from tallystick_verify.encodings import EncodingRefusedError, base64url_bytes
from tallystick_verify.facts import Fact
from tallystick_verify.failures import ExitCode, Failure
from tallystick_verify.policy_file import Pin

__all__ = ["KeyBook"]

_MEMBERS: Final = frozenset(
    {
        "activated_at",
        "alg",
        "compromised_at",
        "crv",
        "from_index",
        "key_use",
        "kid",
        "kty",
        "retired_at",
        "revoked_at",
        "state",
        "until_index",
        "x",
    }
)
_STATES: Final = frozenset({"active", "retired", "revoked"})
_USES: Final = frozenset({"event", "checkpoint"})


@dataclass(slots=True)
class _Known:
    """A key, why it is trusted, and what it was seen to sign."""

    public_key: PublicKey
    pin: Pin | None = None
    introduced_at: int | None = None
    retired_at: int | None = None
    told: dict[str, Any] | None = None
    # From this index on its signatures prove nothing, as a signed event says.
    compromised_from: int | None = None
    first_index: int | None = None
    last_index: int | None = None


class KeyBook:
    """The issuer's keys as they stand at the event that is looked at; events must come in order."""

    def __init__(self, pins: tuple[Pin, ...]) -> None:
        self._known = {pin.public_key.kid: _Known(pin.public_key, pin=pin) for pin in pins}
        self._told_count = 0
        self._signing: str | None = None
        self._active: str | None = None

    def tell(self, row: Any) -> None:
        """Take a row of `keys.jsonl`. Raises Failure (key)."""
        if not isinstance(row, dict) or row.keys() != _MEMBERS:
            raise _refused("A row of keys.jsonl has other members than expected.")
        if (row["kty"], row["crv"], row["alg"]) != ("OKP", "Ed25519", "EdDSA"):
            raise Failure(ExitCode.UNSUPPORTED, "A key of keys.jsonl is for another algorithm than Ed25519.")
        if row["state"] not in _STATES or row["key_use"] not in _USES:
            raise Failure(ExitCode.UNSUPPORTED, "A key of keys.jsonl has a state or a use that is not known.")
        public_key = _public_key(row["x"])
        if public_key.kid != row["kid"]:
            raise _refused("A key of keys.jsonl does not have its own thumbprint as kid.")
        known = self._known.setdefault(public_key.kid, _Known(public_key))
        if known.told is not None:
            raise _refused("keys.jsonl tells of a key twice.")
        known.told = row
        self._told_count += 1

    def key_at(self, kid: str, index: int) -> PublicKey:
        """Return the key that signed the event at `index`, if it might. Raises Failure (key)."""
        known = self._trusted(kid)
        pin = known.pin
        if pin is not None:
            if index < pin.from_index or (pin.until_index is not None and index > pin.until_index):
                raise _refused("The key is not pinned for this index.")
        elif known.introduced_at is None or known.introduced_at >= index:
            raise _refused("The key was not introduced before this index.")
        if known.retired_at is not None and index > known.retired_at:
            raise _refused("The key had been retired before this index.")
        if self._active is not None and kid != self._active:
            raise _refused("Another key was active at this index.")
        if kid != self._signing and known.first_index is not None:
            raise _refused("A key that another one had replaced signs again.")
        return known.public_key

    def signed(self, kid: str, index: int) -> None:
        """Remember that the key did sign the event at `index`."""
        known = self._known[kid]
        known.first_index = index if known.first_index is None else known.first_index
        known.last_index = index
        self._signing = kid

    def apply(self, event: Fact) -> None:
        """Take up a signed event about a key. Raises Failure (key), or (unsupported) for an unknown form."""
        key = event.members["key"]
        if event.type == "key.activated":
            self._activate(event.index, key)
            return
        optional = {"compromised_from_index"} if event.type == "key.revoked" else set()
        if not {"kid", "use"} <= key.keys() <= {"kid", "use"} | optional:
            raise _unknown_form(event)
        known = self._known.get(key["kid"])
        if known is None:
            raise _refused(f"A {event.type} event names a key that nobody introduced.")
        since = key.get("compromised_from_index", 0)
        if type(since) is not int or since < 0:
            raise _unknown_form(event)
        if event.type == "key.revoked":
            known.compromised_from = since
        known.retired_at = event.index
        if self._active == key["kid"]:
            self._active = None

    def manifest_key(self, kid: str) -> PublicKey:
        """Return the key that signed the manifest, which must be trusted without an end. Raises Failure (key)."""
        known = self._trusted(kid)
        if known.pin is None and known.introduced_at is None:
            raise _refused("The manifest's key is neither pinned nor introduced by an event.")
        if (known.pin is not None and known.pin.until_index is not None) or known.retired_at is not None:
            raise _refused("The manifest's key is no longer trusted.")
        if known.told is None or known.told["state"] != "active":
            raise _refused("The manifest's key was not active when the pack was made.")
        return known.public_key

    def finish(self) -> None:
        """Hold what `keys.jsonl` tells against what the log showed. Raises Failure (key)."""
        for known in self._known.values():
            self._check_revoked(known)
            row = known.told
            if row is not None and row["key_use"] == "event":
                until_index = None if row["state"] == "active" else known.last_index
                if (row["from_index"], row["until_index"]) != (known.first_index, until_index):
                    raise _refused(f"keys.jsonl tells other indexes of {row['kid']} than the log shows.")

    @property
    def told_count(self) -> int:
        """How many keys the pack tells of."""
        return self._told_count

    def _trusted(self, kid: str) -> _Known:
        known = self._known.get(kid)
        if known is None:
            raise _refused("The key is not among those that are pinned or told of.")
        if known.told is None:
            raise _refused("The key is not in keys.jsonl.")
        if known.told["key_use"] != "event":
            raise _refused("The key is for checkpoints, and not for events.")
        return known

    def _activate(self, index: int, key: dict[str, Any]) -> None:
        if key.keys() != {"kid", "use", "x"} or key["use"] not in _USES:
            raise Failure(
                ExitCode.UNSUPPORTED, "A key.activated event is not of the form that is known here."
            )
        public_key = _public_key(key["x"])
        if public_key.kid != key["kid"]:
            raise _refused("A key.activated event's kid is not its key's thumbprint.")
        known = self._known.setdefault(public_key.kid, _Known(public_key))
        if known.introduced_at is not None or known.retired_at is not None:
            raise _refused("A key is activated for the second time.")
        known.introduced_at = index
        if key["use"] == "event":
            before = None if self._signing is None else self._known[self._signing]
            if before is not None and before is not known:
                before.retired_at = index
            self._active = public_key.kid

    def _check_revoked(self, known: _Known) -> None:
        last_index = known.last_index
        if last_index is None:
            return
        kid = known.public_key.kid
        if known.compromised_from is not None:
            if last_index >= known.compromised_from and not _vouched(known, last_index):
                raise _refused(f"{kid} signed events from the index on that it is revoked for.")
        elif known.told is not None and known.told["state"] == "revoked" and not _vouched(known, last_index):
            raise _refused(
                f"{kid} is revoked: what it signed proves nothing, unless you pin it with an until_index."
            )


def _vouched(known: _Known, last_index: int) -> bool:
    """The auditor pinned an end: an own decision about how long the key is to be trusted."""
    return known.pin is not None and known.pin.until_index is not None and last_index <= known.pin.until_index


def _public_key(x: Any) -> PublicKey:
    try:
        return PublicKey(base64url_bytes(x.encode() if isinstance(x, str) else b"?"))
    except (EncodingRefusedError, PublicKeyRefusedError) as error:
        raise _refused(f"A public key can't be trusted: {error}.") from None


def _unknown_form(event: Fact) -> Failure:
    return Failure(ExitCode.UNSUPPORTED, f"A {event.type} event is not of the form that is known here.")


def _refused(message: str) -> Failure:
    return Failure(ExitCode.KEY, message)
