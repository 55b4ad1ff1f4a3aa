"""Two JOSE libraries that this product does not sign with: what an event says, if both find its signature right."""

import base64
import json
import warnings
from typing import Any, Final

import jwt
from joserfc import jws
from joserfc.errors import SecurityWarning
from joserfc.jwk import OKPKey

__all__ = ["payload_of", "verified"]

_EVENT_TYPE: Final = "tallystick-event-v1+jws"


def verified(token: str, key_set: dict[str, Any]) -> dict[str, Any]:
    """Return the payload of a compact JWS, checked by joserfc and by PyJWT against a published JWK Set (RFC 7517)."""
    header = jwt.get_unverified_header(token)
    assert header["typ"] == _EVENT_TYPE
    [published] = [key for key in key_set["keys"] if key["kid"] == header["kid"]]
    assert "d" not in published
    # Neither library knows the issuer's own members of a key, and neither needs them.
    public = {name: published[name] for name in ("kty", "crv", "x")}
    with warnings.catch_warnings():
        # RFC 9864 would have the algorithm called Ed25519; most verifiers in the field know it as EdDSA only.
        warnings.simplefilter("ignore", SecurityWarning)
        by_joserfc = jws.deserialize_compact(token, OKPKey.import_key(public), algorithms=["EdDSA"])
    by_pyjwt = jwt.PyJWS().decode_complete(token, jwt.PyJWK(public, algorithm="EdDSA"), algorithms=["EdDSA"])
    assert by_joserfc.payload == by_pyjwt["payload"]
    payload: dict[str, Any] = json.loads(by_joserfc.payload)
    assert payload["issuer_id"] == published["issuer_id"]
    return payload


def payload_of(token: str) -> str:
    """Return what a compact JWS says, unchecked, as text."""
    payload = token.split(".")[1]
    return base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).decode()
