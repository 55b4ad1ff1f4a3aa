"""Ed25519: published signatures verify, forged and malleable ones do not, and no weak key is taken."""

import base64
import contextlib
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from nacl import bindings

from tallystick.core.base64url import base64url
from tallystick.signing import PublicKeyRefusedError, checked_public_key, thumbprint, verify_signature
from tallystick.signing.ed25519 import public_jwk
from tests.vectors import vectors

ORDER = 2**252 + 27742317777372353535851937790883648493
PRIME = 2**255 - 19
# RFC 8037, appendix A.1 to A.3.
PUBLIC_KEY = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
THUMBPRINT = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_wycheproof() -> None:
    groups = json.loads((vectors("ed25519-wycheproof") / "ed25519_test.json").read_bytes())["testGroups"]
    checked = 0
    for group in groups:
        public_key = bytes.fromhex(group["publicKey"]["pk"])
        assert checked_public_key(public_key) == public_key
        for case in group["tests"]:
            verified = verify_signature(public_key, bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"]))
            assert verified == (case["result"] == "valid"), case["comment"]
            checked += 1
    assert checked == 151


def test_keys_with_a_part_of_low_order_are_refused() -> None:
    cases = json.loads((vectors("ed25519-cctv") / "ed25519vectors.json").read_bytes())
    refused = {"low_order_A", "non_canonical_A", "low_order_component_A"}
    checked: dict[bytes, bool] = {}
    for case in cases:
        public_key = bytes.fromhex(case["key"])
        weak = not refused.isdisjoint(case["flags"] or ())
        checked[public_key] = checked.get(public_key, False) or weak
    assert sum(checked.values()) > 14
    for public_key, weak in checked.items():
        if weak:
            with pytest.raises(PublicKeyRefusedError):
                checked_public_key(public_key)
        else:
            assert checked_public_key(public_key) == public_key


def test_signatures_of_low_order_keys_never_verify() -> None:
    cases = json.loads((vectors("ed25519-cctv") / "ed25519vectors.json").read_bytes())
    for case in cases:
        if {"low_order_A", "non_canonical_A", "low_order_R", "non_canonical_R"} & set(case["flags"] or ()):
            assert not verify_signature(
                bytes.fromhex(case["key"]), case["msg"].encode(), bytes.fromhex(case["sig"])
            ), case["number"]


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_public_key_has_32_bytes(size: int) -> None:
    with pytest.raises(PublicKeyRefusedError, match="32 bytes"):
        checked_public_key(PUBLIC_KEY.ljust(size, b"\0")[:size])


def test_encodings_beyond_the_field_and_beside_the_curve_are_refused() -> None:
    for number in (PRIME, PRIME + 1, 2**255 - 1, 2**256 - 1, 2):
        with pytest.raises(PublicKeyRefusedError):
            checked_public_key(number.to_bytes(32, "little"))


@given(st.binary(min_size=32, max_size=32))
def test_every_honest_key_is_taken(seed: bytes) -> None:
    public_key = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    assert checked_public_key(public_key) == public_key


@pytest.mark.parametrize(
    "encoded",
    [
        "00" * 32,
        "00" * 31 + "80",
        "01" + "00" * 31,
        "01" + "00" * 30 + "80",
        "ec" + "ff" * 30 + "7f",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    ],
)
def test_points_of_low_order_are_refused(encoded: str) -> None:
    with pytest.raises(PublicKeyRefusedError):
        checked_public_key(bytes.fromhex(encoded))


def test_a_key_of_mixed_order_is_refused() -> None:
    low = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
    with pytest.raises(PublicKeyRefusedError):
        checked_public_key(bindings.crypto_core_ed25519_add(PUBLIC_KEY, low))


@given(st.binary(max_size=70), st.binary(max_size=70), st.binary(max_size=130))
def test_arbitrary_bytes_neither_verify_nor_raise(
    public_key: bytes, message: bytes, signature: bytes
) -> None:
    assert not verify_signature(public_key, message, signature)


@given(st.binary(min_size=32, max_size=32))
def test_arbitrary_keys_are_taken_or_refused(public_key: bytes) -> None:
    with contextlib.suppress(PublicKeyRefusedError):
        assert checked_public_key(public_key) == public_key


def test_a_signature_has_one_form() -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    public_key = key.public_key().public_bytes_raw()
    signature = key.sign(b"mint")
    assert verify_signature(public_key, b"mint", signature)
    scalar = int.from_bytes(signature[32:], "little") + ORDER
    malleated = signature[:32] + scalar.to_bytes(32, "little")
    for forged in (
        malleated,
        signature[:-1],
        signature + b"\0",
        bytes(64),
        b"",
        signature[32:] + signature[:32],
    ):
        assert not verify_signature(public_key, b"mint", forged)
    # Moving the border between signature and message proves nothing.
    assert not verify_signature(public_key, b"int", signature + b"m")
    assert not verify_signature(public_key, b"Mint", signature)


def test_thumbprint_of_rfc_8037() -> None:
    assert thumbprint(PUBLIC_KEY) == THUMBPRINT
    assert public_jwk(PUBLIC_KEY) == {
        "kty": "OKP",
        "crv": "Ed25519",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    }


def _encoded(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


@given(st.binary(max_size=100))
def test_base64url_is_that_of_the_standard_library(octets: bytes) -> None:
    assert base64url(octets).decode() == _encoded(octets)
