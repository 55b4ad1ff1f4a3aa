"""`/v1/policies`: drafted by operators, read by staff and auditors, refused with a code that says why."""

from typing import Any

import pytest

from tallystick import policy
from tallystick.participants import Role
from tests.api.edge import Edge, assert_problem

pytestmark = pytest.mark.anyio


def request(edge: Edge, **members: Any) -> dict[str, Any]:
    return {
        "token_class_id": edge.bank.classes["USD"].id,
        "document": {"format": "tallystick-policy/1", **members},
    }


async def test_a_policy_is_drafted_activated_and_read(shared_edge: Edge) -> None:
    bank = shared_edge.bank
    asked = request(shared_edge, limits={"transaction": "250000.00"}) | {
        "effective_from": "2026-11-20T09:00:00+01:00"
    }
    made = await shared_edge.post("/v1/policies", asked, Role.OPERATOR, key="draft")
    assert made.status_code == 201
    drafted = made.json()
    assert drafted["effective_from"] == "2026-11-20T08:00:00.000000Z"
    assert (drafted["object"], drafted["state"], drafted["author"]) == ("policy", "draft", "Omar Operator")
    assert drafted["document"]["limits"] == {
        "transaction": "250000.00",
        "payer_day": None,
        "pair_day": None,
        "holder_day": None,
    }
    again = await shared_edge.post("/v1/policies", asked, Role.OPERATOR, key="draft")
    assert again.content == made.content
    assert again.headers["idempotency-replayed"] == "true"

    with bank.database.engine.begin() as connection:
        policy.activate(
            connection,
            shared_edge.application.state.service.clock,
            bank.issuer_id,
            drafted["id"],
            [b"v" * 32],
        )
    for role in (Role.AUDITOR, Role.TREASURY_MAKER, Role.TREASURY_CHECKER, Role.OPERATOR):
        found = (await shared_edge.get(f"/v1/policies/{drafted['id']}", role)).json()
        assert (found["state"], found["approvals"]) == ("active", ["76" * 32])
        assert (found["document"], found["content_hash"]) == (drafted["document"], drafted["content_hash"])
        listed = (
            await shared_edge.get(f"/v1/policies?token_class_id={asked['token_class_id']}", role)
        ).json()
        [one] = [one for one in listed["data"] if one["id"] == drafted["id"]]
        assert "document" not in one
        assert one == {name: value for name, value in found.items() if name != "document"}


@pytest.mark.parametrize(
    ("members", "status", "code", "pointer"),
    [
        ({"limits": {"transaction": "1"}}, 422, "amount_malformed", "/limits/transaction"),
        ({"purposes": {"required_into": ["XX"]}}, 422, "country_unknown", "/purposes/required_into/0"),
        (
            {
                "rules": [
                    {
                        "id": "one",
                        "on": ["mint"],
                        "when": "1 +",
                        "effect": "deny",
                        "code": "own",
                        "message": "M",
                    }
                ]
            },
            422,
            "policy_expression_invalid",
            "/rules/0/when",
        ),
        ({"allow_list": {"holders": ["h" * 64] * 2_000}, "description": "d" * 1_000}, 201, None, None),
    ],
)
async def test_what_is_wrong_is_told_by_its_code(
    shared_edge: Edge, members: dict[str, Any], status: int, code: str | None, pointer: str | None
) -> None:
    response = await shared_edge.post("/v1/policies", request(shared_edge, **members), Role.OPERATOR)
    if code is None:
        assert response.status_code == status
    else:
        assert assert_problem(response, status, code)["pointer"] == pointer


async def test_the_form_is_told_by_pointers(shared_edge: Edge) -> None:
    response = await shared_edge.post("/v1/policies", request(shared_edge, limits={"day": 1}), Role.OPERATOR)
    problem = assert_problem(response, 422, "request_invalid")
    assert [one["pointer"] for one in problem["errors"]] == ["/document/limits/day"]
