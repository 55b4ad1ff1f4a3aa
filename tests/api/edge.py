"""The service as its callers meet it: HTTP, in-process, on a real database with two banks in it."""

import itertools
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import psycopg
import uvicorn
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from tallystick import app, participants
from tallystick.api.application import build
from tallystick.api.scopes import default_scope
from tallystick.core.clock import SystemClock
from tallystick.core.embedded_postgres import EmbeddedPostgres
from tallystick.core.settings import Settings
from tallystick.participants import Principal, Role, Scope
from tests.bank import Bank, open_bank
from tests.database import DatabaseUrls, connect
from tests.opened import OpenedBanks, opened_banks

__all__ = [
    "PROBLEM",
    "Edge",
    "OpenedEdge",
    "Operation",
    "Server",
    "api_key",
    "assert_problem",
    "counted_rows",
    "open_edge",
    "opened_edge",
    "operations",
    "row_counts",
    "served",
]

PROBLEM: Final = "application/problem+json"
_STOP_SECONDS_MAX: Final = 15
_PROBLEM_MEMBERS: Final = {"type", "title", "status", "detail", "code"}


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path: who may call it (roles, `public`, or None where nobody said), and what it documents."""

    method: str
    path: str
    roles: frozenset[str] | str | None
    document: dict[str, Any] = field(repr=False, hash=False, compare=False)
    declared_scope: Scope | None = None

    @property
    def parameters(self) -> list[str]:
        """The names of what the path holds."""
        return [part[1:-1] for part in self.path.split("/") if part.startswith("{")]

    @property
    def scope(self) -> Scope:
        """The scope that a narrowed caller needs: the route's own, or that of its method and roles."""
        assert isinstance(self.roles, frozenset)
        return self.declared_scope or default_scope(self.method, frozenset(map(Role, self.roles)))

    @property
    def queries(self) -> dict[str, dict[str, Any]]:
        """The documented query parameters by name."""
        return {one["name"]: one for one in self.document.get("parameters", ()) if one["in"] == "query"}

    @property
    def takes_key(self) -> bool:
        """Whether an `Idempotency-Key` is asked for."""
        named = [one["name"] for one in self.document.get("parameters", ()) if one.get("required")]
        return "Idempotency-Key" in named

    @property
    def reads_json(self) -> bool:
        return "application/json" in self.document.get("requestBody", {}).get("content", {})

    @property
    def fields(self) -> dict[str, Any]:
        """The documented fields of the JSON body, by name."""
        content = self.document["requestBody"]["content"]["application/json"]
        schema = content["schema"]["$ref"].rpartition("/")[2]
        fields: dict[str, Any] = _APPLICATION.openapi()["components"]["schemas"][schema]["properties"]
        return fields

    def is_for(self, roles: frozenset[str]) -> bool:
        """Whether any of these roles may call it."""
        return isinstance(self.roles, frozenset) and not self.roles.isdisjoint(roles)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(slots=True)
class Edge:
    """A running application with a client in front of it, and two banks that must not know of each other."""

    urls: DatabaseUrls
    application: FastAPI
    client: httpx.AsyncClient
    bank: Bank
    other: Bank
    keys: dict[str, str] = field(repr=False)
    server: "Server | None" = None
    _idempotency_keys: "itertools.count[int]" = field(default_factory=itertools.count)

    async def get(self, path: str, role: str = Role.AUDITOR, **sent: Any) -> httpx.Response:
        """GET as the bank's principal of this role."""
        return await self.client.get(path, headers=self.bearer(role), **sent)

    async def post(
        self, path: str, body: object, role: str = Role.TREASURY_MAKER, *, key: str | None = None
    ) -> httpx.Response:
        """POST JSON as the bank's principal of this role, under a key of its own unless one is given."""
        return await self.client.post(path, json=body, headers=self.writing(role, key))

    def bearer(self, role: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys[role]}"}

    def writing(self, role: str, key: str | None = None) -> dict[str, str]:
        return self.bearer(role) | {"Idempotency-Key": key or f"edge-{next(self._idempotency_keys)}"}


