"""The short way past the framework's routing: the same answers, for every write without a parameter in its path."""

from typing import Final

import httpx
import pytest
from fastapi import FastAPI

from tallystick.api.application import build
from tallystick.api.short_way import ShortWay
from tests.api.edge import OPERATIONS, Edge, Operation
from tests.api.examples import examples

pytestmark = pytest.mark.anyio

# And for a simulation, which writes nothing and reads its body as they do.
WRITES: Final = [one for one in OPERATIONS if one.method == "POST" and one.reads_json and not one.parameters]


def short_way_of(application: FastAPI) -> ShortWay:
    """Return the application's short way, out of its layers."""
    layer = application.build_middleware_stack()
    while not isinstance(layer, ShortWay):
        layer = layer.app  # type: ignore[attr-defined]
    return layer


def test_every_write_without_a_parameter_goes_the_short_way() -> None:
    assert set(short_way_of(build())._endpoints) == {one.path for one in WRITES} | {"/v1/policy/simulate"}


@pytest.mark.parametrize("operation", WRITES, ids=str)
async def test_both_ways_answer_alike(shared_edge: Edge, operation: Operation) -> None:
    example = examples(shared_edge.bank)[operation.path]()
    short = short_way_of(shared_edge.application)
    long = short.app
    answers: list[list[httpx.Response]] = []
    for way in (short, long):

        async def with_application(scope: object, receive: object, send: object, way: object = way) -> None:
            # As the framework does before any layer.
            scope["app"] = shared_edge.application  # type: ignore[index]
            await way(scope, receive, send)  # type: ignore[operator]

        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(with_application),
            base_url="http://tallystick.test",
        ) as client:
            headers = shared_edge.writing(example.role, f"both ways {operation.path}")
            told = [
                await client.post(operation.path, json=example.body, headers=headers),
                await client.post(operation.path, json=example.other_body, headers=headers),
                await client.post(operation.path, json={}, headers=headers),
                await client.post(operation.path, content=b"{", headers=headers),
                await client.post(operation.path, json=example.body),
                await client.post(operation.path + "?x=1", json=example.body, headers=headers),
            ]
        answers.append(told)
    for by_short, by_long in zip(*answers, strict=True):
        assert (by_short.status_code, by_short.content) == (by_long.status_code, by_long.content)
        kept = [
            {name: value for name, value in one.headers.items() if name != "idempotency-replayed"}
            for one in (by_short, by_long)
        ]
        assert kept[0] == kept[1]
