"""A holder's own pack: its leaves and accounts, verified, and nothing of anybody else's."""

from dataclasses import replace
from pathlib import Path

import pytest

from tallystick import exports
from tallystick.core.canonical_json import canonical_json
from tallystick.exports import (
    ExportArguments,
    ExportFormat,
    ExportNotAllowedError,
    ExportNotFoundError,
    ExportOptions,
    ExportScopeInvalidError,
)
from tallystick.participants import HolderNotFoundError, Principal, Role
from tallystick.transparency import CheckpointNotFoundError
from tallystick_verify import ExitCode, Report, verify_pack
from tallystick_verify.policy_file import Policy
from tallystick_verify.verifying import Options
from tests.bank import Bank
from tests.exports.exported import DAYS, contents, json_rows, workshop
from tests.exports.test_evidence import integrated
from tests.verify.packs import Insider, no_progress, payload_of


def pack_of(bank: Bank, directory: Path, holder: str, viewer: Principal | None = None) -> exports.Export:
    arguments = ExportArguments(
        ExportFormat.EVIDENCE, DAYS[0], options=ExportOptions(holder_id=bank.holders[holder].id)
    )
    return exports.create_export(workshop(bank, directory), viewer or bank.auditor, arguments)


def judged(files: dict[str, bytes], bank: Bank, policy: Policy, folder: Path) -> Report:
    """Verify files whose manifest the bank itself has signed again."""
    insider = Insider(files, bank.key_directory.signer(bank.issuer_id, policy.pins[0].public_key.kid))
    insider.seal()
    return verify_pack(insider.save(folder), policy, Options(), no_progress)


def test_a_holder_s_pack_is_verified(lived: Bank, tmp_path: Path) -> None:
    policy = integrated(lived)
    export = pack_of(lived, tmp_path, "LANTERN", lived.platform)
    files = contents(tmp_path, export)

    report = verify_pack(tmp_path / export.id, policy, Options(), no_progress)

    assert report.exit_code == ExitCode.OK, report.text()
    passed = {name for name, one in report.checks.items() if one.state == "passed"}
    assert passed >= {"events", "log", "checkpoint", "journal", "balances", "register"}
    assert any("NO EVENT IS LEFT OUT" in one for one in report.unproven)
    assert (export.manifest["pack_kind"], export.manifest["control_totals"]) == ("holder", [])
    [claim] = json_rows(files["liabilities.jsonl"])
    # 400 received; of 50 that were set aside 20 are paid.
    assert (claim["total"], claim["available"], claim["held"]) == ("380.00", "350.00", "30.00")
    assert [(one["opening_balance"], one["balance"]) for one in json_rows(files["balances.jsonl"])] == [
        ("400.00", "350.00"),
        ("0.00", "30.00"),
    ]


def test_it_tells_of_nobody_else(lived: Bank, tmp_path: Path) -> None:
    integrated(lived)
    files = contents(tmp_path, pack_of(lived, tmp_path, "NORTHWIND", lived.holder))

    text = b"".join(files.values())
    mine = {one.id for one in lived.accounts.values() if one.holder_id == lived.holders["NORTHWIND"].id}
    assert {row["account_id"] for row in json_rows(files["journal.jsonl"])} <= mine
    assert {row["account_id"] for row in json_rows(files["accounts.jsonl"])} <= mine
    # Whom it paid is in the payment's event; nobody else is named.
    for name in ("LANTERN-USD", "SILKROAD-USD", "HARBOUR-USD"):
        assert lived.account_id(name).encode() not in text
    assert (lived.maker.person or "").encode() not in text
    assert set(files) == {
        "accounts.jsonl",
        "balances.jsonl",
        "checkpoint.txt",
        "events.jsonl",
        "journal.jsonl",
        "keys.jsonl",
        "liabilities.jsonl",
        "manifest.json",
        "manifest.jws",
    }


def test_of_those_that_it_dealt_with_it_tells_no_more_than_its_own_events(
    lived: Bank, tmp_path: Path
) -> None:
    integrated(lived)
    files = contents(tmp_path, pack_of(lived, tmp_path, "LANTERN", lived.platform))
    mine = {one.id for one in lived.accounts.values() if one.holder_id == lived.holders["LANTERN"].id}

    payloads = [payload_of(row["jws"]) for row in json_rows(files["events.jsonl"])]
    parties = [{one.get("payer_account_id"), one.get("payee_account_id")} for one in payloads]
    assert parties
    assert all(mine & both for both in parties), "each leaf is a payment of this holder's own"
    counterparties = set().union(*parties) - mine - {None}
    # Outside of those events nobody else's account, and nowhere a holder, a balance or a name of anybody else's.
    beside = b"".join(content for name, content in files.items() if name != "events.jsonl")
    told = beside + b"".join(canonical_json(one) for one in payloads)
    others = [one for name, one in lived.holders.items() if name != "LANTERN"]
    assert counterparties
    assert not [one for one in lived.accounts.values() if one.id not in mine and one.id.encode() in beside]
    assert not [one for one in others if one.id.encode() in told or one.legal_name.encode() in told]
    strangers = {one.id for one in lived.accounts.values()} - mine - counterparties
    assert not [one for one in strangers if one.encode() in told]
    lines = [line["account"][5:] for one in payloads for line in one["lines"]]
    assert {one for one in lines if one.startswith("account_")} <= mine | counterparties
    rows = json_rows(files["balances.jsonl"]) + json_rows(files["journal.jsonl"])
    assert {row["account_id"] for row in rows} <= mine


