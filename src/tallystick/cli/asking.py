"""Giving power through a command: asked of the API's own application, or done alone while a bank is being founded."""

import asyncio
import json
import secrets
from collections.abc import Callable, Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final, TypeVar

import httpx
from sqlalchemy import Connection

from tallystick import audit, identity, participants
from tallystick.api import application
from tallystick.audit import Decision, Draft
from tallystick.cli.acting import opened_service
from tallystick.cli.report import CommandRefusedError, ExitCode, Report
from tallystick.cli.running import chosen_issuer, opened_database
from tallystick.core.clock import SystemClock
from tallystick.core.settings import Settings
from tallystick.signing import KeyDirectory
from tallystick.tokens import Settler

__all__ = [
    "ask",
    "found",
    "look",
    "look_at_bytes",
    "required_reason",
    "send_xml",
    "settler_of",
    "tell_change",
]

Result = TypeVar("Result")
_HERE: Final = ("127.0.0.1", 0)


def ask(
    settings: Settings,
    presented_key: str,
    path: str,
    body: Mapping[str, Any],
    *,
    issuer_id: str | None = None,
    idempotency_key: str | None = None,
) -> dict[str, Any]:
    """POST to the API's routes in this process, with everything that they check and record; return the answer.

    Nothing has to be running but the database. `key` is the Idempotency-Key; without it a new one is taken.
    Raises CommandRefusedError with the problem's code and detail.
    """
    named = participants.named_key(presented_key)
    if issuer_id is not None and (named is None or named[0] != issuer_id):
        raise CommandRefusedError("issuer_not_found", "The API key is not one of this issuer.")
    with opened_service(settings) as service:
        app = application.build()
        app.state.service = service
        answer = asyncio.run(_send(app, presented_key, "POST", path, body, idempotency_key))
    return _told(answer)


def look(settings: Settings, presented_key: str, path: str) -> dict[str, Any]:
    """GET from the API's routes in this process; otherwise like `ask`."""
    with opened_service(settings) as service:
        app = application.build()
        app.state.service = service
        answer = asyncio.run(_send(app, presented_key, "GET", path, None, None))
    return _told(answer)


def look_at_bytes(settings: Settings, presented_key: str, path: str) -> bytes:
    """GET a file from the API's routes in this process; otherwise like `ask`."""
    with opened_service(settings) as service:
        app = application.build()
        app.state.service = service
        answer = asyncio.run(_send(app, presented_key, "GET", path, None, None))
    if answer.status_code >= HTTPStatus.BAD_REQUEST:
        _told(answer)
    return answer.content


def send_xml(settings: Settings, presented_key: str, path: str, content: bytes) -> dict[str, Any]:
    """POST a bank's file to the API's routes in this process; otherwise like `ask`."""
    with opened_service(settings) as service:
        app = application.build()
        app.state.service = service
        answer = asyncio.run(_send(app, presented_key, "POST", path, content, None))
    return _told(answer)


def _told(answer: httpx.Response) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(answer.content)
    if answer.status_code >= HTTPStatus.BAD_REQUEST:
        unavailable = answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
        exit_code = ExitCode.UNAVAILABLE if unavailable else ExitCode.REFUSED
        raise CommandRefusedError(shown["code"], _detail(shown), exit_code)
    return shown


def found(
    settings: Settings,
    issuer_id: str | None,
    operation: str,
    work: Callable[[Connection, str], Result],
    subject: Callable[[Result], str],
) -> Result:
    """Do what gives power without anybody's approval: only until the bank is founded, and on record.

    `work` gets the connection and the issuer. Raises identity.FoundedError.
    """
    clock = SystemClock()

    def alone(connection: Connection) -> Result:
        chosen = chosen_issuer(connection, issuer_id)
        identity.require_founding(connection, clock, chosen)
        done = work(connection, chosen)
        draft = Draft(
            operation=operation,
            decision=Decision.SETTLED,
            method="command",
            status=HTTPStatus.OK.value,
            subject_id=subject(done),
        )
        audit.append(connection, clock, chosen, [draft])
        return done

    with opened_database(settings) as database:
        return database.run(alone)


def settler_of(settings: Settings) -> Settler:
    """Return what the write path needs beside a connection, for what is done alone."""
    directory = KeyDirectory(settings.key_directory, settings.key_passphrase)
    return Settler.of(SystemClock(), directory, timedelta(hours=settings.approval_lifetime_hours))


def required_reason(reason: str | None) -> str:
    """Return the reason, which whoever approves reads; refuse to ask without one."""
    if not reason:
        raise CommandRefusedError(
            "reason_missing", "Whoever approves asks why: give --reason.", ExitCode.USAGE
        )
    return reason


def tell_change(report: Report, change: Mapping[str, Any]) -> None:
    """Report a change that was asked for and who has to act now."""
    report.document(change)
    if "entry" in change:
        report.say(f"It posts {change['entry']['currency']} {change['entry']['amount']}:")
        report.table(
            ["account", "debit", "credit"],
            [
                [line["account"], line.get("debit", ""), line.get("credit", "")]
                for line in change["entry"]["lines"]
            ],
        )
    report.say(f"{change['id']} waits for another person: approval {change['approval_id']}.")


def _detail(problem: Mapping[str, Any]) -> str:
    errors = [f"{one['pointer']}: {one['detail']}" for one in problem.get("errors", ())]
    return "; ".join(errors) or str(problem.get("detail") or problem["title"])


async def _send(
    app: Any,
    presented_key: str,
    method: str,
    path: str,
    body: Mapping[str, Any] | bytes | None,
    idempotency_key: str | None,
) -> httpx.Response:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app, client=_HERE), base_url="http://command.invalid"
    ) as client:
        headers = {"Authorization": f"Bearer {presented_key}"}
        if body is None:
            return await client.request(method, path, headers=headers)
        if isinstance(body, bytes):
            headers["Content-Type"] = "application/xml"
            return await client.request(method, path, headers=headers, content=body)
        headers["Idempotency-Key"] = idempotency_key or secrets.token_urlsafe(24)
        return await client.request(method, path, json=dict(body), headers=headers)
