"""Integration: in steps and behind crashes on every line it leads to one tree, and it signs no other."""

import threading
from pathlib import Path
from typing import Any, Final

import pytest
import sqlalchemy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tallystick import transparency
from tallystick.core import durable_files
from tallystick.core.errors import InvariantError
from tallystick.signing import KeyUse, SigningKeyUnavailableError
from tallystick.transparency import DatabaseTiles, DirectoryTiles, TileStore
from tallystick.transparency.auditing import LogFinding
from tallystick.transparency.integrating import integrate
from tests.bank import Bank, oracle
from tests.database import connect
from tests.faults import CrashError, Faults, crashing
from tests.older_keys import begin_older_key, end_older_key, replace_older_key
from tests.transparency.logs import Issuer, add_events, audited, head, log_of, stored

CLEAN: Final[list[LogFinding]] = []
WRITING: Final = ("tallystick.transparency.tile_stores.write_durably", durable_files.write_durably)


def test_an_empty_log_has_no_checkpoint(issuer: Issuer) -> None:
    assert integrate(issuer.database, log_of(issuer), issuer.issuer_id) == 0
    assert stored(issuer) == {"tree": [], "tiles": [], "checkpoints": []}
    with pytest.raises(transparency.CheckpointNotFoundError):
        head(issuer)


def test_events_of_the_write_path_become_leaves(bank: Bank) -> None:
    bank.mint("HARBOUR-USD", "5.00")
    bank.transfer("HARBOUR-USD", "LANTERN-USD", "1.00")
    log = log_of(bank)

    # The deposit, the vote for the mint, the mint and the transfer.
    assert integrate(bank.database, log, bank.issuer_id) == 4
    first = head(bank)
    assert integrate(bank.database, log, bank.issuer_id) == 4
    assert head(bank) == first
    bank.transfer("HARBOUR-USD", "LANTERN-USD", "1.00")
    assert integrate(bank.database, log, bank.issuer_id) == 5

    found = audited(bank)
    assert (found.findings, found.size, found.checkpoint_count) == (CLEAN, 5, 2)
    assert first.origin == f"log.riverbank.example/log/{bank.issuer_id}"
    oracle(bank)


