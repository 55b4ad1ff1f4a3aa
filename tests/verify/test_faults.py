"""The fault table: whatever is changed is found, and has the exit code of its class.

Unless said otherwise the insider holds the signing key and makes every hash and signature right again.
"""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tallystick.core.canonical_json import canonical_json
from tallystick.core.ids import new_suffix
from tallystick_verify import ExitCode, Options
from tallystick_verify.policy_file import Pin, Seen
from tests.verify.forging import append, approve, emptied, freeze, insert, reamount, vote_hash
from tests.verify.packs import Evidence, Insider, chunks, event_key, segments, verified

Fault = Callable[[Insider], None]
Change = Callable[[list[dict[str, Any]]], object]


# --- what an insider does to events ------------------------------------------------------------------------------


def _set(name: str, value: object) -> Callable[[dict[str, Any]], object]:
    return lambda payload: payload.__setitem__(name, value)


def _resigned(event_type: str, change: Callable[[dict[str, Any]], object], number: int = 0) -> Fault:
    return lambda insider: insider.resign(insider.index_of(event_type, number), change)


def _topped_up_elsewhere(insider: Insider) -> None:
    """Let tokens of another account be taken under an order."""
    text = json.dumps(insider.payloads()[insider.index_of("order.topped_up")])
    there, elsewhere = (_placed(insider, number)["payer_account_id"] for number in (0, 1))
    insider.resign(insider.index_of("order.topped_up"), _replaced_by(text.replace(there, elsewhere)))


def _lifted_again(insider: Insider) -> None:
    """Let the last lift, which gives nothing back, be of the first order, which had ended."""
    ended = _placed(insider, 0)
    under = {"payer_account_id": ended["payer_account_id"], "related_id": ended["instruction_id"]}
    insider.resign(insider.index_of("order.lifted", 2), lambda payload: payload.update(under))


def _nothing_seized(insider: Insider) -> None:
    index = insider.index_of("order.seized")
    insider.resign(index, lambda payload: payload.update(amount="0.00", lines=[]))
    approve(insider, index, lambda row: row.update(amount=None, currency=None))


def _placed(insider: Insider, number: int) -> dict[str, Any]:
    return insider.payloads()[insider.index_of("order.placed", number)]


def _replaced_by(text: str) -> Callable[[dict[str, Any]], object]:
    return lambda payload: payload.update(json.loads(text))


def _signature_of_another(insider: Insider) -> None:
    def exchange(rows: list[dict[str, Any]]) -> None:
        first, second = rows[3]["jws"].rpartition("."), rows[4]["jws"].rpartition(".")
        rows[3]["jws"] = first[0] + "." + second[2]

    insider.edit("events.jsonl", exchange)


def _payload_unsigned(insider: Insider) -> None:
    def exchange(rows: list[dict[str, Any]]) -> None:
        index = insider.index_of("token.transferred")
        header, payload, signature = rows[index]["jws"].split(".")
        changed = base64.urlsafe_b64decode(payload + "==").replace(b'"400.00"', b'"900.00"')
        rows[index]["jws"] = ".".join(
            [header, base64.urlsafe_b64encode(changed).decode().rstrip("="), signature]
        )

    insider.edit("events.jsonl", exchange)


def _header(header: dict[str, Any] | str) -> Fault:
    def change(insider: Insider) -> None:
        payload = canonical_json(insider.payloads()[2])
        if isinstance(header, str):
            kid = insider.signer.key_id
            jws = segments(payload, {"raw": 0}, insider.signer)
            raw = base64.urlsafe_b64encode(header.replace("KID", kid).encode()).decode().rstrip("=")
            jws = raw + "." + jws.split(".", 1)[1]
        else:
            jws = segments(payload, header | {"kid": insider.signer.key_id}, insider.signer)
        insider.edit("events.jsonl", lambda rows: rows[2].update(jws=jws))

    return change


def _spare_bits(insider: Insider) -> None:
    def exchange(rows: list[dict[str, Any]]) -> None:
        jws = rows[2]["jws"]
        # 64 bytes leave four spare bits in the last character: another spelling of the same signature.
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        rows[2]["jws"] = jws[:-1] + alphabet[alphabet.index(jws[-1]) ^ 1]

    insider.edit("events.jsonl", exchange)


