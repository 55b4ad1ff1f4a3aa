"""Bank files and schemas that lie beside the repository, never a part of it."""

import os
from pathlib import Path

import pytest

_SHARED = Path(os.environ.get("TALLYSTICK_SHARED", Path(__file__).resolve().parents[3] / "shared"))


def shared_file(*parts: str) -> Path:
    """Return the path of one file, or skip the test where it is absent."""
    path = _SHARED.joinpath(*parts)
    if not path.is_file():
        pytest.skip(f"{'/'.join(parts)} is not here: set TALLYSTICK_SHARED to the folder that holds it")
    return path


def sample_names() -> list[str]:
    """Return the names of the sample bank files, none where they are absent."""
    return sorted(path.name for path in (_SHARED / "samples").glob("*.xml"))
