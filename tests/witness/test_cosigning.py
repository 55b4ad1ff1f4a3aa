"""What a witness cosigns and what it refuses, with the specification's statuses; and what it keeps."""

import json
import threading
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from tallystick.core.clock import FixedClock
from tallystick.core.errors import InvariantError
from tallystick.signing import SigningKeyUnavailableError
from tallystick.transparency.add_checkpoint import (
    AddCheckpoint,
    RequestMalformedError,
    format_add_checkpoint,
    parse_add_checkpoint,
)
from tallystick.transparency.checkpoints import Checkpoint, parse_checkpoint
from tallystick.transparency.notes import (
    COSIGNATURE_V1,
    Note,
    cosigned_at_seconds,
    encode_base64,
    format_note,
    parse_note,
    parse_signature,
    parse_verifier_key,
    sign_note,
    verified,
)
from tallystick.witness import Answer, Witness, WitnessMisconfiguredError, create_witness, open_records
from tests.transparency.keys import key_of, signer_of
from tests.witness.memory_log import MemoryLog

SIZE: Final = "text/x.tlog.size"


def grown(witness: Witness, log: MemoryLog, *sizes: int) -> None:
    """Let the log be cosigned at these sizes, one behind the other."""
    old_size = 0
    for size in sizes:
        assert witness.add_checkpoint(log.request(old_size, size)).status == 200
        old_size = size


def cosigned(answer: Answer, log: MemoryLog, size: int, directory: Path) -> int:
    """Assert that the answer is one line that cosigns the log's checkpoint; return its time."""
    assert (answer.status, answer.body[-1]) == (200, "\n")
    line = parse_signature(answer.body[:-1])
    key = parse_verifier_key(json.loads((directory / "witness.json").read_text())["verifier_key"])
    assert key.kind == COSIGNATURE_V1
    assert verified(str(log.checkpoint(size)), line, key)
    return cosigned_at_seconds(line)


def test_it_cosigns_a_log_that_only_grows(
    witness: Witness, log: MemoryLog, clock: FixedClock, directory: Path
) -> None:
    old_size = 0
    for size in (1, 2, 7, 8, 300):
        clock.at += timedelta(minutes=1)
        answer = witness.add_checkpoint(log.request(old_size, size))
        assert cosigned(answer, log, size, directory) == int(clock.at.timestamp())
        old_size = size


def test_it_cosigns_the_same_checkpoint_again(
    witness: Witness, log: MemoryLog, clock: FixedClock, directory: Path
) -> None:
    grown(witness, log, 5)
    clock.at += timedelta(hours=1)
    answer = witness.add_checkpoint(log.request(5, 5))
    assert cosigned(answer, log, 5, directory) == int(clock.at.timestamp())


def test_its_times_never_go_back(
    witness: Witness, log: MemoryLog, clock: FixedClock, directory: Path
) -> None:
    before = int(clock.at.timestamp())
    grown(witness, log, 5)
    clock.at -= timedelta(days=365)
    assert cosigned(witness.add_checkpoint(log.request(5, 6)), log, 6, directory) == before


def test_a_stranger_is_404(witness: Witness) -> None:
    answer = witness.add_checkpoint(MemoryLog("stranger.example").request(0, 3))
    assert answer.status == 404


def test_without_the_log_s_signature_it_is_403(witness: Witness, log: MemoryLog) -> None:
    text = str(log.checkpoint(3))
    stranger, impostor = key_of("stranger.example"), signer_of("stranger.example")
    good = sign_note(text, log.key, signer_of(log.origin))
    for signatures in (
        (sign_note(text, stranger, impostor),),
        (sign_note(text, log.key, impostor),),
        # One line that names a known key and does not verify spoils the note, whatever else signed it.
        (good, sign_note(text, log.key, impostor)),
    ):
        body = format_add_checkpoint(0, [], format_note(Note(text, signatures)))
        assert witness.add_checkpoint(body).status == 403
    body = format_add_checkpoint(0, [], format_note(Note(text, (sign_note(text, stranger, impostor), good))))
    assert witness.add_checkpoint(body).status == 200


