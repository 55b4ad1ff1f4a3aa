"""`/v1/breaks` over HTTP: the work on a difference, its files, and the two people who write it off."""

import base64
import hashlib
from datetime import date
from typing import Any

import pytest

from tallystick.participants import Role
from tests.api.edge import Edge, assert_problem
from tests.api.test_reconciliations import FUNDING, import_statement, run
from tests.bank import oracle
from tests.camt_writer import statement

pytestmark = pytest.mark.anyio


async def broken(edge: Edge) -> str:
    """A deposit of a cent that the bank's statement does not show."""
    edge.bank.deposit("LANTERN-USD", "0.01", value_date=date(2026, 11, 20))
    await import_statement(edge, statement(FUNDING))
    made = await run(edge)
    assert made["suspended_because"] is not None
    return str(made["findings"][0]["break_id"])


async def test_the_work_on_a_break(edge: Edge) -> None:
    path = f"/v1/breaks/{await broken(edge)}"
    owner = edge.bank.operator.id
    assigned = await edge.post(f"{path}/assign", {"owner_id": owner, "note": "Yours."})
    assert (assigned.status_code, assigned.json()["state"]) == (200, "assigned")
    [listed] = (await edge.get(f"/v1/breaks?owner_id={owner}&state=assigned")).json()["data"]
    assert listed == assigned.json()
    explained = await edge.post(f"{path}/explain", {"explanation": "A slip."}, Role.OPERATOR, key="once")
    assert explained.json()["state"] == "explained"
    again = await edge.post(f"{path}/explain", {"explanation": "A slip."}, Role.OPERATOR, key="once")
    assert again.content == explained.content
    assert (await edge.post(f"{path}/notes", {"note": "Called."}, Role.TREASURY_CHECKER)).status_code == 200
    found = (await edge.get(path)).json()
    assert [one["kind"] for one in found["actions"]] == ["found", "assigned", "explained", "noted"]
    assert (found["overdue"], found["age_hours"], found["has_more_actions"]) == (False, 0, False)
    first = (await edge.get(f"{path}/actions", params={"limit": 1})).json()
    assert (first["has_more"], first["next_cursor"]) == (True, "1")

    for action, body in (
        ("assign", {"owner_id": owner}),
        ("explain", {"explanation": "x"}),
        ("notes", {"note": "x"}),
        ("resolve", {"instruction_id": "release_1"}),
        ("write-off", {"difference": "0.01", "currency": "USD", "reason": "x"}),
        ("evidence", {"name": "x", "media_type": "text/plain", "content": "eA=="}),
    ):
        refused = await edge.post(f"{path}/{action}", body, Role.AUDITOR)
        assert_problem(refused, 403, "role_not_allowed")
        absent = await edge.post(f"/v1/breaks/break_00000000000000000000000000/{action}", body)
        assert_problem(absent, 404, "break_not_found")
    unfit = await edge.post(f"{path}/assign", {"owner_id": edge.bank.auditor.id})
    assert_problem(unfit, 422, "break_owner_unfit")
    trail = (await edge.get("/v1/audit-trail?operation=break_assign")).json()["data"]
    assert {one["decision"] for one in trail} >= {"settled", "refused"}


