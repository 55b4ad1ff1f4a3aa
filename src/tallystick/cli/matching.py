"""`tallystick match`: the bank's entries against the books' instructions, as after every import."""

from typing import Any, Final

from tallystick import audit, matching
from tallystick.api.reconciliations import RECONCILERS
from tallystick.cli.acting import authorized, drafted
from tallystick.cli.reconciling import classes_chosen
from tallystick.cli.report import CommandRefusedError, ExitCode, Report
from tallystick.cli.running import opened_database, require_api_key
from tallystick.core.clock import SystemClock
from tallystick.core.settings import Settings

__all__ = ["match"]

_OPERATION: Final = "matching_run"


def match(
    report: Report,
    settings: Settings,
    presented_key: str | None,
    *,
    token_class: str | None,
    every_class: bool,
) -> None:
    """Match, and tell what stands, what is suggested, and what is open on either side."""
    presented = require_api_key(presented_key)
    if (token_class is None) != every_class:
        raise CommandRefusedError("choice_missing", "Give either --token-class or --all.", ExitCode.USAGE)
    runs: list[dict[str, Any]] = []
    with opened_database(settings) as database:
        actor = authorized(database, presented, RECONCILERS, operation=_OPERATION)
        for of_class in classes_chosen(database, actor, token_class):
            run = matching.match_in_parts(
                database, SystemClock(), actor.issuer_id, of_class.id, on_progress=report.note
            )
            entry = drafted(actor, presented, _OPERATION, subject_id=of_class.id)
            database.run(
                lambda connection, entry=entry: audit.append(  # type: ignore[misc]
                    connection, SystemClock(), actor.issuer_id, [entry]
                )
            )
            runs.append({"object": "matching_run", "currency": of_class.currency, **run._asdict()})
    report.document({"object": "list", "data": runs})
    for one in runs:
        report.say(
            f"{one['currency']}: {one['matched_count']} matched, {one['proposed_count']} suggested, open: "
            f"{one['open_bank_count']} of the bank, {one['open_books_count']} of the books."
        )
