"""The life of an issuer's keys, on PostgreSQL: exactly one signs, the others go on verifying, none shows."""

import base64
import logging
import traceback
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import joserfc.jwk
import jwt
import pytest
import sqlalchemy
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError

from tallystick import participants
from tallystick.core.clock import FixedClock, SystemClock
from tallystick.core.database import Database
from tallystick.core.errors import InvariantError
from tallystick.signing import (
    JwsKeyUnknownError,
    KeyDirectory,
    KeyState,
    KeyUse,
    PublicKeyRefusedError,
    SigningKey,
    SigningKeyConflictError,
    SigningKeyNotFoundError,
    SigningKeyUnavailableError,
    SoftwareSigner,
    hold_active_key,
    key_resolver,
    list_keys,
    load_signer,
    prepare_key,
    prepare_public_key,
    published_jwks,
    sign_compact,
    signing_key,
    thumbprint,
    verify_compact,
)
from tests.database import DatabaseUrls, connect
from tests.older_keys import begin_older_key, replace_older_key

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
CLOCK = SystemClock()


@pytest.fixture
def database(database_urls: DatabaseUrls) -> Iterator[Database]:
    opened = Database(database_urls.service_url)
    yield opened
    opened.close()


@pytest.fixture
def issuer_id(database: Database) -> str:
    return _issuer(database)


@pytest.fixture
def directory(tmp_path: Path) -> KeyDirectory:
    return KeyDirectory(tmp_path / "keys")


def _issuer(database: Database) -> str:
    return database.run(
        lambda connection: participants.register_issuer(
            connection,
            CLOCK,
            legal_name="First Bank",
            lei="5493001KJTIIGC8Y1R12",
            bic="COBADEFFXXX",
            jurisdiction="DE",
        )
    ).issuer_id


def _states(database: Database, issuer_id: str) -> dict[str, str]:
    return {key.id: key.state for key in database.run(lambda connection: list_keys(connection, issuer_id))}


def test_the_first_key_signs_and_is_published(
    database: Database, issuer_id: str, directory: KeyDirectory
) -> None:
    key = database.run(lambda connection: begin_older_key(connection, FixedClock(NOON), issuer_id, directory))
    assert (key.state, key.use, key.algorithm) == (KeyState.ACTIVE, KeyUse.EVENT, "EdDSA")
    assert key.id == thumbprint(key.public_key)

    def signed(connection: Connection) -> bytes:
        token = sign_compact(load_signer(connection, issuer_id, directory), b"{}")
        return verify_compact(token, key_resolver(connection, issuer_id))

    assert database.run(signed) == b"{}"
    assert database.run(lambda connection: list_keys(connection, issuer_id)) == [key]
    assert database.run(lambda connection: published_jwks(connection, issuer_id)) == {
        "keys": [
            {
                "kty": "OKP",
                "crv": "Ed25519",
                "x": base64.urlsafe_b64encode(key.public_key).rstrip(b"=").decode(),
                "alg": "EdDSA",
                "use": "sig",
                "kid": key.id,
                "issuer_id": issuer_id,
                "key_use": "event",
                "state": "active",
                "activated_at": "2026-11-22T12:00:00.000000Z",
            }
        ]
    }


def test_other_jose_libraries_verify_with_the_published_keys(
    database: Database, issuer_id: str, directory: KeyDirectory
) -> None:
    tokens: list[str] = []

    def sign(connection: Connection) -> None:
        tokens.append(sign_compact(load_signer(connection, issuer_id, directory), b"payload"))

    database.run(lambda connection: begin_older_key(connection, CLOCK, issuer_id, directory))
    database.run(sign)
    database.run(lambda connection: replace_older_key(connection, CLOCK, issuer_id, directory))
    database.run(sign)
    published = database.run(lambda connection: published_jwks(connection, issuer_id))
    by_id = {key.key_id: key for key in jwt.PyJWKSet(list(published["keys"])).keys}
    assert len(by_id) == 2
    for token in tokens:
        key = by_id[jwt.get_unverified_header(token)["kid"]]
        assert jwt.PyJWS().decode(token, key, algorithms=["EdDSA"]) == b"payload"
    for member in published["keys"]:
        assert joserfc.jwk.OKPKey.import_key({**member}).thumbprint() == member["kid"]


