"""Where exports lie on disk, and how they get there whole.

An export is written into a working folder of mode 0700 and renamed to its id once it is on record. The folder's maker
holds a lock on it: one without is what a crash left, and the next maker removes it. Files are therefore no record of
anything. Whatever is lost of them, or by mistake changed, is made again from the export's pinned arguments.
"""

import fcntl
import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tallystick.core.durable_files import sync_directory
from tallystick.exports.records import ExportStorageError, FileFacts

__all__ = ["holds", "publish", "put_back", "storage", "working_folder"]

_log: Final = logging.getLogger(__name__)
_WORKING_PREFIX: Final = ".making-"
_CHUNK_BYTES: Final = 1_048_576


@contextmanager
def storage() -> Iterator[None]:
    """Turn what the file system refuses into ExportStorageError, and leave the reason in the service's own log."""
    try:
        yield
    except OSError as error:
        _log.exception("the export directory can't be written")
        raise ExportStorageError from error


@contextmanager
def working_folder(directory: Path) -> Iterator[Path]:
    """Yield a new, empty folder in `directory`; whatever is still there at the end is removed."""
    with storage():
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder, lock = _new_folder(directory)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def publish(folder: Path, target: Path) -> None:
    """Make a folder of finished files known as `target`, whole or not at all."""
    sync_directory(folder)
    folder.rename(target)
    sync_directory(target.parent)


def put_back(folder: Path, target: Path) -> None:
    """Move finished files into `target`, each in place of its lost or damaged self.

    Who does the same at the same time puts the same bytes there.
    """
    target.mkdir(mode=0o700, exist_ok=True)
    for file in sorted(folder.iterdir()):
        file.replace(target / file.name)
    sync_directory(target)
    sync_directory(target.parent)


def holds(path: Path, facts: FileFacts) -> bool:
    """Tell whether the file is there with exactly these bytes."""
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size != facts.size_bytes:
                return False
            digest = hashlib.sha256()
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return digest.hexdigest() == facts.sha256


def _new_folder(directory: Path) -> tuple[Path, int]:
    # Under the directory's lock no other maker takes a folder that is not locked yet for an abandoned one.
    whole = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(whole, fcntl.LOCK_EX)
        _remove_abandoned(directory)
        folder = Path(tempfile.mkdtemp(prefix=_WORKING_PREFIX, dir=directory))
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(lock, fcntl.LOCK_EX)
    finally:
        os.close(whole)
    return folder, lock


def _remove_abandoned(directory: Path) -> None:
    for folder in directory.glob(_WORKING_PREFIX + "*"):
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)
