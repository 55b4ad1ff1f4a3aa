"""The largest batch is settled without the collector of cycles, which has nothing to find in it."""

import gc
import sys
from collections.abc import Iterator

import pytest

from tallystick.core.interpreter import tune_interpreter
from tallystick.core.settings import Settings
from tallystick.tokens import Submission
from tests.bank import Bank
from tests.tokens.queueing import transfer


@pytest.fixture
def walks() -> Iterator[list[int]]:
    """The generations that were walked since, in an interpreter that is told what the service tells it."""
    before, turn_seconds = gc.get_threshold(), sys.getswitchinterval()
    walked: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            walked.append(info["generation"])

    tune_interpreter()
    gc.callbacks.append(note)
    yield walked
    gc.callbacks.remove(note)
    gc.set_threshold(*before)
    sys.setswitchinterval(turn_seconds)
    gc.unfreeze()


def test_the_largest_batch_is_not_walked(bank: Bank, walks: list[int]) -> None:
    bank.mint("HARBOUR-USD", "1000.00")
    size = Settings.model_fields["batch_size_max"].default
    gc.collect()
    walks.clear()
    # Two more batches wait meanwhile, and would be walked with it.
    queued = [Submission((transfer(bank, "0.01", key=f"key-{number}"),)) for number in range(3 * size)]
    settled = bank.settle(*queued[:size])
    # It goes on while a failure is told.
    walked = len(walks)
    assert walked == 0
    assert {one.outcomes[0].status for one in settled} == {201}
