"""`tallystick export`: the books and the log of a period, as files in a directory of one's choice."""

from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from tallystick import exports, transparency
from tallystick.api.access import STAFF_AND_AUDITORS
from tallystick.cli.acting import authorized, drafted, moment, put_on_record
from tallystick.cli.report import CommandRefusedError, ExitCode, Report
from tallystick.cli.running import opened_database, require_api_key
from tallystick.core.clock import SystemClock, format_time
from tallystick.core.settings import Settings
from tallystick.exports import (
    ExportArguments,
    ExportFormat,
    ExportOptions,
    LedgerDetail,
    SampleMethod,
    Vouching,
)
from tallystick.signing import KeyDirectory

__all__ = ["asked_options", "export"]

Choice = TypeVar("Choice", bound=StrEnum)


def asked_options(
    *,
    account_id: str | None,
    business_date: str | None,
    business_date_until: str | None,
    detail: str | None,
    sample_size: int | None,
    seed: str | None,
    sample_method: str | None,
) -> ExportOptions:
    """Return the options as they were typed; refuse, as wrong usage, what is no day and no such choice."""
    return ExportOptions(
        account_id=account_id,
        business_date=_day("--business-date", business_date),
        business_date_until=_day("--business-date-until", business_date_until),
        detail=_choice("--detail", LedgerDetail, detail),
        sample_size=sample_size,
        seed=seed,
        sample_method=_choice("--sample-method", SampleMethod, sample_method),
    )


def export(
    report: Report,
    settings: Settings,
    presented_key: str | None,
    *,
    booked_after: str | None,
    booked_until: str | None,
    export_format: str,
    token_class_id: str | None,
    options: ExportOptions,
    output: Path | None,
) -> None:
    """Make an export under `output`/<export id>, by default where the service serves it from."""
    presented = require_api_key(presented_key)
    if export_format not in set(ExportFormat):
        raise CommandRefusedError(
            "format_unknown", f"The formats are {', '.join(ExportFormat)}.", ExitCode.USAGE
        )
    arguments = ExportArguments(
        ExportFormat(export_format),
        moment("--from", booked_after),
        moment("--to", booked_until),
        token_class_id,
        options,
    )
    directory = output or settings.export_directory
    with opened_database(settings) as database:
        viewer = authorized(database, presented, STAFF_AND_AUDITORS, operation="export")
        made = exports.create_export(
            database,
            SystemClock(),
            viewer,
            arguments,
            directory,
            Vouching(
                KeyDirectory(settings.key_directory, settings.key_passphrase),
                transparency.tile_store(settings.log_tile_directory),
                transparency.parse_witness_policy(settings.log_witnesses, settings.log_quorum),
            ),
        )
        put_on_record(database, viewer, drafted(viewer, presented, "export", subject_id=made.id))
    manifest: dict[str, Any] = made.manifest
    folder = directory / made.id
    report.document(
        {
            "id": made.id,
            "object": "export",
            "created_at": format_time(made.created_at),
            "issuer_id": made.issuer_id,
            "requested_by": made.requested_by,
            "format": export_format,
            "folder": str(folder.absolute()),
            "manifest": manifest,
        }
    )
    report.say(f"Exported to {folder}")
    report.table(
        ["file", "rows", "bytes", "sha256"],
        [[one["name"], one["rows"], one["bytes"], one["sha256"]] for one in manifest["files"]],
    )
    for total in manifest["control_totals"]:
        ties = "ties" if total["ties"] else "DOES NOT TIE"
        report.say(f"{total['currency']}: debits {total['debits']}, credits {total['credits']}, {ties}")
    if not all(total["ties"] for total in manifest["control_totals"]):
        report.exit_code = ExitCode.REFUSED


def _day(option: str, text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise CommandRefusedError(
            "date_malformed", f"{option} takes a date: 2026-11-20.", ExitCode.USAGE
        ) from None


def _choice(option: str, choices: type[Choice], text: str | None) -> Choice | None:
    if text is None:
        return None
    if text not in set(choices):
        raise CommandRefusedError(
            "choice_unknown", f"{option} is one of {', '.join(choices)}.", ExitCode.USAGE
        )
    return choices(text)
