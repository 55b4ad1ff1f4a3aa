"""What leaves an entry in the audit trail: for every route, every role and every way to be refused, exactly one."""

import asyncio
import hashlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import rfc8785
from starlette.routing import Route

from tallystick.api import application, audit_trail
from tallystick.core.clock import SystemClock
from tallystick.core.ids import new_suffix
from tallystick.participants import Principal, Role
from tests import camt_writer
from tests.api.auditing import Watch, watching
from tests.api.edge import OPERATIONS, Edge, Operation, api_key, assert_problem, open_edge
from tests.api.examples import Example, examples
from tests.api.refusing import CANARY
from tests.bank import Bank, oracle
from tests.database import DatabaseUrls, connect

pytestmark = pytest.mark.anyio

BEHIND_A_KEY: Final = [one for one in OPERATIONS if isinstance(one.roles, frozenset)]
WRITES: Final = [one for one in BEHIND_A_KEY if one.takes_key]
# Settled by the caller for itself: the log keeps them. All others leave an entry of their own.
IN_THE_LOG: Final = {
    "/v1/accounts/{account_id}/close",
    "/v1/accounts/{account_id}/freeze",
    "/v1/breakers/{token_class_id}/trip",
    "/v1/deposit-releases",
    "/v1/holders/{holder_id}/suspend",
    "/v1/holds",
    "/v1/holds/{hold_id}/execute",
    "/v1/holds/{hold_id}/void",
    "/v1/liability-attestations",
    "/v1/orders",
    "/v1/orders/{order_id}/top-up",
    "/v1/payouts",
    "/v1/payouts/{payout_id}/cancel",
    "/v1/redemptions",
    "/v1/signing-keys/{key_id}/revoke",
    "/v1/token-classes/{token_class_id}/mode",
    "/v1/transfer-batches",
    "/v1/transfers",
}


@pytest.fixture(autouse=True, scope="module")
def today(shared_edge: Edge) -> None:
    """Let the bank live today, as the service does: what it asks for is not yet too old to be approved."""
    shared_edge.bank.clock.at = SystemClock().now()


@pytest.fixture
def watch(shared_edge: Edge) -> Iterator[Watch]:
    with watching(shared_edge) as watched:
        yield watched


def principal_of(bank: Bank, role: str) -> Principal:
    return {
        Role.TREASURY_MAKER: bank.maker,
        Role.TREASURY_CHECKER: bank.checker,
        Role.OPERATOR: bank.operator,
        Role.AUDITOR: bank.auditor,
        Role.PLATFORM: bank.platform,
        Role.HOLDER: bank.holder,
    }[Role(role)]


def url(operation: Operation) -> tuple[str, str | None]:
    """Return the operation's path with ids of nothing, and the first of them."""
    path, first = operation.path, None
    for name in operation.parameters:
        absent = "4711" if name == "event_index" else f"{name.removesuffix('_id')}_{new_suffix()}"
        first = first or absent
        path = path.replace(f"{{{name}}}", absent)
    return path, first


def name_of(operation: Operation) -> str:
    """Return what the trail calls it: writes have names, readings are called by their path."""
    if operation.method == "GET":
        # As the framework writes it, with what a parameter may span.
        return operation.path.replace("{tile_path}", "{tile_path:path}")
    [endpoint] = [
        route.endpoint
        for room in application._ROOMS
        for route in room.router.routes
        if isinstance(route, Route) and route.path == operation.path and "POST" in (route.methods or ())
    ]
    return str(vars(endpoint)["operation"])


