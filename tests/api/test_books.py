"""The books over the API: by what was known and by value date, both together, and signed so that anybody can check."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tallystick import signing
from tallystick.api.signed_books import RowsHash, sign
from tallystick.participants import Role
from tallystick_verify.books import verify_books
from tallystick_verify.ed25519 import PublicKey
from tallystick_verify.failures import ExitCode
from tallystick_verify.policy_file import Pin, Policy
from tests.api.edge import Edge, assert_problem
from tests.verify.twins import member_twins

pytestmark = pytest.mark.anyio

MONDAY = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
DAY = timedelta(days=1)
TUESDAY, WEDNESDAY = "2026-11-24T23:00:00Z", "2026-11-25T23:00:00%2B01:00"
ON_MONDAY = "2026-11-23"


@pytest.fixture
def late(edge: Edge) -> Edge:
    """Ten on Monday, and five more that count from Monday and were booked on Wednesday; tokens were made on Monday."""
    bank = edge.bank
    bank.clock.at = MONDAY
    bank.deposit("HARBOUR-USD", "10.00")
    bank.mint("HARBOUR-USD", "4.00", deposited=False)
    bank.clock.at += 2 * DAY
    bank.deposit("HARBOUR-USD", "5.00", value_date=MONDAY.date())
    bank.mint("HARBOUR-USD", "3.00", deposited=False)
    return edge


async def figures(edge: Edge, query: str) -> tuple[str, ...]:
    bank = edge.bank
    class_id = bank.classes["USD"].id
    balance = (await edge.get(f"/v1/accounts/{bank.account_id('HARBOUR-USD')}/balance?{query}")).json()
    supply = (await edge.get(f"/v1/ledger/supply?token_class_id={class_id}&{query}")).json()
    trial = (await edge.get(f"/v1/ledger/trial-balance?token_class_id={class_id}&{query}")).json()
    assert {one["event_index"] for one in (balance, supply, trial)} == {balance["event_index"]}
    assert {one["effective_on"] for one in (balance, supply, trial)} == {balance["effective_on"]}
    assert trial["debit_total"] == trial["credit_total"]
    assert trial["supply"] == supply["supply"] == balance["total"]
    [control] = [row["debit"] for row in trial["rows"] if row["code"] == "1100"]
    return control, balance["deposits_available"], supply["supply"]


async def test_monday_as_known_on_tuesday_and_on_wednesday(late: Edge) -> None:
    assert await figures(late, f"effective_on={ON_MONDAY}&as_of={TUESDAY}") == ("10.00", "6.00", "4.00")
    # The late deposit counts from Monday; the tokens made of it count from Wednesday.
    assert await figures(late, f"effective_on={ON_MONDAY}&as_of={WEDNESDAY}") == ("15.00", "11.00", "4.00")
    assert await figures(late, f"effective_on={ON_MONDAY}") == ("15.00", "11.00", "4.00")
    assert await figures(late, f"as_of={TUESDAY}") == ("10.00", "6.00", "4.00")
    assert await figures(late, "") == ("15.00", "8.00", "7.00")
    assert await figures(late, "effective_on=2026-11-22") == ("0.00", "0.00", "0.00")


@pytest.mark.parametrize(
    "query", ["effective_on=2026-11-31", "effective_on=yesterday", "effective_on=20261123"]
)
async def test_what_is_no_day_is_refused(edge: Edge, query: str) -> None:
    class_id = edge.bank.classes["USD"].id
    for path in ("supply", "trial-balance"):
        response = await edge.get(f"/v1/ledger/{path}?token_class_id={class_id}&{query}")
        assert_problem(response, 422, "request_invalid")


def policy_of(edge: Edge, **pin: Any) -> Policy:
    with edge.bank.database.read() as connection:
        [key] = signing.list_keys(connection, edge.bank.issuer_id, use=signing.KeyUse.EVENT)
    return Policy(edge.bank.issuer_id, (Pin(PublicKey(key.public_key), 0, pin.get("until_index")),))


async def signed(edge: Edge, name: str, query: str = f"effective_on={ON_MONDAY}&as_of={TUESDAY}") -> bytes:
    bank = edge.bank
    path = {
        "balance": f"/v1/accounts/{bank.account_id('HARBOUR-USD')}/balance?",
        "supply": f"/v1/ledger/supply?token_class_id={bank.classes['USD'].id}&",
        "trial_balance": f"/v1/ledger/trial-balance?token_class_id={bank.classes['USD'].id}&",
    }[name]
    response = await edge.get(f"{path}{query}&signed=true")
    assert response.status_code == 200
    return response.content


@pytest.mark.parametrize("name", ["balance", "supply", "trial_balance"])
async def test_signed_figures_are_verified_and_changed_ones_are_not(late: Edge, name: str) -> None:
    octets = await signed(late, name)
    policy = policy_of(late)
    report = verify_books(octets, policy)
    assert report.exit_code == ExitCode.OK, report.text()
    told = json.loads(octets)
    assert (told["as_of"], told["effective_on"], told["event_index"]) == (
        "2026-11-24T23:00:00.000000Z",
        ON_MONDAY,
        2,
    )
    assert told["log_size"] == 6
    assert told["event_hash"] is not None

    for member in told:
        changed = json.loads(octets)
        was = changed[member]
        if isinstance(was, list):
            changed[member] = was[1:]
        else:
            changed[member] = was + 1 if isinstance(was, int) else f"{was}1"
        found = verify_books(json.dumps(changed).encode(), policy)
        assert found.exit_code != ExitCode.OK, member
        del changed[member]
        # Without its rows a trial balance still shows its totals, and the report says what is missing.
        code = verify_books(json.dumps(changed).encode(), policy).exit_code
        assert (code == ExitCode.OK) == (member == "rows"), member


async def test_figures_are_judged_by_the_key_and_by_themselves(late: Edge) -> None:
    octets = await signed(late, "trial_balance")
    policy = policy_of(late)
    # RFC 8032's first test key: fit to be trusted, and not the bank's.
    stranger = PublicKey(bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"))
    other = Policy(policy.issuer_id, (Pin(stranger, 0, None),))
    assert verify_books(octets, other).exit_code == ExitCode.KEY
    # The log had six events when it was signed: a key that is pinned until the fourth was not to sign any more.
    assert verify_books(octets, policy_of(late, until_index=4)).exit_code == ExitCode.KEY
    assert verify_books(octets, policy_of(late, until_index=5)).exit_code == ExitCode.OK
    assert verify_books(octets, Policy(late.other.issuer_id, policy.pins)).exit_code == ExitCode.LOG
    unsigned = await late.get(f"/v1/ledger/supply?token_class_id={late.bank.classes['USD'].id}")
    assert verify_books(unsigned.content, policy).exit_code == ExitCode.SIGNATURE
    assert "signature" not in unsigned.json()
    for garbage in (b"", b"[]", b"{", b'{"signature":1,"object":{}}', b'{"object":"x","signature":"a.b.c"}'):
        assert verify_books(garbage, policy).exit_code in {ExitCode.PACK, ExitCode.UNSUPPORTED}
    # Whoever holds the key and signs figures that do not add up is found too.
    told = json.loads(octets)
    signer = late.bank.key_directory.signer(late.bank.issuer_id, policy.pins[0].public_key.kid)
    told["rows"][0]["debit"] = "1.00"
    del told["signature"]
    rows, rows_hash = told.pop("rows"), RowsHash()
    for row in rows:
        rows_hash.add(row)
    resigned = sign(signer, told | rows_hash.members()) | {"rows": rows}
    assert verify_books(json.dumps(resigned).encode(), policy).exit_code == ExitCode.FIGURES
    unequal = sign(signer, told | {"debit_total": "16.00"} | rows_hash.members())
    assert verify_books(json.dumps(unequal).encode(), policy).exit_code == ExitCode.FIGURES


@pytest.mark.parametrize("name", ["balance", "supply", "trial_balance"])
async def test_who_holds_the_key_and_signs_another_form_is_found(late: Edge, name: str) -> None:
    told = json.loads(await signed(late, name))
    policy = policy_of(late)
    signer = late.bank.key_directory.signer(late.bank.issuer_id, policy.pins[0].public_key.kid)
    del told["signature"]

    def judged(twin: dict[str, Any]) -> ExitCode:
        head = {member: value for member, value in twin.items() if member != "rows"}
        if isinstance(twin.get("rows"), list):
            rows_hash = RowsHash()
            for row in twin["rows"]:
                rows_hash.add(row)
            head |= rows_hash.members()
            return verify_books(
                json.dumps(sign(signer, head) | {"rows": twin["rows"]}).encode(), policy
            ).exit_code
        return verify_books(json.dumps(sign(signer, head)).encode(), policy).exit_code

    assert judged(told) == ExitCode.OK
    for what, place, twin in member_twins(told, others=(True, 7, [7], {"another": 7})):
        # Rows may be left out, and their number and hash are made anew here.
        if place in {".rows", ".row_count", ".rows_hash"}:
            continue
        assert judged(twin) not in {ExitCode.OK, ExitCode.USAGE, ExitCode.INTERNAL}, (what, place)
    amount = "supply" if name != "balance" else "held"
    assert judged(told | {amount: f"{told[amount]}0"}) == (ExitCode.OK if name == "supply" else ExitCode.PACK)


async def test_an_empty_log_is_signed_too(edge: Edge) -> None:
    octets = await signed(edge, "supply", "effective_on=2026-11-23")
    told = json.loads(octets)
    assert (told["event_index"], told["event_hash"], told["log_size"], told["supply"]) == (
        -1,
        None,
        0,
        "0.00",
    )
    assert verify_books(octets, policy_of(edge)).exit_code == ExitCode.OK


async def test_a_signed_answer_needs_a_key(late: Edge, tmp_path: Path) -> None:
    class_id = late.bank.classes["USD"].id
    with late.bank.database.engine.begin() as connection:
        [key] = signing.list_keys(connection, late.bank.issuer_id, use=signing.KeyUse.EVENT)
        signing.retire(connection, late.bank.issuer_id, key.id, at=late.bank.clock.now(), event_index=0)
    for path in ("supply", "trial-balance"):
        response = await late.get(f"/v1/ledger/{path}?token_class_id={class_id}&signed=true")
        assert_problem(response, 503, "signing_key_unavailable")
        assert (await late.get(f"/v1/ledger/{path}?token_class_id={class_id}")).status_code == 200


async def test_a_holder_gets_the_own_balance_signed(late: Edge) -> None:
    account_id = late.bank.account_id("HARBOUR-USD")
    response = await late.get(f"/v1/accounts/{account_id}/balance?signed=true", Role.PLATFORM)
    assert verify_books(response.content, policy_of(late)).exit_code == ExitCode.OK
