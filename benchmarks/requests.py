"""Requests as bytes, rendered before they are sent."""

import random
from enum import StrEnum
from typing import NamedTuple

import orjson

from benchmarks.bank import CURRENCY, Bank
from benchmarks.traffic import Traffic, Transfer, accounts_of, transfers

__all__ = ["BATCH_SIZE", "EMPTY_PATH", "Kind", "Requests", "render"]

BATCH_SIZE = 1_000
EMPTY_PATH = "/benchmark/empty"
_BATCHES = 24
_SINGLES = 20_000


class Kind(StrEnum):
    """What a stream of requests asks for."""

    EMPTY = "empty"
    TRANSFER = "transfer"
    BATCH = "batch"
    BALANCE = "balance"
    EVENTS = "events"


class Requests(NamedTuple):
    """Rendered requests: with a `prefix`, a fresh idempotency key goes between it and each of `suffixes`.

    `size` is how many units of work (transfers, reads) one request is.
    """

    prefix: bytes
    suffixes: list[bytes]
    size: int = 1


def render(bank: Bank, kind: Kind, traffic: str, random_source: random.Random) -> Requests:
    """Return requests of a kind; they repeat after a while, with other keys."""
    match kind:
        case Kind.EMPTY:
            return Requests(_post(bank, EMPTY_PATH), [_body(b"")])
        case Kind.TRANSFER:
            made = transfers(Traffic(traffic), bank.account_ids, _SINGLES, random_source)
            return Requests(_post(bank, "/v1/transfers"), [_body(orjson.dumps(_asked(one))) for one in made])
        case Kind.BATCH:
            batches = [
                transfers(Traffic(traffic), bank.account_ids, BATCH_SIZE, random_source)
                for _ in range(_BATCHES)
            ]
            bodies = [_body(orjson.dumps({"items": [_asked(one) for one in batch]})) for batch in batches]
            return Requests(_post(bank, "/v1/transfer-batches"), bodies, BATCH_SIZE)
        case Kind.BALANCE:
            account_ids = bank.account_ids[: accounts_of(Traffic(traffic))]
            return Requests(
                b"", [_get(bank.platform_key, f"/v1/accounts/{one}/balance") for one in account_ids]
            )
        case Kind.EVENTS:
            cursors = [random_source.randrange(len(bank.account_ids)) for _ in range(1_000)]
            return Requests(
                b"", [_get(bank.auditor_key, f"/v1/events?cursor={cursor}&limit=100") for cursor in cursors]
            )


def _asked(transfer: Transfer) -> dict[str, str]:
    return {**transfer._asdict(), "currency": CURRENCY}


def _post(bank: Bank, path: str) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {bank.platform_key}\r\n"
        "Content-Type: application/json\r\nIdempotency-Key: "
    ).encode()


def _body(body: bytes) -> bytes:
    return b"\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def _get(key: str, path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n\r\n".encode()
