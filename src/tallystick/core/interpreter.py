"""The interpreter, told what its work looks like: batches of short-lived objects, settled beside a thread that serves.

A batch makes tens of thousands of objects without cycles; at the interpreter's own thresholds the collector walks them
dozens of times while the batch is settled, to find nothing. And a thread that comes back from the database or from
signing waits for the other one's turn to end, which by default takes longer than settling what it came back with.
"""

import gc
import sys
from typing import Final

__all__ = ["collect_as_usual", "collect_seldom", "tune_interpreter"]

# More than the largest batch and the requests that wait behind it, so that it is over before the collector would walk.
_OBJECTS_BETWEEN_WALKS: Final = 200_000
_TURN_SECONDS: Final = 0.0005
_USUAL: Final = gc.get_threshold()


def collect_seldom() -> None:
    """Let the collector walk seldom: of the time in which a command loads what it needs, walking took up to a fifth."""
    _, second, third = gc.get_threshold()
    gc.set_threshold(_OBJECTS_BETWEEN_WALKS, second, third)


def collect_as_usual() -> None:
    """Take back `collect_seldom`: pages of rows that were read leave cycles, and are large."""
    gc.set_threshold(*_USUAL)


def tune_interpreter() -> None:
    """Let the collector walk no batch and never what is there already, and let threads take shorter turns."""
    gc.collect()
    gc.freeze()
    collect_seldom()
    sys.setswitchinterval(_TURN_SECONDS)
