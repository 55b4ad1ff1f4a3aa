"""`tallystick issuers …`: the banks of this installation. For whoever runs the machine; no API key opens this."""

# ruff: noqa: PLC0415 Each command loads only what it needs.

from pathlib import Path
from typing import Annotated

import typer

from tallystick.cli.options import AsJson
from tallystick.cli.report import reported

__all__ = ["application"]

application = typer.Typer(no_args_is_help=True, help="The banks that issue here.")


@application.command("list")
def list_issuers(as_json: AsJson = False) -> None:
    """List the issuers' ids."""
    with reported(as_json=as_json) as report:
        from tallystick import participants
        from tallystick.cli.running import load_settings, opened_database

        with opened_database(load_settings()) as database, database.read() as connection:
            known = participants.issuer_ids(connection)
        report.document({"object": "list", "data": [{"id": one, "object": "issuer"} for one in known]})
        report.table(["issuer"], [[one] for one in known])


@application.command("open")
def open_issuer(
    legal_name: Annotated[str, typer.Option(help="The bank's legal name.")],
    lei: Annotated[str, typer.Option(help="Legal entity identifier, ISO 17442.")],
    bic: Annotated[str, typer.Option(help="Business identifier code, ISO 9362.")],
    jurisdiction: Annotated[str, typer.Option(help="Country code, ISO 3166.")],
    root: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Make the root key here too and activate the keys at once. Take the folder off this machine then.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Take up a bank: begin its log, and prepare the keys that will sign its events and its checkpoints."""
    with reported(as_json=as_json) as report:
        from sqlalchemy import Connection

        from tallystick import signing, tokens
        from tallystick.cli.asking import settler_of
        from tallystick.cli.roots import root_directory
        from tallystick.cli.running import load_settings, opened_database
        from tallystick.core.clock import SystemClock
        from tallystick.participants import Issuer
        from tallystick.signing import KeyDirectory, KeyUse, SigningKey

        settings = load_settings()
        key_directory = KeyDirectory(settings.key_directory, settings.key_passphrase)
        clock = SystemClock()

        def work(connection: Connection) -> tuple[Issuer, SigningKey]:
            bank = tokens.open_issuer(
                connection, clock, legal_name=legal_name, lei=lei, bic=bic, jurisdiction=jurisdiction
            )
            if root is not None:
                return bank, tokens.found_log(
                    connection,
                    settler_of(settings),
                    bank.issuer_id,
                    key_directory,
                    root_directory(root),
                    origin=f"{settings.log_origin_or_unnamed}/{bank.issuer_id}",
                )
            signing.prepare_key(connection, clock, bank.issuer_id, key_directory, use=KeyUse.CHECKPOINT)
            return bank, signing.prepare_key(connection, clock, bank.issuer_id, key_directory)

        with opened_database(settings) as database:
            settings.state_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            bank, key = database.run(work)
        report.document({"object": "issuer", "id": bank.issuer_id, "signing_key_id": key.id})
        if key.activated_at is None:
            report.say(
                f"{bank.legal_name} is {bank.issuer_id}. Key {key.id} is prepared: see tallystick keys root."
            )
        else:
            report.say(f"{bank.legal_name} is {bank.issuer_id}; its log is signed by key {key.id}.")
