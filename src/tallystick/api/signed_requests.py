"""Signed payments (RFC 9421): asked for by a principal's own threshold, and checked whenever one is sent."""

import re
from collections.abc import Iterable
from typing import Final

from fastapi import Request
from fastapi.concurrency import run_in_threadpool

from tallystick import identity
from tallystick.api.access import Caller
from tallystick.identity import HeaderLines, SignatureRequiredError, SignedRequest

__all__ = ["check_signature", "minor_units"]

_AMOUNT: Final = re.compile(r"[0-9]{1,30}(\.[0-9]{1,9})?", re.ASCII)


async def check_signature(
    caller: Caller, request: Request, content: bytes, amounts: Iterable[str | None]
) -> None:
    """Check the request's signature, if it has one of the caller's clients, and ask for one where it is required.

    Raises SignatureRequiredError, SignatureInvalidError. The nonce is used up before the payment is decided: to send
    the same request again, sign it anew. Its Idempotency-Key and answer stay the same.
    """
    threshold = caller.principal.signature_required_from_minor
    required = threshold is not None and sum(map(minor_units, amounts)) >= threshold
    if not required and "signature-input" not in request.headers:
        return
    if await run_in_threadpool(_verify, caller, request, content) is None and required:
        raise SignatureRequiredError


def minor_units(amount: str | None) -> int:
    """Return an amount's minor units: its digits, for an amount has exactly its class's decimals.

    One that is malformed counts as nothing: it is refused further on.
    """
    return int(amount.replace(".", "")) if amount and _AMOUNT.fullmatch(amount) else 0


def _verify(caller: Caller, request: Request, content: bytes) -> str | None:
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    signed = SignedRequest(
        method=request.method,
        url=caller.service.settings.public_url + target,
        headers=HeaderLines((name, value) for name, value in request.headers.items()),
        body=content,
    )
    return caller.service.database.run(
        lambda connection: identity.verify_request(connection, caller.service.clock, caller.principal, signed)
    )
