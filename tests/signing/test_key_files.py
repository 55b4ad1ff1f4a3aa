"""Private keys on disk: whole, durable, ours alone; and nothing of them in any message."""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.signing import KeyDirectory, SigningKeyUnavailableError, thumbprint, verify_signature

ISSUER = "issuer_01h455vb4pex5vsknk084sn02q"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "keys"


@pytest.fixture
def loose_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def file_of(path: Path, key_id: str) -> Path:
    return path / ISSUER / f"{key_id}.pem"


@pytest.mark.parametrize("passphrase", [None, "a passphrase"])
def test_a_key_is_stored_and_signs_after_a_restart(path: Path, passphrase: str | None) -> None:
    public_key = KeyDirectory(path, passphrase).create(ISSUER)
    signer = KeyDirectory(path, passphrase).signer(ISSUER, thumbprint(public_key))
    assert verify_signature(public_key, b"mint", signer.sign(b"mint"))
    content = file_of(path, signer.key_id).read_bytes()
    assert (b"ENCRYPTED" in content) == (passphrase is not None)


def test_files_and_directories_are_ours_alone(path: Path, loose_umask: None) -> None:
    key_id = thumbprint(KeyDirectory(path).create(ISSUER))
    modes = {
        found: stat.S_IMODE(found.stat().st_mode) for found in (path, path / ISSUER, file_of(path, key_id))
    }
    assert modes == {path: 0o700, path / ISSUER: 0o700, file_of(path, key_id): 0o600}
    assert list((path / ISSUER).iterdir()) == [file_of(path, key_id)]


def test_a_signer_is_read_once(path: Path) -> None:
    directory = KeyDirectory(path)
    key_id = thumbprint(directory.create(ISSUER))
    signer = directory.signer(ISSUER, key_id)
    file_of(path, key_id).unlink()
    assert directory.signer(ISSUER, key_id) is signer
    directory.remove(ISSUER, key_id)
    with pytest.raises(SigningKeyUnavailableError, match="opened"):
        directory.signer(ISSUER, key_id)


def test_removing_is_repeatable(path: Path) -> None:
    directory = KeyDirectory(path)
    key_id = thumbprint(directory.create(ISSUER))
    directory.remove(ISSUER, key_id)
    directory.remove(ISSUER, key_id)
    assert list((path / ISSUER).iterdir()) == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601, 0o610, 0o644, 0o666, 0o777])
def test_a_file_that_others_may_touch_is_refused(path: Path, mode: int) -> None:
    key_id = thumbprint(KeyDirectory(path).create(ISSUER))
    file_of(path, key_id).chmod(mode)
    with pytest.raises(SigningKeyUnavailableError, match="0600") as refusal:
        KeyDirectory(path).signer(ISSUER, key_id)
    assert (refusal.value.status, refusal.value.code) == (503, "signing_key_unavailable")
    file_of(path, key_id).chmod(0o400)
    assert KeyDirectory(path).signer(ISSUER, key_id).key_id == key_id


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused(path: Path) -> None:
    key_id = thumbprint(KeyDirectory(path).create(ISSUER))
    os.chown(file_of(path, key_id), 65534, 65534)
    with pytest.raises(SigningKeyUnavailableError, match="ours"):
        KeyDirectory(path).signer(ISSUER, key_id)


def test_a_file_with_another_key_is_refused(path: Path) -> None:
    directory = KeyDirectory(path)
    first, second = thumbprint(directory.create(ISSUER)), thumbprint(directory.create(ISSUER))
    file_of(path, second).replace(file_of(path, first))
    with pytest.raises(SigningKeyUnavailableError, match="another key"):
        directory.signer(ISSUER, first)


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 100_000, b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_damaged_file_is_refused(path: Path, content: bytes) -> None:
    key_id = thumbprint(KeyDirectory(path).create(ISSUER))
    file_of(path, key_id).write_bytes(content)
    with pytest.raises(SigningKeyUnavailableError, match="damaged"):
        KeyDirectory(path).signer(ISSUER, key_id)


def test_what_is_no_regular_file_is_refused_at_once(path: Path) -> None:
    directory = KeyDirectory(path)
    key_id = thumbprint(directory.create(ISSUER))
    file_of(path, key_id).unlink()
    os.mkfifo(file_of(path, key_id), 0o600)
    with pytest.raises(SigningKeyUnavailableError, match="regular"):
        directory.signer(ISSUER, key_id)
    file_of(path, key_id).unlink()
    file_of(path, key_id).mkdir(0o700)
    with pytest.raises(SigningKeyUnavailableError, match="regular"):
        directory.signer(ISSUER, key_id)


@pytest.mark.parametrize("name", ["", "..", "../other", "a/b", "a\0b", "a.b", "é", "a\n", "x" * 65])
def test_no_name_leaves_the_directory(path: Path, name: str) -> None:
    directory = KeyDirectory(path)
    for issuer_id, key_id in ((name, "key"), (ISSUER, name)):
        with pytest.raises(SigningKeyUnavailableError):
            directory.signer(issuer_id, key_id)
    with pytest.raises(SigningKeyUnavailableError):
        directory.create(name)
    assert not path.exists()


@pytest.mark.parametrize("failing", ["fsync", "rename", "mkdir"])
def test_a_key_that_cannot_be_stored_leaves_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os if failing == "fsync" else Path, failing, full)
    with pytest.raises(SigningKeyUnavailableError, match="No space left") as refusal:
        KeyDirectory(path).create(ISSUER)
    monkeypatch.undo()
    assert not list(path.rglob("*.*"))
    assert refusal.value.__context__ is None


def test_an_empty_passphrase_is_a_mistake(path: Path) -> None:
    with pytest.raises(ValueError, match="empty"):
        KeyDirectory(path, "")


def test_the_directory_shows_no_passphrase(path: Path) -> None:
    directory = KeyDirectory(path, "a passphrase")
    assert repr(directory) == f"KeyDirectory({str(path)!r}, encrypted=True)"
    assert not hasattr(directory, "__dict__")
    with pytest.raises(TypeError):
        directory.__reduce__()
