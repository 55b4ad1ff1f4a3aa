"""Payouts over HTTP: asked for, filed by two people, and followed by what the bank sends."""

import hashlib
import json
from typing import Any

import pytest

from tallystick.participants import Role
from tests.api.edge import Edge, assert_problem
from tests.api.signatures import payload_of
from tests.camt_writer import statement
from tests.payouts.replying import debit, report, returned, transaction
from tests.screening.listed import company
from tests.tokens.paying import BENEFICIARY, HARBOUR

pytestmark = pytest.mark.anyio

OPERATOR, MAKER, CHECKER, PLATFORM = (
    Role.OPERATOR,
    Role.TREASURY_MAKER,
    Role.TREASURY_CHECKER,
    Role.PLATFORM,
)
XML = {"Content-Type": "application/xml"}


def wanted(edge: Edge, **changed: Any) -> dict[str, Any]:
    return {
        "account_id": edge.bank.account_id(HARBOUR),
        "amount": "40.00",
        "currency": "USD",
        "beneficiary": BENEFICIARY,
        "remittance": "Invoice 4711",
        **changed,
    }


async def filed(edge: Edge) -> dict[str, Any]:
    """Have everything that waits in a file; return the file."""
    asked = await edge.post("/v1/payout-files", {"token_class_id": edge.bank.classes["USD"].id}, OPERATOR)
    assert (asked.status_code, asked.json()["state"]) == (202, "pending_approval")
    approval = f"/v1/approvals/{asked.json()['approval_id']}"
    decided = await edge.post(f"{approval}/approve", {}, CHECKER)
    assert decided.status_code == 200, decided.text
    [*_, made] = (await edge.get("/v1/payout-files")).json()["data"]
    found: dict[str, Any] = (await edge.get(f"/v1/payout-files/{made['id']}")).json()
    assert found == made | {"payout_ids": found["payout_ids"], "signed_event": found["signed_event"]}
    return found


async def sent(edge: Edge, path: str, content: bytes, role: Role = MAKER) -> Any:
    return await edge.client.post(path, content=content, headers=edge.bearer(role) | XML)


async def test_a_payout_from_asking_to_the_tokens_return(edge: Edge) -> None:
    edge.bank.mint(HARBOUR, "100.00")
    answer = await edge.post("/v1/payouts", wanted(edge), PLATFORM, key="pay")
    payout = answer.json()
    assert (answer.status_code, payout["state"], "beneficiary" in payout) == (201, "accepted", False)
    assert json.loads(payload_of(payout["signed_event"]))["type"] == "payout.accepted"
    again = await edge.post("/v1/payouts", wanted(edge), PLATFORM, key="pay")
    assert (again.content, again.headers["Idempotency-Replayed"]) == (answer.content, "true")
    path = f"/v1/payouts/{payout['id']}"

    made = await filed(edge)
    first, second = [await edge.get(f"/v1/payout-files/{made['id']}/content") for _ in range(2)]
    assert (first.content, first.headers["content-type"]) == (second.content, "application/xml")
    assert hashlib.sha256(first.content).hexdigest() == made["sha256"]
    assert (made["payout_ids"], made["control_sum"], made["sequence"]) == ([payout["id"]], "40.00", 1)
    refused = await edge.post(f"{path}/cancel", {"reason": "Too late."}, PLATFORM)
    assert_problem(refused, 409, "payout_filed")

    content = report(made["message_id"], transaction(payout["id"], "ACSP"))
    taken, repeated = [await sent(edge, "/v1/payout-statuses", content) for _ in range(2)]
    assert (taken.status_code, repeated.status_code, repeated.json()["imported"]) == (201, 200, False)
    shown = (await edge.get(path, PLATFORM)).json()
    assert (shown["bank_status"], shown["in_progress"], shown["settled_at"]) == ("ACSP", True, None)
    assert shown["beneficiary"] == {"account_number": None} | BENEFICIARY

    bank = edge.bank
    paid = statement(debit(bank, payout["id"]), opening="100.00", day="2026-11-21", statement_id="S-1")
    assert (await sent(edge, "/v1/statements", paid)).status_code == 201
    shown = (await edge.get(path)).json()
    assert (shown["state"], shown["in_progress"]) == ("settled", False)
    assert shown["final_at"] == shown["settled_at"] is not None
    back = statement(returned(bank, payout["id"]), opening="60.00", day="2026-11-22", statement_id="S-2")
    assert (await sent(edge, "/v1/statements", back)).status_code == 201

    shown = (await edge.get(path)).json()
    assert shown["state"] == "given_back"
    assert [one["what"] for one in shown["history"]].count("given_back") == 1
    assert {one["what"] for one in shown["history"]} == {
        *("accepted", "filed", "bank_status", "settled", "returned", "given_back")
    }
    assert (await edge.get("/v1/payout-findings")).json()["data"] == []
    assert (bank.balance_minor("2110", HARBOUR), bank.balance_minor("2310", "USD")) == (10_000, 0)


