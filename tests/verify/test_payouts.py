"""Payouts in an evidence pack: the verifier replays them by its own rules, and finds what an insider makes of them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tallystick.core.embedded_postgres import EmbeddedPostgres
from tallystick.tokens import Kind
from tallystick_verify import ExitCode
from tests.bank import Bank, open_bank
from tests.database import cloned_database
from tests.tokens.paying import LANTERN, make_file, pay_out, step
from tests.verify.packs import Evidence, Insider, export_evidence, verified

Fault = Callable[[Insider], None]


def live_with_payouts(bank: Bank) -> list[str]:
    """Let payouts go every way there is; return one that is settled, and one that only waits."""
    bank.mint(LANTERN, "100.00")
    step(bank, Kind.PAYOUT_CANCELLATION, pay_out(bank, "10.00"))
    rejected, settled, returned = (pay_out(bank, one) for one in ("11.00", "12.00", "13.00"))
    make_file(bank)
    step(bank, Kind.PAYOUT_REJECTION, rejected, payload={"reason_code": "AC04"})
    step(bank, Kind.PAYOUT_SETTLEMENT, settled)
    step(bank, Kind.PAYOUT_SETTLEMENT, returned)
    step(bank, Kind.PAYOUT_RETURN, returned)
    step(bank, Kind.PAYOUT_GIVE_BACK, returned)
    waiting = pay_out(bank, "14.00")
    make_file(bank)
    return [settled, waiting]


@pytest.fixture(scope="module")
def paid(
    postgres_server: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Evidence]:
    with (
        cloned_database(postgres_server, migrated_template) as urls,
        open_bank(urls, tmp_path_factory.mktemp("keys"), pool_size=2, rooted=True) as bank,
    ):
        live_with_payouts(bank)
        yield Evidence.of(bank, export_evidence(bank, tmp_path_factory.mktemp("packs")))


def test_a_pack_with_payouts_verifies(paid: Evidence, tmp_path: Path) -> None:
    report = verified(paid.files, tmp_path / "pack", paid.policy)

    assert report.exit_code == ExitCode.OK, report.text()


def resigned(event_type: str, change: Callable[[Insider, dict[str, Any]], object], number: int = 0) -> Fault:
    return lambda insider: insider.resign(
        insider.index_of(event_type, number), lambda payload: change(insider, payload)
    )


def payout_of(insider: Insider, event_type: str) -> str:
    return str(insider.payloads()[insider.index_of(event_type)]["related_id"])


def of_another(event_type: str) -> Callable[[Insider, dict[str, Any]], object]:
    """Let a step be of the payout that another step was of."""
    return lambda insider, payload: payload.update(related_id=payout_of(insider, event_type))


def more(insider: Insider, payload: dict[str, Any]) -> None:
    """Let twice the amount be given back."""
    doubled = {"11.00": "22.00", "12.00": "24.00", "13.00": "26.00"}[payload["amount"]]
    lines = [
        {name: doubled if value == payload["amount"] else value for name, value in line.items()}
        for line in payload["lines"]
    ]
    payload.update(amount=doubled, lines=lines)


FAULTS: dict[str, tuple[Fault, ExitCode]] = {
    "a rejection of what was paid": (
        resigned("payout.rejected", of_another("payout.settled")),
        ExitCode.BOOKS,
    ),
    "a second rejection": (
        resigned("payout.settled", of_another("payout.rejected")),
        ExitCode.BOOKS,
    ),
    "a return of what was not paid": (
        resigned("payout.returned", of_another("payout.rejected")),
        ExitCode.BOOKS,
    ),
    "tokens given back without a return": (
        resigned("payout.given_back", of_another("payout.settled")),
        ExitCode.BOOKS,
    ),
    "more given back than was paid": (resigned("payout.given_back", more), ExitCode.BOOKS),
    "more rejected than was accepted": (resigned("payout.rejected", more), ExitCode.BOOKS),
    "more settled than was accepted": (resigned("payout.settled", more), ExitCode.BOOKS),
    "a payout in two files": (
        resigned(
            "payout_file.made",
            lambda insider, payload: payload.update(
                payout_ids=insider.payloads()[insider.index_of("payout_file.made")]["payout_ids"],
                control_sum="36.00",
            ),
            1,
        ),
        ExitCode.BOOKS,
    ),
    "a gap in the files' sequence": (
        resigned("payout_file.made", lambda _insider, payload: payload.update(sequence=3), 1),
        ExitCode.BOOKS,
    ),
    "a control sum that is another": (
        resigned("payout_file.made", lambda _insider, payload: payload.update(control_sum="36.01")),
        ExitCode.BOOKS,
    ),
    "a file that one person made": (
        resigned("payout_file.made", lambda _insider, payload: payload.update(approvals=[])),
        ExitCode.APPROVAL,
    ),
    "a file without its hash": (
        resigned("payout_file.made", lambda _insider, payload: payload.pop("content_sha256")),
        ExitCode.UNSUPPORTED,
    ),
    "a file of what is no payout": (
        resigned("payout_file.made", lambda _insider, payload: payload.update(payout_ids=[7])),
        ExitCode.UNSUPPORTED,
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_made_of_payouts_is_found(paid: Evidence, tmp_path: Path, name: str) -> None:
    fault, exit_code = FAULTS[name]
    insider = paid.insider()
    fault(insider)

    report = verified(insider.files, tmp_path / "pack", paid.policy)

    assert report.exit_code == exit_code, report.text()
