"""An export of thousands of events needs no more memory than a page of them."""

import tracemalloc
from pathlib import Path

import pytest

from tallystick.exports import ExportFormat
from tallystick.tokens import Kind, Submission
from tests.bank import Bank
from tests.exports.exported import export_of, needed
from tests.soaking import in_full

_EVENTS = in_full(20_000, 10_000)
_BATCH = 1_000
_PEAK_MAX_BYTES = 10 * 1_048_576
_FORMATS = (ExportFormat.CSV, ExportFormat.HLEDGER, ExportFormat.CAMT053, ExportFormat.EVIDENCE)
# Those whose files are so long that memory which grew with them would be seen.
_LONG = {ExportFormat.CSV, ExportFormat.EVIDENCE}


@pytest.mark.slow
def test_memory_does_not_grow_with_the_log(bank: Bank, tmp_path: Path) -> None:
    bank.mint("HARBOUR-USD", "1000.00")
    for _ in range(_EVENTS // _BATCH):
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

    for export_format in _FORMATS:
        tracemalloc.start()
        try:
            export = export_of(bank, tmp_path, export_format, **needed(bank, export_format))
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert export.manifest["last_event_index"] == _EVENTS + 2
        assert peak_bytes < _PEAK_MAX_BYTES
        size_bytes = sum(one["bytes"] for one in export.manifest["files"])
        assert export_format not in _LONG or size_bytes > _EVENTS / 10_000 * 1.5 * _PEAK_MAX_BYTES
