"""What is reconciled by itself: in time, when data comes in, once among several processes, and missed out loud."""

import json
import logging
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick import attestations, schedules
from tallystick.business_dates import BusinessCalendar
from tallystick.core.database import Database
from tallystick.participants import TokenClass
from tallystick.reconciliation import Reconciliation
from tallystick.schedules import RunState, ScheduledRun, Scheduler, due_runs, next_due
from tests.bank import Bank, oracle
from tests.business_dates.test_calendar import CALENDARS, MOMENTS, calendar
from tests.closing.days import FRIDAY, attest, bring_statement, set_calendar
from tests.reconciliation.test_holds import held
from tests.reconciliation.test_pushed import push
from tests.tokens.changing import rows

GRACE = timedelta(minutes=15)
#: Six in the evening of the bank's first Friday, in Berlin.
DUE = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)


def scheduler(bank: Bank, database: Database | None = None) -> Scheduler:
    return Scheduler(database or bank.database, bank.settler, every_seconds=0, grace=GRACE)


def standing(bank: Bank) -> schedules.Standing:
    with bank.database.read() as connection:
        return schedules.standing(connection, bank.issuer_id, bank.clock.at)


def states(bank: Bank) -> list[RunState]:
    return [one.state(bank.clock.at - GRACE) for one in standing(bank).recent]


def classes_of(bank: Bank, runs: list[Reconciliation]) -> set[str]:
    return {
        currency for currency, one in bank.classes.items() if one.id in {run.token_class_id for run in runs}
    }


class TestDue:
    """Which runs are due, by the calendar alone."""

    def of_class(self, created_at: datetime) -> TokenClass:
        made = object.__new__(TokenClass)
        object.__setattr__(made, "id", "class_1")
        object.__setattr__(made, "created_at", created_at)
        return made

    @given(CALENDARS, MOMENTS, st.integers(0, 10), st.integers(0, 10))
    def test_no_run_is_lost_or_due_twice(
        self, kept: BusinessCalendar, at: datetime, first: int, second: int
    ) -> None:
        of_class = self.of_class(datetime(2020, 1, 1, tzinfo=UTC))
        times = calendar(
            set_at=datetime(2020, 1, 1, tzinfo=UTC), weekend=kept.weekend, time_zone=kept.time_zone
        )
        middle, last = at + timedelta(days=first), at + timedelta(days=first + second)
        whole = due_runs(times, [of_class], at, last)
        assert due_runs(times, [of_class], at, middle) + due_runs(times, [of_class], middle, last) == whole
        assert all(times.is_business_day(one.business_date) for one in whole)

    def test_nothing_is_due_from_before_there_was_a_calendar_or_class(self) -> None:
        until = DUE + timedelta(days=3)
        assert [
            one.due_at for one in due_runs(calendar(), [self.of_class(DUE)], DUE - timedelta(days=9), until)
        ] == [
            DUE,
            DUE + timedelta(days=3),
        ]
        assert due_runs(calendar(set_at=DUE), [self.of_class(DUE)], DUE - timedelta(days=9), DUE) == []
        later = self.of_class(DUE + timedelta(seconds=1))
        assert due_runs(calendar(), [later], DUE - timedelta(days=9), DUE) == []

    def test_the_next_one_is_told(self) -> None:
        assert next_due(calendar(), DUE - timedelta(seconds=1)) == DUE
        assert next_due(calendar(), DUE) == DUE + timedelta(days=3)
        assert next_due(calendar(reconcile_minutes=()), DUE) is None

    def test_a_run_s_state(self) -> None:
        run = ScheduledRun(DUE, "class_1", FRIDAY)
        assert run.state(DUE - GRACE) == "due"
        assert run.state(DUE) == "missed"
        done = ScheduledRun(DUE, "class_1", FRIDAY, None, DUE, "reconciliation_1")
        late = ScheduledRun(DUE, "class_1", FRIDAY, DUE, DUE, "reconciliation_1")
        assert (done.state(DUE), late.state(DUE)) == ("done", "late")


