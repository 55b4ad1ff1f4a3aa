"""What a request leaves behind is freed as soon as it is answered: nothing of it waits for the collector of cycles.

The collector stops every thread for as long as it walks: cycles of nine objects for each request made it stand still
for 50 to 120 ms every four thousand requests, and their slowest hundredth waited for that; a refusal left 175. What the
framework and the database's toolkit leave behind by themselves on other routes is theirs.
"""

import gc
from collections import Counter
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from tallystick.participants import Role
from tests.api.edge import Edge
from tests.api.examples import examples

pytestmark = pytest.mark.anyio


@pytest.fixture
def kept() -> Iterator[list[Any]]:
    """Keep everything that only the collector would have freed, from now on."""
    gc.collect()
    gc.disable()
    before = len(gc.garbage)
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield gc.garbage
    finally:
        gc.set_debug(0)
        gc.enable()
        del gc.garbage[before:]


async def answered(edge: Edge, method: str, path: str, key: str, content: bytes) -> int:
    """Return the status of an answer to a request that no client of ours has a hand in."""
    sent = edge.bearer(Role.PLATFORM)
    if method == "POST":
        sent = {**edge.writing(Role.PLATFORM, key), "Content-Type": "application/json"}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "client": ("192.0.2.1", 4711),
        "server": ("tallystick.test", 80),
        "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items()],
    }
    told: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            told.append(message["status"])

    await edge.application(scope, receive, send)
    [status] = told
    return status


@pytest.mark.parametrize(
    ("method", "path", "change", "statuses"),
    [
        ("POST", "/v1/transfers", {"amount": "0.01"}, [201, 201]),
        ("POST", "/v1/transfers", {"amount": "99999999.00"}, [409, 409]),
        ("POST", "/v1/transfers", {"amount": "1"}, [422, 422]),
        ("POST", "/v1/transfers", None, [422, 422]),
        ("GET", f"/v1/accounts/account_{'0' * 26}", None, [404, 404]),
    ],
    ids=["settled and replayed", "refused", "malformed amount", "no JSON", "absent"],
)
async def test_a_request_leaves_nothing_to_the_collector(
    edge: Edge, kept: list[Any], method: str, path: str, change: dict[str, str] | None, statuses: list[int]
) -> None:
    body: Any = examples(edge.bank)["/v1/transfers"]().body
    content = b"{" if change is None else orjson.dumps({**body, **change})
    await answered(edge, method, path, "the first", content)
    gc.collect()
    kept.clear()
    for number in range(20):
        key = f"number {number}"
        assert [await answered(edge, method, path, key, content) for _ in statuses] == statuses
    gc.collect()
    # Twenty of anything would be one for each request; the pool of connections and the loop have a few of their own.
    assert [name for name, count in Counter(type(one).__name__ for one in kept).items() if count >= 20] == []
