"""What `tallystick books …` does: the API's own answers, read in this process and told, or written to a file."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, Final

import orjson

from tallystick import participants
from tallystick.api.access import EVERYONE, STAFF_AND_AUDITORS, Caller
from tallystick.api.accounts import balance_document
from tallystick.api.books import supply_document, trial_balance_parts
from tallystick.api.signed_books import Asked
from tallystick.audit import Decision
from tallystick.cli.acting import authorized, drafted, moment, opened_service, put_on_record
from tallystick.cli.report import CommandRefusedError, ExitCode, Report
from tallystick.cli.running import require_api_key
from tallystick.core.settings import Settings
from tallystick.participants import Role, TokenClassNotFoundError

__all__ = ["asked_books", "tell_balance", "tell_supply", "tell_trial_balance"]

_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_STATUSES: Final = ("available", "held", "pledged", "restricted", "dormant", "total", "deposits_available")


def asked_books(as_of: str | None, effective_on: str | None, signed: bool) -> Asked:
    """Return which books the options ask for, or refuse them."""
    return Asked(moment("--as-of", as_of), _day(effective_on), signed)


def tell_balance(
    report: Report, settings: Settings, key: str | None, account_id: str, asked: Asked, output: Path | None
) -> None:
    """Tell one account's balance."""
    with _reading(settings, key, EVERYONE, "balance", account_id) as caller:
        found = balance_document(caller, account_id, asked)
    _keep(output, [orjson.dumps(found)])
    report.document(found)
    report.table(["claim", found["currency"]], [[name, found[name]] for name in _STATUSES])
    _tell_standing(report, found, output)


def tell_supply(
    report: Report, settings: Settings, key: str | None, chosen: str, asked: Asked, output: Path | None
) -> None:
    """Tell a class's supply."""
    with _reading(settings, key, STAFF_AND_AUDITORS, "supply", chosen) as caller:
        found = supply_document(caller, _class_id(caller, chosen), asked)
    _keep(output, [orjson.dumps(found)])
    report.document(found)
    report.say(f"Supply: {found['supply']} {found['currency']}")
    _tell_standing(report, found, output)


def tell_trial_balance(
    report: Report, settings: Settings, key: str | None, chosen: str, asked: Asked, output: Path | None
) -> None:
    """Tell a class's trial balance, or write it to a file as it is read."""
    with _reading(settings, key, STAFF_AND_AUDITORS, "trial_balance", chosen) as caller:
        parts = trial_balance_parts(caller, _class_id(caller, chosen), asked)
        if output is not None:
            size_bytes = _keep(output, parts)
            report.document({"object": "file", "path": str(output.absolute()), "bytes": size_bytes})
            report.say(f"Written to {output}: {size_bytes} bytes")
            return
        found = orjson.loads(b"".join(parts))
    report.document(found)
    report.table(
        ["account", "code", "name", "debit", "credit"],
        [
            [row["ledger_account_id"], row["code"], row["name"], row["debit"], row["credit"]]
            for row in found["rows"]
        ],
    )
    report.say(
        f"Debits {found['debit_total']}, credits {found['credit_total']}, supply {found['supply']} "
        f"{found['currency']}"
    )
    _tell_standing(report, found, output)


@contextmanager
def _reading(
    settings: Settings, key: str | None, roles: frozenset[Role], operation: str, subject_id: str
) -> Iterator[Caller]:
    """Yield who reads; an auditor's reading is put on record, as it is by the API."""
    presented = require_api_key(key)
    with opened_service(settings) as service:
        principal = authorized(service.database, presented, roles, operation=operation)
        yield Caller(service, principal)
        if Role.AUDITOR in principal.roles:
            draft = drafted(principal, presented, operation, subject_id=subject_id, decision=Decision.READ)
            put_on_record(service.database, principal, draft)


def _class_id(caller: Caller, chosen: str) -> str:
    with caller.read() as connection:
        for one in participants.token_classes(connection, caller.issuer_id, limit=1_000):
            if chosen in (one.id, one.currency):
                return one.id
    raise TokenClassNotFoundError


def _day(text: str | None) -> date | None:
    try:
        if text is None or _DAY.fullmatch(text):
            return None if text is None else date.fromisoformat(text)
    except ValueError:
        pass
    raise CommandRefusedError("day_malformed", "--effective-on is a day such as 2026-11-23.", ExitCode.USAGE)


def _keep(output: Path | None, parts: Iterable[bytes]) -> int:
    size_bytes = 0
    if output is not None:
        with output.open("wb") as file:
            for part in parts:
                size_bytes += file.write(part)
    return size_bytes


def _tell_standing(report: Report, found: dict[str, Any], output: Path | None) -> None:
    known = found["as_of"] or "now"
    effect = f", by value date up to {found['effective_on']}" if found["effective_on"] else ""
    report.say(f"As known {known} (event {found['event_index']}){effect}.")
    if output is not None:
        report.say(f"Written to {output}")
