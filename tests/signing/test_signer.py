"""Signing in one thread and in many; the private key shows nowhere."""

import copy
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tallystick.signing import Signer, SoftwareSigner, thumbprint

SEED = bytes(range(32))


def expected(message: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(SEED).sign(message)


@pytest.mark.parametrize("threads", [None, 1, 2, 3, 8])
@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 100])
def test_a_batch_is_signed_whole_and_in_order(threads: int | None, count: int) -> None:
    signer: Signer = SoftwareSigner(SEED, threads=threads)
    messages = [b"message %d" % number for number in range(count)]
    assert signer.sign_many(messages) == [expected(message) for message in messages]
    assert signer.sign_many(tuple(messages)) == signer.sign_many(messages)


def test_one_message() -> None:
    signer = SoftwareSigner(SEED)
    assert signer.sign(b"") == expected(b"")
    assert signer.sign(b"mint") == expected(b"mint")
    assert signer.key_id == thumbprint(signer.public_key)


def test_several_threads_may_sign_at_once() -> None:
    signer = SoftwareSigner(SEED, threads=3)
    batches = [[b"%d %d" % (batch, number) for number in range(64)] for batch in range(16)]
    with ThreadPoolExecutor(8) as executor:
        signed = list(executor.map(signer.sign_many, batches))
    assert signed == [[expected(message) for message in batch] for batch in batches]


def test_a_private_key_has_32_bytes() -> None:
    with pytest.raises(ValueError, match="seed"):
        SoftwareSigner(SEED[:31])


@pytest.mark.parametrize("leave", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_private_key_does_not_leave(leave: Callable[[SoftwareSigner], object]) -> None:
    with pytest.raises(TypeError, match="does not leave"):
        leave(SoftwareSigner(SEED))


def test_nothing_of_the_key_is_shown() -> None:
    signer = SoftwareSigner(SEED)
    assert not hasattr(signer, "__dict__")
    for shown in (repr(signer), str(signer), f"{signer}", f"{[signer]}"):
        assert shown.strip("[]") == f"SoftwareSigner(key_id='{signer.key_id}')"
