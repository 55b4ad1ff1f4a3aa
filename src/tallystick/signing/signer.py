"""Who signs. A private key is used through `Signer` alone, so that it may live in memory here or in an HSM."""

import contextlib
import os
import threading
from collections.abc import Sequence
from typing import Final, NoReturn, Protocol

from nacl import bindings

from tallystick.signing.ed25519 import SIGNATURE_SIZE_BYTES, thumbprint
from tallystick.signing.signing_process import Question, SigningProcess, SigningProcessLostError

__all__ = ["Signer", "Signing", "SoftwareSigner"]

# Below this many messages, handing work to another process costs more than it gains.
_BATCH_SHARED_MIN: Final = 16


class Signing(Protocol):
    """Signatures that are being made."""

    def ready(self) -> bool:
        """Tell whether `result` would return without much waiting."""

    def result(self) -> list[bytes]:
        """Return the signatures; raises what the signer raises."""


class Signer(Protocol):
    """Signs with one Ed25519 private key. Safe to be called from several threads at once.

    An implementation that can't sign (its device is away) raises an UnavailableError; it never signs with another
    key, and nobody signs in its place.
    """

    @property
    def key_id(self) -> str:
        """The RFC 7638 thumbprint of the public key: the `kid` of what is signed."""

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of the Ed25519 signature of `message`."""

    def begin(self, messages: Sequence[bytes]) -> Signing:
        """Begin to sign `messages`; the result is their signatures, in their order, all or none."""


class SoftwareSigner:
    """A signer whose private key is in this process's memory, and in that of its signing process.

    It shows, compares, copies and pickles nothing of the key.
    """

    __slots__ = ("_alone", "_secret", "key_id", "public_key")

    def __init__(self, seed: bytes, *, alone: bool = False) -> None:
        """Take the 32 bytes of an RFC 8032 private key; `alone` signs in the calling thread only."""
        self.public_key, self._secret = bindings.crypto_sign_seed_keypair(seed)
        self.key_id = thumbprint(self.public_key)
        self._alone = alone

    def __repr__(self) -> str:
        return f"SoftwareSigner(key_id={self.key_id!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a private key does not leave its process")

    def sign(self, message: bytes) -> bytes:
        return bindings.crypto_sign(message, self._secret)[:SIGNATURE_SIZE_BYTES]

    def begin(self, messages: Sequence[bytes]) -> Signing:
        question = None
        if not self._alone and len(messages) >= _BATCH_SHARED_MIN:
            with contextlib.suppress(SigningProcessLostError):
                question = _process_beside().begin(self._secret, messages)
        return _Software(self._secret, messages, question)


class _Software:
    """Signatures by the process beside this one, or here where there is none or it was lost."""

    __slots__ = ("_messages", "_question", "_secret")

    def __init__(self, secret: bytes, messages: Sequence[bytes], question: Question | None) -> None:
        self._secret = secret
        self._messages = messages
        self._question = question

    def ready(self) -> bool:
        return self._question is None or self._question.ready()

    def result(self) -> list[bytes]:
        if self._question is not None:
            with contextlib.suppress(SigningProcessLostError):
                return self._question.result()
        secret, crypto_sign = self._secret, bindings.crypto_sign
        return [crypto_sign(message, secret)[:SIGNATURE_SIZE_BYTES] for message in self._messages]


_process: SigningProcess | None = None
_starting: Final = threading.Lock()


def _process_beside() -> SigningProcess:
    # One for all keys of this process; what a fork left in a child belongs to its parent.
    global _process  # noqa: PLW0603 One per process is what it is.
    with _starting:
        if _process is not None and _process.owner_id == os.getpid() and _process.lost:
            _process.close()
        if _process is None or _process.lost or _process.owner_id != os.getpid():
            _process = SigningProcess()
        return _process
