"""Signatures that helpers verify: the same verdict, wherever the one that does not hold stands."""

import os
import signal
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from tallystick_verify import ExitCode, signatures
from tallystick_verify.ed25519 import PublicKey
from tallystick_verify.signatures import Signatures
from tallystick_verify.verifying import Options
from tests.verify.packs import Evidence, fresh_signer, verified


@pytest.mark.parametrize("helpers", [0, 2])
def test_whose_signature_does_not_hold_is_told(helpers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signatures, "_BATCH", 3)
    signer, other = fresh_signer(), fresh_signer()
    key = PublicKey(signer.public_key)
    messages = [str(index).encode() for index in range(20)]
    found: list[int] = []

    with Signatures(helpers, 1_000_000, found.append) as checking:
        for index, message in enumerate(messages):
            made = (other if index in {0, 7, 19} else signer).sign(message)
            checking.check(index, key, made, message)
        checking.finish()
        assert found == [0, 7, 19]


def test_a_pack_is_judged_alike(evidence: Evidence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signatures, "_EVENTS_MIN", 1)
    options = Options(allow_no_checkpoint=True, helpers=1)
    assert verified(evidence.files, tmp_path / "whole", evidence.policy, options).exit_code == ExitCode.OK
    insider = evidence.insider()
    insider.resign(3, lambda _: None, other=True)
    jws = insider.rows("events.jsonl")[4]["jws"]
    forged = jws[:-10] + ("AAAA" if jws[-10:-6] != "AAAA" else "BBBB") + jws[-6:]
    insider.edit("events.jsonl", lambda rows: rows[4].update(jws=forged))

    beside = verified(insider.files, tmp_path / "beside", evidence.policy, options)
    alone = verified(insider.files, tmp_path / "alone", evidence.policy)

    assert beside.exit_code == alone.exit_code
    assert sorted(map(str, beside.findings)) == sorted(map(str, alone.findings))
    assert any(one.exit_code == ExitCode.SIGNATURE for one in beside.findings)


def test_a_helper_that_dies_is_no_verdict() -> None:
    key = PublicKey(fresh_signer().public_key)
    with Signatures(1, 1_000_000, lambda _: None) as checking:
        assert checking._pool is not None
        os.kill(checking._pool.submit(os.getpid).result(), signal.SIGKILL)
        with pytest.raises(BrokenProcessPool):
            _give_much(checking, key)


def _give_much(checking: Signatures, key: PublicKey) -> None:
    for index in range(10_000):
        checking.check(index, key, bytes(64), b"")
