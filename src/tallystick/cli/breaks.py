"""`tallystick breaks …`: the same work on breaks as under `/v1/breaks`, with the same checks and on the same record."""

# ruff: noqa: PLC0415 Each command loads only what it needs.

import base64
from pathlib import Path
from typing import Annotated, Any

import typer

from tallystick.cli.options import ApiKey, AsJson, Reason
from tallystick.cli.report import Report, reported

__all__ = ["application"]

application = typer.Typer(
    no_args_is_help=True, help="Where log, books and bank differ, and what becomes of each difference."
)

BreakId = Annotated[str, typer.Argument(metavar="BREAK", help="The break's id.")]
Note = Annotated[str | None, typer.Option("--note", help="A sentence for whoever reads it later.")]
IdempotencyKey = Annotated[
    str | None,
    typer.Option("--idempotency-key", help="The same key again does nothing twice; a new one unless given."),
]


@application.command("list")
def list_breaks(  # noqa: PLR0917 Typer passes them by name.
    state: Annotated[
        str | None, typer.Option(help="open, assigned, explained, resolved, written_off or cleared.")
    ] = None,
    owner: Annotated[str | None, typer.Option(metavar="PRINCIPAL", help="Who has it.")] = None,
    break_type: Annotated[
        str | None, typer.Option("--type", help="timing, missing_event, missing_bank_entry, …")
    ] = None,
    token_class: Annotated[str | None, typer.Option("--token-class", metavar="ID")] = None,
    overdue: Annotated[bool, typer.Option("--overdue", help="Only what waits and was due.")] = False,
    cursor: Annotated[str, typer.Option(metavar="BREAK", help="Go on behind this break.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1_000)] = 100,
    key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """List breaks, first found first."""
    with reported(as_json=as_json) as report:
        from urllib.parse import urlencode

        asked = {
            "state": state,
            "owner_id": owner,
            "type": break_type,
            "token_class_id": token_class,
            "overdue": "true" if overdue else None,
            "cursor": cursor or None,
            "limit": str(limit),
        }
        query = urlencode({name: value for name, value in asked.items() if value is not None})
        found = _look(f"/v1/breaks?{query}", key)
        report.document(found)
        report.table(
            ["id", "type", "state", "difference", "due", "owner"],
            [
                [
                    one["id"],
                    one["type"],
                    one["state"] + (" (overdue)" if one["overdue"] else ""),
                    f"{one['currency']} {one['difference']}",
                    one["due_at"][:16],
                    one["owner_id"] or "",
                ]
                for one in found["data"]
            ],
        )


@application.command()
def show(break_id: BreakId, key: ApiKey = None, as_json: AsJson = False) -> None:
    """Show one break with its files and its history."""
    with reported(as_json=as_json) as report:
        found = _look(f"/v1/breaks/{break_id}", key)
        report.document(found)
        _tell(report, found)
        for one in found["actions"]:
            report.say(f"    {one['done_at'][:19]} {one['kind']} {one['principal_id']} {one['note'] or ''}")


@application.command()
def assign(
    break_id: BreakId,
    owner: Annotated[str, typer.Option(metavar="PRINCIPAL", help="Who is to look into it.")],
    note: Note = None,
    idempotency_key: IdempotencyKey = None,
    key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Give a break an owner."""
    body = {"owner_id": owner} | ({} if note is None else {"note": note})
    _work(break_id, "assign", body, idempotency_key, key, as_json=as_json)


@application.command()
def explain(
    break_id: BreakId,
    explanation: Annotated[str, typer.Option(help="What the difference comes from.")],
    idempotency_key: IdempotencyKey = None,
    key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Say what a break comes from."""
    _work(break_id, "explain", {"explanation": explanation}, idempotency_key, key, as_json=as_json)


@application.command("note")
def add_note(
    break_id: BreakId,
    note: Annotated[str, typer.Option("--note", help="The note.")],
    idempotency_key: IdempotencyKey = None,
    key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Add a note to a break."""
    _work(break_id, "notes", {"note": note}, idempotency_key, key, as_json=as_json)


@application.command("evidence")
def add_evidence(
    break_id: BreakId,
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False)],
    media_type: Annotated[str, typer.Option(help="What the file is.")] = "application/octet-stream",
    idempotency_key: IdempotencyKey = None,
    key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Put a file to a break, at most 5 MiB."""
    with reported(as_json=as_json) as report:
        from tallystick.reconciliation import FILE_SIZE_MAX_BYTES

        with file.open("rb") as opened:
            content = base64.b64encode(opened.read(FILE_SIZE_MAX_BYTES + 1)).decode()
        body = {"name": file.name, "media_type": media_type, "content": content}
        done = _ask(f"/v1/breaks/{break_id}/evidence", body, idempotency_key, key)
        report.document(done)
        report.say(f"{done['name']}: {done['size_bytes']} bytes, SHA-256 {done['sha256']}")


@application.command()
def resolve(
    break_id: BreakId,
    instruction: Annotated[str, typer.Option(metavar="ID", help="The instruction that corrects it.")],
    note: Note = None,
    idempotency_key: IdempotencyKey = None,
    key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Name the settled instruction that corrects a break."""
    body = {"instruction_id": instruction} | ({} if note is None else {"note": note})
    _work(break_id, "resolve", body, idempotency_key, key, as_json=as_json)


@application.command("write-off")
def write_off(  # noqa: PLR0917 Typer passes them by name.
    break_id: BreakId,
    difference: Annotated[str, typer.Option(help="The break's difference, typed again.")],
    currency: Annotated[str, typer.Option(help="Its currency.")],
    reason: Reason,
    idempotency_key: IdempotencyKey = None,
    key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Ask to write a difference off; another person approves, and types the amount of the entry that it posts."""
    with reported(as_json=as_json) as report:
        from tallystick.cli.asking import tell_change

        body = {"difference": difference, "currency": currency, "reason": reason}
        tell_change(report, _ask(f"/v1/breaks/{break_id}/write-off", body, idempotency_key, key))


def _work(
    break_id: str,
    action: str,
    body: dict[str, Any],
    idempotency_key: str | None,
    key: str | None,
    *,
    as_json: bool,
) -> None:
    with reported(as_json=as_json) as report:
        done = _ask(f"/v1/breaks/{break_id}/{action}", body, idempotency_key, key)
        report.document(done)
        _tell(report, done)


def _ask(path: str, body: dict[str, Any], idempotency_key: str | None, key: str | None) -> dict[str, Any]:
    from tallystick.cli.asking import ask
    from tallystick.cli.running import load_settings, require_api_key

    return ask(load_settings(), require_api_key(key), path, body, idempotency_key=idempotency_key)


def _look(path: str, key: str | None) -> dict[str, Any]:
    from tallystick.cli.asking import look
    from tallystick.cli.running import load_settings, require_api_key

    return look(load_settings(), require_api_key(key), path)


def _tell(report: Report, one: dict[str, Any]) -> None:
    report.say(
        f"{one['id']}: {one['state']} {one['type']} {one['currency']} {one['difference']}, {one['age_hours']} hours "
        f"old, due {one['due_at'][:16]}{', OVERDUE' if one['overdue'] else ''}. {one['explanation']}"
    )
