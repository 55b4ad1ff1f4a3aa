"""`tallystick witness …`: a witness of somebody's log, with its own key and files. It needs no database and no bank."""

# ruff: noqa: PLC0415 Each command loads only what it needs.

from pathlib import Path
from typing import Annotated

import typer

from tallystick.cli.options import AsJson
from tallystick.cli.report import CommandRefusedError, ExitCode, reported

__all__ = ["application"]

application = typer.Typer(no_args_is_help=True, help="Watch a log for others, and cosign its checkpoints.")

Directory = Annotated[
    Path, typer.Option("--directory", metavar="DIR", help="The witness's key, logs and records.")
]
Passphrase = Annotated[
    str | None,
    typer.Option(
        envvar="TALLYSTICK_WITNESS_PASSPHRASE", show_default=False, help="Encrypts the key at rest."
    ),
]


@application.command("create")
def create_witness(
    name: Annotated[
        str,
        typer.Option(metavar="NAME", help="A schema-less URL of the operator's, such as witness.example/w1."),
    ],
    directory: Directory,
    passphrase: Passphrase = None,
    as_json: AsJson = False,
) -> None:
    """Make a witness's directory and key, and print the verifier key to give to logs."""
    with reported(as_json=as_json) as report:
        from tallystick import witness

        try:
            key = witness.create_witness(directory, name, passphrase)
        except witness.WitnessMisconfiguredError as error:
            raise CommandRefusedError("witness_misconfigured", str(error), ExitCode.MISCONFIGURED) from None
        report.document({"object": "witness", "name": key.name, "verifier_key": str(key)})
        report.say(str(key))
        report.note(
            f"Put the logs' verifier keys into {directory / 'logs.txt'}, one a line, then: witness serve"
        )


@application.command("serve")
def serve_witness(
    directory: Directory,
    host: Annotated[str, typer.Option(help="Address to listen on.", metavar="ADDRESS")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8100,
    passphrase: Passphrase = None,
    as_json: AsJson = False,
) -> None:
    """Cosign checkpoints (C2SP tlog-witness) until SIGINT or SIGTERM."""
    with reported(as_json=as_json) as report:
        from tallystick import witness
        from tallystick.cli.serving import serve_alone
        from tallystick.core.clock import SystemClock

        try:
            with witness.open_records(directory, passphrase) as records:

                def announce(url: str) -> None:
                    report.document({"object": "witness", "url": url, "verifier_key": str(records.key)})
                    report.end()
                    report.say(f"{records.key.name} witnesses on {url}")

                application = witness.build_witness(witness.Witness(records, SystemClock()))
                serve_alone(application, host, port, announce)
        except witness.WitnessMisconfiguredError as error:
            raise CommandRefusedError("witness_misconfigured", str(error), ExitCode.MISCONFIGURED) from None
