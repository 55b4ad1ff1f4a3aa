"""How long tests are that could be longer: `make soak` runs them at their full length, `make test` a part of it."""

import os
from typing import Final, TypeVar

import pytest

__all__ = ["SOAKING", "in_full", "only_soaking"]

Number = TypeVar("Number", int, float)

SOAKING: Final = os.environ.get("TALLYSTICK_TEST_SOAK") == "1"

only_soaking: Final = pytest.mark.skipif(
    not SOAKING, reason="takes long, and a shorter one is like it: make soak"
)


def in_full(full: Number, otherwise: Number) -> Number:
    """Return the first number in a soak, the second one in any other run."""
    return full if SOAKING else otherwise
