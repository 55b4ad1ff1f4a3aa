"""How a command tells what it did: a text for people or one JSON document, an exit code, refusals as `code: detail`.

Results go to standard output; progress, notes and refusals go to standard error, so that output can always be piped.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import Any

import typer

from tallystick.core.errors import DomainError, UnavailableError

__all__ = ["CommandRefusedError", "ExitCode", "Report", "reported"]


class ExitCode(IntEnum):
    """What scripts can rely on; 2 is what a wrong option or argument ends with."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    MISCONFIGURED = 3
    UNAVAILABLE = 4
    # As shells tell that a command was ended by SIGINT.
    INTERRUPTED = 130


class CommandRefusedError(Exception):
    """A command can't do what it was asked; `code` is stable, `detail` is one sentence for people."""

    def __init__(
        self, code: str, detail: str, exit_code: ExitCode = ExitCode.REFUSED, **members: object
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.exit_code = exit_code
        self.members = members


class Report:
    """Where one command writes. With `as_json` the texts for people are left out and the document is printed."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.exit_code: int = ExitCode.DONE
        self._document: object = None
        self._ended = False

    def document(self, document: object) -> None:
        """Keep what `--json` prints when the command ends."""
        self._document = document

    def say(self, text: str) -> None:
        """Print a result for people."""
        if not self.as_json:
            typer.echo(text)

    def note(self, text: str) -> None:
        """Tell something that is no result, such as what takes so long."""
        typer.echo(text, err=True)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print rows for people; None is shown as nothing, and no cell is ever cut."""
        if self.as_json:
            return
        from rich.console import Console  # noqa: PLC0415 Only commands that show a table wait for it.
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        # Whatever isn't a terminal has lines as long as they need to be.
        console = Console(width=None if sys.stdout.isatty() else 1_000, highlight=False)
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in columns:
            table.add_column(name, overflow="fold")
        for row in rows:
            table.add_row(*[Text("" if cell is None else str(cell)) for cell in row])
        console.print(table)

    def end(self) -> None:
        """Print the document once, if that is what was asked for; a command that goes on may do so early."""
        if self.as_json and not self._ended:
            typer.echo(json.dumps(self._document, indent=2, ensure_ascii=False))
        self._ended = True


@contextmanager
def reported(*, as_json: bool) -> Iterator[Report]:
    """Yield the report of one command; at its end leave with the right exit code and never with a traceback.

    What nobody expected is a fault of ours, though: that does end in a traceback, for it must be mended.
    """
    report = Report(as_json=as_json)
    try:
        yield report
    except Exception as error:
        failure = _explained(error)
        if failure is None:
            raise
        typer.echo(f"{failure.code}: {failure.detail}", err=True)
        report.document({"code": failure.code, "detail": failure.detail, **failure.members})
        report.exit_code = failure.exit_code
    report.end()
    if report.exit_code != ExitCode.DONE:
        raise typer.Exit(report.exit_code)


def _explained(error: Exception) -> CommandRefusedError | None:
    if isinstance(error, CommandRefusedError):
        return error
    if isinstance(error, DomainError):
        exit_code = ExitCode.UNAVAILABLE if isinstance(error, UnavailableError) else ExitCode.REFUSED
        members: Mapping[str, Any] = error.members
        return CommandRefusedError(error.code, error.detail, exit_code, **members)
    from tallystick.cli.foreign_errors import explained  # noqa: PLC0415 It knows libraries that few commands load.

    return explained(error)
