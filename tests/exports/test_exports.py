"""Exports tell the books of a period, the same bytes every time, to those who may know them."""

import io
import os
import stat
import zipfile
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from tallystick import events, exports, ledger, participants
from tallystick.core.clock import format_time
from tallystick.core.errors import InvariantError
from tallystick.core.ids import new_id
from tallystick.exports import (
    Export,
    ExportArguments,
    ExportFileNotFoundError,
    ExportFormat,
    ExportNotAllowedError,
    ExportNotFoundError,
    ExportPeriodInvalidError,
    ExportsBusyError,
    ExportState,
    ExportStorageError,
    making,
)
from tallystick.exports.tables import COLUMNS
from tallystick.participants import Role, TokenClassNotFoundError
from tallystick.tokens import Kind
from tests.bank import OPENED_AT, Bank, open_bank
from tests.database import connect
from tests.exports.exported import (
    DAYS,
    ask_for,
    contents,
    csv_rows,
    export_of,
    json_rows,
    needed,
    workshop,
)

_TABLES = {"journal", "events", "balances", "trial_balance", "accounts", "liabilities"}


def test_a_whole_export_is_the_books(shared: Bank, tmp_path: Path) -> None:
    export = export_of(shared, tmp_path)

    files = {
        name.removesuffix(".csv"): csv_rows(content) for name, content in contents(tmp_path, export).items()
    }
    assert set(files) == _TABLES | {"manifest.json"}
    with shared.database.read() as connection:
        log = events.events(connection, shared.issuer_id, limit=1_000)
        lines = ledger.entry_lines(connection, shared.issuer_id, 0, len(log) - 1)
        accounts = {
            one.id: one for one in ledger.accounts(connection, shared.issuer_id, limit=1_000) if one.version
        }
    assert [(row["event_index"], row["jws"], row["key_id"]) for row in files["events"]] == [
        (str(one.event_index), one.jws, one.key_id) for one in log
    ]
    assert [
        (
            int(row["event_index"]),
            int(row["line_number"]),
            row["ledger_account_id"],
            row["debit"],
            row["credit"],
        )
        for row in files["journal"]
    ] == [
        (
            one.event_index,
            one.line_number,
            one.ledger_account_id,
            f"{Decimal(one.debit_minor) / 100:.2f}" if one.debit_minor else "",
            f"{Decimal(one.credit_minor) / 100:.2f}" if one.credit_minor else "",
        )
        for one in lines
    ]
    assert {row["ledger_account_id"]: row["balance"] for row in files["balances"]} == {
        one.id: f"{Decimal(one.balance_minor) / 100:.2f}" for one in accounts.values()
    }
    assert {row["account_id"] for row in files["accounts"]} == {
        one.account_id for one in accounts.values() if one.account_id
    }


def test_the_figures_tie_among_the_files(shared: Bank, tmp_path: Path) -> None:
    export = export_of(shared, tmp_path, after=DAYS[0], until=DAYS[2] - timedelta(hours=1))

    files = {
        name.removesuffix(".csv"): csv_rows(content) for name, content in contents(tmp_path, export).items()
    }
    for total in export.manifest["control_totals"]:
        currency = total["currency"]
        journal = [row for row in files["journal"] if row["currency"] == currency]
        assert total["ties"] is True
        assert total["lines"] == len(journal)
        assert total["entries"] == len({row["event_index"] for row in journal})
        for side in ("debit", "credit"):
            assert Decimal(total[side + "s"]) == sum(Decimal(row[side] or 0) for row in journal)
        trial = [row for row in files["trial_balance"] if row["currency"] == currency]
        assert sum(Decimal(row["debit_balance"] or 0) for row in trial) == sum(
            Decimal(row["credit_balance"] or 0) for row in trial
        )
        by_code: dict[str, Decimal] = defaultdict(Decimal)
        for row in files["balances"]:
            if row["currency"] == currency:
                by_code[row["code"]] += Decimal(row["balance"])
        assert {row["code"]: Decimal(row["balance"]) for row in trial} == by_code
        owed = sum(Decimal(row["total"]) for row in files["liabilities"] if row["currency"] == currency)
        assert owed == Decimal(total["supply"]) == sum(by_code[code] for code in ledger.CLAIM_CODES)
    assert {
        one["currency"]: (one["opening_supply"], one["supply"]) for one in export.manifest["control_totals"]
    } == {
        "EUR": ("0.00", "250.50"),
        "USD": ("1000.00", "1000.00"),
    }


