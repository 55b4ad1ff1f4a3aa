"""Keys that may be registered, and those that nobody should verify with."""

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tallystick import identity
from tallystick.identity import ClientKeyReusedError, ClientLifetimeRefusedError, ClientUse, JwkRefusedError
from tallystick.identity.clients import client_text, parse_client_text
from tallystick.identity.public_keys import checked_jwk, thumbprint_of
from tallystick.participants import PrincipalNotFoundError
from tests.bank import Bank
from tests.identity.outsiders import RSA_KEY, made_key, public_jwk
from tests.vectors import vectors

# RFC 8037, appendix A.2 and A.3.
ED25519 = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
ED25519_THUMBPRINT = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def number(value: int, size_bytes: int | None = None) -> str:
    size = size_bytes or (value.bit_length() + 7) // 8
    return base64.urlsafe_b64encode(value.to_bytes(size, "big")).rstrip(b"=").decode()


def test_a_thumbprint_is_that_of_the_standard() -> None:
    assert thumbprint_of(checked_jwk(ED25519, "EdDSA")) == ED25519_THUMBPRINT


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "PS256", "RS256"])
def test_a_good_key_is_reduced_to_its_own_members(algorithm: str) -> None:
    jwk = public_jwk(made_key(algorithm))
    written = jwk | {"kid": "mine", "use": "sig", "alg": algorithm, "key_ops": ["verify"], "x5u": "https://x"}
    assert checked_jwk(written, algorithm) == jwk


def rsa_jwk(n: int, e: int = 65537) -> dict[str, Any]:
    return {"kty": "RSA", "n": number(n), "e": number(e)}


