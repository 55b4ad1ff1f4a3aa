"""The embedded server starts, is shared, survives kills, and refuses what it can't serve safely."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from tallystick.core import postgres_programs
from tallystick.core.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError, embedded_postgres
from tests.database import connect

# Enough for a machine that is busy with other tests.
SECONDS_MAX = 60
SMALL = {"shared_buffers": "16MB"}

USE_AND_WAIT = """
import signal
import sys
from pathlib import Path
from tallystick.core.embedded_postgres import embedded_postgres
# Whoever runs the tests in the background makes them ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    with embedded_postgres(Path(sys.argv[1]), settings={"shared_buffers": "16MB"}):
        print("ready", flush=True)
        sys.stdin.read()
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.fixture(scope="module")
def initialized_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory whose server was started once and stopped, to copy: tests then start warm."""
    directory = tmp_path_factory.mktemp("initialized") / "state"
    with embedded_postgres(directory, settings=SMALL):
        pass
    return directory


@pytest.fixture
def state_directory(initialized_directory: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(initialized_directory, tmp_path / "state"))


@pytest.fixture
def short_state_directory(initialized_directory: Path) -> Iterator[Path]:
    """A state directory whose path leaves room for the socket."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        yield Path(shutil.copytree(initialized_directory, Path(directory) / "state"))