@pytest.mark.parametrize("operation", BEHIND_A_KEY, ids=str)
@pytest.mark.usefixtures("nothing_written")
async def test_an_attempt_leaves_one_entry_if_it_is_refused_or_an_auditor_s_and_else_none(
    shared_edge: Edge, watch: Watch, operation: Operation
) -> None:
    path, subject_id = url(operation)
    for role in Role:
        headers = shared_edge.writing(role) | {"Request-Id": f"trail-{role}"}
        sent = {"headers": headers} if operation.method == "GET" else {"headers": headers, "json": {}}
        response = await shared_edge.client.request(operation.method, path, **sent)  # type: ignore[arg-type]

        principal = principal_of(shared_edge.bank, role)
        if response.status_code < 400 and role != Role.AUDITOR:
            assert watch.left() == []
            continue
        left = watch.one()
        assert (left.operation, left.method) == (name_of(operation), operation.method)
        assert (left.principal_id, left.person) == (principal.id, principal.person)
        assert left.key_id is not None
        assert shared_edge.keys[role][30:56] in left.key_id
        assert left.source == "127.0.0.1"
        assert left.request_id == f"trail-{role}"
        assert left.status == response.status_code
        assert left.subject_id == subject_id
        if response.status_code >= 400:
            assert (left.decision, left.code) == ("refused", response.json()["code"])
        else:
            assert (left.decision, left.code) == ("read", None)
        if role not in operation.roles:  # type: ignore[operator]
            assert left.code == "role_not_allowed"


@pytest.mark.parametrize("operation", WRITES, ids=str)
async def test_what_is_settled_is_on_record_once(
    shared_edge: Edge, watch: Watch, operation: Operation
) -> None:
    edge = shared_edge
    example = examples(edge.bank)[operation.path]()
    principal = principal_of(edge.bank, example.role)
    events_before = event_count(edge)
    watch.left()

    response = await edge.post(example.path, example.body, example.role, key=f"trail {operation.path}")

    assert response.status_code < 300, response.text
    left = watch.left()
    if operation.path in IN_THE_LOG:
        assert left == []
        assert event_count(edge) > events_before
    else:
        [entry] = left
        # An export that is asked for waits for a worker and for nobody's decision.
        waits = response.status_code == 202 and response.json()["object"] != "export"
        assert entry.decision == ("pending" if waits else "settled")
        assert (entry.operation, entry.principal_id) == (name_of(operation), principal.id)
        assert (entry.status, entry.code) == (response.status_code, None)
        assert entry.request_hash is not None
        # A signing key's id looks like a secret would, and is told by the change itself.
        from_path = operation.parameters and not operation.path.startswith("/v1/signing-keys/")
        named = example.path.split("/")[3] if from_path else response.json()["id"]
        assert entry.subject_id == named

    again = await edge.post(example.path, example.body, example.role, key=f"trail {operation.path}")
    assert again.headers["idempotency-replayed"] == "true"
    replayed = watch.one()
    assert (replayed.decision, replayed.status) == ("replayed", response.status_code)
    other = await edge.post(example.path, example.other_body, example.role, key=f"trail {operation.path}")
    assert_problem(other, 409, "idempotency_key_reused")
    refused = watch.one()
    assert (refused.decision, refused.code) == ("refused", "idempotency_key_reused")
    assert refused.request_hash not in {None, replayed.request_hash}


def event_count(edge: Edge) -> int:
    with edge.bank.database.read() as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM event").scalar_one())


async def test_a_statement_leaves_one_entry_with_or_without_a_key(shared_edge: Edge, watch: Watch) -> None:
    file = camt_writer.message(
        camt_writer.Stated((camt_writer.Entry("12.34"),), opening="1.00", closing="13.34"), message_id="T-1"
    )
    for headers in (shared_edge.bearer(Role.TREASURY_MAKER), shared_edge.writing(Role.TREASURY_MAKER)):
        response = await shared_edge.client.post("/v1/statements", content=file, headers=headers)
        assert response.status_code in {200, 201}, response.text
        left = watch.one()
        assert (left.operation, left.decision, left.status) == (
            "statement_import",
            "settled",
            response.status_code,
        )
        assert left.subject_id == response.json()["statements"][0]["id"]