MODULUS = RSA_KEY.public_key().public_numbers().n
P256 = public_jwk(ec.generate_private_key(ec.SECP256R1()))

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "private Ed25519": (ED25519 | {"d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}, "EdDSA"),
    "private RSA": (rsa_jwk(MODULUS) | {"d": "AQAB"}, "RS256"),
    "a shared secret": ({"kty": "oct", "k": "AAAA"}, "HS256"),
    "a shared secret as a key pair": ({"kty": "oct", "k": "AAAA"}, "EdDSA"),
    "no algorithm": (ED25519, "none"),
    "HS256": (ED25519, "HS256"),
    "another kind": (ED25519, "RS256"),
    "another curve": (ED25519 | {"crv": "X25519"}, "EdDSA"),
    "for encryption": (ED25519 | {"use": "enc"}, "EdDSA"),
    "for another algorithm": (rsa_jwk(MODULUS) | {"alg": "RS512"}, "RS256"),
    "no x": ({"kty": "OKP", "crv": "Ed25519"}, "EdDSA"),
    "x is a number": (ED25519 | {"x": 1}, "EdDSA"),
    "x is empty": (ED25519 | {"x": ""}, "EdDSA"),
    "x is short": (ED25519 | {"x": "AAAA"}, "EdDSA"),
    "x is padded": (ED25519 | {"x": ED25519["x"] + "="}, "EdDSA"),
    "x has spare bits": (ED25519 | {"x": ED25519["x"][:-1] + "p"}, "EdDSA"),
    "x is no base64url": (ED25519 | {"x": "+" * 43}, "EdDSA"),
    "of low order": (ED25519 | {"x": number(0, 32)}, "EdDSA"),
    "off the curve": (P256 | {"y": P256["x"]}, "ES256"),
    "P-384": (public_jwk(ec.generate_private_key(ec.SECP384R1())), "ES256"),
    "RSA of 1024 bits": (rsa_jwk(MODULUS >> 1024 | 1), "RS256"),
    "RSA of 2047 bits": (rsa_jwk(MODULUS >> 1 | 1), "PS256"),
    "RSA of 16384 bits": (rsa_jwk((1 << 16_383) | 1), "RS256"),
    "RSA with an even modulus": (rsa_jwk(MODULUS - 1), "RS256"),
    "RSA with exponent 1": (rsa_jwk(MODULUS, 1), "RS256"),
    "RSA with exponent 3": (rsa_jwk(MODULUS, 3), "RS256"),
    "RSA with an even exponent": (rsa_jwk(MODULUS, 65538), "RS256"),
    "RSA with zeros before it": (rsa_jwk(MODULUS) | {"n": number(MODULUS, 257)}, "RS256"),
    "RSA with a huge exponent": (rsa_jwk(MODULUS, 2**32 + 1), "RS256"),
    "a coordinate with zeros before it": (P256 | {"x": number(1, 33)}, "ES256"),
    "endless": (rsa_jwk(MODULUS) | {"n": "A" * 4_096}, "RS256"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_nobody_should_verify_with_is_refused(case: str) -> None:
    jwk, algorithm = REFUSED[case]
    with pytest.raises(JwkRefusedError) as refused:
        checked_jwk(jwk, algorithm)
    assert not [
        value
        for value in jwk.values()
        if isinstance(value, str) and len(value) > 8 and value in str(refused.value)
    ]


def test_points_of_low_order_are_refused() -> None:
    cases = json.loads((vectors("ed25519-cctv") / "ed25519vectors.json").read_bytes())
    weak = {"low_order_A", "non_canonical_A", "low_order_component_A"}
    keys = {one["key"] for one in cases if weak & set(one["flags"] or ())}
    assert len(keys) > 14
    for key in keys:
        with pytest.raises(JwkRefusedError):
            checked_jwk(ED25519 | {"x": number(int(key, 16), 32)}, "EdDSA")


class TestRegistration:
    def register(self, bank: Bank, principal_id: str, **other: Any) -> identity.Client:
        values: dict[str, Any] = {
            "use": ClientUse.TOKEN,
            "jwk": public_jwk(made_key("EdDSA")),
            "algorithm": "EdDSA",
            "lifetime_days": 90,
            "lifetime_days_max": 365,
        }
        return bank.database.run(
            lambda on: identity.register_client(
                on, bank.clock, bank.issuer_id, principal_id, **(values | other)
            )
        )

    def test_it_is_found_with_its_key_and_no_more(self, shared_bank: Bank) -> None:
        jwk = public_jwk(made_key("ES256"))
        made = self.register(shared_bank, shared_bank.holder.id, jwk=jwk | {"kid": "x"}, algorithm="ES256")
        with shared_bank.database.read() as connection:
            assert identity.clients(connection, shared_bank.issuer_id, shared_bank.holder.id) == [made]
        assert identity.public_members(made) == jwk
        assert parse_client_text(client_text(made.issuer_id, made.id)) == (made.issuer_id, made.id)
        assert parse_client_text(client_text(made.issuer_id, made.id) + "\n") is None

    def test_a_key_has_one_owner_and_one_use(self, shared_bank: Bank) -> None:
        jwk = public_jwk(made_key("EdDSA"))
        self.register(shared_bank, shared_bank.platform.id, jwk=jwk)
        for principal, use in (
            (shared_bank.platform, ClientUse.SIGNATURE),
            (shared_bank.holder, ClientUse.TOKEN),
        ):
            with pytest.raises(ClientKeyReusedError):
                self.register(shared_bank, principal.id, jwk=jwk, use=use)

    @pytest.mark.parametrize("lifetime_days", [0, -1, 366])
    def test_every_client_expires(self, shared_bank: Bank, lifetime_days: int) -> None:
        with pytest.raises(ClientLifetimeRefusedError):
            self.register(shared_bank, shared_bank.platform.id, lifetime_days=lifetime_days)

    def test_nobody_has_no_client(self, shared_bank: Bank) -> None:
        with pytest.raises(PrincipalNotFoundError):
            self.register(shared_bank, "principal_absent")

    def test_pss_of_another_hash_signs_no_message(self, shared_bank: Bank) -> None:
        with pytest.raises(JwkRefusedError):
            self.register(
                shared_bank,
                shared_bank.platform.id,
                jwk=public_jwk(RSA_KEY),
                algorithm="PS256",
                use=ClientUse.SIGNATURE,
            )

    def test_revoking_is_for_its_owner_and_for_ever(self, shared_bank: Bank) -> None:
        made = self.register(shared_bank, shared_bank.platform.id)

        def revoke(principal_id: str) -> identity.Client:
            return shared_bank.database.run(
                lambda on: identity.revoke_client(
                    on, shared_bank.clock, shared_bank.issuer_id, principal_id, made.id
                )
            )

        with pytest.raises(identity.ClientNotFoundError):
            revoke(shared_bank.holder.id)
        first = revoke(shared_bank.platform.id)
        assert first.revoked_at is not None
        assert revoke(shared_bank.platform.id) == first
