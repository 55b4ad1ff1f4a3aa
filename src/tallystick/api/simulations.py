"""`/v1/policy/simulate`: what would become of an instruction, with every reason, and nothing done."""

from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import StringConstraints

from tallystick import tokens
from tallystick.api.access import EVERYONE, Caller, authenticated
from tallystick.api.bodies import Amount, Currency, ObjectId, Purpose, Schema, read_json, understood
from tallystick.api.money import new_request
from tallystick.api.posts import post_route
from tallystick.api.views import View
from tallystick.tokens import SIMULATED

__all__ = ["router"]

router = APIRouter()

_KINDS: Final = "|".join(SIMULATED)


class SimulationRequest(Schema):
    """An instruction that is not given: a mint has a payee, a redemption a payer, a transfer both."""

    kind: Annotated[str, StringConstraints(pattern=f"^({_KINDS})$")]
    payer_account_id: ObjectId | None = None
    payee_account_id: ObjectId | None = None
    amount: Amount
    currency: Currency
    purpose: Purpose | None = None


class ReasonView(View):
    """Why not, or not without people: the rule, its stable code, and `deny` or `refer`."""

    code: str
    rule_id: str
    effect: str
    message: str


class SimulationView(View):
    """What would happen now. `checkers` is how many other people would have to approve."""

    object: str
    effect: str
    reasons: list[ReasonView]
    policy_version: str
    checkers: int


async def post_simulation(request: Request) -> Response:
    """Tell what would become of an instruction, with every reason against it; nothing is written."""
    caller = await authenticated(request, EVERYONE)
    asked = await read_json(request, caller.service.settings.body_size_max_bytes)
    body = understood(SimulationRequest, asked)
    shown = await run_in_threadpool(_simulate, caller, body)
    return Response(orjson.dumps(shown), media_type="application/json")


def _simulate(caller: Caller, body: SimulationRequest) -> dict[str, Any]:
    fields = body.model_dump(exclude={"kind"})
    request = new_request(caller.principal, body.kind, "", {}, fields)
    with caller.read() as connection:
        told = tokens.simulate(connection, caller.service.clock, request)
    return {"object": "simulation", **told}


post_route(
    router,
    "/v1/policy/simulate",
    post_simulation,
    schema=SimulationRequest,
    view=SimulationView,
    roles=EVERYONE,
    summary="Simulate an instruction",
    tag="Policies",
    status=200,
    takes_key=False,
)
