"""The life of a token: deposit, mint, transfer, hold, redemption, reversal. Every figure is asked for and compared."""

import hashlib
import json
import secrets
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import httpx

from tallystick.cli.demo.bank import Bank, money
from tallystick.cli.demo.telling import Story
from tallystick.cli.report import CommandRefusedError

__all__ = ["tell_life"]

_STATEMENT: Final = "2026-11-20-usd.xml"


def tell_life(story: Story, bank: Bank) -> None:
    """Tell everything up to the point where nothing waits and nothing is held."""
    _who(story, bank)
    _deposits(story, bank)
    _mint(story, bank)
    transfer = _transfers(story, bank)
    _hold(story, bank)
    _redemption(story, bank)
    _reversal(story, bank, transfer)
    _as_of(story, bank, transfer)


def statement_file() -> Path:
    """Return the example statement, beside the package in a wheel and in the repository otherwise."""
    package = Path(__file__).resolve().parents[2]
    for folder in (package / "_examples", package.parents[1] / "examples"):
        if (folder / "statements" / _STATEMENT).is_file():
            return folder / "statements" / _STATEMENT
    raise CommandRefusedError("examples_absent", "The example bank statements are not installed.")


def _who(story: Story, bank: Bank) -> None:
    story.chapter("A bank, its people and its customers")
    issuer = bank.get("auditor", f"/v1/issuers/{bank.issuer_id}")
    story.expect(
        f"{issuer['legal_name']} (LEI {issuer['lei']}, BIC {issuer['bic']}) issues its deposits as tokens.",
        issuer["id"],
        bank.issuer_id,
    )
    classes = {one["currency"]: one["scale"] for one in bank.all("auditor", "/v1/token-classes")}
    story.expect(
        "It has two token classes, USD and EUR, with two decimals each.", classes, {"USD": 2, "EUR": 2}
    )
    names = {one["legal_name"] for one in bank.all("platform", "/v1/holders")}
    story.expect(
        "Harbour Marketplace sees itself and its merchants, Lantern Lighting Co and Silk Road Textiles; no one else.",
        names,
        {"Harbour Marketplace", "Lantern Lighting Co", "Silk Road Textiles"},
    )
    absent = bank.send("holder", "GET", f"/v1/accounts/{bank.accounts['harbour_usd']}")
    unknown = bank.send("holder", "GET", "/v1/accounts/account_00000000000000000000000000")
    story.expect(
        "To Northwind, Harbour's account answers exactly as one that does not exist.",
        (absent.status_code, absent.content),
        (404, unknown.content),
    )


def _deposits(story: Story, bank: Bank) -> None:
    story.chapter("The core bank's statement arrives")
    content = statement_file().read_bytes()
    answer = _send_statement(bank, content)
    imported = answer.json()
    story.expect("The statement of 20 November 2026 (camt.053) is imported.", answer.status_code, 201)
    statement = imported["statements"][0]
    story.expect(
        f"It lists four credits; the control account closes at {money('1263278.27')}.",
        (statement["entry_count"], statement["closing_balance"]),
        (4, "1263278.27"),
    )
    for account, name, amount, clue in (
        ("harbour_usd", "Harbour", "250000.00", "the reference in the remittance"),
        ("northwind_usd", "Northwind", "1000000.00", "the reference in the remittance"),
        ("lantern_usd", "Lantern", "12500.50", "the payer's account number"),
    ):
        story.expect(
            f"{name}'s confirmed deposit is {money(amount)}, found by {clue}.",
            bank.balance(account)["deposits_available"],
            Decimal(amount),
        )
    waiting = list(bank.all("maker", "/v1/deposits", state="unassigned"))
    story.expect(
        f"{money('777.77')} belongs to nobody that the bank can be sure of: it waits, and nothing is guessed.",
        [one["amount"] for one in waiting],
        ["777.77"],
    )
    again = _send_statement(bank, content)
    story.expect(
        "The same statement sent again is recognised, and changes nothing.",
        (again.status_code, again.json()["imported"], len(list(bank.all("maker", "/v1/deposits")))),
        (200, False, 4),
    )
    assigned = bank.post(
        "maker",
        f"/v1/deposits/{waiting[0]['id']}/assign",
        {"account_id": bank.accounts["silkroad_usd"], "reason": "Confirmed by telephone with Silk Road."},
    )
    story.expect(
        f"Treasury assigns the {money('777.77')} to Silk Road by hand, with the reason on record.",
        (assigned["state"], bank.balance("silkroad_usd")["deposits_available"]),
        ("settled", Decimal("777.77")),
    )