def test_every_class_is_reconciled_at_its_time_once(bank: Bank) -> None:
    set_calendar(bank)
    at_work = scheduler(bank)
    bank.clock.at = DUE - timedelta(seconds=1)
    assert at_work.look() == []
    bank.clock.at = DUE
    made = at_work.look()
    assert classes_of(bank, made) == {"USD", "EUR"}
    assert {one.run_by for one in made} == {"system"}
    assert at_work.look() == []
    assert states(bank) == ["done", "done"]
    with bank.database.read() as connection:
        attested = attestations.attestations(connection, bank.issuer_id)
    assert {one.reconciliation_id for one in attested} == {one.id for one in made}
    oracle(bank)


def test_data_that_comes_in_is_reconciled_without_any_calendar(bank: Bank) -> None:
    at_work = scheduler(bank)
    assert at_work.look() == []
    bring_statement(bank, FRIDAY, ("HARBOUR-USD", "100.00"))
    assert [one.token_class_id for one in standing(bank).arrivals] == [bank.classes["USD"].id]
    made = at_work.look()
    assert (classes_of(bank, made), [one.verdict for one in made]) == ({"USD"}, ["tied"])
    assert (standing(bank).arrivals, at_work.look()) == ([], [])
    # The same file again brings nothing new.
    bring_statement(bank, FRIDAY, ("HARBOUR-USD", "100.00"))
    assert at_work.look() == []
    bring_statement(bank, FRIDAY + timedelta(days=1), opening="100.00")
    assert classes_of(bank, at_work.look()) == {"USD"}


def test_figures_that_the_core_pushes_are_reconciled_and_none_is_overlooked(bank: Bank) -> None:
    at_work = scheduler(bank)
    bring_statement(bank, FRIDAY - timedelta(days=1), ("HARBOUR-USD", "100.00"))
    assert len(at_work.look()) == 1
    bank.clock.at += timedelta(hours=1)
    assert at_work.look() == []
    push(bank, "99.00")
    [run] = at_work.look()
    assert (run.verdict, run.figures["pushed_balance"]["difference"]) == ("broken", "1.00")
    # Another one that was being written meanwhile may not have been seen: it is looked at once more, and then rests.
    push(bank, "100.00")
    assert at_work.look() == []
    bank.clock.at += timedelta(minutes=1)
    assert [one.verdict for one in at_work.look()] == ["tied"]
    bank.clock.at += timedelta(minutes=1)
    assert at_work.look() == []
    # A customer's hold counts as well; a customer's balance is compared with nothing.
    held(bank, "HARBOUR-USD", "100.00")
    assert standing(bank).class_ids == {bank.classes["USD"].id}
    assert classes_of(bank, at_work.look()) == {"USD"}
    bank.clock.at += timedelta(minutes=2)
    assert [len(at_work.look()), at_work.look()] == [1, []]


def test_what_was_missed_is_an_alert_until_it_is_made_up_for(
    bank: Bank, caplog: pytest.LogCaptureFixture
) -> None:
    set_calendar(bank)
    bank.clock.at = DUE + GRACE
    # Told from the calendar, whether or not anybody is at work.
    assert states(bank) == ["missed", "missed"]
    with caplog.at_level(logging.WARNING):
        made = scheduler(bank).look()
    assert len(made) == 2
    assert [one.levelname for one in caplog.records] == ["ERROR", "ERROR", "WARNING", "WARNING"]
    assert "was missed" in caplog.text
    assert states(bank) == ["late", "late"]
    assert standing(bank).pending == []
    assert rows(bank, "SELECT count(*) FROM scheduled_run WHERE missed_at IS NULL") == [(0,)]


