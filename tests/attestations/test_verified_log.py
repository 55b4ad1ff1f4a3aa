"""What an earlier run verified is not verified anew, and nothing that was changed since gets by because of it."""

import pytest

from tallystick import attestations, reconciliation, signing
from tallystick.reconciliation import NOTHING_VERIFIED, Finding, Reconciliation, VerifiedLog
from tallystick.signing import ed25519
from tests.bank import Bank
from tests.database import connect
from tests.older_keys import replace_older_key, revoke_older_key
from tests.reconciliation.runs import live, root_hash_of, told


def run(bank: Bank, **asked: object) -> tuple[Reconciliation, list[Finding]]:
    made, _ = bank.database.run(
        lambda connection: attestations.reconcile(
            connection,
            bank.settler,
            bank.auditor,
            bank.classes["USD"].id,
            **asked,  # type: ignore[arg-type]
        )
    )
    with bank.database.read() as connection:
        return made, reconciliation.findings(connection, bank.issuer_id, made.id)


def change(bank: Bank, table: str, statement: str) -> None:
    with connect(bank.urls.superuser_url) as connection:
        connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER".encode())
        assert connection.execute(statement.encode()).rowcount == 1
        connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER".encode())


def verified(bank: Bank, last_index: int) -> VerifiedLog:
    with bank.database.read() as connection:
        return attestations.verified_log(connection, bank.issuer_id, last_index)


@pytest.fixture
def signatures(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The messages whose signatures were verified."""
    asked: list[bytes] = []
    truly = ed25519.verify_signature

    def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
        asked.append(message)
        return truly(public_key, message, signature)

    monkeypatch.setattr("tallystick.signing.jws.verify_signature", verify)
    return asked


def test_only_what_came_since_is_verified(bank: Bank, signatures: list[bytes]) -> None:
    live(bank)
    first, _ = run(bank)
    size = first.event_index + 1
    assert first.figures["log"]["verified_before"] == "0"
    assert len(set(signatures)) == size
    signatures.clear()
    bank.redeem("HARBOUR-USD", "1.00")
    second, found = run(bank)
    # The attestation itself, and the redemption behind it.
    assert second.event_index == size + 1
    assert len(set(signatures)) == 2
    assert second.figures["log"] == {
        "root_hash": root_hash_of(bank, size + 2),
        "verified_size": str(size + 2),
        "verified_before": str(size),
    }
    assert second.figures["supply"]["events_verified"] == "11"
    assert (second.verdict, told(found)) == (first.verdict, [("timing", -77_777)])
    signatures.clear()
    third, _ = run(bank, verify_all=True)
    assert third.figures["log"]["verified_before"] == "0"
    assert len(set(signatures)) == third.event_index + 1


def test_another_class_s_run_may_rely_on_it(bank: Bank) -> None:
    live(bank)
    first, _ = run(bank)
    made, _ = bank.database.run(
        lambda connection: attestations.reconcile(
            connection, bank.settler, bank.auditor, bank.classes["EUR"].id
        )
    )
    assert made.figures["log"]["verified_before"] == str(first.event_index + 1)


@pytest.mark.parametrize(
    ("change_made", "expected"),
    [
        ("DELETE FROM event WHERE event_index = {mint}", ("missing_event", 100_000)),
        (
            "UPDATE event SET jws = replace(jws, '.', '.A') WHERE event_index = {mint}",
            ("missing_event", 100_000),
        ),
        ("UPDATE event SET jws = 'no token' WHERE event_index = {mint}", ("missing_event", 100_000)),
        ("UPDATE event SET jws = 'e30.e30.e30' WHERE event_index = {mint}", ("missing_event", 100_000)),
        ("UPDATE event SET jws = 'ü.ü.ü' WHERE event_index = {mint}", ("missing_event", 100_000)),
        # Only its signature: everything that it says is still as it was.
        (
            "UPDATE event SET jws = left(jws, -1) || '{last}' WHERE event_index = {mint}",
            ("missing_event", 100_000),
        ),
        ("UPDATE event SET type = 'token.redeemed' WHERE event_index = {mint}", ("missing_event", 100_000)),
    ],
)
def test_what_was_verified_and_changed_since_is_found(
    bank: Bank, change_made: str, expected: tuple[str, int]
) -> None:
    live(bank)
    first, _ = run(bank)
    mint = 4
    with connect(bank.urls.superuser_url) as connection:
        row = connection.execute(b"SELECT jws FROM event WHERE event_index = %s", (mint,)).fetchone()
    assert row is not None
    change(bank, "event", change_made.format(mint=mint, last="Q" if str(row[0]).endswith("A") else "A"))
    _, with_all = run(bank, verify_all=True)
    second, found = run(bank)
    assert expected in told(found)
    assert told(found) == told(with_all)
    # Of a log like this nobody vouches for anything: the next run verifies all of it, too.
    if "type =" not in change_made:
        assert second.figures["log"]["verified_before"] == "0"
    assert second.figures["log"]["verified_size"] is None
    assert first.figures["log"]["verified_size"] == str(first.event_index + 1)


def test_what_nobody_signed_vouches_for_nothing(bank: Bank) -> None:
    """Rows that a run seems to have left, and an attestation whose event is another's, are no signatures."""
    live(bank)
    first, _ = run(bank)
    assert verified(bank, first.event_index + 1).size == first.event_index + 1
    change(bank, "attestation", "UPDATE attestation SET event_index = 4")
    assert verified(bank, first.event_index + 1) == NOTHING_VERIFIED
    change(bank, "attestation", f"UPDATE attestation SET event_index = {first.event_index + 1}")
    change(
        bank,
        "event",
        f"UPDATE event SET jws = left(jws, -4) || 'AAAA' WHERE event_index = {first.event_index + 1}",
    )
    assert verified(bank, first.event_index + 1) == NOTHING_VERIFIED


def test_a_past_moment_relies_on_no_later_run(bank: Bank) -> None:
    live(bank)
    first, _ = run(bank)
    assert verified(bank, first.event_index - 1) == NOTHING_VERIFIED
    assert verified(bank, first.event_index).size == first.event_index + 1


def test_a_key_that_was_revoked_since_proves_nothing_by_what_it_once_did(bank: Bank) -> None:
    live(bank)
    run(bank)
    with bank.database.engine.begin() as connection:
        [key] = [
            one for one in signing.list_keys(connection, bank.issuer_id) if one.use == signing.KeyUse.EVENT
        ]
        replace_older_key(connection, bank.clock, bank.issuer_id, bank.key_directory)
        revoke_older_key(connection, bank.clock, bank.issuer_id, key.id)
    second, found = run(bank)
    assert second.figures["log"]["verified_before"] == "0"
    assert {one.type for one in found} >= {"missing_event"}


def test_another_class_s_event_without_signature_is_vouched_for_by_nobody(bank: Bank) -> None:
    """It is for the other class's run to name it; but a later run must not take it for verified."""
    live(bank)
    bank.mint("HARBOUR-EUR", "5.00")
    with connect(bank.urls.superuser_url) as connection:
        row = connection.execute(
            b"SELECT max(event_index) FROM event WHERE token_class_id = %s", (bank.classes["EUR"].id,)
        ).fetchone()
    assert row is not None
    change(bank, "event", f"UPDATE event SET jws = left(jws, -4) || 'AAAA' WHERE event_index = {row[0]}")
    first, found = run(bank)
    assert (first.verdict, told(found)) == ("tied", [("timing", -77_777)])
    assert first.figures["log"]["verified_size"] is None
    second, _ = run(bank)
    assert second.figures["log"]["verified_before"] == "0"