async def test_four_eyes_leave_two_entries_and_the_log_has_the_third(shared_edge: Edge, watch: Watch) -> None:
    edge, bank = shared_edge, shared_edge.bank
    bank.deposit("HARBOUR-USD", "5.00")
    body = {"account_id": bank.account_id("HARBOUR-USD"), "amount": "5.00", "currency": "USD"}
    asked = (await edge.post("/v1/mints", body, Role.TREASURY_MAKER)).json()
    approve = f"/v1/approvals/{asked['approval_id']}/approve"
    typed = {"amount": "5.01", "currency": "USD"}
    assert_problem(await edge.post(approve, typed, Role.TREASURY_CHECKER), 422, "approval_mismatch")
    done = await edge.post(approve, typed | {"amount": "5.00"}, Role.TREASURY_CHECKER)

    assert done.status_code == 200
    pending, refused, approved = watch.left()
    assert (pending.decision, pending.person, pending.subject_id) == ("pending", "Mara Maker", asked["id"])
    assert (refused.decision, refused.code, refused.subject_id) == (
        "refused",
        "approval_mismatch",
        asked["approval_id"],
    )
    assert (approved.decision, approved.person) == ("settled", "Chen Checker")
    told = (await edge.get(f"/v1/audit-trail?subject_id={asked['id']}", Role.OPERATOR)).json()["data"]
    assert [(one["decision"], one["kept_in"]) for one in told] == [("pending", "trail"), ("settled", "log")]
    assert told[1]["event_index"] == approved.event_index


async def test_a_refused_instruction_names_whose_tokens_were_asked_for(
    shared_edge: Edge, watch: Watch
) -> None:
    bank = shared_edge.bank
    payer = bank.account_id("HARBOUR-USD")
    body = {"payer_account_id": payer, "payee_account_id": bank.account_id("LANTERN-USD"), "currency": "USD"}
    for named, kept in ((payer, payer), (CANARY, None)):
        sent = body | {"payer_account_id": named, "amount": "900000000.00"}
        assert (await shared_edge.post("/v1/transfers", sent, Role.PLATFORM)).status_code in {404, 409}
        assert watch.one().subject_id == kept


async def test_a_batch_is_one_entry_that_counts_its_refused_items(shared_edge: Edge, watch: Watch) -> None:
    edge, bank = shared_edge, shared_edge.bank
    bank.mint("SILKROAD-USD", "2.00")
    item = {
        "payer_account_id": bank.account_id("SILKROAD-USD"),
        "payee_account_id": bank.account_id("LANTERN-USD"),
        "amount": "1.00",
        "currency": "USD",
    }
    items = [
        item,
        item | {"amount": "50.00"},
        item | {"payer_account_id": "account_x"},
        item | {"amount": "60.00"},
    ]
    response = await edge.post("/v1/transfer-batches", {"items": items}, Role.PLATFORM)
    assert (response.status_code, response.json()["settled_count"]) == (200, 1)
    left = watch.one()
    assert (left.operation, left.decision, left.subject_id) == (
        "transfer_batch",
        "partial",
        response.json()["id"],
    )
    assert left.reasons == {"insufficient_funds": 2, "account_not_found": 1}

    response = await edge.post("/v1/transfer-batches", {"items": items, "atomic": True}, Role.PLATFORM)
    assert_problem(response, 409, "atomic_batch_refused")
    left = watch.one()
    assert (left.decision, left.code) == ("refused", "atomic_batch_refused")
    assert left.reasons == {"insufficient_funds": 2, "account_not_found": 1}


async def test_every_reason_against_an_instruction_is_kept(edge: Edge) -> None:
    bank = edge.bank
    bank.freeze("LANTERN-USD")
    with connect(edge.urls.superuser_url) as connection:
        connection.execute("UPDATE holder SET kyc_status = 'pending'")
    body = {
        "payer_account_id": bank.account_id("HARBOUR-USD"),
        "payee_account_id": bank.account_id("LANTERN-USD"),
        "amount": "1.00",
        "currency": "USD",
    }
    with watching(edge) as watch:
        await edge.post("/v1/transfers", body, Role.PLATFORM)
        assert watch.one().reasons == {"kyc_not_verified": 1, "account_frozen": 1}


async def test_what_an_auditor_asked_can_be_told_again(shared_edge: Edge, watch: Watch) -> None:
    account_id = shared_edge.bank.account_id("LANTERN-USD")
    for target in (f"/v1/accounts/{account_id}/balance", f"/v1/events?account_id={account_id}&limit=7"):
        assert (await shared_edge.get(target)).status_code == 200
        left = watch.one()
        assert left.request_hash == hashlib.sha256(target.encode()).digest()
        assert left.subject_id == account_id