def test_what_is_changed_or_left_out_is_found(lived: Bank, tmp_path: Path) -> None:
    policy = integrated(lived)
    files = contents(tmp_path, pack_of(lived, tmp_path, "LANTERN"))

    def faulty(name: str, change: str) -> Report:
        insider = Insider(
            dict(files), lived.key_directory.signer(lived.issuer_id, policy.pins[0].public_key.kid)
        )
        rows = insider.rows(name)
        if change == "first out":
            del rows[0]
        elif change == "last out":
            del rows[-1]
        elif change == "another's":
            rows[0]["holder_id"] = lived.holders["HARBOUR"].id
        else:
            rows[0][change] = "1.00"
        insider.write(name, rows)
        return judged(insider.files, lived, policy, tmp_path / f"{name} {change}")

    assert judged(dict(files), lived, policy, tmp_path / "whole").exit_code == ExitCode.OK
    # The first leaf is the money that was received: without it what was paid is more than there was.
    assert faulty("events.jsonl", "first out").exit_code == ExitCode.BOOKS
    assert faulty("events.jsonl", "last out").exit_code == ExitCode.FIGURES
    for name, change in (
        ("journal.jsonl", "first out"),
        ("journal.jsonl", "balance"),
        ("balances.jsonl", "balance"),
        ("balances.jsonl", "opening_balance"),
        ("balances.jsonl", "last out"),
        ("accounts.jsonl", "another's"),
        ("accounts.jsonl", "last out"),
        ("liabilities.jsonl", "total"),
        ("liabilities.jsonl", "another's"),
        ("liabilities.jsonl", "last out"),
    ):
        assert faulty(name, change).exit_code == ExitCode.FIGURES, (name, change)
    without = {name: content for name, content in files.items() if name != "balances.jsonl"}
    assert judged(without, lived, policy, tmp_path / "without").exit_code == ExitCode.PACK


def test_it_is_made_again_as_it_was(lived: Bank, tmp_path: Path) -> None:
    integrated(lived)
    export = pack_of(lived, tmp_path, "LANTERN")
    before = contents(tmp_path, export)
    lived.transfer("LANTERN-USD", "SILKROAD-USD", "1.00")
    integrated(lived)
    (tmp_path / export.id / "events.jsonl").unlink()

    exports.export_file(workshop(lived, tmp_path), lived.auditor, export.id, "events.jsonl")

    assert contents(tmp_path, export) == before


def test_who_may_have_whose(lived: Bank, tmp_path: Path) -> None:
    integrated(lived)
    for viewer, holder in (
        (lived.holder, "HARBOUR"),
        (lived.holder, "LANTERN"),
        (lived.platform, "NORTHWIND"),
    ):
        with pytest.raises(HolderNotFoundError):
            pack_of(lived, tmp_path, holder, viewer)
    for viewer in (lived.holder, lived.platform):
        with pytest.raises(ExportNotAllowedError):
            exports.create_export(workshop(lived, tmp_path), viewer, ExportArguments(ExportFormat.EVIDENCE))
    with pytest.raises(ExportScopeInvalidError):
        exports.create_export(
            workshop(lived, tmp_path),
            lived.holder,
            ExportArguments(ExportFormat.CSV, options=ExportOptions(holder_id=lived.holders["NORTHWIND"].id)),
        )
    own = pack_of(lived, tmp_path, "NORTHWIND", lived.holder)
    others = pack_of(lived, tmp_path, "NORTHWIND", lived.auditor)
    with lived.database.read() as connection:
        assert exports.exports(connection, lived.holder) == [own]
        assert exports.exports(connection, lived.platform) == []
        assert exports.exports(connection, lived.maker) == [own, others]
        with pytest.raises(ExportNotFoundError):
            exports.export(connection, lived.holder, others.id)
    assert Role.HOLDER in lived.holder.roles
    assert replace(own, requested_by=others.requested_by).manifest == others.manifest


def test_without_a_checkpoint_leaves_prove_nothing(lived: Bank, tmp_path: Path) -> None:
    with pytest.raises(CheckpointNotFoundError):
        pack_of(lived, tmp_path, "LANTERN")
