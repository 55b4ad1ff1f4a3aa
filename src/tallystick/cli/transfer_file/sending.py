"""Sending batches to a running service, and asking again while nothing was decided or the answer got lost.

A batch keeps its key while it is sent again, so that a lost answer is found and nothing is done twice.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import httpx

from tallystick.cli.report import CommandRefusedError, ExitCode

__all__ = ["ATTEMPTS_MAX", "Sender"]

ATTEMPTS_MAX: Final = 8
_PAUSE_SECONDS_MAX: Final = 30.0
_UNAVAILABLE: Final = 503


class Sender:
    """A connection to the service in the name of one API key; close it, or use it in a `with`."""

    def __init__(
        self,
        url: str,
        api_key: str,
        *,
        pause: Callable[[float], None] = time.sleep,
        note: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self._pause = pause
        self._note = note
        try:
            self._client = httpx.Client(
                base_url=url,
                headers={"Authorization": f"Bearer {api_key}"},
                # Longer than the service takes to give up by itself.
                timeout=httpx.Timeout(60.0, connect=5.0),
            )
        except httpx.InvalidURL:
            raise CommandRefusedError("url_malformed", "--url is no URL.", ExitCode.USAGE) from None

    def __enter__(self) -> "Sender":
        return self

    def __exit__(self, *_unused: object) -> None:
        self._client.close()

    def require_service(self) -> None:
        """Refuse at once where nothing answers, before anything is sent."""
        try:
            self._client.get("/healthz").raise_for_status()
        except httpx.HTTPError as error:
            raise CommandRefusedError(
                "service_unavailable",
                f"No tallystick answers at {self._client.base_url}.",
                ExitCode.UNAVAILABLE,
            ) from error

    def send(self, items: Sequence[Mapping[str, str]], *, key: str, atomic: bool) -> list[dict[str, Any]]:
        """Settle a batch and return the service's result for each item: `item` is its place from 0, `status` its end.

        Of an atomic batch that was refused, only the items that were the reason have a result. Raises
        CommandRefusedError: with the service's own code where the whole batch was refused, with exit code 4 where it
        stays unknown after ATTEMPTS_MAX attempts what became of it.
        """
        body = {"items": list(items), "atomic": atomic}
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                answer = self._client.post(
                    "/v1/transfer-batches", json=body, headers={"Idempotency-Key": key}
                )
            except httpx.TransportError as error:
                failure, wait_seconds = f"no answer ({type(error).__name__})", 1.0
            else:
                if answer.status_code != _UNAVAILABLE:
                    return _understood(answer)
                failure, wait_seconds = f"{_problem(answer)['code']}", _retry_after_seconds(answer)
            if attempt < ATTEMPTS_MAX:
                wait_seconds = min(max(wait_seconds, 0.5 * 2 ** (attempt - 1)), _PAUSE_SECONDS_MAX)
                self._note(f"{failure}; asking again in {wait_seconds:.1f} s ({attempt} of {ATTEMPTS_MAX})")
                self._pause(wait_seconds)
        raise CommandRefusedError(
            "service_unavailable",
            f"The service did not settle a batch in {ATTEMPTS_MAX} attempts. Send the same file again later: what "
            "was settled is not paid twice.",
            ExitCode.UNAVAILABLE,
        )


def _understood(answer: httpx.Response) -> list[dict[str, Any]]:
    if answer.status_code == httpx.codes.OK:
        try:
            items: list[dict[str, Any]] = answer.json()["items"]
        except (ValueError, KeyError, TypeError):
            raise _not_understood(answer) from None
        return items
    problem = _problem(answer)
    if problem["code"] == "atomic_batch_refused":
        refused: list[dict[str, Any]] = problem["items"]
        return refused
    exit_code = ExitCode.UNAVAILABLE if answer.is_server_error else ExitCode.REFUSED
    raise CommandRefusedError(problem["code"], problem["detail"], exit_code)


def _problem(answer: httpx.Response) -> dict[str, Any]:
    try:
        problem: dict[str, Any] = answer.json()
        problem["code"], problem["detail"]
    except (ValueError, KeyError, TypeError):
        if answer.status_code == _UNAVAILABLE:
            return {"code": "unavailable", "detail": "Temporarily unavailable."}
        raise _not_understood(answer) from None
    return problem


def _not_understood(answer: httpx.Response) -> CommandRefusedError:
    return CommandRefusedError(
        "answer_not_understood",
        f"What answered (HTTP {answer.status_code}) is no tallystick service, or another release.",
        ExitCode.UNAVAILABLE,
    )


def _retry_after_seconds(answer: httpx.Response) -> float:
    stated = answer.headers.get("retry-after", "")
    return float(stated) if stated.isdecimal() and len(stated) < 6 else 1.0
