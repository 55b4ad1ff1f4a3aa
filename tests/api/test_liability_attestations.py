"""Proofs of liabilities over the API: asked for by the bank or its auditor, and each holder's own, checked offline."""

import json

import pytest

from tallystick.core.ids import new_suffix
from tallystick.participants import Role
from tallystick_verify.failures import ExitCode
from tallystick_verify.liability_proofs import verify_liability_proof
from tests.api.edge import Edge, assert_problem
from tests.api.examples import integrate_all
from tests.api.test_books import policy_of
from tests.liabilities.attested import attest, record_of
from tests.tokens.changing import rows

pytestmark = pytest.mark.anyio


@pytest.fixture
def owing(edge: Edge) -> Edge:
    edge.bank.mint("HARBOUR-USD", "70.00")
    edge.bank.transfer("HARBOUR-USD", "LANTERN-USD", "20.00")
    edge.bank.mint("NORTHWIND-USD", "5.00")
    return edge


async def test_an_auditor_asks_and_each_holder_checks_the_own_claim(owing: Edge) -> None:
    bank = owing.bank
    body = {"token_class_id": bank.classes["USD"].id}
    asked = await owing.post("/v1/liability-attestations", body, Role.AUDITOR, key="once")
    assert asked.status_code == 201, asked.text
    attestation_id = asked.json()["subject_id"]
    # Again is the same, to the byte; and it made nothing new.
    again = await owing.post("/v1/liability-attestations", body, Role.AUDITOR, key="once")
    assert (again.content, again.headers["idempotency-replayed"]) == (asked.content, "true")
    other = body | {"token_class_id": bank.classes["EUR"].id}
    refused = await owing.post("/v1/liability-attestations", other, Role.AUDITOR, key="once")
    assert_problem(refused, 409, "idempotency_key_reused")
    assert rows(bank, "SELECT count(*) FROM liability_tree") == [(1,)]

    shown = (await owing.get(f"/v1/liability-attestations/{attestation_id}", Role.HOLDER)).json()
    listed = (await owing.get(f"/v1/liability-attestations?token_class_id={body['token_class_id']}")).json()
    assert listed["data"] == [shown]
    assert (shown["total"], shown["depth"]) == ("75.00", 2)
    assert shown["signed_event"] == asked.json()["signed_event"]
    for holder, role, amount in (
        ("HARBOUR", Role.PLATFORM, "50.00"),
        ("LANTERN", Role.PLATFORM, "20.00"),
        ("NORTHWIND", Role.HOLDER, "5.00"),
    ):
        path = f"/v1/liabilities/{record_of(bank, holder).id}/proof"
        proof = await owing.get(f"{path}?attestation={attestation_id}", role)
        assert proof.json()["amount"] == amount
        report = verify_liability_proof(proof.content, policy_of(owing))
        assert report.exit_code == ExitCode.OK, report.text()
        assert report.checks["log"].state == "skipped"
        # The newest unless one is named; and with a receipt, once the event is under a checkpoint.
        assert (await owing.get(path, role)).json() == proof.json()
    integrate_all(bank)
    path = f"/v1/liabilities/{record_of(bank, 'NORTHWIND').id}/proof"
    assert (await owing.get(path, Role.HOLDER)).json()["receipt"].startswith("c2sp.org/tlog-proof@v1\n")


async def test_a_proof_is_for_its_holder_alone(owing: Edge) -> None:
    of = attest(owing.bank)
    path = f"/v1/liabilities/{record_of(owing.bank, 'HARBOUR').id}/proof?attestation={of.tree.id}"

    assert_problem(await owing.get(path, Role.HOLDER), 404, "liability_not_found")
    for role in (Role.AUDITOR, Role.OPERATOR, Role.TREASURY_MAKER, Role.TREASURY_CHECKER):
        assert_problem(await owing.get(path, role), 403, "role_not_allowed")


async def test_what_can_not_be_attested_or_proven_is_refused_and_leaves_nothing(owing: Edge) -> None:
    bank = owing.bank
    body = {"token_class_id": bank.classes["USD"].id}
    for changed, status, code in (
        ({"token_class_id": f"class_{new_suffix()}"}, 404, "token_class_not_found"),
        ({"as_of": "yesterday"}, 422, "request_invalid"),
        ({"as_of": None, "total": "1.00"}, 422, "request_invalid"),
    ):
        refused = await owing.post("/v1/liability-attestations", body | changed, Role.AUDITOR)
        assert_problem(refused, status, code)
    for role in (Role.PLATFORM, Role.HOLDER, Role.OPERATOR):
        refused = await owing.post("/v1/liability-attestations", body, role)
        assert_problem(refused, 403, "role_not_allowed")
    assert rows(bank, "SELECT count(*) FROM liability_tree") == [(0,)]

    path = f"/v1/liabilities/{record_of(bank, 'LANTERN').id}/proof"
    assert_problem(await owing.get(path, Role.PLATFORM), 404, "attestation_not_found")
    of = attest(bank, "EUR")
    wrong = await owing.get(f"{path}?attestation={of.tree.id}", Role.PLATFORM)
    assert_problem(wrong, 404, "liability_not_attested")
    unknown = f"/v1/liability-attestations/attestation_{new_suffix()}"
    assert_problem(await owing.get(unknown), 404, "attestation_not_found")


async def test_a_tree_that_a_crash_left_is_the_one_that_is_attested(
    owing: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"token_class_id": owing.bank.classes["USD"].id}

    async def lost(*_: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as broken:
        broken.setattr(owing.application.state.service, "settle", lost)
        failed = await owing.post("/v1/liability-attestations", body, Role.AUDITOR, key="crash")
        assert failed.status_code == 500
    [(tree_id,)] = rows(owing.bank, "SELECT id FROM liability_tree")
    owing.bank.mint("HARBOUR-USD", "1.00")

    asked = await owing.post("/v1/liability-attestations", body, Role.AUDITOR, key="crash")

    assert asked.json()["subject_id"] == tree_id
    assert rows(owing.bank, "SELECT count(*) FROM liability_tree") == [(1,)]
    total = (await owing.get(f"/v1/liability-attestations/{tree_id}")).json()["total"]
    assert json.loads(json.dumps(total)) == "75.00"
