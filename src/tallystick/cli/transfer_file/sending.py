"""Sending batches to a running service, and asking again while nothing was decided or the answer got lost.

A batch keeps its key while it is sent again, so that a lost answer is found and nothing is done twice.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import httpx

from tallystick.cli.report import CommandRefusedError, ExitCode
from tallystick.cli.transfer_file.results import PENDING, REFUSED, SETTLED

__all__ = ["ATTEMPTS_MAX", "Sender", "Sent"]

ATTEMPTS_MAX: Final = 8
_PAUSE_SECONDS_MAX: Final = 30.0
_UNAVAILABLE: Final = 503
_REPLAYED: Final = "Idempotency-Replayed"


class Sent(NamedTuple):
    """What became of a batch: `settled`, `refused` (all or none), `pending_approval`, and then `rejected` or `expired`.

    `items` are the service's results: `item` is its place from 0, `status` its end. Of an atomic batch that was
    refused, only the items that were the reason have one. `is_replayed` says that the answer is an earlier one's.
    """

    state: str
    items: list[dict[str, Any]]
    approval_id: str | None = None
    is_replayed: bool = False


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

    def send(self, items: Sequence[Mapping[str, str]], *, key: str, atomic: bool) -> Sent:
        """Send a batch and return what became of it; where it waits for people, where it stands now.

        Raises CommandRefusedError: with the service's own code where the whole batch was refused, with exit code 4
        where it stays unknown after ATTEMPTS_MAX attempts what became of it.
        """
        body = {"items": list(items), "atomic": atomic}
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                answer = self._client.post(
                    "/v1/transfer-batches", json=body, headers={"Idempotency-Key": key}
                )
                found = answer
                if answer.status_code == httpx.codes.ACCEPTED:
                    found = self._client.get(f"/v1/transfer-batches/{_member(answer, 'id')}")
            except httpx.TransportError as error:
                failure, wait_seconds = f"no answer ({type(error).__name__})", 1.0
            else:
                if found.status_code != _UNAVAILABLE:
                    sent = _understood(found)
                    return self._followed(sent) if _REPLAYED in answer.headers else sent
                failure, wait_seconds = f"{_problem(found)['code']}", _retry_after_seconds(found)
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

    def _followed(self, sent: Sent) -> Sent:
        """Return an earlier answer as it stands now: a person may have decided on single items meanwhile."""
        return sent._replace(items=[self._follow(one) for one in sent.items], is_replayed=True)

    def _follow(self, item: dict[str, Any]) -> dict[str, Any]:
        if item["status"] != PENDING:
            return item
        try:
            answer = self._client.get(f"/v1/transfers/{item['id']}")
        except httpx.TransportError:
            return item
        if answer.status_code != httpx.codes.OK:
            return item
        return item | {"status": _member(answer, "state"), "event_index": _member(answer, "event_index")}


def _understood(answer: httpx.Response) -> Sent:
    if answer.status_code == httpx.codes.OK:
        state = _member(answer, "state")
        if state == SETTLED:
            return Sent(state, _member(answer, "items"))
        return Sent(state, [], _member(answer, "approval_id"))
    problem = _problem(answer)
    if problem["code"] == "atomic_batch_refused":
        return Sent(REFUSED, problem["items"])
    exit_code = ExitCode.UNAVAILABLE if answer.is_server_error else ExitCode.REFUSED
    members = {"items": problem["items"]} if "items" in problem else {}
    raise CommandRefusedError(problem["code"], problem["detail"], exit_code, **members)


def _member(answer: httpx.Response, name: str) -> Any:
    try:
        return answer.json()[name]
    except (ValueError, KeyError, TypeError):
        raise _not_understood(answer) from None


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