def operations(application: FastAPI) -> list[Operation]:
    """Return every operation of the application's routes, the documents' own included."""
    documented = application.openapi()["paths"]
    found = []
    for route in iter_route_contexts(application.routes):
        declared = getattr(route.endpoint, "allowed_roles", None)
        scope = getattr(route.endpoint, "required_scope", None)
        for dependency in _dependencies(getattr(route, "dependant", None)):
            declared = getattr(dependency, "allowed_roles", declared)
            scope = getattr(dependency, "required_scope", scope)
        # As documents name it: how much of an address a parameter takes is the router's.
        path = (route.path or "").replace(":path}", "}")
        for method in route.methods or ["GET"]:
            document = documented.get(path, {}).get(method.lower(), {})
            found.append(Operation(method, path, declared, document, scope))
    return sorted(found, key=str)


def _dependencies(dependant: Any) -> Iterator[Any]:
    for one in getattr(dependant, "dependencies", ()):
        yield one.call
        yield from _dependencies(one)


# Made once for the names of generated tests; tests that serve have an application of their own.
_APPLICATION: Final = build()
OPERATIONS: Final = operations(_APPLICATION)


@asynccontextmanager
async def open_edge(
    urls: DatabaseUrls, state_directory: Path, *, over_network: bool = False, **settings_of_test: Any
) -> AsyncIterator[Edge]:
    """Yield the application on a migrated, empty database in which two banks have just opened.

    It is called in-process, or with `over_network` served by uvicorn in a thread, for what only a connection shows.
    """
    key_path = state_directory / "keys"
    with (
        open_bank(urls, key_path, pool_size=4) as bank,
        open_bank(urls, key_path, pool_size=4) as other,
    ):
        keys = _keys_of_people(bank)
        async with _edge_of(
            bank, other, state_directory, keys, over_network=over_network, **settings_of_test
        ) as edge:
            yield edge


@dataclass(frozen=True, slots=True)
class OpenedEdge:
    """Two banks that were opened once for many edges, and the API keys of the first one's people."""

    banks: OpenedBanks
    keys: dict[str, str] = field(repr=False)

    @asynccontextmanager
    async def again(self, state_directory: Path, *, over_network: bool = False) -> AsyncIterator[Edge]:
        """Yield the application as `open_edge` does, on a database of its own in which the two have just opened."""
        with self.banks.again(state_directory / "keys", pool_size=4) as (bank, other):
            keys = dict(self.keys)
            async with _edge_of(bank, other, state_directory, keys, over_network=over_network) as edge:
                yield edge


@contextmanager
def opened_edge(
    server: EmbeddedPostgres, migrated_template: str, state_directory: Path
) -> Iterator[OpenedEdge]:
    """Yield two banks that have just opened, whose people have keys, to be had again by each test that wants them."""
    keys: dict[str, str] = {}

    def give_keys(bank: Bank) -> None:
        # The first one's people are those that call.
        keys.update(keys or _keys_of_people(bank))

    with opened_banks(server, migrated_template, state_directory, count=2, then=give_keys) as opened:
        yield OpenedEdge(opened, keys)


@asynccontextmanager
async def _edge_of(
    bank: Bank,
    other: Bank,
    state_directory: Path,
    keys: dict[str, str],
    *,
    over_network: bool,
    **settings_of_test: Any,
) -> AsyncIterator[Edge]:
    # Refusals are what most tests send, and all of them come from one address; and nothing is written behind a test's
    # back: those of the log take its steps themselves.
    settings = Settings(
        **{
            "state_directory": state_directory,
            "failed_attempts_per_minute_max": 1_000_000,
            "log_interval_seconds": 0,
            # Where a network lies between, everything is as the product starts it.
            "settling_process": over_network,
            **settings_of_test,
        }
    )
    application = app.create_with(settings, bank.urls.service_url)
    # The service has the machine's clock: what is made past it must not be old to it.
    for one in (bank, other):
        one.clock.at = SystemClock().now()
    if over_network:
        with served(application) as server:
            async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
                yield Edge(bank.urls, application, client, bank, other, keys, server)
        return
    async with (
        application.router.lifespan_context(application),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(application), base_url="http://tallystick.test"
        ) as client,
    ):
        yield Edge(bank.urls, application, client, bank, other, keys)


