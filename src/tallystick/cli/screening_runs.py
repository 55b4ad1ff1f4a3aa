"""What `tallystick screening` does: a list from a file in one transaction, and holders page by page."""

from pathlib import Path

from sqlalchemy import Connection

from tallystick import screening
from tallystick.api.screenings import SCREENERS, show_list
from tallystick.cli.acting import authorized, opened_service
from tallystick.cli.report import Report
from tallystick.cli.running import require_api_key
from tallystick.core.settings import Settings
from tallystick.screening import ListImport, Rescreened

__all__ = ["import_list", "rescreen"]

_OPERATION = "screening"


def import_list(
    report: Report,
    settings: Settings,
    presented_key: str | None,
    file: Path,
    *,
    name: str,
    version: str,
    smaller_accepted: bool,
) -> None:
    """Import a list version; the same content again changes nothing."""
    presented = require_api_key(presented_key)
    with opened_service(settings) as service:
        importer = authorized(service.database, presented, SCREENERS, operation=_OPERATION)
        size_max_bytes = settings.screening_list_size_max_bytes
        with file.open("rb") as opened:
            # One byte more than is allowed is enough to be refused for it.
            content = opened.read(size_max_bytes + 1)

        def work(connection: Connection) -> ListImport:
            return screening.import_list(
                connection,
                service.clock,
                importer,
                content,
                name=name,
                version=version,
                size_max_bytes=size_max_bytes,
                smaller_accepted=smaller_accepted,
            )

        done = service.database.run(work)
    report.document({**show_list(done.list), "imported": done.imported})
    if not done.imported:
        report.say(f"{name} {version} was imported before; nothing was changed.")
        return
    report.say(
        f"{done.list.id}: {name} {version} with {done.list.entity_count} entities is in force "
        f"({done.list.skipped_count} things that are nobody were left out). Now rescreen the holders."
    )


def rescreen(
    report: Report, settings: Settings, presented_key: str | None, *, page_size: int, after: str
) -> None:
    """Go through all holders, a page in each transaction; broken off anywhere, it may be started again."""
    presented = require_api_key(presented_key)
    screened_count = kept_count = hit_count = 0
    with opened_service(settings) as service:
        operator = authorized(service.database, presented, SCREENERS, operation=_OPERATION)
        next_after: str | None = after
        while next_after is not None:

            def work(connection: Connection, behind: str = next_after) -> Rescreened:
                return screening.rescreen(
                    connection,
                    service.clock,
                    operator.issuer_id,
                    after=behind,
                    limit=page_size,
                    threshold=settings.screening_threshold,
                )

            done = service.database.run(work)
            screened_count += done.screened_count
            kept_count += done.kept_count
            hit_count += done.hit_count
            next_after = done.next_after
            if next_after is not None:
                report.note(
                    f"{screened_count + kept_count} holders, {hit_count} with hits; up to {next_after}"
                )
    report.document(
        {
            "object": "screening_run",
            "screened_count": screened_count,
            "kept_count": kept_count,
            "hit_count": hit_count,
        }
    )
    report.say(
        f"{screened_count} holders screened, {kept_count} were up to date; {hit_count} have hits that "
        "are open or confirmed."
    )
