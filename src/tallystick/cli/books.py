"""`tallystick books …`: balances, supply and trial balances, by what was known and by value date, signed on request."""

# ruff: noqa: PLC0415 Each command loads only what it needs.

from pathlib import Path
from typing import Annotated

import typer

from tallystick.cli.options import ApiKey, AsJson
from tallystick.cli.report import reported

__all__ = ["application"]

application = typer.Typer(no_args_is_help=True, help="The books as of any moment and any value date.")

_AsOf = Annotated[
    str | None,
    typer.Option("--as-of", metavar="TIME", help="What was known then: a moment with its offset; now."),
]
_EffectiveOn = Annotated[
    str | None,
    typer.Option(
        "--effective-on", metavar="DAY", help="What counts by the end of this day (value date); all."
    ),
]
_Signed = Annotated[bool, typer.Option("--signed", help="Let the issuer's key sign the figures.")]
_Output = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write the answer to this file, as the API gives it."),
]
_TokenClass = Annotated[
    str, typer.Option("--token-class", metavar="CLASS", help="A token class's id, or its currency.")
]


@application.command("balance")
def show_balance(  # noqa: PLR0917 Typer passes them by name.
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="A holder's account, by its id.")],
    as_of: _AsOf = None,
    effective_on: _EffectiveOn = None,
    signed: _Signed = False,
    output: _Output = None,
    key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Tell what an account holds, or held."""
    with reported(as_json=as_json) as report:
        from tallystick.cli.running import load_settings
        from tallystick.cli.telling_books import asked_books, tell_balance

        tell_balance(report, load_settings(), key, account, asked_books(as_of, effective_on, signed), output)


@application.command("supply")
def show_supply(  # noqa: PLR0917 Typer passes them by name.
    token_class: _TokenClass,
    as_of: _AsOf = None,
    effective_on: _EffectiveOn = None,
    signed: _Signed = False,
    output: _Output = None,
    key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Tell all tokens of a class."""
    with reported(as_json=as_json) as report:
        from tallystick.cli.running import load_settings
        from tallystick.cli.telling_books import asked_books, tell_supply

        tell_supply(
            report, load_settings(), key, token_class, asked_books(as_of, effective_on, signed), output
        )


@application.command("trial-balance")
def show_trial_balance(  # noqa: PLR0917 Typer passes them by name.
    token_class: _TokenClass,
    as_of: _AsOf = None,
    effective_on: _EffectiveOn = None,
    signed: _Signed = False,
    output: _Output = None,
    key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Tell every balance of a class. With --output it takes constant memory, however long it is."""
    with reported(as_json=as_json) as report:
        from tallystick.cli.running import load_settings
        from tallystick.cli.telling_books import asked_books, tell_trial_balance

        asked = asked_books(as_of, effective_on, signed)
        tell_trial_balance(report, load_settings(), key, token_class, asked, output)
