"""Write-offs in an evidence pack: the verifier replays their entries by its own rules, and finds what is made of them.

Those that post nothing, as all did in packs of older releases, are known besides.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tallystick.core.embedded_postgres import EmbeddedPostgres
from tallystick_verify import ExitCode
from tests.bank import Bank, open_bank
from tests.camt_writer import Entry, statement
from tests.database import cloned_database
from tests.reconciliation.runs import ask_to_write_off, carried, open_breaks, reconcile, write_off
from tests.statements.imports import confirm_by_hand
from tests.verify.forging import approve, emptied, reamount
from tests.verify.packs import Evidence, Insider, export_evidence, verified

Fault = Callable[[Insider], None]
LOSS, MADE_GOOD, _, ACCEPTED = range(4)


def live_with_write_offs(bank: Bank) -> None:
    """Let losses be taken, one be made good, and timing be accepted."""
    bank.import_statement(statement(Entry("3.00", credit=False), Entry("1.25", reversal=True)))
    confirm_by_hand(bank, "HARBOUR-USD", "100.00")
    for found in open_breaks(bank):
        write_off(bank, found)
    bank.clock.at += timedelta(days=1)
    confirm_by_hand(bank, "HARBOUR-USD", "7.00")
    timing = [one for one in carried(bank, reconcile(bank)[1]) if one.type == "timing"]
    bank.approve(ask_to_write_off(bank, timing[-1]))


@pytest.fixture(scope="module")
def written_off(
    postgres_server: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Evidence]:
    with (
        cloned_database(postgres_server, migrated_template) as urls,
        open_bank(urls, tmp_path_factory.mktemp("keys"), pool_size=2, rooted=True) as bank,
    ):
        live_with_write_offs(bank)
        yield Evidence.of(bank, export_evidence(bank, tmp_path_factory.mktemp("packs")))


def test_a_pack_with_write_offs_verifies(written_off: Evidence, tmp_path: Path) -> None:
    report = verified(written_off.files, tmp_path / "pack", written_off.policy)

    assert report.exit_code == ExitCode.OK, report.text()
    told = [one for one in written_off.insider().payloads() if one["type"] == "break.written_off"]
    assert [[line["account"][:4] for line in one.get("lines", ())] for one in told] == [
        ["5020", "1100"],
        ["1100", "5020"],
        ["5020", "1100"],
        [],
    ]


def _resigned(number: int, change: Callable[[dict[str, Any]], object]) -> Fault:
    return lambda insider: insider.resign(insider.index_of("break.written_off", number), change)


def _account(place: int, code: str, owner: str | None = None) -> Callable[[dict[str, Any]], object]:
    def change(payload: dict[str, Any]) -> None:
        line = payload["lines"][place]
        line["account"] = f"{code}.{owner or line['account'][5:]}"

    return change


def _turned(payload: dict[str, Any]) -> None:
    """Let the bank have lost what it was given."""
    first, second = (line["account"] for line in payload["lines"])
    payload["lines"][0]["account"], payload["lines"][1]["account"] = second, first


def _reamounted(amount: str) -> Fault:
    return lambda insider: reamount(insider, insider.index_of("break.written_off", LOSS), amount)


def _approved_without_its_amount(insider: Insider) -> None:
    index = insider.index_of("break.written_off", LOSS)
    approve(insider, index, lambda row: row.update(amount=None, currency=None))


def _without(name: str) -> Callable[[dict[str, Any]], object]:
    return lambda payload: payload.pop(name)


def _with(**members: object) -> Callable[[dict[str, Any]], object]:
    return lambda payload: payload.update(members)


FAULTS: dict[str, tuple[ExitCode, Fault]] = {
    "against what holders owe": (ExitCode.BOOKS, _resigned(LOSS, _account(0, "1390"))),
    "out of fees": (ExitCode.BOOKS, _resigned(MADE_GOOD, _account(1, "4010"))),
    "out of a holder's deposits": (
        ExitCode.BOOKS,
        _resigned(MADE_GOOD, _account(1, "2010", "account_00000000000000000000000000")),
    ),
    "on another class's account": (
        ExitCode.BOOKS,
        _resigned(LOSS, _account(0, "5020", "class_00000000000000000000000000")),
    ),
    "on one account": (ExitCode.BOOKS, _resigned(LOSS, _account(0, "1100"))),
    "that does not balance": (
        ExitCode.BOOKS,
        _resigned(LOSS, lambda payload: payload["lines"][1].update(credit="3.01")),
    ),
    "of another amount than its lines": (ExitCode.APPROVAL, _resigned(LOSS, _with(amount="3.01"))),
    "of more than is written off": (ExitCode.FIGURES, _reamounted("3.01")),
    "of nothing": (ExitCode.BOOKS, _reamounted("0.00")),
    "the other way round": (ExitCode.FIGURES, _resigned(MADE_GOOD, _turned)),
    "that nobody approved": (ExitCode.APPROVAL, _resigned(LOSS, emptied)),
    "that nobody approved, of timing": (ExitCode.APPROVAL, _resigned(ACCEPTED, emptied)),
    "whose amount nobody typed": (ExitCode.APPROVAL, _approved_without_its_amount),
    "for no cause": (ExitCode.UNSUPPORTED, _resigned(LOSS, _without("cause"))),
    "for another kind of cause": (
        ExitCode.UNSUPPORTED,
        _resigned(LOSS, _with(cause="hold:account_00000000000000000000000000")),
    ),
    "of no break": (ExitCode.UNSUPPORTED, _resigned(LOSS, _with(subject_id="mint_1"))),
    "asked for as something else": (ExitCode.UNSUPPORTED, _resigned(LOSS, _with(operation="breaker_reset"))),
    "with an account of its own": (
        ExitCode.UNSUPPORTED,
        _resigned(LOSS, _with(payee_account_id="account_00000000000000000000000000")),
    ),
    "without its lines, and of an amount": (ExitCode.UNSUPPORTED, _resigned(LOSS, _without("lines"))),
    "with lines that are none": (ExitCode.UNSUPPORTED, _resigned(LOSS, _with(lines="5020"))),
    "with a line that is none": (ExitCode.UNSUPPORTED, _resigned(LOSS, _with(lines=[1, {}]))),
    "with lines only": (ExitCode.UNSUPPORTED, _resigned(ACCEPTED, _with(lines=[]))),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_write_off_that_is_none_is_found(written_off: Evidence, tmp_path: Path, name: str) -> None:
    code, fault = FAULTS[name]
    insider = written_off.insider()
    fault(insider)

    report = verified(insider.files, tmp_path / "pack", written_off.policy)

    assert report.exit_code == code, report.text()
