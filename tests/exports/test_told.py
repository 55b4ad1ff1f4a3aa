"""What a pack tells beside the log: rules that are bound to their hash and votes, and runs as the bank tells them."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tallystick import exports, reconciliation
from tallystick.api.pack_runs import read_runs
from tallystick.exports import Export, ExportArguments, ExportFormat
from tallystick_verify import ExitCode
from tests.bank import Bank
from tests.exports.exported import contents, json_rows, workshop
from tests.policies import approve_policy
from tests.verify.packs import Evidence, verified


def pack_of(bank: Bank, directory: Path) -> Export:
    return exports.create_export(
        workshop(bank, directory)._replace(read_runs=read_runs),
        bank.auditor,
        ExportArguments(ExportFormat.EVIDENCE),
    )


@pytest.fixture
def ruled(bank: Bank) -> Bank:
    """A bank with rules of its own, by which something was decided, and a reconciliation."""
    approve_policy(bank, limits={"transaction": "500.00"})
    bank.mint("HARBOUR-USD", "100.00")
    bank.transfer("HARBOUR-USD", "LANTERN-USD", "5.00")
    class_id = bank.classes["EUR"].id
    bank.database.run(
        lambda connection: reconciliation.reconcile(connection, bank.settler, bank.auditor, class_id)
    )
    return bank


def test_rules_and_runs_are_told(ruled: Bank, tmp_path: Path) -> None:
    export = pack_of(ruled, tmp_path)
    files = contents(tmp_path, export)

    [told] = json_rows(files["policies.jsonl"])
    [run] = json_rows(files["reconciliations.jsonl"])
    assert told["document"]["limits"]["transaction"] == "500.00"
    assert run["token_class_id"] == ruled.classes["EUR"].id
    report = verified(files, tmp_path / "pack", Evidence.of(ruled, tmp_path / export.id).policy)
    assert report.exit_code == ExitCode.OK, report.text()
    assert report.checks["told"].detail == (
        "1 versions of the rules; 1 reconciliations, as the bank tells them"
    )


def test_they_are_made_again_as_they_were(ruled: Bank, tmp_path: Path) -> None:
    export = pack_of(ruled, tmp_path)
    before = contents(tmp_path, export)
    ruled.clock.at += timedelta(seconds=1)
    approve_policy(ruled, limits={"transaction": "400.00"})
    ruled.database.run(
        lambda connection: reconciliation.reconcile(
            connection, ruled.settler, ruled.auditor, ruled.classes["USD"].id
        )
    )
    (tmp_path / export.id / "policies.jsonl").unlink()

    making = workshop(ruled, tmp_path)._replace(read_runs=read_runs)
    exports.export_file(making, ruled.auditor, export.id, "policies.jsonl")

    assert contents(tmp_path, export) == before


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("policies.jsonl", lambda rows: rows.clear()),
        ("policies.jsonl", lambda rows: rows[0]["document"]["limits"].update(transaction="501.00")),
        ("policies.jsonl", lambda rows: rows[0].update(approvals=[])),
        ("policies.jsonl", lambda rows: rows[0].update(label="shipped/1")),
        ("policies.jsonl", lambda rows: rows.append(rows[0])),
        ("reconciliations.jsonl", lambda rows: rows[0].update(event_index=10**6)),
        ("reconciliations.jsonl", lambda rows: rows.append(rows[0])),
    ],
)
def test_what_is_told_wrongly_is_found(ruled: Bank, tmp_path: Path, name: str, change: Any) -> None:
    export = pack_of(ruled, tmp_path)
    evidence = Evidence.of(ruled, tmp_path / export.id)
    insider = evidence.insider()
    insider.edit(name, change)

    report = verified(insider.files, tmp_path / "pack", evidence.policy)

    assert report.exit_code == ExitCode.FIGURES, report.text()
    assert report.checks["told"].state == "failed"
