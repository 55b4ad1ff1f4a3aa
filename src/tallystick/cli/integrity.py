"""`tallystick check-integrity` and `tallystick seal-records`: for whoever runs the machine; no API key opens them."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any, Final

from tallystick import integrity, participants, seals, transparency
from tallystick.cli.acting import opened_service
from tallystick.cli.report import CommandRefusedError, ExitCode, Report
from tallystick.cli.running import chosen_issuer, opened_database
from tallystick.core.database import Database, metadata
from tallystick.core.settings import Settings
from tallystick.integrity import Integrity, Progress

__all__ = ["Outcome", "check_integrity", "seal_records"]

_SHOWN_MAX: Final = 200


class Outcome(IntEnum):
    """How `check-integrity` ends: 1 where a signed or replayed fact differs, 5 where only a seal's does, 6 where all
    that was sealed is right and there has never been a seal; 2 to 4 are every command's own.
    """

    INTACT = 0
    DIFFERS = 1
    SEAL_DIFFERS = 5
    NEVER_SEALED = 6


def check_integrity(
    report: Report, settings: Settings, issuer_id: str | None, tables: list[str] | None
) -> None:
    """Check every issuer, or one; name each difference; the worst outcome is the exit code."""
    integrity.know_every_table()
    unknown = sorted(set(tables or ()) - set(metadata.tables))
    if unknown:
        raise CommandRefusedError("table_unknown", f"There is no table {unknown[0]}.", ExitCode.USAGE)
    tiles = transparency.tile_store(settings.log_tile_directory)
    shown: list[dict[str, Any]] = []
    outcomes = []
    with opened_database(settings) as database:
        for one in _issuers(database, issuer_id):
            with _progress(one) as progress, database.read() as connection:
                found = integrity.check(connection, tiles, one, tables=tables or None, progress=progress)
            outcomes.append(_outcome(found))
            shown.append(_document(found, outcomes[-1]))
            _tell(report, found, outcomes[-1])
    uncovered = integrity.uncovered()
    report.document({"object": "list", "data": shown, "not_covered": uncovered})
    if not report.as_json:
        told = "; ".join(f"{table}.{column}" for table, of in uncovered.items() for column in of)
        report.say(f"Covered by nothing, and evidence of nothing (docs/threat-model.md): {told}.")
    # A difference outweighs a missing seal, whatever the numbers are.
    order = [Outcome.DIFFERS, Outcome.SEAL_DIFFERS, Outcome.NEVER_SEALED, Outcome.INTACT]
    report.exit_code = min(outcomes, key=order.index, default=Outcome.INTACT)


def seal_records(report: Report, settings: Settings, issuer_id: str | None) -> None:
    """Check an issuer, or each, and seal what is new or has changed since the last seal."""
    tiles = transparency.tile_store(settings.log_tile_directory)
    shown = []
    with opened_service(settings) as service:
        for one in _issuers(service.database, issuer_id):
            with _progress(one) as progress:
                new = integrity.seal_records(service.database, tiles, service.settler, one, progress)
            shown.append(_seal(new))
            report.say(
                f"{one}: seal {new.number} over {new.record_count} records, signed as event {new.event_index}"
            )
    report.document({"object": "list", "data": shown})


def _issuers(database: Database, issuer_id: str | None) -> list[str]:
    with database.read() as connection:
        return [chosen_issuer(connection, issuer_id)] if issuer_id else participants.issuer_ids(connection)


def _outcome(found: Integrity) -> Outcome:
    by_seal = sum("by seal" in (one.expected or "") for one in found.findings)
    if found.finding_count:
        return Outcome.SEAL_DIFFERS if by_seal == found.finding_count else Outcome.DIFFERS
    return Outcome.INTACT if found.seal_number is not None else Outcome.NEVER_SEALED


def _document(found: Integrity, outcome: Outcome) -> dict[str, Any]:
    return {
        "object": "integrity",
        "issuer_id": found.issuer_id,
        "outcome": outcome.name.lower(),
        "event_count": found.event_count,
        "seal_number": found.seal_number,
        "tables": found.tables,
        "finding_count": found.finding_count,
        "findings": [one._asdict() for one in found.findings],
        "newer_than_seal": dict(sorted(found.unsealed.items())),
        "changed_since_seal": dict(sorted(found.changed.items())),
    }


def _tell(report: Report, found: Integrity, outcome: Outcome) -> None:
    sealed = "never sealed" if found.seal_number is None else f"seal {found.seal_number}"
    report.say(
        f"{found.issuer_id}: {outcome.name.replace('_', ' ')}; {found.event_count} events, {sealed}, "
        f"{found.unsealed.total()} records newer than it, {found.changed.total()} changed since by acts on record"
    )
    if found.findings:
        report.table(
            ["table", "key", "column", "expected", "found"],
            [tuple(one) for one in found.findings[:_SHOWN_MAX]],
        )
    if found.finding_count > _SHOWN_MAX:
        report.say(f"… and {found.finding_count - _SHOWN_MAX} more (--json tells up to 1,000)")


def _seal(new: seals.Seal) -> dict[str, Any]:
    return {
        "object": "seal",
        "issuer_id": new.issuer_id,
        "number": new.number,
        "record_count": new.record_count,
        "records_hash": new.records_hash.hex(),
        "event_index": new.event_index,
    }


@contextmanager
def _progress(issuer_id: str) -> Iterator[Progress]:
    """Show how far the checks are on a terminal; nothing elsewhere."""
    from rich.console import Console  # noqa: PLC0415 Only on a terminal is anything shown.
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn  # noqa: PLC0415

    console = Console(stderr=True)
    columns = (TextColumn(issuer_id), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("")
        yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total)