def test_another_old_size_is_409_and_told(witness: Witness, log: MemoryLog) -> None:
    for old_size in (1, 2):
        answer = witness.add_checkpoint(log.request(old_size, 5))
        assert answer == Answer(answer.status, "0\n", SIZE)
        assert answer.status == 409
    grown(witness, log, 5)
    for old_size, size in ((0, 5), (0, 9), (4, 9), (6, 9), (4, 4), (0, 0)):
        answer = witness.add_checkpoint(log.request(old_size, size))
        assert (answer.status, answer.body, answer.media_type) == (409, "5\n", SIZE)


def test_another_root_at_the_same_size_is_409(witness: Witness, log: MemoryLog) -> None:
    grown(witness, log, 5)
    answer = witness.add_checkpoint(MemoryLog(log.origin, fork_at=2).request(5, 5))
    assert (answer.status, answer.media_type) == (409, "text/plain; charset=utf-8")


def test_a_smaller_tree_is_400(witness: Witness, log: MemoryLog) -> None:
    grown(witness, log, 5)
    assert witness.add_checkpoint(log.request(5, 4)).status == 400


def test_a_proof_that_does_not_verify_is_422(witness: Witness, log: MemoryLog) -> None:
    assert witness.add_checkpoint(format_add_checkpoint(0, [bytes(32)], log.note(5))).status == 422
    grown(witness, log, 5)
    proof = log.proof(5, 9)
    for wrong in ([], proof[:-1], proof[::-1], [*proof, bytes(32)]):
        assert witness.add_checkpoint(format_add_checkpoint(5, wrong, log.note(9))).status == 422
    assert witness.add_checkpoint(format_add_checkpoint(5, proof, log.note(5))).status == 422
    forked = MemoryLog(log.origin, fork_at=2)
    assert witness.add_checkpoint(forked.request(5, 9)).status == 422
    assert witness.add_checkpoint(log.request(5, 9)).status == 200


def test_an_empty_tree_has_one_root(witness: Witness, log: MemoryLog) -> None:
    text = str(Checkpoint(log.origin, 0, bytes(32)))
    wrong = format_note(Note(text, (sign_note(text, log.key, signer_of(log.origin)),)))
    assert witness.add_checkpoint(format_add_checkpoint(0, [], wrong)).status == 422
    assert witness.add_checkpoint(log.request(0, 0)).status == 200
    grown(witness, log, 3)


def test_extension_lines_are_cosigned_as_they_are(witness: Witness, log: MemoryLog, directory: Path) -> None:
    log.extensions = ("more",)
    assert cosigned(witness.add_checkpoint(log.request(0, 3)), log, 3, directory) > 0


HASH: Final = encode_base64(bytes(32))


@pytest.mark.parametrize(
    "head",
    [
        "",
        "old",
        "old ",
        "old  0",
        "old 00",
        "old -1",
        "old +1",
        "old x",
        "old 9223372036854775808",
        "OLD 0",
        "old 0\r",
        "new 0",
        f"{HASH}\nold 0",
        "old 0\nAAAA",
        f"old 0\n{HASH[:-1]}",
        f"old 0\n {HASH}",
        "old 0\n" + "\n".join([HASH] * 64),
        "old \u0660",
    ],
)
def test_what_is_no_request_is_400(witness: Witness, log: MemoryLog, head: str) -> None:
    body = f"{head}\n\n{log.note(3)}".encode()
    with pytest.raises(RequestMalformedError):
        parse_add_checkpoint(body)
    assert witness.add_checkpoint(body).status == 400


def test_63_hashes_are_a_request() -> None:
    body = format_add_checkpoint(7, [bytes(32)] * 63, "note\n")
    assert parse_add_checkpoint(body) == AddCheckpoint(7, (bytes(32),) * 63, b"note\n")


@pytest.mark.parametrize("old", ["\u2014", "=", "\n3\n", "log.example"])
def test_what_is_no_checkpoint_is_400(witness: Witness, log: MemoryLog, old: str) -> None:
    for new in ("", "\x01"):
        body = log.request(0, 3).decode()
        assert old in body
        assert witness.add_checkpoint(body.replace(old, new).encode()).status in {400, 404}
    assert witness.add_checkpoint(b"").status == 400
    assert witness.add_checkpoint(b"old 0\n\n" + b"\xff" * 100).status == 400


