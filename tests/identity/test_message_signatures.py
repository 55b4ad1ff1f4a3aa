"""Signed requests (RFC 9421): what they prove, and everything that must not pass for one."""

import base64
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tallystick import identity
from tallystick.identity import ClientUse, HeaderLines, SignatureInvalidError, SignedRequest
from tallystick.participants import Principal
from tests.bank import OPENED_AT, Bank
from tests.identity.outsiders import Outsider, digest_of, made_key, outsider
from tests.identity.signer import COVERED, signed_headers

NOW = OPENED_AT.timestamp()
URL = "https://tokens.riverbank.example/v1/transfers"
BODY = json.dumps({"amount": "9000.00", "currency": "USD"}).encode()
HEADERS = {"Authorization": "Bearer tsk_x", "Idempotency-Key": "order-1", "Content-Type": "application/json"}


def signed(client: Outsider, **other: Any) -> SignedRequest:
    sent: dict[str, Any] = {"url": URL, "headers": HEADERS, "body": BODY, "now": NOW} | other
    headers = signed_headers(client, **sent)
    return SignedRequest("POST", sent["url"], HeaderLines(headers.items()), sent["body"])


def changed(request: SignedRequest, **headers: str | None) -> SignedRequest:
    """Return the request with some of its headers different, or left out."""
    named = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    kept = [(name, value) for name, value in request.headers.items() if name.lower() not in named]
    kept += [(name, value) for name, value in named.items() if value is not None]
    return replace(request, headers=HeaderLines(kept))


def header(request: SignedRequest, name: str) -> str:
    return next(value for key, value in request.headers.items() if key.lower() == name)


def verify(bank: Bank, request: SignedRequest, principal: Principal | None = None) -> str | None:
    return bank.database.run(
        lambda on: identity.verify_request(on, bank.clock, principal or bank.platform, request)
    )


@pytest.fixture(scope="module")
def client(shared_bank: Bank) -> Outsider:
    return outsider(shared_bank, shared_bank.platform.id, use=ClientUse.SIGNATURE)


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "RS256"])
def test_each_algorithm_proves_its_client(shared_bank: Bank, algorithm: str) -> None:
    signer = outsider(shared_bank, shared_bank.platform.id, algorithm, use=ClientUse.SIGNATURE)
    assert verify(shared_bank, signed(signer)) == signer.name


def test_the_target_may_be_told_in_two_parts(shared_bank: Bank, client: Outsider) -> None:
    covered = ("@method", "@authority", "@path", *COVERED[2:], "content-type")
    assert verify(shared_bank, signed(client, covered=covered)) == client.name


def test_what_it_may_say_besides(shared_bank: Bank, client: Outsider) -> None:
    assert verify(shared_bank, signed(client, alg="ed25519", expires=int(NOW) + 1, tag="tallystick"))
    assert verify(shared_bank, signed(client, now=NOW - 299))
    assert verify(shared_bank, signed(client, now=NOW + 299))


def test_others_signatures_beside_it_are_theirs(shared_bank: Bank, client: Outsider) -> None:
    request = signed(client)
    both = changed(
        request,
        signature_input=header(request, "signature-input") + ', proxy=("@method");keyid="gateway"',
        signature=header(request, "signature") + ", proxy=:AAAA:",
    )
    assert verify(shared_bank, both) == client.name
    only = changed(request, signature_input='proxy=("@method");keyid="gateway"', signature="proxy=:AAAA:")
    assert verify(shared_bank, only) is None
    assert verify(shared_bank, changed(request, signature_input=None, signature=None)) is None


def without(name: str) -> Callable[[Outsider], SignedRequest]:
    return lambda client: signed(client, covered=[one for one in COVERED if one != name])


def saying(**parameters: Any) -> Callable[[Outsider], SignedRequest]:
    return lambda client: signed(client, **parameters)


def with_headers(**headers: str | None) -> Callable[[Outsider], SignedRequest]:
    return lambda client: changed(signed(client), **headers)


def _doubled(client: Outsider) -> SignedRequest:
    first, second = signed(client), signed(client, label="sig2")
    return changed(
        first,
        signature_input=f"{header(first, 'signature-input')}, {header(second, 'signature-input')}",
        signature=f"{header(first, 'signature')}, {header(second, 'signature')}",
    )


def _flipped(client: Outsider) -> SignedRequest:
    request = signed(client)
    raw = bytearray(base64.b64decode(header(request, "signature")[6:-1]))
    raw[5] ^= 1
    return changed(request, signature=f"sig1=:{base64.b64encode(raw).decode()}:")


def _relabelled(client: Outsider) -> SignedRequest:
    request = signed(client)
    return changed(request, signature=header(request, "signature").replace("sig1", "sig2"))


