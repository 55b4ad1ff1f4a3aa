"""A bank's identity provider for tests: a real server on this machine that publishes keys and signs tokens."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import jwt

from tests.identity.outsiders import made_key, public_jwk

__all__ = ["AUDIENCE", "ISSUER", "Provider", "running_provider"]

ISSUER: Final = "https://login.riverbank.example"
AUDIENCE: Final = "tallystick"


class Provider:
    """What it publishes and how it answers may be changed while it runs."""

    def __init__(self) -> None:
        self.keys: dict[str, tuple[Any, str]] = {"first": (made_key("EdDSA"), "EdDSA")}
        self.asked = 0
        self.answer: tuple[int, bytes, dict[str, str]] | None = None
        self.url = ""

    def published(self) -> bytes:
        """Return the key set, with some that are for other things."""
        keys = [
            public_jwk(key) | {"kid": kid, "alg": algorithm, "use": "sig"}
            for kid, (key, algorithm) in self.keys.items()
        ]
        keys += [
            public_jwk(made_key("EdDSA")) | {"kid": "for encryption", "use": "enc"},
            {"kty": "oct", "k": "c2VjcmV0", "kid": "shared"},
            {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "weak"},
            {"kty": "OKP"},
        ]
        return json.dumps({"keys": keys}).encode()

    def claims(self, now: float, **other: Any) -> dict[str, Any]:
        """Return the claims of a good token made at `now`; None takes one away."""
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "mara",
            "iat": int(now),
            "exp": int(now) + 3600,
            **other,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def token(
        self, now: float, kid: str = "first", headers: dict[str, Any] | None = None, **other: Any
    ) -> str:
        """Return a signed token, good unless asked otherwise."""
        key, algorithm = self.keys[kid]
        return jwt.encode(self.claims(now, **other), key, algorithm, {"kid": kid} | (headers or {}))


@contextmanager
def running_provider() -> Iterator[Provider]:
    """Serve a provider on a free port until the end of the block."""
    provider = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            provider.asked += 1
            status, content, headers = provider.answer or (200, provider.published(), {})
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider.url = f"http://127.0.0.1:{server.server_port}/keys"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
