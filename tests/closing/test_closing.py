"""A date's life: what its checklist asks for, who closes it, and what a closed one takes."""

import hashlib
import json
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from tallystick import closing, ledger, payout_replies, statements
from tallystick.business_dates import (
    BusinessCalendarMissingError,
    BusinessDateClosedError,
    BusinessDateConflictError,
    BusinessDateNotFoundError,
)
from tallystick.closing import BreakNotOpenError, ChecklistIncompleteError, HandOffNotFoundError
from tallystick.core.errors import DomainError
from tallystick.tokens import Kind
from tests.api.payout_examples import new_finding
from tests.bank import Bank, oracle
from tests.camt_writer import Entry, statement
from tests.closing.days import (
    FRIDAY,
    MONDAY,
    TUESDAY,
    ask_close,
    attest,
    bring_statement,
    close,
    end_day,
    hand_off,
    look,
    reopen,
    set_calendar,
)
from tests.tokens.changing import log_of, rows
from tests.verify.packs import Evidence, export_evidence, verified


def by_hand(bank: Bank, day: date | None, amount: str = "5.00") -> str:
    return bank.ask(
        Kind.DEPOSIT,
        bank.maker,
        amount=amount,
        currency="USD",
        payee_account_id=bank.account_id("LANTERN-USD"),
        value_date=day,
        reason="Seen on the core.",
    ).resource_id


def undone(bank: Bank, day: date) -> list[str]:
    return [one.name for one in look(bank, day).checklist.items if not one.done]


def value_dates(bank: Bank) -> list[str]:
    return [payload["value_date"] for payload in log_of(bank) if "value_date" in payload]