class TestBadKeys:
    async def test_a_key_that_names_an_issuer_is_on_record_as_nobody_s(self, edge: Edge) -> None:
        good = edge.keys[Role.OPERATOR]
        headers = {"Authorization": f"Bearer {good[:-43]}{'A' * 43}", "Request-Id": "guessed"}
        with watching(edge) as watch:
            for method, path in (("GET", "/v1/accounts"), ("POST", "/v1/transfers")):
                response = await edge.client.request(method, path, headers=headers)
                assert_problem(response, 401, "api_key_invalid")
                left = watch.one()
                assert (left.decision, left.code, left.status) == ("refused", "api_key_invalid", 401)
                assert (left.principal_id, left.person, left.source) == (None, None, "127.0.0.1")
                assert left.key_id == f"key_{good[30:56]}"

    async def test_one_that_names_none_is_on_nobody_s_record(self, shared_edge: Edge, watch: Watch) -> None:
        with connect(shared_edge.urls.superuser_url) as connection:
            before = connection.execute("SELECT count(*) FROM audit_entry").fetchone()
            good = shared_edge.keys[Role.OPERATOR]
            for presented in (f"tsk_{new_suffix()}{good[30:]}", "tsk_", "x", good[:-1]):
                response = await shared_edge.client.get(
                    "/v1/accounts", headers={"Authorization": f"Bearer {presented}"}
                )
                assert_problem(response, 401, "api_key_invalid")
            assert (await shared_edge.client.get("/v1/accounts")).status_code == 401
            assert connection.execute("SELECT count(*) FROM audit_entry").fetchone() == before
        assert watch.left() == []

    async def test_a_flood_is_bounded_and_counted(self, database_urls: DatabaseUrls, tmp_path: Path) -> None:
        async with open_edge(database_urls, tmp_path / "state", audit_strays_per_minute_max=5) as edge:
            headers = {"Authorization": f"Bearer {edge.keys[Role.OPERATOR][:-43]}{'A' * 43}"}
            told = await asyncio.gather(
                *(edge.client.get("/v1/accounts", headers=headers) for _ in range(50))
            )
            assert {one.status_code for one in told} == {401}
            with watching(edge) as watch:
                watch._last_number = -1
                assert len(watch.left()) == 5
                await asyncio.to_thread(edge.application.state.service._trail.close)
                summary = watch.one()
                assert (summary.operation, summary.reasons) == ("*", {"api_key_invalid": 45})


class TestWithoutTheTrail:
    """Nobody acts or reads unseen: what can't be put on record isn't told."""

    @pytest.fixture
    def unwritable(self, edge: Edge) -> Edge:
        edge.bank.mint("HARBOUR-USD", "10.00")
        with connect(edge.urls.superuser_url) as connection:
            connection.execute("REVOKE INSERT ON audit_entry FROM tallystick_service")
        return edge

    async def test_a_refusal_is_not_told(self, unwritable: Edge) -> None:
        response = await unwritable.get("/v1/audit-trail", Role.PLATFORM)
        assert_problem(response, 503, "audit_unavailable")
        assert response.headers["retry-after"]

    async def test_an_auditor_is_shown_nothing(self, unwritable: Edge) -> None:
        for path in ("/v1/accounts", "/v1/audit-trail.ndjson", "/v1/events?follow=true"):
            response = await unwritable.get(path, Role.AUDITOR)
            problem = assert_problem(response, 503, "audit_unavailable")
            assert set(problem) == {"type", "title", "status", "detail", "code"}
        assert (await unwritable.get("/v1/accounts", Role.OPERATOR)).status_code == 200

    async def test_a_registration_is_not_made(self, unwritable: Edge) -> None:
        example = examples(unwritable.bank)["/v1/holders"]()
        before = (await unwritable.get("/v1/holders", Role.OPERATOR)).json()["data"]
        response = await unwritable.post(example.path, example.body, example.role)
        assert_problem(response, 500, "internal_error")
        assert (await unwritable.get("/v1/holders", Role.OPERATOR)).json()["data"] == before

    async def test_money_moves_all_the_same_for_the_log_keeps_it(self, unwritable: Edge) -> None:
        example = examples(unwritable.bank)["/v1/transfers"]()
        response = await unwritable.post(example.path, example.body, example.role)
        assert response.status_code == 201
        oracle(unwritable.bank)

    async def test_a_request_that_waits_for_a_checker_is_told_when_it_can_be(self, unwritable: Edge) -> None:
        edge = unwritable
        edge.bank.deposit("HARBOUR-USD", "5.00")
        body = {"account_id": edge.bank.account_id("HARBOUR-USD"), "amount": "5.00", "currency": "USD"}
        response = await edge.post("/v1/mints", body, key="once")
        assert_problem(response, 503, "audit_unavailable")
        with connect(edge.urls.superuser_url) as connection:
            connection.execute("GRANT INSERT ON audit_entry TO tallystick_service")
        again = await edge.post("/v1/mints", body, key="once")
        assert (again.status_code, again.headers["idempotency-replayed"]) == (202, "true")
        assert len((await edge.get("/v1/approvals?state=pending", Role.OPERATOR)).json()["data"]) == 1


