"""`tallystick liabilities …`: attest what is owed in a token class, so that each holder can check it."""

# ruff: noqa: PLC0415 Each command loads only what it needs.

from typing import Annotated

import typer

from tallystick.cli.options import ApiKey, AsJson
from tallystick.cli.report import reported

__all__ = ["application"]

application = typer.Typer(no_args_is_help=True, help="Proofs of what the bank owes.")

_WHICH_CLASS = "A token class's id, or its currency."


@application.command("attest")
def attest_liabilities(
    token_class: Annotated[str, typer.Option("--token-class", metavar="CLASS", help=_WHICH_CLASS)],
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="TIME", help="A moment with its offset (RFC 3339); now.")
    ] = None,
    idempotency_key: Annotated[
        str | None,
        typer.Option("--idempotency-key", metavar="TEXT", help="The same key attests once, however often."),
    ] = None,
    key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Sign the root over all liabilities of a class into the log, as treasury or as an auditor."""
    with reported(as_json=as_json) as report:
        from tallystick.cli.attesting import attest as run
        from tallystick.cli.running import load_settings

        run(report, load_settings(), key, token_class, as_of=as_of, idempotency_key=idempotency_key)


@application.command("list")
def list_attestations(
    token_class: Annotated[
        str | None, typer.Option("--token-class", metavar="CLASS", help=_WHICH_CLASS)
    ] = None,
    key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """List what was attested, oldest first."""
    with reported(as_json=as_json) as report:
        from tallystick.cli.attesting import list_attestations as run
        from tallystick.cli.running import load_settings

        run(report, load_settings(), key, token_class)