async def test_a_rejection_tells_why_and_a_late_one_is_left_to_people(edge: Edge) -> None:
    edge.bank.mint(HARBOUR, "100.00")
    ids = [(await edge.post("/v1/payouts", wanted(edge), PLATFORM)).json()["id"] for _ in range(2)]
    made = await filed(edge)
    content = report(made["message_id"], transaction(ids[0], "RJCT", "AC04"))
    assert (await sent(edge, "/v1/payout-statuses", content)).status_code == 201
    late = report(made["message_id"], transaction(ids[0], "ACSC"), message_id="BANK-2")
    assert (await sent(edge, "/v1/payout-statuses", late)).status_code == 201

    shown = (await edge.get(f"/v1/payouts/{ids[0]}")).json()
    assert (shown["state"], shown["reason_code"], shown["ended_reason"]) == (
        "rejected",
        "AC04",
        "As the bank says.",
    )
    [finding] = (await edge.get("/v1/payout-findings")).json()["data"]
    assert (finding["kind"], finding["payout_id"]) == ("accepted_after_end", ids[0])
    listed = (await edge.get("/v1/payouts?state=accepted", PLATFORM)).json()["data"]
    assert [one["id"] for one in listed] == [ids[1]]
    assert len((await edge.get("/v1/payout-statuses")).json()["data"]) == 2


async def test_a_finding_is_worked_on_and_listed_by_its_state(edge: Edge) -> None:
    content = report("NOBODYS", transaction(f"payout_{'0' * 26}", "RJCT"))
    assert (await sent(edge, "/v1/payout-statuses", content)).status_code == 201
    [finding] = (await edge.get("/v1/payout-findings?state=open")).json()["data"]
    path = f"/v1/payout-findings/{finding['id']}"
    owner = {"owner_id": edge.bank.checker.id}

    assert (await edge.post(f"{path}/assign", owner)).json()["state"] == "assigned"
    for number in range(101):
        noted = await edge.post(f"{path}/notes", {"note": f"Call {number}."}, key=f"note-{number}")
        assert noted.status_code == 200
    assert_problem(await edge.post(f"{path}/resolve", {}), 422, "request_invalid")
    done = (await edge.post(f"{path}/resolve", {"note": "Another bank's."}, OPERATOR)).json()

    assert (done["state"], done["owner_id"], done["corrected_by"]) == ("resolved", owner["owner_id"], None)
    assert (await edge.get("/v1/payout-findings?state=open")).json()["data"] == []
    assert (await edge.get(f"/v1/payout-findings?owner_id={owner['owner_id']}")).json()["data"] == [done]
    shown = (await edge.get(path)).json()
    assert (shown["ended_at"], len(shown["actions"]), shown["has_more_actions"]) == (
        done["ended_at"],
        100,
        True,
    )
    rest = (await edge.get(f"{path}/actions?cursor=100")).json()["data"]
    assert [one["kind"] for one in rest] == ["noted", "noted", "resolved"]
    assert_problem(await edge.get("/v1/payout-findings/absent"), 404, "payout_finding_not_found")
    refused = await edge.post(f"{path}/notes", {"note": "Let me see."}, PLATFORM)
    assert_problem(refused, 403, "role_not_allowed")


