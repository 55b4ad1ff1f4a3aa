"""What the interpreter is told, and that cycles are still freed."""

import gc
import subprocess
import sys
import weakref
from collections.abc import Iterator

import pytest

from tallystick.core.interpreter import collect_as_usual, collect_seldom, tune_interpreter


@pytest.fixture
def thresholds() -> Iterator[None]:
    before, turn_seconds = gc.get_threshold(), sys.getswitchinterval()
    yield
    gc.set_threshold(*before)
    sys.setswitchinterval(turn_seconds)
    gc.unfreeze()


class Knot:
    """Something that refers to itself."""

    def __init__(self) -> None:
        self.itself = self


def test_it_walks_less_often_and_still_frees_cycles(thresholds: None) -> None:
    tune_interpreter()
    assert gc.get_threshold()[0] == 200_000
    assert sys.getswitchinterval() < 0.001
    assert gc.get_freeze_count() > 0
    gone = weakref.ref(Knot())
    gc.collect()
    assert gone() is None


def test_what_was_asked_of_the_collector_is_taken_back(thresholds: None) -> None:
    collect_seldom()
    assert gc.get_threshold()[0] == 200_000
    collect_as_usual()
    assert gc.get_threshold()[0] < 5_000


def test_a_command_loads_without_walking() -> None:
    told = """import gc
from tallystick.cli import main
try:
    main(["--version"])
finally:
    print(gc.get_threshold()[0])"""
    shown = subprocess.run(
        [sys.executable, "-c", told], capture_output=True, text=True, check=True, timeout=60
    )
    assert shown.stdout.splitlines()[-1] == "200000"
