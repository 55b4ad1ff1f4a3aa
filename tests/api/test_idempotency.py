"""The same key, the same answer, one effect: for every operation that takes a key, taken from the routes."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import httpx
import pytest

from tallystick import participants
from tallystick.participants import Role
from tests.api.edge import OPERATIONS, Edge, Operation, api_key, assert_problem, row_counts
from tests.api.examples import Example, examples
from tests.bank import oracle

pytestmark = pytest.mark.anyio

AT_ONCE: Final = 50
KEYED: Final = [one for one in OPERATIONS if one.takes_key]


def test_every_write_takes_a_key() -> None:
    without = {one.path for one in OPERATIONS if one.method == "POST" and not one.takes_key}

    # A statement and a list are known by their content: sent again, they change nothing. An assertion is used once, and
    # a simulation does nothing.
    assert without == {
        *(
            "/v1/policy/simulate",
            "/v1/statements",
            "/v1/screening-lists",
            "/v1/payout-statuses",
            "/oauth/token",
        ),
    }


def test_every_operation_has_an_example(shared_edge: Edge) -> None:
    missing = {one.path for one in KEYED} - set(examples(shared_edge.bank))

    assert not missing, "add a request that settles to tests/api/examples.py"


@pytest.fixture(scope="module", autouse=True)
def books_in_order(shared_edge: Edge) -> Iterator[None]:
    """Whatever was sent twice, in whatever order: in the end the books are right."""
    yield
    oracle(shared_edge.bank)


async def post(edge: Edge, example: Example, key: str, role: str | None = None) -> httpx.Response:
    """Send an example; one that finds the exports busy is sent again, as it is told to."""
    for _ in range(200):
        response = await edge.post(example.path, example.body, role or example.role, key=key)
        if response.status_code != 503:
            return response
        assert_problem(response, 503, "exports_busy")
        await asyncio.sleep(0.05)
    pytest.fail("the exports stay busy")


@pytest.mark.parametrize("operation", KEYED, ids=str)
async def test_a_replay_is_the_same_to_the_byte(shared_edge: Edge, operation: Operation) -> None:
    example = examples(shared_edge.bank)[operation.path]()
    key = f"replayed {operation.path}"
    first = await post(shared_edge, example, key)
    assert 200 <= first.status_code < 300, first.text
    assert "idempotency-replayed" not in first.headers
    rows = row_counts(shared_edge.urls)

    for spelling in (example.body, dict(reversed(example.body.items()))):
        again = await post(shared_edge, replace(example, body=spelling), key)
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert again.headers["idempotency-replayed"] == "true"
        assert again.headers["content-type"] == first.headers["content-type"] == "application/json"

    other = await post(shared_edge, replace(example, body=example.other_body), key)
    problem = assert_problem(other, 409, "idempotency_key_reused")
    assert problem["existing_id"] == first.json()["id"]
    if operation.parameters:
        elsewhere = example.path.replace(example.path.split("/")[3], "elsewhere_0123456789")
        other = await post(shared_edge, replace(example, path=elsewhere), key)
        assert_problem(other, 409, "idempotency_key_reused")
    assert row_counts(shared_edge.urls) == rows


@pytest.mark.parametrize("operation", KEYED, ids=str)
async def test_fifty_at_once_have_one_effect(shared_edge: Edge, operation: Operation) -> None:
    example = examples(shared_edge.bank)[operation.path]()
    key = f"at once {operation.path}"
    before = row_counts(shared_edge.urls)

    answers = await asyncio.gather(*(post(shared_edge, example, key) for _ in range(AT_ONCE)))

    assert len({(one.status_code, one.content) for one in answers}) == 1, Counter(
        (one.status_code, one.text) for one in answers
    )
    assert answers[0].status_code < 300
    after = row_counts(shared_edge.urls)
    answered = len(example.body.get("items", ())) + 1
    transfers = answered if operation.path == "/v1/transfers" else answered - 1
    assert after["instruction"] - before["instruction"] <= answered
    # A transfer's key stands in its own row; a run's attestation is signed under a key of its own.
    attested = operation.path == "/v1/reconciliations"
    assert after["answer"] == before["answer"] + answered - transfers + attested
    # A vote is an event of its own, before the one that it lets through.
    assert after["event"] - before["event"] <= answered + operation.path.endswith("/approve")
    assert sum("idempotency-replayed" not in one.headers for one in answers) == 1


async def test_fifty_bodies_at_once_under_one_key_make_one_of_them(edge: Edge) -> None:
    example = examples(edge.bank)["/v1/transfers"]()
    bodies = [example.body | {"amount": f"0.{number:02}"} for number in range(1, AT_ONCE + 1)]

    answers = await asyncio.gather(*(post(edge, replace(example, body=body), "the same") for body in bodies))

    [settled] = [one for one in answers if one.status_code == 201]
    for answer in answers:
        if answer is not settled:
            problem = assert_problem(answer, 409, "idempotency_key_reused")
            assert problem["existing_id"] == settled.json()["id"]
    oracle(edge.bank)


async def test_a_key_is_its_principals_and_its_operations_own(edge: Edge) -> None:
    made = examples(edge.bank)
    transfer = made["/v1/transfers"]()
    with edge.bank.database.engine.begin() as connection:
        colleague = participants.register_principal(
            connection,
            edge.bank.clock,
            edge.bank.issuer_id,
            name="Harbour's second server",
            roles=frozenset({Role.PLATFORM}),
            holder_id=edge.bank.holders["HARBOUR"].id,
        )
    edge.keys["colleague"] = api_key(edge.bank, colleague)
    edge.bank.mint("HARBOUR-USD", "5.00")

    first = await post(edge, transfer, "one")
    second = await post(edge, transfer, "one", "colleague")
    hold = await post(edge, made["/v1/holds"](), "one")

    assert [one.status_code for one in (first, second, hold)] == [201] * 3
    assert len({one.json()["id"] for one in (first, second, hold)}) == 3


async def test_a_key_is_its_banks_own(edge: Edge) -> None:
    edge.keys["elsewhere"] = api_key(edge.other, edge.other.platform)
    mine = await post(edge, examples(edge.bank)["/v1/transfers"](), "one")
    theirs = await post(edge, examples(edge.other)["/v1/transfers"](), "one", "elsewhere")

    assert (mine.status_code, theirs.status_code) == (201, 201)
    assert mine.json()["issuer_id"] != theirs.json()["issuer_id"]


@pytest.mark.parametrize("operation", KEYED, ids=str)
async def test_a_refused_attempt_leaves_its_key_free(shared_edge: Edge, operation: Operation) -> None:
    example = examples(shared_edge.bank)[operation.path]()
    key = f"refused {operation.path}"
    rows = row_counts(shared_edge.urls)
    assert_problem(await post(shared_edge, replace(example, body=example.body | {"unknown": 1}), key), 422)
    assert isinstance(operation.roles, frozenset)
    for intruder in [role for role in Role if role not in operation.roles][:1]:
        assert_problem(await post(shared_edge, example, key, intruder), 403)
    if "amount" in example.body:
        # The write path's own refusal, not the edge's.
        huge = replace(example, body=example.body | {"amount": "99999999999999999.99"})
        assert (await post(shared_edge, huge, key)).status_code in {409, 422}
    assert row_counts(shared_edge.urls) == rows

    assert (await post(shared_edge, example, key)).status_code < 300


async def test_what_was_refused_for_lack_of_funds_settles_later_under_its_key(edge: Edge) -> None:
    bank = edge.bank
    body = {
        "payer_account_id": bank.account_id("HARBOUR-USD"),
        "payee_account_id": bank.account_id("LANTERN-USD"),
        "amount": "5.00",
        "currency": "USD",
    }
    for _ in range(2):
        response = await edge.post("/v1/transfers", body, Role.PLATFORM, key="later")
        assert_problem(response, 409, "insufficient_funds")
    bank.mint("HARBOUR-USD", "5.00")

    settled = await edge.post("/v1/transfers", body, Role.PLATFORM, key="later")
    again = await edge.post("/v1/transfers", body, Role.PLATFORM, key="later")

    assert (settled.status_code, again.content) == (201, settled.content)


async def test_an_item_of_a_batch_and_a_transfer_share_a_key(edge: Edge) -> None:
    bank = edge.bank
    bank.mint("HARBOUR-USD", "10.00")
    item = examples(bank)["/v1/transfers"]().body
    alone = await edge.post("/v1/transfers", item, Role.PLATFORM, key="item 1")
    items = [item | {"idempotency_key": "item 1"}, item | {"idempotency_key": "item 2"}]

    batch = await edge.post("/v1/transfer-batches", {"items": items}, Role.PLATFORM, key="batch")
    second = await edge.post("/v1/transfers", item, Role.PLATFORM, key="item 2")

    first_item, second_item = batch.json()["items"]
    assert first_item["id"] == alone.json()["id"]
    assert (second.headers["idempotency-replayed"], second.json()["id"]) == ("true", second_item["id"])
    oracle(bank)
