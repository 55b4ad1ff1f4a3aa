"""`tallystick demo`: the life of a deposit token over real HTTP, in plain sentences, each with its figure checked."""

from contextlib import ExitStack
from pathlib import Path

from tallystick.cli.demo.bank import Bank
from tallystick.cli.demo.chapters import tell_life
from tallystick.cli.demo.own_service import own_service
from tallystick.cli.demo.proofs import tell_proofs
from tallystick.cli.demo.telling import Story
from tallystick.cli.report import CommandRefusedError, ExitCode, Report

__all__ = ["play"]


def play(report: Report, *, url: str | None, keys_file: Path | None) -> None:
    """Play it on a service of the demo's own, or on the fresh sandbox at `url`.

    Raises CommandRefusedError: `demo_failed` names the first claim that doesn't hold.
    """
    if (url is None) != (keys_file is None):
        raise CommandRefusedError(
            "choice_missing", "Give both --url and --keys-file, or neither.", ExitCode.USAGE
        )
    story = Story(silent=report.as_json)
    with ExitStack() as stack:
        if url is None or keys_file is None:
            report.note("starting a service of the demo's own …")
            own = stack.enter_context(own_service())
            url, keys_file = own.url, own.keys_file
        bank = Bank.open(url, keys_file)
        stack.callback(bank.client.close)
        _require_fresh(bank)
        tell_life(story, bank)
        figures = tell_proofs(story, bank)
    report.document(
        {"object": "demo", "url": url, "claims": story.claim_count, **figures, "chapters": story.chapters}
    )
    report.say(f"\nAll {story.claim_count} claims hold.")


def _require_fresh(bank: Bank) -> None:
    # The figures are those of a bank on its first day; what others did before would be in them.
    # A log begins with the events of its two keys.
    first = bank.get("auditor", "/v1/events", limit=3)["data"]
    if any(one["type"] != "signing_key.activated" for one in first):
        raise CommandRefusedError(
            "sandbox_not_fresh",
            "This service has been used already, so the demo's figures can't be told apart from others: leave out "
            "--url, and the demo starts a fresh one.",
        )