def test_rotation_keeps_the_old_key_published_and_trusted(
    database: Database, issuer_id: str, directory: KeyDirectory
) -> None:
    first = database.run(
        lambda connection: begin_older_key(connection, FixedClock(NOON), issuer_id, directory)
    )
    old_signer = database.run(lambda connection: load_signer(connection, issuer_id, directory))
    before = sign_compact(old_signer, b"before")
    later = NOON + timedelta(days=90)
    second = database.run(
        lambda connection: replace_older_key(connection, FixedClock(later), issuer_id, directory)
    )
    assert database.run(lambda connection: load_signer(connection, issuer_id, directory)).key_id == second.id
    keys = database.run(lambda connection: list_keys(connection, issuer_id))
    assert [(key.id, key.state, key.retired_at) for key in keys] == [
        (first.id, "retired", later),
        (second.id, "active", None),
    ]
    published = database.run(published_jwks)["keys"]
    assert [(key["kid"], key["state"]) for key in published] == [(first.id, "retired"), (second.id, "active")]
    assert published[0]["retired_at"] == "2027-02-20T12:00:00.000000Z"
    # Another process may be a moment behind; what it signs is no less true.
    resolve = database.run(lambda connection: key_resolver(connection, issuer_id))
    assert verify_compact(before, resolve) == b"before"
    assert verify_compact(sign_compact(old_signer, b"straggler"), resolve) == b"straggler"


def test_uses_and_issuers_have_keys_of_their_own(
    database: Database, issuer_id: str, directory: KeyDirectory
) -> None:
    other = _issuer(database)

    def create_all(connection: Connection) -> list[SigningKey]:
        return [
            begin_older_key(connection, CLOCK, owner, directory, use=use)
            for owner in (issuer_id, other)
            for use in (KeyUse.EVENT, KeyUse.CHECKPOINT)
        ]

    event, checkpoint, *others = database.run(create_all)

    def check(connection: Connection) -> None:
        assert load_signer(connection, issuer_id, directory).key_id == event.id
        assert load_signer(connection, issuer_id, directory, use=KeyUse.CHECKPOINT).key_id == checkpoint.id
        assert [key.id for key in list_keys(connection, issuer_id, use=KeyUse.CHECKPOINT)] == [checkpoint.id]
        assert len(published_jwks(connection, issuer_id)["keys"]) == 2
        assert len(published_jwks(connection)["keys"]) == 4
        token = sign_compact(load_signer(connection, issuer_id, directory, use=KeyUse.CHECKPOINT), b"{}")
        for owner in (issuer_id, other):
            with pytest.raises(JwsKeyUnknownError):
                verify_compact(token, key_resolver(connection, owner))
        with pytest.raises(SigningKeyNotFoundError):
            signing_key(connection, issuer_id, others[0].id)
        replace_older_key(connection, CLOCK, issuer_id, directory)
        assert load_signer(connection, issuer_id, directory, use=KeyUse.CHECKPOINT).key_id == checkpoint.id
        assert load_signer(connection, other, directory).key_id == others[0].id

    database.run(check)


@pytest.mark.parametrize("public_key", [bytes(32), b"\x01" + bytes(31), bytes([0xFF]) * 32, bytes(31)])
def test_a_weak_public_key_is_not_registered(database: Database, issuer_id: str, public_key: bytes) -> None:
    with pytest.raises(PublicKeyRefusedError):
        database.run(lambda connection: prepare_public_key(connection, CLOCK, issuer_id, public_key))
    assert _states(database, issuer_id) == {}


def test_a_prepared_key_signs_nothing_and_is_not_published(
    database: Database, issuer_id: str, directory: KeyDirectory
) -> None:
    made = database.run(lambda connection: prepare_key(connection, FixedClock(NOON), issuer_id, directory))
    device = SoftwareSigner(bytes(range(32)))
    kept_elsewhere = database.run(
        lambda connection: prepare_public_key(connection, CLOCK, issuer_id, device.public_key)
    )
    assert (made.state, made.activated_at, kept_elsewhere.id) == ("prepared", None, device.key_id)
    assert not made.proves(0)
    assert database.run(lambda connection: published_jwks(connection, issuer_id)) == {"keys": []}
    with pytest.raises(SigningKeyUnavailableError, match="no active"):
        database.run(lambda connection: load_signer(connection, issuer_id, directory))
    with pytest.raises(SigningKeyConflictError, match="has or had"):
        database.run(lambda connection: prepare_public_key(connection, CLOCK, issuer_id, device.public_key))
    assert directory.key_ids(issuer_id) == [made.id]


