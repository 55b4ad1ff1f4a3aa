"""The demo's way to the service: real HTTP with the sandbox's API keys, and money as decimals."""

import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import httpx

from tallystick.cli.demo.telling import StoryBrokenError
from tallystick.cli.report import CommandRefusedError, ExitCode

__all__ = ["Bank", "money"]

_PAGE: Final = 1_000


@dataclass(slots=True)
class Bank:
    """A running sandbox: who may act (`keys` by name), accounts (`harbour_usd`, …) and token classes (`usd`, `eur`)."""

    client: httpx.Client
    keys: dict[str, str]
    accounts: dict[str, str]
    token_classes: dict[str, str]
    issuer_id: str

    @classmethod
    def open(cls, url: str, keys_file: Path) -> "Bank":
        """Read the sandbox's keys and reach its service. Raises CommandRefusedError."""
        try:
            known = json.loads(keys_file.read_text(encoding="utf-8"))
            keys, accounts, classes = known["keys"], known["accounts"], known["token_classes"]
            issuer_id = known["issuer_id"]
        except (ValueError, KeyError, TypeError):
            raise CommandRefusedError(
                "keys_file_malformed", f"{keys_file} is no sandbox's key file."
            ) from None
        client = httpx.Client(base_url=url, timeout=httpx.Timeout(60.0, connect=5.0))
        try:
            client.get("/readyz").raise_for_status()
        except httpx.HTTPError as error:
            client.close()
            raise CommandRefusedError(
                "service_unavailable", f"No tallystick is ready at {url}.", ExitCode.UNAVAILABLE
            ) from error
        return cls(client, keys, accounts, classes, issuer_id)

    def send(
        self, who: str, method: str, path: str, *, key: str | None = None, **request: Any
    ) -> httpx.Response:
        """Send a request as `who`; a POST has a fresh Idempotency-Key unless `key` is given."""
        headers = {"Authorization": f"Bearer {self.keys[who]}", **request.pop("headers", {})}
        if method == "POST":
            headers["Idempotency-Key"] = key or f"demo-{secrets.token_hex(12)}"
        return self.client.request(method, path, headers=headers, **request)

    def get(self, who: str, path: str, **parameters: str | int) -> dict[str, Any]:
        """Return what a GET answers; anything but 200 ends the story."""
        answer = self.send(who, "GET", path, params=parameters)
        return _content(answer, f"GET {path}", 200)

    def post(self, who: str, path: str, body: Mapping[str, Any], status: int = 201) -> dict[str, Any]:
        """Return what a POST answers; another status than expected ends the story."""
        return _content(self.send(who, "POST", path, json=body), f"POST {path}", status)

    def all(self, who: str, path: str, **parameters: str | int) -> Iterator[dict[str, Any]]:
        """Yield every object of a list, page by page."""
        while True:
            page = self.get(who, path, limit=_PAGE, **parameters)
            yield from page["data"]
            if page["next_cursor"] is None:
                return
            parameters["cursor"] = page["next_cursor"]

    def balance(self, account: str, as_of: str | None = None) -> dict[str, Decimal]:
        """Return an account's balances by name: deposits_available, available, held, total, …"""
        asked = {} if as_of is None else {"as_of": as_of}
        found = self.get("auditor", f"/v1/accounts/{self.accounts[account]}/balance", **asked)
        names = ("deposits_available", "available", "held", "pledged", "restricted", "dormant", "total")
        return {name: Decimal(found[name]) for name in names}

    def approve(self, instruction: dict[str, Any], amount: str, currency: str = "USD") -> dict[str, Any]:
        """Let the checker approve what waits, typing amount and currency again."""
        path = f"/v1/approvals/{instruction['approval_id']}/approve"
        return self.post("checker", path, {"amount": amount, "currency": currency}, 200)


def money(amount: Decimal | str, currency: str = "USD") -> str:
    """Return an amount as people read it: USD 1,250.00."""
    return f"{currency} {Decimal(amount):,.2f}"


def _content(answer: httpx.Response, request: str, status: int) -> dict[str, Any]:
    if answer.status_code != status:
        raise StoryBrokenError(
            f"{request} answers {status}", f"it answered {answer.status_code} {answer.text[:200]}"
        )
    content: dict[str, Any] = answer.json()
    return content
