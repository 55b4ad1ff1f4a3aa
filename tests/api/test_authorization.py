"""Who may do what, and who may know of what: generated from the routes, so that a new one can't be left out.

Three tables: every route by every role and every way not to have a key; every id of a path, a query or a body, when
it is another bank's or another customer's; every list, searched for what is not the caller's.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import pytest

from tallystick import events, participants
from tallystick.core.ids import new_suffix
from tallystick.participants import Role, Scope
from tests.api.edge import OPERATIONS, Edge, Operation, api_key, assert_problem, row_counts
from tests.api.examples import Example, add_strangers, examples, integrate_all, life_of, staff_life_of
from tests.api.signatures import payload_of
from tests.bank import AUDITED_UNTIL

pytestmark = pytest.mark.anyio

# Swagger's own page and files: they hold nothing of any bank.
DOCUMENTS: Final = {"/docs", "/docs/oauth2-redirect", "/docs-assets", "/openapi.json"}
OURS: Final = [one for one in OPERATIONS if one.path not in DOCUMENTS]
BEHIND_A_KEY: Final = [one for one in OURS if one.roles != "public"]
CUSTOMERS: Final = frozenset({Role.PLATFORM, Role.HOLDER})
# What a platform may know of though it isn't its own: its bank, the bank's token classes, and what it attested of them.
COMMON: Final = {"attestation_id", "issuer_id", "token_class_id"}
# What is counted within one bank is no id that two banks could share.
COUNTED: Final = {"event_index", "tile_path"}
NAMED: Final = [one for one in BEHIND_A_KEY if set(one.parameters) - COUNTED]
# It tells what callers sent, the ids of others that they tried included; tests/api/test_audit_trail.py is about it.
TOLD_BY_CALLERS: Final = {"/v1/audit-trail", "/v1/audit-trail.ndjson"}
LISTS: Final = [
    one
    for one in BEHIND_A_KEY
    if one.method == "GET" and not one.parameters and one.path not in TOLD_BY_CALLERS
]


def test_every_route_declares_its_roles() -> None:
    undeclared = [str(one) for one in OURS if one.roles is None]

    assert not undeclared, "routes without roles; see tallystick.api.access"


def test_nothing_that_concerns_a_bank_is_public() -> None:
    public = {one.path for one in OURS if one.roles == "public"}

    # A log's hashes tell how much happens at a bank, and nothing of what: that is what makes it checkable.
    assert public == {
        "/",
        "/healthz",
        "/readyz",
        "/.well-known/jwks.json",
        "/oauth/token",
        "/log/{issuer_id}",
        "/log/{issuer_id}/checkpoint",
        "/log/{issuer_id}/tile/{level}/{tile_path}",
        # What a run attests names no holder, and only whoever was given its id finds it.
        "/v1/reconciliations/{reconciliation_id}/attestation",
        "/v1/reconciliations/{reconciliation_id}/attestation.pdf",
    }


def url(operation: Operation, ids: dict[str, str]) -> str:
    """Return the operation's path with these ids, and with absent ones where there is none."""
    found = operation.path
    for name in operation.parameters:
        found = found.replace(f"{{{name}}}", ids.get(name) or absent(name))
    return found


def absent(name: str) -> str:
    return "4711" if name in COUNTED else f"{name.removesuffix('_id')}_{new_suffix()}"


async def ask(
    edge: Edge, operation: Operation, path: str, headers: dict[str, str], body: object = None
) -> Any:
    if operation.method == "GET":
        return await edge.client.get(path, headers=headers)
    key = {"Idempotency-Key": f"authorization-{new_suffix()}"}
    return await edge.client.post(path, json={} if body is None else body, headers=headers | key)


@pytest.mark.parametrize("operation", BEHIND_A_KEY, ids=str)
async def test_a_role_gets_in_where_it_is_declared_and_nowhere_else(
    shared_edge: Edge, operation: Operation
) -> None:
    assert isinstance(operation.roles, frozenset)
    path = url(operation, {})
    for role in Role:
        response = await ask(shared_edge, operation, path, shared_edge.bearer(role))

        if role in operation.roles:
            assert response.status_code not in {401, 403}, (role, response.text)
            assert response.status_code < 500, response.text
        else:
            assert_problem(response, 403, "role_not_allowed")


@pytest.fixture(scope="module")
def narrowed(shared_edge: Edge) -> dict[tuple[str, str], str]:
    """Keys of callers of each role that were narrowed to one scope each."""
    bank = shared_edge.bank
    keys = {}
    for role in Role:
        holder = {Role.PLATFORM: "HARBOUR", Role.HOLDER: "NORTHWIND"}.get(role)
        for scope in Scope:
            with bank.database.engine.begin() as connection:
                caller = participants.register_principal(
                    connection,
                    bank.clock,
                    bank.issuer_id,
                    name=f"{role} for {scope}",
                    roles=frozenset({role}),
                    person=None if holder else f"{role} {scope}",
                    holder_id=bank.holders[holder].id if holder else None,
                    scopes=frozenset({scope}),
                    access_until=AUDITED_UNTIL if role == Role.AUDITOR else None,
                )
            keys[(role.value, scope.value)] = api_key(bank, caller)
    return keys