def _send_statement(bank: Bank, content: bytes) -> httpx.Response:
    return bank.send(
        "maker", "POST", "/v1/statements", content=content, headers={"Content-Type": "application/xml"}
    )


def _mint(story: Story, bank: Bank) -> None:
    story.chapter("Minting takes two people, and a deposit")
    body = {"account_id": bank.accounts["harbour_usd"], "amount": "250000.00", "currency": "USD"}
    excess = bank.send("maker", "POST", "/v1/mints", json={**body, "amount": "250000.01"})
    story.expect(
        f"{money('250000.01')} can't be minted from a deposit of {money('250000.00')}: not by one cent.",
        _refused(excess),
        (409, "insufficient_funds"),
    )
    mint = bank.post("maker", "/v1/mints", body, 202)
    story.expect(
        f"The maker asks to mint {money('250000.00')} for Harbour: it waits, and no token exists yet.",
        (mint["state"], bank.balance("harbour_usd")["total"]),
        ("pending_approval", Decimal(0)),
    )
    path = f"/v1/approvals/{mint['approval_id']}/approve"
    typed = {"amount": "250000.00", "currency": "USD"}
    story.expect(
        "The maker can't approve it.",
        _refused(bank.send("maker", "POST", path, json=typed)),
        (403, "role_not_allowed"),
    )
    _give_maker_a_second_login(story, bank)
    story.expect(
        "Nor can the same person with a checker's login: four-eyes counts people, not logins.",
        _refused(bank.send("second_login", "POST", path, json=typed)),
        (403, "checker_is_maker"),
    )
    story.expect(
        f"The checker types amount and currency again; {money('2500000.00')} is refused.",
        _refused(bank.send("checker", "POST", path, json={**typed, "amount": "2500000.00"})),
        (422, "approval_mismatch"),
    )
    approved = bank.approve(mint, "250000.00")
    balance = bank.balance("harbour_usd")
    story.expect(
        f"With {money('250000.00')} typed it settles: deposit {money('0')}, tokens {money('250000.00')}.",
        (approved["state"], balance["deposits_available"], balance["available"]),
        ("approved", Decimal(0), Decimal("250000.00")),
    )
    story.expect(
        f"The supply of the USD class is {money('250000.00')}.",
        bank.get("auditor", "/v1/ledger/trial-balance", token_class_id=bank.token_classes["usd"])["supply"],
        "250000.00",
    )


def _give_maker_a_second_login(story: Story, bank: Bank) -> None:
    people = bank.all("auditor", "/v1/principals")
    maker = next(one["person"] for one in people if "treasury_maker" in one["roles"])
    login = {"name": "The maker's second login", "person": maker, "roles": ["treasury_checker"]}
    added = bank.post("operator", "/v1/principals", login)
    keys = f"/v1/principals/{added['id']}/api-keys"
    secret = secrets.token_urlsafe(32)
    asked = {"secret_sha256": hashlib.sha256(secret.encode()).hexdigest(), "lifetime_days": 1}
    change = bank.post("operator", keys, {**asked, "reason": "The demo's second login."}, 202)
    bank.post("checker", f"/v1/approvals/{change['approval_id']}/approve", {}, 200)
    given = bank.get("auditor", keys)["data"]
    story.expect(
        "Nobody gives a login alone: the operator asks for the maker's second one, and the checker approves.",
        (change["state"], len(given)),
        ("pending_approval", 1),
    )
    bank.keys["second_login"] = given[0]["key_prefix"] + secret