def _manifest_of_nobody(insider: Insider) -> None:
    header, payload, _ = insider.files["manifest.jws"].split(b".")
    insider.files["manifest.jws"] = header + b"." + payload + b"." + b"A" * 86


def _manifest_of_before(insider: Insider) -> None:
    before = insider.files["manifest.jws"]
    insider.seal(lambda manifest: manifest["issuer"].update(legal_name="Another AG"))
    insider.files["manifest.jws"] = before


def _manifest_as_event(insider: Insider) -> None:
    payload = insider.files["manifest.json"]
    header = {"alg": "EdDSA", "kid": insider.signer.key_id, "typ": "tallystick-event-v1+jws"}
    insider.files["manifest.jws"] = segments(payload, header, insider.signer).encode()


# --- what an insider does to keys --------------------------------------------------------------------------------


def _other_key(insider: Insider) -> None:
    insider.resign(2, dict, other=True)


def _told_other_key(insider: Insider) -> None:
    _tell_other_key(insider)
    insider.resign(len(insider.payloads()) - 1, dict, other=True)


def _tell_other_key(insider: Insider) -> None:
    def tell(rows: list[dict[str, Any]]) -> None:
        x = base64.urlsafe_b64encode(insider.other.public_key).decode().rstrip("=")
        rows.append({**event_key(rows), "kid": insider.other.key_id, "x": x, "from_index": None})

    insider.edit("keys.jsonl", tell)


def _manifest_by_other_key(insider: Insider) -> None:
    _tell_other_key(insider)
    insider.signer = insider.other
    insider.seal(lambda manifest: manifest.update(export_key_id=insider.other.key_id))


def _key_told(**members: object) -> Fault:
    return lambda insider: insider.edit("keys.jsonl", lambda rows: event_key(rows).update(members))


# --- what an insider does to the order ---------------------------------------------------------------------------


def _renumbered(rows: list[dict[str, Any]]) -> None:
    for index, row in enumerate(rows):
        row["index"] = index


def _deleted(insider: Insider) -> None:
    insider.edit("events.jsonl", lambda rows: rows.pop(3))


def _deleted_and_renumbered(insider: Insider) -> None:
    def change(rows: list[dict[str, Any]]) -> None:
        del rows[3]
        _renumbered(rows)

    insider.edit("events.jsonl", change)


def _swapped(insider: Insider) -> None:
    def change(rows: list[dict[str, Any]]) -> None:
        rows[3]["jws"], rows[4]["jws"] = rows[4]["jws"], rows[3]["jws"]

    insider.edit("events.jsonl", change)


def _doubled(insider: Insider) -> None:
    def change(rows: list[dict[str, Any]]) -> None:
        rows.insert(3, dict(rows[3]))
        _renumbered(rows)

    insider.edit("events.jsonl", change)


def _last_left_out(insider: Insider) -> None:
    insider.edit("events.jsonl", lambda rows: rows.pop())


def _one_too_many(insider: Insider) -> None:
    insider.edit("events.jsonl", lambda rows: rows.append({**rows[-1], "index": len(rows)}))


def _reversed(insider: Insider) -> None:
    insider.edit("events.jsonl", lambda rows: rows.reverse())


# --- what an insider does to approvals ---------------------------------------------------------------------------


def _approval(event_type: str, change: Callable[[dict[str, Any]], object]) -> Fault:
    return lambda insider: approve(insider, insider.index_of(event_type), change)


def _told(change: Change) -> Fault:
    return lambda insider: insider.edit("approvals.jsonl", change)


def _self_approved(row: dict[str, Any]) -> None:
    row["votes"][0]["person"] = row["maker"]


def _own_login(row: dict[str, Any]) -> None:
    row["votes"][0]["principal_id"] = row["maker_principal_id"]


def _twice(row: dict[str, Any]) -> None:
    row["quorum"] = 2
    row["votes"].append(row["votes"][0] | {"decided_at": "2026-11-20T07:00:00.000000Z"})


def _voted_twice(insider: Insider) -> None:
    """The checker approves a second time, as an event of its own."""
    index = insider.index_of("approval.approved")
    approve(insider, insider.index_of("token.minted"), _twice)
    mint = insider.payloads()[insider.index_of("token.minted")]
    vote = insider.payloads()[index] | {
        "id": f"event_{new_suffix()}",
        "vote_hash": mint["approvals"][1],
    }
    insert(insider, index + 1, vote)


