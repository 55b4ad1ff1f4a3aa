"""The commands and their options. Each loads what it needs when it runs, so that `--help` answers at once.

What scripts can rely on: the exit codes of `report.ExitCode`, one JSON document on standard output with `--json`, and
`code: detail` on standard error for a refusal.
"""

# ruff: noqa: PLC0415 Each command loads only what it needs.

from pathlib import Path
from typing import Annotated

import typer

from tallystick import __version__
from tallystick.cli import (
    api_keys,
    books,
    breaks,
    business_dates,
    clients,
    issuers,
    keys,
    liabilities,
    logs,
    payout_findings,
    payouts,
    principals,
    screening,
    witnesses,
)
from tallystick.cli.options import ApiKey, AsJson, HandOff, IssuerId, ServiceUrl
from tallystick.cli.report import reported
from tallystick.core.interpreter import collect_seldom

__all__ = ["application", "main"]

application = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
application.add_typer(issuers.application, name="issuers")
application.add_typer(principals.application, name="principals")
application.add_typer(api_keys.application, name="api-keys")
application.add_typer(clients.application, name="clients")
application.add_typer(business_dates.application, name="business-dates")
application.add_typer(keys.application, name="keys")
application.add_typer(screening.application, name="screening")
application.add_typer(breaks.application, name="breaks")
application.add_typer(payouts.payouts, name="payouts")
application.add_typer(payouts.files, name="payout-file")
application.add_typer(payout_findings.application, name="payout-finding")
application.command("payout-status")(payouts.take_in_status)
application.add_typer(logs.application, name="log")
application.add_typer(books.application, name="books")
application.add_typer(liabilities.application, name="liabilities")
application.add_typer(witnesses.application, name="witness")

_EXPORT_FORMATS = "csv, jsonl, parquet, xlsx, pdf, camt053, gl_csv, gl_jsonl, hledger, beancount or evidence."


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"tallystick {__version__}")
        raise typer.Exit


@application.callback()
def start(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Deposit tokens: issue, move, redeem and prove them. Settings are TALLYSTICK_… environment variables."""


@application.command()
def serve(
    sandbox: Annotated[bool, typer.Option("--sandbox", help="Migrate, and seed an empty database.")] = False,
    host: Annotated[str | None, typer.Option(help="Address to listen on.", metavar="ADDRESS")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that serve.")] = None,
    as_json: AsJson = False,
) -> None:
    """Serve the API until SIGINT or SIGTERM."""
    with reported(as_json=as_json) as report:
        from tallystick.cli.running import load_settings
        from tallystick.cli.serving import serve as run

        run(report, load_settings(host=host, port=port, workers=workers), with_sandbox=sandbox)


@application.command()
def worker(as_json: AsJson = False) -> None:
    """Build the log's tree, gather cosignatures, reconcile on schedule, close what expired; until SIGINT or SIGTERM."""
    with reported(as_json=as_json) as report:
        from tallystick.cli.running import load_settings
        from tallystick.cli.working import work

        work(report, load_settings())


@application.command()
def migrate(as_json: AsJson = False) -> None:
    """Bring the database to this release's schema, as the tables' owner."""
    with reported(as_json=as_json) as report:
        from tallystick.cli.migrating import migrate as run
        from tallystick.cli.running import load_settings

        run(report, load_settings())


@application.command("seed-sandbox")
def seed_sandbox(as_json: AsJson = False) -> None:
    """Put the sandbox's bank into an empty database; its API keys go into a file that only you can read."""
    with reported(as_json=as_json) as report:
        from tallystick.cli.running import load_settings
        from tallystick.cli.seeding import seed_sandbox as run

        run(report, load_settings())


@application.command("import-statement")
def import_statement(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="camt.053, camt.052, camt.054, MT940, MT942; oldest first."),
    ],
    mapping: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="Read the files as CSV, by this mapping.")
    ] = None,
    key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Import bank statements, as a treasury maker. What was imported before changes nothing."""
    with reported(as_json=as_json) as report:
        from tallystick.cli.importing import import_statements as run
        from tallystick.cli.running import load_settings

        run(report, load_settings(), key, files, mapping_file=mapping)


@application.command("abandon-statement")
def abandon_statement(
    statement_id: Annotated[
        str, typer.Argument(metavar="STATEMENT", help="The id of a half-read statement.")
    ],
    reason: Annotated[str, typer.Option(help="Why nothing more of it shall come.")],
    key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Give up on a statement whose import was cut short, as a treasury maker; what came of it stands."""
    with reported(as_json=as_json) as report:
        from tallystick.cli.importing import abandon_statement as run
        from tallystick.cli.running import load_settings

        run(report, load_settings(), key, statement_id, reason=reason)


