"""Python's cycle collector, told what a batch looks like.

A batch makes tens of thousands of short-lived objects without cycles. At the interpreter's own thresholds the collector
walks them dozens of times while a batch is settled, to find nothing.
"""

import gc
from typing import Final

__all__ = ["calm_collector"]

_OBJECTS_BETWEEN_WALKS: Final = 50_000


def calm_collector() -> None:
    """Let the collector walk once for a batch instead of for every 700 objects, and never what is there already."""
    gc.collect()
    gc.freeze()
    _, second, third = gc.get_threshold()
    gc.set_threshold(_OBJECTS_BETWEEN_WALKS, second, third)
