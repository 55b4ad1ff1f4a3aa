"""`tallystick screening …`: the same import and the same run as `/v1/screening-lists` and `/v1/screenings`."""

# ruff: noqa: PLC0415 Each command loads only what it needs.

from pathlib import Path
from typing import Annotated

import typer

from tallystick.cli.options import ApiKey, AsJson
from tallystick.cli.report import reported

__all__ = ["application"]

application = typer.Typer(
    no_args_is_help=True, help="Lists of whom the bank must not serve, and the holders held against them."
)


@application.command("import")
def import_screening_list(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="FollowTheMoney entities: JSON Lines, or one JSON array.")
    ],
    name: Annotated[str, typer.Option(help="Which list this is a version of.")],
    version: Annotated[str, typer.Option(help="What its publisher calls this version.")],
    smaller_accepted: Annotated[
        bool,
        typer.Option(
            "--smaller-accepted", help="Take it with less than half the entities of the version before."
        ),
    ] = False,
    key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Import a list version, as an operator; it is in force at once. Then run `tallystick screening rescreen`."""
    with reported(as_json=as_json) as report:
        from tallystick.cli.running import load_settings
        from tallystick.cli.screening_runs import import_list as run

        run(
            report,
            load_settings(),
            key,
            file,
            name=name,
            version=version,
            smaller_accepted=smaller_accepted,
        )


@application.command("rescreen")
def rescreen(
    page_size: Annotated[
        int, typer.Option(min=1, max=1_000, help="How many holders are screened in one transaction.")
    ] = 200,
    after: Annotated[
        str, typer.Option(metavar="HOLDER", help="Go on behind this holder; what was done is skipped anyway.")
    ] = "",
    key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Screen every holder that the lists in force were not applied to yet, as an operator."""
    with reported(as_json=as_json) as report:
        from tallystick.cli.running import load_settings
        from tallystick.cli.screening_runs import rescreen as run

        run(report, load_settings(), key, page_size=page_size, after=after)
