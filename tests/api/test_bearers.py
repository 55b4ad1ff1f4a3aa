"""From where, how often, and since when a bearer gets in; and that a known one costs nothing but memory."""

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import HTTPConnection

from tallystick import participants
from tallystick.api.bearers import Bearers
from tallystick.api.service import Service
from tallystick.core.clock import FixedClock
from tallystick.core.settings import Settings
from tallystick.identity import RateLimitedError, capacity_of
from tallystick.participants import ApiKeyInvalidError, Principal, Role
from tests.api.edge import Edge, api_key, assert_problem, open_edge
from tests.bank import OPENED_AT, Bank
from tests.database import DatabaseUrls, connect
from tests.identity.provider import AUDIENCE, ISSUER, Provider, running_provider

pytestmark = pytest.mark.anyio


def connection_from(peer: str | None, *forwarded: str) -> HTTPConnection:
    headers = [(b"x-forwarded-for", one.encode()) for one in forwarded]
    client = None if peer is None else (peer, 4711)
    return HTTPConnection({"type": "http", "headers": headers, "client": client})


ANYWHERE = connection_from("192.0.2.1")


def service_on(bank: Bank, tmp_path: Path, **settings: Any) -> Service:
    return Service(Settings(state_directory=tmp_path, **settings), bank.urls.service_url, bank.clock)


def limited(bank: Bank, calls_per_minute_max: int) -> Principal:
    return bank.database.run(
        lambda on: participants.set_call_limit(on, bank.issuer_id, bank.platform.id, calls_per_minute_max)
    )


class TestNetworks:
    async def test_a_key_opens_from_its_networks_alone(self, bank: Bank, tmp_path: Path) -> None:
        key = api_key(bank, bank.platform, ip_allow_list=["203.0.113.0/24", "2001:db8::/32"])
        service = service_on(bank, tmp_path, trusted_proxies="10.0.0.0/8, 2001:db8:ffff::/48")
        try:
            for peer, forwarded in (
                ("203.0.113.9", ()),
                ("::ffff:203.0.113.9", ()),
                ("2001:db8::7", ()),
                ("10.1.1.1", ("192.0.2.1, 203.0.113.9",)),
                ("10.1.1.1", ("192.0.2.1", "203.0.113.9")),
            ):
                assert await service.bearers.admit(connection_from(peer, *forwarded), key) == bank.platform
            for elsewhere, told in (
                ("192.0.2.1", ()),
                ("192.0.2.1", ("203.0.113.9",)),
                ("10.1.1.1", ("203.0.113.9, 192.0.2.1",)),
                ("10.1.1.1", ("203.0.113.9, garbage",)),
                ("10.1.1.1", ()),
                (None, ("203.0.113.9",)),
            ):
                with pytest.raises(ApiKeyInvalidError):
                    await service.bearers.admit(connection_from(elsewhere, *told), key)
        finally:
            service.close()

    async def test_nobody_is_believed_unless_it_was_said(self, bank: Bank, tmp_path: Path) -> None:
        key = api_key(bank, bank.platform, ip_allow_list=["203.0.113.9"])
        service = service_on(bank, tmp_path)
        try:
            with pytest.raises(ApiKeyInvalidError):
                await service.bearers.admit(connection_from("127.0.0.1", "203.0.113.9"), key)
        finally:
            service.close()


