"""Options that several commands share."""

from typing import Annotated

import typer

__all__ = ["ApiKey", "AsJson", "HandOff", "IssuerId", "Reason", "ReasonToAsk", "ServiceUrl"]


AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]
ApiKey = Annotated[
    str | None,
    typer.Option(
        "--key",
        envvar="TALLYSTICK_API_KEY",
        show_default=False,
        help="API key of who acts. Better in the environment: other users of a machine see command lines.",
    ),
]
HandOff = Annotated[
    str | None,
    typer.Option(metavar="ID", help="With gl_csv and gl_jsonl: a business date's, as it was handed off."),
]
IssuerId = Annotated[
    str | None, typer.Option("--issuer", metavar="ID", help="The issuer, where there is more than one.")
]
ServiceUrl = Annotated[
    str, typer.Option("--url", envvar="TALLYSTICK_URL", help="Where the service runs.", metavar="URL")
]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is kept and shown.")]
ReasonToAsk = Annotated[
    str | None, typer.Option("--reason", help="Why; needed with --key, for whoever approves.")
]