def _voted_late(insider: Insider) -> None:
    vote = insider.payloads()[insider.index_of("approval.approved")]
    append(insider, vote | {"id": f"event_{new_suffix()}", "booked_at": insider.payloads()[-1]["booked_at"]})


def _vote_exchanged(change: Callable[[dict[str, Any]], object]) -> Fault:
    return lambda insider: insider.resign(insider.index_of("approval.approved"), change)


def _expired(payload: dict[str, Any]) -> None:
    for name in ("decision", "request_hash", "vote_hash"):
        del payload[name]
    payload["type"] = "approval.expired"


def _rejected(payload: dict[str, Any]) -> None:
    payload |= {"decision": "reject", "type": "approval.rejected"}


def _approved_another_event(insider: Insider) -> None:
    """Use what was approved for one mint for the other."""
    first, second = insider.index_of("token.minted", 0), insider.index_of("token.minted", 1)
    hashes = insider.payloads()[first]["approvals"]
    insider.resign(second, _set("approvals", hashes))
    insider.resign(second - 1, _set("vote_hash", hashes[0]))
    rows = insider.rows("approvals.jsonl")
    votes = next(row["votes"] for row in rows if row["votes"][0]["hash"] == hashes[0])
    for row in rows:
        if row["subject_id"] == insider.payloads()[second]["instruction_id"]:
            row["votes"] = votes
    insider.write("approvals.jsonl", rows)
    insider.seal()


def _forged_vote(rows: list[dict[str, Any]]) -> None:
    rows[0]["votes"][0]["person"] = "Somebody Else"


def _forged_vote_and_hash(rows: list[dict[str, Any]]) -> None:
    _forged_vote(rows)
    rows[0]["votes"][0]["hash"] = vote_hash(rows[0], rows[0]["votes"][0])


def _vote_member(rows: list[dict[str, Any]]) -> None:
    rows[0]["votes"][0]["note"] = "trust me"


# --- what an insider does to the books ---------------------------------------------------------------------------


def _reamounted(event_type: str, amount: str, number: int = 0) -> Fault:
    return lambda insider: reamount(insider, insider.index_of(event_type, number), amount)


def _unbalanced(payload: dict[str, Any]) -> None:
    payload["lines"][1]["credit"] = "400.01"


def _credited_elsewhere(payload: dict[str, Any]) -> None:
    payload["lines"][1]["account"] = payload["lines"][0]["account"]


def _another_account(payload: dict[str, Any]) -> None:
    payload["lines"][0]["account"] = payload["lines"][1]["account"].replace("2110", "1390")


def _deposit_left_out(insider: Insider) -> None:
    """The deposit behind a mint becomes something that posts nothing."""
    frozen = insider.payloads()[insider.index_of("account.frozen")]
    index = insider.index_of("deposit.confirmed")
    deposit = insider.payloads()[index]
    suffix = deposit["id"][-26:]
    changed = frozen | {
        "index": index,
        "id": deposit["id"],
        "instruction_id": f"freeze_{suffix}",
        "booked_at": deposit["booked_at"],
        "payer_account_id": insider.payloads()[insider.index_of("account.closed")]["payer_account_id"],
    }
    insider.put(index, canonical_json(changed))


def _same_entry(insider: Insider) -> None:
    first = insider.payloads()[insider.index_of("deposit.confirmed")]
    _resigned("deposit.confirmed", _set("related_id", first["related_id"]), 1)(insider)


def _settled_twice(insider: Insider) -> None:
    first = insider.payloads()[insider.index_of("deposit.confirmed")]

    def change(payload: dict[str, Any]) -> None:
        payload |= {"id": first["id"], "instruction_id": first["instruction_id"]}

    _resigned("deposit.confirmed", change, 1)(insider)


def _frozen_twice(insider: Insider) -> None:
    append(insider, freeze(insider, insider.payloads()[insider.index_of("account.frozen", 1)]))


def _paid_while_frozen(insider: Insider) -> None:
    """Freeze somebody, where the first deposit was, who is minted to next."""
    frozen = insider.payloads()[insider.index_of("account.frozen")]
    transfer = insider.payloads()[insider.index_of("token.transferred")]
    index = insider.index_of("deposit.confirmed")
    deposit = insider.payloads()[index]
    changed = frozen | {
        "index": index,
        "id": deposit["id"],
        "instruction_id": f"freeze_{deposit['id'][-26:]}",
        "booked_at": deposit["booked_at"],
        "payer_account_id": transfer["payer_account_id"],
        "token_class_id": transfer["token_class_id"],
        "currency": transfer["currency"],
    }
    insider.put(index, canonical_json(changed))