def _transfers(story: Story, bank: Bank) -> dict[str, Any]:
    story.chapter("Transfers: final at once, never twice, never from nothing")
    body = _transfer(bank, "harbour_usd", "lantern_usd", "1200.00", "INV-2026-1107")
    key = f"demo-{secrets.token_hex(12)}"
    first = bank.send("platform", "POST", "/v1/transfers", json=body, key=key)
    transfer: dict[str, Any] = first.json()
    story.expect(
        f"Harbour pays Lantern {money('1200.00')}: settled and final, one signed event.",
        (first.status_code, transfer["state"], bank.balance("lantern_usd")["available"]),
        (201, "settled", Decimal("1200.00")),
    )
    second = bank.send("platform", "POST", "/v1/transfers", json=body, key=key)
    story.expect(
        "Sent again with the same Idempotency-Key it is answered with the same bytes, and nothing moves.",
        (second.content, bank.balance("harbour_usd")["available"]),
        (first.content, Decimal("248800.00")),
    )
    other = bank.send("platform", "POST", "/v1/transfers", json={**body, "amount": "1200.01"}, key=key)
    story.expect(
        f"The same key for {money('1200.01')} is refused, and the refusal names the transfer that it was used for.",
        (*_refused(other), other.json().get("existing_id")),
        (409, "idempotency_key_reused", transfer["id"]),
    )
    overdraft = _transfer(bank, "harbour_usd", "lantern_usd", "248800.01", "TOO-MUCH")
    story.expect(
        f"Harbour has {money('248800.00')}; {money('248800.01')} is refused.",
        _refused(bank.send("platform", "POST", "/v1/transfers", json=overdraft)),
        (409, "insufficient_funds"),
    )
    items = [
        _transfer(bank, "harbour_usd", "lantern_usd", "340.00", "PAYOUT-1"),
        _transfer(bank, "harbour_usd", "silkroad_usd", "999999.00", "PAYOUT-2"),
        _transfer(bank, "harbour_usd", "silkroad_usd", "60.00", "PAYOUT-3"),
    ]
    batch = bank.post("platform", "/v1/transfer-batches", {"items": items}, 200)
    story.expect(
        "A batch of three payouts settles two and refuses the one that Harbour can't pay, each with its own result.",
        [(one["status"], one.get("code")) for one in batch["items"]],
        [("settled", None), ("refused", "insufficient_funds"), ("settled", None)],
    )
    whole = bank.send("platform", "POST", "/v1/transfer-batches", json={"items": items, "atomic": True})
    story.expect(
        "The same three as all-or-none: none.",
        (*_refused(whole), _available(bank)),
        (409, "atomic_batch_refused", [Decimal("248400.00"), Decimal("1540.00"), Decimal("60.00")]),
    )
    return transfer


def _transfer(bank: Bank, payer: str, payee: str, amount: str, reference: str) -> dict[str, str]:
    return {
        "payer_account_id": bank.accounts[payer],
        "payee_account_id": bank.accounts[payee],
        "amount": amount,
        "currency": "USD",
        "reference": reference,
    }


def _available(bank: Bank) -> list[Decimal]:
    return [bank.balance(one)["available"] for one in ("harbour_usd", "lantern_usd", "silkroad_usd")]


