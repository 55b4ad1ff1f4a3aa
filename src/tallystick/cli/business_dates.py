"""`tallystick business-dates …`: the day's checklist, its hand-off and its close, asked of the API's own routes."""

# ruff: noqa: PLC0415 Each command loads only what it needs.

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import quote

import typer

from tallystick.cli.options import ApiKey, AsJson, Reason
from tallystick.cli.report import reported

if TYPE_CHECKING:
    from tallystick.cli.report import Report

__all__ = ["application"]

application = typer.Typer(no_args_is_help=True, help="Business dates: checklist, hand-off, close.")

_PATH: Final = "/v1/business-dates"
Day = Annotated[str, typer.Argument(metavar="DATE", help="Such as 2026-11-20, or `current` to show.")]


@application.command("list")
def list_dates(key: ApiKey = None, as_json: AsJson = False) -> None:
    """List the business dates and how each stands, oldest first."""
    with reported(as_json=as_json) as report:
        found: list[dict[str, Any]] = []
        cursor: str | None = ""
        while cursor is not None:
            page = _get(key, f"{_PATH}?limit=1000&cursor={cursor}")
            found += page["data"]
            cursor = page["next_cursor"]
        report.document({"object": "list", "data": found})
        report.table(
            ["date", "state", "current"],
            [[one["id"], one["state"], "yes" if one["is_current"] else None] for one in found],
        )


@application.command("show")
def show_date(day: Day = "current", key: ApiKey = None, as_json: AsJson = False) -> None:
    """Show a date with its checklist as things stand."""
    with reported(as_json=as_json) as report:
        found = _get(key, f"{_PATH}/{quote(day, safe='')}")
        report.document(found)
        _tell(report, found)


@application.command("hand-off")
def hand_off(day: Day, key: ApiKey = None, as_json: AsJson = False) -> None:
    """Hand a date's entries off to the general ledger, with their control totals."""
    with reported(as_json=as_json) as report:
        made = _post(key, day, "hand-off", {})
        report.document(made)
        report.say(f"{made['id']}: up to event {made['event_index']}, SHA-256 {made['sha256']}")
        report.table(
            ["currency", "lines", "debits", "credits"],
            [[one["currency"], one["line_count"], one["debits"], one["credits"]] for one in made["totals"]],
        )


@application.command("close")
def close_date(
    day: Day,
    *,
    hand_off_id: Annotated[
        str | None,
        typer.Option("--hand-off", metavar="ID", help="With which one; the last one made if not said."),
    ] = None,
    accept: Annotated[
        list[str] | None,
        typer.Option("--accept-break", metavar="ID", help="An open break to accept by name."),
    ] = None,
    key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Ask for a date's close; another person approves it."""
    with reported(as_json=as_json) as report:
        from tallystick.cli.asking import tell_change
        from tallystick.cli.report import CommandRefusedError

        chosen = hand_off_id
        if chosen is None:
            made = _get(key, f"{_PATH}/{quote(day, safe='')}")["hand_off"]
            if made is None:
                raise CommandRefusedError("hand_off_not_found", "Hand the date off first.")
            chosen = made["id"]
        body = {"hand_off_id": chosen, "accepted_break_ids": list(accept or ())}
        tell_change(report, _post(key, day, "close", body))


@application.command("reopen")
def reopen_date(day: Day, *, reason: Reason, key: ApiKey = None, as_json: AsJson = False) -> None:
    """Ask for a closed date to take entries again; another person approves it."""
    with reported(as_json=as_json) as report:
        from tallystick.cli.asking import tell_change

        tell_change(report, _post(key, day, "reopen", {"reason": reason}))


def _get(key: str | None, path: str) -> dict[str, Any]:
    from tallystick.cli.asking import look
    from tallystick.cli.running import load_settings, require_api_key

    return look(load_settings(), require_api_key(key), path)


def _post(key: str | None, day: str, action: str, body: Mapping[str, Any]) -> dict[str, Any]:
    from tallystick.cli.asking import ask
    from tallystick.cli.running import load_settings, require_api_key

    return ask(load_settings(), require_api_key(key), f"{_PATH}/{quote(day, safe='')}/{action}", body)


def _tell(report: "Report", found: Mapping[str, Any]) -> None:
    report.say(
        f"{found['id']} is {found['state']}; it takes in {found['period_from']} to {found['period_until']}."
    )
    report.table(
        ["done", "what", "found"],
        [["yes" if one["done"] else "NO", one["name"], one["found"]] for one in found["checklist"]],
    )
    for break_id in found["open_break_ids"]:
        report.say(f"    open: {break_id}")
    for one in found["landed"]:
        report.say(f"    late for {one['original_value_date']}: {one['instruction_id']}")