def test_one_run_makes_up_for_all_that_were_missed(bank: Bank) -> None:
    set_calendar(bank, reconcile_at=["06:00", "12:00", "18:00"])
    bank.clock.at = DUE + timedelta(days=4) + GRACE
    made = scheduler(bank).look()
    assert len(made) == 2
    assert {one.state(bank.clock.at) for one in standing(bank).recent} == {"late"}
    # Noon and evening of Friday, and all of Monday and Tuesday, for two classes.
    assert len(standing(bank).recent) == (2 + 3 + 3) * 2


def test_who_does_not_lead_makes_nothing(bank: Bank) -> None:
    set_calendar(bank)
    bank.clock.at = DUE
    other = Database(bank.urls.service_url, pool_size=2)
    try:
        with bank.database.engine.begin() as leading:
            assert schedules.store.lead(leading, bank.issuer_id, DUE)
            leading.exec_driver_sql("SAVEPOINT held")
            # The first look of all also makes the row that is locked; from then on nobody waits for it.
        with bank.database.engine.begin() as leading:
            assert schedules.store.lead(leading, bank.issuer_id, DUE)
            assert scheduler(bank, other).look() == []
        assert len(scheduler(bank, other).look()) == 2
    finally:
        other.close()


def test_a_crash_in_a_run_leaves_it_due(bank: Bank) -> None:
    set_calendar(bank)
    bring_statement(bank, FRIDAY, ("HARBOUR-USD", "100.00"))
    bank.clock.at = DUE

    def gone(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for at in ("write_done", "add_reconciled"):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(f"tallystick.schedules.store.{at}", gone)
            with pytest.raises(KeyboardInterrupt):
                scheduler(bank).look()
        assert rows(bank, "SELECT count(*) FROM reconciliation") == [(0,)]
        assert len(standing(bank).pending) == 2
    assert len(scheduler(bank).look()) == 2
    assert (standing(bank).pending, standing(bank).arrivals) == ([], [])
    oracle(bank)


_LOOKS = """
import sys
from datetime import datetime, timedelta
from tallystick import signing
from tallystick.core.clock import FixedClock
from tallystick.core.database import Database
from tallystick.schedules import Scheduler
from tallystick.tokens import Settler
from pathlib import Path

url, keys, at = sys.argv[1:]
directory = signing.KeyDirectory(Path(keys))
clock = FixedClock(datetime.fromisoformat(at))
database = Database(url, pool_size=2)
settler = Settler.of(clock, directory, timedelta(hours=1))
looking = Scheduler(database, settler, every_seconds=0, grace=timedelta(minutes=15))
print("ready", flush=True)
sys.stdin.readline()
print([run.id for run in looking.look()].__repr__().replace("'", '"'), flush=True)
database.close()
"""


def test_of_two_processes_one_makes_each_run(bank: Bank, tmp_path: Path) -> None:
    set_calendar(bank)
    bring_statement(bank, FRIDAY, ("HARBOUR-USD", "100.00"))
    bank.clock.at = DUE
    arguments = [bank.urls.service_url, str(tmp_path / "keys"), DUE.isoformat()]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _LOOKS, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    made: list[str] = []
    for one in processes:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in processes:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    for one in processes:
        out, _ = one.communicate(timeout=120)
        assert one.returncode == 0
        made += json.loads(out)
    if len(made) < 2:
        # Whoever found the other one at work left the rest to it, and to the next look.
        made += [run.id for run in scheduler(bank).look()]
    assert len(made) == 2
    assert rows(bank, "SELECT count(*) FROM reconciliation") == [(2,)]
    assert states(bank) == ["done", "done"]
    oracle(bank)


def test_a_run_by_hand_does_not_stand_for_one_that_is_due(bank: Bank) -> None:
    set_calendar(bank)
    bank.clock.at = DUE
    attest(bank)
    assert len(scheduler(bank).look()) == 2
    assert date(2026, 11, 20) == standing(bank).recent[0].business_date
