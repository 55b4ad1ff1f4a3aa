"""The collector's thresholds, and that it still works."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from tallystick.core.collector import calm_collector


@pytest.fixture
def thresholds() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


class Knot:
    """Something that refers to itself."""

    def __init__(self) -> None:
        self.itself = self


def test_it_walks_less_often_and_still_frees_cycles(thresholds: None) -> None:
    calm_collector()
    assert gc.get_threshold()[0] == 50_000
    assert gc.get_freeze_count() > 0
    gone = weakref.ref(Knot())
    gc.collect()
    assert gone() is None
