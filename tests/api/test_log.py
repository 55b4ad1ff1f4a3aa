"""The log over HTTP: a follower that knows only the formats gets and checks all of it; and who may see what."""

import base64
from typing import Any, Final

import pytest

from tallystick import transparency
from tallystick.core.ids import with_prefix
from tallystick.participants import Role
from tallystick.transparency.checkpoints import Checkpoint, parse_checkpoint
from tallystick.transparency.merkle import (
    leaf_hash,
    root_of_leaves,
    verify_consistency,
    verify_inclusion,
)
from tallystick.transparency.notes import VerifierKey, parse_note, parse_verifier_key, verify_note
from tallystick.transparency.proofs import parse_receipt, verify_receipt
from tallystick.transparency.tiles import entries_of_bundle, tile_path
from tests.api.edge import Edge, assert_problem
from tests.transparency.logs import add_events

pytestmark = pytest.mark.anyio

HASH: Final = 32


class Follower:
    """Reads an issuer's log as a stranger would, from the prefix alone."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge
        self.prefix = f"/log/{edge.bank.issuer_id}"

    async def keys(self) -> list[VerifierKey]:
        answer = await self.edge.client.get(self.prefix)
        assert answer.status_code == 200
        return [parse_verifier_key(one) for one in answer.json()["verifier_keys"]]

    async def checkpoint(self) -> Checkpoint:
        answer = await self.edge.client.get(f"{self.prefix}/checkpoint")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        note = parse_note(answer.content)
        assert verify_note(note, await self.keys())
        return parse_checkpoint(note.text)

    async def tile(self, level: int, path: str) -> bytes:
        answer = await self.edge.client.get(f"{self.prefix}/tile/{level}/{path}")
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/octet-stream"
        assert "immutable" in answer.headers["cache-control"]
        return answer.content

    async def row(self, level: int, count: int) -> list[bytes]:
        """Return so many hashes of a level."""
        content = b""
        for number in range(-(-count // 256)):
            content += await self.tile(level, tile_path(number, min(256, count - 256 * number)))
        return [content[at : at + HASH] for at in range(0, len(content), HASH)]


@pytest.fixture(scope="module")
async def follower(anyio_backend: str, shared_edge: Edge) -> Follower:
    bank = shared_edge.bank
    bank.mint("HARBOUR-USD", "9.00")
    bank.transfer("HARBOUR-USD", "LANTERN-USD", "1.00")
    add_events(bank, 600)
    integrate(shared_edge)
    return Follower(shared_edge)


def integrate(edge: Edge, issuer_id: str | None = None) -> int:
    service = edge.application.state.service
    return transparency.integrate(service.database, service.log, issuer_id or edge.bank.issuer_id)


async def test_a_follower_rebuilds_the_root_from_tiles_and_from_entries(follower: Follower) -> None:
    checkpoint = await follower.checkpoint()
    size = checkpoint.size
    leaves = await follower.row(0, size)
    assert root_of_leaves(leaves) == checkpoint.root
    assert await follower.row(1, size // 256) == [
        root_of_leaves(leaves[at : at + 256]) for at in range(0, size // 256 * 256, 256)
    ]
    entries: list[bytes] = []
    for number in range(-(-size // 256)):
        path = f"{follower.prefix}/tile/entries/{tile_path(number, min(256, size - 256 * number))}"
        for encoding in ("identity", "gzip"):
            headers = follower.edge.bearer(Role.AUDITOR) | {"Accept-Encoding": encoding}
            answer = await follower.edge.client.get(path, headers=headers)
            assert answer.headers.get("content-encoding", "identity") == encoding
            assert answer.headers["cache-control"].startswith("private")
            found = entries_of_bundle(answer.content)
            assert [leaf_hash(one) for one in found] == leaves[256 * number : 256 * number + 256]
            entries += found if encoding == "gzip" else []
    listed = (await follower.edge.get("/v1/events?limit=2")).json()["data"]
    assert entries[:2] == [one["jws"].encode() for one in listed]


async def test_partial_tiles_go_on_being_served_when_they_have_grown(follower: Follower) -> None:
    full = await follower.tile(0, "000")
    assert len(full) == 256 * HASH
    for width in (1, 200, 255):
        assert await follower.tile(0, f"000.p/{width}") == full[: width * HASH]


@pytest.mark.parametrize(
    "path",
    [
        "/tile/0/003", "/tile/0/002.p/255", "/tile/0/000.p/0", "/tile/0/000.p/256", "/tile/0/000.p/01",
        "/tile/0/0", "/tile/0/x000/000", "/tile/00/000", "/tile/1/000", "/tile/1/000.p/3", "/tile/2/000.p/1",
        "/tile/63/000", "/tile/64/000", "/tile/99/000.p/1", "/tile/-1/000", "/tile/a/000", "/tile/0/",
        "/tile/0/x999/x999/x999/x999/x999/x999/999", "/tile/0/%2e%2e/000", "/tile/0/000/", "/tile/entries",
    ],
)  # fmt: skip
async def test_a_tile_that_is_not_there_is_absent(follower: Follower, path: str) -> None:
    answer = await follower.edge.client.get(follower.prefix + path)
    assert_problem(answer, 404)


async def test_a_log_that_is_not_there_is_absent(follower: Follower) -> None:
    for issuer in ("issuer_00000000000000000000000000", "x"):
        for path in ("", "/checkpoint", "/tile/0/000.p/1"):
            assert_problem(await follower.edge.client.get(f"/log/{issuer}{path}"), 404)


async def test_entries_are_for_those_who_read_the_whole_log(follower: Follower) -> None:
    edge, path = follower.edge, f"{follower.prefix}/tile/entries/000"
    assert_problem(await edge.client.get(path), 401)
    for role in (Role.PLATFORM, Role.HOLDER):
        assert_problem(await edge.get(path, role), 403, "role_not_allowed")
    assert (await edge.get(path, Role.OPERATOR)).status_code == 200
    edge.other.deposit("HARBOUR-USD", "1.00")
    integrate(edge, edge.other.issuer_id)
    others = f"/log/{edge.other.issuer_id}/tile"
    assert (await edge.client.get(f"{others}/0/000.p/1")).status_code == 200
    assert_problem(await edge.get(f"{others}/entries/000.p/1"), 404, "tile_not_found")
    assert_problem(await edge.get(f"{path}.p/256"), 404, "tile_not_found")


async def proof(follower: Follower, path: str) -> dict[str, Any]:
    answer = await follower.edge.get(path, Role.HOLDER)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    found["hashes"] = [base64.b64decode(one) for one in found["hashes"]]
    return found


async def test_any_event_is_proven_to_be_in_any_tree_that_has_it(follower: Follower) -> None:
    checkpoint = await follower.checkpoint()
    leaves = await follower.row(0, checkpoint.size)
    for index in (0, 255, 256, checkpoint.size - 1):
        for size in (None, index + 1, checkpoint.size):
            asked = f"/v1/log/inclusion?index={index}" + ("" if size is None else f"&size={size}")
            found = await proof(follower, asked)
            assert (found["index"], found["size"]) == (index, size or checkpoint.size)
            root = root_of_leaves(leaves[: found["size"]])
            assert base64.b64decode(found["root_hash"]) == root
            assert verify_inclusion(leaves[index], index, found["size"], found["hashes"], root)
    for asked in (f"index={checkpoint.size}", f"index=0&size={checkpoint.size + 1}", "index=5&size=5"):
        answer = await follower.edge.get(f"/v1/log/inclusion?{asked}")
        assert_problem(answer, 404, "tree_size_unknown")


async def test_the_log_is_proven_to_have_only_grown(follower: Follower) -> None:
    size = (await follower.checkpoint()).size
    leaves = await follower.row(0, size)
    for first, second in ((1, size), (256, 300), (300, size), (size, size)):
        found = await proof(follower, f"/v1/log/consistency?first={first}&second={second}")
        roots = [root_of_leaves(leaves[:one]) for one in (first, second)]
        assert [base64.b64decode(found[name]) for name in ("first_root_hash", "second_root_hash")] == roots
        assert verify_consistency(first, second, roots[0], roots[1], found["hashes"])
    for asked in (f"first=1&second={size + 1}", "first=9&second=8"):
        answer = await follower.edge.get(f"/v1/log/consistency?{asked}")
        assert_problem(answer, 404, "tree_size_unknown")


async def test_a_receipt_proves_a_payment_to_its_parties_offline(follower: Follower) -> None:
    bank = follower.edge.bank
    event_id = with_prefix("event", bank.transfer("HARBOUR-USD", "LANTERN-USD", "1.00"))
    path = f"/v1/events/{event_id}/receipt"
    assert_problem(await follower.edge.get(path, Role.PLATFORM), 409, "event_not_integrated")
    integrate(follower.edge)
    event = (await follower.edge.get(f"/v1/events/{event_id}", Role.PLATFORM)).json()
    for role in (Role.PLATFORM, Role.AUDITOR, Role.TREASURY_CHECKER):
        answer = await follower.edge.get(path, role)
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.headers["content-disposition"].endswith('.tlog-proof"')
        checkpoint = verify_receipt(
            parse_receipt(answer.content),
            event["jws"].encode(),
            origin=(await follower.checkpoint()).origin,
            log_keys=await follower.keys(),
        )
        assert checkpoint == await follower.checkpoint()
        assert parse_receipt(answer.content).leaf_index == event["index"]
    assert_problem(await follower.edge.get(path, Role.HOLDER), 404, "event_not_found")


async def test_the_window_is_what_no_witness_has_seen(follower: Follower) -> None:
    size = integrate(follower.edge)
    follower.edge.bank.deposit("HARBOUR-USD", "1.00")
    found = (await follower.edge.get("/v1/log/witnessing")).json()
    assert (found["sequenced_size"], found["signed_size"], found["witnessed_size"]) == (size + 1, size, 0)
    assert (found["window"], found["quorum"], found["witnesses"]) == (size + 1, 0, [])
    integrate(follower.edge)
    assert_problem(await follower.edge.get("/v1/log/witnessing", Role.HOLDER), 403)
