"""Reading the trail: log and entries as one, walked to an end that is pinned, filtered within bounds."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

import pytest

from tallystick import audit
from tallystick.audit import Decision, Draft, Entry, Filters, Place, listing
from tallystick.core.embedded_postgres import EmbeddedPostgres
from tallystick.core.ids import with_prefix
from tests.bank import Bank, open_bank
from tests.database import cloned_database


def append(bank: Bank, *drafts: Draft) -> None:
    bank.database.run(lambda connection: audit.append(connection, bank.clock, bank.issuer_id, drafts))


def refused(code: str = "insufficient_funds", operation: str = "transfer", **more: str) -> Draft:
    return Draft(operation, Decision.REFUSED, "POST", 409, code=code, **more)  # type: ignore[arg-type]


def walk(
    bank: Bank,
    filters: Filters | None = None,
    *,
    limit: int = 1_000,
    begin: Place | None = None,
) -> list[Entry]:
    found: list[Entry] = []
    with bank.database.read() as connection:
        place = begin or audit.begin(connection, bank.issuer_id)
        for _ in range(1_000):
            page = audit.page(connection, bank.issuer_id, place, filters or Filters(), limit=limit)
            assert len(page.entries) <= limit
            found += page.entries
            if page.next is None:
                return found
            place = page.next
    raise AssertionError("the pages do not end")


def names(entries: list[Entry]) -> list[str]:
    return [entry.draft.code or entry.draft.operation for entry in entries]


@dataclass(frozen=True)
class Life:
    """A bank, and the ids of what happened in it."""

    bank: Bank
    ids: dict[str, str]


@pytest.fixture(scope="module")
def life(
    postgres_server: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Life]:
    """Ten minutes in which things settle and are refused by turns, for tests that only read."""
    with (
        cloned_database(postgres_server, migrated_template) as urls,
        open_bank(urls, tmp_path_factory.mktemp("listing") / "keys", pool_size=2) as bank,
    ):
        yield Life(bank, lived(bank))


def lived(bank: Bank) -> dict[str, str]:
    ids: dict[str, str] = {}

    def settle(name: str, did: Callable[[], str]) -> None:
        bank.clock.at += timedelta(minutes=1)
        ids[name] = did()

    def leave(draft: Draft) -> None:
        bank.clock.at += timedelta(minutes=1)
        append(bank, draft)

    settle("mint", lambda: bank.mint("HARBOUR-USD", "100.00"))
    leave(refused("account_frozen", principal_id=bank.platform.id))
    settle("transfer", lambda: bank.transfer("HARBOUR-USD", "LANTERN-USD", "1.00", principal=bank.platform))
    settle("hold", lambda: bank.hold("HARBOUR-USD", "LANTERN-USD", "9.00"))
    leave(refused("remaining_exceeded", "hold_execution", subject_id=ids["hold"]))
    settle("execution", lambda: bank.execute_hold(ids["hold"], "4.00"))
    leave(refused("denied", "mint", principal_id=bank.holder.id))
    settle("void", lambda: bank.void_hold(ids["hold"]))
    leave(Draft("/v1/accounts", Decision.READ, "GET", 200, principal_id=bank.auditor.id))
    return ids


WHOLE = [
    "deposit",
    "mint",
    "account_frozen",
    "transfer",
    "hold",
    "remaining_exceeded",
    "hold_execution",
    "denied",
    "hold_void",
    "/v1/accounts",
]


def test_both_are_told_as_one_in_the_order_of_time(life: Life) -> None:
    whole = walk(life.bank)

    assert names(whole) == WHOLE
    assert all(one.recorded_at <= other.recorded_at for one, other in pairwise(whole))
    settled = whole[3]
    assert settled.id == with_prefix("event", life.ids["transfer"])
    assert (settled.number, settled.hash, settled.draft.event_index) == (None, None, 3)
    assert settled.draft.principal_id == life.bank.platform.id
    assert settled.draft.subject_id == life.ids["transfer"]
    assert settled.draft.request_hash is not None
    shown = audit.resource(settled)
    assert (shown["kept_in"], shown["decision"]) == ("log", "settled")
    assert audit.resource(whole[2])["kept_in"] == "trail"


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_pages_add_up(life: Life, limit: int) -> None:
    assert walk(life.bank, limit=limit) == walk(life.bank)


def test_a_walk_ends_at_what_there_was_when_it_began(bank: Bank) -> None:
    lived(bank)
    whole = walk(bank)
    with bank.database.read() as connection:
        first = audit.page(connection, bank.issuer_id, audit.begin(connection, bank.issuer_id), limit=4)
    append(bank, refused())
    bank.transfer("HARBOUR-USD", "LANTERN-USD", "1.00")

    assert first.next is not None
    assert first.entries + walk(bank, begin=first.next) == whole
    assert len(walk(bank)) == len(whole) + 2


def test_a_period_is_after_one_moment_and_up_to_another(life: Life) -> None:
    whole = walk(life.bank)
    for first in range(len(whole)):
        after, until = whole[first].recorded_at, whole[-2].recorded_at
        with life.bank.database.read() as connection:
            place = audit.begin(connection, life.bank.issuer_id, after=after, until=until)
        told = walk(life.bank, begin=place, limit=2)
        assert told == [one for one in whole if after < one.recorded_at <= until]


FILTERED: list[tuple[Filters, list[str]]] = [
    (Filters(decision="settled"), ["deposit", "mint", "transfer", "hold", "hold_execution", "hold_void"]),
    (Filters(decision="refused"), ["account_frozen", "remaining_exceeded", "denied"]),
    (Filters(decision="read"), ["/v1/accounts"]),
    (Filters(operation="hold_execution"), ["remaining_exceeded", "hold_execution"]),
    (Filters(operation="/v1/accounts"), ["/v1/accounts"]),
    (Filters(code="denied"), ["denied"]),
    (Filters(code="denied", operation="transfer"), []),
    (Filters(code="denied", decision="settled"), []),
    (Filters(operation="mint", decision="settled"), ["mint"]),
]


@pytest.mark.parametrize(("filters", "told"), FILTERED, ids=str)
@pytest.mark.parametrize("limit", [1, 100])
def test_filters(life: Life, filters: Filters, told: list[str], limit: int) -> None:
    assert names(walk(life.bank, filters, limit=limit)) == told


def test_who_and_about_what(life: Life) -> None:
    platform = walk(life.bank, Filters(principal_id=life.bank.platform.id))
    assert names(platform) == ["account_frozen", "transfer"]
    about_hold = walk(life.bank, Filters(subject_id=life.ids["hold"]), limit=1)
    assert names(about_hold) == ["hold", "remaining_exceeded", "hold_execution", "hold_void"]
    of_maker = walk(life.bank, Filters(subject_id=life.ids["hold"], principal_id=life.bank.maker.id))
    assert names(of_maker) == ["hold", "hold_execution", "hold_void"]
    assert names(walk(life.bank, Filters(subject_id=life.ids["void"]))) == ["hold_void"]
    assert walk(life.bank, Filters(principal_id=life.bank.checker.id)) == []
    assert walk(life.bank, Filters(subject_id="hold_00000000000000000000000000")) == []


def test_a_page_looks_through_a_bounded_stretch_and_goes_on(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = {filters: walk(life.bank, filters) for filters, _ in FILTERED}
    monkeypatch.setattr(listing, "_EVENTS_SEARCHED_MAX", 2)
    monkeypatch.setattr(listing, "_ENTRIES_SEARCHED_MAX", 1)
    monkeypatch.setattr(listing, "_PER_READ", 2)

    for filters, _ in FILTERED:
        for limit in (1, 3):
            assert walk(life.bank, filters, limit=limit) == whole[filters], filters
    with life.bank.database.read() as connection:
        page = audit.page(
            connection,
            life.bank.issuer_id,
            audit.begin(connection, life.bank.issuer_id),
            Filters(decision="read"),
            limit=10,
        )
    assert page.entries == []
    assert page.next is not None, "an empty page that is not the last"


def test_another_issuer_s_trail_is_its_own(life: Life) -> None:
    other = "issuer_00000000000000000000000000"
    with life.bank.database.read() as connection:
        place = audit.begin(connection, life.bank.issuer_id)
        page = audit.page(connection, other, place, limit=100)
    assert page.entries == []