def test_json_lines_tell_the_same_as_csv(shared: Bank, tmp_path: Path) -> None:
    as_csv = contents(tmp_path, export_of(shared, tmp_path, ExportFormat.CSV))
    as_json = contents(tmp_path, export_of(shared, tmp_path, ExportFormat.JSONL))

    for table in _TABLES:
        rows = json_rows(as_json[f"{table}.jsonl"])
        assert [
            {name: "" if value is None else str(value) for name, value in row.items()} for row in rows
        ] == csv_rows(as_csv[f"{table}.csv"])
        assert all(tuple(row) == COLUMNS[table] for row in rows)


def test_equal_arguments_have_equal_bytes_whatever_happens_meanwhile(lived: Bank, tmp_path: Path) -> None:
    def made() -> list[Export]:
        return [
            export_of(lived, tmp_path, one, **options)
            for one in ExportFormat
            for options in [needed(lived, one)]
            for options in [options if "business_date" in options else options | period]
        ]

    period = {"after": DAYS[0], "until": DAYS[2]}
    first = made()
    lived.unfreeze("NORTHWIND-EUR")
    lived.mint("SILKROAD-EUR", "7.00")
    lived.transfer("LANTERN-USD", "NORTHWIND-USD", "1.00")
    lived.freeze("LANTERN-USD")

    second = made()

    assert not {one.id for one in first} & {one.id for one in second}
    assert [contents(tmp_path, one) for one in second] == [contents(tmp_path, one) for one in first]


def test_a_period_is_open_at_its_beginning_and_closed_at_its_end(shared: Bank, tmp_path: Path) -> None:
    until = [None, *DAYS]
    parts = [
        export_of(shared, tmp_path, after=after, until=end) for after, end in zip(until, DAYS, strict=False)
    ]

    whole = csv_rows(contents(tmp_path, export_of(shared, tmp_path))["events.csv"])
    of_parts = [csv_rows(contents(tmp_path, one)["events.csv"]) for one in parts]
    assert all(of_parts)
    assert [row for rows in of_parts for row in rows] == whole
    for rows, day in zip(of_parts, DAYS, strict=True):
        assert {row["booked_at"] for row in rows} == {format_time(day)}
    assert [one.manifest["first_event_index"] for one in parts[1:]] == [
        one.manifest["last_event_index"] + 1 for one in parts[:-1]
    ]


def test_openings_are_the_closings_of_the_period_before(shared: Bank, tmp_path: Path) -> None:
    before = csv_rows(contents(tmp_path, export_of(shared, tmp_path, until=DAYS[1]))["balances.csv"])
    behind = csv_rows(contents(tmp_path, export_of(shared, tmp_path, after=DAYS[1]))["balances.csv"])

    closings = {row["ledger_account_id"]: row["balance"] for row in before}
    assert closings
    for row in behind:
        assert row["opening_balance"] == closings.get(row["ledger_account_id"], "0.00")


def test_an_empty_period_has_balances_and_no_entries(shared: Bank, tmp_path: Path) -> None:
    export = export_of(shared, tmp_path, after=DAYS[1], until=DAYS[1] + timedelta(hours=1))

    files = contents(tmp_path, export)
    assert export.manifest["first_event_index"] == export.manifest["last_event_index"] + 1
    assert csv_rows(files["journal.csv"]) == csv_rows(files["events.csv"]) == []
    balances = csv_rows(files["balances.csv"])
    assert balances
    assert all(row["opening_balance"] == row["balance"] for row in balances)


