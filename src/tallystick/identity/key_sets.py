"""The identity provider's published keys (JWK Set, RFC 7517, section 5): fetched, checked, and kept for a while.

They are fetched again when they are an hour old, and when a token names a key that isn't among them, but at most once
a minute: a stream of invented key ids asks the provider nothing. While it can't be reached, keys serve for a day.
Fetching is I/O outside the database: it never happens inside a transaction.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import httpx
from joserfc.jwk import Key

from tallystick.core.errors import DomainError, UnavailableError
from tallystick.core.strict_json import JsonValue, parse_json
from tallystick.identity.public_keys import JwkRefusedError, checked_jwk, loaded

__all__ = ["IdentityProviderUnavailableError", "KeySet"]

_log: Final = logging.getLogger(__name__)
_SIZE_MAX_BYTES: Final = 262_144
_KEYS_MAX: Final = 100
_TIMEOUT_SECONDS: Final = 5.0
_FETCH_SECONDS_MAX: Final = 10.0
_FRESH_SECONDS: Final = 3_600.0
_KEPT_SECONDS: Final = 86_400.0
_PAUSE_SECONDS: Final = 60.0
_PAUSE_AFTER_FAILURE_SECONDS: Final = 5.0


class IdentityProviderUnavailableError(UnavailableError):
    """The identity provider's keys can't be had, so no token of its can be verified."""

    code = "identity_provider_unavailable"
    title = "The identity provider can't be reached"


class KeySet:
    """The keys at `source`, a URL or a file, that verify one of `algorithms`. Safe to share between threads."""

    def __init__(
        self,
        source: str,
        algorithms: frozenset[str],
        monotonic_seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._algorithms = algorithms
        self._now_seconds = monotonic_seconds
        self._keys: dict[tuple[str, str], Key] = {}
        self._loaded_at_seconds: float | None = None
        self._next_try_seconds = float("-inf")
        self._lock = threading.Lock()

    def key(self, key_id: str, algorithm: str) -> Key | None:
        """Return the key of this id if it is for this algorithm. Raises IdentityProviderUnavailableError."""
        found = self._keys.get((key_id, algorithm))
        if found is None or self._age_seconds() > _FRESH_SECONDS:
            with self._lock:
                self._refresh_if_due()
            found = self._keys.get((key_id, algorithm))
        if self._age_seconds() > _KEPT_SECONDS:
            raise IdentityProviderUnavailableError
        return found

    def _age_seconds(self) -> float:
        loaded_at = self._loaded_at_seconds
        return float("inf") if loaded_at is None else self._now_seconds() - loaded_at

    def _refresh_if_due(self) -> None:
        # Whoever waited for the lock finds that another thread has just asked.
        if self._now_seconds() < self._next_try_seconds:
            return
        try:
            self._keys = self._read()
        except (httpx.HTTPError, OSError, DomainError, ValueError) as error:
            _log.warning("the identity provider's keys can't be read: %s", type(error).__name__)
            self._next_try_seconds = self._now_seconds() + _PAUSE_AFTER_FAILURE_SECONDS
            return
        self._loaded_at_seconds = self._now_seconds()
        self._next_try_seconds = self._now_seconds() + _PAUSE_SECONDS

    def _read(self) -> dict[tuple[str, str], Key]:
        of_file = "://" not in self._source
        content = Path(self._source).read_bytes() if of_file else _fetched(self._source)
        published = parse_json(content, size_max_bytes=_SIZE_MAX_BYTES, depth_max=8)
        keys = published.get("keys") if isinstance(published, dict) else None
        if not isinstance(keys, list) or len(keys) > _KEYS_MAX:
            raise ValueError("no JWK Set of a reasonable size")
        found: dict[tuple[str, str], Key] = {}
        for jwk in keys:
            if isinstance(jwk, dict) and isinstance(key_id := jwk.get("kid"), str):
                for algorithm in self._algorithms:
                    self._keep(found, key_id, algorithm, jwk)
        return found

    @staticmethod
    def _keep(
        found: dict[tuple[str, str], Key], key_id: str, algorithm: str, jwk: Mapping[str, JsonValue]
    ) -> None:
        # A set also holds keys for encryption, and of kinds that aren't used here.
        try:
            found.setdefault((key_id, algorithm), loaded(checked_jwk(jwk, algorithm)))
        except JwkRefusedError:
            return


def _fetched(url: str) -> bytes:
    deadline_seconds = time.monotonic() + _FETCH_SECONDS_MAX
    parts: list[bytes] = []
    size = 0
    # A redirect is not followed: the keys come from where the bank said, or not at all.
    with (
        httpx.Client(timeout=_TIMEOUT_SECONDS, follow_redirects=False) as http,
        http.stream("GET", url, headers={"Accept": "application/json"}) as response,
    ):
        if response.status_code != httpx.codes.OK:
            raise ValueError("the answer is not 200")
        for part in response.iter_bytes():
            size += len(part)
            if size > _SIZE_MAX_BYTES or time.monotonic() > deadline_seconds:
                raise ValueError("the answer is too large, or too slow")
            parts.append(part)
    return b"".join(parts)