def _other_scale(payload: dict[str, Any]) -> None:
    payload["scale"] = 3
    payload["amount"] += "0"
    for line in payload["lines"]:
        line["debit" if "debit" in line else "credit"] += "0"


def _keys_of_requests(change: Change) -> Fault:
    return lambda insider: insider.edit("idempotency.jsonl", change)


def _row(number: int, **members: object) -> Change:
    return lambda rows: rows[number].update(members)


# --- what an insider does to figures -----------------------------------------------------------------------------


def _figure(name: str, change: Change) -> Fault:
    return lambda insider: insider.edit(f"{name}.jsonl", change)


def _spelled_otherwise(insider: Insider) -> None:
    insider.files["balances.jsonl"] = insider.files["balances.jsonl"].replace(b",", b", ", 1)
    insider.seal()


def _total(**members: object) -> Fault:
    return lambda insider: insider.seal(lambda manifest: manifest["control_totals"][0].update(members))


# --- what nobody knows yet ---------------------------------------------------------------------------------------


def _manifest(**members: object) -> Fault:
    return lambda insider: insider.seal(lambda manifest: manifest.update(members))


def _listed_file(insider: Insider) -> None:
    insider.files["notes.txt"] = b"read me\n"
    insider.seal()


def _raw(payload: bytes) -> Fault:
    return lambda insider: insider.put(2, payload)


def _written_otherwise(insider: Insider) -> None:
    insider.put(2, json.dumps(insider.payloads()[2]).encode())


def _named_twice(insider: Insider) -> None:
    payload = canonical_json(insider.payloads()[2])
    insider.put(2, payload[:-1] + b',"version":1}')


