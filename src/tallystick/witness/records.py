"""What a witness keeps: one file per log with the checkpoint that it cosigned last, and its own identity.

`<directory>/witness.json` names the witness and its key; the private key lies under `keys`, mode 0600. `logs.txt` has
the verifier keys of the logs it watches, one a line. `cosigned/<SHA-256 of the origin>` is a signed note: the
checkpoint, the log's signatures, the witness's cosignature. It is replaced whole or not at all, and durable before
anybody is answered.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from tallystick.core.durable_files import sync_directory, write_durably
from tallystick.core.errors import InvariantError
from tallystick.signing import KeyDirectory, Signer, thumbprint
from tallystick.transparency.checkpoints import Checkpoint, parse_checkpoint
from tallystick.transparency.notes import (
    COSIGNATURE_V1,
    ED25519,
    Note,
    VerifierKey,
    format_note,
    parse_note,
    parse_verifier_key,
    verified,
)

__all__ = ["Cosigned", "Records", "WitnessMisconfiguredError", "create_witness", "open_records"]

_IDENTITY: Final = "witness.json"
_LOGS: Final = "logs.txt"
_COSIGNED: Final = "cosigned"
_KEYS: Final = "keys"
_LOCK: Final = "lock"
_KEY_OWNER: Final = "witness"


class WitnessMisconfiguredError(Exception):
    """The directory is no witness's, or can't be used as it is. Says why in one sentence."""


class Cosigned(NamedTuple):
    """The checkpoint that was cosigned last, with the note that is kept of it."""

    checkpoint: Checkpoint
    note: Note


class Records:
    """The files of one witness, held by one process."""

    def __init__(
        self, directory: Path, key: VerifierKey, signer: Signer, logs: Mapping[str, Sequence[VerifierKey]]
    ) -> None:
        self.key = key
        self.signer = signer
        self.logs = logs
        self._directory = directory / _COSIGNED

    def last(self, origin: str) -> Cosigned | None:
        """Return what was cosigned last of a log; InvariantError where the file is not as it was written."""
        try:
            raw = self._file(origin).read_bytes()
        except FileNotFoundError:
            return None
        try:
            note = parse_note(raw)
            checkpoint = parse_checkpoint(note.text)
        except ValueError as error:
            raise InvariantError(f"the record of {origin} is damaged: {error}") from None
        own = [one for one in note.signatures if verified(note.text, one, self.key)]
        if checkpoint.origin != origin or not own:
            raise InvariantError(f"the record of {origin} is not this witness's")
        return Cosigned(checkpoint, note)

    def keep(self, origin: str, note: Note) -> None:
        """Replace what was cosigned last; durable when this returns. OSError leaves the record as it was."""
        write_durably(self._file(origin), format_note(note))

    def by_digest(self, digest: str) -> Cosigned | None:
        """Return the same by the SHA-256 of the origin in hexadecimal; None for logs that are not witnessed here."""
        found = [origin for origin in self.logs if _digest(origin) == digest]
        return self.last(found[0]) if found else None

    def _file(self, origin: str) -> Path:
        return self._directory / _digest(origin)


def create_witness(directory: Path, name: str, passphrase: str | None) -> VerifierKey:
    """Make a witness's directory with a key of its own, and return its verifier key to give to logs.

    Raises WitnessMisconfiguredError where one is there already, or the name can't stand in a signed note.
    """
    if (directory / _IDENTITY).exists():
        raise WitnessMisconfiguredError(f"{directory} is a witness's already.")
    if not name or "+" in name or not name.isprintable() or any(one.isspace() for one in name):
        raise WitnessMisconfiguredError("A witness's name has no spaces and no plus signs.")
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    public_key = KeyDirectory(directory / _KEYS, passphrase).create(_KEY_OWNER)
    (directory / _COSIGNED).mkdir(mode=0o700, exist_ok=True)
    sync_directory(directory)
    key = VerifierKey(name, COSIGNATURE_V1, public_key)
    # Last: until it is there, there is no witness, and the rest may be made again.
    write_durably(
        directory / _IDENTITY, json.dumps({"name": name, "verifier_key": str(key)}, indent=2) + "\n"
    )
    return key


@contextmanager
def open_records(directory: Path, passphrase: str | None) -> Iterator[Records]:
    """Yield a witness's records, which no other process can open meanwhile; raises WitnessMisconfiguredError."""
    try:
        key = parse_verifier_key(json.loads((directory / _IDENTITY).read_text())["verifier_key"])
    except FileNotFoundError:
        raise WitnessMisconfiguredError(
            f"{directory} is no witness's; make one with `witness create`."
        ) from None
    if not (directory / _COSIGNED).is_dir():
        # It may have held a larger tree than whoever starts this knows of.
        raise WitnessMisconfiguredError(
            "The records of what was cosigned are gone: retire this witness's key."
        )
    logs = _read_logs(directory / _LOGS)
    if key.public_key in {one.public_key for keys in logs.values() for one in keys}:
        raise WitnessMisconfiguredError("The witness's key is a log's.")
    signer = KeyDirectory(directory / _KEYS, passphrase).signer(_KEY_OWNER, thumbprint(key.public_key))
    with _locked(directory / _LOCK):
        yield Records(directory, key, signer, logs)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    # Two processes on one record could roll it back between one's check and the other's answer.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise WitnessMisconfiguredError("Another process serves this witness.") from None
    try:
        yield
    finally:
        os.close(descriptor)


def _read_logs(path: Path) -> dict[str, list[VerifierKey]]:
    """Return the keys of each log, whose origin is its key's name; several lines are several keys."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise WitnessMisconfiguredError(
            f"{path} is missing: the verifier keys of the logs, one a line."
        ) from None
    logs: dict[str, list[VerifierKey]] = {}
    for line in lines:
        if line.strip() and not line.startswith("#"):
            key = parse_verifier_key(line.strip())
            if key.kind != ED25519:
                raise WitnessMisconfiguredError(f"{path}: a log's key is of kind 1.")
            logs.setdefault(key.name, []).append(key)
    if not logs:
        raise WitnessMisconfiguredError(f"{path} names no log.")
    return logs


def _digest(origin: str) -> str:
    return hashlib.sha256(origin.encode()).hexdigest()
