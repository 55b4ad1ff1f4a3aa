"""How long tests are that could be longer: `make soak` runs them at their full length, `make test` a part of it."""

import os
from typing import Final, TypeVar

__all__ = ["SOAKING", "in_full"]

Number = TypeVar("Number", int, float)

SOAKING: Final = os.environ.get("TALLYSTICK_TEST_SOAK") == "1"


def in_full(full: Number, otherwise: Number) -> Number:
    """Return the first number in a soak, the second one in any other run."""
    return full if SOAKING else otherwise