FAULTS: Final[dict[str, tuple[ExitCode, Fault]]] = {
    "an event's signature is another event's": (ExitCode.SIGNATURE, _signature_of_another),
    "an event's amount changed, unsigned": (ExitCode.SIGNATURE, _payload_unsigned),
    "alg none": (ExitCode.SIGNATURE, _header({"alg": "none", "typ": "tallystick-event-v1+jws"})),
    "alg HS256": (ExitCode.SIGNATURE, _header({"alg": "HS256", "typ": "tallystick-event-v1+jws"})),
    "crit in the header": (
        ExitCode.SIGNATURE,
        _header({"alg": "EdDSA", "typ": "tallystick-event-v1+jws", "crit": ["b64"]}),
    ),
    "a key in the header": (
        ExitCode.SIGNATURE,
        _header({"alg": "EdDSA", "typ": "tallystick-event-v1+jws", "jwk": {"kty": "OKP"}}),
    ),
    "alg named twice": (
        ExitCode.SIGNATURE,
        _header('{"alg":"none","alg":"EdDSA","kid":"KID","typ":"tallystick-event-v1+jws"}'),
    ),
    "another spelling of the signature": (ExitCode.SIGNATURE, _spare_bits),
    "the manifest signed by nobody": (ExitCode.SIGNATURE, _manifest_of_nobody),
    "the signature of another manifest": (ExitCode.SIGNATURE, _manifest_of_before),
    "an event signed by an unknown key": (ExitCode.KEY, _other_key),
    "a new key, told of and not introduced": (ExitCode.KEY, _told_other_key),
    "the manifest signed by a key of one's own": (ExitCode.KEY, _manifest_by_other_key),
    "the key is revoked": (ExitCode.KEY, _key_told(state="revoked", until_index=20)),
    "the key is retired": (ExitCode.KEY, _key_told(state="retired", until_index=20)),
    "the key is for checkpoints": (ExitCode.KEY, _key_told(key_use="checkpoint")),
    "the key signed before it did": (ExitCode.KEY, _key_told(from_index=1)),
    "no key is told": (ExitCode.KEY, lambda insider: insider.edit("keys.jsonl", lambda rows: rows.clear())),
    "a key is told twice": (
        ExitCode.KEY,
        lambda insider: insider.edit("keys.jsonl", lambda rows: rows.append(rows[0])),
    ),
    "a key with another's name": (ExitCode.KEY, _key_told(kid="A" * 43)),
    "a key of low order": (ExitCode.KEY, _key_told(x="A" * 43)),
    "an event deleted": (ExitCode.LOG, _deleted),
    "an event deleted, the rest renumbered": (ExitCode.LOG, _deleted_and_renumbered),
    "two events swapped": (ExitCode.LOG, _swapped),
    "an event doubled": (ExitCode.LOG, _doubled),
    "the last event left out": (ExitCode.LOG, _last_left_out),
    "an event too many": (ExitCode.LOG, _one_too_many),
    "the log backwards": (ExitCode.LOG, _reversed),
    "another issuer's event": (
        ExitCode.LOG,
        _resigned("token.transferred", _set("issuer_id", "issuer_00000000000000000000000000")),
    ),
    "an event from the past": (
        ExitCode.LOG,
        _resigned("token.redeemed", _set("booked_at", "2026-11-20T07:00:00.000000Z")),
    ),
    "a mint that nobody approved": (ExitCode.APPROVAL, _resigned("token.minted", emptied)),
    "a reversal that nobody approved": (ExitCode.APPROVAL, _resigned("transfer.reversed", emptied)),
    "a deposit by hand that nobody approved": (
        ExitCode.APPROVAL,
        _resigned("deposit.confirmed", emptied, 2),
    ),
    "an approval where none belongs": (
        ExitCode.APPROVAL,
        _resigned("token.transferred", _set("approvals", ["0" * 64])),
    ),
    "a forged vote": (ExitCode.APPROVAL, _told(_forged_vote)),
    "a forged vote with its hash": (ExitCode.APPROVAL, _told(_forged_vote_and_hash)),
    "a vote with a member of its own": (ExitCode.APPROVAL, _told(_vote_member)),
    "no approval told": (ExitCode.APPROVAL, _told(lambda rows: rows.clear())),
    "an approval told twice": (ExitCode.APPROVAL, _told(lambda rows: rows.append(rows[-1]))),
    "an approval of another amount": (ExitCode.APPROVAL, _told(_row(0, amount="1.00"))),
    "self-approval": (ExitCode.APPROVAL, _approval("token.minted", _self_approved)),
    "approved through the maker's login": (ExitCode.APPROVAL, _approval("token.minted", _own_login)),
    "one vote, told as two": (ExitCode.APPROVAL, _approval("token.minted", _twice)),
    "one person voted twice": (ExitCode.APPROVAL, _voted_twice),
    "a vote after the decision": (ExitCode.APPROVAL, _voted_late),
    "a vote that is in no log": (ExitCode.APPROVAL, _vote_exchanged(_expired)),
    "a vote for another request": (ExitCode.APPROVAL, _vote_exchanged(_set("request_hash", "0" * 64))),
    "an event that was rejected before": (ExitCode.APPROVAL, _vote_exchanged(_rejected)),
    "a vote of another decision than it says": (
        ExitCode.UNSUPPORTED,
        _vote_exchanged(_set("decision", "reject")),
    ),
    "a rejection counted": (
        ExitCode.APPROVAL,
        _approval("token.minted", lambda row: row["votes"][0].update(decision="reject")),
    ),
    "approved after it had expired": (
        ExitCode.APPROVAL,
        _approval("token.minted", lambda row: row["votes"][0].update(decided_at=row["expires_at"])),
    ),
    "what one mint was approved by used for another": (ExitCode.APPROVAL, _approved_another_event),
    "an approval of another request": (
        ExitCode.APPROVAL,
        _approval("token.minted", lambda row: row.update(request_hash="0" * 64)),
    ),
    "an entry that does not balance": (ExitCode.BOOKS, _resigned("token.transferred", _unbalanced)),
    "an entry in itself": (ExitCode.BOOKS, _resigned("token.transferred", _credited_elsewhere)),
    "an entry against a loss": (ExitCode.BOOKS, _resigned("token.transferred", _another_account)),
    "lines of another amount": (ExitCode.BOOKS, _resigned("token.transferred", _set("amount", "4.00"))),
    "no lines": (ExitCode.BOOKS, _resigned("token.transferred", _set("lines", []))),
    "a mint of more than was deposited": (ExitCode.BOOKS, _reamounted("token.minted", "1000.01")),
    "a mint without a deposit": (ExitCode.BOOKS, _deposit_left_out),
    "more paid than there is": (ExitCode.BOOKS, _reamounted("token.transferred", "1000.01")),
    "more paid out of a hold than is held": (ExitCode.BOOKS, _reamounted("hold.executed", "50.01")),
    "a void of less than is held": (ExitCode.BOOKS, _reamounted("hold.voided", "29.99")),
    "more reversed than was paid": (ExitCode.BOOKS, _reamounted("transfer.reversed", "400.01")),
    "an execution of no hold": (
        ExitCode.BOOKS,
        _resigned("hold.executed", _set("related_id", "hold_00000000000000000000000000")),
    ),
    "a frozen account is paid": (ExitCode.BOOKS, _paid_while_frozen),
    "another account's tokens taken under an order": (ExitCode.BOOKS, _topped_up_elsewhere),
    "a top-up under no order": (
        ExitCode.BOOKS,
        _resigned("order.topped_up", _set("related_id", "order_01m8aqaqwve66bdkq8ey0vq2g2")),
    ),
    "an order that had ended": (ExitCode.BOOKS, _lifted_again),
    "more seized than is held": (ExitCode.BOOKS, _reamounted("order.seized", "900.00")),
    "nothing seized": (ExitCode.BOOKS, _nothing_seized),
    "an account frozen twice": (ExitCode.BOOKS, _frozen_twice),
    "an instruction settled twice": (ExitCode.BOOKS, _settled_twice),
    "a statement's entry confirmed twice": (ExitCode.BOOKS, _same_entry),
    "another scale": (ExitCode.BOOKS, _resigned("token.redeemed", _other_scale)),
    "another currency": (ExitCode.BOOKS, _resigned("token.redeemed", _set("currency", "CHF"))),
    "an idempotency key told twice": (
        ExitCode.BOOKS,
        _keys_of_requests(lambda rows: rows[1].update(key_digest=rows[0]["key_digest"])),
    ),
    "two idempotency keys for one event": (
        ExitCode.BOOKS,
        _keys_of_requests(lambda rows: rows[1].update(event_index=rows[0]["event_index"])),
    ),
    "an event that nobody asked for": (ExitCode.BOOKS, _keys_of_requests(lambda rows: rows.pop())),
    "a journal line of another balance": (ExitCode.FIGURES, _figure("journal", _row(4, balance="0.00"))),
    "a journal line of another version": (ExitCode.FIGURES, _figure("journal", _row(4, account_version=9))),
    "a journal line missing": (ExitCode.FIGURES, _figure("journal", lambda rows: rows.pop(4))),
    "a journal line too many": (ExitCode.FIGURES, _figure("journal", lambda rows: rows.append(rows[-1]))),
    "a balance": (ExitCode.FIGURES, _figure("balances", _row(0, balance="999.00"))),
    "an opening balance": (ExitCode.FIGURES, _figure("balances", _row(0, opening_balance="1.00"))),
    "a balance left out": (ExitCode.FIGURES, _figure("balances", lambda rows: rows.pop())),
    "a balance spelled otherwise": (ExitCode.FIGURES, _spelled_otherwise),
    "the trial balance": (ExitCode.FIGURES, _figure("trial_balance", _row(1, debits="0.01"))),
    "what is owed to a holder": (ExitCode.FIGURES, _figure("liabilities", _row(0, total="0.00"))),
    "a holder left out": (ExitCode.FIGURES, _figure("liabilities", lambda rows: rows.pop())),
    "a holder invented": (
        ExitCode.FIGURES,
        _figure("liabilities", _row(0, holder_id="holder_00000000000000000000000000")),
    ),
    "an account left out": (ExitCode.FIGURES, _figure("accounts", lambda rows: rows.pop())),
    "an account invented": (
        ExitCode.FIGURES,
        _figure("accounts", _row(0, account_id="account_00000000000000000000000000")),
    ),
    "supply": (ExitCode.FIGURES, _total(supply="0.00")),
    "a total that ties": (ExitCode.FIGURES, _total(ties=False)),
    "an event of an unknown type": (
        ExitCode.UNSUPPORTED,
        _resigned("token.redeemed", _set("type", "token.conjured")),
    ),
    "an event of another version": (ExitCode.UNSUPPORTED, _resigned("token.redeemed", _set("version", 2))),
    "an event with a member of its own": (
        ExitCode.UNSUPPORTED,
        _resigned("token.redeemed", _set("memo", "x")),
    ),
    "an event without a member": (
        ExitCode.UNSUPPORTED,
        _resigned("token.redeemed", lambda payload: payload.pop("value_date")),
    ),
    "an amount with another scale": (ExitCode.UNSUPPORTED, _resigned("token.redeemed", _set("amount", "5"))),
    "an amount that is a number": (ExitCode.UNSUPPORTED, _resigned("token.redeemed", _set("amount", 5))),
    "an amount in other digits": (
        ExitCode.UNSUPPORTED,
        _resigned("token.redeemed", _set("amount", "\u0665.00")),
    ),
    "an instruction of another kind": (
        ExitCode.UNSUPPORTED,
        _resigned(
            "token.redeemed", lambda payload: payload.update(instruction_id="mint_" + payload["id"][-26:])
        ),
    ),
    "a moment that is none": (
        ExitCode.UNSUPPORTED,
        _resigned("token.redeemed", _set("booked_at", "2026-02-30T08:00:00.000000Z")),
    ),
    "what was signed is no JSON": (ExitCode.UNSUPPORTED, _raw(b"\xff")),
    "what was signed is a list": (ExitCode.UNSUPPORTED, _raw(b"[]")),
    "what was signed is not canonical": (ExitCode.UNSUPPORTED, _written_otherwise),
    "a member named twice": (ExitCode.UNSUPPORTED, _named_twice),
    "an event signed as a manifest": (
        ExitCode.UNSUPPORTED,
        lambda insider: insider.put(
            2, canonical_json(insider.payloads()[2]), typ="tallystick-manifest-v1+jws"
        ),
    ),
    "a manifest signed as an event": (ExitCode.UNSUPPORTED, _manifest_as_event),
    "a pack of another version": (ExitCode.UNSUPPORTED, _manifest(pack_version=2)),
    "a pack of an unknown kind": (ExitCode.UNSUPPORTED, _manifest(pack_kind="summary")),
    "a manifest with a member of its own": (ExitCode.UNSUPPORTED, _manifest(note="x")),
    "a file that is not known": (ExitCode.UNSUPPORTED, _listed_file),
    "a manifest without a range": (ExitCode.PACK, _manifest(first_event_index=99)),
}


