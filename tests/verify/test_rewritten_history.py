"""What an insider with the database and every key of the bank can still not do: have another history believed.

Of three witnesses two must cosign. The insider restores a backup and lets the bank go on from it, signs two trees of
one size, or signs a forged suffix with the log's own key.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from psycopg import sql

from tallystick import transparency
from tallystick.core.clock import SystemClock
from tallystick.core.database import Database
from tallystick.transparency import DatabaseTiles
from tallystick.transparency.add_checkpoint import SIZE_MEDIA_TYPE, format_add_checkpoint
from tallystick.transparency.checkpoints import parse_checkpoint
from tallystick.transparency.integrating import integrate
from tallystick.transparency.notes import parse_note
from tallystick.witness import Witness, create_witness, open_records
from tallystick_verify import ExitCode, Options, Policy, Report
from tallystick_verify.notes import read_verifier_key
from tallystick_verify.policy_file import CheckpointRule
from tests.bank import Bank
from tests.database import DatabaseUrls, connect
from tests.transparency.logs import log_of
from tests.verify.packs import Evidence, export_evidence, verified
from tests.witness.memory_log import MemoryLog

TILES = DatabaseTiles()
QUORUM = 2


class Watcher(NamedTuple):
    """A witness, and the key that it is known by."""

    witness: Witness
    key: str


@contextmanager
def watching(bank: Bank, folder: Path, count: int) -> Iterator[list[Watcher]]:
    """Yield witnesses that watch the bank's log."""
    with bank.database.read() as connection:
        _, keys = transparency.log_keys(connection, bank.issuer_id)
    with ExitStack() as stack:
        found = []
        for number in range(count):
            directory = folder / f"w{number}"
            create_witness(directory, f"witness.example/w{number}", None)
            (directory / "logs.txt").write_text("\n".join(keys))
            records = stack.enter_context(open_records(directory, None))
            found.append(Watcher(Witness(records, bank.clock), str(records.key)))
        yield found


def integrated(bank: Bank) -> str:
    """Let a process that remembers nothing bring the tree up to the log; return the signed checkpoint."""
    integrate(bank.database, log_of(bank), bank.issuer_id)
    with bank.database.read() as connection:
        return transparency.published_checkpoint(connection, bank.issuer_id, transparency.NO_WITNESSES)


def size_of(note: str) -> int:
    return parse_checkpoint(parse_note(note.encode()).text).size


def put_before(watcher: Watcher, bank: Bank, note: str, old_size: int) -> str | int:
    """Return the witness's line, or the status that it refuses with; asked again where it says where it stands."""
    size = size_of(note)
    proof: tuple[bytes, ...] = ()
    if 0 < old_size < size:
        with bank.database.read() as connection:
            grew = transparency.consistency(connection, TILES, bank.issuer_id, old_size, size)
        proof = tuple(grew.hashes)
    answer = watcher.witness.add_checkpoint(format_add_checkpoint(old_size, proof, note))
    if answer.status == 409 and answer.media_type == SIZE_MEDIA_TYPE and int(answer.body) <= size:
        known = int(answer.body)
        return 409 if known == old_size else put_before(watcher, bank, note, known)
    return answer.body if answer.status == 200 else answer.status


def policy_of(bank: Bank, evidence: Evidence, witnesses: list[Watcher]) -> Policy:
    with bank.database.read() as connection:
        origin, keys = transparency.log_keys(connection, bank.issuer_id)
    rule = CheckpointRule(
        origin,
        tuple(read_verifier_key(one) for one in keys),
        tuple(read_verifier_key(one.key) for one in witnesses),
        QUORUM if witnesses else 0,
        0,
    )
    return replace(evidence.policy, checkpoint=rule)


def audited(bank: Bank, folder: Path, held: Path, witnesses: list[Watcher], lines: list[str]) -> Report:
    """Export a pack, put cosignatures under its checkpoint, and verify it as an auditor who remembers."""
    folder.mkdir()
    evidence = Evidence.of(bank, export_evidence(bank, folder))
    insider = evidence.insider()
    with bank.database.read() as connection:
        note = transparency.published_checkpoint(connection, bank.issuer_id, transparency.NO_WITNESSES)
    insider.files["checkpoint.txt"] = (note + "".join(lines)).encode()
    insider.seal()
    policy = policy_of(bank, evidence, witnesses)
    return verified(insider.files, folder / "pack", policy, Options(held=held, remember=True))


@contextmanager
def restored(bank: Bank, backup: DatabaseUrls) -> Iterator[Bank]:
    """Yield the bank as it goes on from a backup: the same keys, the same people, an earlier database."""
    database = Database(backup.service_url, pool_size=2)
    try:
        yield replace(bank, database=database, urls=backup, settler=replace(bank.settler))
    finally:
        database.close()


