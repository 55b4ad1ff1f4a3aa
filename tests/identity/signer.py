"""Signs requests by the letter of RFC 9421, section 2.5, without the library that the service verifies with."""

import base64
import secrets
from collections.abc import Iterable
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.identity.outsiders import Outsider, digest_of

__all__ = ["COVERED", "signed_headers"]

COVERED: Final = ("@method", "@target-uri", "content-digest", "authorization", "idempotency-key")


def signed_headers(
    client: Outsider,
    *,
    method: str = "POST",
    url: str,
    headers: dict[str, str],
    body: bytes,
    now: float,
    covered: Iterable[str] = COVERED,
    label: str = "sig1",
    **parameters: Any,
) -> dict[str, str]:
    """Return `headers` with those that sign the request; None takes a parameter of the signature away."""
    sent = {"Content-Digest": digest_of(body)} | headers
    lower = {name.lower(): value for name, value in sent.items()}
    values = {
        "@method": method,
        "@target-uri": url,
        "@path": "/" + url.split("/", 3)[3].partition("?")[0],
        "@authority": url.split("/")[2],
        **lower,
    }
    shown = {"created": int(now), "keyid": client.name, "nonce": secrets.token_urlsafe(12)} | parameters
    inner = " ".join(f'"{name}"' for name in covered)
    tail = "".join(
        f";{name}={value}" if isinstance(value, int) else f';{name}="{value}"'
        for name, value in shown.items()
        if value is not None
    )
    lines = [f'"{name}": {values[name]}' for name in covered]
    base = "\n".join([*lines, f'"@signature-params": ({inner}){tail}'])
    signature = base64.b64encode(_sign(client.key, base.encode())).decode()
    return sent | {"Signature-Input": f"{label}=({inner}){tail}", "Signature": f"{label}=:{signature}:"}


def _sign(key: Any, base: bytes) -> bytes:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(base)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        r, s = decode_dss_signature(key.sign(base, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")
    signature: bytes = key.sign(base, padding.PKCS1v15(), hashes.SHA256())
    return signature