@pytest.mark.parametrize("export_format", list(ExportFormat))
def test_a_bank_without_a_past_exports_nothing(
    bank: Bank, tmp_path: Path, export_format: ExportFormat
) -> None:
    export = export_of(bank, tmp_path, export_format, **needed(bank, export_format))

    contents(tmp_path, export)
    assert (export.manifest["first_event_index"], export.manifest["last_event_index"]) == (0, -1)
    # An account has a statement all the same: of nothing.
    assert all(one["entries"] == 0 for one in export.manifest["control_totals"])
    assert bool(export.manifest["control_totals"]) == (export_format in {"pdf", "camt053"})
    assert all(one["rows"] == 0 for one in export.manifest["files"] if one["name"] != "keys.jsonl")


def test_one_token_class_alone(shared: Bank, tmp_path: Path) -> None:
    class_id = shared.classes["EUR"].id
    export = export_of(shared, tmp_path, token_class_id=class_id)

    files = contents(tmp_path, export)
    for table in _TABLES:
        rows = csv_rows(files[f"{table}.csv"])
        assert rows
        assert {row["token_class_id"] for row in rows} == {class_id}
    [total] = export.manifest["control_totals"]
    assert (total["currency"], total["supply"], total["ties"]) == ("EUR", "250.50", True)
    assert export.manifest["arguments"]["token_class_id"] == class_id


def _plain(content: bytes) -> bytes:
    """Return what is told, out of what it is packed in."""
    if content.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(content)) as parts:
            return b"".join(map(parts.read, parts.namelist()))
    if content.startswith(b"PAR1"):
        return str(pq.read_table(io.BytesIO(content)).to_pylist()).encode()
    return content


def test_nothing_personal_is_told(lived: Bank, tmp_path: Path) -> None:
    for export_format in set(ExportFormat) - {ExportFormat.PDF, ExportFormat.CAMT053}:
        export = export_of(lived, tmp_path, export_format, **needed(lived, export_format))
        text = b"".join(map(_plain, contents(tmp_path, export).values()))
        for holder in lived.holders.values():
            assert holder.legal_name.encode() not in text
        for account in lived.accounts.values():
            assert account.reference.encode() not in text
            assert (account.deposit_iban or account.deposit_account_number or "").encode() not in text


def test_who_may_export_and_see_exports(lived: Bank, tmp_path: Path) -> None:
    for outsider in (lived.platform, lived.holder):
        with pytest.raises(ExportNotAllowedError):
            exports.create_export(
                workshop(lived, tmp_path / "none"), outsider, ExportArguments(ExportFormat.CSV)
            )
        with lived.database.read() as connection:
            assert exports.exports(connection, outsider) == []
    assert not (tmp_path / "none").exists()
    made = [
        exports.create_export(workshop(lived, tmp_path), one, ExportArguments(ExportFormat.HLEDGER))
        for one in (lived.maker, lived.checker, lived.auditor, lived.operator)
    ]
    with lived.database.read() as connection:
        assert exports.exports(connection, lived.auditor) == made
        assert exports.exports(connection, lived.auditor, after=made[0].id, limit=2) == made[1:3]
        assert exports.export(connection, lived.maker, made[2].id) == made[2]


def test_another_bank_s_export_is_absent(shared: Bank, tmp_path: Path) -> None:
    export = export_of(shared, tmp_path / "exports")
    with open_bank(shared.urls, tmp_path / "other-keys") as other:
        with other.database.read() as connection:
            assert exports.exports(connection, other.auditor) == []
            with pytest.raises(ExportNotFoundError):
                exports.export(connection, other.auditor, export.id)
        with pytest.raises(ExportNotFoundError):
            exports.export_file(
                workshop(other, tmp_path / "exports"), other.auditor, export.id, "journal.csv"
            )
        with pytest.raises(TokenClassNotFoundError):
            export_of(other, tmp_path / "exports", token_class_id=shared.classes["USD"].id)
        theirs = contents(tmp_path / "exports", export_of(other, tmp_path / "exports"))
    assert csv_rows(theirs["events.csv"]) == csv_rows(theirs["balances.csv"]) == []


