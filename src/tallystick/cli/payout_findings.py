"""`tallystick payout-finding …`: the same work as under `/v1/payout-findings`, with the same checks and on record."""

# ruff: noqa: PLC0415 Each command loads only what it needs.

from typing import Annotated, Any

import typer

from tallystick.cli.options import ApiKey, AsJson
from tallystick.cli.report import Report, reported

__all__ = ["application"]

application = typer.Typer(
    no_args_is_help=True, help="What the bank said of payouts that contradicts the books, or itself."
)

FindingId = Annotated[str, typer.Argument(metavar="FINDING", help="The finding's id.")]
IdempotencyKey = Annotated[
    str | None,
    typer.Option("--idempotency-key", help="The same key again does nothing twice; a new one unless given."),
]


@application.command("list")
def list_findings(
    state: Annotated[str | None, typer.Option(help="open, assigned or resolved.")] = None,
    owner: Annotated[str | None, typer.Option(metavar="PRINCIPAL", help="Who has it.")] = None,
    cursor: Annotated[str, typer.Option(metavar="FINDING", help="Go on behind this one.")] = "",
    key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """List findings, oldest first."""
    with reported(as_json=as_json) as report:
        from urllib.parse import urlencode

        asked = {"state": state, "owner_id": owner, "cursor": cursor or None}
        query = urlencode({name: value for name, value in asked.items() if value is not None})
        found = _look(f"/v1/payout-findings?{query}", key)
        report.document(found)
        report.table(
            ["id", "at", "kind", "state", "owner", "payout", "detail"],
            [
                [
                    one["id"],
                    one["created_at"][:19],
                    one["kind"],
                    one["state"],
                    one["owner_id"] or "",
                    one["payout_id"] or one["subject"],
                    one["detail"],
                ]
                for one in found["data"]
            ],
        )


@application.command()
def show(finding_id: FindingId, key: ApiKey = None, as_json: AsJson = False) -> None:
    """Show one finding with what was done about it."""
    with reported(as_json=as_json) as report:
        found = _look(f"/v1/payout-findings/{finding_id}", key)
        report.document(found)
        _tell(report, found)
        for one in found["actions"]:
            report.say(f"    {one['done_at'][:19]} {one['kind']} {one['principal_id']} {one['note'] or ''}")


@application.command()
def assign(
    finding_id: FindingId,
    owner: Annotated[str, typer.Option(metavar="PRINCIPAL", help="Who is to look into it.")],
    note: Annotated[str | None, typer.Option("--note", help="A sentence for whoever reads it later.")] = None,
    idempotency_key: IdempotencyKey = None,
    key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Give a finding an owner."""
    body = {"owner_id": owner} | ({} if note is None else {"note": note})
    _work(finding_id, "assign", body, idempotency_key, key, as_json=as_json)


@application.command("note")
def add_note(
    finding_id: FindingId,
    note: Annotated[str, typer.Option("--note", help="The note.")],
    idempotency_key: IdempotencyKey = None,
    key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Add a note to a finding."""
    _work(finding_id, "notes", {"note": note}, idempotency_key, key, as_json=as_json)


@application.command()
def resolve(
    finding_id: FindingId,
    note: Annotated[str, typer.Option("--note", help="How it ended.")],
    instruction: Annotated[
        str | None, typer.Option(metavar="ID", help="The settled instruction that corrects it, if one does.")
    ] = None,
    idempotency_key: IdempotencyKey = None,
    key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Say how a finding ended."""
    body = {"note": note} | ({} if instruction is None else {"instruction_id": instruction})
    _work(finding_id, "resolve", body, idempotency_key, key, as_json=as_json)


def _work(
    finding_id: str,
    action: str,
    body: dict[str, Any],
    idempotency_key: str | None,
    key: str | None,
    *,
    as_json: bool,
) -> None:
    with reported(as_json=as_json) as report:
        from tallystick.cli.asking import ask
        from tallystick.cli.running import load_settings, require_api_key

        path = f"/v1/payout-findings/{finding_id}/{action}"
        done = ask(load_settings(), require_api_key(key), path, body, idempotency_key=idempotency_key)
        report.document(done)
        _tell(report, done)


def _look(path: str, key: str | None) -> dict[str, Any]:
    from tallystick.cli.asking import look
    from tallystick.cli.running import load_settings, require_api_key

    return look(load_settings(), require_api_key(key), path)


def _tell(report: Report, one: dict[str, Any]) -> None:
    owner = "" if one["owner_id"] is None else f", {one['owner_id']} has it"
    report.say(
        f"{one['id']}: {one['state']} {one['kind']} {one['payout_id'] or one['subject']}{owner}. {one['detail']}"
    )
