"""`tallystick payouts`, `payout-file` and `payout-status`: what the routes of payouts do, with all their checks."""

# ruff: noqa: PLC0415 Each command loads only what it needs.

from pathlib import Path
from typing import Annotated, Any

import typer

from tallystick.cli.options import ApiKey, AsJson, Reason
from tallystick.cli.report import reported

__all__ = ["files", "payouts", "take_in_status"]

payouts = typer.Typer(no_args_is_help=True, help="Tokens redeemed to accounts at other banks.")
files = typer.Typer(no_args_is_help=True, help="The files by which the bank is told to pay.")

PayoutId = Annotated[str, typer.Argument(metavar="PAYOUT", help="The payout's id.")]
FileId = Annotated[str, typer.Argument(metavar="FILE", help="The file's id.")]
TokenClass = Annotated[str, typer.Option("--token-class", metavar="ID", help="Whose payouts.")]
IdempotencyKey = Annotated[
    str | None,
    typer.Option("--idempotency-key", help="The same key again does nothing twice; a new one unless given."),
]


@payouts.command("list")
def list_payouts(
    state: Annotated[
        str | None, typer.Option(help="accepted, settled, rejected, cancelled, returned, given_back, …")
    ] = None,
    cursor: Annotated[str, typer.Option(metavar="PAYOUT", help="Go on behind this payout.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1_000)] = 100,
    key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """List payouts, oldest first."""
    with reported(as_json=as_json) as report:
        found = _look(_path("/v1/payouts", state=state, cursor=cursor or None, limit=str(limit)), key)
        report.document(found)
        report.table(
            ["id", "state", "amount", "beneficiary", "file", "bank says"],
            [
                [
                    one["id"],
                    one["state"],
                    f"{one['currency']} {one['amount']}",
                    one["beneficiary"]["name"],
                    one["payout_file_id"] or "",
                    one["bank_status"] or "",
                ]
                for one in found["data"]
            ],
        )


@payouts.command("ask")
def ask_for_payout(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="The request, as the API reads it."),
    ],
    idempotency_key: IdempotencyKey = None,
    key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Pay out to an account at another bank, by a JSON file with account, amount and beneficiary."""
    with reported(as_json=as_json) as report:
        from tallystick.core.strict_json import parse_json

        content = file.read_bytes()
        body = parse_json(content, size_max_bytes=len(content) + 1)
        done = _ask("/v1/payouts", body if isinstance(body, dict) else {}, idempotency_key, key)
        report.document(done)
        report.say(f"{done['id']}: {done['state']}, {done['currency']} {done['amount']}, UETR {done['uetr']}")


@payouts.command()
def show(payout_id: PayoutId, key: ApiKey = None, as_json: AsJson = False) -> None:
    """Show one payout with its history."""
    with reported(as_json=as_json) as report:
        found = _look(f"/v1/payouts/{payout_id}", key)
        report.document(found)
        report.say(f"{found['id']}: {found['state']}, {found['currency']} {found['amount']}, {found['uetr']}")
        for one in found["history"]:
            code = one.get("reason_code") or ""
            report.say(f"    {one['at'][:19]} {one['what']} {one.get('status') or ''} {code}".rstrip())


@payouts.command()
def cancel(
    payout_id: PayoutId,
    reason: Reason,
    idempotency_key: IdempotencyKey = None,
    key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Take a payout back that is in no file yet."""
    with reported(as_json=as_json) as report:
        done = _ask(f"/v1/payouts/{payout_id}/cancel", {"reason": reason}, idempotency_key, key)
        report.document(done)
        report.say(f"{payout_id} is cancelled; {done['currency']} {done['amount']} are available again.")


@files.command("make")
def make_file(  # noqa: PLR0917 Typer passes them by name.
    token_class: TokenClass,
    file_format: Annotated[
        str, typer.Option("--format", help="pain.001.001.09 or pacs.008.001.08.")
    ] = "pain.001.001.09",
    execution_date: Annotated[
        str | None, typer.Option(metavar="DAY", help="When the bank shall pay; today unless given.")
    ] = None,
    reason: Annotated[str | None, typer.Option(help="What whoever approves should know.")] = None,
    idempotency_key: IdempotencyKey = None,
    key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Ask for a file of all payouts that wait; another person approves, and the file is made."""
    with reported(as_json=as_json) as report:
        from tallystick.cli.asking import tell_change

        asked = {
            "token_class_id": token_class,
            "format": file_format,
            "execution_date": execution_date,
            "reason": reason,
        }
        body = {name: value for name, value in asked.items() if value is not None}
        tell_change(report, _ask("/v1/payout-files", body, idempotency_key, key))


@files.command("list")
def list_files(
    token_class: Annotated[str | None, typer.Option("--token-class", metavar="ID")] = None,
    cursor: Annotated[str, typer.Option(metavar="FILE", help="Go on behind this file.")] = "",
    key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """List files in the order in which they were asked for."""
    with reported(as_json=as_json) as report:
        found = _look(_path("/v1/payout-files", token_class_id=token_class, cursor=cursor or None), key)
        report.document(found)
        report.table(
            ["id", "number", "payouts", "sum", "SHA-256"],
            [
                [
                    one["id"],
                    str(one["sequence"]),
                    str(one["payout_count"]),
                    f"{one['currency']} {one['control_sum']}",
                    one["sha256"][:16],
                ]
                for one in found["data"]
            ],
        )


@files.command("save")
def save_file(
    file_id: FileId,
    to: Annotated[Path, typer.Argument(metavar="PATH", help="Where it is written; nothing is overwritten.")],
    key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Write a file's bytes, the same ones however often, and check them against the signed hash."""
    with reported(as_json=as_json) as report:
        import hashlib

        from tallystick.cli.asking import look_at_bytes
        from tallystick.cli.report import CommandRefusedError
        from tallystick.cli.running import load_settings, require_api_key
        from tallystick.core.durable_files import write_durably

        told = _look(f"/v1/payout-files/{file_id}", key)
        content = look_at_bytes(load_settings(), require_api_key(key), f"/v1/payout-files/{file_id}/content")
        if hashlib.sha256(content).hexdigest() != told["sha256"]:
            raise CommandRefusedError("payout_file_differs", "The bytes are not those whose hash was signed.")
        try:
            # A file that was cut off must never lie under the name that is sent to the bank.
            if not to.exists():
                write_durably(to, content)
            elif to.read_bytes() != content:
                raise CommandRefusedError("file_not_written", f"{to}: Another file is there.")
        except OSError as error:
            raise CommandRefusedError("file_not_written", f"{to}: {error.strerror}.") from None
        report.document({"id": file_id, "path": str(to), "sha256": told["sha256"], "bytes": len(content)})
        report.say(f"{to}: {told['payout_count']} payouts, {told['currency']} {told['control_sum']}")


def take_in_status(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="A pain.002 or pacs.002.")
    ],
    key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Take in a bank's status report on payout files; the same one again changes nothing."""
    with reported(as_json=as_json) as report:
        from tallystick.cli.asking import send_xml
        from tallystick.cli.running import load_settings, require_api_key

        done = send_xml(load_settings(), require_api_key(key), "/v1/payout-statuses", file.read_bytes())
        report.document(done)
        known = "" if done["imported"] else ", taken in before"
        report.say(f"{done['message_id']}: {len(done['items'])} payouts{known}")
        for one in done["items"]:
            report.say(f"    {one['payout_id']} {one['status']} {one['reason_code'] or ''}".rstrip())


def _path(path: str, **asked: str | None) -> str:
    from urllib.parse import urlencode

    query = urlencode({name: value for name, value in asked.items() if value is not None})
    return f"{path}?{query}" if query else path


def _ask(path: str, body: dict[str, Any], idempotency_key: str | None, key: str | None) -> dict[str, Any]:
    from tallystick.cli.asking import ask
    from tallystick.cli.running import load_settings, require_api_key

    return ask(load_settings(), require_api_key(key), path, body, idempotency_key=idempotency_key)


def _look(path: str, key: str | None) -> dict[str, Any]:
    from tallystick.cli.asking import look
    from tallystick.cli.running import load_settings, require_api_key

    return look(load_settings(), require_api_key(key), path)
