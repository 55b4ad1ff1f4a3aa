"""A deposit token's life over HTTP, as the sandbox's people live it: every figure and every signature on the way."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from joserfc.errors import JoseError

from tallystick import app, sandbox
from tallystick.core.clock import SystemClock
from tallystick.core.database import Database
from tallystick.core.ids import with_prefix
from tallystick.core.settings import Settings
from tallystick.signing import KeyDirectory
from tests.api.edge import assert_problem
from tests.api.signatures import verified
from tests.database import DatabaseUrls
from tests.oracle import check_books

pytestmark = pytest.mark.anyio


@dataclass(slots=True)
class Sandbox:
    """The seeded sandbox behind a client; `acknowledged` is what callers were told has settled."""

    seeded: sandbox.Sandbox
    client: httpx.AsyncClient
    acknowledged: list[tuple[str, int | None]]

    async def get(self, path: str, who: str = "auditor") -> Any:
        response = await self.client.get(path, headers=self._headers(who))
        assert response.status_code == 200, response.text
        return response.json()

    async def post(self, path: str, who: str, status: int = 201, **body: str) -> dict[str, Any]:
        headers = self._headers(who) | {"Idempotency-Key": f"{path} {sorted(body.items())}"}
        response = await self.client.post(path, json=body, headers=headers)
        assert response.status_code == status, response.text
        answer: dict[str, Any] = response.json()
        decided = answer.get("instruction", answer)
        if decided["event_id"] is not None:
            self.acknowledged.append((answer["id"], decided["event_index"]))
        return answer

    async def approve(self, instruction: dict[str, Any]) -> dict[str, Any]:
        """Let the checker approve what the maker asked for; return the settled instruction with its event."""
        asked = await self.get(f"/v1/approvals/{instruction['approval_id']}", "checker")
        assert (asked["state"], asked["maker"], asked["votes"]) == ("pending", "maria.keller", [])
        decision = await self.post(
            f"/v1/approvals/{instruction['approval_id']}/approve",
            "checker",
            200,
            amount=instruction["amount"],
            currency=instruction["currency"],
        )
        assert (decision["state"], decision["person"]) == ("approved", "jonas.brandt")
        return {**decision["instruction"], "signed_event": decision["signed_event"]}

    async def balance(self, account: str) -> tuple[str, str, str]:
        """Return an account's deposits not yet tokenised, its available and its held tokens."""
        shown = await self.get(f"/v1/accounts/{self.seeded.accounts[account]}/balance")
        return shown["deposits_available"], shown["available"], shown["held"]

    async def supply(self) -> str:
        """Return the dollar class's supply, after holding the trial balance and the register against it."""
        class_id = self.seeded.token_classes["usd"]
        trial = await self.get(f"/v1/ledger/trial-balance?token_class_id={class_id}")
        assert trial["debit_total"] == trial["credit_total"]
        register = await self.get(f"/v1/liabilities?token_class_id={class_id}")
        owed_minor = sum(int(one["total"].replace(".", "")) for one in register["data"])
        assert owed_minor == int(trial["supply"].replace(".", ""))
        return str(trial["supply"])

    async def check_signed(self, path: str, told: dict[str, Any], event_type: str) -> dict[str, Any]:
        """Read an instruction back, and its event by id and by log; both libraries must find it signed."""
        found: dict[str, Any] = await self.get(path)
        assert {name: found[name] for name in told if name in found} == told
        key_set = (await self.client.get("/.well-known/jwks.json")).json()
        payload = verified(found["signed_event"], key_set)
        assert (payload["type"], payload["amount"]) == (event_type, found["amount"])
        assert (payload["instruction_id"], payload["index"]) == (found["id"], found["event_index"])
        event = await self.get(f"/v1/events/{found['event_id']}")
        assert (event["jws"], event["subject_id"]) == (found["signed_event"], found["id"])
        entry = await self.get(f"/v1/ledger/entries/{found['event_index']}")
        assert [line["ledger_account_id"] for line in entry["lines"]] == [
            line["account"] for line in payload["lines"]
        ]
        return found

    def _headers(self, who: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.seeded.keys[who]}"}


