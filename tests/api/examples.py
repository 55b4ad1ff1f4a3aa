"""One request that settles, for every operation that takes a key: made on demand from a bank with some life in it.

`examples` has one maker of examples per path. A route that is added without one fails the tests that are generated
from the routes.
"""

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
from joserfc.jwk import OKPKey
from sqlalchemy import Connection

from tallystick import (
    events,
    exports,
    identity,
    liabilities,
    participants,
    payout_replies,
    policy,
    reconciliation,
    tokens,
    transparency,
)
from tallystick.core.ids import new_suffix, with_prefix
from tallystick.core.money import format_amount
from tallystick.exports import ExportArguments, ExportFormat, ExportOptions
from tallystick.identity import ClientUse
from tallystick.participants import HolderKind, KycStatus, Principal, Role
from tallystick.reconciliation import Break
from tallystick.tokens import Kind, Submission
from tests import camt_writer
from tests.api.date_examples import DATE_EXAMPLES
from tests.api.edge import api_key
from tests.api.match_examples import MATCH_EXAMPLES, proposed
from tests.api.payout_examples import PAYOUT_EXAMPLES, new_finding
from tests.api.power_examples import POWER_EXAMPLES
from tests.bank import Bank
from tests.exports.exported import ask_for, workshop
from tests.liabilities.attested import attest
from tests.tokens.paying import make_file, pay_out

__all__ = ["Example", "Strangers", "add_strangers", "examples", "integrate_all", "life_of", "staff_life_of"]

_OTHERS: Final = POWER_EXAMPLES | MATCH_EXAMPLES | PAYOUT_EXAMPLES
# For classes that an example closes; those that `/v1/token-classes` opens are others.
_MORE_CURRENCIES: Final = (
    *("SEK", "NOK", "DKK", "PLN", "CZK", "HUF", "RON", "TRY", "ILS", "AED", "SAR", "QAR"),
    *("INR", "THB", "IDR", "MYR", "PHP", "KRW", "ZAR", "MXN", "BRL", "CLP", "COP", "PEN"),
    *(
        "ARS",
        "BHD",
        "BOB",
        "CRC",
        "DOP",
        "EGP",
        "GEL",
        "GTQ",
        "ISK",
        "JMD",
        "JOD",
        "KES",
        "KWD",
        "KZT",
    ),
    *(
        "LKR",
        "MAD",
        "MUR",
        "NGN",
        "OMR",
        "PKR",
        "PYG",
        "RSD",
        "TND",
        "TWD",
        "UAH",
        "UGX",
        "UYU",
        "VND",
        "XAF",
    ),
    *(
        "ALL",
        "AMD",
        "AZN",
        "BDT",
        "BWP",
        "BZD",
        "ETB",
        "FJD",
        "GHS",
        "GYD",
        "HNL",
        "KGS",
        "KHR",
        "LAK",
        "MDL",
    ),
)


@dataclass(frozen=True, slots=True)
class Example:
    """A request that settles: who may make it, where, with which JSON body, and a body that asks something else."""

    role: Role
    path: str
    body: dict[str, Any]
    other_body: dict[str, Any]


def examples(bank: Bank) -> dict[str, Callable[[], Example]]:
    """Return, by path template, how to make an example; each call prepares what it needs in the bank."""
    own: dict[str, Callable[[], Example]] = {
        template: partial(make, bank, template) for template, make in _EXAMPLES.items()
    }
    powers = {template: partial(_power, bank, template) for template in _OTHERS}
    dates = {template: partial(_dated, bank, template) for template in DATE_EXAMPLES}
    return own | powers | dates


def _example(role: Role, path: str, body: dict[str, Any], **other: object) -> Example:
    return Example(role, path, body, body | other)


def _power(bank: Bank, path: str) -> Example:
    return Example(*_OTHERS[path](bank, path))


def _dated(bank: Bank, path: str) -> Example:
    return Example(*DATE_EXAMPLES[path](bank, path))


def _filled(template: str, identifier: str) -> str:
    before, _, behind = template.partition("{")
    return before + identifier + behind.partition("}")[2]


