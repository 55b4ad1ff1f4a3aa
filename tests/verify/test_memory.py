"""A log of thousands of events is verified in the memory of a page of them."""

import tracemalloc
from pathlib import Path

import pytest

from tallystick.tokens import Kind, Submission
from tallystick_verify import verify_pack
from tests.bank import Bank
from tests.verify.packs import WITHOUT_CHECKPOINT, Evidence, export_evidence, no_progress

_BATCH = 300
_BATCHES = (1, 4)
# Five times as many events may not need noticeably more.
_GROWTH_MAX_BYTES = 131_072


@pytest.mark.slow
def test_memory_does_not_grow_with_the_log(bank: Bank, tmp_path: Path) -> None:
    bank.mint("HARBOUR-USD", "1000.00")
    peaks = []
    for number, batches in enumerate(_BATCHES):
        for _ in range(batches):
            _transfers(bank)
        evidence = Evidence.of(bank, export_evidence(bank, tmp_path / str(number)))
        [folder] = (tmp_path / str(number)).iterdir()
        tracemalloc.start()
        try:
            report = verify_pack(folder, evidence.policy, WITHOUT_CHECKPOINT, no_progress)
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert report.exit_code == 0, report.text()
        # The pack before is an event too.
        assert report.pack["events"] == 3 + number + sum(_BATCHES[: number + 1]) * _BATCH
        peaks.append(peak_bytes)
    assert peaks[1] - peaks[0] < _GROWTH_MAX_BYTES, peaks


def _transfers(bank: Bank) -> None:
    bank.settle(
        *(
            Submission(
                (
                    bank.request(
                        Kind.TRANSFER,
                        bank.maker,
                        amount="0.01",
                        currency="USD",
                        payer_account_id=bank.account_id("HARBOUR-USD"),
                        payee_account_id=bank.account_id("LANTERN-USD"),
                    ),
                )
            )
            for _ in range(_BATCH)
        )
    )
