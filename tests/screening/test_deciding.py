"""What people decide holds as long as it is about the same two, and nobody decides alone."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from tallystick import screening
from tallystick.core.errors import InvariantError
from tallystick.screening import (
    Screening,
    ScreeningHitsOmittedError,
    ScreeningNotFoundError,
    ScreeningStateConflictError,
    ScreeningSupersededError,
)
from tests.bank import Bank
from tests.database import connect
from tests.screening.listed import company
from tests.screening.screened import (
    clear,
    confirm,
    current,
    import_list,
    renamed,
    rescreen,
    screen,
    standings,
)


def lantern(**properties: Any) -> dict[str, Any]:
    return company("lantern", "Lantern Lighting", country=["zz"], **properties)


UMBRAL = company("umbral", "Umbral Freight")


@pytest.fixture
def hit(bank: Bank) -> Screening:
    """The screening of LANTERN, which is a hit."""
    import_list(bank, lantern(), UMBRAL)
    rescreen(bank)
    return current(bank, "LANTERN")


def test_two_people_clear_a_hit(bank: Bank, hit: Screening) -> None:
    cleared = clear(bank, hit.id, reason="Another Lantern.", approvals=["vote-1", "vote-2"])

    assert (cleared.state, cleared.decided_at) == ("cleared", bank.clock.now())
    assert cleared == current(bank, "LANTERN")
    assert [one.decision for one in cleared.hits] == ["cleared"]
    assert standings(bank)["LANTERN"] == "clear"
    with bank.database.read() as connection:
        [made] = screening.decisions(connection, bank.issuer_id, hit.id)
    assert (made.verdict, made.reason, made.decided_by) == ("cleared", "Another Lantern.", bank.maker.id)
    assert made.approvals == ("vote-1", "vote-2")
    assert made.pairs == (("lantern", hit.hits[0].entity_hash),)


def test_a_confirmed_hit_stands_apart(bank: Bank, hit: Screening) -> None:
    confirm(bank, hit.id)

    assert current(bank, "LANTERN").state == "confirmed"
    assert standings(bank)["LANTERN"] == "confirmed"


def test_one_person_alone_decides_nothing(bank: Bank, hit: Screening) -> None:
    for decide in (clear, confirm):
        with pytest.raises(InvariantError):
            decide(bank, hit.id, approvals=[])
    with (
        connect(bank.urls.superuser_url) as connection,
        pytest.raises(psycopg.errors.CheckViolation, match="ck_screening_decision_approvals"),
    ):
        connection.execute(
            "INSERT INTO screening_decision SELECT issuer_id, holder_id, 9, id, 'cleared', '', 'x', '[]',"
            " subject_hash, '[]', now() FROM screening WHERE id = %s",
            [hit.id],
        )
    assert standings(bank)["LANTERN"] == "hit"


def test_only_what_is_open_can_be_decided(bank: Bank, hit: Screening) -> None:
    with pytest.raises(ScreeningStateConflictError, match="clear"):
        clear(bank, current(bank, "NORTHWIND").id)
    with pytest.raises(ScreeningNotFoundError):
        clear(bank, "screening_absent")
    clear(bank, hit.id)
    with pytest.raises(ScreeningStateConflictError, match="cleared"):
        clear(bank, hit.id)
    import_list(bank, UMBRAL, version="2")
    rescreen(bank)
    with pytest.raises(ScreeningSupersededError) as refused:
        confirm(bank, hit.id)
    assert refused.value.members == {"screening_id": current(bank, "LANTERN").id}


def test_the_check_says_beforehand_what_deciding_will(bank: Bank, hit: Screening) -> None:
    with bank.database.read() as connection:
        assert screening.check_clearance(connection, bank.issuer_id, hit.id) == hit
        assert screening.check_confirmation(connection, bank.issuer_id, hit.id) == hit
    confirm(bank, hit.id)
    with bank.database.read() as connection:
        assert screening.check_clearance(connection, bank.issuer_id, hit.id).state == "confirmed"
        with pytest.raises(ScreeningStateConflictError):
            screening.check_confirmation(connection, bank.issuer_id, hit.id)


def test_a_mistake_can_be_put_right(bank: Bank, hit: Screening) -> None:
    clear(bank, hit.id)
    confirm(bank, hit.id, reason="It was them after all.")
    assert standings(bank)["LANTERN"] == "confirmed"
    clear(bank, hit.id, reason="The court says not.")

    assert standings(bank)["LANTERN"] == "clear"
    with bank.database.read() as connection:
        made = screening.decisions(connection, bank.issuer_id, hit.id)
    assert [(one.verdict, one.number) for one in made] == [("cleared", 2), ("confirmed", 3), ("cleared", 4)]


def test_nobody_clears_what_nobody_can_have_seen(bank: Bank) -> None:
    import_list(bank, *(company(f"e-{number:03}", "Lantern Lighting") for number in range(101)))
    rescreen(bank)
    found = current(bank, "LANTERN")

    with pytest.raises(ScreeningHitsOmittedError):
        clear(bank, found.id)
    assert confirm(bank, found.id).state == "confirmed"


class TestOnTheNextList:
    def test_a_cleared_pair_stays_cleared(self, bank: Bank, hit: Screening) -> None:
        clear(bank, hit.id)
        import_list(bank, lantern() | {"datasets": ["other"], "last_change": "2027-01-01"}, version="2")
        assert standings(bank)["LANTERN"] == "unscreened"
        rescreen(bank)

        found = current(bank, "LANTERN")
        assert (found.state, found.hits[0].decision) == ("cleared", "cleared")
        assert found.id != hit.id
        assert standings(bank)["LANTERN"] == "clear"

    def test_a_changed_entity_is_looked_at_again(self, bank: Bank, hit: Screening) -> None:
        clear(bank, hit.id)
        import_list(bank, lantern(birthDate=["1961"]), version="2")
        rescreen(bank)

        assert (current(bank, "LANTERN").state, standings(bank)["LANTERN"]) == ("hit", "hit")

    def test_a_changed_holder_is_looked_at_again(self, bank: Bank, hit: Screening) -> None:
        clear(bank, hit.id)
        [found] = screen(bank, renamed(bank, "LANTERN", "Lantern Lighting Group"))
        assert found.state == "hit"
        [back] = screen(bank, bank.holders["LANTERN"])
        assert back.state == "cleared"

    def test_a_new_entity_is_a_hit_beside_a_cleared_one(self, bank: Bank, hit: Screening) -> None:
        clear(bank, hit.id)
        import_list(bank, lantern(), company("second", "Lantern Lighting"), version="2")
        rescreen(bank)

        found = current(bank, "LANTERN")
        assert {one.entity_id: one.decision for one in found.hits} == {"lantern": "cleared", "second": None}
        assert found.state == "hit"

    def test_what_was_cleared_on_one_list_is_cleared_on_another(self, bank: Bank, hit: Screening) -> None:
        clear(bank, hit.id)
        import_list(bank, lantern(), name="another")
        rescreen(bank)
        assert standings(bank)["LANTERN"] == "clear"

    def test_confirmed_stays_confirmed_whatever_changes(self, bank: Bank, hit: Screening) -> None:
        confirm(bank, hit.id)
        import_list(bank, lantern(birthDate=["1961"]), UMBRAL, version="2")
        assert standings(bank)["LANTERN"] == "confirmed", "not even unscreened"
        rescreen(bank)
        assert current(bank, "LANTERN").state == "confirmed"

        [evading] = screen(bank, renamed(bank, "LANTERN", "Blameless Bakery"))
        assert (evading.state, evading.hits[0].algorithm) == ("confirmed", "confirmed_before")
        import_list(bank, UMBRAL, version="3")
        rescreen(bank)
        delisted = current(bank, "LANTERN")
        assert (delisted.state, delisted.hits[0].algorithm) == ("confirmed", "confirmed_before")
        assert standings(bank)["LANTERN"] == "confirmed"

        clear(bank, delisted.id, reason="Delisted.")
        assert standings(bank)["LANTERN"] == "clear"
        import_list(bank, UMBRAL, version="4")
        rescreen(bank)
        assert (current(bank, "LANTERN").state, standings(bank)["LANTERN"]) == ("clear", "clear")


def test_of_decisions_at_once_one_stands(bank: Bank, hit: Screening) -> None:
    def attempt(_: int) -> bool:
        try:
            clear(bank, hit.id)
        except ScreeningStateConflictError:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        stood = list(pool.map(attempt, range(6)))
        assert sum(stood) == 1
        verdicts = [pool.submit(decide, bank, hit.id) for decide in (confirm, clear, confirm, clear)]
        for verdict in verdicts:
            verdict.exception()
    state = current(bank, "LANTERN").state
    with bank.database.read() as connection:
        last = screening.decisions(connection, bank.issuer_id, hit.id)[-1].verdict
    assert (last, standings(bank)["LANTERN"]) == (state, "clear" if state == "cleared" else "confirmed")


def test_what_was_decided_is_never_changed(bank: Bank, hit: Screening) -> None:
    clear(bank, hit.id)
    with connect(bank.urls.owner_url) as connection:
        for table in ("screening_decision", "screening_list", "screening_entity"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
                connection.execute(f"DELETE FROM {table}".encode())