# That a fault is found for what it is, and not because something else about it is odd.
WORDS: Final = {
    "a new key, told of and not introduced": "does not name the key",
    "the key is revoked": "is revoked",
    "a key of low order": "low order",
    "an event deleted, the rest renumbered": "signed for index",
    "the last event left out": "ends before",
    "an event from the past": "booked before",
    "a mint that nobody approved": "names none",
    "a forged vote": "hash",
    "self-approval": "same person",
    "one vote, told as two": "votes in the log",
    "one person voted twice": "counted twice",
    "a vote after the decision": "decided again",
    "a vote that is in no log": "nobody voted",
    "a vote for another request": "another request",
    "an event that was rejected before": "nobody voted",
    "a rejection counted": "does not approve",
    "approved after it had expired": "expired",
    "an approval of another request": "another request",
    "an entry that does not balance": "does not balance",
    "an entry against a loss": "not the journal",
    "a mint of more than was deposited": "More is minted",
    "a mint without a deposit": "More is minted",
    "more paid than there is": "below zero",
    "more paid out of a hold than is held": "left of the hold",
    "a void of less than is held": "all that is left",
    "more reversed than was paid": "left of the transfer",
    "a frozen account is paid": "that is frozen",
    "another account's tokens taken under an order": "on another account",
    "a top-up under no order": "relates to no order",
    "an order that had ended": "relates to no order",
    "more seized than is held": "falls below zero",
    "nothing seized": "not the journal",
    "an account frozen twice": "frozen already",
    "an instruction settled twice": "happened twice",
    "a statement's entry confirmed twice": "entry was confirmed",
    "another scale": "scale",
    "an instruction of another kind": "instruction_id",
    "an event of an unknown type": "type",
    "a member named twice": "canonical",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_found(fault: str, evidence: Evidence, tmp_path: Path) -> None:
    expected, change = FAULTS[fault]
    insider = evidence.insider()
    change(insider)

    report = verified(insider.files, tmp_path / "pack", evidence.policy)

    assert report.exit_code == expected, report.text()
    assert WORDS.get(fault, "") in report.findings[0].message
    assert insider.files != evidence.files


def test_the_table_has_every_class() -> None:
    told = {code for code, _ in FAULTS.values()}
    assert told == set(ExitCode) - {ExitCode.OK, ExitCode.USAGE, ExitCode.INTERNAL}


def test_a_changed_byte_is_found_in_every_file(evidence: Evidence, tmp_path: Path) -> None:
    for name, content in evidence.files.items():
        # Of a file without rows nothing can change but that there are any: that is a fault of its own.
        for place in chunks(content) if content else []:
            flipped = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
            report = verified(evidence.files | {name: flipped}, tmp_path / f"{name}-{place}", evidence.policy)
            wanted = {ExitCode.PACK}
            if name.startswith("manifest"):
                wanted = {ExitCode.PACK, ExitCode.SIGNATURE, ExitCode.UNSUPPORTED}
            assert report.exit_code in wanted, (name, place, report.text())


@hypothesis_settings(max_examples=60)
@given(data=st.data())
def test_no_byte_of_the_log_can_change(
    data: st.DataObject, evidence: Evidence, tmp_path_factory: pytest.TempPathFactory
) -> None:
    insider = evidence.insider()
    content = insider.files["events.jsonl"]
    place = data.draw(st.integers(0, len(content) - 1))
    octet = data.draw(st.integers(0, 255).filter(lambda value: value != content[place]))
    insider.files["events.jsonl"] = content[:place] + bytes([octet]) + content[place + 1 :]
    insider.seal()

    report = verified(insider.files, tmp_path_factory.mktemp("flipped") / "pack", evidence.policy)

    assert report.exit_code not in (ExitCode.OK, ExitCode.INTERNAL)


def test_a_quorum_that_was_not_reached(evidence: Evidence, tmp_path: Path) -> None:
    strict = replace(evidence.policy, quorums={"mint": 2})

    report = verified(evidence.files, tmp_path / "pack", strict)

    assert report.exit_code == ExitCode.APPROVAL
    assert "2 are needed" in report.text()


def test_another_auditor_s_bank(evidence: Evidence, tmp_path: Path) -> None:
    other = replace(evidence.policy, issuer_id="issuer_00000000000000000000000000")

    assert verified(evidence.files, tmp_path / "pack", other).exit_code == ExitCode.PACK


def test_a_key_that_is_pinned_for_other_indexes(evidence: Evidence, tmp_path: Path) -> None:
    [pin] = (one for one in evidence.pinned.pins if one.public_key.kid == evidence.signer.key_id)
    late = replace(evidence.pinned, pins=(Pin(pin.public_key, 3, None),))
    ended = replace(evidence.pinned, pins=(Pin(pin.public_key, 0, 9),))

    assert verified(evidence.files, tmp_path / "late", late).exit_code == ExitCode.KEY
    assert verified(evidence.files, tmp_path / "ended", ended).exit_code == ExitCode.KEY


def test_a_shorter_log_than_was_seen(evidence: Evidence, tmp_path: Path) -> None:
    """The end of a log can be cut off without a trace in it: only who saw it before knows."""
    whole = verified(evidence.files, tmp_path / "whole", evidence.policy)
    root = base64.b64decode(whole.pack["root"])
    remembering = replace(evidence.policy, seen=(Seen(36, root, "a note"),))
    forked = replace(evidence.policy, seen=(Seen(9, root, "a note"),))

    assert verified(evidence.files, tmp_path / "again", remembering).exit_code == ExitCode.OK
    assert verified(evidence.files, tmp_path / "forked", forked).exit_code == ExitCode.LOG
    longer = replace(evidence.policy, seen=(Seen(37, root, "a note"),))
    report = verified(evidence.files, tmp_path / "longer", longer)
    assert report.exit_code == ExitCode.LOG
    assert "37 were seen before" in report.text()


def test_without_a_checkpoint_nothing_is_verified_unless_asked_for(
    evidence: Evidence, tmp_path: Path
) -> None:
    strict = verified(evidence.files, tmp_path / "strict", evidence.policy, Options())
    allowed = verified(evidence.files, tmp_path / "allowed", evidence.policy)

    assert strict.exit_code == ExitCode.LOG
    assert allowed.exit_code == ExitCode.OK
    assert any("ONLY LOG" in one for one in allowed.unproven)
    assert any("ONLY LOG" in one for one in strict.unproven)