async def test_whom_a_payout_pays_is_screened_when_it_is_asked_for(edge: Edge) -> None:
    edge.bank.mint(HARBOUR, "100.00")
    listed = json.dumps(company("C-1", "Umbral Freight Ltd")).encode()
    imported = await edge.client.post(
        "/v1/screening-lists?name=fictitious&version=1",
        content=listed,
        headers=edge.bearer(OPERATOR) | {"Content-Type": "application/json"},
    )
    assert imported.status_code == 201
    named = wanted(edge, beneficiary=BENEFICIARY | {"name": "Umbral Freight"})

    waits = await edge.post("/v1/payouts", named, PLATFORM)
    others = await edge.post("/v1/payouts", wanted(edge), PLATFORM)
    hidden = named | {"account_id": "account_absent", "beneficiary": BENEFICIARY | {"name": "Umbral"}}
    assert_problem(await edge.post("/v1/payouts", hidden, PLATFORM), 404, "account_not_found")

    assert (waits.status_code, waits.json()["state"]) == (202, "pending_approval")
    assert (others.status_code, others.json()["state"]) == (201, "accepted")
    [hit] = (await edge.get("/v1/screenings?state=hit", OPERATOR)).json()["data"]
    assert (hit["subject"]["legal_name"], hit["holder_id"][:12]) == ("Umbral Freight", "beneficiary_")
    assert len((await edge.get("/v1/screenings", OPERATOR)).json()["data"]) == 2


async def test_a_cancelled_payout_is_available_again(edge: Edge) -> None:
    edge.bank.mint(HARBOUR, "40.00")
    payout = (await edge.post("/v1/payouts", wanted(edge), PLATFORM)).json()

    done = await edge.post(f"/v1/payouts/{payout['id']}/cancel", {"reason": "Ordered twice."}, PLATFORM)

    assert (done.status_code, done.json()["payout_id"]) == (201, payout["id"])
    assert edge.bank.balance_minor("2110", HARBOUR) == 4_000
    asked = await edge.post("/v1/payout-files", {"token_class_id": edge.bank.classes["USD"].id}, OPERATOR)
    assert_problem(asked, 409, "payout_file_outdated")


async def test_bad_input_is_a_problem_and_leaves_nothing(edge: Edge) -> None:
    edge.bank.mint(HARBOUR, "40.00")
    for changed, code in (
        ({"beneficiary": BENEFICIARY | {"iban": "DE00"}}, "iban_malformed"),
        ({"beneficiary": BENEFICIARY | {"address_line": "Hafenstr. 7a, Hamburg"}}, "request_invalid"),
        ({"beneficiary": {"name": "Acme"}}, "request_invalid"),
        ({"beneficiary": BENEFICIARY | {"name": "Ärger"}}, "payout_malformed"),
        ({"uetr": "1"}, "payout_malformed"),
        ({"amount": "40.01"}, "insufficient_funds"),
    ):
        refused = await edge.post("/v1/payouts", wanted(edge, **changed), PLATFORM)
        assert refused.status_code in {409, 422}
        assert refused.json()["code"] == code
    assert edge.bank.balance_minor("2110", HARBOUR) == 4_000
    for content, status, code in (
        (b"<Another></Another>", 422, "payout_status_malformed"),
        (b"<!DOCTYPE a><a/>", 422, "statement_doctype_forbidden"),
    ):
        assert_problem(await sent(edge, "/v1/payout-statuses", content), status, code)
    headers = edge.bearer(MAKER) | {"Content-Type": "application/json"}
    refused = await edge.client.post("/v1/payout-statuses", content=b"{}", headers=headers)
    assert_problem(refused, 415, "payout_status_media_type_unsupported")
    absent = await edge.get(f"/v1/payout-files/payout_file_{'0' * 26}/content")
    assert_problem(absent, 404, "payout_file_not_found")