@given(
    st.integers(0, 20),
    st.integers(0, 20),
    st.sampled_from(["active", "retired", "revoked"]),
    st.none() | st.integers(0, 20),
    st.integers(0, 20),
    st.integers(0, 25),
)
def test_a_signature_is_judged_by_the_index(
    first: int, length: int, state: str, since: int | None, covered: int, index: int
) -> None:
    until = None if state == "active" else first + length
    revoked = first + length if state == "revoked" else None
    key = SigningKey(
        "issuer_1",
        "key",
        "EdDSA",
        bytes(32),
        "event",
        state,
        NOON,
        NOON,
        NOON if state == "retired" else None,
        NOON if state == "revoked" else None,
        None,
        "stolen" if state == "revoked" else None,
        activated_index=first,
        from_index=first,
        until_index=until,
        revoked_index=revoked,
        compromised_from_index=since if state == "revoked" else None,
        manifest_version=1,
    )
    signs = first <= index and (until is None or index <= until)
    void = state == "revoked" and index != revoked and index >= max(since or 0, covered)
    assert key.proves(index, covered) == (signs and not void)


def test_a_held_key_is_neither_rotated_nor_revoked(
    database: Database, issuer_id: str, directory: KeyDirectory
) -> None:
    key = database.run(lambda connection: begin_older_key(connection, CLOCK, issuer_id, directory))
    with database.engine.connect() as batch, database.engine.connect() as operator:
        with batch.begin():
            hold_active_key(batch, issuer_id, key.id)
            transaction = operator.begin()
            operator.exec_driver_sql("SET LOCAL lock_timeout = '50ms'")
            with pytest.raises(DBAPIError, match="lock timeout"):
                replace_older_key(operator, CLOCK, issuer_id, directory)
            transaction.rollback()
        with operator.begin():
            replace_older_key(operator, CLOCK, issuer_id, directory)
        with batch.begin(), pytest.raises(SigningKeyUnavailableError, match="replaced"):
            hold_active_key(batch, issuer_id, key.id)


# What the database itself holds to.


def _insert(connection: Connection, issuer_id: str, changes: Mapping[str, object]) -> None:
    row = {
        "issuer_id": issuer_id,
        "id": "key",
        "algorithm": "EdDSA",
        "public_key": bytes(32),
        "use": "event",
        "state": "active",
        "created_at": NOON,
        "activated_at": NOON,
        "retired_at": None,
        "revoked_at": None,
        "compromised_at": None,
        "reason": None,
        **changes,
    }
    names = ", ".join(row)
    connection.execute(
        sqlalchemy.text(
            f"INSERT INTO signing_key ({names}) VALUES ({', '.join(f':{name}' for name in row)})"
        ),
        row,
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"public_key": bytes(31)},
        {"public_key": bytes(33)},
        {"algorithm": "none"},
        {"use": "other"},
        {"state": "other"},
        {"state": "active", "retired_at": NOON},
        {"state": "active", "activated_at": None},
        {"state": "prepared"},
        {"state": "prepared", "activated_at": None, "retired_at": NOON},
        {"activated_index": 0},
        {"compromised_from_index": 0},
        {"state": "active", "revoked_at": NOON, "reason": "x"},
        {"state": "retired"},
        {"state": "revoked", "reason": "x"},
        {"state": "revoked", "revoked_at": NOON},
        {"state": "retired", "retired_at": NOON, "reason": "x"},
        {"state": "retired", "retired_at": NOON, "compromised_at": NOON},
        {"issuer_id": "issuer_absent"},
    ],
    ids=str,
)
def test_rows_that_make_no_sense_are_refused(
    database: Database, issuer_id: str, changes: dict[str, object]
) -> None:
    with pytest.raises(IntegrityError):
        database.run(lambda connection: _insert(connection, issuer_id, changes))


def test_a_second_active_key_is_refused(database: Database, issuer_id: str) -> None:
    database.run(lambda connection: _insert(connection, issuer_id, {}))
    with pytest.raises(IntegrityError):
        database.run(lambda connection: _insert(connection, issuer_id, {"id": "second"}))
    database.run(lambda connection: _insert(connection, issuer_id, {"id": "second", "use": "checkpoint"}))
    database.run(
        lambda connection: _insert(
            connection, issuer_id, {"id": "third", "state": "retired", "retired_at": NOON}
        )
    )


