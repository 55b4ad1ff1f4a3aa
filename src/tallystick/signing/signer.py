"""Who signs. A private key is used through `Signer` alone, so that it may live in memory here or in an HSM."""

import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NoReturn, Protocol

from nacl import bindings

from tallystick.signing.ed25519 import SIGNATURE_SIZE_BYTES, thumbprint

__all__ = ["Signer", "SoftwareSigner"]

# Below this many messages, handing work to another thread costs more than it gains.
_BATCH_SHARED_MIN: Final = 32
_THREADS_MAX: Final = 4


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

    def sign_many(self, messages: Sequence[bytes]) -> list[bytes]:
        """Return the signatures of `messages` in their order, all or none."""


class SoftwareSigner:
    """A signer whose private key is in this process's memory.

    It shows, compares, copies and pickles nothing of the key.
    """

    __slots__ = ("_executor", "_executor_lock", "_secret", "_threads", "key_id", "public_key")

    def __init__(self, seed: bytes, *, threads: int | None = None) -> None:
        """Take the 32 bytes of an RFC 8032 private key; `threads` sign a batch together (default: up to 4 cores)."""
        self.public_key, self._secret = bindings.crypto_sign_seed_keypair(seed)
        self.key_id = thumbprint(self.public_key)
        self._threads = threads or min(_THREADS_MAX, os.cpu_count() or 1)
        self._executor: ThreadPoolExecutor | None = None
        self._executor_lock = threading.Lock()

    def __repr__(self) -> str:
        return f"SoftwareSigner(key_id={self.key_id!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a private key does not leave its process")

    def sign(self, message: bytes) -> bytes:
        return bindings.crypto_sign(message, self._secret)[:SIGNATURE_SIZE_BYTES]

    def sign_many(self, messages: Sequence[bytes]) -> list[bytes]:
        if self._threads == 1 or len(messages) < _BATCH_SHARED_MIN:
            return self._sign_in_turn(messages)
        share = -(-len(messages) // self._threads)
        executor = self._started_executor()
        others = [
            executor.submit(self._sign_in_turn, messages[start : start + share])
            for start in range(share, len(messages), share)
        ]
        signatures = self._sign_in_turn(messages[:share])
        for other in others:
            signatures.extend(other.result())
        return signatures

    def _sign_in_turn(self, messages: Sequence[bytes]) -> list[bytes]:
        secret, crypto_sign = self._secret, bindings.crypto_sign
        return [crypto_sign(message, secret)[:SIGNATURE_SIZE_BYTES] for message in messages]

    def _started_executor(self) -> ThreadPoolExecutor:
        # Threads do not survive a fork, so they start with the first batch and not with the signer.
        with self._executor_lock:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(self._threads - 1, thread_name_prefix="sign")
            return self._executor