@pytest.mark.parametrize("operation", BEHIND_A_KEY, ids=str)
async def test_a_narrowed_caller_gets_in_within_its_scope_and_nowhere_else(
    shared_edge: Edge, narrowed: dict[tuple[str, str], str], operation: Operation
) -> None:
    assert isinstance(operation.roles, frozenset)
    role = min(operation.roles)
    for scope in Scope:
        headers = {"Authorization": f"Bearer {narrowed[(role, scope)]}"}
        response = await ask(shared_edge, operation, url(operation, {}), headers)

        if scope == operation.scope:
            assert response.status_code not in {401, 403}, (scope, response.text)
        else:
            assert_problem(response, 403, "scope_not_allowed")


def test_scopes_part_what_reads_pays_and_rules() -> None:
    asked = {str(one): one.scope for one in BEHIND_A_KEY}

    assert {scope for name, scope in asked.items() if name.startswith("GET")} == {Scope.READ}
    for path, scope in {
        "/v1/transfers": Scope.PAYMENTS,
        "/v1/transfer-batches": Scope.PAYMENTS,
        "/v1/holds/{hold_id}/void": Scope.PAYMENTS,
        "/v1/redemptions": Scope.PAYMENTS,
        "/v1/mints": Scope.TREASURY,
        "/v1/approvals/{approval_id}/approve": Scope.TREASURY,
        "/v1/statements": Scope.TREASURY,
        "/v1/holders": Scope.ADMINISTRATION,
        "/v1/principals": Scope.ADMINISTRATION,
        "/v1/principals/{principal_id}/suspend": Scope.ADMINISTRATION,
        "/v1/exports": Scope.READ,
    }.items():
        assert asked[f"POST {path}"] == scope, path


@pytest.fixture(scope="module")
def bad_bearers(shared_edge: Edge) -> dict[str, dict[str, str]]:
    """Every `Authorization` that must not get in."""
    bank = shared_edge.bank
    revoked = api_key(bank, bank.operator)
    with bank.database.engine.begin() as connection:
        key_id = participants.api_keys(connection, bank.issuer_id)[-1].id
        assert participants.revoke_api_key(connection, bank.clock, bank.issuer_id, key_id)
        leaver = participants.register_principal(
            connection,
            bank.clock,
            bank.issuer_id,
            name="Lena Leaver",
            roles=frozenset({Role.OPERATOR}),
            person="Lena Leaver",
        )
    suspended = api_key(bank, leaver)
    elsewhere = api_key(bank, bank.operator, ip_allow_list=["203.0.113.0/24"])
    with bank.database.engine.begin() as connection:
        participants.suspend(connection, bank.issuer_id, leaver.id, "Left the bank.")
    good = shared_edge.keys[Role.OPERATOR]
    presented = {
        "empty": "",
        "no key": "Bearer",
        "another scheme": f"Basic {good}",
        "no scheme": good,
        "garbage": "Bearer \xff\xfe%00",
        "long": "Bearer " + "a" * 10_000,
        "another secret": f"Bearer {good[:-43]}{'A' * 43}",
        "a secret too many": f"Bearer {good}A",
        "another bank's id": f"Bearer tsk_{new_suffix()}{good[30:]}",
        "revoked": f"Bearer {revoked}",
        "expired": f"Bearer {api_key(bank, bank.operator, lifetime_days=-1000)}",
        "suspended": f"Bearer {suspended}",
        "from elsewhere": f"Bearer {elsewhere}",
        "an access token that isn't": f"Bearer tst_{good[4:]}",
        "a JWT of no provider": "Bearer eyJhbGciOiJub25lIn0.e30.",
    }
    return {"missing": {}} | {name: {"Authorization": value} for name, value in presented.items()}


@pytest.mark.parametrize("operation", BEHIND_A_KEY, ids=str)
async def test_nobody_gets_in_without_a_good_key(
    shared_edge: Edge, bad_bearers: dict[str, dict[str, str]], operation: Operation
) -> None:
    path = url(operation, {})
    answers = set()
    for headers in bad_bearers.values():
        sent = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        response = await shared_edge.client.request(
            operation.method, path, headers=[*sent, (b"Idempotency-Key", b"1")]
        )

        assert_problem(response, 401, "api_key_invalid")
        assert response.headers["www-authenticate"] == "Bearer"
        answers.add(response.content)
    assert len(answers) == 1, "why a key doesn't open is nobody's business"