def _token_class(bank: Bank, path: str) -> Example:
    with bank.database.read() as connection:
        taken = {one.currency for one in participants.token_classes(connection, bank.issuer_id)}
    currency = next(
        one for one in ("GBP", "CHF", "JPY", "SGD", "HKD", "CAD", "AUD", "NZD") if one not in taken
    )
    body = {"currency": currency, "name": "Riverbank token", "backing_account_number": f"CONTROL-{currency}"}
    return _example(Role.OPERATOR, path, body, name="Riverbank coin")


def _holder(bank: Bank, path: str) -> Example:
    body = {
        "kind": "merchant",
        "legal_name": "Kestrel Shipping",
        "country": "DK",
        "residency": "DK",
        "platform_id": bank.holders["HARBOUR"].id,
    }
    return _example(Role.OPERATOR, path, body, legal_name="Kestrel Freight")


def _kyc(bank: Bank, path: str) -> Example:
    body = {"status": "verified", "expires_on": "2031-01-31"}
    return _example(Role.OPERATOR, _filled(path, bank.holders["LANTERN"].id), body, expires_on="2032-01-31")


def _account(bank: Bank, path: str) -> Example:
    number = new_suffix()
    body = {
        "holder_id": bank.holders["LANTERN"].id,
        "token_class_id": bank.classes["USD"].id,
        "deposit_account_number": number,
    }
    return _example(Role.OPERATOR, path, body, deposit_account_number=f"{number}-2")


def _open_account(bank: Bank) -> str:
    with bank.database.engine.begin() as connection:
        opened = tokens.open_account(
            connection,
            bank.clock,
            bank.issuer_id,
            holder_id=bank.holders["LANTERN"].id,
            token_class_id=bank.classes["USD"].id,
            deposit_account_number=new_suffix(),
        )
    bank.accounts[opened.id] = opened
    return opened.id


def _account_action(bank: Bank, path: str) -> Example:
    account_id = _open_account(bank)
    if path.endswith("unfreeze"):
        bank.freeze(account_id)
    body = {"reason": "Asked for by the holder."}
    return _example(Role.OPERATOR, _filled(path, account_id), body, reason="Court order 2.")


def _unfreeze(bank: Bank, path: str) -> Example:
    example = _account_action(bank, path)
    return Example(Role.TREASURY_MAKER, example.path, example.body, example.other_body)


def _order(bank: Bank, path: str) -> Example:
    account_id = _restrictable(bank)
    body = {
        "account_id": account_id,
        "kind": "court_order",
        "scope": "debit",
        "amount": "3.00",
        "currency": "USD",
        "authority": "Local court of Nowhere",
        "authority_reference": "7 M 11/26",
        "reason": "Attachment.",
        "expires_at": "2031-01-01T00:00:00Z",
    }
    return _example(Role.OPERATOR, path, body, amount="2.00")


def _order_top_up(bank: Bank, path: str) -> Example:
    account_id = _restrictable(bank)
    order_id = bank.place_order(account_id, "9.00")
    bank.mint(account_id, "2.00")
    return _example(Role.OPERATOR, _filled(path, order_id), {"reason": "Salary came in."}, reason="Interest.")


def _order_lift(bank: Bank, path: str) -> Example:
    order_id = bank.place_order(_restrictable(bank))
    return _example(Role.TREASURY_MAKER, _filled(path, order_id), {"reason": "Set aside."}, reason="Paid.")


def _order_seizure(bank: Bank, path: str) -> Example:
    order_id = bank.place_order(_restrictable(bank))
    body = {"amount": "2.00", "currency": "USD", "reason": "Transfer order."}
    return _example(Role.TREASURY_MAKER, _filled(path, order_id), body, amount="1.00")


def _payout_file(bank: Bank) -> str:
    pay_out(bank, "5.00", account=_restrictable(bank))
    return make_file(bank).id


def _finding(bank: Bank) -> str:
    finding_id = new_finding(bank)
    bank.database.run(
        lambda on: payout_replies.note_finding(on, bank.clock, bank.maker, finding_id, "Called them.")
    )
    return finding_id


def _restrictable(bank: Bank) -> str:
    """Open an account with 5.00 on it that nobody else counts on."""
    account_id = _open_account(bank)
    bank.mint(account_id, "5.00")
    return account_id