class TestChecklist:
    def test_it_is_looked_at_as_things_stand(self, bank: Bank) -> None:
        with pytest.raises(BusinessCalendarMissingError):
            look(bank, FRIDAY)
        set_calendar(bank)
        assert undone(bank, FRIDAY) == ["hand_off_produced"]
        # From the first deposit on its class has to show something, and the euro's still nothing.
        bank.deposit("HARBOUR-USD", "1.00")
        assert undone(bank, FRIDAY) == ["statement_complete", "reconciled", "hand_off_produced"]
        hand_off(bank, FRIDAY)
        assert undone(bank, FRIDAY) == ["statement_complete", "reconciled"]

    def test_each_item_stands_in_the_way_until_it_is_done(self, bank: Bank) -> None:
        set_calendar(bank)
        bring_statement(bank, FRIDAY - timedelta(days=1), ("HARBOUR-USD", "100.00"))
        attest(bank)
        made = hand_off(bank, FRIDAY)
        for missing, do in (
            ("statement_complete", lambda: bring_statement(bank, FRIDAY, opening="100.00")),
            ("reconciled", lambda: attest(bank)),
        ):
            with pytest.raises(ChecklistIncompleteError) as refused:
                ask_close(bank, FRIDAY, made.id)
            assert refused.value.members["missing"][0].startswith(missing)
            do()
        # An entry behind the hand-off is not in it.
        bank.mint("HARBOUR-USD", "1.00", deposited=False)
        with pytest.raises(ChecklistIncompleteError, match="behind the hand-off"):
            ask_close(bank, FRIDAY, made.id)
        # And the run has to tell of it too.
        made = hand_off(bank, FRIDAY)
        with pytest.raises(ChecklistIncompleteError, match="ends before the date's last entry"):
            ask_close(bank, FRIDAY, made.id)
        attest(bank)
        assert ask_close(bank, FRIDAY, made.id).status == 202
        oracle(bank)

    def test_what_was_complete_when_asked_must_be_when_approved(self, bank: Bank) -> None:
        set_calendar(bank)
        bring_statement(bank, FRIDAY, ("HARBOUR-USD", "100.00"))
        attest(bank)
        asked = ask_close(bank, FRIDAY, hand_off(bank, FRIDAY).id)
        bank.mint("HARBOUR-USD", "1.00", deposited=False)
        with pytest.raises(ChecklistIncompleteError):
            bank.approve(asked.resource_id)
        assert look(bank, FRIDAY).date.state == "open"

    def test_findings_about_payouts_are_shown_and_keep_no_date_open(self, bank: Bank) -> None:
        set_calendar(bank)
        bring_statement(bank, FRIDAY, ("HARBOUR-USD", "100.00"))
        finding_id = new_finding(bank)
        attest(bank)

        [shown] = [one for one in look(bank, FRIDAY).checklist.items if one.name == "payout_findings"]

        assert (shown.done, shown.figures) == (True, {"open_finding_ids": [finding_id]})
        assert "1 findings about payouts wait for people" in shown.found
        close(bank, FRIDAY)
        bank.database.run(
            lambda on: payout_replies.resolve_finding(on, bank.clock, bank.maker, finding_id, "Theirs.")
        )
        assert "payout_findings" not in [one.name for one in look(bank, FRIDAY).checklist.items]

    def test_breaks_are_accepted_by_name(self, bank: Bank) -> None:
        set_calendar(bank)
        bring_statement(bank, FRIDAY, ("HARBOUR-USD", "100.00"))
        bank.deposit("LANTERN-USD", "0.01", value_date=FRIDAY)
        assert attest(bank).verdict == "broken"
        made = hand_off(bank, FRIDAY)
        [break_id] = look(bank, FRIDAY).checklist.open_break_ids
        with pytest.raises(ChecklistIncompleteError, match="1 open breaks"):
            ask_close(bank, FRIDAY, made.id)
        with pytest.raises(BreakNotOpenError):
            ask_close(bank, FRIDAY, made.id, break_id, "break_of_another_day")
        bank.approve(ask_close(bank, FRIDAY, made.id, break_id).resource_id)
        [figures] = log_of(bank)[-1]["figures"]["classes"]
        assert (figures["accepted_break_ids"], figures["verdict"]) == ([break_id], "broken")

    def test_the_hand_off_adds_up_and_can_be_made_from_the_books(self, bank: Bank) -> None:
        set_calendar(bank)
        end_day(bank)
        bank.clock.at += timedelta(days=3)
        bank.transfer("HARBOUR-USD", "LANTERN-USD", "2.00")
        made = hand_off(bank, MONDAY)
        with bank.database.read() as connection:
            lines = list(ledger.stream_lines(connection, bank.issuer_id, 0, made.event_index))
        ours = [line for line in lines if FRIDAY < line.value_date <= MONDAY]
        text = "".join(
            json.dumps(
                {
                    "credit": f"{line.credit_minor / 100:.2f}",
                    "currency": line.currency,
                    "debit": f"{line.debit_minor / 100:.2f}",
                    "event_index": line.event_index,
                    "ledger_account_id": line.ledger_account_id,
                    "line_number": line.line_number,
                    "value_date": line.value_date.isoformat(),
                },
                sort_keys=True,
                separators=(",", ":"),
            )
            + "\n"
            for line in ours
        )
        assert made.sha256 == hashlib.sha256(text.encode()).digest()
        of_class = made.of_class(bank.classes["USD"].id)
        assert of_class is not None
        assert (of_class.debits_minor, of_class.credits_minor, of_class.line_count) == (200, 200, 2)
        # Every line is in one date's hand-off.
        with bank.database.read() as connection:
            friday = closing.business_date(connection, bank.clock, bank.issuer_id, FRIDAY).checklist.hand_off
        assert friday is not None
        assert sum(one["line_count"] for one in (*friday.totals, *made.totals)) == len(lines)