@asynccontextmanager
async def open_sandbox(urls: DatabaseUrls, state_directory: Path) -> AsyncIterator[Sandbox]:
    settings = Settings(state_directory=state_directory)
    database = Database(urls.service_url, pool_size=2)
    try:
        seeded = sandbox.seed_unless_present(
            database,
            SystemClock(),
            KeyDirectory(settings.key_directory),
            state_directory,
            origin_prefix=settings.log_origin_or_unnamed,
        )
    finally:
        database.close()
    assert seeded is not None
    application = app.create_with(settings, urls.service_url)
    async with (
        application.router.lifespan_context(application),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(application), base_url="http://tallystick.test"
        ) as client,
    ):
        yield Sandbox(seeded, client, [])


async def test_the_life_of_a_token(database_urls: DatabaseUrls, tmp_path: Path) -> None:
    async with open_sandbox(database_urls, tmp_path) as bank:
        await _confirm_a_deposit(bank)
        await _mint(bank)
        await _transfer(bank)
        await _hold_execute_and_void(bank)
        await _redeem_and_release(bank)
        await _check_the_log(bank)
    check_books(database_urls.superuser_url, bank.seeded.issuer_id, bank.acknowledged)
    assert len(bank.acknowledged) == 8


async def _confirm_a_deposit(bank: Sandbox) -> None:
    deposit = await bank.post(
        "/v1/deposits",
        "maker",
        202,
        account_id=bank.seeded.accounts["harbour_usd"],
        amount="1000.00",
        currency="USD",
        reason="Seen on the core's screen; the statement comes tomorrow.",
        value_date="2026-11-20",
    )
    assert (deposit["state"], deposit["event_id"]) == ("pending_approval", None)
    assert await bank.balance("harbour_usd") == ("0.00", "0.00", "0.00")
    confirmed = await bank.approve(deposit)
    confirmed = await bank.check_signed(f"/v1/deposits/{deposit['id']}", confirmed, "deposit.confirmed")
    assert (confirmed["state"], confirmed["value_date"]) == ("settled", "2026-11-20")
    assert await bank.balance("harbour_usd") == ("1000.00", "0.00", "0.00")
    assert await bank.supply() == "0.00"


async def _mint(bank: Sandbox) -> None:
    account_id = bank.seeded.accounts["harbour_usd"]
    mint = await bank.post("/v1/mints", "maker", 202, account_id=account_id, amount="600.00", currency="USD")
    waiting = await bank.get(f"/v1/approvals/{mint['approval_id']}", "checker")
    assert [one["after"] for one in waiting["effect"]] == ["400.00", "600.00"]
    assert await bank.balance("harbour_usd") == ("1000.00", "0.00", "0.00")
    minted = await bank.check_signed(f"/v1/mints/{mint['id']}", await bank.approve(mint), "token.minted")
    assert minted["approval_id"] == with_prefix("approval", minted["id"])
    assert await bank.balance("harbour_usd") == ("400.00", "600.00", "0.00")
    assert await bank.supply() == "600.00"


async def _transfer(bank: Sandbox) -> None:
    transfer = await bank.post(
        "/v1/transfers",
        "platform",
        payer_account_id=bank.seeded.accounts["harbour_usd"],
        payee_account_id=bank.seeded.accounts["lantern_usd"],
        amount="250.50",
        currency="USD",
        reference="Order 1",
    )
    await bank.check_signed(f"/v1/transfers/{transfer['id']}", transfer, "token.transferred")
    assert transfer["final_at"] == transfer["settled_at"]
    assert await bank.balance("harbour_usd") == ("400.00", "349.50", "0.00")
    assert await bank.balance("lantern_usd") == ("0.00", "250.50", "0.00")