def test_periods_that_are_refused(lived: Bank, tmp_path: Path) -> None:
    now = lived.clock.at
    for after, until in (
        (DAYS[1], DAYS[0]),
        (None, now + timedelta(microseconds=1)),
        (now + timedelta(1), None),
        (datetime(1, 1, 1, tzinfo=UTC), None),
        (None, datetime(999, 1, 1, tzinfo=UTC)),
    ):
        with pytest.raises(ExportPeriodInvalidError):
            export_of(lived, tmp_path, after=after, until=until)
    with pytest.raises(TokenClassNotFoundError):
        export_of(lived, tmp_path, token_class_id=new_id("class"))
    assert list(tmp_path.iterdir()) == [tmp_path / "keys"]
    with lived.database.read() as connection:
        assert exports.exports(connection, lived.auditor) == []


def test_files_are_for_the_service_alone(shared: Bank, tmp_path: Path) -> None:
    export = export_of(shared, tmp_path / "new" / "exports")

    folder = tmp_path / "new" / "exports" / export.id
    assert stat.S_IMODE(folder.stat().st_mode) == stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(one.stat().st_mode) for one in folder.iterdir()} == {0o600}
    assert [one.name for one in folder.parent.iterdir()] == [export.id]


@pytest.mark.parametrize("damage", ["lost folder", "lost file", "cut short", "changed"])
def test_what_is_lost_or_damaged_is_made_again(shared: Bank, tmp_path: Path, damage: str) -> None:
    export = export_of(shared, tmp_path)
    before = contents(tmp_path, export)
    folder = tmp_path / export.id
    path = folder / "journal.csv"
    if damage == "lost folder":
        for one in folder.iterdir():
            one.unlink()
        folder.rmdir()
    elif damage == "lost file":
        path.unlink()
    elif damage == "cut short":
        os.truncate(path, 100)
    else:
        path.write_bytes(path.read_bytes().replace(b"USD", b"EUR"))

    found = exports.export_file(workshop(shared, tmp_path), shared.maker, export.id, "journal.csv")

    assert found.path.read_bytes() == before["journal.csv"]
    assert contents(tmp_path, export) == before
    assert not list(tmp_path.glob(".making-*"))


def test_books_that_were_changed_since_are_not_served_as_they_were(lived: Bank, tmp_path: Path) -> None:
    export = export_of(lived, tmp_path)
    (tmp_path / export.id / "events.csv").unlink()
    with connect(lived.urls.superuser_url) as connection:
        connection.execute("ALTER TABLE event DISABLE TRIGGER USER")
        connection.execute("UPDATE event SET jws = jws || 'A' WHERE event_index = 2")

    with pytest.raises(InvariantError):
        exports.export_file(workshop(lived, tmp_path), lived.auditor, export.id, "events.csv")

    assert not (tmp_path / export.id / "events.csv").exists()
    assert exports.export_file(
        workshop(lived, tmp_path), lived.auditor, export.id, "journal.csv"
    ).path.exists()


def test_a_gap_in_the_log_stops_everything(lived: Bank, tmp_path: Path) -> None:
    with connect(lived.urls.superuser_url) as connection:
        connection.execute("ALTER TABLE event DISABLE TRIGGER USER")
        connection.execute("DELETE FROM event WHERE event_index = 2")

    with pytest.raises(InvariantError, match="gap"):
        export_of(lived, tmp_path)


def test_books_that_do_not_tie_are_told_as_they_are(lived: Bank, tmp_path: Path) -> None:
    with connect(lived.urls.superuser_url) as connection:
        connection.execute("ALTER TABLE journal_line DISABLE TRIGGER USER")
        connection.execute(
            """UPDATE journal_line SET debit_minor = debit_minor + 1, balance_minor = balance_minor + 1
               WHERE event_index = 0 AND debit_minor > 0"""
        )

    export = export_of(lived, tmp_path)

    assert {one["currency"]: one["ties"] for one in export.manifest["control_totals"]} == {
        "EUR": True,
        "USD": False,
    }