class TestClose:
    def test_two_people_close_it_in_order_and_the_log_has_the_figures(self, bank: Bank) -> None:
        set_calendar(bank)
        with pytest.raises(BusinessDateNotFoundError):
            ask_close(bank, MONDAY, "hand_off_of_tomorrow")
        end_day(bank)
        found = log_of(bank)[-1]
        assert (found["type"], found["subject_id"]) == ("business_date.closed", "2026-11-20")
        assert len(found["approvals"]) == 1
        assert (found["figures"]["period_from"], found["figures"]["period_until"]) == (
            "0001-01-01",
            "2026-11-20",
        )
        [of_class] = found["figures"]["classes"]
        assert {
            name: of_class[name] for name in ("supply", "debits", "credits", "line_count", "bank_balance")
        } == {
            "supply": "60.00",
            "debits": "170.00",
            "credits": "170.00",
            "line_count": 6,
            "bank_balance": "100.00",
        }
        seen = look(bank, FRIDAY)
        assert (seen.date.state, [one.action for one in seen.date.actions]) == ("closed", ["closed"])
        with pytest.raises(BusinessDateConflictError):
            close(bank, FRIDAY)
        # It is Friday still, and what is booked now is Monday's.
        bank.transfer("HARBOUR-USD", "LANTERN-USD", "1.00")
        assert value_dates(bank)[-1] == "2026-11-23"
        oracle(bank)

    def test_dates_are_closed_in_order(self, bank: Bank) -> None:
        set_calendar(bank)
        bank.clock.at += timedelta(days=3)
        with pytest.raises(BusinessDateConflictError, match="2026-11-20 is next"):
            ask_close(bank, MONDAY, hand_off(bank, MONDAY).id)
        with pytest.raises(HandOffNotFoundError):
            ask_close(bank, FRIDAY, hand_off(bank, MONDAY).id)
        for no_date in ("2026-11-21", "2026-11-19", "2026-1-2", "20261120", "nonsense"):
            with pytest.raises(BusinessDateNotFoundError):
                bank.change("business_date_close", no_date, {"hand_off_id": "x", "accepted_break_ids": []})

    def test_the_same_key_closes_once(self, bank: Bank) -> None:
        set_calendar(bank)
        bring_statement(bank, FRIDAY, ("HARBOUR-USD", "100.00"))
        attest(bank)
        made = hand_off(bank, FRIDAY)
        asked = ask_close(bank, FRIDAY, made.id, key="close-1")
        again = ask_close(bank, FRIDAY, made.id, key="close-1")
        assert (again.replayed, again.resource_id) == (True, asked.resource_id)
        bank.approve(asked.resource_id)
        assert rows(bank, "SELECT count(*) FROM business_date_action") == [(1,)]

    def test_whoever_asked_does_not_approve(self, bank: Bank) -> None:
        set_calendar(bank)
        bring_statement(bank, FRIDAY, ("HARBOUR-USD", "100.00"))
        attest(bank)
        asked = ask_close(bank, FRIDAY, hand_off(bank, FRIDAY).id)
        with pytest.raises(DomainError) as refused:
            bank.ask(Kind.APPROVE, bank.maker, related_id=asked.resource_id.replace("change", "approval"))
        assert refused.value.code == "checker_is_maker"


