"""Reading a pack, from a folder or a .zip, without trusting it: names, sizes and hashes before anything else.

Nothing is ever extracted: a .zip is read as a stream. Names that could leave the pack, links, devices, names that occur
twice, encryption and entries that unpack to far more than they are (zip bombs) are refused.
"""

import hashlib
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, Protocol

from tallystick_verify.failures import PackFailure

__all__ = ["LINE_SIZE_MAX_BYTES", "Pack", "open_pack"]

LINE_SIZE_MAX_BYTES: Final = 1_048_576
#: what is read whole: manifest, checkpoints
SMALL_FILE_SIZE_MAX_BYTES: Final = 4_194_304

_NAME: Final = re.compile(r"(?:checkpoints/)?[a-z0-9][a-z0-9_]*\.[a-z]{1,16}", re.ASCII)
_FILES_MAX: Final = 1_000
#: What reading a damaged file or .zip raises.
_UNREADABLE: Final = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
)
_CHUNK_BYTES: Final = 1_048_576
# JSON Lines of this kind shrink to a sixth or so.
_RATIO_MAX: Final = 200
_RATIO_FREE_BYTES: Final = 65_536


class _Store(Protocol):
    """Where the pack's bytes are: each file's size by name, and a way to open one."""

    sizes: dict[str, int]

    def open(self, name: str) -> IO[bytes]: ...


class Pack:
    """A pack that is open. `sizes` are the bytes of each file that is there, by name."""

    def __init__(self, store: _Store) -> None:
        self._store = store
        self.sizes = store.sizes

    def digest(self, name: str, advance: Callable[[int], None]) -> tuple[str, int, int]:
        """Return a file's SHA-256 in hexadecimal, its bytes and its lines. Raises PackFailure."""
        digest, size_bytes, lines = hashlib.sha256(), 0, 0
        with self._opened(name) as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
                size_bytes += len(chunk)
                lines += chunk.count(b"\n")
                if size_bytes > self.sizes[name]:
                    raise PackFailure("The file is longer than it says.", place=name)
                advance(len(chunk))
        return digest.hexdigest(), size_bytes, lines

    def small(self, name: str) -> bytes:
        """Return a small file whole. Raises PackFailure."""
        if name not in self.sizes:
            raise PackFailure("The file is missing.", place=name)
        with self._opened(name) as file:
            content = file.read(SMALL_FILE_SIZE_MAX_BYTES + 1)
        if len(content) > SMALL_FILE_SIZE_MAX_BYTES:
            raise PackFailure("The file is too large.", place=name)
        return content

    def lines(self, name: str) -> Iterator[bytes]:
        """Yield each line of a file without its newline, in constant memory. Raises PackFailure."""
        with self._opened(name) as file:
            while line := file.readline(LINE_SIZE_MAX_BYTES + 1):
                if line[-1:] != b"\n":
                    raise PackFailure("A line is too long, or the last one does not end.", place=name)
                yield line[:-1]

    @contextmanager
    def _opened(self, name: str) -> Iterator[IO[bytes]]:
        try:
            with self._store.open(name) as file:
                yield file
        except _UNREADABLE as error:
            raise PackFailure(f"The file can't be read ({type(error).__name__}).", place=name) from None


@contextmanager
def open_pack(path: Path) -> Iterator[Pack]:
    """Open a folder or a .zip as a pack. Raises PackFailure for what no pack may have."""
    if path.is_dir():
        yield Pack(_Folder(path))
        return
    try:
        archive = zipfile.ZipFile(path)
    except _UNREADABLE as error:
        raise PackFailure(
            f"It is neither a folder nor a .zip that can be read ({type(error).__name__})."
        ) from None
    with archive:
        yield Pack(_Archive(archive))


class _Folder:
    """A folder; links are not followed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.sizes: dict[str, int] = {}
        for found in self._files(path, ""):
            name, status = found
            if _NAME.fullmatch(name) is None or len(self.sizes) >= _FILES_MAX:
                raise PackFailure("The pack holds a name that none of its files may have.", place=repr(name))
            self.sizes[name] = status
        self.sizes = dict(sorted(self.sizes.items()))

    def open(self, name: str) -> IO[bytes]:
        return (self._path / name).open("rb")

    def _files(self, folder: Path, prefix: str) -> Iterator[tuple[str, int]]:
        for entry in folder.iterdir():
            name, status = prefix + entry.name, entry.lstat()
            if stat.S_ISDIR(status.st_mode) and name == "checkpoints":
                yield from self._files(entry, "checkpoints/")
            elif stat.S_ISREG(status.st_mode):
                yield name, status.st_size
            else:
                raise PackFailure("It is neither a file nor a folder that belongs here.", place=repr(name))


class _Archive:
    """A .zip; files may lie in one folder that all share, as when a folder was packed."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        if len(entries) > _FILES_MAX:
            raise PackFailure("The .zip holds too many files.")
        prefix = _shared_folder([entry.filename for entry in archive.infolist()])
        self._entries: dict[str, zipfile.ZipInfo] = {}
        for entry in entries:
            name = entry.filename.removeprefix(prefix)
            _check_entry(entry, name)
            if name in self._entries:
                raise PackFailure("The .zip holds a name twice.", place=repr(name))
            self._entries[name] = entry
        self.sizes = {name: self._entries[name].file_size for name in sorted(self._entries)}

    def open(self, name: str) -> IO[bytes]:
        return self._archive.open(self._entries[name])


def _shared_folder(names: list[str]) -> str:
    first = names[0].partition("/")[0] + "/" if names else ""
    shared = re.fullmatch(r"[A-Za-z0-9_-]{1,100}/", first) and all(one.startswith(first) for one in names)
    return first if shared and first != "checkpoints/" else ""


def _check_entry(entry: zipfile.ZipInfo, name: str) -> None:
    mode = entry.external_attr >> 16
    if _NAME.fullmatch(name) is None:
        raise PackFailure(
            "The pack holds a name that none of its files may have.", place=repr(entry.filename)
        )
    if entry.flag_bits & 1 or (mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG)):
        raise PackFailure("An entry of the .zip is encrypted, or no plain file.", place=name)
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise PackFailure("An entry of the .zip is packed in a way that is not read here.", place=name)
    if entry.file_size > _RATIO_FREE_BYTES + _RATIO_MAX * entry.compress_size:
        raise PackFailure("An entry of the .zip unpacks to far more than it is.", place=name)
