"""A PostgreSQL server of one's own, in a directory: for the sandbox, the demo, the tests and small pilots.

What lies in `<state directory>/postgres`, and who owns it:

    lock              held (flock) while the server is started, joined or stopped
    users             held shared (flock) by every process that uses the server
    credentials.json  0600: the passwords of the three roles, written before the data directory exists
    server/           0700: data (PGDATA), server.log, run (the socket); belongs to the user the server runs as

The server listens on a unix socket only, asks for passwords, and is no child of the process that started it: it
outlives a killed process, and the next one joins it. The last user stops it. After a crash of anything, at any
moment, the next start takes the normal path: locks are the kernel's and die with their process, `initdb` works in a
temporary directory that is renamed when it is whole, and roles are created where they are missing.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from psycopg import pq
from sqlalchemy import URL

from tallystick.core.database import SERVICE_ROLE
from tallystick.core.durable_files import sync_directory, write_durably
from tallystick.core.embedded_postgres_logins import (
    OWNER_ROLE,
    SUPERUSER_ROLE,
    EmbeddedPostgresError,
    ensure_roles,
    load_or_make_passwords,
)
from tallystick.core.postgres_programs import PostgresPrograms, find_postgres_programs

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError", "embedded_postgres"]

DATABASE: Final = "tallystick"

# The port is only part of the socket's name: nothing listens on the network.
_PORT: Final = 5432
# A socket's whole path must be under 107 bytes on Linux and 104 elsewhere; its own name takes 14.
_SOCKET_DIRECTORY_SIZE_MAX_BYTES: Final = 88
# libpq takes a comma for a second host, and PostgreSQL a quote for quoting.
_PLAIN_PATH: Final = re.compile(r"[A-Za-z0-9/._+-]+")
_LOCK_SECONDS_MAX: Final = 120.0
_INITIALIZE_SECONDS_MAX: Final = 120.0
_START_SECONDS_MAX: Final = 30.0
# A server that says that it is starting is replaying its log after a crash: it is alive, and is given time.
_RECOVERY_SECONDS_MAX: Final = 300.0
_STOP_SECONDS_MAX: Final = 60
_PAUSE_SECONDS: Final = 0.1
_LOG_SIZE_MAX_BYTES: Final = 16 * 1024 * 1024
# No process has this id; see _disown_process_id.
_NO_PROCESS_ID: Final = 2**31 - 1

_SETTINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "listen_addresses": "",
        "port": str(_PORT),
        "unix_socket_permissions": "0700",
        "fsync": "on",
        "synchronous_commit": "on",
        # The log is written out while a batch is still being decided: its commit waits for what is left of it.
        "wal_writer_delay": "10ms",
        "max_wal_size": "4GB",
        "checkpoint_timeout": "15min",
        "shared_buffers": "256MB",
        "max_connections": "100",
        "jit": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
    }
)


@dataclass(frozen=True, slots=True)
class EmbeddedPostgres:
    """A running server. The URLs are SQLAlchemy's, of database `tallystick`, and hold passwords.

    `owner_url` logs in as `tallystick_owner`, who owns the database and may create roles: for migrations.
    `service_url` logs in as `tallystick_service`: for the service. `superuser_url` is for tests and repairs.
    """

    owner_url: str = field(repr=False)
    service_url: str = field(repr=False)
    superuser_url: str = field(repr=False)
    data_directory: Path
    socket_directory: Path


@dataclass(frozen=True, slots=True)
class _Home:
    """The paths of one embedded server."""

    directory: Path

    @property
    def lock(self) -> Path:
        return self.directory / "lock"

    @property
    def users(self) -> Path:
        return self.directory / "users"

    @property
    def credentials(self) -> Path:
        return self.directory / "credentials.json"

    @property
    def server(self) -> Path:
        return self.directory / "server"

    @property
    def data(self) -> Path:
        return self.server / "data"

    @property
    def log(self) -> Path:
        return self.server / "server.log"

    @property
    def process_id_file(self) -> Path:
        return self.data / "postmaster.pid"

    @property
    def socket_directory(self) -> Path:
        """`server/run`, or, where that path is too long or odd for a socket, a private directory under /tmp."""
        beside_data = str(self.server / "run")
        if len(beside_data) <= _SOCKET_DIRECTORY_SIZE_MAX_BYTES and _PLAIN_PATH.fullmatch(beside_data):
            return Path(beside_data)
        digest = hashlib.sha256(os.fsencode(self.data)).hexdigest()[:20]
        # Not the temporary directory of the environment: every user of the server must find the same path.
        return Path(f"/tmp/tallystick-{os.geteuid()}-{digest}")  # noqa: S108


@contextmanager
def embedded_postgres(
    state_directory: Path, *, settings: Mapping[str, str] = MappingProxyType({})
) -> Iterator[EmbeddedPostgres]:
    """Start the server of `state_directory`, or join it where it runs; stop it at exit if nobody else uses it.

    The directory is created where it is missing. `settings` are PostgreSQL settings by name that come before the
    ones made here ("shared_buffers": "1GB"); a server that is joined keeps the settings it was started with.
    A cold start takes one to two seconds. Any number of processes and threads may use one server.
    Raises EmbeddedPostgresError, or PostgresProgramsError where PostgreSQL can't run at all.
    """
    home = _Home(Path(state_directory).absolute().resolve() / "postgres")
    home.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    programs = find_postgres_programs(home.directory)
    users = os.open(home.users, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        with _exclusively(home):
            fcntl.flock(users, fcntl.LOCK_SH)
            try:
                server = _start_or_join(home, programs, settings)
            except BaseException:
                _leave(home, programs, users)
                raise
        try:
            yield server
        finally:
            with _exclusively(home):
                _leave(home, programs, users)
    finally:
        os.close(users)


@contextmanager
def _exclusively(home: _Home) -> Iterator[None]:
    lock = os.open(home.lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + _LOCK_SECONDS_MAX
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise EmbeddedPostgresError(
                        f"another process has been starting or stopping the server for {_LOCK_SECONDS_MAX:.0f} "
                        f"seconds: it holds {home.lock}"
                    ) from None
            time.sleep(_PAUSE_SECONDS)
        yield
    finally:
        os.close(lock)


def _leave(home: _Home, programs: PostgresPrograms, users: int) -> None:
    """Stop using the server, and stop it if that was its last user.

    Needs the exclusive lock, so that nobody joins meanwhile.
    """
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    if _running_process_id(home) is not None:
        stopped = programs.run(
            "pg_ctl",
            ["stop", "-D", "data", "-m", "fast", "-w", "-t", str(_STOP_SECONDS_MAX)],
            directory=home.server,
            seconds_max=_STOP_SECONDS_MAX + 10,
        )
        if stopped.returncode != 0 and _running_process_id(home) is not None:
            raise EmbeddedPostgresError(f"the server did not stop: {stopped.stderr.strip()}")
    # Empty now. It matters where it lies under /tmp.
    with contextlib.suppress(OSError):
        home.socket_directory.rmdir()


def _start_or_join(home: _Home, programs: PostgresPrograms, settings: Mapping[str, str]) -> EmbeddedPostgres:
    _prepare_directories(home, programs)
    passwords = load_or_make_passwords(home.credentials, required=home.data.exists())
    if not home.data.exists():
        _initialize(home, programs, passwords[SUPERUSER_ROLE])
    _require_version(home, programs)
    _await_server(home, programs, settings)
    ensure_roles(
        passwords,
        socket_directory=home.socket_directory,
        port=_PORT,
        data_directory=home.data,
        database=DATABASE,
    )

    def url(role: str) -> str:
        return URL.create(
            "postgresql+psycopg",
            username=role,
            password=passwords[role],
            database=DATABASE,
            query={"host": str(home.socket_directory), "port": str(_PORT)},
        ).render_as_string(hide_password=False)

    return EmbeddedPostgres(
        owner_url=url(OWNER_ROLE),
        service_url=url(SERVICE_ROLE),
        superuser_url=url(SUPERUSER_ROLE),
        data_directory=home.data,
        socket_directory=home.socket_directory,
    )


def _prepare_directories(home: _Home, programs: PostgresPrograms) -> None:
    for directory in (home.server, home.socket_directory):
        with contextlib.suppress(FileExistsError):
            directory.mkdir(mode=0o700)
            programs.give(directory)
        found = directory.lstat()
        owner = os.geteuid() if programs.user_id is None else programs.user_id
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or found.st_mode & 0o077:
            raise EmbeddedPostgresError(
                f"{directory} must be a directory of user {owner} with mode 0700: somebody else made it or opened it"
            )


def _initialize(home: _Home, programs: PostgresPrograms, password: str) -> None:
    unfinished = home.server / "data.new"
    password_file = home.server / "password"
    if unfinished.exists():
        shutil.rmtree(unfinished)
    try:
        write_durably(password_file, password + "\n")
        programs.give(password_file)
        made = programs.run(
            "initdb",
            [
                "--pgdata=data.new",
                f"--username={SUPERUSER_ROLE}",
                "--pwfile=password",
                "--auth=scram-sha-256",
                "--data-checksums",
                "--encoding=UTF8",
                "--no-locale",
                "--no-instructions",
            ],
            directory=home.server,
            seconds_max=_INITIALIZE_SECONDS_MAX,
        )
    finally:
        password_file.unlink(missing_ok=True)
    if made.returncode != 0:
        raise EmbeddedPostgresError(f"initdb failed: {made.stderr.strip()}")
    with (unfinished / "postgresql.conf").open("a", encoding="utf-8") as configuration:
        configuration.write("\n# Written anew at every start.\ninclude_if_exists 'tallystick.conf'\n")
        configuration.flush()
        os.fsync(configuration.fileno())
    unfinished.rename(home.data)
    sync_directory(home.server)


def _require_version(home: _Home, programs: PostgresPrograms) -> None:
    try:
        version = (home.data / "PG_VERSION").read_text(encoding="ascii").strip()
    except FileNotFoundError:
        raise EmbeddedPostgresError(f"{home.data} is no PostgreSQL data directory") from None
    if version != programs.major_version:
        raise EmbeddedPostgresError(
            f"{home.data} belongs to PostgreSQL {version}, and the programs here are PostgreSQL {programs.version}: "
            "dump it with its own version and restore it into a new state directory"
        )


def _await_server(home: _Home, programs: PostgresPrograms, settings: Mapping[str, str]) -> None:
    """Return once the server takes connections: it runs already, is starting, or is started here.

    Only an answer on the socket counts. Process ids in files may be left over from a killed server, whose orphaned
    backends also keep a new one from starting for a moment; hence the retries.
    """
    begun = time.monotonic()
    failure = ""
    while True:
        answer = _ping(home)
        if answer is pq.Ping.OK:
            return
        waited = time.monotonic() - begun
        if waited > (_RECOVERY_SECONDS_MAX if answer is pq.Ping.REJECT else _START_SECONDS_MAX):
            raise EmbeddedPostgresError(
                f"the server does not answer after {waited:.0f} seconds. {failure}\n{_log_tail(home)}"
            )
        if answer is not pq.Ping.REJECT and _running_process_id(home) is None:
            _disown_process_id(home)
            failure = _start(home, programs, settings, seconds_max=_START_SECONDS_MAX)
            if not failure:
                continue
        time.sleep(_PAUSE_SECONDS)


def _start(
    home: _Home, programs: PostgresPrograms, settings: Mapping[str, str], *, seconds_max: float
) -> str:
    """Start the server once; return "" or what pg_ctl said against it."""
    _write_configuration(home, programs, settings)
    if home.log.exists() and home.log.stat().st_size > _LOG_SIZE_MAX_BYTES:
        home.log.replace(home.log.with_suffix(".log.1"))
    # Relative paths: pg_ctl hands them to a shell, which would read signs of its own into the directory's name.
    try:
        started = programs.run(
            "pg_ctl",
            ["start", "-D", "data", "-l", "server.log", "-w", "-t", f"{seconds_max:.0f}"],
            directory=home.server,
            seconds_max=seconds_max + 10,
        )
    except subprocess.TimeoutExpired:
        return "pg_ctl did not return."
    return "" if started.returncode == 0 else f"pg_ctl: {started.stderr.strip()}"


def _write_configuration(home: _Home, programs: PostgresPrograms, settings: Mapping[str, str]) -> None:
    chosen = {**_SETTINGS, **settings, "unix_socket_directories": f'"{home.socket_directory}"'}
    lines = []
    for name, value in chosen.items():
        if not re.fullmatch(r"[a-z_]+(\.[a-z_]+)?", name) or "\n" in value:
            raise EmbeddedPostgresError(f"not a PostgreSQL setting: {name!r}")
        quoted = value.replace("\\", "\\\\").replace("'", "''")
        lines.append(f"{name} = '{quoted}'\n")
    path = home.data / "tallystick.conf"
    write_durably(path, "".join(lines))
    programs.give(path)


def _ping(home: _Home) -> pq.Ping:
    return pq.Ping(pq.PGconn.ping(f"host={home.socket_directory} port={_PORT} connect_timeout=5".encode()))


def _running_process_id(home: _Home) -> int | None:
    """Return the id of the postmaster that serves this data directory, or None.

    A postmaster works in its data directory: that tells it from a process which was given the same id later.
    """
    process_id = _recorded_process_id(home)
    if process_id is None:
        return None
    try:
        os.kill(process_id, 0)
    except (ProcessLookupError, PermissionError, OverflowError):
        return None
    if not Path("/proc/self/cwd").exists():
        command = ["ps", "-p", str(process_id), "-o", "command="]
        told = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout
        return process_id if "postgres" in told else None
    try:
        working_directory = Path(f"/proc/{process_id}/cwd").readlink()
    except FileNotFoundError:
        return None
    except PermissionError:
        # Another user's: it can't be ours, unless its owner hides even from us; PostgreSQL's own check decides.
        return process_id
    return process_id if working_directory == home.data else None


def _recorded_process_id(home: _Home) -> int | None:
    try:
        return int(home.process_id_file.read_text(encoding="ascii").splitlines()[0])
    except (FileNotFoundError, IndexError, ValueError):
        return None


def _disown_process_id(home: _Home) -> None:
    """Make a killed server's `postmaster.pid` name no process.

    PostgreSQL ignores the file when its process is gone, but not when the id was given to another process or its
    process was never reaped (as in a container without an init). The file is kept and not removed: its other lines
    name the shared memory by which PostgreSQL notices orphaned backends of the killed server.
    """
    if _recorded_process_id(home) is None:
        # Nothing, or what a power failure left of it.
        home.process_id_file.unlink(missing_ok=True)
        return
    lines = home.process_id_file.read_bytes().splitlines(keepends=True)
    home.process_id_file.write_bytes(b"".join([f"{_NO_PROCESS_ID}\n".encode(), *lines[1:]]))
    (home.socket_directory / f".s.PGSQL.{_PORT}.lock").unlink(missing_ok=True)


def _log_tail(home: _Home) -> str:
    try:
        lines = home.log.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return "\n".join(lines[-20:])
