"""Holders against lists: nothing passes silently, and what was found says why."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tallystick import participants, screening
from tallystick.participants import HolderKind
from tallystick.screening import HITS_KEPT_MAX, Rescreened, ScreeningNotFoundError
from tests.bank import Bank
from tests.database import connect
from tests.screening.listed import company
from tests.screening.screened import current, import_list, renamed, rescreen, screen, standings

LANTERN = company("lantern", "Lantern Lighting of Nowhere", country=["cn"])
HARBOUR = company("harbour", "Harbor Marketplace")
UMBRAL = company("umbral", "Umbral Freight")
NAMES = ("HARBOUR", "LANTERN", "SILKROAD", "NORTHWIND")


def test_without_a_list_everybody_is_clear_and_nothing_is_written(bank: Bank) -> None:
    assert rescreen(bank) == Rescreened(0, 0, 0, None)
    assert screen(bank, bank.holders["LANTERN"]) == []
    assert standings(bank) == dict.fromkeys(NAMES, "clear")
    with connect(bank.urls.superuser_url) as connection:
        assert connection.execute("SELECT count(*) FROM screening_standing").fetchone() == (0,)


def test_a_list_leaves_everybody_unscreened_until_they_are(bank: Bank) -> None:
    import_list(bank, LANTERN, UMBRAL)
    assert standings(bank) == dict.fromkeys(NAMES, "unscreened")

    assert rescreen(bank) == Rescreened(4, 0, 1, None)
    assert standings(bank) == dict.fromkeys(NAMES, "clear") | {"LANTERN": "hit"}
    assert rescreen(bank) == Rescreened(0, 4, 1, None)


def test_a_screening_explains_itself(bank: Bank) -> None:
    imported = import_list(bank, LANTERN)
    rescreen(bank)

    found = current(bank, "LANTERN")
    [hit] = found.hits
    assert (found.list_id, found.list_name, found.state) == (imported.list.id, "fictitious", "hit")
    assert found.subject == ("Lantern Lighting Co", "CN", "CN", None)
    assert (found.threshold, found.hit_count, found.screened_at) == (85, 1, bank.clock.now())
    assert (hit.entity_id, hit.matched_name) == ("lantern", "Lantern Lighting of Nowhere")
    assert (hit.algorithm, hit.score, hit.confidence, hit.decision) == ("word_subset", 97, 100, None)
    assert current(bank, "NORTHWIND").hits == ()
    with bank.database.read() as connection, pytest.raises(ScreeningNotFoundError):
        screening.screening(connection, "issuer_other", found.id)


def test_pages_go_through_everybody_and_skip_what_is_done(bank: Bank) -> None:
    import_list(bank, LANTERN)
    ids = sorted(holder.id for holder in bank.holders.values())

    first = rescreen(bank, limit=3)
    assert (first.screened_count, first.next_after) == (3, ids[2])
    assert rescreen(bank, after=ids[2], limit=3) == Rescreened(
        1, 0, rescreen(bank).hit_count - first.hit_count, None
    )
    assert rescreen(bank, limit=2) == Rescreened(0, 2, rescreen(bank, limit=2).hit_count, ids[1])


def test_a_new_version_replaces_what_was_found(bank: Bank) -> None:
    import_list(bank, LANTERN)
    rescreen(bank)
    before = current(bank, "LANTERN")
    newer = import_list(bank, UMBRAL, version="2")

    assert standings(bank) == dict.fromkeys(NAMES, "unscreened") | {"LANTERN": "hit"}, (
        "a hit refers meanwhile"
    )
    assert rescreen(bank) == Rescreened(4, 0, 0, None)
    after = current(bank, "LANTERN")
    assert (after.list_id, after.state, after.number) == (newer.list.id, "clear", 2)
    assert standings(bank) == dict.fromkeys(NAMES, "clear")
    with bank.database.read() as connection:
        kept = screening.screenings(connection, bank.issuer_id, holder_id=before.holder_id, superseded=True)
    assert [(one.id, one.state, one.superseded_by) for one in kept] == [
        (before.id, "hit", after.id),
        (after.id, "clear", None),
    ]


def test_lists_of_other_names_count_beside_each_other(bank: Bank) -> None:
    import_list(bank, LANTERN, name="one")
    rescreen(bank)
    import_list(bank, HARBOUR, name="other")

    assert rescreen(bank).screened_count == 4
    assert standings(bank) == dict.fromkeys(NAMES, "clear") | {"LANTERN": "hit", "HARBOUR": "hit"}
    with bank.database.read() as connection:
        found = screening.screenings(connection, bank.issuer_id, holder_id=bank.holders["LANTERN"].id)
    assert [(one.list_name, one.state) for one in found] == [("one", "hit"), ("other", "clear")]


def test_a_new_name_is_screened_at_once(bank: Bank) -> None:
    import_list(bank, LANTERN, UMBRAL)
    rescreen(bank)

    [after] = screen(bank, renamed(bank, "NORTHWIND", "Umbral Freight SA"))
    assert (after.state, after.subject.legal_name) == ("hit", "Umbral Freight SA")
    assert standings(bank)["NORTHWIND"] == "hit"
    [back] = screen(bank, bank.holders["NORTHWIND"])
    assert (back.state, back.number) == ("clear", 3)
    assert standings(bank)["NORTHWIND"] == "clear"


def test_a_holder_that_joins_is_screened_in_the_same_transaction(bank: Bank) -> None:
    import_list(bank, UMBRAL)
    with bank.database.engine.begin() as connection:
        joined = participants.register_holder(
            connection,
            bank.clock,
            bank.issuer_id,
            kind=HolderKind.CORPORATE,
            legal_name="UMBRAL FREIGHT A.G.",
            country="DE",
            residency="DE",
        )
        [found] = screening.screen_holder(connection, bank.clock, bank.issuer_id, joined)
    bank.holders["JOINED"] = joined

    assert found.state == "hit"
    assert standings(bank)["JOINED"] == "hit"


def test_another_threshold_screens_anew(bank: Bank) -> None:
    import_list(bank, company("close", "Northwind Manufakturen"))
    rescreen(bank, threshold=99)
    assert standings(bank)["NORTHWIND"] == "clear"

    assert rescreen(bank, threshold=80).screened_count == 4
    assert standings(bank)["NORTHWIND"] == "hit"
    assert current(bank, "NORTHWIND").threshold == 80


def test_hits_are_counted_and_the_first_hundred_kept(bank: Bank) -> None:
    import_list(bank, *(company(f"e-{number:03}", "Lantern Lighting") for number in range(130)))
    rescreen(bank)

    found = current(bank, "LANTERN")
    assert (found.hit_count, len(found.hits), HITS_KEPT_MAX) == (130, 100, 100)


def test_banks_do_not_meet(bank: Bank) -> None:
    import_list(bank, LANTERN)
    with bank.database.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO issuer SELECT 'issuer_other', legal_name, lei, bic, jurisdiction, created_at FROM issuer"
        )
    with bank.database.read() as connection:
        assert screening.screening_lists(connection, "issuer_other") == []
        assert screening.lists_in_force(connection, "issuer_other") == []
        assert screening.screenings(connection, "issuer_other") == []


def test_runs_at_once_screen_everybody_once(bank: Bank) -> None:
    import_list(bank, LANTERN, UMBRAL)
    holder = renamed(bank, "NORTHWIND", "Northwind Umbral")

    with ThreadPoolExecutor(8) as pool:
        runs = [pool.submit(rescreen, bank, limit=limit) for limit in (1, 2, 3, 4, 4, 4)]
        renames = [pool.submit(screen, bank, holder) for _ in range(2)]
        screened = sum(run.result().screened_count for run in runs)
        assert all(rename.result() for rename in renames)

    # The table still holds the old name, so a run may screen that holder again after each rename.
    assert 3 <= screened <= 8
    with connect(bank.urls.superuser_url) as connection:
        counted = connection.execute(
            "SELECT holder_id, count(*) FILTER (WHERE superseded_by IS NULL), count(*), max(number)"
            " FROM screening GROUP BY 1"
        ).fetchall()
        numbered = connection.execute("SELECT holder_id, last_number FROM screening_standing").fetchall()
    assert len(counted) == 4
    for _, counting, count, last_number in counted:
        assert (counting, last_number) == (1, count)
    assert sorted(numbered) == sorted((holder_id, count) for holder_id, _, count, _ in counted)


def test_an_import_during_a_run_leaves_nobody_out(bank: Bank) -> None:
    import_list(bank, UMBRAL)
    with ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(rescreen, bank) for _ in range(3)]
        pool.submit(import_list, bank, LANTERN, version="2").result()
        for run in runs:
            run.result()

    # Whoever was screened against the older version only is unscreened, whatever came first.
    with connect(bank.urls.superuser_url) as connection:
        stale = connection.execute(
            "SELECT count(*) FROM screening s JOIN screening_list l ON l.id = s.list_id"
            " WHERE s.superseded_by IS NULL AND l.number = 1"
        ).fetchone()
    assert stale == (sum(found == "unscreened" for found in standings(bank).values()),)
    rescreen(bank)
    assert standings(bank) == dict.fromkeys(NAMES, "clear") | {"LANTERN": "hit"}