async def test_a_fault_of_ours_is_on_record_without_holding_up_its_answer(edge: Edge) -> None:
    example = examples(edge.bank)["/v1/holders"]()
    with connect(edge.urls.superuser_url) as connection:
        connection.execute("REVOKE INSERT ON holder FROM tallystick_service")
    with watching(edge) as watch:
        response = await edge.post(example.path, example.body, example.role)
        assert_problem(response, 500, "internal_error")
        await asyncio.to_thread(edge.application.state.service._trail.close)
        left = watch.one()
    assert (left.operation, left.decision, left.status, left.code) == (
        "holder",
        "failed",
        500,
        "internal_error",
    )
    assert left.principal_id == edge.bank.operator.id


@pytest.mark.parametrize("operation", BEHIND_A_KEY, ids=str)
async def test_nothing_that_people_write_is_in_trail_or_log(
    shared_edge: Edge, prepared: dict[str, Example], caplog: pytest.LogCaptureFixture, operation: Operation
) -> None:
    edge = shared_edge
    example = prepared.get(operation.path)
    path = operation.path
    for name in operation.parameters:
        path = path.replace(f"{{{name}}}", CANARY)
    assert isinstance(operation.roles, frozenset)
    role = example.role if example else min(operation.roles)
    canaries: list[dict[str, Any]] = [
        {"headers": edge.writing(role, f"key {CANARY}")},
        {"headers": edge.writing(role) | {"User-Agent": CANARY, "Cookie": CANARY, "X-Forwarded-For": CANARY}},
        {"headers": {"Authorization": f"Bearer tsk_{CANARY}"}},
        {"headers": {"Authorization": f"{edge.bearer(role)['Authorization'][:-43]}{CANARY:A<43}"}},
        {"headers": edge.writing(role), "params": {"q": CANARY, "account_id": CANARY, CANARY: "1"}},
    ]
    bodies: list[Any] = [{CANARY: CANARY}, [CANARY], CANARY]
    if example:
        bodies += [example.body | {name: CANARY} for name in example.body]
        bodies += [example.body | {"reference": CANARY, "reason": CANARY}]
    with caplog.at_level(logging.DEBUG):
        for sent in canaries:
            more = {"json": example.body if example else {}} if operation.method == "POST" else {}
            for target in {path, example.path if example else path}:
                await edge.client.request(operation.method, target, **(more | sent))
        if operation.method == "POST":
            for body in bodies:
                await edge.client.post(
                    example.path if example else path, json=body, headers=edge.writing(role)
                )
    with connect(edge.urls.superuser_url) as connection:
        [told] = connection.execute(
            "SELECT coalesce(string_agg(t::text, ' '), '') FROM audit_entry t"
        ).fetchone() or [""]
        assert told, "something was put on record"
    secrets = [CANARY, *(key[-43:] for key in edge.keys.values())]
    assert not [one for one in secrets if one in str(told)]
    # The client that sends them is no part of the service.
    logged = "\n".join(one.getMessage() for one in caplog.records if one.name.partition(".")[0] != "httpx")
    assert not [one for one in secrets if one in logged]