def _deposit(bank: Bank, path: str) -> Example:
    body = {**_amount(bank), "reason": "Seen on the core's screen.", "value_date": "2031-11-20"}
    return _example(Role.TREASURY_MAKER, path, body, value_date="2031-11-19")


def _deposit_balance(bank: Bank, path: str) -> Example:
    body = {
        "token_class_id": bank.classes["USD"].id,
        "account_id": bank.account_id("HARBOUR-USD"),
        "kind": "balance",
        "figure": "5.00",
        "currency": "USD",
        "as_of": "2026-11-20T07:59:00Z",
        "source": "core",
        "source_reference": new_suffix(),
    }
    return _example(Role.TREASURY_MAKER, path, body, kind="hold")


def _assignment(bank: Bank, path: str) -> Example:
    waiting = bank.ask(
        Kind.DEPOSIT,
        bank.maker,
        amount="5.00",
        currency="USD",
        token_class_id=bank.classes["USD"].id,
        related_id="statement_00000000000000000000000000.2",
        evidence=True,
    ).resource_id
    body = {"account_id": bank.account_id("LANTERN-USD"), "reason": "The payer wrote to us."}
    return _example(Role.TREASURY_MAKER, _filled(path, waiting), body, reason="A guess.")


def _from_deposit(bank: Bank, path: str) -> Example:
    bank.deposit("HARBOUR-USD", "5.00")
    return _example(Role.TREASURY_MAKER, path, _amount(bank), reference="Other")


def _redemption(bank: Bank, path: str) -> Example:
    bank.mint("HARBOUR-USD", "5.00")
    return _example(Role.PLATFORM, path, _amount(bank), reference="Other")


def _movement(bank: Bank, path: str) -> Example:
    bank.mint("HARBOUR-USD", "5.00")
    return _example(Role.PLATFORM, path, _sides(bank), reference="Other")


def _batch(bank: Bank, path: str) -> Example:
    bank.mint("HARBOUR-USD", "10.00")
    items = [_sides(bank), _sides(bank) | {"reference": "Second"}]
    return _example(Role.PLATFORM, path, {"items": items}, atomic=True)


def _hold_execution(bank: Bank, path: str) -> Example:
    body = {"amount": "2.00", "currency": "USD"}
    return _example(Role.PLATFORM, _filled(path, _hold(bank)), body, amount="1.00")


def _hold_void(bank: Bank, path: str) -> Example:
    return _example(Role.PLATFORM, _filled(path, _hold(bank)), {"reason": "Returned."}, reason="Lost.")


def _reversal(bank: Bank, path: str) -> Example:
    bank.mint("HARBOUR-USD", "5.00")
    transfer = bank.transfer("HARBOUR-USD", "LANTERN-USD", "5.00")
    body = {"transfer_id": transfer, "amount": "5.00", "currency": "USD", "reason": "Sent twice."}
    return _example(Role.TREASURY_MAKER, path, body, amount="4.00")


def _approval(bank: Bank, path: str) -> Example:
    body = {"amount": "5.00", "currency": "USD"}
    return _example(Role.TREASURY_CHECKER, _filled(path, _waiting(bank)), body, reason="Looks right.")


def _rejection(bank: Bank, path: str) -> Example:
    return _example(Role.TREASURY_CHECKER, _filled(path, _waiting(bank)), {"reason": "No."}, reason="Never.")


def _export(bank: Bank, path: str) -> Example:
    bank.mint("HARBOUR-USD", "5.00")
    body = {"format": "csv", "token_class_id": bank.classes["USD"].id}
    return _example(Role.AUDITOR, path, body, format="beancount")


def _holder_export(bank: Bank, path: str) -> Example:
    integrate_all(bank)
    body = {"format": "evidence", "from": "2026-11-20T08:00:00Z"}
    path = _filled(path, bank.holders["LANTERN"].id)
    return _example(Role.PLATFORM, path, body, **{"from": "2026-11-19T08:00:00Z"})


def _export_cancellation(bank: Bank, path: str) -> Example:
    export = ask_for(bank)
    return _example(
        Role.AUDITOR, _filled(path, export.id), {"reason": "Not needed."}, reason="The wrong month."
    )


