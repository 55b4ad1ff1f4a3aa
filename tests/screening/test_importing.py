"""A list version is imported once, whole, never changed, and in force from then on."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tallystick import screening
from tallystick.screening import (
    ScreeningListConflictError,
    ScreeningListMalformedError,
    ScreeningListNameMalformedError,
    ScreeningListNotFoundError,
    ScreeningListShrunkError,
)
from tests.bank import Bank
from tests.database import connect
from tests.screening.listed import company
from tests.screening.screened import import_list, rescreen, standings

UMBRAL = company("umbral", "Umbral Freight")
NIMBUS = company("nimbus", "Nimbus Grey")


def test_a_version_is_imported_once(bank: Bank) -> None:
    first = import_list(bank, UMBRAL, NIMBUS)
    again = import_list(bank, UMBRAL, NIMBUS)

    assert (first.imported, again.imported) == (True, False)
    assert again.list == first.list
    assert (first.list.number, first.list.entity_count, first.list.imported_by) == (1, 2, bank.operator.id)
    with bank.database.read() as connection:
        assert screening.screening_lists(connection, bank.issuer_id) == [first.list]
        assert screening.screening_list(connection, bank.issuer_id, first.list.id) == first.list
        with pytest.raises(ScreeningListNotFoundError):
            screening.screening_list(connection, "issuer_other", first.list.id)


def test_a_version_has_one_content(bank: Bank) -> None:
    first = import_list(bank, UMBRAL)

    with pytest.raises(ScreeningListConflictError) as refused:
        import_list(bank, NIMBUS)
    assert refused.value.members == {"screening_list_id": first.list.id}


def test_the_newest_of_each_name_is_in_force(bank: Bank) -> None:
    import_list(bank, UMBRAL, name="one")
    other = import_list(bank, NIMBUS, name="other")
    newer = import_list(bank, UMBRAL, name="one", version="2")

    with bank.database.read() as connection:
        in_force = screening.lists_in_force(connection, bank.issuer_id)
    assert in_force == [newer.list, other.list]
    assert newer.list.number == 3


def test_a_file_that_was_cut_is_noticed(bank: Bank) -> None:
    import_list(bank, *(company(f"e-{number}", f"Umbral {number} Freight") for number in range(5)))

    with pytest.raises(ScreeningListShrunkError, match="2 entities, after 5"):
        import_list(bank, UMBRAL, NIMBUS, version="2")
    assert import_list(bank, UMBRAL, NIMBUS, name="another").imported
    assert import_list(bank, UMBRAL, NIMBUS, NIMBUS | {"id": "third"}, version="2").imported
    assert import_list(bank, UMBRAL, version="3", smaller_accepted=True).imported


def test_a_list_has_a_name_and_a_version(bank: Bank) -> None:
    for which in ("name", "version"):
        for text in ("", " ", " padded", "x" * 65, "a\nb", "a\u0000"):
            with pytest.raises(ScreeningListNameMalformedError):
                import_list(bank, UMBRAL, **{which: text})


def test_a_refused_list_leaves_nothing(bank: Bank) -> None:
    with pytest.raises(ScreeningListMalformedError):
        import_list(bank, UMBRAL, company("bad"))

    with connect(bank.urls.superuser_url) as connection:
        for table in ("screening_scope", "screening_list", "screening_entity"):
            assert connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone() == (0,)
    assert set(standings(bank).values()) == {"clear"}


def test_odd_texts_come_back_as_they_were(bank: Bank) -> None:
    name = 'Tab\there "quoted" back\\slash {brace} \\N 丝绸之路 🦊'
    import_list(bank, company("id\twith\\odd\nletters", name, bank.holders["LANTERN"].legal_name))
    rescreen(bank)

    with bank.database.read() as connection:
        [hit] = screening.screenings(connection, bank.issuer_id, state="hit")[0].hits
    assert hit.entity_id == "id\twith\\odd\nletters"


def test_of_imports_at_once_one_does_it(bank: Bank) -> None:
    with ThreadPoolExecutor(6) as pool:
        same = list(pool.map(lambda _: import_list(bank, UMBRAL), range(6)))
        others = list(pool.map(lambda number: import_list(bank, NIMBUS, version=f"v{number}"), range(6)))

    assert sum(one.imported for one in same) == 1
    assert len({one.list.id for one in same}) == 1
    assert sorted(one.list.number for one in others) == [2, 3, 4, 5, 6, 7]