def test_what_was_cosigned_is_on_disk_before_it_is_told_and_outlives_the_process(
    log: MemoryLog, directory: Path, clock: FixedClock
) -> None:
    with open_records(directory, None) as records:
        answer = Witness(records, clock).add_checkpoint(log.request(0, 5))
    [file] = (directory / "cosigned").iterdir()
    kept = parse_note(file.read_bytes())
    assert parse_checkpoint(kept.text) == log.checkpoint(5)
    assert file.read_text().endswith(answer.body)
    with open_records(directory, None) as records:
        again = Witness(records, clock)
        assert again.add_checkpoint(MemoryLog(log.origin, fork_at=2).request(5, 9)).status == 422
        assert again.add_checkpoint(log.request(5, 9)).status == 200


def test_a_record_that_can_not_be_kept_is_not_cosigned(
    witness: Witness, log: MemoryLog, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grown(witness, log, 5)
    before = {one: one.read_bytes() for one in (directory / "cosigned").iterdir()}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("tallystick.witness.records.write_durably", full)
        with pytest.raises(OSError, match="No space"):
            witness.add_checkpoint(log.request(5, 9))
    assert {one: one.read_bytes() for one in (directory / "cosigned").iterdir()} == before
    assert witness.add_checkpoint(log.request(5, 7)).status == 200


@pytest.mark.parametrize("damage", ["cut", "another's", "altered"])
def test_a_damaged_record_stops_it(witness: Witness, log: MemoryLog, directory: Path, damage: str) -> None:
    grown(witness, log, 5)
    [file] = (directory / "cosigned").iterdir()
    content = file.read_text()
    # An older record would be cosigned onwards from there; only what was never cosigned can be told apart.
    file.write_text(
        {
            "cut": content[:40],
            "another's": log.note(3),
            "altered": content.replace("\n5\n", "\n4\n"),
        }[damage]
    )
    with pytest.raises(InvariantError):
        witness.add_checkpoint(log.request(5, 9))


def test_of_many_at_once_each_continues_what_was_cosigned_before(witness: Witness, log: MemoryLog) -> None:
    grown(witness, log, 1)
    requests = [log.request(1, size) for size in range(2, 34)]
    statuses: list[int] = []
    start = threading.Barrier(len(requests))

    def ask(body: bytes) -> None:
        start.wait()
        statuses.append(witness.add_checkpoint(body).status)

    threads = [threading.Thread(target=ask, args=(one,)) for one in requests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] + [409] * 31


def test_a_directory_has_one_witness_and_one_process(directory: Path) -> None:
    with pytest.raises(WitnessMisconfiguredError, match="already"):
        create_witness(directory, "another.example", None)
    with (
        open_records(directory, None),
        pytest.raises(WitnessMisconfiguredError, match="Another process"),
        open_records(directory, None),
    ):
        pytest.fail("two processes hold one record")


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\u00a0b"])
def test_a_name_must_fit_into_a_signature_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(WitnessMisconfiguredError, match="name"):
        create_witness(tmp_path / "w", name, None)


def test_what_is_missing_is_said(directory: Path, tmp_path: Path, log: MemoryLog) -> None:
    def refused(match: str, at: Path = directory) -> None:
        with pytest.raises(WitnessMisconfiguredError, match=match), open_records(at, None):
            pytest.fail("it opened")

    refused("no witness's", tmp_path / "nowhere")
    logs = directory / "logs.txt"
    own = (directory / "witness.json").read_text().split('"')[-2]
    for content, match in (("# none\n", "names no log"), (f"{own}\n", "kind 1")):
        logs.write_text(content)
        refused(match)
    logs.unlink()
    refused("is missing")
    logs.write_text(f"{log.key}\n")
    (directory / "cosigned").rmdir()
    refused("retire this witness's key")


def test_the_key_is_encrypted_under_a_passphrase(tmp_path: Path, log: MemoryLog) -> None:
    create_witness(tmp_path / "w", "w.example", "open sesame")
    (tmp_path / "w" / "logs.txt").write_text(f"{log.key}\n")
    with pytest.raises(SigningKeyUnavailableError), open_records(tmp_path / "w", None):
        pytest.fail("it opened")
    with open_records(tmp_path / "w", "open sesame") as records:
        assert records.key.name == "w.example"