def _reconciliation(bank: Bank, path: str) -> Example:
    # Of classes of its own: a run that finds too much wrong suspends issuance.
    return _example(Role.AUDITOR, path, {"token_class_id": _own_class(bank)}, token_class_id=_own_class(bank))


def new_break(bank: Bank) -> Break:
    """Return a break of a class of its own, of which nothing of the bank's is known."""
    class_id = _own_class(bank)

    def work(connection: Connection) -> Break:
        run = reconciliation.reconcile(connection, bank.settler, bank.auditor, class_id)
        [found] = reconciliation.breaks(connection, bank.issuer_id, reconciliation_id=run.id)
        return found

    return bank.database.run(work)


def _break_assignment(bank: Bank, path: str) -> Example:
    body = {"owner_id": bank.maker.id, "note": "Yours, I think."}
    return _example(Role.TREASURY_MAKER, _filled(path, new_break(bank).id), body, note="Or not.")


def _break_explanation(bank: Bank, path: str) -> Example:
    body = {"explanation": "The bank sends its first statement on Monday."}
    return _example(Role.TREASURY_MAKER, _filled(path, new_break(bank).id), body, explanation="Other.")


def _break_note(bank: Bank, path: str) -> Example:
    body = {"note": "Called them."}
    return _example(Role.TREASURY_CHECKER, _filled(path, new_break(bank).id), body, note="Wrote to them.")


def _break_file(bank: Bank, path: str) -> Example:
    body = {"name": "letter.txt", "media_type": "text/plain", "content": "SGVsbG8="}
    return _example(Role.OPERATOR, _filled(path, new_break(bank).id), body, content="SGVsbG8h")


def _break_resolution(bank: Bank, path: str) -> Example:
    found = new_break(bank)
    with bank.database.engine.begin() as connection:
        of_class = participants.token_class(connection, bank.issuer_id, found.token_class_id)
        account = tokens.open_account(
            connection,
            bank.clock,
            bank.issuer_id,
            holder_id=bank.holders["HARBOUR"].id,
            token_class_id=of_class.id,
            deposit_account_number=new_suffix()[:20],
        )
    correcting = bank.ask(
        Kind.DEPOSIT,
        bank.maker,
        amount=format_amount(1, of_class.scale),
        currency=of_class.currency,
        payee_account_id=account.id,
        evidence=True,
        related_id=f"statement_{'0' * 26}.{10_000 + len(bank.acknowledged)}",
    )
    body = {"instruction_id": correcting.resource_id}
    return _example(Role.TREASURY_MAKER, _filled(path, found.id), body, note="It came late.")


def _break_write_off(bank: Bank, path: str) -> Example:
    found = new_break(bank)
    with bank.database.read() as connection:
        of_class = participants.token_class(connection, bank.issuer_id, found.token_class_id)
    body = {
        "difference": format_amount(found.difference_minor, of_class.scale),
        "currency": of_class.currency,
        "reason": "Nothing was lost.",
    }
    return _example(Role.OPERATOR, _filled(path, found.id), body, reason="Other.")


def _attestation(bank: Bank, path: str) -> Example:
    body = {"token_class_id": bank.classes["USD"].id, "as_of": "2026-11-20T08:00:00Z"}
    return _example(Role.AUDITOR, path, body, token_class_id=bank.classes["EUR"].id)


def _policy(bank: Bank, path: str) -> Example:
    document = {
        "format": "tallystick-policy/1",
        "limits": {"transaction": "1000000.00"},
        "rules": [
            {
                "id": "large_abroad",
                "on": ["transfer"],
                "when": "amount_minor > 10000000 && payer.country != payee.country",
                "effect": "refer",
                "code": "large_abroad",
                "message": "A large payment to another country.",
            }
        ],
    }
    body = {
        "token_class_id": bank.classes["USD"].id,
        "effective_from": "2031-01-01T00:00:00Z",
        "document": document,
    }
    return _example(Role.OPERATOR, path, body, effective_from="2032-01-01T00:00:00Z")


def _principal(bank: Bank, path: str) -> Example:
    body = {"name": "Harbour's other server", "roles": ["platform"], "holder_id": bank.holders["HARBOUR"].id}
    return _example(Role.OPERATOR, path, body, name="Harbour's third server")