@application.command()
def match(
    token_class: Annotated[
        str | None,
        typer.Option("--token-class", metavar="CLASS", help="A token class's id, or its currency."),
    ] = None,
    every_class: Annotated[bool, typer.Option("--all", help="Every token class of the issuer.")] = False,
    key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Match the bank's entries with the books' instructions, as is done after every import."""
    with reported(as_json=as_json) as report:
        from tallystick.cli.matching import match as run
        from tallystick.cli.running import load_settings

        run(report, load_settings(), key, token_class=token_class, every_class=every_class)


@application.command("watch-statements")
def watch_statements(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where banks' files are dropped.")],
    mapping: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="Read .csv files by this mapping.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Import what lies there and stop.")] = False,
    interval_seconds: Annotated[
        float, typer.Option("--interval", min=0.1, max=3600, help="Seconds between two looks.")
    ] = 5.0,
    key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Import every file that is put into a folder, as a treasury maker, and move it to done/ or refused/.

    Put a file there by renaming it once it is whole: what is there is read.
    """
    with reported(as_json=as_json) as report:
        from tallystick.cli.running import load_settings
        from tallystick.cli.watching import watch_statements as run

        run(
            report,
            load_settings(),
            key,
            folder,
            mapping_file=mapping,
            once=once,
            interval_seconds=interval_seconds,
        )


@application.command()
def reconcile(  # noqa: PLR0917 Typer passes them by name.
    token_class: Annotated[
        str | None,
        typer.Option("--token-class", metavar="CLASS", help="A token class's id, or its currency."),
    ] = None,
    every_class: Annotated[bool, typer.Option("--all", help="Every token class of the issuer.")] = False,
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="TIME", help="A moment with its offset (RFC 3339).")
    ] = None,
    bank_as_of: Annotated[
        str | None,
        typer.Option("--bank-as-of", metavar="TIME", help="Leave out bank data that tell of a later moment."),
    ] = None,
    verify_all: Annotated[
        bool, typer.Option("--verify-all", help="Verify what an earlier run has verified once more.")
    ] = False,
    key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Hold events, balances, books and bank statement against each other; exit code 1 if they differ."""
    with reported(as_json=as_json) as report:
        from tallystick.cli.reconciling import reconcile as run
        from tallystick.cli.running import load_settings

        run(
            report,
            load_settings(),
            key,
            token_class=token_class,
            every_class=every_class,
            as_of=as_of,
            bank_as_of=bank_as_of,
            verify_all=verify_all,
        )


@application.command()
def export(  # noqa: PLR0913, PLR0917 Typer passes them by name.
    booked_after: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="Events booked after this moment; from the beginning."),
    ] = None,
    booked_until: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Events booked up to this moment; until now.")
    ] = None,
    export_format: Annotated[str, typer.Option("--format", metavar="FORMAT", help=_EXPORT_FORMATS)] = "csv",
    token_class_id: Annotated[
        str | None, typer.Option("--token-class", metavar="ID", help="One token class; all unless given.")
    ] = None,
    holder_id: Annotated[
        str | None, typer.Option("--holder", metavar="ID", help="An evidence pack for one holder.")
    ] = None,
    account_id: Annotated[
        str | None, typer.Option("--account", metavar="ID", help="Whose statement: with pdf and camt053.")
    ] = None,
    business_date: Annotated[
        str | None,
        typer.Option(metavar="DATE", help="A whole day in UTC, in place of --from and --to."),
    ] = None,
    business_date_until: Annotated[
        str | None, typer.Option(metavar="DATE", help="The last of several whole days.")
    ] = None,
    hand_off: HandOff = None,
    detail: Annotated[
        str | None, typer.Option(metavar="DETAIL", help="With gl_csv and gl_jsonl: lines or codes.")
    ] = None,
    sample_size: Annotated[
        int | None, typer.Option(metavar="NUMBER", help="Draw a sample of so many entries, with --seed.")
    ] = None,
    seed: Annotated[str | None, typer.Option(metavar="TEXT", help="What the sample is drawn with.")] = None,
    sample_method: Annotated[
        str | None, typer.Option(metavar="METHOD", help="random, or monetary_unit (with --token-class).")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where the export's folder goes; the state directory's exports."),
    ] = None,
    key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Write the books and the log of a period to files, with a manifest of their SHA-256 hashes."""
    with reported(as_json=as_json) as report:
        from tallystick.cli.exporting import asked_options
        from tallystick.cli.exporting import export as run
        from tallystick.cli.running import load_settings

        run(
            report,
            load_settings(),
            key,
            booked_after=booked_after,
            booked_until=booked_until,
            export_format=export_format,
            token_class_id=token_class_id,
            options=asked_options(
                holder_id=holder_id,
                hand_off_id=hand_off,
                account_id=account_id,
                business_date=business_date,
                business_date_until=business_date_until,
                detail=detail,
                sample_size=sample_size,
                seed=seed,
                sample_method=sample_method,
            ),
            output=output,
        )


