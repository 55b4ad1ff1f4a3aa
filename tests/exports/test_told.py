"""What a pack tells beside the log: rules that are bound to their hash and votes, and runs as the bank tells them."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tallystick import attestations, exports, reconciliation
from tallystick.exports import Export, ExportArguments, ExportFormat
from tallystick_verify import ExitCode
from tests.bank import Bank
from tests.exports.exported import contents, json_rows, workshop
from tests.policies import approve_policy
from tests.verify.packs import Evidence, verified


def pack_of(bank: Bank, directory: Path) -> Export:
    return exports.create_export(
        workshop(bank, directory),
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

    exports.export_file(workshop(ruled, tmp_path), ruled.auditor, export.id, "policies.jsonl")

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


@pytest.fixture
def attested(ruled: Bank) -> Bank:
    """That bank with a run that was attested, behind one of before there were attestations."""
    ruled.database.run(
        lambda connection: attestations.reconcile(
            connection, ruled.settler, ruled.auditor, ruled.classes["USD"].id
        )
    )
    return ruled


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: rows, ""),
        (
            lambda rows: rows[1].update(verdict={"tied": "broken"}.get(rows[1]["verdict"], "tied")),
            "in verdict",
        ),
        (lambda rows: rows[1].update(statement_id="statement_1"), "in statement_id"),
        (lambda rows: rows[1].update(event_index=0), "in ledger_index"),
        (lambda rows: rows[1].update(token_class_id=rows[0]["token_class_id"]), "in token_class_id"),
        (lambda rows: rows[1]["figures"]["supply"].update(signed_events="1.00"), "in supply"),
        (lambda rows: rows[1]["figures"]["log"].update(verified_size="1"), "in verified_size"),
        (lambda rows: rows[1]["figures"].pop("control_account"), "in control_account"),
        (lambda rows: rows[1].update(figures=7), "is told otherwise"),
        (lambda rows: rows.pop(), "is not told"),
    ],
)
def test_a_run_is_told_as_it_was_attested(attested: Bank, tmp_path: Path, change: Any, words: str) -> None:
    export = pack_of(attested, tmp_path)
    evidence = Evidence.of(attested, tmp_path / export.id)
    insider = evidence.insider()
    insider.edit("reconciliations.jsonl", change)

    report = verified(insider.files, tmp_path / "pack", evidence.policy)

    assert report.exit_code == (ExitCode.FIGURES if words else ExitCode.OK), report.text()
    assert words in report.text()
    if not words:
        assert "2 reconciliations, 1 of them as they were attested" in report.text()


def test_what_the_log_has_is_told_whatever_another_clock_said(attested: Bank, tmp_path: Path) -> None:
    before = attested.clock.at
    attested.clock.at += timedelta(hours=1)
    run, _ = attested.database.run(
        lambda connection: attestations.reconcile(
            connection, attested.settler, attested.auditor, attested.classes["EUR"].id
        )
    )
    attested.clock.at = before
    export = pack_of(attested, tmp_path)
    files = contents(tmp_path, export)

    told = json_rows(files["reconciliations.jsonl"])

    assert [one["id"] for one in told][-1] == run.id
    assert all("attested_index" not in one for one in told)
    report = verified(files, tmp_path / "pack", Evidence.of(attested, tmp_path / export.id).policy)
    assert report.exit_code == ExitCode.OK, report.text()
