"""`tallystick reconcile`: the same run as `POST /v1/reconciliations`, for one token class or all."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from tallystick import attestations, audit, participants
from tallystick.api.reconciliations import RECONCILERS, show_run
from tallystick.api.service import Service
from tallystick.cli.acting import authorized, drafted, moment, opened_service
from tallystick.cli.report import CommandRefusedError, ExitCode, Report
from tallystick.cli.running import require_api_key
from tallystick.core.database import Database
from tallystick.core.settings import Settings
from tallystick.participants import Principal, TokenClass
from tallystick.reconciliation import Verdict

__all__ = ["classes_chosen", "reconcile"]


def reconcile(
    report: Report,
    settings: Settings,
    presented_key: str | None,
    *,
    token_class: str | None,
    every_class: bool,
    as_of: str | None,
    bank_as_of: str | None = None,
    verify_all: bool = False,
) -> None:
    """Reconcile, keep each run, and tell it; the exit code is 1 where a verdict is `broken`."""
    presented = require_api_key(presented_key)
    if (token_class is None) != every_class:
        raise CommandRefusedError("choice_missing", "Give either --token-class or --all.", ExitCode.USAGE)
    at, bank_at = moment("--as-of", as_of), moment("--bank-as-of", bank_as_of)
    runs = []
    with opened_service(settings) as service:
        actor = authorized(service.database, presented, RECONCILERS, operation="reconciliation")
        for of_class in classes_chosen(service.database, actor, token_class):
            report.note(f"reconciling {of_class.currency} {of_class.id}")
            runs.append(_run(service, actor, presented, of_class, at, bank_at, verify_all=verify_all))
    report.document({"object": "list", "data": runs})
    for run in runs:
        _tell(report, run)
    if any(run["verdict"] != Verdict.TIED for run in runs):
        report.exit_code = ExitCode.REFUSED


def classes_chosen(database: Database, actor: Principal, chosen: str | None) -> list[TokenClass]:
    """Return the class of this id or currency, or all; raises TokenClassNotFoundError."""
    with database.read() as connection:
        known = participants.token_classes(connection, actor.issuer_id, limit=1_000)
    if chosen is None:
        return known
    found = [one for one in known if chosen in (one.id, one.currency)]
    if not found:
        raise participants.TokenClassNotFoundError
    return found


def _run(
    service: Service,
    actor: Principal,
    presented_key: str,
    of_class: TokenClass,
    at: datetime | None,
    bank_at: datetime | None,
    *,
    verify_all: bool,
) -> dict[str, Any]:
    def work(connection: Connection) -> dict[str, Any]:
        run, _ = attestations.reconcile(
            connection,
            service.settler,
            actor,
            of_class.id,
            as_of=at,
            bank_as_of=bank_at,
            verify_all=verify_all,
        )
        shown = show_run(connection, run)
        done = drafted(actor, presented_key, "reconciliation", subject_id=run.id)
        audit.append(connection, service.clock, actor.issuer_id, [done])
        return shown

    return service.database.run(work)


def _tell(report: Report, run: dict[str, Any]) -> None:
    report.say(
        f"{run['currency']}: {run['verdict'].upper()} up to event {run['event_index']}   ({run['id']})"
    )
    report.table(
        ["", "", "amount"],
        [
            [group, name, figure]
            for group, figures in run["figures"].items()
            for name, figure in figures.items()
        ],
    )
    for one in run["findings"]:
        report.say(f"    {one['type']} {one['currency']} {one['difference']}: {one['explanation']}")
    if run["suspended_because"] is not None:
        report.say(f"    NOTHING MORE MAY BE ISSUED: {run['suspended_because']}")
