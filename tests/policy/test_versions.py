"""The life of a class's versions, in memory for any order of approvals and retirements, and in the database."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError

from tallystick import policy
from tallystick.core.canonical_json import canonical_json
from tallystick.core.embedded_postgres import EmbeddedPostgres
from tallystick.core.errors import DomainError, InvariantError
from tallystick.core.pipeline import pipelined
from tallystick.participants import TokenClassNotFoundError
from tallystick.policy import (
    ClassFacts,
    CompiledPolicy,
    Facts,
    Policy,
    PolicyNotFoundError,
    PolicyStateConflictError,
    read_document,
)
from tallystick.policy.versions import approved, retired
from tests.bank import OPENED_AT, Bank, open_bank
from tests.database import DatabaseUrls, cloned_database, connect
from tests.policy.cases import codes, document, facts

VOTE = hashlib.sha256(b"a vote").digest()
HOUR = timedelta(hours=1)


def version_of(number: int, effective_from: datetime, created_at: datetime) -> Policy:
    return Policy(
        issuer_id="issuer_1",
        id=f"policy_{number:03d}",
        token_class_id="class_usd",
        version=number,
        currency="USD",
        scale=2,
        effective_from=effective_from,
        document={},
        content_hash=VOTE,
        author_principal_id="principal_1",
        author_person="Omar",
        created_at=created_at,
        approved_at=None,
        active_from=None,
        retired_at=None,
        approval_hashes=[],
    )


@settings(max_examples=150)
@given(
    st.lists(
        st.tuples(st.sampled_from(["approve", "approve", "retire"]), st.integers(0, 9), st.integers(-5, 20)),
        max_size=14,
    )
)
def test_no_two_versions_are_ever_in_force_at_once(steps: list[tuple[str, int, int]]) -> None:
    now = OPENED_AT
    versions: dict[str, Policy] = {}
    # What was in force at each hour that is over, and which were retired while they waited.
    was: dict[datetime, str | None] = {}
    for number, (verb, which, hours) in enumerate(steps):
        now += HOUR
        changed: list[Policy] = []
        if verb == "approve":
            new = version_of(number, now + hours * HOUR, now)
            changed = approved(new, versions.values(), [VOTE], now)
            assert changed[0].active_from == max(now, new.effective_from)
        elif versions:
            one = list(versions.values())[which % len(versions)]
            others = [other for other in versions.values() if other.id != one.id]
            if one.state_at(now) == "retired":
                with pytest.raises(PolicyStateConflictError):
                    retired(one, others, now)
            else:
                changed = retired(one, others, now)
                assert changed[0].state_at(now) == "retired"
        versions |= {one.id: one for one in changed}
        for hour in range(40):
            at = OPENED_AT + hour * HOUR
            active = [one.id for one in versions.values() if one.state_at(at) == "active"]
            assert len(active) <= 1
            decides = active[0] if active else None
            if at < now:
                assert was.setdefault(at, decides) == decides, "what has decided has decided"


def test_one_that_waits_gives_its_time_back() -> None:
    first = approved(version_of(1, OPENED_AT, OPENED_AT), [], [VOTE], OPENED_AT)[0]
    second, ended = approved(version_of(2, OPENED_AT + 5 * HOUR, OPENED_AT), [first], [VOTE], OPENED_AT)
    assert (second.state_at(OPENED_AT), ended.retired_at) == ("approved", OPENED_AT + 5 * HOUR)
    cancelled, given_back = retired(second, [ended], OPENED_AT + HOUR)
    assert cancelled.state_at(OPENED_AT + HOUR) == "retired"
    assert given_back == first
    # One that is in force leaves its time to the shipped rules.
    assert [one.id for one in retired(second, [ended], OPENED_AT + 6 * HOUR)] == [second.id]


def test_an_earlier_one_decides_until_a_later_one_that_was_approved_before_it() -> None:
    later = approved(version_of(1, OPENED_AT + 5 * HOUR, OPENED_AT), [], [VOTE], OPENED_AT)[0]
    [earlier] = approved(version_of(2, OPENED_AT, OPENED_AT), [later], [VOTE], OPENED_AT)
    assert (earlier.active_from, earlier.retired_at) == (OPENED_AT, OPENED_AT + 5 * HOUR)


def test_only_a_draft_can_be_approved() -> None:
    new = approved(version_of(1, OPENED_AT, OPENED_AT), [], [VOTE], OPENED_AT)[0]
    for one in (new, replace(version_of(2, OPENED_AT, OPENED_AT), retired_at=OPENED_AT)):
        with pytest.raises(PolicyStateConflictError):
            approved(one, [], [VOTE], OPENED_AT)


@pytest.fixture(scope="module")
def urls(postgres_server: EmbeddedPostgres, migrated_template: str) -> Iterator[DatabaseUrls]:
    with cloned_database(postgres_server, migrated_template) as cloned:
        yield cloned


@pytest.fixture(scope="module")
def bank(urls: DatabaseUrls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bank]:
    with open_bank(urls, tmp_path_factory.mktemp("versions")) as opened:
        yield opened


@pytest.fixture
def connection(bank: Bank) -> Iterator[Connection]:
    """A connection whose transaction is rolled back: each test begins with a class that has no policy."""
    bank.clock.at = OPENED_AT
    with bank.database.engine.connect() as opened:
        transaction = opened.begin()
        yield opened
        transaction.rollback()


def draft(
    bank: Bank, connection: Connection, *, effective_from: datetime | None = None, **members: Any
) -> Policy:
    return policy.draft(
        connection,
        bank.clock,
        bank.operator,
        token_class_id=bank.classes["USD"].id,
        document=read_document(document(**members)),
        effective_from=effective_from,
    )


def activate(bank: Bank, connection: Connection, new: Policy) -> Policy:
    return policy.activate(connection, bank.clock, bank.issuer_id, new.id, [VOTE])


def in_force(bank: Bank, connection: Connection, currency: str = "USD") -> CompiledPolicy:
    with pipelined(connection) as pipeline:
        asked = policy.policies_in_force(pipeline, bank.issuer_id, bank.clock.now())
    of_class = bank.classes[currency]
    return asked.result().of(ClassFacts(of_class.id, of_class.mode, currency, of_class.scale))


def asked_in(bank: Bank, amount_minor: int = 1_000, **otherwise: Any) -> Facts:
    of_class = ClassFacts(bank.classes["USD"].id, "normal", "USD", 2)
    return facts(of_class=of_class, amount_minor=amount_minor, **otherwise)


def test_a_draft_keeps_what_was_written_and_decides_nothing(bank: Bank, connection: Connection) -> None:
    new = draft(bank, connection, limits={"transaction": "5.00"})
    second = draft(bank, connection)
    assert (new.version, second.version, new.state_at(OPENED_AT)) == (1, 2, "draft")
    assert new.content_hash == hashlib.sha256(canonical_json(new.document)).digest()
    assert (new.author_person, new.effective_from) == ("Omar Operator", OPENED_AT)
    assert policy.policy(connection, bank.issuer_id, new.id) == new
    assert policy.policies(connection, bank.issuer_id, token_class_id=bank.classes["USD"].id) == [new, second]
    assert policy.policies(connection, bank.issuer_id, after=new.id) == [second]
    assert policy.policies(connection, bank.issuer_id, token_class_id=bank.classes["EUR"].id) == []
    assert policy.policies(connection, "issuer_other") == []
    assert in_force(bank, connection).version == "shipped/1"


def test_a_draft_that_would_not_work_is_not_kept(bank: Bank, connection: Connection) -> None:
    with pytest.raises(DomainError) as caught:
        draft(bank, connection, limits={"transaction": "5"})
    assert caught.value.code == "amount_malformed"
    with pytest.raises(TokenClassNotFoundError):
        policy.draft(
            connection,
            bank.clock,
            bank.operator,
            token_class_id="class_none",
            document=read_document(document()),
        )
    assert policy.policies(connection, bank.issuer_id) == []


def test_from_draft_to_retirement(bank: Bank, connection: Connection) -> None:
    first = draft(bank, connection, limits={"transaction": "5.00"})
    assert policy.check_activation(connection, bank.clock, bank.issuer_id, first.id) == first
    first = activate(bank, connection, first)
    assert first == policy.policy(connection, bank.issuer_id, first.id)
    assert (first.state_at(OPENED_AT), first.approval_hashes) == ("active", [VOTE])
    decides = in_force(bank, connection)
    assert (decides.version, codes(decides, asked_in(bank))) == (
        f"{first.id}/1",
        ["transaction_limit_exceeded"],
    )
    assert in_force(bank, connection) is decides, "compiled once"
    assert in_force(bank, connection, "EUR").version == "shipped/1"

    bank.clock.at += HOUR
    second = draft(bank, connection, effective_from=OPENED_AT + 3 * HOUR)
    second = activate(bank, connection, second)
    assert second.state_at(bank.clock.now()) == "approved"
    assert in_force(bank, connection) is decides, "not before its day"
    bank.clock.at += 2 * HOUR
    assert in_force(bank, connection).version == second.label == f"{second.id}/2"
    assert policy.policy(connection, bank.issuer_id, first.id).state_at(bank.clock.now()) == "retired"

    for verb in (policy.check_activation, policy.check_retirement, policy.retire):
        with pytest.raises(PolicyStateConflictError):
            verb(connection, bank.clock, bank.issuer_id, first.id)
    with pytest.raises(PolicyStateConflictError):
        activate(bank, connection, second)
    assert policy.check_retirement(connection, bank.clock, bank.issuer_id, second.id) == second
    assert policy.retire(connection, bank.clock, bank.issuer_id, second.id).retired_at == bank.clock.now()
    assert in_force(bank, connection).version == "shipped/1"


def test_what_is_not_there(bank: Bank, connection: Connection) -> None:
    new = draft(bank, connection)
    for issuer_id, policy_id in ((bank.issuer_id, "policy_none"), ("issuer_other", new.id)):
        for verb in (policy.check_activation, policy.check_retirement, policy.retire):
            with pytest.raises(PolicyNotFoundError):
                verb(connection, bank.clock, issuer_id, policy_id)
        with pytest.raises(PolicyNotFoundError):
            policy.activate(connection, bank.clock, issuer_id, policy_id, [VOTE])
        with pytest.raises(PolicyNotFoundError):
            policy.policy(connection, issuer_id, policy_id)


def test_nothing_is_activated_without_an_approval(bank: Bank, connection: Connection) -> None:
    new = draft(bank, connection)
    with pytest.raises(InvariantError):
        policy.activate(connection, bank.clock, bank.issuer_id, new.id, [])
    with pytest.raises(IntegrityError):
        connection.exec_driver_sql(
            "UPDATE policy_document SET approved_at = %s, active_from = %s WHERE issuer_id = %s AND id = %s",
            (OPENED_AT, OPENED_AT, bank.issuer_id, new.id),
        )


def test_the_service_cannot_change_what_a_policy_says(bank: Bank, connection: Connection) -> None:
    new = draft(bank, connection)
    with pytest.raises(DBAPIError, match="permission denied"):
        connection.exec_driver_sql(
            "UPDATE policy_document SET document = '{}' WHERE issuer_id = %s AND id = %s",
            (bank.issuer_id, new.id),
        )


def test_a_version_is_given_out_once(bank: Bank, connection: Connection) -> None:
    new = draft(bank, connection)
    with pytest.raises(IntegrityError):
        policy.store.insert_policy(connection, replace(new, id="policy_twin"))


def test_simulating_tells_all_and_writes_nothing(bank: Bank, connection: Connection) -> None:
    limits = {"payer_day": "12.00", "transaction": "20.00"}
    activate(bank, connection, draft(bank, connection, limits=limits, issuance={"supply": "100.00"}))
    asked = asked_in(bank)
    decides = in_force(bank, connection)
    with pipelined(connection) as pipeline:
        read = policy.read_usage(pipeline, bank.issuer_id, decides.usage_keys(asked), OPENED_AT)
    book = read.result()
    decides.count(asked, book)
    with pipelined(connection) as pipeline:
        policy.write_usage(pipeline, bank.issuer_id, book)

    def simulated(amount_minor: int, **otherwise: Any) -> list[str]:
        supply_minor = otherwise.pop("supply_minor", None)
        told = policy.simulate(
            connection,
            bank.issuer_id,
            asked_in(bank, amount_minor, **otherwise),
            OPENED_AT,
            supply_minor=supply_minor,
        )
        assert told["policy_version"] == decides.version
        return [one["code"] for one in told["reasons"]]

    assert simulated(200) == []
    assert simulated(201) == ["payer_day_limit_exceeded"]
    assert simulated(2_001) == ["transaction_limit_exceeded", "payer_day_limit_exceeded"]
    assert simulated(1, kind="mint", payer=None) == ["fact_missing"]
    assert simulated(1, kind="mint", payer=None, supply_minor=9_999) == []
    assert simulated(2, kind="mint", payer=None, supply_minor=9_999) == ["supply_cap_exceeded"]
    rows = connection.exec_driver_sql("SELECT total_minor FROM limit_usage").fetchall()
    assert [tuple(row) for row in rows] == [(1_000,)]


def test_a_document_that_was_changed_in_the_database_decides_nothing(bank: Bank) -> None:
    bank.clock.at = OPENED_AT
    with bank.database.engine.begin() as own:
        new = draft(bank, own, limits={"transaction": "5.00"})
        activate(bank, own, new)
    try:
        with connect(bank.urls.superuser_url) as connection:
            connection.execute(
                "UPDATE policy_document SET document = jsonb_set(document, '{limits,transaction}', '\"900.00\"')"
                " WHERE id = %s",
                [new.id],
            )
        with (
            bank.database.read() as own,
            pytest.raises(InvariantError, match="not what was approved"),
        ):
            in_force(bank, own)
    finally:
        with connect(bank.urls.superuser_url) as connection:
            connection.execute("DELETE FROM policy_document WHERE id = %s", [new.id])
