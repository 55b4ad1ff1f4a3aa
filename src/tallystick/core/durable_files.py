"""Files that are whole, or as they were before, whenever the power fails."""

import os
from pathlib import Path

__all__ = ["sync_directory", "write_durably"]


def write_durably(path: Path, content: str | bytes) -> None:
    """Replace `path` by a file of mode 0600 with `content` (text as UTF-8); a crash leaves the old file or the new."""
    unfinished = path.with_name(path.name + ".new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content.encode("utf-8") if isinstance(content, str) else content)
        file.flush()
        os.fsync(descriptor)
    unfinished.replace(path)
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make the creation and renaming of files in `directory` durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
