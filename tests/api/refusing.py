"""Sending what must be refused, and holding the refusal to what it must be."""

import json
from typing import Any, Final

import httpx

from tests.api.edge import Edge, assert_problem
from tests.api.examples import Example

__all__ = ["CANARY", "refused", "send"]

CANARY: Final = "canary-4f2b9d"


def refused(response: httpx.Response, status: int, code: str | None = None) -> dict[str, Any]:
    """Assert a problem in which nothing that was sent comes back."""
    problem = assert_problem(response, status, code)
    assert CANARY not in response.text
    assert not [value for value in response.headers.values() if CANARY in value]
    return problem


async def send(
    edge: Edge, example: Example, body: object = None, *, content: bytes | None = None, **headers: str
) -> httpx.Response:
    """Send an example with another body, in JSON or as it is."""
    sent = edge.writing(example.role) | {name.replace("_", "-"): value for name, value in headers.items()}
    raw = json.dumps(example.body if body is None else body).encode() if content is None else content
    if "content-type" not in sent:
        sent["content-type"] = "application/json"
    return await edge.client.post(example.path, content=raw, headers=sent)
