"""`tallystick transfer-file`: a file of any length, settled a batch at a time, with a result for every row.

Every row has a key of its own for ever, so that what was settled is never paid twice; what was refused last time is
tried again, and a batch that waits for people is found again (see `asking`).
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tallystick.cli.report import CommandRefusedError, ExitCode, Report
from tallystick.cli.running import require_api_key
from tallystick.cli.transfer_file.asking import ends_of
from tallystick.cli.transfer_file.results import NOT_SENT, NOT_SETTLED, REFUSED, UNKNOWN, Results
from tallystick.cli.transfer_file.rows import BATCH_ROWS_MAX, Row, Survey, batches, read_rows, survey
from tallystick.cli.transfer_file.sending import Sender

__all__ = ["send_file"]

_INTERRUPTED = CommandRefusedError(
    "interrupted",
    "Stopped before the end. Send the same file again: it goes on where it stopped, and nothing is paid twice.",
    ExitCode.INTERRUPTED,
)


def send_file(
    report: Report,
    file: Path,
    *,
    url: str,
    api_key: str | None,
    results: Path | None,
    atomic: bool,
    ask_again: bool = False,
    connect: Callable[..., Sender] = Sender,
) -> None:
    """Send every row of `file` and write what became of it to `results`; the exit code is 0 if all settled.

    Whoever stops it with SIGINT is told how far it came: `interrupted`.

    With `ask_again` people are asked anew for batches that they rejected or let expire.

    Raises CommandRefusedError before anything is sent: `file_malformed`, `atomic_file_too_long`, `api_key_missing`,
    `service_unavailable`.
    """
    presented = require_api_key(api_key)
    surveyed = survey(file)
    if atomic and surveyed.rows > BATCH_ROWS_MAX:
        raise CommandRefusedError(
            "atomic_file_too_long",
            f"All or none is possible for up to {BATCH_ROWS_MAX:,} rows, and the file has {surveyed.rows:,}: part "
            "it, or leave --atomic out, and every row settles on its own.",
        )
    results = results or file.with_name(file.name + ".results.csv")
    send = _send_as_one if atomic else _send_in_batches
    with connect(url, presented, note=report.note) as sender:
        sender.require_service()
        with results.open("w", encoding="utf-8", newline="") as output:
            written = Results(output, surveyed.rows)
            try:
                failure = send(sender, file, surveyed, written, ask_again=ask_again)
            except KeyboardInterrupt:
                failure = _INTERRUPTED
    _tell(report, file, surveyed, written, results, failure)


def _send_in_batches(
    sender: Sender, file: Path, surveyed: Survey, written: Results, *, ask_again: bool
) -> CommandRefusedError | None:
    """Send batch after batch; return what ended it before the last one, if anything did."""
    with _progress(surveyed.rows, written) as advance:
        for batch in batches(read_rows(file, surveyed.file_hash)):
            failure = _send_batch(sender, batch, written, ask_again=ask_again)
            if failure is not None:
                return failure
            advance(len(batch))
    return None


def _send_batch(
    sender: Sender, batch: Sequence[Row], written: Results, *, ask_again: bool, atomic: bool = False
) -> CommandRefusedError | None:
    written.begin(len(batch))
    good = [row for row in batch if row.refusal is None]
    failure = None
    ends: dict[int, dict[str, Any]] = {}
    otherwise, found = NOT_SETTLED if atomic else UNKNOWN, {}
    try:
        ends = ends_of(sender, good, atomic=atomic, ask_again=ask_again)
    except CommandRefusedError as error:
        failure = error
        otherwise = UNKNOWN if error.exit_code == ExitCode.UNAVAILABLE else NOT_SENT
        found = {"code": error.code, "detail": error.detail}
    for row in batch:
        if row.refusal is not None:
            written.add_refused(row)
        elif row.number in ends:
            written.add(row, ends[row.number]["status"], ends[row.number])
        else:
            written.add(row, otherwise, found)
    written.flush()
    return failure


def _send_as_one(
    sender: Sender, file: Path, surveyed: Survey, written: Results, *, ask_again: bool
) -> CommandRefusedError | None:
    """Send the whole file as one atomic batch, unless a row of it can't be a transfer."""
    rows = list(read_rows(file, surveyed.file_hash))
    if all(row.refusal is None for row in rows):
        return _send_batch(sender, rows, written, ask_again=ask_again, atomic=True)
    written.begin(len(rows))
    for row in rows:
        if row.refusal is None:
            written.add(row, NOT_SETTLED, {})
        else:
            written.add_refused(row)
    return None


@contextmanager
def _progress(rows: int, written: Results) -> Iterator[Callable[[int], None]]:
    """Show on a terminal's standard error how far it is; yield what is to be called after each batch."""
    columns = (
        TextColumn("transfers"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[refused]} refused"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("transfers", total=rows, refused=0)
        yield lambda done: progress.update(task, advance=done, refused=written.counts[REFUSED])


def _tell(
    report: Report,
    file: Path,
    surveyed: Survey,
    written: Results,
    results: Path,
    failure: CommandRefusedError | None,
) -> None:
    summary = written.summary()
    document = {
        "object": "transfer_file",
        "file": str(file),
        "file_sha256": surveyed.file_hash,
        **summary,
        "results": str(results),
    }
    report.say(
        f"{summary['settled']:,} of {summary['rows']:,} transfers settled. Each row's result: {results}"
    )
    for code, count in summary["codes"].items():
        report.say(f"{count:>10,}  {code}")
    if summary["unknown"] or summary["not_sent"]:
        report.say(f"{summary['unknown']:>10,}  unknown: no answer came. {summary['not_sent']:,} not sent.")
    for approval_id, count in summary["approvals"].items():
        report.say(f"{count:>10,}  wait for people of the bank: {approval_id}")
    if summary["approvals"]:
        report.say(
            "Send the same file again later to learn what they decided; nothing is paid or asked for twice."
        )
    if summary["rejected"] or summary["expired"]:
        report.say("What people rejected, or let expire, is put before them again with --ask-again.")
    if failure is not None:
        report.note(f"{failure.code}: {failure.detail}")
        document |= {"code": failure.code, "detail": failure.detail}
        report.exit_code = failure.exit_code
    elif summary["settled"] < summary["rows"]:
        report.exit_code = ExitCode.REFUSED
    report.document(document)
