"""Attestations through the write path: what is signed, for whom it can be proven, and what can't be attested."""

import hashlib
from datetime import timedelta
from pathlib import Path

import pytest

from tallystick import liabilities
from tallystick.core.errors import InvariantError
from tallystick.liabilities import (
    AttestationNotFoundError,
    LiabilityNotAttestedError,
    TooManyLiabilitiesError,
    attestations,
)
from tallystick_verify import ExitCode
from tests.bank import Bank, oracle
from tests.database import connect
from tests.liabilities.attested import attest, change_to, record_of, tree_of
from tests.tokens.changing import code_of, log_of, rows
from tests.tokens.together import at_once
from tests.verify.packs import Evidence, export_evidence, verified


def holdings(bank: Bank) -> None:
    bank.mint("HARBOUR-USD", "100.00")
    bank.transfer("HARBOUR-USD", "LANTERN-USD", "30.00")
    bank.hold("LANTERN-USD", "SILKROAD-USD", "10.00")
    bank.transfer("LANTERN-USD", "SILKROAD-USD", "20.00")


def test_what_is_attested_is_supply_and_every_holder_can_see_the_own_claim(bank: Bank) -> None:
    holdings(bank)
    of = attest(bank)

    signed = log_of(bank)[-1]
    assert signed["type"] == "liabilities.attested"
    assert signed["index"] == of.event_index
    assert {name: signed[name] for name in liabilities.TOLD_OF_A_TREE} == {
        "as_of_index": of.event_index - 1,
        "currency": "USD",
        "depth": 2,
        "root_hash": of.tree.root_hash.hex(),
        "scale": 2,
        "token_class_id": bank.classes["USD"].id,
        "total": "100.00",
        "tree_format": "merkle-sum-v1",
    }
    assert signed["subject_id"] == of.tree.id
    assert signed["approvals"] == []
    amounts = {"HARBOUR": 7_000, "LANTERN": 1_000, "SILKROAD": 2_000}
    with bank.database.read() as connection:
        for name, amount_minor in amounts.items():
            proof = liabilities.proof(connection, record_of(bank, name), of)
            assert (proof.amount_minor, len(proof.path)) == (amount_minor, 2)
            assert proof.salt.hex() not in repr(proof)
        # Nothing ever touched this one, and the other is of another class.
        for record in (record_of(bank, "NORTHWIND"), record_of(bank, "HARBOUR", "EUR")):
            with pytest.raises(LiabilityNotAttestedError):
                liabilities.proof(connection, record, of)
        assert liabilities.rebuilt(connection, of).hash == of.tree.root_hash
    oracle(bank)


def test_the_secret_and_salts_are_in_no_event_and_no_export(bank: Bank, tmp_path: Path) -> None:
    holdings(bank)
    of = attest(bank)
    [[secret]] = rows(bank, "SELECT encode(secret, 'hex') FROM liability_tree")
    with bank.database.read() as connection:
        salt = liabilities.proof(connection, record_of(bank, "LANTERN"), of).salt.hex()
    evidence = Evidence.of(bank, export_evidence(bank, tmp_path))
    told = b"".join(evidence.files.values()) + repr((log_of(bank), of)).encode()

    assert secret.encode() not in told
    assert salt.encode() not in told


def test_a_past_moment_is_attested_as_it_was(bank: Bank) -> None:
    holdings(bank)
    then = bank.clock.now()
    bank.clock.at += timedelta(hours=1)
    bank.redeem("SILKROAD-USD", "20.00")
    bank.mint("NORTHWIND-USD", "1.00")

    was, now = attest(bank, key="was", as_of=then), attest(bank, key="now")
    before = attest(bank, key="before", as_of=then - timedelta(days=1))

    assert (was.tree.total_minor, now.tree.total_minor, before.tree.total_minor) == (10_000, 8_100, 0)
    assert (before.tree.as_of_index, before.tree.depth) == (-1, 0)
    with bank.database.read() as connection:
        silk_road = record_of(bank, "SILKROAD")
        assert liabilities.proof(connection, silk_road, was).amount_minor == 2_000
        # What is owed no more is proven to be nothing.
        assert liabilities.proof(connection, silk_road, now).amount_minor == 0
        with pytest.raises(LiabilityNotAttestedError):
            liabilities.proof(connection, record_of(bank, "NORTHWIND"), was)
        found = attestations(connection, bank.issuer_id, token_class_id=bank.classes["USD"].id)
        assert [one.tree.id for one in found] == [was.tree.id, now.tree.id, before.tree.id]
        assert attestations(connection, bank.issuer_id, token_class_id=bank.classes["EUR"].id) == []


def test_one_key_makes_one_tree_whoever_is_faster_and_whatever_breaks(bank: Bank) -> None:
    holdings(bank)
    made = {one.id for one in at_once([lambda: tree_of(bank, key="same")] * 6)}
    # What nobody attested yet goes on with the same tree, although the books have moved.
    bank.mint("HARBOUR-USD", "1.00")
    again = tree_of(bank, key="same")

    assert made == {again.id}
    assert again.total_minor == 10_000
    assert rows(bank, "SELECT count(*) FROM liability_tree") == [(1,)]
    assert change_to(bank, again).refusal is None
    assert code_of(change_to(bank, again)) == "attestation_conflict"
    other = tree_of(bank, key="other")
    assert code_of(change_to(bank, other, total="1.00")) == "attestation_not_found"
    assert code_of(change_to(bank, other, root_hash="0" * 64)) == "attestation_not_found"
    with bank.database.read() as connection, pytest.raises(AttestationNotFoundError):
        liabilities.attestation(connection, bank.issuer_id, other.id)