class TestLate:
    def test_a_closed_date_takes_nothing_that_people_type(self, bank: Bank) -> None:
        set_calendar(bank)
        waiting = by_hand(bank, FRIDAY)
        end_day(bank)
        with pytest.raises(BusinessDateClosedError):
            by_hand(bank, FRIDAY)
        with pytest.raises(BusinessDateClosedError):
            by_hand(bank, FRIDAY - timedelta(days=400))
        bank.approve(by_hand(bank, None, "6.00"), "6.00", "USD")
        assert value_dates(bank)[-1] == "2026-11-23"
        # What was asked for in time and approved too late lands in the open date, and says where it belongs.
        bank.approve(waiting, "5.00", "USD")
        found = log_of(bank)[-1]
        assert (found["value_date"], found["original_value_date"]) == ("2026-11-23", "2026-11-20")
        bank.clock.at += timedelta(days=3)
        [landed] = look(bank, MONDAY).landed
        assert look(bank, FRIDAY).late == [landed]
        assert (landed.instruction_id, landed.event_index) == (waiting, found["index"])
        oracle(bank)

    def test_a_bank_s_late_credit_lands_in_the_open_date_linked(self, bank: Bank) -> None:
        set_calendar(bank)
        end_day(bank)
        bank.clock.at += timedelta(days=3)
        late = Entry("7.00", remittance="Funding LANTERN-USD", bank_reference="late", day="2026-11-20")
        bank.import_statement(statement(late, day="2026-11-23", opening="100.00"))
        found = next(one for one in reversed(log_of(bank)) if one["type"] == "deposit.confirmed")
        assert (found["value_date"], found["original_value_date"]) == ("2026-11-23", "2026-11-20")
        with bank.database.read() as connection:
            [entry] = statements.entries_by_id(connection, bank.issuer_id, [found["related_id"]]).values()
        assert FRIDAY in {entry.value_date, entry.booking_date}
        assert attest(bank).verdict == "tied"
        close(bank, MONDAY)
        oracle(bank)

    def test_a_deposit_that_waited_to_be_assigned_lands_late_too(self, bank: Bank) -> None:
        set_calendar(bank)
        bring_statement(bank, FRIDAY, ("HARBOUR-USD", "100.00"))
        asked = bank.ask(
            Kind.DEPOSIT,
            bank.maker,
            amount="5.00",
            currency="USD",
            token_class_id=bank.classes["USD"].id,
            related_id=f"statement_{'0' * 26}.2",
            value_date=FRIDAY,
            evidence=True,
        ).resource_id
        attest(bank)
        [break_id] = look(bank, FRIDAY).checklist.open_break_ids or [""]
        close(bank, FRIDAY, *filter(None, [break_id]))
        bank.ask(
            Kind.DEPOSIT_ASSIGNMENT,
            bank.maker,
            related_id=asked,
            payee_account_id=bank.account_id("LANTERN-USD"),
            reason="Theirs.",
        )
        found = log_of(bank)[-1]
        assert (found["value_date"], found["original_value_date"]) == ("2026-11-23", "2026-11-20")


class TestReopening:
    def test_two_people_reopen_it_and_it_is_closed_again(self, bank: Bank) -> None:
        set_calendar(bank)
        with pytest.raises(BusinessDateConflictError):
            reopen(bank, FRIDAY)
        end_day(bank)
        reopen(bank, FRIDAY)
        assert look(bank, FRIDAY).date.state == "reopened"
        bank.approve(by_hand(bank, FRIDAY, "5.00"), "5.00", "USD")
        found = log_of(bank)[-1]
        assert (found["value_date"], "original_value_date" in found) == ("2026-11-20", False)
        # Without a day it is Monday's, as Friday is only open for what belongs to it.
        bank.transfer("HARBOUR-USD", "LANTERN-USD", "1.00")
        assert value_dates(bank)[-1] == "2026-11-23"
        bank.clock.at += timedelta(days=3)
        bring_statement(bank, MONDAY, opening="100.00")
        attest(bank)
        with pytest.raises(BusinessDateConflictError, match="2026-11-20 was reopened"):
            close(bank, MONDAY)
        accepted = look(bank, FRIDAY).checklist.open_break_ids
        if not accepted:
            hand_off(bank, FRIDAY)
            accepted = look(bank, FRIDAY).checklist.open_break_ids
        close(bank, FRIDAY, *accepted)
        seen = look(bank, FRIDAY)
        assert [one.action for one in seen.date.actions] == ["closed", "reopened", "closed"]
        with pytest.raises(BusinessDateClosedError):
            by_hand(bank, FRIDAY)
        close(bank, MONDAY, *accepted)
        with bank.database.read() as connection:
            page = closing.business_dates_page(connection, bank.clock, bank.issuer_id, behind=None, limit=10)
        assert [(one.day, one.state) for one in page] == [
            (FRIDAY, "closed"),
            (MONDAY, "closed"),
            (TUESDAY, "open"),
        ]
        oracle(bank)