def test_names_that_are_no_file_of_the_export(shared: Bank, tmp_path: Path) -> None:
    export = export_of(shared, tmp_path)

    for name in ("journal.jsonl", "..", ".", "", "journal.csv/", "../keys", "manifest.json.new"):
        with pytest.raises(ExportFileNotFoundError):
            exports.export_file(workshop(shared, tmp_path), shared.auditor, export.id, name)


def test_the_manifest_is_a_file_too(shared: Bank, tmp_path: Path) -> None:
    export = export_of(shared, tmp_path)
    (tmp_path / export.id / "manifest.json").write_text("{}")

    found = exports.export_file(workshop(shared, tmp_path), shared.auditor, export.id, "manifest.json")

    assert found.facts.size_bytes == found.path.stat().st_size > 1_000
    contents(tmp_path, export)


def test_a_directory_that_can_t_be_written(lived: Bank, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(ExportStorageError):
        export_of(lived, tmp_path / "file" / "exports")
    with lived.database.read() as connection:
        [failed] = exports.exports(connection, lived.auditor)
    assert (failed.state, failed.result) == (ExportState.FAILED, None)
    assert failed.failure is not None
    assert failed.failure.code == "export_storage_unavailable"


def test_files_that_can_t_be_put_in_place_are_made_again_when_asked_for(shared: Bank, tmp_path: Path) -> None:
    asked = ask_for(shared)
    (tmp_path / asked.id).mkdir()
    (tmp_path / asked.id / "journal.csv").write_text("in the way")
    exports.make(workshop(shared, tmp_path), shared.issuer_id, asked.id)

    exports.export_file(workshop(shared, tmp_path), shared.auditor, asked.id, "journal.csv")

    with shared.database.read() as connection:
        contents(tmp_path, exports.export(connection, shared.auditor, asked.id))


def test_what_a_crash_left_is_removed_by_the_next_maker(shared: Bank, tmp_path: Path) -> None:
    abandoned = tmp_path / "exports" / ".making-before"
    abandoned.mkdir(parents=True)
    (abandoned / "journal.csv").write_text("half")

    export = export_of(shared, tmp_path / "exports")

    assert [one.name for one in (tmp_path / "exports").iterdir()] == [export.id]


def test_no_more_than_two_are_made_again_at_a_time(shared: Bank, tmp_path: Path) -> None:
    export = export_of(shared, tmp_path / "first")
    with making._place(), making._place(), pytest.raises(ExportsBusyError):
        exports.export_file(workshop(shared, tmp_path), shared.auditor, export.id, "journal.csv")
    exports.export_file(workshop(shared, tmp_path), shared.auditor, export.id, "journal.csv")


def test_a_pinned_export_survives_its_record(shared: Bank, tmp_path: Path) -> None:
    export = export_of(shared, tmp_path, ExportFormat.JSONL, after=OPENED_AT, until=DAYS[2])

    with shared.database.read() as connection:
        kept = exports.export(connection, shared.auditor, export.id)
    assert kept == export
    assert kept.requested_by == shared.auditor.id
    assert kept.pinned.arguments == ExportArguments(ExportFormat.JSONL, OPENED_AT, DAYS[2])


def test_accounts_of_later_days_are_not_told(bank: Bank, tmp_path: Path) -> None:
    bank.mint("HARBOUR-USD", "10.00")
    bank.ask(
        Kind.ACCOUNT_FREEZE, bank.maker, payer_account_id=bank.account_id("LANTERN-USD"), reason="Order."
    )

    files = contents(tmp_path, export_of(bank, tmp_path))

    assert [row["account_id"] for row in csv_rows(files["accounts.csv"])] == [bank.account_id("HARBOUR-USD")]
    assert len(csv_rows(files["liabilities.csv"])) == 1
    with bank.database.read() as connection:
        assert len(participants.accounts(connection, bank.auditor)) == len(bank.accounts)
    assert Role.AUDITOR in bank.auditor.roles
