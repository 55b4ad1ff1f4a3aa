"""Signing here and in the process beside; the private key shows nowhere."""

import copy
import pickle
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tallystick.signing import Signer, SoftwareSigner, thumbprint
from tallystick.signing import signer as signer_module
from tallystick.signing.signing_child import _answer

SEED = bytes(range(32))


def expected(message: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(SEED).sign(message)


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 100])
def test_a_batch_is_signed_whole_and_in_order(alone: bool, count: int) -> None:
    signer: Signer = SoftwareSigner(SEED, alone=alone)
    messages = [b"message %d" % number for number in range(count)]
    assert signer.begin(messages).result() == [expected(message) for message in messages]
    assert signer.begin(tuple(messages)).result() == signer.begin(messages).result()


def test_batches_under_way_are_answered_each_with_its_own() -> None:
    signers = [SoftwareSigner(SEED), SoftwareSigner(bytes(32))]
    messages = [[b"%d %d" % (batch, number) for number in range(40)] for batch in range(6)]
    under_way = [signers[batch % 2].begin(asked) for batch, asked in enumerate(messages)]
    for batch in (5, 0, 3, 1, 4, 2):
        signer = signers[batch % 2]
        assert under_way[batch].result() == [signer.sign(message) for message in messages[batch]]
        assert under_way[batch].ready()


def test_a_process_that_dies_loses_nothing() -> None:
    signer = SoftwareSigner(SEED)
    messages = [b"%d" % number for number in range(64)]
    signed = [expected(message) for message in messages]
    assert signer.begin(messages).result() == signed
    process = signer_module._process_beside()
    process._process.send_signal(signal.SIGSTOP)
    under_way = [signer.begin(messages) for _ in range(3)]
    process._process.kill()
    process._process.wait()

    assert [one.result() for one in under_way] == [signed] * 3
    assert signer.begin(messages).result() == signed
    assert signer_module._process_beside() is not process


def test_a_process_that_was_told_to_stop_signs_on_and_ends_with_its_parent() -> None:
    script = (
        "import os, signal, sys\n"
        "from tallystick.signing import SoftwareSigner, signer\n"
        "signing = SoftwareSigner(bytes(range(32)))\n"
        "messages = [b'%d' % number for number in range(64)]\n"
        "first = signing.begin(messages).result()\n"
        "beside = signer._process_beside()._process.pid\n"
        "os.kill(beside, signal.SIGTERM), os.kill(beside, signal.SIGINT)\n"
        "assert signing.begin(messages).result() == first\n"
        "print(beside, flush=True)\n"
        "sys.stdin.read(1)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        beside = int(parent.stdout.readline())
        assert Path(f"/proc/{beside}").exists()
        parent.communicate("x", timeout=10)
    for _ in range(200):
        if not Path(f"/proc/{beside}/exe").exists():
            return
        time.sleep(0.05)
    pytest.fail("the signing process outlived its parent")


def test_one_message() -> None:
    signer = SoftwareSigner(SEED)
    assert signer.sign(b"") == expected(b"")
    assert signer.sign(b"mint") == expected(b"mint")
    assert signer.key_id == thumbprint(signer.public_key)


def test_several_threads_may_sign_at_once() -> None:
    signer = SoftwareSigner(SEED)
    batches = [[b"%d %d" % (batch, number) for number in range(64)] for batch in range(16)]
    with ThreadPoolExecutor(8) as executor:
        signed = list(executor.map(lambda batch: signer.begin(batch).result(), batches))
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


def test_the_other_process_answers_each_question_with_the_key_it_names() -> None:
    keys = [Ed25519PrivateKey.generate() for _ in range(2)]
    secrets = [key.private_bytes_raw() + key.public_key().public_bytes_raw() for key in keys]
    asked = [
        *(struct.pack("!II", number, 0) + secret for number, secret in enumerate(secrets)),
        struct.pack("!II2I", 1, 2, 3, 0) + b"abc",
        struct.pack("!III", 0, 1, 1) + b"d",
    ]
    ours, theirs = socket.socketpair()
    with ours, theirs, theirs.makefile("rb") as stream:
        ours.sendall(b"".join(asked))
        # As a parent that is gone: the last question was asked.
        ours.shutdown(socket.SHUT_WR)
        _answer(stream, theirs)
        theirs.shutdown(socket.SHUT_WR)
        with ours.makefile("rb") as answers:
            answer = answers.read()

    assert answer == keys[1].sign(b"abc") + keys[1].sign(b"") + keys[0].sign(b"d")