def test_a_key_exchanged_in_the_table_is_noticed(
    database: Database, database_urls: DatabaseUrls, issuer_id: str, directory: KeyDirectory
) -> None:
    database.run(lambda connection: begin_older_key(connection, CLOCK, issuer_id, directory))
    intruder = SoftwareSigner(bytes(32))
    with connect(database_urls.superuser_url) as insider:
        insider.execute("UPDATE signing_key SET public_key = %s", [intruder.public_key])
    for read in (
        lambda connection: list_keys(connection, issuer_id),
        published_jwks,
        lambda connection: key_resolver(connection, issuer_id),
        lambda connection: load_signer(connection, issuer_id, directory),
    ):
        with pytest.raises(InvariantError, match="does not match"):
            database.run(read)


# The canary.


def _traces(error: BaseException) -> Iterator[str]:
    """Everything a careless reporter could print: messages, and the variables of every frame but this test's."""
    pending: list[BaseException] = [error]
    while pending:
        found = pending.pop()
        pending.extend(linked for linked in (found.__cause__, found.__context__) if linked is not None)
        frames = [
            frame
            for frame in traceback.walk_tb(found.__traceback__)
            if frame[0].f_code.co_filename != __file__
        ]
        assert frames
        yield repr(found)
        yield from traceback.StackSummary.extract(iter(frames), capture_locals=True).format()


@pytest.mark.parametrize("passphrase", [None, "canary-passphrase"])
def test_the_private_key_shows_nowhere(
    database_urls: DatabaseUrls,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    passphrase: str | None,
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("sqlalchemy.engine", "psycopg"):
        caplog.set_level(logging.DEBUG, name)
    database = Database(database_urls.service_url)
    issuer_id = _issuer(database)
    directory = KeyDirectory(tmp_path / "keys", passphrase)
    key = database.run(lambda connection: begin_older_key(connection, CLOCK, issuer_id, directory))
    pem = (tmp_path / "keys" / issuer_id / f"{key.id}.pem").read_bytes()
    secret = load_pem_private_key(pem, passphrase.encode() if passphrase else None)
    seed = SoftwareSigner(secret.private_bytes_raw())._secret[:32]  # type: ignore[union-attr]
    canaries = [
        seed.hex(),
        repr(seed)[2:-1],
        base64.b64encode(seed).decode()[:40],
        base64.urlsafe_b64encode(seed).decode()[:40],
        pem.splitlines()[1].decode()[-40:],
        "canary-passphrase",
    ]
    signer = database.run(lambda connection: load_signer(connection, issuer_id, directory))
    seen = [repr(directory), repr(signer), repr(key), str(key.jwk())]
    seen.append(str(database.run(published_jwks)))

    path = tmp_path / "keys" / issuer_id / f"{key.id}.pem"
    breakages: list[Callable[[], object]] = [
        lambda: path.chmod(0o644),
        lambda: path.chmod(0o600),
        lambda: path.write_bytes(pem[:-60]),
        lambda: path.write_bytes(pem),
    ]
    for breakage, cure in zip(breakages[::2], breakages[1::2], strict=True):
        breakage()
        with pytest.raises(SigningKeyUnavailableError) as refusal:
            KeyDirectory(tmp_path / "keys", passphrase).signer(issuer_id, key.id)
        seen.extend(_traces(refusal.value))
        cure()
    for other in ("another passphrase",) if passphrase is None else ("another passphrase", None):
        with pytest.raises(SigningKeyUnavailableError) as refusal:
            KeyDirectory(tmp_path / "keys", other).signer(issuer_id, key.id)
        seen.extend(_traces(refusal.value))
    path.rename(path.with_stem("other"))
    with pytest.raises(SigningKeyUnavailableError) as refusal:
        KeyDirectory(tmp_path / "keys", passphrase).signer(issuer_id, "other")
    seen.extend(_traces(refusal.value))

    with connect(database_urls.superuser_url) as observer:
        seen.extend(map(str, observer.execute("SELECT * FROM signing_key").fetchall()))
    database.close()
    seen.append(caplog.text)
    assert "INSERT INTO signing_key" in caplog.text
    seen.extend(capfd.readouterr())
    for canary in canaries:
        assert not [text for text in seen if canary in text]
