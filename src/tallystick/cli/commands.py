"""The commands."""

import json
from pathlib import Path
from typing import Annotated

import typer

from tallystick.core.settings import Settings

__all__ = ["main"]

application = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@application.command()
def serve(
    sandbox: Annotated[bool, typer.Option("--sandbox", help="Migrate, and seed an empty database.")] = False,
) -> None:
    """Serve the API."""
    from tallystick.cli.serving import serve as run  # noqa: PLC0415 Each command loads only what it needs.

    run(Settings.from_environment(), with_sandbox=sandbox)


@application.command()
def openapi(
    write: Annotated[Path | None, typer.Option(help="Write the document to this file.")] = None,
    check: Annotated[
        Path | None, typer.Option(help="Fail if this file differs from the application.")
    ] = None,
) -> None:
    """Print the API's OpenAPI document, write it, or check the one in the repository."""
    from tallystick import api  # noqa: PLC0415

    document = json.dumps(api.build().openapi(), indent=2, ensure_ascii=False) + "\n"
    if write is not None:
        write.write_text(document, encoding="utf-8")
    elif check is not None:
        if not check.exists() or check.read_text(encoding="utf-8") != document:
            raise typer.Exit(1)
    else:
        pass


def main() -> None:
    """Run the command line."""
    application()