def test_what_differs_from_the_books_is_not_attested(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    holdings(bank)
    of = attest(bank)
    with connect(bank.urls.superuser_url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("DELETE FROM liability WHERE id = %s", [record_of(bank, "SILKROAD").id])
    with pytest.raises(InvariantError, match="is not its supply"):
        tree_of(bank, key="left out")

    with connect(bank.urls.superuser_url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(
            """UPDATE journal_line SET balance_minor = balance_minor + 1,
                      previous_balance_minor = previous_balance_minor + 1 WHERE event_index < 5"""
        )
    with bank.database.read() as reading, pytest.raises(InvariantError):
        liabilities.proof(reading, record_of(bank, "HARBOUR"), of)
    with bank.database.read() as reading, pytest.raises(InvariantError):
        liabilities.rebuilt(reading, of)

    monkeypatch.setattr("tallystick.liabilities.attesting.LIABILITIES_MAX", 1)
    with pytest.raises(TooManyLiabilitiesError):
        tree_of(bank, key="too many")


def test_more_than_one_tile(bank: Bank) -> None:
    """Six hundred holders: two levels of tiles, and each leaf is found by halving."""
    holdings(bank)
    with connect(bank.urls.superuser_url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(MANY_HOLDERS, [bank.issuer_id, bank.classes["USD"].id])
    of = attest(bank)

    assert of.tree.depth == 10
    assert of.tree.total_minor == 10_000 + sum(range(1, 601))
    with bank.database.read() as connection:
        found = liabilities.liabilities(
            connection, bank.issuer_id, token_class_id=bank.classes["USD"].id, limit=1_000
        )
        many = [one for one in found if one.id.startswith("liability_many")]
        proofs = [liabilities.proof(connection, one, of) for one in many[::97]]
    assert [one.amount_minor for one in proofs] == list(range(1, 601))[::97]
    assert len({one.position for one in proofs}) == len(proofs)


MANY_HOLDERS = """
WITH many AS (SELECT $1 AS issuer_id, $2 AS class_id, lpad(n::text, 4, '0') AS name, n FROM generate_series(1, 600) n),
accounts AS (
    INSERT INTO account (issuer_id, id, holder_id, token_class_id, status, deposit_account_number, reference, opened_at)
    SELECT issuer_id, 'account_many' || name, 'holder_many' || name, class_id, 'open', 'many' || name, 'MANY' || name,
           now() FROM many
), registered AS (
    INSERT INTO liability (issuer_id, id, holder_id, token_class_id, terms_version, opened_at)
    SELECT issuer_id, 'liability_many' || name, 'holder_many' || name, class_id, 1, now() FROM many
), ledger AS (
    INSERT INTO ledger_account (issuer_id, id, code, token_class_id, currency, account_id, balance_minor, version)
    SELECT issuer_id, '2110.account_many' || name, '2110', class_id, 'USD', 'account_many' || name, n, 1 FROM many
)
INSERT INTO journal_line (issuer_id, event_index, line_number, ledger_account_id, currency, debit_minor, credit_minor,
                          previous_balance_minor, balance_minor, account_version, booked_at, value_date)
SELECT issuer_id, 0, 10 + n, '2110.account_many' || name, 'USD', 0, n, 0, n, 1, now(), now()::date FROM many
""".replace("$1", "%s").replace("$2", "%s")


def test_a_pack_with_attestations_is_verified_and_a_false_total_is_not(bank: Bank, tmp_path: Path) -> None:
    holdings(bank)
    then = bank.clock.now()
    bank.clock.at += timedelta(hours=1)
    bank.redeem("HARBOUR-USD", "1.00")
    attest(bank)
    attest(bank, key="then", as_of=then)
    attest(bank, "EUR", key="EUR")
    bank.redeem("HARBOUR-USD", "1.00")
    evidence = Evidence.of(bank, export_evidence(bank, tmp_path / "packs"))
    report = verified(evidence.files, tmp_path / "pack", evidence.policy)
    assert report.exit_code == ExitCode.OK, report.text()
    assert report.checks["attestations"].detail.startswith("3 attested totals")

    insider = evidence.insider()
    at = insider.index_of("liabilities.attested")
    faults = {
        "another total": (ExitCode.FIGURES, {"total": "98.99"}),
        "as of another event": (ExitCode.FIGURES, {"as_of_index": 4}),
        "another currency": (ExitCode.FIGURES, {"currency": "EUR"}),
        "another scale": (ExitCode.FIGURES, {"scale": 1, "total": "990.0"}),
        "of what comes later": (ExitCode.UNSUPPORTED, {"as_of_index": at}),
        "a negative total": (ExitCode.UNSUPPORTED, {"total": "-1.00"}),
        "a number for a total": (ExitCode.UNSUPPORTED, {"total": 99}),
        "another format": (ExitCode.UNSUPPORTED, {"tree_format": "merkle-sum-v2"}),
        "a text for a depth": (ExitCode.UNSUPPORTED, {"depth": "2"}),
        "too deep": (ExitCode.UNSUPPORTED, {"depth": 33}),
        "one member more": (ExitCode.UNSUPPORTED, {"secret": hashlib.sha256(b"").hexdigest()}),
    }
    for name, (exit_code, members) in faults.items():
        insider = evidence.insider()
        insider.resign(at, lambda payload, members=members: payload.update(members))  # type: ignore[misc]
        found = verified(insider.files, tmp_path / name, evidence.policy)
        assert found.exit_code == exit_code, (name, found.text())
        assert (found.checks["attestations"].state == "failed") == (exit_code == ExitCode.FIGURES), name