def _suspension(bank: Bank, path: str) -> Example:
    body = {"reason": "Left the bank."}
    return _example(Role.OPERATOR, _filled(path, new_principal(bank).id), body, reason="On leave.")


def _key_revocation(bank: Bank, path: str) -> Example:
    of = new_principal(bank)
    api_key(bank, of)
    with bank.database.read() as connection:
        [key] = participants.api_keys(connection, bank.issuer_id, principal_id=of.id)
    body = {"reason": "Found in a log."}
    return _example(Role.OPERATOR, _filled(_filled(path, of.id), key.id), body, reason="Lost.")


def _client_revocation(bank: Bank, path: str) -> Example:
    of = new_principal(bank)
    body = {"reason": "Found in a log."}
    return _example(
        Role.OPERATOR, _filled(_filled(path, of.id), new_client(bank, of.id)), body, reason="Lost."
    )


def new_principal(bank: Bank) -> Principal:
    """Take up a person of whom nothing else hangs on."""
    with bank.database.engine.begin() as connection:
        return participants.register_principal(
            connection,
            bank.clock,
            bank.issuer_id,
            name="Lena Leaver",
            roles=frozenset({Role.TREASURY_MAKER}),
            person="Lena Leaver",
        )


def new_client(bank: Bank, principal_id: str) -> str:
    """Register a key nobody has the private part of; return the client's id."""
    jwk = OKPKey.generate_key("Ed25519").as_dict(private=False)
    with bank.database.engine.begin() as connection:
        return identity.register_client(
            connection,
            bank.clock,
            bank.issuer_id,
            principal_id,
            use=ClientUse.TOKEN,
            jwk={name: str(jwk[name]) for name in ("kty", "crv", "x")},
            algorithm="EdDSA",
            lifetime_days=3_650,
            lifetime_days_max=3_650,
        ).id


def _screening(bank: Bank, path: str) -> Example:
    body = {"holder_id": bank.holders["LANTERN"].id}
    return _example(Role.OPERATOR, path, body, holder_id=bank.holders["SILKROAD"].id)


def _policy_change(bank: Bank, path: str) -> Example:
    drafted = _policy(bank, path).body
    document = policy.read_document(drafted["document"])
    with bank.database.engine.begin() as connection:
        made = policy.draft(
            connection,
            bank.clock,
            bank.operator,
            token_class_id=drafted["token_class_id"],
            document=document,
            effective_from=datetime(2031, 1, 1, tzinfo=UTC),
        )
    body = {"reason": "As the board decided."}
    return _example(Role.OPERATOR, _filled(path, made.id), body, reason="Other.")


def _mode(bank: Bank, path: str) -> Example:
    body = {"mode": "paused", "reason": "A drill."}
    return _example(Role.OPERATOR, _filled(path, _own_class(bank)), body, mode="redeem_only")


def _breaker_trip(bank: Bank, path: str) -> Example:
    return _example(Role.OPERATOR, _filled(path, _own_class(bank)), {"reason": "A drill."}, reason="Other.")


def _breaker_reset(bank: Bank, path: str) -> Example:
    class_id = _own_class(bank)
    bank.ask(
        Kind.CHANGE,
        bank.maker,
        operation="breaker_trip",
        related_id=class_id,
        reason="A drill.",
        payload={"reason": "A drill."},
    )
    bank.run_clean(class_id)
    body = {"reason": "The drill is over."}
    return _example(Role.TREASURY_MAKER, _filled(path, class_id), body, reason="Other.")


def _simulation(bank: Bank, path: str) -> Example:
    body = {"kind": "transfer", **_sides(bank)}
    return _example(Role.PLATFORM, path, body, amount="6.00")


def _own_class(bank: Bank) -> str:
    """Return a new token class, so that no other test stands before a closed one."""
    with bank.database.engine.begin() as connection:
        taken = {one.currency for one in participants.token_classes(connection, bank.issuer_id)}
        opened = tokens.open_token_class(
            connection,
            bank.clock,
            bank.issuer_id,
            currency=next(one for one in _MORE_CURRENCIES if one not in taken),
            name="Riverbank trial",
            backing_account_number=new_suffix(),
        )
    return opened.id


def _amount(bank: Bank) -> dict[str, Any]:
    return {"account_id": bank.account_id("HARBOUR-USD"), "amount": "5.00", "currency": "USD"}