@application.command("check-integrity")
def check_integrity(
    issuer: IssuerId = None,
    table: Annotated[
        list[str] | None, typer.Option("--table", metavar="NAME", help="Only this table; may be repeated.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Hold the database against the log and its seals, and name each difference.

    Exit code 1: something differs from what was signed; 5: from what was sealed; 6: nothing differs and nothing was
    ever sealed.
    """
    with reported(as_json=as_json) as report:
        from tallystick.cli.integrity import check_integrity as run
        from tallystick.cli.running import load_settings

        run(report, load_settings(), issuer, table)


@application.command("seal-records")
def seal_records(issuer: IssuerId = None, as_json: AsJson = False) -> None:
    """Check the database, then sign one hash over every record that is new or has changed into the log."""
    with reported(as_json=as_json) as report:
        from tallystick.cli.integrity import seal_records as run
        from tallystick.cli.running import load_settings

        run(report, load_settings(), issuer)


@application.command("audit-trail")
def audit_trail(  # noqa: PLR0917 Typer passes them by name.
    after: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="Recorded after this moment; from the beginning."),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Recorded up to this moment; until now.")
    ] = None,
    principal: Annotated[str | None, typer.Option(metavar="ID", help="Who attempted it.")] = None,
    decision: Annotated[
        str | None,
        typer.Option(metavar="WORD", help="settled, pending, partial, replayed, refused, read or failed."),
    ] = None,
    operation: Annotated[
        str | None, typer.Option(metavar="NAME", help="What was attempted, such as transfer.")
    ] = None,
    code: Annotated[str | None, typer.Option(help="The code of a refusal.")] = None,
    subject: Annotated[str | None, typer.Option(metavar="ID", help="What it was about.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many attempts at most.")] = 1_000,
    check: Annotated[
        bool, typer.Option("--check", help="Check the whole chain first; exit code 1 if it is broken.")
    ] = False,
    key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Tell who attempted what, when and from where, and what became of it."""
    with reported(as_json=as_json) as report:
        from tallystick.cli.auditing import audit_trail as run
        from tallystick.cli.running import load_settings

        asked = (principal, decision, operation, code, subject)
        run(report, load_settings(), key, after=after, until=until, asked=asked, limit=limit, check=check)


@application.command("transfer-file")
def transfer_file(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE.csv",
            help="Columns: payer_account_id, payee_account_id, amount, currency; optional: reference, "
            "idempotency_key.",
        ),
    ],
    url: ServiceUrl = "http://127.0.0.1:8000",
    key: ApiKey = None,
    results: Annotated[
        Path | None, typer.Option(help="Where each row's result goes; FILE.results.csv unless given.")
    ] = None,
    atomic: Annotated[
        bool, typer.Option("--atomic", help="All rows or none; for files of up to 1,000 rows.")
    ] = False,
    *,
    ask_again: Annotated[
        bool, typer.Option("--ask-again", help="Put before people again what they rejected or let expire.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Send a file of transfers to a running service, a thousand at a time. To send it again pays nothing twice.

    A row without an idempotency_key of its own has one from the file's content and the row's place in it: the same
    file resumes where it stopped; a file that was changed is another file.
    """
    with reported(as_json=as_json) as report:
        from tallystick.cli.transfer_file import send_file as run

        run(report, file, url=url, api_key=key, results=results, atomic=atomic, ask_again=ask_again)


@application.command()
def openapi(
    write: Annotated[Path | None, typer.Option(help="Write the document to this file.")] = None,
    check: Annotated[
        Path | None, typer.Option(help="Fail if this file differs from the application.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print the API's OpenAPI document, write it, or check the one in the repository."""
    with reported(as_json=as_json) as report:
        from tallystick.cli.documenting import openapi as run

        run(report, write=write, check=check)


@application.command()
def demo(
    url: Annotated[
        str | None, typer.Option(help="A running sandbox; without it the demo starts its own.", metavar="URL")
    ] = None,
    keys_file: Annotated[
        Path | None, typer.Option(help="The sandbox.json of that service, for its API keys.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Play the life of a deposit token over HTTP and check every figure; exit code 1 if anything is off."""
    with reported(as_json=as_json) as report:
        from tallystick.cli.demo import play as run

        run(report, url=url, keys_file=keys_file)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; leaves by SystemExit."""
    collect_seldom()
    application(args=arguments)