def start_another_process(state_directory: Path) -> subprocess.Popen[str]:
    """Start a process that uses the server until its standard input ends; return when it does."""
    process = subprocess.Popen(
        [sys.executable, "-c", USE_AND_WAIT, str(state_directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def end(process: subprocess.Popen[str]) -> str:
    said, _ = process.communicate(timeout=SECONDS_MAX)
    return said


def postmaster_of(data_directory: Path) -> int:
    return int((data_directory / "postmaster.pid").read_text().splitlines()[0])


def is_running(process_id: int) -> bool:
    try:
        status = Path(f"/proc/{process_id}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def await_end(process_id: int) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while is_running(process_id):
        assert time.monotonic() < deadline, f"process {process_id} did not end"
        time.sleep(0.02)


def ask(url: str, statement: str) -> object:
    with connect(url) as connection:
        row = connection.execute(statement).fetchone()
    return None if row is None else row[0]


def test_a_cold_start_gives_roles_a_database_and_safe_settings(tmp_path: Path) -> None:
    with embedded_postgres(tmp_path / "new" / "state") as server:
        assert ask(server.owner_url, "SELECT current_user || ' ' || current_database()") == (
            "tallystick_owner tallystick"
        )
        assert ask(server.service_url, "SELECT current_user || ' ' || current_database()") == (
            "tallystick_service tallystick"
        )
        owner_of_database = "SELECT datdba::regrole::text FROM pg_database WHERE datname = 'tallystick'"
        assert ask(server.service_url, owner_of_database) == "tallystick_owner"
        for name, value in {
            "listen_addresses": "",
            "data_checksums": "on",
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
            "server_encoding": "UTF8",
            "timezone": "UTC",
            "shared_buffers": "256MB",
            "jit": "off",
        }.items():
            assert ask(server.service_url, f"SHOW {name}") == value


def test_the_owner_may_make_roles_and_act_as_the_service_but_is_no_superuser(state_directory: Path) -> None:
    with (
        embedded_postgres(state_directory, settings=SMALL) as server,
        connect(server.owner_url) as connection,
    ):
        connection.execute("CREATE ROLE auditor NOLOGIN")
        connection.execute("SET ROLE tallystick_service")
        connection.execute("RESET ROLE")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("CREATE ROLE another SUPERUSER")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT pg_read_file('PG_VERSION')")


def test_settings_come_before_the_defaults(state_directory: Path) -> None:
    chosen = {"shared_buffers": "24MB", "log_line_prefix": r"it's \ 'quoted' %m "}
    with embedded_postgres(state_directory, settings=chosen) as server:
        assert ask(server.service_url, "SHOW shared_buffers") == "24MB"
        assert ask(server.service_url, "SHOW log_line_prefix") == chosen["log_line_prefix"]


@pytest.mark.parametrize("settings", [{"jit = on #": "x"}, {"log_line_prefix": "x\nfsync = off"}])
def test_a_setting_that_would_write_another_is_refused(
    state_directory: Path, settings: dict[str, str]
) -> None:
    with (
        pytest.raises(EmbeddedPostgresError, match="not a PostgreSQL setting"),
        embedded_postgres(state_directory, settings=settings),
    ):
        pass


def test_secrets_stay_with_their_user(tmp_path: Path) -> None:
    with embedded_postgres(tmp_path, settings={**SMALL, "log_statement": "all"}) as server:
        home = tmp_path / "postgres"
        credentials = home / "credentials.json"
        assert stat.S_IMODE(credentials.stat().st_mode) == 0o600
        for directory in (home, server.data_directory, server.socket_directory):
            assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert "://" not in repr(server)
        passwords = [part for part in credentials.read_text().split('"') if len(part) > 30]
        assert len(set(passwords)) == 3
        # Nor do they lie in a leftover of initdb, or in the log, which shows every statement here.
        for path in (home / "server").rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                assert not any(password.encode() in content for password in passwords), path


def test_nobody_gets_in_without_a_password(state_directory: Path) -> None:
    with embedded_postgres(state_directory, settings=SMALL) as server:
        for password in ("", "wrong"):
            with pytest.raises(psycopg.OperationalError, match="password"):
                psycopg.connect(
                    host=str(server.socket_directory),
                    port=5432,
                    user="postgres",
                    dbname="tallystick",
                    password=password,
                )


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs Linux to list a process's sockets")
def test_the_server_listens_on_no_network_address(state_directory: Path) -> None:
    with embedded_postgres(state_directory, settings=SMALL) as server:
        descriptors = Path(f"/proc/{postmaster_of(server.data_directory)}/fd").iterdir()
        inodes = {
            target.removeprefix("socket:[").rstrip("]")
            for target in (os.readlink(descriptor) for descriptor in descriptors)  # noqa: PTH115
            if target.startswith("socket:[")
        }
        assert inodes
        for table in ("tcp", "tcp6"):
            rows = Path(f"/proc/net/{table}").read_text().splitlines()[1:]
            assert not inodes & {row.split()[9] for row in rows}


def test_the_last_user_stops_the_server_and_a_restart_keeps_the_data(state_directory: Path) -> None:
    with embedded_postgres(state_directory, settings=SMALL) as server:
        postmaster = postmaster_of(server.data_directory)
        with connect(server.owner_url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS value")
        with embedded_postgres(state_directory) as same:
            assert same == server
            assert postmaster_of(same.data_directory) == postmaster
        assert ask(server.owner_url, "SELECT value FROM kept") == 42
    await_end(postmaster)
    with embedded_postgres(state_directory, settings=SMALL) as server:
        assert postmaster_of(server.data_directory) != postmaster
        assert ask(server.owner_url, "SELECT value FROM kept") == 42


def test_another_process_may_join_and_outlast_the_first(state_directory: Path) -> None:
    first = start_another_process(state_directory)
    with embedded_postgres(state_directory) as server:
        postmaster = postmaster_of(server.data_directory)
        end(first)
        assert ask(server.service_url, "SELECT 1") == 1
        second = start_another_process(state_directory)
        assert postmaster_of(server.data_directory) == postmaster
    assert is_running(postmaster)
    end(second)
    await_end(postmaster)


def test_processes_that_start_at_once_share_one_server(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        processes = list(pool.map(start_another_process, [tmp_path] * 4))
    with embedded_postgres(tmp_path, settings=SMALL) as server:
        assert ask(server.service_url, "SHOW shared_buffers") == "16MB"
        postmaster = postmaster_of(server.data_directory)
    for process in processes:
        assert is_running(postmaster)
        end(process)
    await_end(postmaster)


def test_the_server_survives_a_killed_process_and_is_joined_again(state_directory: Path) -> None:
    process = start_another_process(state_directory)
    postmaster = postmaster_of(state_directory / "postgres" / "server" / "data")
    process.kill()
    end(process)
    assert is_running(postmaster)
    with embedded_postgres(state_directory) as server:
        assert postmaster_of(server.data_directory) == postmaster
        assert ask(server.service_url, "SELECT 1") == 1
    await_end(postmaster)


def test_an_interrupt_of_the_terminal_reaches_the_user_and_not_the_server(state_directory: Path) -> None:
    process = start_another_process(state_directory)
    with embedded_postgres(state_directory) as server:
        postmaster = postmaster_of(server.data_directory)
        assert os.getsid(postmaster) not in {os.getsid(0), os.getsid(process.pid)}
        os.killpg(process.pid, signal.SIGINT)
        assert end(process) == "interrupted\n"
        assert ask(server.service_url, "SELECT 1") == 1
        assert postmaster_of(server.data_directory) == postmaster


def kill_with_committed_row(server: EmbeddedPostgres) -> int:
    """Commit a row and kill the server the moment that is acknowledged; return the postmaster's id."""
    postmaster = postmaster_of(server.data_directory)
    with connect(server.owner_url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS value")
        os.kill(postmaster, signal.SIGKILL)
    await_end(postmaster)
    return postmaster


def test_a_killed_server_recovers_with_its_data(state_directory: Path) -> None:
    with embedded_postgres(state_directory, settings=SMALL) as server:
        postmaster = kill_with_committed_row(server)
        # Another user's start is what brings it back while this one still holds it.
        with embedded_postgres(state_directory, settings=SMALL) as again:
            assert postmaster_of(again.data_directory) != postmaster
            assert ask(again.owner_url, "SELECT value FROM kept") == 42
        assert ask(server.owner_url, "SELECT value FROM kept") == 42


def test_a_killed_server_starts_though_its_process_id_was_given_to_another(state_directory: Path) -> None:
    with embedded_postgres(state_directory, settings=SMALL) as server:
        kill_with_committed_row(server)
    files = [server.data_directory / "postmaster.pid", server.socket_directory / ".s.PGSQL.5432.lock"]
    for file in files:
        _, *rest = file.read_text().splitlines(keepends=True)
        file.write_text("".join([f"{os.getpid()}\n", *rest]))
    with embedded_postgres(state_directory, settings=SMALL) as server:
        assert ask(server.owner_url, "SELECT value FROM kept") == 42


@pytest.mark.parametrize("content", ["", "no number\n", "99999999999999999999\n"])
def test_a_damaged_process_id_file_stops_nobody(state_directory: Path, content: str) -> None:
    (state_directory / "postgres" / "server" / "data" / "postmaster.pid").write_text(content)
    with embedded_postgres(state_directory, settings=SMALL) as server:
        assert ask(server.service_url, "SELECT 1") == 1


def test_a_data_directory_of_another_version_is_refused_and_left_alone(state_directory: Path) -> None:
    version = state_directory / "postgres" / "server" / "data" / "PG_VERSION"
    version.write_text("12\n")
    with (
        pytest.raises(EmbeddedPostgresError, match=r"belongs to PostgreSQL 12, .* are PostgreSQL \d+"),
        embedded_postgres(state_directory),
    ):
        pass
    assert version.read_text() == "12\n"
    assert not (version.parent / "postmaster.pid").exists()


def test_a_directory_without_version_is_refused(state_directory: Path) -> None:
    (state_directory / "postgres" / "server" / "data" / "PG_VERSION").unlink()
    with (
        pytest.raises(EmbeddedPostgresError, match="no PostgreSQL data directory"),
        embedded_postgres(state_directory),
    ):
        pass


@pytest.mark.parametrize("name", ["long" * 40, 'comma, it\'s a "$HOME" `date`'])
def test_a_long_or_odd_path_gets_a_short_private_socket(
    initialized_directory: Path, tmp_path: Path, name: str
) -> None:
    state_directory = Path(shutil.copytree(initialized_directory, tmp_path / name))
    with embedded_postgres(state_directory, settings=SMALL) as server:
        assert len(str(server.socket_directory / ".s.PGSQL.5432")) < 100
        assert stat.S_IMODE(server.socket_directory.stat().st_mode) == 0o700
        assert server.data_directory.is_relative_to(state_directory)
        assert ask(server.superuser_url, "SHOW data_directory") == str(server.data_directory)
        socket_directory = server.socket_directory
    assert not socket_directory.exists()


def test_a_cold_start_works_on_an_odd_path(tmp_path: Path) -> None:
    with embedded_postgres(tmp_path / 'comma, it\'s a "$HOME" `date`', settings=SMALL) as server:
        assert ask(server.service_url, "SELECT 1") == 1


def test_a_socket_directory_that_others_can_enter_is_refused(short_state_directory: Path) -> None:
    run = short_state_directory / "postgres" / "server" / "run"
    run.mkdir()
    run.chmod(0o755)
    with pytest.raises(EmbeddedPostgresError, match="mode 0700"), embedded_postgres(short_state_directory):
        pass


def test_a_linked_socket_directory_is_refused(short_state_directory: Path, tmp_path: Path) -> None:
    (short_state_directory / "postgres" / "server" / "run").symlink_to(tmp_path)
    with pytest.raises(EmbeddedPostgresError, match="must be"), embedded_postgres(short_state_directory):
        pass


def test_lost_credentials_are_not_made_anew_for_existing_data(state_directory: Path) -> None:
    credentials = state_directory / "postgres" / "credentials.json"
    for content, reason in ((None, "is missing"), ("{", "is damaged"), ('{"postgres": "x"}', "lacks")):
        credentials.unlink(missing_ok=True)
        if content is not None:
            credentials.write_text(content)
        with pytest.raises(EmbeddedPostgresError, match=reason), embedded_postgres(state_directory):
            pass


@pytest.fixture
def interrupted_directory(tmp_path: Path) -> Path:
    """What a kill in the middle of the first initdb leaves behind."""
    unfinished = tmp_path / "postgres" / "server" / "data.new"
    unfinished.mkdir(mode=0o700, parents=True)
    for directory in (tmp_path / "postgres" / "server", tmp_path / "postgres"):
        directory.chmod(0o700)
    (unfinished / "PG_VERSION").write_text("16\n")
    (tmp_path / "postgres" / "server" / "password").write_text("left over")
    return tmp_path


def test_an_interrupted_first_start_is_begun_anew(interrupted_directory: Path) -> None:
    with embedded_postgres(interrupted_directory, settings=SMALL) as server:
        assert ask(server.service_url, "SELECT 1") == 1
    left = {path.name for path in server.data_directory.parent.iterdir()}
    assert left - {"run"} == {"data", "server.log"}


def test_roles_and_database_that_a_crash_kept_from_being_made_are_made_later(state_directory: Path) -> None:
    with embedded_postgres(state_directory, settings=SMALL) as server:
        with connect(server.superuser_url.replace("/tallystick?", "/postgres?")) as connection:
            connection.execute("DROP DATABASE tallystick")
            connection.execute("DROP ROLE tallystick_owner")
            connection.execute("DROP ROLE tallystick_service")
        with embedded_postgres(state_directory) as again:
            assert again == server
            assert ask(again.owner_url, "SELECT 1") == ask(again.service_url, "SELECT 1") == 1


def test_a_server_that_can_not_start_says_why(state_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tallystick.core.embedded_postgres._START_SECONDS_MAX", 1.0)
    with (
        pytest.raises(EmbeddedPostgresError, match='invalid value for parameter "shared_buffers"'),
        embedded_postgres(state_directory, settings={"shared_buffers": "many"}),
    ):
        pass


def test_a_process_that_never_lets_go_is_not_waited_for_forever(
    state_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tallystick.core.embedded_postgres._LOCK_SECONDS_MAX", 0.2)
    holder = subprocess.Popen(
        ["flock", str(state_directory / "postgres" / "lock"), "-c", "echo held; read line"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(EmbeddedPostgresError, match="it holds"), embedded_postgres(state_directory):
        pass
    end(holder)


def test_without_the_package_the_way_out_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_programs, "_WHEEL", "no_such_package")
    with (
        pytest.raises(postgres_programs.PostgresProgramsError, match="TALLYSTICK_DATABASE_URL"),
        embedded_postgres(tmp_path),
    ):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs, and may take, another user's place")
def test_root_without_user_namespaces_runs_the_server_as_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_programs, "_IN_NAMESPACE", ("false",))
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o711)
        for _ in range(2):
            with embedded_postgres(Path(directory), settings=SMALL) as server:
                owner = Path(f"/proc/{postmaster_of(server.data_directory)}").stat().st_uid
                assert owner == server.data_directory.stat().st_uid != 0
                assert ask(server.service_url, "SELECT 1") == 1
                assert (
                    stat.S_IMODE((Path(directory) / "postgres" / "credentials.json").stat().st_mode) == 0o600
                )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs, and may take, another user's place")
def test_a_directory_that_nobody_can_reach_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_programs, "_IN_NAMESPACE", ("false",))
    tmp_path.chmod(0o700)
    with (
        pytest.raises(postgres_programs.PostgresProgramsError, match="can't be reached by the user nobody"),
        embedded_postgres(tmp_path / "state"),
    ):
        pass