ATTACKS: dict[str, Callable[[Outsider], SignedRequest]] = {
    **{f"without {name}": without(name) for name in COVERED},
    "with the path alone": lambda client: signed(client, covered=("@method", "@path", *COVERED[2:])),
    "another method": lambda client: replace(signed(client), method="PUT"),
    "another path": lambda client: replace(signed(client), url=URL.replace("transfers", "holds")),
    "another host": lambda client: replace(signed(client), url=URL.replace("riverbank", "lakebank")),
    "a query": lambda client: replace(signed(client), url=URL + "?x=1"),
    "another body": lambda client: replace(signed(client), body=BODY.replace(b"9000.00", b"9900.00")),
    "another body with its digest": lambda client: changed(
        replace(signed(client), body=b"{}"), content_digest=digest_of(b"{}")
    ),
    "no digest": with_headers(content_digest=None),
    "a digest of another kind": with_headers(content_digest="md5=:AAAAAAAAAAAAAAAAAAAAAA==:"),
    "another bearer": with_headers(authorization="Bearer tsk_y"),
    "another key": with_headers(idempotency_key="order-2"),
    "no key": with_headers(idempotency_key=None),
    "no signature": with_headers(signature=None),
    "an empty signature": with_headers(signature="sig1=::"),
    "a signature of text": with_headers(signature='sig1="AAAA"'),
    "garbage": with_headers(signature_input="sig1=(((", signature="%"),
    "the same label twice": lambda client: changed(
        signed(client),
        signature_input=", ".join([header(signed(client), "signature-input")] * 2),
    ),
    "endless": lambda client: changed(signed(client), signature="sig1=:" + "A" * 9_000 + ":"),
    "two at once": _doubled,
    "a bit of the signature": _flipped,
    "under another label": _relabelled,
    "another's private key": lambda client: signed(replace(client, key=made_key("EdDSA"))),
    "nobody's name": saying(keyid=f"tsc_{'0' * 52}"),
    "made too long ago": saying(created=int(NOW) - 301),
    "made too far ahead": saying(created=int(NOW) + 301),
    "made at no time": saying(created=None),
    "made at a text": saying(created="now"),
    "expired": saying(expires=int(NOW)),
    "no nonce": saying(nonce=None),
    "a short nonce": saying(nonce="1234567"),
    "an endless nonce": saying(nonce="n" * 129),
    "another algorithm": saying(alg="hmac-sha256"),
    "an unknown parameter": saying(urgent="yes"),
    "a component twice": lambda client: signed(client, covered=(*COVERED, "@method")),
    "a header that isn't there": lambda client: changed(
        signed(client, headers=HEADERS | {"X-Other": "1"}, covered=(*COVERED, "x-other")), x_other=None
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks_are_refused(shared_bank: Bank, client: Outsider, attack: str) -> None:
    with pytest.raises(SignatureInvalidError):
        verify(shared_bank, ATTACKS[attack](client))


class TestClients:
    def test_a_client_signs_for_its_principal_alone(self, shared_bank: Bank, client: Outsider) -> None:
        with pytest.raises(SignatureInvalidError):
            verify(shared_bank, signed(client), shared_bank.holder)

    def test_a_key_for_tokens_signs_nothing(self, shared_bank: Bank) -> None:
        machine = outsider(shared_bank, shared_bank.platform.id)
        with pytest.raises(SignatureInvalidError):
            verify(shared_bank, signed(machine))

    def test_a_revoked_client_signs_nothing(self, shared_bank: Bank) -> None:
        leaving = outsider(shared_bank, shared_bank.platform.id, use=ClientUse.SIGNATURE)
        shared_bank.database.run(
            lambda on: identity.revoke_client(
                on, shared_bank.clock, shared_bank.issuer_id, shared_bank.platform.id, leaving.id
            )
        )
        with pytest.raises(SignatureInvalidError):
            verify(shared_bank, signed(leaving))

    def test_an_expired_client_signs_nothing(self, bank: Bank) -> None:
        short = outsider(bank, bank.platform.id, use=ClientUse.SIGNATURE, lifetime_days=1)
        bank.clock.at = OPENED_AT + timedelta(days=1)
        with pytest.raises(SignatureInvalidError):
            verify(bank, signed(short, now=bank.clock.at.timestamp()))


class TestOnce:
    def test_a_request_is_not_sent_twice(self, shared_bank: Bank, client: Outsider) -> None:
        request = signed(client)
        assert verify(shared_bank, request)
        with pytest.raises(SignatureInvalidError, match="nonce"):
            verify(shared_bank, request)
        assert verify(shared_bank, signed(client)), "signed anew"

    def test_of_many_at_once_one_wins(self, shared_bank: Bank, client: Outsider) -> None:
        request = signed(client)

        def attempt(_number: int) -> bool:
            try:
                return verify(shared_bank, request) is not None
            except SignatureInvalidError:
                return False

        with ThreadPoolExecutor(8) as threads:
            assert sum(threads.map(attempt, range(24))) == 1

    def test_a_refused_request_uses_up_no_nonce(self, shared_bank: Bank, client: Outsider) -> None:
        request = signed(client)
        with pytest.raises(SignatureInvalidError):
            verify(shared_bank, replace(request, body=b"{}"))
        assert verify(shared_bank, request)
