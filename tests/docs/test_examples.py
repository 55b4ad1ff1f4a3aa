"""The documents' Python examples, run as programs against a service that answers over HTTP."""

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx
import pytest
import uvicorn
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from jwt.utils import base64url_decode, base64url_encode

from tallystick import app, exports
from tallystick.core.settings import Settings
from tallystick.identity import ClientUse
from tallystick.participants import Principal
from tallystick.tokens import Kind
from tests.api.edge import api_key
from tests.bank import Bank, open_bank
from tests.database import DatabaseUrls
from tests.docs.documents import Example, examples
from tests.exports.exported import workshop
from tests.identity.outsiders import outsider

SECONDS_MAX: Final = 60


@pytest.fixture
def bank(database_urls: DatabaseUrls, tmp_path: Path) -> Iterator[Bank]:
    """A bank of one token class in use, with every kind of event and every kind of approval."""
    with open_bank(database_urls, tmp_path / "state" / "keys", pool_size=2) as opened:
        opened.mint("HARBOUR-USD", "1000.00")
        transfer = opened.transfer("HARBOUR-USD", "LANTERN-USD", "400.00")
        opened.reverse(transfer, "100.00")
        hold = opened.hold("LANTERN-USD", "SILKROAD-USD", "50.00")
        opened.execute_hold(hold, "20.00")
        opened.void_hold(hold)
        opened.redeem("HARBOUR-USD", "5.00")
        opened.release_deposit("HARBOUR-USD", "5.00")
        opened.freeze("NORTHWIND-EUR")
        opened.unfreeze("NORTHWIND-EUR")
        asked = opened.ask(
            Kind.DEPOSIT,
            opened.maker,
            amount="7.00",
            currency="USD",
            payee_account_id=opened.account_id("LANTERN-USD"),
            reason="Seen on the core",
        )
        opened.approve(asked.resource_id, "7.00", "USD")
        yield opened


@pytest.mark.parametrize("example", examples(), ids=lambda one: str(one.document))
def test_examples_work(example: Example, bank: Bank, tmp_path: Path) -> None:
    actors: dict[str, Principal] = {"docs/audit.md": bank.auditor, "docs/merchants.md": bank.platform}
    presented = api_key(bank, actors[example.document])
    directory = tmp_path / "evidence"
    directory.mkdir()
    clients = _register_clients(bank, directory)
    with _served(bank, tmp_path / "state") as url:
        if example.document == "docs/audit.md":
            _take_evidence(bank, url, presented, directory)
        done = subprocess.run(
            [sys.executable, "-c", example.code],
            cwd=directory,
            env={
                **os.environ,
                "TALLYSTICK_URL": url,
                "TALLYSTICK_API_KEY": presented,
                "PAYER_ACCOUNT_ID": bank.account_id("HARBOUR-USD"),
                "PAYEE_ACCOUNT_ID": bank.account_id("LANTERN-USD"),
                **clients,
            },
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "damage", ["event dropped", "amount changed", "event signed by nobody", "vote exchanged", "attempt dropped"]
)
def test_the_walkthrough_notices(damage: str, bank: Bank, tmp_path: Path) -> None:
    [example] = [one for one in examples() if one.document == "docs/audit.md"]
    with _served(bank, tmp_path / "state") as url:
        _take_evidence(bank, url, api_key(bank, bank.auditor), tmp_path)
    _damage(tmp_path, damage)

    done = subprocess.run(
        [sys.executable, "-c", example.code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )

    assert done.returncode == 1
    assert (
        "InvalidSignatureError" in done.stderr
        or "AssertionError" in done.stderr
        or "ValueError" in done.stderr
    )


def _damage(directory: Path, damage: str) -> None:
    """Do what somebody would who can also mend the manifest."""
    log = directory / "events.jsonl"
    events = [json.loads(line) for line in log.read_text().splitlines()]
    header, payload, signature = events[5]["jws"].split(".")
    match damage:
        case "event dropped":
            del events[5]
        case "amount changed":
            signed = base64url_decode(payload).replace(b'"100.00"', b'"900.00"')
            events[5]["jws"] = ".".join([header, base64url_encode(signed).decode(), signature])
        case "event signed by nobody":
            events[5]["jws"] = ".".join([header, payload, events[2]["jws"].split(".")[2]])
        case "attempt dropped":
            trail = directory / "audit-trail.ndjson"
            attempts = trail.read_text().splitlines()
            kept = [one for one in attempts if '"number":0,' not in one]
            assert len(kept) == len(attempts) - 1
            trail.write_text("\n".join(kept))
        case "vote exchanged":
            path = directory / "approvals.json"
            path.write_text(path.read_text().replace("Chen Checker", "Mara Maker"))
    log.write_text("".join(json.dumps(event) + "\n" for event in events))
    manifest = json.loads((directory / "manifest.json").read_text())
    for file in manifest["files"]:
        file["sha256"] = hashlib.sha256((directory / file["name"]).read_bytes()).hexdigest()
    (directory / "manifest.json").write_text(json.dumps(manifest))


def test_there_are_examples() -> None:
    assert {one.document for one in examples()} == {"docs/audit.md", "docs/merchants.md"}


def _register_clients(bank: Bank, directory: Path) -> dict[str, str]:
    """Give the platform a key for tokens and one for signatures, as files beside the example."""
    names = {}
    for use in ClientUse:
        client = outsider(bank, bank.platform.id, use=use)
        pem = client.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (directory / f"{use.value}-key.pem").write_bytes(pem)
        names[f"{use.name}_CLIENT_ID"] = client.name
    return names


def _take_evidence(bank: Bank, url: str, presented: str, directory: Path) -> None:
    """Fetch what the auditors' guide tells them to take along."""
    headers = {"Authorization": f"Bearer {presented}"}
    with httpx.Client(base_url=url, headers=headers, timeout=SECONDS_MAX) as client:
        for name, path in {
            "jwks.json": "/.well-known/jwks.json",
            "approvals.json": "/v1/approvals?limit=1000",
        }.items():
            (directory / name).write_bytes(client.get(path).raise_for_status().content)
        made = client.post(
            "/v1/exports", json={"format": "jsonl"}, headers={"Idempotency-Key": "evidence"}
        ).raise_for_status()
        exports.make_open(workshop(bank, directory / "exports"))
        finished = client.get(f"/v1/exports/{made.json()['id']}").raise_for_status()
        names = [one["name"] for one in finished.json()["manifest"]["files"]]
        for name in (*names, "manifest.json"):
            found = client.get(f"/v1/exports/{made.json()['id']}/files/{name}").raise_for_status()
            (directory / name).write_bytes(found.content)
        # Last, so that it tells of the rest.
        trail = client.get("/v1/audit-trail.ndjson").raise_for_status()
        (directory / "audit-trail.ndjson").write_bytes(trail.content)


@contextmanager
def _served(bank: Bank, state_directory: Path) -> Iterator[str]:
    """Serve the bank on a free port of this machine, in a thread."""
    # Callers sign for the address that they know the service by.
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    settings = Settings(state_directory=state_directory, public_url=url)
    application = app.create_with(settings, bank.urls.service_url)
    server = uvicorn.Server(uvicorn.Config(application, log_level="warning", loop="asyncio"))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        deadline = time.monotonic() + SECONDS_MAX
        while not server.started:
            assert thread.is_alive(), "the service did not start"
            assert time.monotonic() < deadline, "the service starts too slowly"
            time.sleep(0.01)
        yield url
    finally:
        server.should_exit = True
        thread.join(SECONDS_MAX)