def _keys_of_people(bank: Bank) -> dict[str, str]:
    bank.clock.at = SystemClock().now()
    people = {
        Role.TREASURY_MAKER: bank.maker,
        Role.TREASURY_CHECKER: bank.checker,
        Role.OPERATOR: bank.operator,
        Role.AUDITOR: bank.auditor,
        Role.PLATFORM: bank.platform,
        Role.HOLDER: bank.holder,
    }
    return {role.value: api_key(bank, principal) for role, principal in people.items()}


@dataclass(frozen=True, slots=True)
class Server:
    """An application that a thread serves."""

    application: FastAPI
    uvicorn: uvicorn.Server
    thread: threading.Thread

    @property
    def port(self) -> int:
        port: int = self.uvicorn.servers[0].sockets[0].getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self, *, closing: bool = True) -> bool:
        """Ask it to stop, as a signal would; tell whether it did in time. Without `closing` streams aren't told."""
        if closing:
            self.application.state.service.closing = True
        self.uvicorn.should_exit = True
        self.thread.join(_STOP_SECONDS_MAX)
        return not self.thread.is_alive()


@contextmanager
def served(application: FastAPI) -> Iterator[Server]:
    """Serve on a free port of this machine until the end of the block."""
    config = uvicorn.Config(
        application,
        host="127.0.0.1",
        port=0,
        loop="uvloop",
        http="httptools",
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=2 * _STOP_SECONDS_MAX,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    running = Server(application, server, thread)
    try:
        for _ in range(600):
            if server.started or not thread.is_alive():
                break
            time.sleep(0.05)
        assert server.started, "it does not start"
        yield running
    finally:
        assert running.stop(), "it does not stop"


def api_key(
    bank: Bank, principal: Principal, *, lifetime_days: int | None = None, ip_allow_list: Sequence[str] = ()
) -> str:
    """Issue a key to a principal and return its text."""
    with bank.database.engine.begin() as connection:
        _, text = participants.issue_api_key(
            connection,
            bank.clock,
            bank.issuer_id,
            principal.id,
            lifetime_days=lifetime_days,
            ip_allow_list=ip_allow_list,
        )
    return text


def row_counts(urls: DatabaseUrls) -> dict[str, int]:
    """Return how many rows each table has, the audit trail's aside: what a refusal must not change."""
    with connect(urls.superuser_url) as connection:
        return counted_rows(connection)


def counted_rows(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """Return the same over a connection that is kept."""
    # That somebody called is counted whether or not the call was refused.
    tables = connection.execute(
        "SELECT table_name FROM information_schema.tables"
        " WHERE table_schema = 'public' AND table_name NOT IN ('audit_entry', 'audit_head', 'rate_bucket') ORDER BY 1"
    )
    query = " UNION ALL ".join(f"SELECT '{name}', count(*) FROM \"{name}\"" for (name,) in tables)
    return dict(connection.execute(query.encode()).fetchall())


def assert_problem(
    response: httpx.Response, status: int | None = None, code: str | None = None
) -> dict[str, Any]:
    """Assert that the response is a whole RFC 9457 problem with a `Request-Id`; return it."""
    assert response.headers["content-type"] == PROBLEM, response.text
    assert response.headers["request-id"]
    problem: dict[str, Any] = response.json()
    assert set(problem) >= _PROBLEM_MEMBERS
    assert problem["status"] == response.status_code
    assert problem["type"] == f"urn:tallystick:problem:{problem['code']}"
    assert all(problem[name] for name in ("title", "detail", "code"))
    if status is not None:
        assert response.status_code == status, problem
    if code is not None:
        assert problem["code"] == code
    return problem
