"""Private keys as files: `<directory>/<issuer id>/<key id>.pem`, mode 0600, written whole or not at all."""

import os
import re
import secrets
import stat
import threading
from pathlib import Path
from typing import Final, NoReturn

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tallystick.core.errors import UnavailableError
from tallystick.signing.ed25519 import thumbprint
from tallystick.signing.pkcs8 import PrivateKeyUnreadableError, read_private_key, write_private_key
from tallystick.signing.signer import SoftwareSigner

__all__ = ["KeyDirectory", "SigningKeyUnavailableError"]

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_FILE_SIZE_MAX_BYTES: Final = 16_384


class SigningKeyUnavailableError(UnavailableError):
    """The issuer has no key to sign with, or its private part can't be had: nothing is signed by any other key."""

    code = "signing_key_unavailable"
    title = "The issuer's signing key is not available"


class KeyDirectory:
    """Where this installation keeps private keys, and the signers that were made of them in this process.

    With a passphrase every file is encrypted, and one that is not is refused. A directory shows nothing of the
    passphrase. Safe to be used from several threads.
    """

    __slots__ = ("_lock", "_passphrase", "_path", "_signers")

    def __init__(self, path: Path, passphrase: str | None = None) -> None:
        """Use `path`, which is made when the first key is; raise ValueError for an empty passphrase."""
        if passphrase is not None and not passphrase:
            raise ValueError("the passphrase of the key directory is empty")
        self._path = path
        self._passphrase = passphrase
        self._signers: dict[tuple[str, str], SoftwareSigner] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"KeyDirectory({str(self._path)!r}, encrypted={self._passphrase is not None})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key directory does not leave its process")

    def create(self, issuer_id: str) -> bytes:
        """Make a private key, store it durably, and return its public key (32 bytes).

        Raises SigningKeyUnavailableError when it can't be stored. A crash leaves at most a file that no table names:
        its key was never published and nothing it could sign would verify.
        """
        key = Ed25519PrivateKey.generate()
        public_key = key.public_key().public_bytes_raw()
        path = self._file(issuer_id, thumbprint(public_key))
        try:
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            _write_durably(path, write_private_key(key, self._passphrase))
            _sync_directory(self._path)
            _sync_directory(self._path.parent)
        except OSError as error:
            reason = error.strerror
        else:
            return public_key
        # Raised out here, as below, so that no traceback holds a frame whose variables are secret.
        raise SigningKeyUnavailableError(f"The private key can't be stored: {reason}.")

    def remove(self, issuer_id: str, key_id: str) -> None:
        """Delete a private key's file, if there is one; the public key goes on verifying what was signed."""
        with self._lock:
            self._signers.pop((issuer_id, key_id), None)
        self._file(issuer_id, key_id).unlink(missing_ok=True)

    def key_ids(self, issuer_id: str) -> list[str]:
        """Return the ids of the keys whose private parts lie here, sorted."""
        folder = self._file(issuer_id, "any").parent
        return sorted(path.stem for path in folder.glob("*.pem")) if folder.is_dir() else []

    def signer(self, issuer_id: str, key_id: str) -> SoftwareSigner:
        """Return the signer of a key, read from its file at first.

        Raises SigningKeyUnavailableError when the file is absent, open to others, damaged, or holds another key.
        """
        with self._lock:
            found = self._signers.get((issuer_id, key_id))
            if found is None:
                found = self._read(issuer_id, key_id)
                self._signers[issuer_id, key_id] = found
            return found

    def _read(self, issuer_id: str, key_id: str) -> SoftwareSigner:
        reason = "its file holds another key"
        try:
            signer = SoftwareSigner(_read_seed(self._file(issuer_id, key_id), self._passphrase))
        except PrivateKeyUnreadableError as error:
            reason = str(error)
        else:
            if signer.key_id == key_id:
                return signer
        raise SigningKeyUnavailableError(f"The private key can't be used: {reason}.")

    def _file(self, issuer_id: str, key_id: str) -> Path:
        # Ids come from our own tables; that none of them can leave the directory is still decided here.
        if _NAME.match(issuer_id) is None or _NAME.match(key_id) is None:
            raise SigningKeyUnavailableError("The key's name is not one that is given out here.")
        return self._path / issuer_id / f"{key_id}.pem"


def _write_durably(path: Path, content: bytes) -> None:
    draft = path.with_name(f".{secrets.token_hex(8)}.draft")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_seed(path: Path, passphrase: str | None) -> bytes:
    return read_private_key(_read_private_file(path), passphrase).private_bytes_raw()


def _read_private_file(path: Path) -> bytes:
    try:
        # Not blocking, so that a pipe in the file's place can't stop the service.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        raise PrivateKeyUnreadableError("its file can't be opened") from None
    try:
        # Asked of the open file, so that nobody can exchange it in between.
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise PrivateKeyUnreadableError("its file is no regular file")
        if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO) or status.st_uid not in (0, os.geteuid()):
            raise PrivateKeyUnreadableError("its file is open to others; it must be ours and have mode 0600")
        return os.read(descriptor, _FILE_SIZE_MAX_BYTES)
    finally:
        os.close(descriptor)