async def test_public_routes_need_no_key_and_mind_none(
    shared_edge: Edge, twins: "Twins", bad_bearers: dict[str, dict[str, str]]
) -> None:
    ids = {"issuer_id": shared_edge.bank.issuer_id, "level": "0", "tile_path": "000.p/1"}
    ids["reconciliation_id"] = twins.other["reconciliation_id"]
    for operation in OURS:
        if operation.roles == "public" and operation.method == "GET":
            for name in ("missing", "revoked"):
                response = await shared_edge.client.get(url(operation, ids), headers=bad_bearers[name])
                assert response.status_code < 400, operation


async def test_a_key_that_is_revoked_opens_nothing_a_moment_later(edge: Edge) -> None:
    headers = edge.bearer(Role.OPERATOR)
    assert (await edge.client.get("/v1/accounts", headers=headers)).status_code == 200
    with edge.bank.database.engine.begin() as connection:
        for key in participants.api_keys(connection, edge.bank.issuer_id):
            participants.revoke_api_key(connection, edge.bank.clock, edge.bank.issuer_id, key.id)

    for _ in range(100):
        response = await edge.client.get("/v1/accounts", headers=headers)
        if response.status_code == 401:
            return
        await asyncio.sleep(0.1)
    pytest.fail("the key still opens after ten seconds")


class Twins:
    """The same question twice: about what is somebody else's, and about what isn't there at all."""

    def __init__(self, edge: Edge, other: dict[str, str]) -> None:
        self.edge = edge
        self.other = other
        self.strangers = add_strangers(edge.bank)
        edge.keys["strangers"] = api_key(edge.bank, self.strangers.platform)
        self.mine = {path: make() for path, make in examples(edge.bank).items()}
        self.theirs = {path: make() for path, make in examples(edge.other).items()}
        for bank in (edge.bank, edge.other):
            integrate_all(bank)

    async def check(
        self, operation: Operation, role: str, hidden: tuple[str, object], missing: tuple[str, object]
    ) -> None:
        """Assert that both paths and bodies are answered alike to the last byte but for the request's id."""
        headers = self.edge.bearer(role)
        answers = [await ask(self.edge, operation, path, headers, body) for path, body in (hidden, missing)]
        told = [
            sorted((name, value) for name, value in one.headers.items() if name != "request-id")
            for one in answers
        ]
        assert answers[0].content == answers[1].content, (role, hidden, missing)
        assert (answers[0].status_code, told[0]) == (answers[1].status_code, told[1])
        assert answers[0].status_code < 500
        if not operation.queries:
            assert_problem(answers[0])


@pytest.fixture(scope="module")
async def twins(
    anyio_backend: str,
    shared_edge: Edge,
    bad_bearers: dict[str, dict[str, str]],
    narrowed: dict[tuple[str, str], str],
) -> AsyncIterator[Twins]:
    customers = life_of(
        shared_edge.other, shared_edge.other.holders["LANTERN"].id, "HARBOUR-USD", "LANTERN-USD"
    )
    made = Twins(shared_edge, customers | await staff_life_of(shared_edge.client, shared_edge.other))
    before = row_counts(shared_edge.urls)
    yield made
    assert row_counts(shared_edge.urls) == before


def body_of(example: Example | None) -> dict[str, Any] | None:
    # A batch that settles what it can is answered with 200: all or none makes its refusal one.
    return None if example is None else example.body | ({"atomic": True} if "items" in example.body else {})


@pytest.mark.parametrize("operation", NAMED, ids=str)
async def test_another_banks_id_in_a_path_is_as_absent(twins: Twins, operation: Operation) -> None:
    unknown = set(operation.parameters) - COUNTED - set(twins.other)
    assert not unknown, f"tell `life_of` in tests/api/examples.py how to make another bank's {unknown}"
    assert isinstance(operation.roles, frozenset)
    body = body_of(twins.mine.get(operation.path))
    for role in sorted(operation.roles):
        await twins.check(operation, role, (url(operation, twins.other), body), (url(operation, {}), body))


@pytest.mark.parametrize(
    "operation", [one for one in NAMED if one.is_for(CUSTOMERS) and set(one.parameters) - COMMON], ids=str
)
async def test_another_customers_id_in_a_path_is_as_absent(twins: Twins, operation: Operation) -> None:
    assert isinstance(operation.roles, frozenset)
    body = body_of(twins.mine.get(operation.path))
    hidden = url(operation, twins.strangers.ids)
    own = await ask(twins.edge, operation, hidden, twins.edge.bearer("strangers"))
    assert own.status_code != 404, "its owner finds it"
    for role in sorted(operation.roles & CUSTOMERS):
        await twins.check(operation, role, (hidden, body), (url(operation, {}), body))


