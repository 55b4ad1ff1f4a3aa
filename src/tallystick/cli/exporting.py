"""`tallystick export`: the books and the log of a period, as files in a directory of one's choice."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tallystick import closing, exports
from tallystick.api.access import STAFF_AND_AUDITORS
from tallystick.api.exports import show_export
from tallystick.cli.acting import authorized, drafted, moment, opened_service, put_on_record
from tallystick.cli.report import CommandRefusedError, ExitCode, Report
from tallystick.cli.running import require_api_key
from tallystick.core.settings import Settings
from tallystick.exports import (
    ExportArguments,
    ExportFormat,
    ExportOptions,
    ExportProgress,
    ExportState,
    LedgerDetail,
    SampleMethod,
    Watching,
)

__all__ = ["asked_options", "export"]

Choice = TypeVar("Choice", bound=StrEnum)


def asked_options(
    *,
    holder_id: str | None,
    hand_off_id: str | None,
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
        holder_id=holder_id,
        hand_off_id=hand_off_id,
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
    with opened_service(settings) as service:
        viewer = authorized(service.database, presented, STAFF_AND_AUDITORS, operation="export")
        with service.database.read() as connection:
            arguments = closing.export_arguments(connection, viewer.issuer_id, arguments)
        workshop = service.workshop._replace(directory=output or settings.export_directory)
        with _progress() as watching:
            made = exports.create_export(workshop, viewer, arguments, watching)
        put_on_record(service.database, viewer, drafted(viewer, presented, "export", subject_id=made.id))
    if made.state != ExportState.FINISHED:
        assert made.failure is not None
        raise CommandRefusedError(made.failure.code, made.failure.reason)
    manifest: dict[str, Any] = made.manifest
    folder = workshop.directory / made.id
    report.document({**show_export(made), "folder": str(folder.absolute())})
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


@contextmanager
def _progress() -> Iterator[Watching]:
    """Show on a terminal's standard error how far it is; yield what is to be told of it."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("rows"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("waiting", total=None)

        def show(progress: ExportProgress) -> None:
            bar.update(
                task,
                description=progress.current_file or "waiting",
                completed=progress.rows_written,
                total=progress.rows_to_write,
            )

        yield show


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