@pytest.fixture
def backup(bank: Bank) -> Iterator[DatabaseUrls]:
    """A copy of the bank's database after its first day, made by the strongest tool: the file system's."""
    bank.mint("HARBOUR-USD", "100.00")
    integrated(bank)
    bank.database.close()
    name = f"{bank.urls.name}_backup"
    with connect(bank.urls.superuser_url.replace(bank.urls.name, "postgres")) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(bank.urls.name)
            )
        )
        try:
            yield DatabaseUrls(
                name,
                *(
                    one.replace(bank.urls.name, name)
                    for one in (bank.urls.owner_url, bank.urls.service_url, bank.urls.superuser_url)
                ),
            )
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def test_a_backup_that_goes_on_is_refused_by_witness_and_verifier(
    bank: Bank, backup: DatabaseUrls, tmp_path: Path
) -> None:
    held = tmp_path / "held"
    with watching(bank, tmp_path, 3) as witnesses:
        # The day goes on, and is seen.
        bank.transfer("HARBOUR-USD", "LANTERN-USD", "40.00")
        note = integrated(bank)
        lines = [put_before(one, bank, note, 0) for one in witnesses]
        assert all(isinstance(one, str) for one in lines)
        seen = audited(bank, tmp_path / "seen", held, witnesses, [str(one) for one in lines])
        assert seen.exit_code == ExitCode.OK, seen.text()

        # Then it is undone: the payment never was, and the bank goes on further than it had been.
        with restored(bank, backup) as undone:
            undone.transfer("HARBOUR-USD", "SILKROAD-USD", "90.00")
            undone.redeem("HARBOUR-USD", "1.00")
            forged = integrated(undone)
            assert size_of(forged) > size_of(note)
            assert [put_before(one, undone, forged, 0) for one in witnesses] == [422] * 3
            # With the old cosignatures or none, by an auditor who remembers; and by one who never looked before.
            by_memory = audited(undone, tmp_path / "memory", held, [], [])
            assert by_memory.exit_code == ExitCode.LOG
            stale = audited(
                undone, tmp_path / "stale", tmp_path / "new", witnesses, [str(one) for one in lines]
            )
            # The witnesses signed another checkpoint than the one that stands above their lines.
            assert stale.exit_code == ExitCode.SIGNATURE


def test_a_forged_suffix_under_the_stolen_log_key_lacks_the_quorum(bank: Bank, tmp_path: Path) -> None:
    """Every key of the bank is the thief's: events and checkpoint verify, and only the witnesses' word is missing."""
    bank.mint("HARBOUR-USD", "100.00")
    with_suffix = integrated(bank)
    with watching(bank, tmp_path, 3) as witnesses:
        one_line = str(put_before(witnesses[0], bank, with_suffix, 0))
        alone = audited(bank, tmp_path / "alone", tmp_path / "held", witnesses, [])
        bribed = audited(bank, tmp_path / "bribed", tmp_path / "held", witnesses, [one_line])
        twice = audited(bank, tmp_path / "twice", tmp_path / "held", witnesses, [one_line, one_line])
    assert [one.exit_code for one in (alone, bribed, twice)] == [ExitCode.LOG] * 3
    assert "2" in bribed.findings[0].message


@pytest.mark.parametrize("deceived", [(), (0,), (1, 2), (0, 1, 2)])
def test_of_two_roots_of_one_size_never_both_reach_a_quorum(
    tmp_path: Path, deceived: tuple[int, ...]
) -> None:
    """Whichever witnesses are shown the forked tree first, and however often both are put before all: one at most."""
    honest, forked = MemoryLog("log.example/log/1"), MemoryLog("log.example/log/1", fork_at=4)
    assert honest.checkpoint(7).root != forked.checkpoint(7).root
    cosigners: dict[str, set[int]] = {"honest": set(), "forked": set()}
    for number in range(3):
        directory = tmp_path / f"w{number}"
        create_witness(directory, f"witness.example/w{number}", None)
        (directory / "logs.txt").write_text(str(honest.key))
        with open_records(directory, None) as records:
            witness = Witness(records, SystemClock())
            shown = [("honest", honest), ("forked", forked)]
            for name, log in (shown[::-1] if number in deceived else shown) * 2:
                for old_size in (0, 7):
                    if witness.add_checkpoint(log.request(old_size, 7)).status == 200:
                        cosigners[name].add(number)
    # Each witness has taken one side for ever, so two quorums of 2 of 3 would need a witness on both.
    assert cosigners == {"honest": {0, 1, 2} - set(deceived), "forked": set(deceived)}
    assert sum(len(found) >= QUORUM for found in cosigners.values()) == 1