class TestReading:
    """`/v1/audit-trail` itself."""

    @pytest.mark.parametrize("limit", [1, 2, 5])
    async def test_pages_add_up_to_the_stream(self, shared_edge: Edge, limit: int) -> None:
        shared_edge.bank.mint("HARBOUR-USD", "1.00")
        for _ in range(3):
            await shared_edge.get("/v1/accounts/account_1")
        whole = await lines(shared_edge, Role.OPERATOR)
        period = {"from": whole[max(0, len(whole) - 9)]["created_at"], "to": whole[-1]["created_at"]}
        expected = [one for one in whole if period["from"] < one["created_at"]]
        told: list[Any] = []
        query: dict[str, Any] = {"limit": limit} | period
        for _ in range(100):
            page = (await shared_edge.get("/v1/audit-trail", Role.TREASURY_CHECKER, params=query)).json()
            assert set(page) == {"object", "data", "has_more", "next_cursor"}
            told += page["data"]
            if not page["has_more"]:
                break
            query = {"limit": limit, "cursor": page["next_cursor"]}
        assert told == expected
        assert await lines(shared_edge, Role.OPERATOR, **period) == expected

    async def test_an_auditor_s_walk_does_not_follow_its_own_tail(self, shared_edge: Edge) -> None:
        await shared_edge.get("/v1/accounts")
        before = len(await lines(shared_edge, Role.OPERATOR))
        query: dict[str, Any] = {"limit": max(1, before // 3)}
        pages = 0
        while True:
            page = (await shared_edge.get("/v1/audit-trail", Role.AUDITOR, params=query)).json()
            pages += 1
            assert pages < 10
            if not page["has_more"]:
                break
            query["cursor"] = page["next_cursor"]
        assert len(await lines(shared_edge, Role.OPERATOR)) == before + pages

    async def test_the_stream_goes_on_page_after_page_and_its_chain_holds(
        self, shared_edge: Edge, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for _ in range(4):
            await shared_edge.get("/v1/accounts")
        whole = await lines(shared_edge, Role.OPERATOR)
        monkeypatch.setattr(audit_trail, "_STREAM_PAGE", 3)
        assert await lines(shared_edge, Role.OPERATOR) == whole
        # With nothing of ours: as an auditor would.
        entries = [one for one in whole if one["kept_in"] == "trail"]
        assert [one["number"] for one in entries] == list(range(len(entries)))
        previous = "0" * 64
        for one in entries:
            digest = one.pop("hash")
            assert hashlib.sha256(rfc8785.dumps(one | {"previous_hash": previous})).hexdigest() == digest
            previous = digest

    async def test_filters(self, shared_edge: Edge) -> None:
        bank = shared_edge.bank
        assert (await shared_edge.get("/v1/approvals", Role.PLATFORM)).status_code == 403
        query = {
            "principal_id": bank.platform.id,
            "code": "role_not_allowed",
            "operation": "/v1/approvals",
        }
        found = (
            await shared_edge.get("/v1/audit-trail", Role.OPERATOR, params=query | {"decision": "refused"})
        ).json()
        assert [one["code"] for one in found["data"]] == ["role_not_allowed"] * len(found["data"])
        assert found["data"]
        query["decision"] = "settled"
        nothing = await shared_edge.get("/v1/audit-trail", Role.OPERATOR, params=query)
        assert nothing.json()["data"] == []

    @pytest.mark.parametrize(
        "cursor", ["1", "1.2.3", "1.2.3.4.5", "a.b.c.d", "-2.0.0.0", f"{2**63}.0.0.0", "1..2.3"]
    )
    async def test_a_cursor_that_is_none_is_refused(self, shared_edge: Edge, cursor: str) -> None:
        response = await shared_edge.get(f"/v1/audit-trail?cursor={cursor}")
        problem = assert_problem(response, 422, "request_invalid")
        assert [one["pointer"] for one in problem["errors"]] == ["/query/cursor"]

    async def test_another_bank_has_another_trail(self, shared_edge: Edge) -> None:
        other = shared_edge.other
        key = api_key(other, other.operator)
        response = await shared_edge.client.get(
            "/v1/audit-trail.ndjson", headers={"Authorization": f"Bearer {key}"}
        )
        assert shared_edge.bank.issuer_id not in response.text


async def lines(edge: Edge, role: str, **query: str) -> list[dict[str, Any]]:
    response = await edge.get("/v1/audit-trail.ndjson", role, params=query)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in response.text.splitlines()]
