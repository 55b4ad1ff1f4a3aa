"""Which key may have signed which event: a signature is judged by its key's state at the event's index.

That state is replayed from the signed events alone: `signing_key.activated`, `.retired` and `.revoked`. Which keys may
be activated at all, the root manifest says that the auditor's root keys signed, or the auditor, who then pins each key.
The pack's `keys.jsonl` can take trust away and never give it.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from tallystick_verify.ed25519 import PublicKey, PublicKeyRefusedError
from tallystick_verify.encodings import EncodingRefusedError, base64url_bytes
from tallystick_verify.events import Event
from tallystick_verify.facts import TEXTS, Fact
from tallystick_verify.failures import ExitCode, Failure
from tallystick_verify.policy_file import Pin
from tallystick_verify.roots import Root

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
_TEXTS: Final = ("key_use", "kid", "state", "x")
_MOMENTS: Final = ("activated_at", "compromised_at", "retired_at", "revoked_at")
_STATES: Final = frozenset({"active", "retired", "revoked"})
_USES: Final = frozenset({"event", "checkpoint"})
_ACTIVATED: Final = frozenset({"kid", "manifest_sha256", "manifest_version", "use", "x"})
_ENDED: Final = frozenset({"kid", "use"})


@dataclass(slots=True)
class _Known:
    """A key, why it is trusted, what the log says of it, and what it was seen to sign."""

    public_key: PublicKey
    pin: Pin | None = None
    #: what the root manifest names it for, and what it may have signed before the log had events about keys
    use: str | None = None
    span: tuple[int, int | None] | None = None
    told: dict[str, Any] | None = None
    activated_at: int | None = None
    ended_at: int | None = None
    revoked_at: int | None = None
    #: from this index on its signatures prove nothing, as the event at `revoked_at` says
    compromised_from: int = 0
    first_index: int | None = None
    last_index: int | None = None
    #: the last event that it signed before it was revoked
    proven_until: int | None = None


class KeyBook:
    """The issuer's keys as they stand at the event that is looked at; events must come in order."""

    def __init__(self, pins: tuple[Pin, ...]) -> None:
        self._known = {pin.public_key.kid: _Known(pin.public_key, pin=pin) for pin in pins}
        self._root: Root | None = None
        self._told_count = 0
        self._signing: str | None = None
        # By use. Before the first event about keys no state is known: None.
        self._active: dict[str, str | None] = {}
        self._manifest_version = 0

    def trust_root(self, root: Root) -> None:
        """Let the root manifest say which keys may sign; what else is pinned counts no more."""
        self._root = root
        self._known = {}
        for kid, named in root.keys.items():
            span = None if named.first_index is None else (named.first_index, named.last_index)
            self._known[kid] = _Known(named.public_key, use=named.use, span=span)

    def tell(self, row: Any) -> None:
        """Take a row of `keys.jsonl`. Raises Failure (key)."""
        if not isinstance(row, dict) or row.keys() != _MEMBERS:
            raise _refused("A row of keys.jsonl has other members than expected.")
        if not (
            all(isinstance(row[name], str) for name in _TEXTS)
            and all(row[name] is None or _is_moment(row[name]) for name in _MOMENTS)
            and all(row[name] is None or type(row[name]) is int for name in ("from_index", "until_index"))
        ):
            raise _refused("A row of keys.jsonl has a member of another type than expected.")
        if (row["kty"], row["crv"], row["alg"]) != ("OKP", "Ed25519", "EdDSA"):
            raise Failure(ExitCode.UNSUPPORTED, "A key of keys.jsonl is for another algorithm than Ed25519.")
        if row["state"] not in _STATES or row["key_use"] not in _USES:
            raise Failure(ExitCode.UNSUPPORTED, "A key of keys.jsonl has a state or a use that is not known.")
        if row["key_use"] != "event" and (row["from_index"], row["until_index"]) != (None, None):
            raise _refused("A key of keys.jsonl is told to have signed events, and is not for them.")
        public_key = _public_key(row["x"])
        if public_key.kid != row["kid"]:
            raise _refused("A key of keys.jsonl does not have its own thumbprint as kid.")
        known = self._known.setdefault(public_key.kid, _Known(public_key))
        if known.told is not None:
            raise _refused("keys.jsonl tells of a key twice.")
        known.told = row
        self._told_count += 1

    def octets(self) -> dict[str, bytes]:
        """Return every known key by its kid, trusted or not: whose signatures can be verified at all."""
        return {kid: known.public_key.octets for kid, known in self._known.items()}

    def check_named(self, kid: str) -> None:
        """Raise Failure (key) unless the key may have signed events at some index."""
        self._trusted(kid)

    def pinned_at(self, kid: str, index: int) -> PublicKey:
        """Return a key that is pinned for `index`: for single events, which don't show any key's state."""
        known = self._trusted(kid)
        if known.pin is None:
            raise _refused("Some events of a log don't show when its keys were active: pin the key itself.")
        _check_pin(known.pin, index)
        return known.public_key

    def take(self, event: Event | Fact, kid: str) -> None:
        """Take up the event at its index, signed by `kid`: first what it says of keys, then whether it might sign.

        A key signs its own beginning and its own end. Raises Failure: (key), (approval) where a key needed people,
        (unsupported) for an unknown form.
        """
        known = self._trusted(kid)
        index = event.index
        if known.pin is not None:
            _check_pin(known.pin, index)
        key = event.members.get("key") if isinstance(event, Fact) else None
        if isinstance(event, Fact) and key is not None and event.type == "signing_key.activated":
            self._activate(event, key, kid)
        if "event" in self._active:
            self._check_active(known, kid)
        else:
            self._check_older(known, kid, index)
        if isinstance(event, Fact) and key is not None and event.type != "signing_key.activated":
            self._end(event, key)
        known.first_index = index if known.first_index is None else known.first_index
        known.last_index = index
        self._signing = kid

    def manifest_key(self, kid: str) -> PublicKey:
        """Return the key that signed the manifest, which must be trusted without an end. Raises Failure (key)."""
        known = self._trusted(kid)
        if (known.pin is not None and known.pin.until_index is not None) or known.ended_at is not None:
            raise _refused("The manifest's key is no longer trusted.")
        if known.told is None or known.told["state"] != "active":
            raise _refused("The manifest's key was not active when the pack was made.")
        return known.public_key

    def check_checkpoint(self, kid: str, size: int, *, cosigned: bool) -> None:
        """Hold the key of a checkpoint against the log, where a root names keys. Raises Failure (key)."""
        if self._root is None:
            return
        known = self._known.get(kid)
        if known is None or known.use != "checkpoint":
            raise _refused("The root manifest does not name the key that signed the checkpoint.")
        if known.ended_at is not None and size > known.ended_at:
            raise _refused(
                f"The checkpoint of {size} events is signed by a key that ended with event {known.ended_at}."
            )
        if known.revoked_at is not None and size > known.compromised_from and not cosigned:
            raise _refused("The checkpoint is signed by a key that is compromised, and nobody cosigned it.")

    def finish(self, covered: Collection[int] = ()) -> None:
        """Hold what `keys.jsonl` tells against what the log showed, and look at what revoked keys had signed.

        `covered` are sizes of trees that others than the bank vouch for. Raises Failure (key).
        """
        for known in self._known.values():
            self._check_revoked(known, covered)
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
        if known is None or (known.pin is None and known.use is None):
            raise _refused(
                "The key is not among those that are pinned."
                if self._root is None
                else "The root manifest does not name the key."
            )
        if known.use == "checkpoint":
            raise _refused("The root manifest names the key for checkpoints, and not for events.")
        if known.told is None:
            raise _refused("The key is not in keys.jsonl.")
        if known.told["key_use"] != "event":
            raise _refused("The key is for checkpoints, and not for events.")
        return known

    def _check_active(self, known: _Known, kid: str) -> None:
        if self._active["event"] == kid:
            return
        if known.activated_at is None and known.ended_at is None:
            raise _refused("The key was not active at this index: no event had activated it.")
        if known.ended_at is not None:
            raise _refused(f"The key was not active at this index: it had ended with event {known.ended_at}.")
        raise _refused("Another key was active at this index.")

    def _check_older(self, known: _Known, kid: str, index: int) -> None:
        """A log that is older than events about keys: the root says what each key signed, or the auditor's pins do."""
        if self._root is not None:
            if known.span is None:
                raise _refused("The key was not active at this index: no event had activated it.")
            first_index, last_index = known.span
            if index < first_index or (last_index is not None and index > last_index):
                raise _refused("The root manifest does not say that the key signed here.")
        if known.ended_at is not None:
            raise _refused(f"The key was not active at this index: it had ended with event {known.ended_at}.")
        if kid != self._signing and known.first_index is not None:
            raise _refused("A key that another one had replaced signs again.")

    def _activate(self, event: Fact, key: dict[str, Any], signer: str) -> None:
        if not key.keys() - {"replaces"} == _ACTIVATED or key["use"] not in _USES:
            raise _unknown_form(event)
        public_key, use = _public_key(key["x"]), str(key["use"])
        if public_key.kid != key["kid"]:
            raise _refused("The event's kid is not its key's thumbprint.")
        known = self._known.setdefault(public_key.kid, _Known(public_key))
        if use == "event" and signer != public_key.kid:
            raise _refused("The event that activates a key is not signed by that key.")
        if known.activated_at is not None or known.ended_at is not None:
            raise _refused("A key is activated for the second time, or after its end.")
        self._check_named(event, key, known)
        before = self._active.get(use)
        if use == "event" and use not in self._active and event.index and not self._is_older(known):
            raise _refused("The log does not begin with the event that activates its key.")
        if key.get("replaces") != before:
            raise _refused("The event names another key than the one that it replaces.")
        if before is not None:
            if not event.approvals and not self._is_lost(before):
                raise Failure(ExitCode.APPROVAL, "A key is replaced, and no other person approved it.")
            self._known[before].ended_at = event.index
        known.activated_at = event.index
        self._active[use] = public_key.kid

    def _is_lost(self, kid: str) -> bool:
        """Tell whether roots had said of the active key that nobody has it any more, so that it could sign no vote."""
        return (
            self._root is not None
            and self._root.lost.get(kid, self._manifest_version + 1) <= self._manifest_version
        )

    def _is_older(self, known: _Known) -> bool:
        """Tell whether a key signed already when the log came to have events about keys."""
        if self._root is not None:
            return known.span is not None and known.span[1] is None
        return known.public_key.kid == self._signing

    def _check_named(self, event: Fact, key: dict[str, Any], known: _Known) -> None:
        if self._root is None:
            return
        version = key["manifest_version"]
        if known.use != key["use"]:
            raise _refused("A key is activated that the root manifest does not name for this.")
        if type(version) is not int or version < 1:
            raise _unknown_form(event)
        if version < self._manifest_version:
            raise _refused("A key is activated by a lower version of the root manifest than one before it.")
        if version > self._root.version:
            raise _refused(
                f"A key is activated by version {version} of the root manifest, which the pack lacks."
            )
        if self._root.hashes.get(version, key["manifest_sha256"]) != key["manifest_sha256"]:
            raise _refused("A key is activated by another root manifest than the one of that version.")
        self._manifest_version = version

    def _end(self, event: Fact, key: dict[str, Any]) -> None:
        revoked = event.type == "signing_key.revoked"
        optional = {"compromised_from_index"} if revoked else set()
        if not _ENDED <= key.keys() <= _ENDED | optional or key["use"] not in _USES:
            raise _unknown_form(event)
        since = key.get("compromised_from_index", 0)
        if type(since) is not int or since < 0:
            raise _unknown_form(event)
        known, use = self._known.get(key["kid"]), str(key["use"])
        if known is None and self._root is None:
            # It never signed, for then it would be pinned, or told of.
            return
        if known is None or (known.use is not None and known.use != use):
            raise _refused("The event is about a key that the root manifest does not name for this.")
        is_active = self._active.get(use) == key["kid"] or (
            use not in self._active and known.ended_at is None
        )
        if not revoked and not is_active:
            raise _refused("A key is retired that was not active.")
        if known.revoked_at is not None:
            raise _refused("A key is revoked for the second time.")
        signed_before = known.ended_at is not None
        if revoked and signed_before and not event.approvals:
            raise Failure(
                ExitCode.APPROVAL, "A key that had ended is revoked, and no other person approved it."
            )
        known.ended_at = event.index if known.ended_at is None else known.ended_at
        if self._active.get(use) == key["kid"]:
            self._active[use] = None
        if revoked:
            known.revoked_at, known.compromised_from = event.index, since
            known.proven_until = known.last_index

    def _check_revoked(self, known: _Known, covered: Collection[int]) -> None:
        kid = known.public_key.kid
        if known.revoked_at is None:
            told_revoked = known.told is not None and known.told["state"] == "revoked"
            if told_revoked and known.last_index is not None and not _vouched(known, known.last_index):
                raise _refused(
                    f"{kid} is revoked, and no event of this pack says from where: what it signed proves nothing."
                )
            return
        first_index, last_index = known.first_index, known.proven_until
        if first_index is None or last_index is None or _vouched(known, last_index):
            return
        # Others vouch for what was in the log before the bank said that the key was stolen.
        size = max((one for one in covered if one <= known.revoked_at), default=0)
        void_from = max(known.compromised_from, size, first_index)
        if void_from <= last_index:
            raise _refused(
                f"Events {void_from} to {last_index} are void where {kid} signed them: event {known.revoked_at} says "
                f"that it is compromised from index {known.compromised_from} on, and no checkpoint that was cosigned "
                "before that event covers them."
            )


def _is_moment(value: Any) -> bool:
    return isinstance(value, str) and TEXTS["booked_at"].fullmatch(value) is not None


def _vouched(known: _Known, last_index: int) -> bool:
    """The auditor pinned an end: an own decision about how long the key is to be trusted."""
    return known.pin is not None and known.pin.until_index is not None and last_index <= known.pin.until_index


def _check_pin(pin: Pin, index: int) -> None:
    if index < pin.from_index or (pin.until_index is not None and index > pin.until_index):
        raise _refused("The key is not pinned for this index.")


def _public_key(x: Any) -> PublicKey:
    try:
        return PublicKey(base64url_bytes(x.encode() if isinstance(x, str) else b"?"))
    except (EncodingRefusedError, PublicKeyRefusedError) as error:
        raise _refused(f"A public key can't be trusted: {error}.") from None


def _unknown_form(event: Fact) -> Failure:
    return Failure(ExitCode.UNSUPPORTED, f"A {event.type} event is not of the form that is known here.")


def _refused(message: str) -> Failure:
    return Failure(ExitCode.KEY, message)