async def _hold_execute_and_void(bank: Sandbox) -> None:
    hold = await bank.post(
        "/v1/holds",
        "platform",
        payer_account_id=bank.seeded.accounts["lantern_usd"],
        payee_account_id=bank.seeded.accounts["silkroad_usd"],
        amount="100.00",
        currency="USD",
        expires_at="2099-01-01T00:00:00+01:00",
    )
    assert hold["expires_at"] == "2098-12-31T23:00:00.000000Z"
    path = f"/v1/holds/{hold['id']}"
    placed = await bank.check_signed(path, hold, "hold.placed")
    assert (placed["state"], placed["remaining_amount"]) == ("held", "100.00")
    assert await bank.balance("lantern_usd") == ("0.00", "150.50", "100.00")
    execution = await bank.post(f"{path}/execute", "platform", amount="30.00", currency="USD")
    assert execution["hold_id"] == hold["id"]
    assert execution["payee_account_id"] == bank.seeded.accounts["silkroad_usd"]
    assert (await bank.get(path))["remaining_amount"] == "70.00"
    assert await bank.balance("lantern_usd") == ("0.00", "150.50", "70.00")
    assert await bank.balance("silkroad_usd") == ("0.00", "30.00", "0.00")
    voided = await bank.post(f"{path}/void", "platform", reason="Goods returned.")
    assert (voided["amount"], voided["hold_id"]) == ("70.00", hold["id"])
    assert (await bank.get(path))["state"] == "voided"
    assert await bank.balance("lantern_usd") == ("0.00", "220.50", "0.00")
    assert await bank.supply() == "600.00"


async def _redeem_and_release(bank: Sandbox) -> None:
    account_id = bank.seeded.accounts["harbour_usd"]
    redemption = await bank.post(
        "/v1/redemptions", "platform", account_id=account_id, amount="349.50", currency="USD"
    )
    await bank.check_signed(f"/v1/redemptions/{redemption['id']}", redemption, "token.redeemed")
    assert await bank.balance("harbour_usd") == ("749.50", "0.00", "0.00")
    assert await bank.supply() == "250.50"
    release = await bank.post(
        "/v1/deposit-releases", "maker", account_id=account_id, amount="749.50", currency="USD"
    )
    [listed] = (await bank.get("/v1/deposit-releases"))["data"]
    assert listed == {name: value for name, value in release.items() if name != "signed_event"}
    assert await bank.balance("harbour_usd") == ("0.00", "0.00", "0.00")
    assert await bank.supply() == "250.50"


async def _check_the_log(bank: Sandbox) -> None:
    key_set = (await bank.client.get("/.well-known/jwks.json")).json()
    log = (await bank.get("/v1/events"))["data"]
    payloads = [verified(event["jws"], key_set) for event in log]
    assert [payload["index"] for payload in payloads] == list(range(12))
    assert [payload["type"] for payload in payloads] == [
        "signing_key.activated",
        "signing_key.activated",
        "approval.approved",
        "deposit.confirmed",
        "approval.approved",
        "token.minted",
        "token.transferred",
        "hold.placed",
        "hold.executed",
        "hold.voided",
        "token.redeemed",
        "deposit.released",
    ]
    forged = log[2]["jws"].split(".")
    with pytest.raises((jwt.InvalidTokenError, JoseError)):
        verified(".".join([forged[0], log[1]["jws"].split(".")[1], forged[2]]), key_set)


async def test_the_maker_s_own_approval_is_refused(database_urls: DatabaseUrls, tmp_path: Path) -> None:
    async with open_sandbox(database_urls, tmp_path) as bank:
        deposit = await bank.post(
            "/v1/deposits",
            "maker",
            202,
            account_id=bank.seeded.accounts["harbour_usd"],
            amount="1.00",
            currency="USD",
            reason="Seen on the core's screen.",
        )
        response = await bank.client.post(
            f"/v1/approvals/{deposit['approval_id']}/approve",
            json={"amount": "1.00", "currency": "USD"},
            headers={"Authorization": f"Bearer {bank.seeded.keys['maker']}", "Idempotency-Key": "1"},
        )
        assert_problem(response, 403, "role_not_allowed")
        assert await bank.balance("harbour_usd") == ("0.00", "0.00", "0.00")