@pytest.mark.parametrize("operation", [one for one in BEHIND_A_KEY if one.reads_json], ids=str)
async def test_another_banks_id_in_a_body_is_as_absent(twins: Twins, operation: Operation) -> None:
    mine, theirs = twins.mine[operation.path], twins.theirs[operation.path]
    body = body_of(mine)
    for place in ids_within(mine.body):
        hidden = replaced(body, place, at(theirs.body, place))
        missing = replaced(body, place, absent(bare(place[-1])))
        await twins.check(operation, mine.role, (mine.path, hidden), (mine.path, missing))


@pytest.mark.parametrize(
    "operation", [one for one in BEHIND_A_KEY if one.reads_json and one.is_for(CUSTOMERS)], ids=str
)
async def test_another_customers_id_in_a_body_is_as_absent(twins: Twins, operation: Operation) -> None:
    mine = twins.mine[operation.path]
    body = body_of(mine)
    for place in ids_within(mine.body):
        if place[-1] != "payee_account_id":  # Anybody of the bank may be paid.
            hidden = replaced(body, place, twins.strangers.ids[bare(place[-1])])
            missing = replaced(body, place, absent(bare(place[-1])))
            await twins.check(operation, mine.role, (mine.path, hidden), (mine.path, missing))


def bare(name: str) -> str:
    return name.removeprefix("payer_").removeprefix("payee_").replace("platform_id", "holder_id")


def ids_within(body: object) -> Iterator[list[Any]]:
    """Yield the place of every id in a body."""
    if isinstance(body, dict):
        yield from ([name] for name in body if name.endswith("_id"))
    members = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for name, value in members:
        yield from ([name, *place] for place in ids_within(value))


def at(body: Any, place: list[Any]) -> Any:
    for step in place:
        body = body[step]
    return body


def replaced(body: object, place: list[Any], value: str) -> object:
    copy = json.loads(json.dumps(body))
    at(copy, place[:-1])[place[-1]] = value
    return copy


@pytest.mark.parametrize("operation", LISTS, ids=str)
async def test_an_id_in_a_query_is_as_absent_when_it_is_somebody_elses(
    twins: Twins, operation: Operation
) -> None:
    assert isinstance(operation.roles, frozenset)
    for name in operation.queries:
        if name in twins.other:
            missing = f"{operation.path}?{name}={absent(name)}"
            for role in sorted(operation.roles):
                await twins.check(
                    operation, role, (f"{operation.path}?{name}={twins.other[name]}", None), (missing, None)
                )
            for role in sorted(operation.roles & CUSTOMERS if name not in COMMON else ()):
                hidden = f"{operation.path}?{name}={twins.strangers.ids[name]}"
                await twins.check(operation, role, (hidden, None), (missing, None))


@pytest.mark.parametrize(
    "operation",
    [one for one in LISTS if not any(query["required"] for query in one.queries.values())],
    ids=str,
)
async def test_lists_hold_nothing_of_anybody_else(twins: Twins, operation: Operation) -> None:
    assert isinstance(operation.roles, frozenset)
    limit = "?limit=1000" if "limit" in operation.queries else ""
    hidden_from_customers = {one for name, one in twins.strangers.ids.items() if name not in COMMON}
    for role in sorted(operation.roles):
        response = await twins.edge.get(operation.path + limit, role)
        assert response.status_code == 200
        is_json = response.headers["content-type"].startswith("application/json")
        listed = response.json().get("data", ()) if is_json else ()
        told = "\n".join([response.text, *(payload_of(one["jws"]) for one in listed if "jws" in one)])
        assert not [one for one in twins.other.values() if one in told], role
        if role in CUSTOMERS:
            assert not [one for one in hidden_from_customers if one in told], role


async def test_customers_see_their_own(twins: Twins) -> None:
    for operation in LISTS:
        if operation.is_for(CUSTOMERS) and "limit" in operation.queries:
            response = await twins.edge.get(operation.path + "?limit=1000", "strangers")
            assert response.json()["data"], operation


async def test_a_role_is_all_that_counts_not_the_holder(twins: Twins) -> None:
    # The merchant is its platform's, whose key acts for it; a holder's key acts for that holder alone.
    lantern = twins.edge.bank.account_id("LANTERN-USD")
    for role, status in ((Role.PLATFORM, 200), (Role.HOLDER, 404), (Role.AUDITOR, 200)):
        assert (await twins.edge.get(f"/v1/accounts/{lantern}/balance", role)).status_code == status


async def test_a_payer_is_not_told_what_the_payee_has(twins: Twins) -> None:
    bank = twins.edge.bank
    with bank.database.read() as connection:
        [last] = events.events(
            connection,
            bank.issuer_id,
            after_index=events.last_index(connection, bank.issuer_id) - 1,
            limit=1,
        )
    assert "balance" not in payload_of(last.jws)
