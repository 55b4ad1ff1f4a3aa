"""Leaves that helpers take apart: the same verdict, wherever the one that does not hold stands."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from tallystick_verify import ExitCode, leaves
from tallystick_verify.canonical import parse
from tallystick_verify.ed25519 import PublicKey
from tallystick_verify.events import Event
from tallystick_verify.failures import Failure, PackFailure
from tallystick_verify.figures import Journal, compare, journal_row, journal_text
from tallystick_verify.leaves import Leaf, Leaves
from tallystick_verify.replay import Posted
from tallystick_verify.verifying import Options
from tests.verify.packs import Evidence, fresh_signer, verified

HELPERS = pytest.mark.parametrize("helpers", [0, 2])


def rows_of(evidence: Evidence) -> list[bytes]:
    return [row["jws"].encode() for row in evidence.insider().rows("events.jsonl")]


def keys_of(evidence: Evidence) -> dict[str, bytes]:
    return {pin.public_key.kid: pin.public_key.octets for pin in evidence.pinned.pins}


@HELPERS
def test_each_leaf_comes_in_order_with_what_is_wrong_with_it(
    helpers: int, evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaves, "_BATCH", 3)
    rows = rows_of(evidence)[:20]
    rows[0] = rows[0][:-10] + (b"AAAA" if rows[0][-10:-6] != b"AAAA" else b"BBBB") + rows[0][-6:]
    rows[7] = rows[7].replace(b".", b"..", 1)
    rows[19] = rows[18].rpartition(b".")[0] + b"." + rows[19].rpartition(b".")[2]

    with Leaves(keys_of(evidence), helpers, 1_000_000) as taking:
        found = list(taking.each(iter(rows)))

    assert [index for index, leaf in enumerate(found) if not leaf.holds] == [0, 7, 19]
    assert [index for index, leaf in enumerate(found) if leaf.event is None] == [7]
    assert [leaf.event.index for leaf in found[:7] if leaf.event is not None] == list(range(7))
    with pytest.raises(Failure) as refused:
        found[7].required()
    assert refused.value.exit_code == ExitCode.SIGNATURE


def test_a_key_that_was_not_given_verifies_nothing(evidence: Evidence) -> None:
    other = PublicKey(fresh_signer().public_key)
    [found] = leaves.take_apart(rows_of(evidence)[:1], {other.kid: other.octets})
    assert found.event is not None
    assert found.kid in keys_of(evidence)
    assert not found.holds


@HELPERS
def test_what_ends_the_rows_is_told_behind_those_in_front_of_it(
    helpers: int, evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaves, "_BATCH", 3)
    rows = rows_of(evidence)[:8]

    def damaged() -> Iterator[bytes]:
        yield from rows
        raise PackFailure("The file ends here.")

    found: list[Leaf] = []
    with Leaves(keys_of(evidence), helpers, 1_000_000) as taking, pytest.raises(PackFailure):
        found.extend(iter(taking.each(damaged())))
    # `extend` keeps what came before the failure.
    assert len(found) == len(rows)
    assert all(leaf.holds for leaf in found)


def test_an_event_is_the_same_in_another_process(evidence: Evidence) -> None:
    rows = rows_of(evidence)
    with Leaves({}, 1, 1_000_000) as taking:
        assert list(taking.each(iter(rows))) == leaves.take_apart(rows, {})


def test_the_journal_is_written_as_any_other_row(evidence: Evidence) -> None:
    seen = 0
    for leaf in leaves.take_apart(rows_of(evidence), {}):
        if isinstance(leaf.event, Event):
            for number, line in enumerate(leaf.event.lines):
                posted = Posted(line, seen, seen + 7, seen + 1)
                text = journal_text(leaf.event, number, posted)
                compare(text, journal_row(leaf.event, number, posted), "journal.jsonl")
                assert parse(text) == journal_row(leaf.event, number, posted)
                with pytest.raises(Failure):
                    Journal(iter([text[:-2] + b"0}"])).check(leaf.event, [posted])
                seen += 1
    assert seen > 10


def test_a_pack_is_judged_alike(evidence: Evidence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaves, "_EVENTS_MIN", 1)
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
    assert list(map(str, beside.findings)) == list(map(str, alone.findings))
    assert any(one.exit_code == ExitCode.SIGNATURE for one in beside.findings)


def test_a_helper_that_dies_is_no_verdict() -> None:
    with Leaves({}, 1, 1_000_000) as taking:
        assert taking._pool is not None
        os.kill(taking._pool.submit(os.getpid).result(), signal.SIGKILL)
        with pytest.raises(BrokenProcessPool):
            list(taking.each(iter([b"a.b.c"] * 10_000)))