@pytest.mark.parametrize("steps", [[1], [255, 1, 1], [256], [300, 300], [700]])
def test_in_whatever_steps_it_is_the_same_tree(issuer: Issuer, steps: list[int]) -> None:
    log = log_of(issuer)
    for step in steps:
        add_events(issuer, step)
        assert integrate(issuer.database, log, issuer.issuer_id, step_size_max=700) == head(issuer).size
    found = audited(issuer)
    assert found.findings == CLEAN
    assert (found.size, found.tile_count) == (sum(steps), sum(steps) // 256)


def test_a_step_is_bounded_and_the_next_one_goes_on(issuer: Issuer) -> None:
    add_events(issuer, 600)
    sizes = [
        integrate(issuer.database, log_of(issuer), issuer.issuer_id, step_size_max=250) for _ in range(4)
    ]
    assert sizes == [250, 500, 600, 600]
    found = audited(issuer)
    assert (found.findings, found.checkpoint_count) == (CLEAN, 3)


def test_the_name_is_for_ever(issuer: Issuer) -> None:
    add_events(issuer, 2)
    log = log_of(issuer)
    integrate(issuer.database, log, issuer.issuer_id)
    before = head(issuer)
    renamed = transparency.Log(issuer.clock, issuer.key_directory, "elsewhere.example")
    add_events(issuer, 2)
    assert integrate(issuer.database, renamed, issuer.issuer_id) == 4
    assert head(issuer).origin == before.origin
    with pytest.raises(sqlalchemy.exc.ProgrammingError, match="permission denied"):
        issuer.database.run(
            lambda connection: connection.exec_driver_sql("UPDATE log_tree SET origin = 'another'")
        )


def test_without_a_key_nothing_is_signed_and_nothing_written(issuer: Issuer) -> None:
    add_events(issuer, 3)
    with issuer.database.engine.begin() as connection:
        end_older_key(connection, issuer.clock, issuer.issuer_id, use=KeyUse.CHECKPOINT)
    with pytest.raises(SigningKeyUnavailableError):
        integrate(issuer.database, log_of(issuer), issuer.issuer_id)
    assert stored(issuer)["checkpoints"] == []
    with issuer.database.engine.begin() as connection:
        begin_older_key(
            connection, issuer.clock, issuer.issuer_id, issuer.key_directory, use=KeyUse.CHECKPOINT
        )
    assert integrate(issuer.database, log_of(issuer), issuer.issuer_id) == 3
    assert audited(issuer).findings == CLEAN


def test_a_new_key_signs_on_and_the_old_one_stays_known(issuer: Issuer) -> None:
    log = log_of(issuer)
    for _ in range(2):
        add_events(issuer, 1)
        integrate(issuer.database, log, issuer.issuer_id)
        with issuer.database.engine.begin() as connection:
            replace_older_key(
                connection, issuer.clock, issuer.issuer_id, issuer.key_directory, use=KeyUse.CHECKPOINT
            )
    found = audited(issuer)
    assert (found.findings, found.checkpoint_count) == (CLEAN, 2)
    assert len({row[2] for row in stored(issuer)["checkpoints"]}) == 2
    with issuer.database.read() as connection:
        origin, keys = transparency.log_keys(connection, issuer.issuer_id)
    assert [one.partition("+")[0] for one in keys] == [origin] * 3


def test_of_several_processes_one_integrates_at_a_time(issuer: Issuer) -> None:
    add_events(issuer, 2_000)
    failures: list[BaseException] = []

    def work() -> None:
        log = log_of(issuer)
        try:
            while integrate(issuer.database, log, issuer.issuer_id, step_size_max=100) < 2_000:
                pass
        except BaseException as error:  # noqa: BLE001 Told by the test's own thread.
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    found = audited(issuer)
    assert (found.findings, found.size, found.checkpoint_count) == (CLEAN, 2_000, 20)


@pytest.mark.parametrize("persisted", [False, True], ids=["not persisted", "persisted"])
@pytest.mark.parametrize("place", ["database", "directory"])
def test_a_crash_on_any_line_is_as_if_it_had_not_been(
    issuer: Issuer, tmp_path: Path, place: str, persisted: bool
) -> None:
    tiles: TileStore = DatabaseTiles() if place == "database" else DirectoryTiles(tmp_path / "tiles")
    add_events(issuer, 200)
    integrate(issuer.database, log_of(issuer, tiles), issuer.issuer_id)
    crashes, size = 0, 200
    for at in range(1, 60):
        add_events(issuer, 300)
        size += 300
        faults = Faults(at, persisted=persisted)
        with crashing(issuer.database, faults, WRITING):
            try:
                integrate(issuer.database, log_of(issuer, tiles), issuer.issuer_id)
            except CrashError:
                crashes += 1
        # The dead process's connections die with it.
        issuer.database.engine.dispose()
        # Whoever comes next takes the way it always takes.
        assert integrate(issuer.database, log_of(issuer, tiles), issuer.issuer_id) == size
        if faults.left > 0:
            break
    else:
        pytest.fail("a step has fewer effects than this")
    assert crashes == at - 1 > 12
    found = audited(issuer, tiles)
    assert (found.findings, found.size, found.tile_count) == (CLEAN, size, size // 256)
    # One checkpoint for each step: what a crash took back was never seen.
    assert found.checkpoint_count == 1 + at


# What an insider may do between two steps, and the next step must refuse to sign over.
INSIDERS: Final = {
    "an event of the unfinished tile": "UPDATE event SET jws = 'x' WHERE issuer_id = %s AND event_index = 299",
    "an event is taken out": "DELETE FROM event WHERE issuer_id = %s AND event_index = 305",
    "events are cut off": "DELETE FROM event WHERE issuer_id = %s AND event_index >= 290",
    "the edge": "UPDATE log_tree SET edge = set_byte(edge, 7, get_byte(edge, 7) # 1) WHERE issuer_id = %s",
    "the edge of the level above": (
        "UPDATE log_tree SET edge = set_byte(edge, length(edge) - 1, get_byte(edge, length(edge) - 1) # 1)"
        " WHERE issuer_id = %s"
    ),
    "the size": "UPDATE log_tree SET size = size + 1 WHERE issuer_id = %s",
    "the origin": "UPDATE log_tree SET origin = 'another' WHERE issuer_id = %s",
    "the root": "UPDATE log_checkpoint SET root_hash = sha256('x') WHERE issuer_id = %s",
    "the checkpoint's size": "UPDATE log_checkpoint SET size = 299 WHERE issuer_id = %s AND size = 300",
    "the note": "UPDATE log_checkpoint SET note = replace(note, '300', '299') WHERE issuer_id = %s",
    "no checkpoint at all": "DELETE FROM log_checkpoint WHERE issuer_id = %s",
    "another key": "UPDATE signing_key SET public_key = sha256('x') WHERE issuer_id = %s AND use = 'checkpoint'",
}


@pytest.mark.parametrize("what", INSIDERS)
def test_what_was_tampered_with_is_not_signed_over(issuer: Issuer, what: str) -> None:
    add_events(issuer, 300)
    integrate(issuer.database, log_of(issuer), issuer.issuer_id)
    add_events(issuer, 10)
    with connect(issuer.urls.superuser_url) as connection:
        connection.execute("SET session_replication_role = replica")
        assert connection.execute(INSIDERS[what].encode(), [issuer.issuer_id]).rowcount > 0
    before = stored(issuer)
    with pytest.raises(InvariantError):
        integrate(issuer.database, log_of(issuer), issuer.issuer_id)
    assert stored(issuer) == before


def test_a_tree_beyond_what_was_signed_is_not_signed_over(issuer: Issuer) -> None:
    add_events(issuer, 300)
    integrate(issuer.database, log_of(issuer), issuer.issuer_id)
    add_events(issuer, 10)
    integrate(issuer.database, log_of(issuer), issuer.issuer_id)
    with connect(issuer.urls.superuser_url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(
            "DELETE FROM log_checkpoint WHERE issuer_id = %s AND size = 310", [issuer.issuer_id]
        )
    add_events(issuer, 10)
    with pytest.raises(InvariantError, match="newest checkpoint was signed over"):
        integrate(issuer.database, log_of(issuer), issuer.issuer_id)


AUDITED: Final = INSIDERS | {
    "an event is taken out": "DELETE FROM event WHERE issuer_id = %s AND event_index = 295",
    "an old event": "UPDATE event SET jws = 'x' WHERE issuer_id = %s AND event_index = 3",
    "a tile": (
        "UPDATE log_tile SET hashes = set_byte(hashes, 99, get_byte(hashes, 99) # 1) WHERE issuer_id = %s"
    ),
    "a tile is taken out": "DELETE FROM log_tile WHERE issuer_id = %s",
    "a tile is put in": (
        "INSERT INTO log_tile SELECT issuer_id, 0, 7, hashes FROM log_tile WHERE issuer_id = %s"
    ),
    "an old checkpoint's root": (
        "UPDATE log_checkpoint SET root_hash = sha256('x') WHERE issuer_id = %s AND size = 260"
    ),
    "an old checkpoint's note": (
        "UPDATE log_checkpoint SET note = replace(note, '260', '261') WHERE issuer_id = %s AND size = 260"
    ),
    "an old checkpoint's size": "UPDATE log_checkpoint SET size = 259 WHERE issuer_id = %s AND size = 260",
    "a cosignature": (
        "INSERT INTO log_cosignature SELECT issuer_id, size, 'w', 'x', now() FROM log_checkpoint WHERE issuer_id = %s"
    ),
}


@pytest.mark.parametrize("what", AUDITED)
def test_the_audit_finds_whatever_was_tampered_with(issuer: Issuer, what: str) -> None:
    add_events(issuer, 260)
    integrate(issuer.database, log_of(issuer), issuer.issuer_id)
    add_events(issuer, 40)
    integrate(issuer.database, log_of(issuer), issuer.issuer_id)
    assert audited(issuer).findings == CLEAN
    with connect(issuer.urls.superuser_url) as connection:
        connection.execute("SET session_replication_role = replica")
        assert connection.execute(AUDITED[what].encode(), [issuer.issuer_id]).rowcount > 0
    assert audited(issuer).findings != CLEAN


def test_a_database_that_is_put_back_under_a_running_process_is_noticed(issuer: Issuer) -> None:
    log = log_of(issuer)
    add_events(issuer, 300)
    integrate(issuer.database, log, issuer.issuer_id)
    before = stored(issuer)
    add_events(issuer, 300)
    integrate(issuer.database, log, issuer.issuer_id)

    with connect(issuer.urls.superuser_url) as connection:
        connection.execute("SET session_replication_role = replica")
        _put_back(connection, issuer.issuer_id, before)
    with pytest.raises(InvariantError, match="shorter"):
        integrate(issuer.database, log, issuer.issuer_id)
    # It goes on with other events and grows beyond what this process has signed: another tree, refused as well.
    with connect(issuer.urls.superuser_url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(
            "UPDATE event SET jws = 'other' WHERE issuer_id = %s AND event_index = 400", [issuer.issuer_id]
        )
    add_events(issuer, 300)
    assert integrate(issuer.database, log_of(issuer), issuer.issuer_id) == 900
    add_events(issuer, 1)
    with pytest.raises(InvariantError, match="not the continuation"):
        integrate(issuer.database, log, issuer.issuer_id)


def _put_back(connection: Any, issuer_id: str, before: dict[str, list[tuple[Any, ...]]]) -> None:
    [(_, size, edge)] = before["tree"]
    connection.execute(
        "UPDATE log_tree SET size = %s, edge = %s WHERE issuer_id = %s", [size, edge, issuer_id]
    )
    connection.execute("DELETE FROM log_checkpoint WHERE issuer_id = %s AND size > %s", [issuer_id, size])
    connection.execute(
        "DELETE FROM log_tile WHERE issuer_id = %s AND tile_index >= %s", [issuer_id, size // 256]
    )


def test_a_tile_file_with_another_content_stops_the_log(issuer: Issuer, tmp_path: Path) -> None:
    tiles = DirectoryTiles(tmp_path / "tiles")
    add_events(issuer, 256)
    taken = tmp_path / "tiles" / issuer.issuer_id / "tile" / "0" / "000"
    taken.parent.mkdir(parents=True)
    taken.write_bytes(b"another log's")
    with pytest.raises(InvariantError, match="fork"):
        integrate(issuer.database, log_of(issuer, tiles), issuer.issuer_id)
    taken.unlink()
    assert integrate(issuer.database, log_of(issuer, tiles), issuer.issuer_id) == 256
    assert taken.stat().st_size == 8_192


def test_the_database_lets_no_tree_shrink(issuer: Issuer) -> None:
    add_events(issuer, 3)
    integrate(issuer.database, log_of(issuer), issuer.issuer_id)
    with pytest.raises(sqlalchemy.exc.IntegrityError, match="only grows"):
        issuer.database.run(
            lambda connection: connection.exec_driver_sql(
                "UPDATE log_tree SET size = 2 WHERE issuer_id = %s", (issuer.issuer_id,)
            )
        )


@settings(max_examples=8, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(st.integers(0, 400), min_size=1, max_size=4), step_size_max=st.integers(50, 500))
def test_any_history_is_audited_clean(issuer: Issuer, steps: list[int], step_size_max: int) -> None:
    log = log_of(issuer)
    for step in steps:
        add_events(issuer, step)
        integrate(issuer.database, log, issuer.issuer_id, step_size_max=step_size_max)
    assert audited(issuer).findings == CLEAN