def _sides(bank: Bank) -> dict[str, Any]:
    return {
        "payer_account_id": bank.account_id("HARBOUR-USD"),
        "payee_account_id": bank.account_id("LANTERN-USD"),
        "amount": "5.00",
        "currency": "USD",
    }


def _hold(bank: Bank) -> str:
    bank.mint("HARBOUR-USD", "5.00")
    return bank.hold("HARBOUR-USD", "LANTERN-USD", "5.00")


def _waiting(bank: Bank) -> str:
    bank.deposit("HARBOUR-USD", "5.00")
    mint = bank.ask(
        Kind.MINT,
        bank.maker,
        amount="5.00",
        currency="USD",
        payee_account_id=bank.account_id("HARBOUR-USD"),
    )
    return with_prefix("approval", mint.resource_id)


_EXAMPLES: Final[dict[str, Callable[[Bank, str], Example]]] = {
    "/v1/accounts": _account,
    "/v1/accounts/{account_id}/close": _account_action,
    "/v1/accounts/{account_id}/freeze": _account_action,
    "/v1/accounts/{account_id}/unfreeze": _unfreeze,
    "/v1/approvals/{approval_id}/approve": _approval,
    "/v1/approvals/{approval_id}/reject": _rejection,
    "/v1/deposit-balances": _deposit_balance,
    "/v1/breakers/{token_class_id}/reset": _breaker_reset,
    "/v1/breakers/{token_class_id}/trip": _breaker_trip,
    "/v1/breaks/{break_id}/assign": _break_assignment,
    "/v1/breaks/{break_id}/evidence": _break_file,
    "/v1/breaks/{break_id}/explain": _break_explanation,
    "/v1/breaks/{break_id}/notes": _break_note,
    "/v1/breaks/{break_id}/resolve": _break_resolution,
    "/v1/breaks/{break_id}/write-off": _break_write_off,
    "/v1/deposit-releases": _from_deposit,
    "/v1/deposits": _deposit,
    "/v1/deposits/{deposit_id}/assign": _assignment,
    "/v1/exports": _export,
    "/v1/exports/{export_id}/cancel": _export_cancellation,
    "/v1/holders/{holder_id}/exports": _holder_export,
    "/v1/holders": _holder,
    "/v1/holders/{holder_id}/kyc": _kyc,
    "/v1/holds": _movement,
    "/v1/holds/{hold_id}/execute": _hold_execution,
    "/v1/holds/{hold_id}/void": _hold_void,
    "/v1/liability-attestations": _attestation,
    "/v1/mints": _from_deposit,
    "/v1/orders": _order,
    "/v1/orders/{order_id}/lift": _order_lift,
    "/v1/orders/{order_id}/seize": _order_seizure,
    "/v1/orders/{order_id}/top-up": _order_top_up,
    "/v1/policies": _policy,
    "/v1/principals": _principal,
    "/v1/principals/{principal_id}/api-keys/{key_id}/revoke": _key_revocation,
    "/v1/principals/{principal_id}/clients/{client_id}/revoke": _client_revocation,
    "/v1/principals/{principal_id}/suspend": _suspension,
    "/v1/policies/{policy_id}/activate": _policy_change,
    "/v1/policies/{policy_id}/retire": _policy_change,
    "/v1/policy/simulate": _simulation,
    "/v1/reconciliations": _reconciliation,
    "/v1/redemptions": _redemption,
    "/v1/reversals": _reversal,
    "/v1/screenings": _screening,
    "/v1/token-classes": _token_class,
    "/v1/token-classes/{token_class_id}/mode": _mode,
    "/v1/transfer-batches": _batch,
    "/v1/transfers": _movement,
}


@dataclass(frozen=True, slots=True)
class Strangers:
    """A second platform with a merchant at the same bank, and what they own (see `life_of`)."""

    platform: Principal
    ids: dict[str, str]


