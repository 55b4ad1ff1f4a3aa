"""Keys as events, on PostgreSQL: who may let a key sign, from which event on, and what a crash or a race leaves."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from tallystick import participants, signing, tokens
from tallystick.core.clock import SystemClock
from tallystick.core.database import Database
from tallystick.core.embedded_postgres import EmbeddedPostgres
from tallystick.participants import Role
from tallystick.signing import KeyDirectory, KeyState, KeyUse, SigningKey
from tallystick.tokens import GroupCommit, Kind, Settler
from tests.bank import Bank, open_bank, oracle
from tests.database import DatabaseUrls
from tests.opened import OpenedBanks, opened_banks
from tests.signing_keys import (
    activate_key,
    change_key,
    come_under_root,
    name_keys,
    prepared_key,
    replace_key,
    revoke_key,
)
from tests.tokens.changing import code_of, log_of, rows
from tests.tokens.queueing import held_back, outcome_of, submit, transfer


@pytest.fixture(scope="module")
def opened_bank(
    postgres_server: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OpenedBanks]:
    """A bank whose log begins with its keys, for the tests to begin with."""
    key_path = tmp_path_factory.mktemp("opened")
    with opened_banks(postgres_server, migrated_template, key_path, rooted=True) as opened:
        yield opened


@pytest.fixture
def bank(opened_bank: OpenedBanks, tmp_path: Path) -> Iterator[Bank]:
    with opened_bank.again(tmp_path / "keys", pool_size=6) as (again,):
        yield again
        oracle(again)


def active(bank: Bank, use: KeyUse = KeyUse.EVENT) -> SigningKey:
    found = bank.database.run(lambda connection: signing.active_key(connection, bank.issuer_id, use))
    assert found is not None
    return found


def key_of(bank: Bank, key_id: str) -> SigningKey:
    return bank.database.run(lambda connection: signing.signing_key(connection, bank.issuer_id, key_id))


def signers(bank: Bank) -> list[str]:
    return [row[0] for row in rows(bank, "SELECT key_id FROM event ORDER BY event_index")]


def test_a_log_begins_with_its_keys(bank: Bank) -> None:
    bank.mint("HARBOUR-USD", "1.00")

    first, second, *_ = log_of(bank)

    event, checkpoint = active(bank), active(bank, KeyUse.CHECKPOINT)
    [kept] = bank.database.run(lambda connection: signing.list_manifests(connection, bank.issuer_id))
    assert (first["type"], first["index"], first["principal_id"]) == ("signing_key.activated", 0, "system")
    assert first["key"] == {
        "kid": event.id,
        "manifest_sha256": kept.signed.sha256.hex(),
        "manifest_version": 1,
        "use": "event",
        "x": event.jwk()["x"],
    }
    assert (second["subject_id"], second["key"]["use"]) == (checkpoint.id, "checkpoint")
    assert set(signers(bank)) == {event.id}
    assert (event.activated_index, event.from_index, checkpoint.from_index) == (0, 0, 1)


def test_a_key_signs_its_own_beginning_and_the_one_before_it_the_vote(bank: Bank) -> None:
    old = active(bank)
    bank.mint("HARBOUR-USD", "1.00")
    made = prepared_key(bank)

    asked = change_key(bank, "signing_key_activation", made.id, {"expected_key_id": old.id})
    assert (asked.event_index, active(bank).id) == (None, old.id), "it waits for another person"
    settled = bank.approve(asked.resource_id)
    bank.transfer("HARBOUR-USD", "LANTERN-USD", "0.10")

    index = settled.event_index
    assert index is not None
    assert signers(bank)[index - 1 :] == [old.id, made.id, made.id]
    event = log_of(bank)[index]
    assert (event["key"]["replaces"], event["key"]["manifest_version"]) == (old.id, 2)
    assert len(event["approvals"]) == 1
    assert (key_of(bank, old.id).state, key_of(bank, old.id).until_index) == ("retired", index - 1)
    assert (key_of(bank, made.id).from_index, key_of(bank, made.id).manifest_version) == (index, 2)


def test_a_checkpoint_key_is_replaced_by_an_event_that_the_event_key_signs(bank: Bank) -> None:
    event, before = active(bank), active(bank, KeyUse.CHECKPOINT)

    after = replace_key(bank, KeyUse.CHECKPOINT)

    assert active(bank, KeyUse.CHECKPOINT).id == after.id
    assert set(signers(bank)) == {event.id}
    assert key_of(bank, before.id).until_index == 2


def test_what_may_not_be_activated(bank: Bank, tmp_path: Path) -> None:
    old, unnamed = active(bank), prepared_key(bank, named=False)
    code = code_of(change_key(bank, "signing_key_activation", unnamed.id, {}))
    assert code == "signing_key_not_named"
    name_keys(bank)
    asked = change_key(bank, "signing_key_activation", unnamed.id, {"expected_key_id": unnamed.id})
    assert code_of(asked) == "signing_key_conflict"
    assert code_of(change_key(bank, "signing_key_activation", old.id, {})) == "signing_key_conflict"
    assert code_of(change_key(bank, "signing_key_activation", "absent", {})) == "signing_key_not_found"
    # The private part is elsewhere, or its file was lost: refused before anything is decided.
    bank.key_directory.remove(bank.issuer_id, unnamed.id)
    code = code_of(change_key(bank, "signing_key_activation", unnamed.id, {}))
    assert code == "signing_key_unavailable"
    assert active(bank).id == old.id
    assert len(log_of(bank)) == 2


def test_a_theft_is_answered_by_one_person_at_once(bank: Bank) -> None:
    stolen, spare = active(bank), prepared_key(bank)
    bank.mint("HARBOUR-USD", "1.00")

    revoked = revoke_key(bank, stolen.id, compromised_from_index=4)
    payment = bank.request(
        Kind.TRANSFER,
        bank.maker,
        amount="0.10",
        currency="USD",
        payer_account_id=bank.account_id("HARBOUR-USD"),
        payee_account_id=bank.account_id("LANTERN-USD"),
    )
    with pytest.raises(signing.SigningKeyUnavailableError):
        bank.outcome(payment)
    again = activate_key(bank, spare.id)
    bank.transfer("HARBOUR-USD", "LANTERN-USD", "0.10")

    at = revoked.event_index
    assert at is not None
    event = log_of(bank)[at]
    assert event["key"] == {"kid": stolen.id, "use": "event", "compromised_from_index": 4}
    assert event["approvals"] == []
    assert signers(bank)[at:] == [stolen.id, spare.id, spare.id], (
        "it signs its own end, and nothing behind it"
    )
    assert again.event_index == at + 1
    assert "replaces" not in log_of(bank)[at + 1]["key"]
    key = key_of(bank, stolen.id)
    assert (key.state, key.revoked_index, key.compromised_from_index) == ("revoked", at, 4)
    assert [key.proves(index) for index in (3, 4, at, at + 1)] == [True, False, True, False]
    assert key.proves(4, covered_size=5)


def test_what_a_key_signed_is_not_made_void_by_one_person(bank: Bank) -> None:
    old = active(bank)
    replace_key(bank)

    asked = change_key(bank, "signing_key_revocation", old.id, {})

    assert asked.event_index is None
    assert key_of(bank, old.id).state == KeyState.RETIRED
    bank.approve(asked.resource_id)
    assert key_of(bank, old.id).state == KeyState.REVOKED
    assert not any(key_of(bank, old.id).proves(index) for index in range(3))
    assert code_of(change_key(bank, "signing_key_revocation", old.id, {})) == "signing_key_conflict"


def test_a_spare_key_that_was_stolen_never_signs(bank: Bank) -> None:
    spare = prepared_key(bank)

    revoked = revoke_key(bank, spare.id)

    assert revoked.event_index == 2
    assert code_of(change_key(bank, "signing_key_activation", spare.id, {})) == "signing_key_conflict"
    assert not key_of(bank, spare.id).proves(2, covered_size=2)


def test_to_retire_the_active_key_takes_another_person(bank: Bank) -> None:
    key = active(bank)
    asked = change_key(bank, "signing_key_retirement", key.id, {})
    assert asked.event_index is None
    settled = bank.approve(asked.resource_id)
    assert signers(bank)[-1] == key.id
    assert (key_of(bank, key.id).state, key_of(bank, key.id).until_index) == ("retired", settled.event_index)
    activate_key(bank, prepared_key(bank).id)


@pytest.mark.parametrize("payload", [{"compromised_from_index": 3}, {"reason": " "}])
def test_a_revocation_that_makes_no_sense(bank: Bank, payload: dict[str, Any]) -> None:
    key = active(bank)
    assert code_of(change_key(bank, "signing_key_revocation", key.id, payload)) == "revocation_malformed"
    assert active(bank).id == key.id


def test_nobody_asks_alone_what_takes_another_person(bank: Bank) -> None:
    made = prepared_key(bank)

    def alone(connection: Connection) -> object:
        return tokens.change_unasked(
            connection, bank.settler, bank.issuer_id, "signing_key_activation", made.id, {}
        )

    with pytest.raises(Exception, match="person") as refusal:
        bank.database.run(alone)
    assert getattr(refusal.value, "code", None) == "maker_not_a_person"


def test_a_crash_before_the_commit_leaves_the_key_before(bank: Bank) -> None:
    old, made = active(bank), prepared_key(bank)
    asked = change_key(bank, "signing_key_activation", made.id, {})
    vote = bank.request(Kind.APPROVE, bank.checker, related_id=f"approval_{asked.resource_id[-26:]}")

    def crash(connection: Connection) -> None:
        tokens.settle(connection, bank.settler, bank.issuer_id, [tokens.Submission((vote,))])
        raise RuntimeError("crash")

    with pytest.raises(RuntimeError, match="crash"):
        bank.database.run(crash)

    assert active(bank).id == old.id
    assert key_of(bank, made.id).state == KeyState.PREPARED
    bank.approve(asked.resource_id)
    assert active(bank).id == made.id


def test_payments_go_on_while_keys_are_replaced(bank: Bank) -> None:
    """No payment is refused by a rotation, in this process or another, and each is signed by the key of its index."""
    bank.mint("HARBOUR-USD", "100.00")
    asked = [
        change_key(bank, "signing_key_activation", prepared_key(bank).id, {}).resource_id for _ in range(3)
    ]
    databases = [Database(bank.urls.service_url, pool_size=2) for _ in range(2)]
    queues = [
        GroupCommit(
            database,
            Settler.of(SystemClock(), bank.key_directory, bank.settler.approval_lifetime),
            batch_size_max=20,
            queue_length_max=1_000,
        )
        for database in databases
    ]
    told = [submit(queue, bank, transfer(bank)) for _ in range(100) for queue in queues]
    with ThreadPoolExecutor(1) as people:
        voted = people.submit(lambda: [bank.approve(one).event_index for one in asked])
        told += [submit(queue, bank, transfer(bank)) for _ in range(100) for queue in queues]
        assert all(outcome_of(one).refusal is None for one in told)
        indexes = voted.result(60)
    for queue, database in zip(queues, databases, strict=True):
        queue.close(60)
        database.close()
    assert len(set(signers(bank))) == 4
    assert indexes == sorted(index for index in indexes if index is not None)


def test_where_no_key_is_active_traffic_does_not_hold_back_the_next_one(bank: Bank) -> None:
    bank.mint("HARBOUR-USD", "1.00")
    spare = prepared_key(bank)
    revoke_key(bank, active(bank).id)
    queue = GroupCommit(bank.database, bank.settler, batch_size_max=100, queue_length_max=100)
    with held_back(bank, queue) as first:
        behind = [submit(queue, bank, transfer(bank)) for _ in range(3)]
        request = bank.request(
            Kind.CHANGE,
            bank.operator,
            operation="signing_key_activation",
            related_id=spare.id,
            payload={},
            reason="Stolen.",
        )
        activation = submit(queue, bank, request)
        behind += [submit(queue, bank, transfer(bank)) for _ in range(3)]
    outcomes = [outcome_of(one) for one in (first, *behind[:3])]
    assert {code_of(one) for one in outcomes} == {"signing_key_unavailable"}
    assert code_of(outcome_of(activation)) == "settled"
    assert {code_of(outcome_of(one)) for one in behind[3:]} == {"settled"}
    queue.close(60)


def test_a_log_that_is_older_than_events_about_keys_comes_under_a_root(
    database_urls: DatabaseUrls, tmp_path: Path
) -> None:
    with open_bank(database_urls, tmp_path / "keys", pool_size=4) as bank:
        bank.mint("HARBOUR-USD", "1.00")
        key = active(bank)
        code = code_of(change_key(bank, "signing_key_activation", key.id, {}))
        assert code == "root_manifest_absent"
        come_under_root(bank)
        next_key = bank.database.run(
            lambda connection: signing.prepare_key(connection, bank.clock, bank.issuer_id, bank.key_directory)
        )
        code = code_of(change_key(bank, "signing_key_activation", next_key.id, {}))
        assert code == "signing_key_conflict", "first the key that signs"

        settled = activate_key(bank, key.id)
        bank.transfer("HARBOUR-USD", "LANTERN-USD", "0.10")

        brought = key_of(bank, key.id)
        assert (brought.state, brought.from_index, brought.activated_index) == (
            "active",
            0,
            settled.event_index,
        )
        assert "replaces" not in log_of(bank)[settled.event_index or 0]["key"]
        assert brought.activated_at == key.activated_at
        code = code_of(change_key(bank, "signing_key_activation", key.id, {}))
        assert code == "signing_key_conflict"
        oracle(bank)


def test_once_founded_the_log_comes_under_a_root_by_two_people(
    database_urls: DatabaseUrls, tmp_path: Path
) -> None:
    with open_bank(database_urls, tmp_path / "keys", pool_size=4) as bank:
        with bank.database.engine.begin() as connection:
            for one in (bank.operator, bank.checker):
                assert one.roles & {Role.OPERATOR, Role.TREASURY_CHECKER}
                participants.issue_api_key(connection, bank.clock, bank.issuer_id, one.id)
        come_under_root(bank)

        asked = change_key(bank, "signing_key_activation", active(bank).id, {})

        assert asked.event_index is None
        assert active(bank).activated_index is None
        bank.approve(asked.resource_id)
        assert active(bank).activated_index == 1
        oracle(bank)


def test_an_installation_without_its_directory_can_not_activate(bank: Bank, tmp_path: Path) -> None:
    made = prepared_key(bank)
    elsewhere = Settler.of(bank.clock, KeyDirectory(tmp_path / "elsewhere"), bank.settler.approval_lifetime)
    request = bank.request(
        Kind.CHANGE,
        bank.operator,
        operation="signing_key_activation",
        related_id=made.id,
        payload={},
        reason="x",
    )
    [settled] = bank.database.run(
        lambda on: tokens.settle(on, elsewhere, bank.issuer_id, [tokens.Submission((request,))])
    )
    assert code_of(settled.outcomes[0]) == "signing_key_unavailable"