class TestVerifier:
    """Whoever has the log and the public keys sees whether dates were kept closed and figures are the books'."""

    @pytest.fixture
    def evidence(self, bank: Bank, tmp_path: Path) -> Evidence:
        set_calendar(bank)
        end_day(bank)
        reopen(bank, FRIDAY)
        waiting = by_hand(bank, FRIDAY, "5.00")
        attest(bank)
        close(bank, FRIDAY)
        bank.approve(waiting, "5.00", "USD")
        bank.clock.at += timedelta(days=3)
        bank.transfer("HARBOUR-USD", "LANTERN-USD", "1.00")
        return Evidence.of(bank, export_evidence(bank, tmp_path / "packs"))

    def test_what_was_signed_of_the_days_is_checked(self, evidence: Evidence, tmp_path: Path) -> None:
        report = verified(evidence.files, tmp_path / "whole", evidence.policy)
        assert report.exit_code == 0, report.text()
        last = len(evidence.insider().payloads()) - 1
        types = [one["type"] for one in evidence.insider().payloads()]
        closed, reopened = types.index("business_date.closed"), types.index("business_date.reopened")
        attested = types.index("reconciliation.attested")
        looked_at = evidence.insider().payloads()[attested]["attestation"]["ledger_index"]
        late = types.index("deposit.confirmed", closed)

        def supply(payload: dict[str, Any]) -> None:
            payload["figures"]["classes"][0]["supply"] = "60.01"

        def totals(payload: dict[str, Any]) -> None:
            payload["figures"]["classes"][0]["line_count"] += 1

        def left_out(payload: dict[str, Any]) -> None:
            payload["figures"]["classes"] = []

        def attestation(payload: dict[str, Any]) -> None:
            payload["attestation"]["supply"] = "61.00"

        def root(payload: dict[str, Any]) -> None:
            payload["attestation"]["liability_root"] = "61.00"

        def further(payload: dict[str, Any]) -> None:
            del payload["attestation"]["log_root_hash"]

        def of_log(**members: Any) -> Callable[[dict[str, Any]], object]:
            return lambda payload: payload["attestation"].update(members)

        def another_class(payload: dict[str, Any]) -> None:
            # Of a class without events nobody knows the supply: it must not stand for one that has them.
            payload["figures"]["classes"][0] |= {
                "token_class_id": "class_01h455vb4pex5vsknk084sn02q",
                "supply": "0.00",
            }

        def period(payload: dict[str, Any]) -> None:
            payload["figures"]["period_from"] = "2026-11-21"

        forgeries: list[tuple[int, Callable[[dict[str, Any]], object], str]] = [
            (last, lambda payload: payload.update(value_date="2026-11-20"), "had been closed"),
            (late, lambda payload: payload.update(original_value_date="2026-11-22"), "was not closed"),
            (late, lambda payload: payload.update(original_value_date="2026-13-22"), "not of the form"),
            (closed, supply, "is not the log's"),
            (closed, totals, "control totals"),
            (closed, left_out, "leaves out"),
            (reopened, period, "period is not its own"),
            (attested, attestation, "not what the log leads to"),
            (attested, root, "not what the log leads to"),
            (attested, further, "other members than are known"),
            (attested, of_log(log_root_hash="0" * 64), "vouches for another log"),
            # The root is right, and of one event more.
            (attested, of_log(verified_size=str(looked_at)), "vouches for another log"),
            (attested, of_log(verified_size=str(looked_at + 2)), "vouches for more of the log"),
            (attested, of_log(currency="EUR"), "another currency or scale"),
            (attested, of_log(scale=3), "another currency or scale"),
            (closed, another_class, "another currency or scale"),
        ]
        for number, (index, change, words) in enumerate(forgeries):
            insider = evidence.insider()
            insider.resign(index, change)
            report = verified(insider.files, tmp_path / str(number), evidence.policy)
            assert report.exit_code != 0
            assert words in report.text(), words
