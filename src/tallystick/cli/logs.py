"""`tallystick log …`: an issuer's tree, for whoever runs the machine; no API key opens this."""

# ruff: noqa: PLC0415 Each command loads only what it needs.

import typer

from tallystick.cli.options import AsJson, IssuerId
from tallystick.cli.report import ExitCode, reported

__all__ = ["application"]

application = typer.Typer(no_args_is_help=True, help="The Merkle tree over an issuer's events.")


@application.command("verify")
def verify_log(issuer: IssuerId = None, as_json: AsJson = False) -> None:
    """Build the tree again from all events, and check every tile, root and signature; exit code 1 if any is off."""
    with reported(as_json=as_json) as report:
        from tallystick import transparency
        from tallystick.cli.running import chosen_issuer, load_settings, opened_database

        settings = load_settings()
        tiles = transparency.tile_store(settings.log_tile_directory)
        with opened_database(settings) as database, database.read() as connection:
            found = transparency.audit(connection, tiles, chosen_issuer(connection, issuer))
        report.document(
            {
                "object": "log_audit",
                "size": found.size,
                "tiles": found.tile_count,
                "checkpoints": found.checkpoint_count,
                "cosignatures": found.cosignature_count,
                "findings": [finding.text for finding in found.findings],
            }
        )
        report.say(
            f"{found.size} events, {found.tile_count} full tiles, {found.checkpoint_count} checkpoints, "
            f"{found.cosignature_count} cosignatures; {len(found.findings) or 'no'} findings"
        )
        for finding in found.findings:
            report.say(finding.text)
        if found.findings:
            report.exit_code = ExitCode.REFUSED
