"""Public conformance vectors: data beside the repository, never a part of it."""

import os
from pathlib import Path

import pytest

_SHARED = Path(os.environ.get("TALLYSTICK_SHARED", Path(__file__).resolve().parents[2] / "shared"))


def vectors(name: str) -> Path:
    """Return the folder of one suite, or skip the test where it is absent."""
    folder = _SHARED / "vectors" / name
    if not folder.is_dir():
        pytest.skip(
            f"the conformance vectors {name} are not here: set TALLYSTICK_SHARED to the folder above `vectors`"
        )
    return folder