def _hold(story: Story, bank: Bank) -> None:
    story.chapter("A hold sets tokens aside")
    body = _transfer(bank, "harbour_usd", "silkroad_usd", "5000.00", "ORDER-88")
    hold = bank.post("platform", "/v1/holds", body)
    balance = bank.balance("harbour_usd")
    story.expect(
        f"Harbour sets {money('5000.00')} aside for Silk Road: {money('243400.00')} available, "
        f"{money('5000.00')} held, {money('248400.00')} owed in all.",
        (balance["available"], balance["held"], balance["total"]),
        (Decimal("243400.00"), Decimal("5000.00"), Decimal("248400.00")),
    )
    path = f"/v1/holds/{hold['id']}"
    bank.post("platform", f"{path}/execute", {"amount": "3000.00", "currency": "USD"})
    story.expect(
        f"The goods arrive in part: {money('3000.00')} of it go to Silk Road.",
        (bank.balance("silkroad_usd")["available"], bank.get("platform", path)["remaining_amount"]),
        (Decimal("3060.00"), "2000.00"),
    )
    bank.post("platform", f"{path}/void", {"reason": "The rest of the order was cancelled."})
    balance = bank.balance("harbour_usd")
    story.expect(
        f"The rest is cancelled: {money('2000.00')} are Harbour's to spend again.",
        (bank.get("platform", path)["state"], balance["available"], balance["held"]),
        ("voided", Decimal("245400.00"), Decimal(0)),
    )


def _redemption(story: Story, bank: Bank) -> None:
    story.chapter("Redemption at par")
    body = {"account_id": bank.accounts["lantern_usd"], "amount": "700.00", "currency": "USD"}
    redemption = bank.post("platform", "/v1/redemptions", body)
    balance = bank.balance("lantern_usd")
    story.expect(
        f"Lantern gives {money('700.00')} of tokens back: its deposit grows by exactly that, to {money('13200.50')}.",
        (redemption["state"], balance["available"], balance["deposits_available"]),
        ("settled", Decimal("840.00"), Decimal("13200.50")),
    )
    story.expect(
        f"Supply falls to {money('249300.00')}.",
        bank.get("auditor", "/v1/ledger/trial-balance", token_class_id=bank.token_classes["usd"])["supply"],
        "249300.00",
    )


def _reversal(story: Story, bank: Bank, transfer: dict[str, Any]) -> None:
    story.chapter("An error is undone by a new entry, never by an edit")
    body = {
        "transfer_id": transfer["id"],
        "amount": "200.00",
        "currency": "USD",
        "reason": "Invoice INV-2026-1107 was for 1,000.00.",
    }
    reversal = bank.post("maker", "/v1/reversals", body, 202)
    bank.approve(reversal, "200.00")
    stands = bank.get("auditor", f"/v1/transfers/{transfer['id']}")
    story.expect(
        f"Maker and checker reverse {money('200.00')} of the first transfer; it still stands there, marked with it.",
        (stands["amount"], stands["reversed_amount"]),
        ("1200.00", "200.00"),
    )
    story.expect(
        f"Harbour has {money('245600.00')}, Lantern {money('640.00')}.",
        _available(bank)[:2],
        [Decimal("245600.00"), Decimal("640.00")],
    )


def _as_of(story: Story, bank: Bank, transfer: dict[str, Any]) -> None:
    story.chapter("The books as of any moment")
    balance = bank.balance("harbour_usd", as_of=transfer["settled_at"])
    story.expect(
        f"At {transfer['settled_at']}, when the first transfer was final, Harbour had {money('248800.00')}.",
        balance["available"],
        Decimal("248800.00"),
    )
    owed = [
        Decimal(one["total"])
        for one in bank.all("auditor", "/v1/liabilities", token_class_id=bank.token_classes["usd"])
    ]
    story.expect(
        f"What the bank owes today, holder by holder, comes to the supply: {money('249300.00')}.",
        sum(owed),
        Decimal("249300.00"),
    )


def _refused(answer: httpx.Response) -> tuple[int, str | None]:
    try:
        code = answer.json().get("code")
    except (json.JSONDecodeError, AttributeError):
        code = None
    return answer.status_code, code
