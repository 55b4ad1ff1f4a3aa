"""`tallystick audit-trail`: what `GET /v1/audit-trail` tells, and whether the chain of entries still holds."""

from datetime import datetime
from typing import Any, Final

from tallystick import audit
from tallystick.api.audit_trail import AUDIT_READERS
from tallystick.audit import Decision, Filters, Place
from tallystick.cli.acting import authorized, drafted, moment, put_on_record
from tallystick.cli.report import CommandRefusedError, ExitCode, Report
from tallystick.cli.running import opened_database, require_api_key
from tallystick.core.database import Database
from tallystick.core.settings import Settings
from tallystick.participants import Role

__all__ = ["audit_trail"]

_OPERATION: Final = "/v1/audit-trail"
_PER_READ: Final = 1_000
_COLUMNS: Final = ("created_at", "decision", "operation", "code", "subject_id", "principal_id", "source")


def audit_trail(
    report: Report,
    settings: Settings,
    presented_key: str | None,
    *,
    after: str | None,
    until: str | None,
    asked: tuple[str | None, ...],
    limit: int,
    check: bool,
) -> None:
    """Tell up to `limit` attempts that pass the filters in `asked`; what an auditor reads here is on record too."""
    presented = require_api_key(presented_key)
    filters = Filters(*asked)
    if filters.decision is not None and filters.decision not in set(Decision):
        raise CommandRefusedError(
            "decision_unknown", f"The decisions are {', '.join(Decision)}.", ExitCode.USAGE
        )
    period = moment("--from", after), moment("--to", until)
    with opened_database(settings) as database:
        viewer = authorized(database, presented, AUDIT_READERS, operation=_OPERATION)
        if Role.AUDITOR in viewer.roles:
            read = drafted(viewer, presented, _OPERATION, decision=Decision.READ)
            put_on_record(database, viewer, read)
        broken = _first_broken_number(database, viewer.issuer_id) if check else None
        shown, more = _read(database, viewer.issuer_id, period, filters, limit)
    document: dict[str, Any] = {"object": "list", "data": shown, "has_more": more}
    if check:
        document["first_broken_number"] = broken
    report.document(document)
    report.table(_COLUMNS, [[one[name] for name in _COLUMNS] for one in shown])
    if more:
        report.note(f"There are more than {limit}: narrow the period, or give --limit.")
    if check:
        report.say("The chain holds." if broken is None else f"The chain is BROKEN at entry {broken}.")
    if broken is not None:
        report.exit_code = ExitCode.REFUSED


def _first_broken_number(database: Database, issuer_id: str) -> int | None:
    with database.read() as connection:
        return audit.first_broken_number(connection, issuer_id)


def _read(
    database: Database,
    issuer_id: str,
    period: tuple[datetime | None, datetime | None],
    filters: Filters,
    limit: int,
) -> tuple[list[dict[str, Any]], bool]:
    shown: list[dict[str, Any]] = []
    with database.read() as connection:
        place: Place | None = audit.begin(connection, issuer_id, after=period[0], until=period[1])
    while place is not None and len(shown) < limit:
        with database.read() as connection:
            found = audit.page(
                connection, issuer_id, place, filters, limit=min(_PER_READ, limit - len(shown))
            )
        shown += [audit.resource(entry) for entry in found.entries]
        place = found.next
    return shown, place is not None