def add_strangers(bank: Bank) -> Strangers:
    """Let another platform and its merchant join the bank and do one of each."""
    with bank.database.engine.begin() as connection:
        platform = participants.register_holder(
            connection,
            bank.clock,
            bank.issuer_id,
            kind=HolderKind.PLATFORM,
            legal_name="Island Marketplace",
            country="IE",
            residency="IE",
            kyc_status=KycStatus.VERIFIED,
        )
        merchant = participants.register_holder(
            connection,
            bank.clock,
            bank.issuer_id,
            kind=HolderKind.MERCHANT,
            legal_name="Coral Ceramics",
            country="IE",
            residency="IE",
            platform_id=platform.id,
            kyc_status=KycStatus.VERIFIED,
        )
        for name, holder, number in (("ISLAND", platform, "3000000001"), ("CORAL", merchant, "3000000002")):
            bank.accounts[f"{name}-USD"] = tokens.open_account(
                connection,
                bank.clock,
                bank.issuer_id,
                holder_id=holder.id,
                token_class_id=bank.classes["USD"].id,
                deposit_account_number=number,
                reference=f"{name}-USD",
            )
        principal = participants.register_principal(
            connection,
            bank.clock,
            bank.issuer_id,
            name="Island's server",
            roles=frozenset({Role.PLATFORM}),
            holder_id=platform.id,
        )
    return Strangers(principal, life_of(bank, merchant.id, "ISLAND-USD", "CORAL-USD"))


def life_of(bank: Bank, holder_id: str, payer: str, payee: str) -> dict[str, str]:
    """Do one of each between two accounts; return the ids by the names that paths and bodies use for them."""
    mint = bank.mint(payer, "100.00")
    transfer = bank.transfer(payer, payee, "70.00")
    with bank.database.read() as connection:
        [owed] = liabilities.liabilities(
            connection, bank.issuer_id, holder_ids=[holder_id], token_class_id=bank.classes["USD"].id
        )
    return {
        **_pack_of(bank, payee),
        "account_id": bank.account_id(payee),
        "approval_id": with_prefix("approval", mint),
        "attestation_id": attest(bank, key=new_suffix()).tree.id,
        "batch_id": _batch_of(bank, payer, payee),
        # No bank's own: a day that none of them has as a business date.
        "business_date": "2020-01-01",
        "deposit_id": bank.deposit(payee, "31.13"),
        "event_id": with_prefix("event", transfer),
        "hold_id": bank.hold(payer, payee, "7.77"),
        "holder_id": holder_id,
        "issuer_id": bank.issuer_id,
        "liability_id": owed.id,
        "match_id": proposed(bank),
        "mint_id": mint,
        "payout_id": pay_out(bank, "2.22", account=payee),
        "redemption_id": bank.redeem(payee, "3.33"),
        "reversal_id": bank.reverse(transfer, "10.00"),
        "token_class_id": bank.classes["USD"].id,
        "transfer_id": transfer,
    }


def _pack_of(bank: Bank, account: str) -> dict[str, str]:
    """Let whoever acts for an account's holder have its pack; return the ids of paths to it."""
    integrate_all(bank)
    options = ExportOptions(holder_id=bank.accounts[account].holder_id)
    arguments = ExportArguments(ExportFormat.EVIDENCE, options=options)
    with tempfile.TemporaryDirectory() as directory:
        making = workshop(bank, Path(directory))
        made = exports.create_export(making, _acting_for(bank, account), arguments)
    return {"export_id": made.id, "name": "events.jsonl"}


def _batch_of(bank: Bank, payer: str, payee: str) -> str:
    """Let whoever acts for the payer send a batch of one; return its id."""
    acting = _acting_for(bank, payer)
    sides = {"payer_account_id": bank.account_id(payer), "payee_account_id": bank.account_id(payee)}
    one = bank.request(Kind.TRANSFER, acting, amount="1.11", currency="USD", **sides)
    [settled] = bank.settle(Submission((one,), bank.request(Kind.TRANSFER_BATCH, acting)))
    assert settled.batch is not None
    return settled.batch.resource_id


def _acting_for(bank: Bank, account: str) -> Principal:
    holder_id = bank.accounts[account].holder_id
    with bank.database.read() as connection:
        holder = participants.holders_by_id(connection, bank.issuer_id, [holder_id])[holder_id]
        return next(
            one
            for one in participants.principals(connection, bank.issuer_id)
            if one.holder_id in {holder.id, holder.platform_id or holder.id}
        )


