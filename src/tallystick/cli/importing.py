"""`tallystick import-statement`: the same import as `POST /v1/statements`, from files."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection

from tallystick import audit, statements
from tallystick.api.service import Service
from tallystick.api.statements import IMPORTERS, match_imported, show_import
from tallystick.cli.acting import authorized, drafted, opened_service, put_on_record
from tallystick.cli.report import ExitCode, Report
from tallystick.cli.running import require_api_key
from tallystick.core.errors import DomainError, UnavailableError
from tallystick.core.settings import Settings
from tallystick.participants import Principal
from tallystick.statements import CsvMapping, StatementImport

__all__ = ["abandon_statement", "import_file", "import_statements", "load_mapping"]

_OPERATION: Final = "statement_import"
_ABANDONMENT: Final = "statement_abandonment"


def import_statements(
    report: Report,
    settings: Settings,
    presented_key: str | None,
    files: Sequence[Path],
    *,
    mapping_file: Path | None = None,
) -> None:
    """Import each file by itself, with a mapping as CSV; one that is refused doesn't keep the others out."""
    presented = require_api_key(presented_key)
    mapping = None if mapping_file is None else load_mapping(mapping_file)
    shown = []
    with opened_service(settings) as service:
        importer = authorized(service.database, presented, IMPORTERS, operation=_OPERATION)
        for number, file in enumerate(files, 1):
            if len(files) > 1:
                report.note(f"{number} of {len(files)}: {file}")
            shown.append(_import(report, service, importer, presented, file, mapping))
    report.document({"object": "list", "data": shown})


def abandon_statement(
    report: Report, settings: Settings, presented_key: str | None, statement_id: str, *, reason: str
) -> None:
    """Give up on a statement that came in half, so that another one may take its place."""
    presented = require_api_key(presented_key)
    with opened_service(settings) as service:
        actor = authorized(service.database, presented, IMPORTERS, operation=_ABANDONMENT)

        def work(connection: Connection) -> None:
            statements.abandon_statement(connection, service.clock, actor, statement_id, reason)
            entry = drafted(actor, presented, _ABANDONMENT, subject_id=statement_id)
            audit.append(connection, service.clock, actor.issuer_id, [entry])

        try:
            service.database.run(work)
        except DomainError as refusal:
            if not isinstance(refusal, UnavailableError):
                refused = drafted(actor, presented, _ABANDONMENT, refusal=refusal)
                put_on_record(service.database, actor, refused)
            raise
    report.document({"object": "statement", "id": statement_id, "state": "abandoned"})
    report.say(f"{statement_id} is abandoned: its deposits stand, and another statement may take its place.")


def load_mapping(file: Path) -> CsvMapping:
    """Return the mapping in a JSON file; raises StatementMappingInvalidError and what strict JSON refuses."""
    with file.open("rb") as opened:
        return statements.read_mapping(opened.read(statements.MAPPING_SIZE_MAX_BYTES + 1))


def _import(
    report: Report,
    service: Service,
    importer: Principal,
    presented_key: str,
    file: Path,
    mapping: CsvMapping | None,
) -> dict[str, Any]:
    try:
        shown = import_file(report, service, importer, presented_key, file, mapping)
    except UnavailableError:
        raise
    except DomainError as refusal:
        refused = drafted(importer, presented_key, _OPERATION, refusal=refusal)
        put_on_record(service.database, importer, refused)
        report.exit_code = ExitCode.REFUSED
        report.note(f"{file}: {refusal.code}: {refusal.detail}")
        return {"file": str(file), "imported": False, "code": refusal.code, "detail": refusal.detail}
    for one in shown["statements"]:
        _tell(report, file, one)
    return {"file": str(file), **shown}


def import_file(
    report: Report,
    service: Service,
    importer: Principal,
    presented_key: str,
    file: Path,
    mapping: CsvMapping | None,
) -> dict[str, Any]:
    """Import one file, a long one in parts, and return what became of it as JSON; raises what refuses it."""
    with file.open("rb") as opened:
        read = statements.read_file(
            opened, size_max_bytes=service.settings.statement_file_size_max_bytes, mapping=mapping
        )

    def tell(count: int) -> None:
        report.note(f"{file}: {count} of {read.entry_count} entries")

    statements.import_ahead(service.database, service.settler, importer, read, on_progress=tell)

    def work(connection: Connection) -> StatementImport:
        done = statements.import_statement(connection, service.settler, importer, read)
        first = done.statements[0].statement.id
        entry = drafted(importer, presented_key, _OPERATION, subject_id=first)
        audit.append(connection, service.clock, importer.issuer_id, [entry])
        return done

    done = service.database.run(work)
    classes = {one.statement.token_class_id for one in done.statements}
    match_imported(service, importer, classes)
    with service.database.read() as connection:
        shown = show_import(connection, importer.issuer_id, done)
        for one in shown["statements"]:
            one["deposits"] = _deposits(connection, importer.issuer_id, one["id"])
            one["findings"] = _findings(connection, importer.issuer_id, one["id"])
    return shown


def _tell(report: Report, file: Path, one: dict[str, Any]) -> None:
    if not one["imported"]:
        report.say(f"{file}: {one['bank_statement_id']} was imported before; nothing was changed.")
        return
    deposits = one["deposits"]
    report.say(
        f"{file}: {one['bank_statement_id']}, {one['entry_count']} entries, closing balance "
        f"{one['currency']} {one['closing_balance'] or 'not stated'}: {deposits['confirmed']} deposits confirmed, "
        f"{deposits['unassigned']} waiting for assignment, {len(one['findings'])} findings."
    )
    for found in one["findings"]:
        report.say(f"    {found['severity']} {found['code']} at {found['location']}: {found['message']}")


def _deposits(connection: Connection, issuer_id: str, statement_id: str) -> dict[str, int]:
    """Count what the import made of the entries: confirmed to an account, waiting for one, or no deposit."""
    counts: Counter[str] = Counter()
    for entry in statements.stream_entries(connection, issuer_id, statement_id):
        if entry.deposit_id is None:
            counts["none"] += 1
        else:
            counts["confirmed" if entry.matched_by is not None else "unassigned"] += 1
    return {name: counts[name] for name in ("confirmed", "unassigned", "none")}


def _findings(connection: Connection, issuer_id: str, statement_id: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    after = 0
    while some := statements.findings(connection, issuer_id, statement_id, after=after, limit=1_000):
        found += [
            {"code": one.code, "severity": one.severity, "location": one.location, "message": one.message}
            for one in some
        ]
        after = some[-1].finding_number
    return found
