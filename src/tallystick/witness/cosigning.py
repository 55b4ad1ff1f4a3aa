"""The witness: checks, records, and only then answers."""

import threading
from collections import defaultdict
from http import HTTPStatus
from typing import NamedTuple

from tallystick.core.clock import Clock
from tallystick.transparency.notes import Note, cosign, cosigned_at_seconds, format_note, format_signature
from tallystick.witness.deciding import RefusedError, Submitted, check_growth, check_submission
from tallystick.witness.records import Cosigned, Records

__all__ = ["Answer", "Witness"]


class Answer(NamedTuple):
    """What is sent back."""

    status: HTTPStatus
    body: str
    media_type: str = "text/plain; charset=utf-8"


class Witness:
    """Cosigns what its logs have signed, each log's checkpoints one behind the other. For any number of threads."""

    def __init__(self, records: Records, clock: Clock) -> None:
        self._records = records
        self._clock = clock
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._locks_guard = threading.Lock()

    def add_checkpoint(self, body: bytes) -> Answer:
        """Answer an `add-checkpoint` request.

        A crash before the record is replaced leaves the one before, and the client asks again; a crash behind it
        leaves the new one, and the client learns of it by 409. InvariantError where the record is damaged, OSError
        where it can't be written: nothing was cosigned then.
        """
        try:
            submitted = check_submission(body, self._records.logs)
            # The record of one log is read, checked and replaced by one thread at a time.
            with self._lock_of(submitted.checkpoint.origin):
                return self._cosign(submitted)
        except RefusedError as refused:
            return Answer(refused.status, refused.body, refused.media_type)

    def latest(self, digest: str) -> str | None:
        """Return the note that was cosigned last, by the SHA-256 of its origin; None if there is none."""
        found = self._records.by_digest(digest)
        return None if found is None else format_note(found.note)

    def _cosign(self, submitted: Submitted) -> Answer:
        origin = submitted.checkpoint.origin
        last = self._records.last(origin)
        check_growth(submitted, None if last is None else last.checkpoint)
        at_seconds = max(int(self._clock.now().timestamp()), self._last_at_seconds(last))
        line = cosign(submitted.text, self._records.key, self._records.signer, at_seconds)
        self._records.keep(origin, Note(submitted.text, (*submitted.signatures, line)))
        return Answer(HTTPStatus.OK, format_signature(line))

    def _last_at_seconds(self, last: Cosigned | None) -> int:
        # A clock that was put back must not make a newer statement look older than an earlier one.
        if last is None:
            return 1
        key = self._records.key
        own = [one for one in last.note.signatures if (one.name, one.key_hash) == (key.name, key.hash)]
        return max(cosigned_at_seconds(one) for one in own)

    def _lock_of(self, origin: str) -> threading.Lock:
        with self._locks_guard:
            return self._locks[origin]