def integrate_all(bank: Bank) -> None:
    """Put the bank's events under a signed checkpoint, as a serving process does each moment."""
    bank.mint("HARBOUR-USD", "1.00")
    log = transparency.Log(bank.clock, bank.key_directory, "log.test/log")
    with bank.database.read() as connection:
        size = events.last_index(connection, bank.issuer_id) + 1
    while transparency.integrate(bank.database, log, bank.issuer_id) < size:
        pass


async def staff_life_of(client: httpx.AsyncClient, bank: Bank) -> dict[str, str]:
    """Let the bank's staff do one of each; return the ids by the names that paths use for them."""
    maker = {"Authorization": f"Bearer {api_key(bank, bank.maker)}"}
    unmatched = camt_writer.Entry("12.34", remittance="Nobody's"), camt_writer.Entry("5.67", credit=False)
    file = camt_writer.message(
        camt_writer.Stated(unmatched, opening="1000.00", closing="1.00"), message_id="M-1"
    )
    imported = await client.post("/v1/statements", content=file, headers=maker)
    # Of a class of its own: nothing of the bank's is known of it, which is a break.
    body = {"token_class_id": _own_class(bank)}
    keyed = maker | {"Idempotency-Key": f"staff {new_suffix()}"}
    run = await client.post("/v1/reconciliations", json=body, headers=keyed)
    export = await client.post("/v1/exports", json={"format": "csv"}, headers=keyed)
    operator = keyed | {"Authorization": f"Bearer {api_key(bank, bank.operator)}"}
    policy = await client.post("/v1/policies", json=_policy(bank, "/v1/policies").body, headers=operator)
    principal = new_principal(bank)
    api_key(bank, principal)
    with bank.database.read() as connection:
        [key] = participants.api_keys(connection, bank.issuer_id, principal_id=principal.id)
    name = bank.holders["SILKROAD"].legal_name
    # The bank's own customer is on it, so that there is a hit to look at.
    listed = {"id": "listed-1", "schema": "Company", "properties": {"name": [f"{name} of Nowhere"]}}
    screened = await client.post(
        "/v1/screening-lists",
        params={"name": "fictitious", "version": "1"},
        content=json.dumps(listed),
        headers={"Authorization": operator["Authorization"]},
    )
    holders = await client.post(
        "/v1/screenings", json={"limit": 100}, headers=operator | {"Idempotency-Key": "screen"}
    )
    hits = await client.get("/v1/screenings?state=hit", headers=operator)
    letter = await client.post(
        f"/v1/breaks/{run.json()['findings'][0]['break_id']}/evidence",
        json={"name": "letter.txt", "media_type": "text/plain", "content": "SGVsbG8="},
        headers=maker | {"Idempotency-Key": "letter"},
    )
    figure = _deposit_balance(bank, "/v1/deposit-balances")
    pushed = await client.post(figure.path, json=figure.body, headers=keyed)
    made = {imported, run, letter, policy, screened, holders, pushed}
    assert {one.status_code for one in made} == {201}
    assert export.status_code == 202
    with tempfile.TemporaryDirectory() as directory:
        exports.make_open(workshop(bank, Path(directory)))
    finished = await client.get(f"/v1/exports/{export.json()['id']}", headers=maker)
    change = await client.post(
        f"/v1/policies/{policy.json()['id']}/activate", json={"reason": "Decided."}, headers=operator
    )
    assert change.status_code == 202
    return {
        "order_id": bank.place_order(_restrictable(bank), "2.00"),
        "payout_file_id": _payout_file(bank),
        "finding_id": _finding(bank),
        "principal_id": principal.id,
        "key_id": key.id,
        "client_id": new_client(bank, principal.id),
        "statement_id": imported.json()["statements"][0]["id"],
        "reconciliation_id": run.json()["id"],
        "break_id": run.json()["findings"][0]["break_id"],
        "sha256": letter.json()["sha256"],
        "deposit_balance_id": pushed.json()["id"],
        "export_id": export.json()["id"],
        "policy_id": policy.json()["id"],
        "screening_list_id": screened.json()["id"],
        "screening_id": hits.json()["data"][0]["id"],
        "change_id": change.json()["id"],
        "name": finished.json()["manifest"]["files"][0]["name"],
    }
