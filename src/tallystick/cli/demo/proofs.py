"""What outsiders can check: the bank's statement, the signatures, the exported files, and books that come to zero."""

import hashlib
import json
import time
import warnings
from collections import Counter
from decimal import Decimal
from typing import Any, Final

from joserfc import jws
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import KeySet

from tallystick.cli.demo.bank import Bank, money
from tallystick.cli.demo.telling import Story, StoryBrokenError

__all__ = ["tell_proofs"]

_CONTROL_CODE: Final = "1100"
_POLL_SECONDS: Final = 0.1
_EXPORT_SECONDS_MAX: Final = 60.0
_DEBIT_NORMAL: Final = ("1",)


def tell_proofs(story: Story, bank: Bank) -> dict[str, Any]:
    """Tell the proofs and return the figures for the summary."""
    _reconciliation(story, bank)
    payloads = _signatures(story, bank)
    _replay(story, bank, payloads)
    files = _export(story, bank, len(payloads))
    return {"events": len(payloads), "files": files, **_trial_balance(story, bank)}


def _reconciliation(story: Story, bank: Bank) -> None:
    story.chapter("Reconciliation: log, balances, books and bank")
    run = bank.post("operator", "/v1/reconciliations", {"token_class_id": bank.token_classes["usd"]})
    story.expect(
        f"Events, balances, books and register agree, and the control account holds the {money('1263278.27')} of the "
        "bank's statement: the verdict is “tied”, with no break.",
        (run["verdict"], run["findings"]),
        ("tied", []),
    )
    rows = bank.get("auditor", "/v1/ledger/trial-balance", token_class_id=bank.token_classes["usd"])["rows"]
    control = [row["debit"] for row in rows if row["code"] == _CONTROL_CODE]
    story.expect(
        f"The control account itself says {money('1263278.27')}, to the cent.", control, ["1263278.27"]
    )


def _signatures(story: Story, bank: Bank) -> list[dict[str, Any]]:
    story.chapter("Every event is signed, and anyone can check it")
    published = bank.client.get("/.well-known/jwks.json").json()
    # Another implementation than the service's own, given nothing but what the bank publishes.
    keys = KeySet.import_key_set({"keys": [_plain(key) for key in published["keys"]]})
    events = list(bank.all("auditor", "/v1/events"))
    payloads = []
    for event in events:
        payload = _verified(event["jws"], keys)
        if payload is None:
            raise StoryBrokenError("Every event's signature verifies", f"that of {event['id']} does not.")
        payloads.append(json.loads(payload))
    story.expect(
        f"All {len(events)} signatures verify under the bank's published keys ({len(published['keys'])}).",
        len(payloads),
        len(events),
    )
    story.expect(
        "The log has no gap: the signed indexes run from 0 to the last, in order.",
        [payload["index"] for payload in payloads],
        list(range(len(events))),
    )
    minted = [payload for payload in payloads if payload["type"] == "token.minted"]
    story.expect(
        "The mint's event carries the hash of the checker's approval.",
        [len(payload["approvals"]) for payload in minted],
        [1],
    )
    forged = events[0]["jws"].replace(".", ".A", 1)
    story.expect(
        "One character added to a signed event, and it verifies no more.", _verified(forged, keys), None
    )
    return payloads


def _verified(token: str, keys: KeySet) -> bytes | None:
    """Return the payload of a signed event, or None where the signature is not its own."""
    with warnings.catch_warnings():
        # RFC 9864 gives EdDSA with Ed25519 another name; the signatures are the same.
        warnings.simplefilter("ignore", SecurityWarning)
        try:
            return jws.deserialize_compact(token, keys, algorithms=["EdDSA"]).payload
        except (JoseError, ValueError):
            return None


def _plain(key: dict[str, Any]) -> dict[str, Any]:
    return {name: key[name] for name in ("kty", "crv", "x", "kid", "use", "alg")}


def _replay(story: Story, bank: Bank, payloads: list[dict[str, Any]]) -> None:
    """Rebuild every balance from the signed events alone."""
    rebuilt: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for payload in payloads:
        counts[payload["type"]] += 1
        # A vote moves nothing.
        for line in payload.get("lines", ()):
            debit_minor = _minor(line.get("debit", "0.00")) - _minor(line.get("credit", "0.00"))
            sign = 1 if line["account"].startswith(_DEBIT_NORMAL) else -1
            rebuilt[line["account"]] += sign * debit_minor
    kept = {
        one["id"]: _minor(one["balance"])
        for one in bank.all("auditor", "/v1/ledger/accounts")
        if _minor(one["balance"])
    }
    story.expect(
        f"Added up from nothing, the {sum(counts.values())} signed events give every one of the books' {len(kept)} "
        "balances.",
        {account: minor for account, minor in rebuilt.items() if minor},
        kept,
    )


def _minor(amount: str) -> int:
    return int(Decimal(amount).scaleb(2))


def _export(story: Story, bank: Bank, event_count: int) -> int:
    story.chapter("The books leave the house, with hashes")
    refused = bank.send("platform", "POST", "/v1/exports", json={"format": "csv"})
    story.expect("A platform may not export the bank's books.", refused.status_code, 403)
    asked = bank.post("auditor", "/v1/exports", {"format": "csv"}, 202)
    export = _finished(bank, asked["id"])
    story.expect(
        "The auditor asks for an export; the worker makes it beside the bank's business.",
        (asked["state"], export["state"]),
        ("pending", "finished"),
    )
    files = export["manifest"]["files"]
    for file in files:
        content = bank.send("auditor", "GET", f"/v1/exports/{export['id']}/files/{file['name']}").content
        story.expect(
            f"{file['name']}: {file['rows']:,} rows, SHA-256 {file['sha256'][:16]}…, as the manifest says.",
            (hashlib.sha256(content).hexdigest(), len(content)),
            (file["sha256"], file["bytes"]),
        )
    story.expect(
        f"The exported part of the log ends with event {event_count - 1}, and the control totals tie.",
        (
            export["manifest"]["last_event_index"],
            {one["ties"] for one in export["manifest"]["control_totals"]},
        ),
        (event_count - 1, {True}),
    )
    return len(files)


def _finished(bank: Bank, export_id: str) -> dict[str, Any]:
    """Poll an export until it has ended."""
    deadline_seconds = time.monotonic() + _EXPORT_SECONDS_MAX
    while True:
        export = bank.get("auditor", f"/v1/exports/{export_id}")
        if export["state"] not in {"pending", "running"} or time.monotonic() > deadline_seconds:
            return export
        time.sleep(_POLL_SECONDS)


def _trial_balance(story: Story, bank: Bank) -> dict[str, Any]:
    story.chapter("The trial balance")
    supply = {}
    for currency in ("USD", "EUR"):
        found = bank.get(
            "auditor", "/v1/ledger/trial-balance", token_class_id=bank.token_classes[currency.lower()]
        )
        debits, credits_ = Decimal(found["debit_total"]), Decimal(found["credit_total"])
        wanted = Decimal("1263278.27") if currency == "USD" else Decimal(0)
        story.expect(
            f"{currency}: debits {money(wanted, currency)}, credits {money(wanted, currency)}, difference zero.",
            (debits, credits_),
            (wanted, wanted),
        )
        supply[currency] = found["supply"]
    return {"supply": supply}