async def test_files(edge: Edge) -> None:
    path = f"/v1/breaks/{await broken(edge)}/evidence"
    content = bytes(range(256)) * 8_000  # More than other bodies may have.
    body: dict[str, Any] = {
        "name": "Mail of the branch.eml",
        "media_type": "message/rfc822",
        "content": base64.b64encode(content).decode(),
    }
    added = await edge.post(path, body)
    assert added.status_code == 201, added.text
    sha256 = hashlib.sha256(content).hexdigest()
    assert (added.json()["sha256"], added.json()["size_bytes"]) == (sha256, len(content))
    downloaded = await edge.get(f"{path}/{sha256}")
    assert downloaded.content == content
    assert downloaded.headers["content-type"] == "application/octet-stream"
    assert downloaded.headers["x-content-type-options"] == "nosniff"
    assert downloaded.headers["content-disposition"] == f'attachment; filename="{sha256}"'
    assert_problem(await edge.get(f"{path}/{'0' * 64}"), 404, "break_evidence_not_found")
    for sent, status, code in (
        ({"content": "not base64"}, 422, "break_evidence_malformed"),
        ({"content": "eHh4e"}, 422, "break_evidence_malformed"),
        ({"content": "eHh4eB=="}, 422, "break_evidence_malformed"),
        ({"content": ""}, 422, "request_invalid"),
        ({"content": base64.b64encode(bytes(5_242_881)).decode()}, 413, "break_evidence_too_large"),
        ({"name": "../x"}, 422, "request_invalid"),
        ({"media_type": "text/html; charset=x"}, 422, "request_invalid"),
        ({"content": "A" * 7_100_000}, 413, "body_too_large"),
    ):
        assert_problem(await edge.post(path, body | sent), status, code)


async def test_two_people_write_it_off_and_issuance_goes_on(edge: Edge) -> None:
    break_id = await broken(edge)
    usd = edge.bank.classes["USD"].id
    assert (await edge.get(f"/v1/breakers/{usd}")).json()["state"] == "tripped"
    body = {"difference": "0.02", "currency": "USD", "reason": "Not worth the postage."}
    wrong = await edge.post(f"/v1/breaks/{break_id}/write-off", body)
    assert_problem(wrong, 409, "break_changed")
    asked = await edge.post(f"/v1/breaks/{break_id}/write-off", body | {"difference": "0.01"})
    assert (asked.status_code, asked.json()["operation"]) == (202, "break_write_off")
    shown = (await edge.get(f"/v1/approvals/{asked.json()['approval_id']}")).json()
    assert shown["request"]["payload"]["difference"] == "0.01"
    # Whoever approves sees the entry with what it does to the books, and types its amount.
    loss = {
        "amount": "0.01",
        "currency": "USD",
        "lines": [{"account": f"5020.{usd}", "debit": "0.01"}, {"account": f"1100.{usd}", "credit": "0.01"}],
        "scale": 2,
        "token_class_id": usd,
    }
    assert asked.json()["entry"] == shown["request"]["entry"] == loss
    assert [(one["ledger_account_id"][:4], one["before"], one["after"]) for one in shown["effect"]] == [
        ("5020", "0.00", "0.01"),
        ("1100", "250000.01", "250000.00"),
    ]
    path = f"/v1/approvals/{asked.json()['approval_id']}/approve"
    assert_problem(await edge.post(path, {}, Role.TREASURY_CHECKER), 422, "approval_mismatch")
    approved = await edge.post(path, {"amount": "0.01", "currency": "USD"}, Role.TREASURY_CHECKER)
    assert approved.status_code == 200, approved.text
    settled = approved.json()["instruction"]
    assert settled["entry"] == loss
    found = (await edge.get(f"/v1/breaks/{break_id}")).json()
    assert (found["state"], found["written_off"], found["corrected_by"]) == (
        "written_off",
        "0.01",
        settled["id"],
    )
    entry = (await edge.get(f"/v1/ledger/entries/{settled['event_index']}")).json()
    assert [(one["ledger_account_id"], one["debit"], one["credit"]) for one in entry["lines"]] == [
        (f"5020.{usd}", "0.01", None),
        (f"1100.{usd}", None, "0.01"),
    ]

    made = await run(edge)
    assert (made["verdict"], made["suspended_because"]) == ("tied", None)
    assert (await edge.get(f"/v1/breakers/{usd}")).json()["clean_run_id"] == made["id"]
    reset = await edge.post(f"/v1/breakers/{usd}/reset", {"reason": "Accepted."})
    path = f"/v1/approvals/{reset.json()['approval_id']}/approve"
    assert (await edge.post(path, {}, Role.TREASURY_CHECKER)).status_code == 200
    assert (await edge.get(f"/v1/breakers/{usd}")).json()["state"] == "closed"
    oracle(edge.bank)
