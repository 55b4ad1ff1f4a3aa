"""Fixtures of the payouts' tests."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of public schemas; tests that need it are skipped where it is not."""
    folder = Path(os.environ.get("TALLYSTICK_SHARED", Path(__file__).resolve().parents[3] / "shared"))
    if not (folder / "xsd").is_dir():
        pytest.skip("the schemas of ISO 20022 are not here")
    return folder