class TestLimits:
    async def test_all_processes_together_stay_below_the_limit(self, bank: Bank, tmp_path: Path) -> None:
        principal = limited(bank, 600)
        key = api_key(bank, principal)
        services = [service_on(bank, tmp_path) for _ in range(2)]

        async def call(number: int) -> bool:
            try:
                await services[number % 2].bearers.admit(ANYWHERE, key)
            except RateLimitedError:
                return False
            return True

        try:
            through = await asyncio.gather(*(call(number) for number in range(300)))
            # The clock stands still: nothing flows back in meanwhile.
            assert sum(through) == capacity_of(600) == 100
            bank.clock.at = OPENED_AT + timedelta(seconds=2)
            await asyncio.sleep(0.12)
            through = await asyncio.gather(*(call(number) for number in range(100)))
            assert sum(through) == 20
        finally:
            for service in services:
                service.close()

    async def test_while_a_lease_lasts_nothing_is_asked(
        self, bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        key = api_key(bank, limited(bank, 6_000))
        service = service_on(bank, tmp_path)
        asked: list[str] = []
        try:
            await service.bearers.admit(ANYWHERE, key)

            async def count(function: Any, *rest: Any) -> Any:
                asked.append(function.__name__)
                return function(*rest)

            monkeypatch.setattr(asyncio, "to_thread", count)
            for _ in range(49):
                await service.bearers.admit(ANYWHERE, key)
            assert asked == []
            await service.bearers.admit(ANYWHERE, key)
            assert asked == ["_take_lease"]
        finally:
            service.close()

    async def test_who_has_no_limit_has_no_bucket(self, bank: Bank, tmp_path: Path) -> None:
        key = api_key(bank, limited(bank, 0))
        service = service_on(bank, tmp_path)
        try:
            for _ in range(20):
                await service.bearers.admit(ANYWHERE, key)
        finally:
            service.close()
        with connect(bank.urls.superuser_url) as connection:
            assert connection.execute("SELECT count(*) FROM rate_bucket").fetchone() == (0,)

    async def test_a_caller_that_goes_away_takes_no_refill_with_it(self, bank: Bank, tmp_path: Path) -> None:
        key = api_key(bank, limited(bank, 60))
        service = service_on(bank, tmp_path)
        try:
            await service.bearers.admit(ANYWHERE, key)
            calls = [asyncio.create_task(service.bearers.admit(ANYWHERE, key)) for _ in range(4)]
            await asyncio.sleep(0)
            calls[0].cancel()
            done = await asyncio.gather(*calls, return_exceptions=True)
            assert isinstance(done[0], asyncio.CancelledError)
            assert done[1:] == [limited(bank, 60)] * 3
        finally:
            service.close()

    async def test_over_http_it_says_when_to_come_again(
        self, database_urls: DatabaseUrls, tmp_path: Path
    ) -> None:
        async with open_edge(database_urls, tmp_path / "state", calls_per_minute_max=1) as edge:
            for _ in range(10):
                assert (await edge.get("/v1/issuers")).status_code == 200
            response = await edge.get("/v1/issuers")
            assert_problem(response, 429, "rate_limited")
            assert 55 <= int(response.headers["retry-after"]) <= 60
            assert (await edge.get("/v1/issuers", Role.OPERATOR)).status_code == 200, "another principal"


class TestBusyCallers:
    """What runs out under many callers is asked for once, and ahead of time where calls keep coming."""

    @pytest.fixture
    def asked(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        asked: list[str] = []
        on_thread = asyncio.to_thread

        async def noted(function: Any, *rest: Any) -> Any:
            asked.append(function.__name__)
            return await on_thread(function, *rest)

        monkeypatch.setattr(asyncio, "to_thread", noted)
        return asked

    async def test_all_callers_of_one_key_ask_one_question(
        self, bank: Bank, tmp_path: Path, asked: list[str]
    ) -> None:
        key = api_key(bank, limited(bank, 0))
        service = service_on(bank, tmp_path)
        try:
            calls = [asyncio.create_task(service.bearers.admit(ANYWHERE, key)) for _ in range(64)]
            await asyncio.sleep(0)
            calls[0].cancel()
            found = await asyncio.gather(*calls, return_exceptions=True)
            assert found[1:] == [limited(bank, 0)] * 63
            assert asked == ["_find"]
            [known] = service.bearers._known.values()
            known.until = 0.0
            await asyncio.gather(*(service.bearers.admit(ANYWHERE, key) for _ in range(64)))
            assert asked == ["_find", "_find"]
        finally:
            service.close()

    async def test_each_caller_of_a_wrong_key_has_failed(
        self, bank: Bank, tmp_path: Path, asked: list[str]
    ) -> None:
        key = api_key(bank, bank.platform)[:-1] + "-"
        service = service_on(bank, tmp_path, failed_attempts_per_minute_max=3)
        try:
            found = await asyncio.gather(
                *(service.bearers.admit(ANYWHERE, key) for _ in range(3)), return_exceptions=True
            )
            assert [type(one) for one in found] == [ApiKeyInvalidError] * 3
            assert asked == ["_find"]
            with pytest.raises(RateLimitedError):
                await service.bearers.admit(ANYWHERE, key)
        finally:
            service.close()

    async def test_a_known_key_is_asked_again_while_nobody_waits(
        self, bank: Bank, tmp_path: Path, asked: list[str]
    ) -> None:
        key = api_key(bank, limited(bank, 0))
        service = service_on(bank, tmp_path)
        try:
            await service.bearers.admit(ANYWHERE, key)
            [known] = service.bearers._known.values()
            known.asked_at = 0.0
            for _ in range(5):
                await service.bearers.admit(ANYWHERE, key)
            assert asked == ["_find"], "the calls are through before the question is begun"
            [task] = service.bearers._learning.values()
            renewed = await task
            assert asked == ["_find", "_find"]
            assert renewed.until > known.until
            assert list(service.bearers._known.values()) == [renewed]
        finally:
            service.close()

    async def test_a_revoked_key_is_refused_once_it_was_asked_again(self, bank: Bank, tmp_path: Path) -> None:
        key = api_key(bank, limited(bank, 0))
        service = service_on(bank, tmp_path)
        try:
            await service.bearers.admit(ANYWHERE, key)
            [known] = service.bearers._known.values()
            named = participants.named_key(key)
            assert named is not None
            assert bank.database.run(lambda on: participants.revoke_api_key(on, bank.clock, *named))
            known.asked_at = 0.0
            await service.bearers.admit(ANYWHERE, key)
            [task] = service.bearers._learning.values()
            with pytest.raises(ApiKeyInvalidError):
                await task
            with pytest.raises(ApiKeyInvalidError):
                await service.bearers.admit(ANYWHERE, key)
        finally:
            service.close()

    async def test_nobody_is_let_in_by_a_question_that_took_too_long(
        self, bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        key = api_key(bank, limited(bank, 0))
        service = service_on(bank, tmp_path)
        named = participants.named_key(key)
        assert named is not None
        found, go_on = asyncio.Event(), asyncio.Event()
        on_thread = asyncio.to_thread

        async def held_up(function: Any, *rest: Any) -> Any:
            answer = await on_thread(function, *rest)
            found.set()
            await go_on.wait()
            return answer

        try:
            monkeypatch.setattr(asyncio, "to_thread", held_up)
            first = asyncio.create_task(service.bearers.admit(ANYWHERE, key))
            await found.wait()
            assert bank.database.run(lambda on: participants.revoke_api_key(on, bank.clock, *named))
            later = time.monotonic() + 2.0
            monkeypatch.setattr(time, "monotonic", lambda: later)
            second = asyncio.create_task(service.bearers.admit(ANYWHERE, key))
            await asyncio.sleep(0)
            go_on.set()
            assert await first == limited(bank, 0), "it asked before"
            with pytest.raises(ApiKeyInvalidError):
                await second
        finally:
            service.close()

    async def test_the_next_lease_is_taken_before_the_last_call_of_this_one(
        self, bank: Bank, tmp_path: Path, asked: list[str]
    ) -> None:
        key = api_key(bank, limited(bank, 24_000))
        service = service_on(bank, tmp_path)
        try:
            await service.bearers.admit(ANYWHERE, key)
            [allowance] = service.bearers._allowances.values()
            for _ in range(149):
                await service.bearers.admit(ANYWHERE, key)
            assert (allowance.calls_left, allowance.refilling) == (50, None)
            await service.bearers.admit(ANYWHERE, key)
            assert allowance.refilling is not None
            await allowance.refilling
            assert allowance.further is not None
            assert (allowance.calls_left, allowance.further[0]) == (49, 200)
            del asked[:]
            for _ in range(50):
                await service.bearers.admit(ANYWHERE, key)
            assert allowance.calls_left == 199
            assert not asked
        finally:
            service.close()

    async def test_a_lease_that_was_taken_ahead_ends_by_its_own_time(
        self, bank: Bank, tmp_path: Path
    ) -> None:
        service = service_on(bank, tmp_path)
        service.close()
        allowance = service.bearers._allowance(limited(bank, 24_000))
        assert allowance is not None
        allowance.add(1, 10.0)
        assert allowance.spend(5.0)
        allowance.add(3, 12.0)
        assert allowance.spend(9.0)
        assert not allowance.spend(12.0), "two were forfeited"


class TestFailures:
    async def test_guessing_is_slowed_down_and_locks_nobody_else_out(
        self, database_urls: DatabaseUrls, tmp_path: Path
    ) -> None:
        state = tmp_path / "state"
        async with open_edge(database_urls, state, failed_attempts_per_minute_max=3) as edge:
            assert (await edge.get("/v1/issuers")).status_code == 200
            guess = {"Authorization": f"Bearer {edge.keys[Role.AUDITOR][:-1]}-"}
            for _ in range(3):
                assert_problem(await edge.client.get("/v1/issuers", headers=guess), 401, "api_key_invalid")
            response = await edge.client.get("/v1/issuers", headers=guess)
            assert_problem(response, 429, "rate_limited")
            assert 55 <= int(response.headers["retry-after"]) <= 60
            token = await edge.client.post("/oauth/token", data={"grant_type": "client_credentials"})
            assert token.status_code == 429
            assert token.json()["error"] == "invalid_request"
            assert_problem(await edge.get("/v1/issuers", Role.OPERATOR), 429, "rate_limited")
            # What was found good before is asked for anew, and let in.
            edge.application.state.service.bearers._known.values().__iter__().__next__().until = 0.0
            assert (await edge.get("/v1/issuers")).status_code == 200


class TestUses:
    async def test_a_keys_last_use_is_noted_later_and_by_nobody_s_waiting(
        self, bank: Bank, tmp_path: Path
    ) -> None:
        key = api_key(bank, bank.platform)
        service = service_on(bank, tmp_path)

        def last_used() -> list[datetime | None]:
            with bank.database.read() as connection:
                found = participants.api_keys(connection, bank.issuer_id, principal_id=bank.platform.id)
            return [one.last_used_at for one in found]

        await service.bearers.admit(ANYWHERE, key)
        assert last_used() == [None]
        service.close()
        assert last_used() == [OPENED_AT]
        bank.clock.at = OPENED_AT - timedelta(hours=1)
        other = service_on(bank, tmp_path)
        await other.bearers.admit(ANYWHERE, key)
        other.close()
        assert last_used() == [OPENED_AT], "an earlier use replaces no later one"

    async def test_uses_are_written_once_a_minute(self, bank: Bank, tmp_path: Path) -> None:
        key = api_key(bank, bank.platform)
        service = service_on(bank, tmp_path)
        try:
            service.bearers._next_uses_seconds = 0.0
            await service.bearers.admit(ANYWHERE, key)
            assert service.bearers._next_uses_seconds > time.monotonic() + 50
            for _ in range(100):
                with bank.database.read() as connection:
                    [found] = participants.api_keys(connection, bank.issuer_id)
                if found.last_used_at is not None:
                    return
                await asyncio.sleep(0.05)
            pytest.fail("the use is not noted")
        finally:
            service.close()


class TestTerms:
    async def test_an_auditor_whose_term_is_over_is_told_so(self, bank: Bank, tmp_path: Path) -> None:
        key = api_key(bank, bank.auditor)
        service = service_on(bank, tmp_path)
        try:
            assert await service.bearers.admit(ANYWHERE, key) == bank.auditor
            until = OPENED_AT + timedelta(seconds=1)
            bank.database.run(
                lambda on: participants.set_term(on, bank.clock, bank.issuer_id, bank.auditor.id, until)
            )
            bank.clock.at = until
            fresh = Bearers(service.settings, FixedClock(until), service.database)
            with pytest.raises(participants.AccessEndedError):
                await fresh.admit(ANYWHERE, key)
        finally:
            service.close()

    async def test_a_key_about_to_expire_isn_t_remembered_longer(self, bank: Bank, tmp_path: Path) -> None:
        key = api_key(bank, bank.platform, lifetime_days=1)
        bank.clock.at = OPENED_AT + timedelta(days=1, milliseconds=-50)
        service = service_on(bank, tmp_path)
        try:
            await service.bearers.admit(ANYWHERE, key)
            [known] = service.bearers._known.values()
            assert known.until - time.monotonic() <= 0.05
        finally:
            service.close()


class TestStaff:
    async def test_staff_comes_with_the_banks_own_tokens(
        self, database_urls: DatabaseUrls, tmp_path: Path
    ) -> None:
        with running_provider() as provider:
            settings: dict[str, Any] = {
                "oidc_issuer": ISSUER,
                "oidc_audience": AUDIENCE,
                "oidc_key_set": provider.url,
                "oidc_algorithms": "EdDSA",
                "oidc_roles": json.dumps({"tokens-operators": "operator"}),
            }
            async with open_edge(database_urls, tmp_path / "state", **settings) as edge:
                await self._check(edge, provider)

    async def _check(self, edge: Edge, provider: Provider) -> None:
        bank = edge.bank
        bank.database.run(lambda on: participants.bind_login(on, bank.issuer_id, bank.operator.id, "omar"))
        now = datetime.now(UTC).timestamp()

        async def ask(**other: Any) -> httpx.Response:
            token = provider.token(now, **{"sub": "omar", "groups": ["tokens-operators"], **other})
            return await edge.client.get("/v1/holders", headers={"Authorization": f"Bearer {token}"})

        # There are two banks, and nobody said whose provider it is.
        assert_problem(await ask(), 401, "api_key_invalid")
        service = edge.application.state.service
        service.bearers._settings = service.settings.model_copy(update={"oidc_issuer_id": bank.issuer_id})
        assert (await ask()).status_code == 200
        assert_problem(await ask(groups=["football"]), 403, "role_not_allowed")
        assert_problem(await ask(sub="ada"), 401, "api_key_invalid")
        assert_problem(await ask(aud="another"), 401, "api_key_invalid")
        provider.answer = (500, b"", {})
        service.bearers._staff_tokens._keys._loaded_at_seconds = None
        problem = await ask(jti="not seen before")
        assert_problem(problem, 503, "identity_provider_unavailable")
        assert problem.headers["retry-after"]
