"""Payouts whose process is killed (SIGKILL) at every step: what is done again comes to what an undisturbed life is."""

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tallystick.cli.asking import ask
from tallystick.cli.running import load_settings
from tests.camt_writer import Entry, statement
from tests.cli.conftest import CommandLine
from tests.cli.processes import REPOSITORY
from tests.database import DatabaseUrls, connect
from tests.payouts.replying import report, transaction
from tests.tokens.paying import BENEFICIARY

#: The one history, whoever died on the way; each event stands in the log once.
HISTORY = [
    *["payout.accepted"] * 3,
    "approval.approved",
    "payout_file.made",
    "payout.rejected",
    *["payout.settled"] * 2,
    "payout.returned",
    "payout.given_back",
]


@dataclass
class Life:
    """Payouts from the command line, each step of which is killed first: `before` or `behind` a place of `dying`."""

    command: CommandLine
    monkeypatch: pytest.MonkeyPatch
    folder: Path
    kills: list[str] = field(default_factory=list)

    def acting(self, role: str) -> None:
        self.monkeypatch.setenv("TALLYSTICK_API_KEY", self.command.sandbox["keys"][role])

    def run(self, *arguments: object, places: Sequence[str]) -> Any:
        self.die(*arguments, places=places)
        return self.command.json(*arguments)

    def die(self, *arguments: object, places: Sequence[str]) -> None:
        """Have the command killed at one place after the other, each time in a process of its own."""
        for place in places:
            told = subprocess.run(
                [sys.executable, "-m", "tests.cli.dying", *place.split(), *map(str, arguments)],
                cwd=REPOSITORY,
                capture_output=True,
                timeout=120,
                check=False,
            )
            assert told.returncode == -signal.SIGKILL, (place, told.stdout, told.stderr)
            self.kills.append(place)

    def pay_out(self, amount: str, *, places: Sequence[str] = ()) -> dict[str, Any]:
        asked = self.folder / f"payout-{amount}.json"
        account_id = self.command.sandbox["accounts"]["harbour_usd"]
        body = {"account_id": account_id, "amount": amount, "currency": "USD", "beneficiary": BENEFICIARY}
        asked.write_text(json.dumps(body))
        found: dict[str, Any] = self.run("payouts", "ask", asked, "--idempotency-key", amount, places=places)
        return found

    def approve(self, approval_id: str, body: dict[str, str], *, places: Sequence[str] = ()) -> None:
        self.acting("checker")
        path = f"/v1/approvals/{approval_id}/approve"
        self.die("approve", path, approval_id, places=places)
        ask(
            load_settings(),
            self.command.sandbox["keys"]["checker"],
            path,
            body,
            idempotency_key=approval_id,
        )
        self.acting("maker")

    def state(self, name: str, content: bytes, *, places: Sequence[str]) -> None:
        file = self.folder / name
        file.write_bytes(content)
        self.run("import-statement", file, places=places)


def booked(payout: dict[str, Any], *, credit: bool) -> Entry:
    """Return the bank's entry for a payout."""
    return Entry(
        payout["amount"],
        credit=credit,
        uetr=payout["uetr"],
        end_to_end_id=payout["id"].removeprefix("payout_"),
    )


def open_tokens(life: Life) -> None:
    """Give Harbour 100.00 of tokens."""
    life.acting("maker")
    life.state("1.xml", statement(Entry("100.00", payer_account="1000000001")), places=())
    mint = ask(
        load_settings(),
        life.command.sandbox["keys"]["maker"],
        "/v1/mints",
        {
            "account_id": life.command.sandbox["accounts"]["harbour_usd"],
            "amount": "100.00",
            "currency": "USD",
        },
    )
    life.approve(mint["approval_id"], {"amount": "100.00", "currency": "USD"})


def live(life: Life) -> list[str]:
    """Reject one payout, pay two, and have one of these come back; return their ids."""
    one, two, three = (
        life.pay_out(amount, places=places)
        for amount, places in (("10.00", ["behind payout_step"]), ("20.00", []), ("30.00", []))
    )
    class_id = life.command.sandbox["token_classes"]["usd"]
    making = ("payout-file", "make", "--token-class", class_id, "--idempotency-key", "file")
    asked = life.run(*making, places=["behind approval"])
    life.approve(asked["approval_id"], {}, places=["before payout_file_item", "behind payout_file_item"])
    [made] = life.command.json("payout-file", "list")["data"]
    saved = life.folder / "file.xml"
    life.run("payout-file", "save", made["id"], saved, places=["before os.replace"])
    assert saved.read_bytes().count(b"<CdtTrfTxInf>") == 3
    status = life.folder / "status.xml"
    said = [transaction(one["id"], "RJCT", "AC04"), *(transaction(of["id"], "ACSP") for of in (two, three))]
    status.write_bytes(report(made["message_id"], *said))
    life.run("payout-status", status, places=["before payout_status", "behind payout_status"])
    paid = statement(
        booked(two, credit=False), booked(three, credit=False), opening="100.00", day="2026-11-21"
    )
    life.state("2.xml", paid, places=["behind statement_entry", "before payout_step"])
    back = statement(booked(three, credit=True), opening="50.00", day="2026-11-22")
    life.state("3.xml", back, places=["behind payout_step"])
    return [one["id"], two["id"], three["id"]]


@pytest.mark.slow
def test_a_life_of_payouts_that_is_killed_at_every_step_ends_the_same(
    on_sandbox: CommandLine,
    database_urls: DatabaseUrls,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    life = Life(on_sandbox, monkeypatch, tmp_path)
    open_tokens(life)

    ids = live(life)

    assert len(life.kills) == 10
    listed = on_sandbox.json("payouts", "list")["data"]
    assert [(one["id"], one["state"]) for one in listed] == list(
        zip(ids, ("rejected", "settled", "given_back"), strict=True)
    )
    [made] = on_sandbox.json("payout-file", "list")["data"]
    assert ({one["payout_file_id"] for one in listed}, made["sequence"], made["payout_count"]) == (
        {made["id"]},
        1,
        3,
    )
    assert on_sandbox.json("payout-finding", "list")["data"] == []
    with connect(database_urls.superuser_url) as connection:
        types = connection.execute("SELECT type FROM event ORDER BY event_index").fetchall()
        rows = connection.execute("SELECT code, sum(balance_minor)::int FROM ledger_account GROUP BY 1")
        balances = {str(code): amount_minor for code, amount_minor in rows.fetchall()}
    assert [one for (one,) in types[types.index(("payout.accepted",)) :]] == HISTORY
    assert [balances[code] for code in ("1100", "2110", "2310")] == [8_000, 8_000, 0]
    [run] = on_sandbox.json("reconcile", "--token-class", "USD")["data"]
    assert (run["verdict"], run["findings"]) == ("tied", [])
    on_sandbox.json("seal-records")
    assert on_sandbox.run("check-integrity").exit_code == 0
