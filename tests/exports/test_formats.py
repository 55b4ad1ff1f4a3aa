"""Whatever the books are, every format comes to the same totals, and to the same bytes again."""

import json
import os
import pickle
import re
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import time_machine
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tallystick import exports
from tallystick.core.errors import DomainError
from tallystick.exports import Export, ExportFormat, ExportWriterChangedError, LedgerDetail, written_by
from tests.bank import Bank
from tests.cli.processes import REPOSITORY
from tests.exports.exported import DAYS, contents, csv_rows, export_of, needed, workshop
from tests.exports.reading_back import (
    camt_balances,
    of_beancount,
    of_csv,
    of_json,
    of_parquet,
    of_workbook,
    pdf_pages,
)

_ACCOUNTS = ("HARBOUR-USD", "LANTERN-USD", "HARBOUR-EUR", "NORTHWIND-EUR")
_OPERATION = st.tuples(
    st.sampled_from(["mint", "transfer", "hold", "redeem", "reverse"]),
    st.sampled_from(_ACCOUNTS),
    st.sampled_from(_ACCOUNTS),
    st.integers(1, 100_000),
)


def _do(bank: Bank, operation: str, account: str, other: str, minor: int) -> None:
    """Do something, or nothing where it is refused."""
    amount = f"{minor // 100}.{minor % 100:02}"
    try:
        if operation == "mint":
            bank.mint(account, amount)
        elif operation == "redeem":
            bank.redeem(account, amount)
        elif account[-3:] != other[-3:] or account == other:
            return
        elif operation == "hold":
            bank.execute_hold(bank.hold(account, other, amount), "0.01", account[-3:])
        else:
            transfer = bank.transfer(account, other, amount, reference="=1+1")
            if operation == "reverse":
                bank.reverse(transfer, amount, account[-3:])
    except DomainError:
        return


@given(operations=st.lists(_OPERATION, min_size=1, max_size=8))
# The bank lives on from one example to the next, so none can be tried again.
@settings(
    max_examples=5,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_every_format_comes_to_the_same(
    shared: Bank, tmp_path_factory: pytest.TempPathFactory, operations: list[tuple[str, str, str, int]]
) -> None:
    directory, day = tmp_path_factory.mktemp("exports"), shared.clock.at.date()
    for operation in operations:
        _do(shared, *operation)
    shared.clock.at += timedelta(days=1)

    def made(export_format: ExportFormat, **options: Any) -> tuple[Export, dict[str, bytes]]:
        export = export_of(shared, directory, export_format, business_date=day, **options)
        return export, contents(directory, export)

    told, tables = made(ExportFormat.CSV)
    sides = of_csv(tables["journal.csv"])
    ours = {
        one["currency"]: (Decimal(one["debits"]), Decimal(one["credits"]))
        for one in told.manifest["control_totals"]
        if one["entries"]
    }
    assert sides == ours
    assert of_json(made(ExportFormat.JSONL)[1]["journal.jsonl"]) == sides
    parquet, _ = made(ExportFormat.PARQUET)
    assert of_parquet(str(directory / parquet.id / "journal.parquet")) == sides
    assert of_workbook(made(ExportFormat.XLSX)[1]["books.xlsx"]) == sides
    assert of_csv(made(ExportFormat.GL_CSV)[1][f"gl_{day}.csv"]) == sides
    assert of_json(made(ExportFormat.GL_JSONL, detail=LedgerDetail.CODES)[1][f"gl_{day}.jsonl"]) == sides
    assert of_beancount(made(ExportFormat.BEANCOUNT)[1]["journal.beancount"].decode()) == sides

    owned: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for row in csv_rows(tables["balances.csv"]):
        if row["code"].startswith("21"):
            for moment in ("opening_balance", "balance"):
                owned[row["account_id"], moment] += Decimal(row[moment])
    for account in _ACCOUNTS:
        account_id = shared.account_id(account)
        statement, files = made(ExportFormat.CAMT053, account_id=account_id)
        opening, closing, moved = camt_balances(files["statement_0001.xml"])
        assert opening == owned[account_id, "opening_balance"]
        assert closing == opening + moved == owned[account_id, "balance"]
        [control] = statement.manifest["control_totals"]
        assert control["ties"]
        printed, pages = made(ExportFormat.PDF, account_id=account_id)
        assert printed.manifest["control_totals"] == [control]
        shown = [f"{Decimal(control[one]):,}" for one in ("opening_supply", "credits", "debits", "supply")]
        text = re.sub(r" \([0-9]+\)", "", " ".join(pdf_pages(pages["statement_0001.pdf"])))
        assert "Opening balance {} Credits {} Debits {} Closing balance {} ".format(*shown) in text
        assert f"Totals and closing balance {shown[2]} {shown[1]} {shown[3]}" in text


_ALL: list[tuple[ExportFormat, dict[str, Any]]] = [
    *((one, {}) for one in (ExportFormat.CSV, ExportFormat.PARQUET, ExportFormat.XLSX)),
    (ExportFormat.XLSX, {"sample_size": 3, "seed": "x"}),
    *((one, {"account": "HARBOUR-USD"}) for one in (ExportFormat.PDF, ExportFormat.CAMT053)),
    *((one, {"business_date": DAYS[1].date()}) for one in (ExportFormat.GL_CSV, ExportFormat.GL_JSONL)),
]
_NAMES = [f"{one.value}{'-sample' if 'seed' in options else ''}" for one, options in _ALL]


@pytest.fixture
def elsewhere() -> Iterator[None]:
    """Another time zone, and files that anyone may read."""
    before, mask = os.environ.get("TZ"), os.umask(0)
    os.environ["TZ"] = "Asia/Kathmandu"
    time.tzset()
    yield
    os.umask(mask)
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


def _made(bank: Bank, directory: Path, export_format: ExportFormat, options: dict[str, Any]) -> Export:
    asked = dict(options)
    if "account" in asked:
        asked["account_id"] = bank.account_id(asked.pop("account"))
    return export_of(bank, directory, export_format, **asked)


@pytest.mark.parametrize(("export_format", "options"), _ALL, ids=_NAMES)
def test_equal_arguments_have_equal_bytes(
    shared: Bank, tmp_path: Path, export_format: ExportFormat, options: dict[str, Any]
) -> None:
    until = {} if "business_date" in options else {"until": DAYS[2]}
    first = contents(tmp_path, _made(shared, tmp_path, export_format, options | until))
    shared.transfer("HARBOUR-USD", "LANTERN-USD", "0.01")
    with time_machine.travel(timedelta(days=400), tick=True):
        again = contents(tmp_path, _made(shared, tmp_path, export_format, options | until))

    assert again == first


@pytest.mark.parametrize(("export_format", "options"), _ALL, ids=_NAMES)
def test_what_is_lost_is_made_again(
    shared: Bank,
    tmp_path: Path,
    export_format: ExportFormat,
    options: dict[str, Any],
    request: pytest.FixtureRequest,
) -> None:
    export = _made(shared, tmp_path, export_format, options)
    before = contents(tmp_path, export)
    name = export.manifest["files"][0]["name"]
    (tmp_path / export.id / name).unlink()
    request.getfixturevalue("elsewhere")

    exports.export_file(workshop(shared, tmp_path), shared.auditor, export.id, name)

    assert contents(tmp_path, export) == before
    assert not [one for one in (tmp_path / export.id).iterdir() if one.name.startswith(".")]


def test_an_upgrade_is_told_apart_from_changed_books(
    shared: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = export_of(shared, tmp_path, ExportFormat.XLSX)
    assert json.loads((tmp_path / export.id / "manifest.json").read_text())["written_by"]["xlsxwriter"]
    monkeypatch.setattr(written_by, "version", lambda _: "99")

    whole = exports.export_file(workshop(shared, tmp_path), shared.auditor, export.id, "books.xlsx")
    whole.path.unlink()

    with pytest.raises(ExportWriterChangedError):
        exports.export_file(workshop(shared, tmp_path), shared.auditor, export.id, "books.xlsx")


#: Another machine: another zone, another language's rules and none but ASCII, sets and dictionaries in another order.
MACHINES = {
    "Kathmandu": {"TZ": "Asia/Kathmandu", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "1"},
    "ASCII": {
        "TZ": "America/St_Johns",
        "LC_ALL": "POSIX",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONHASHSEED": "4294967295",
        "PYTHONUTF8": "0",
    },
}


@pytest.mark.parametrize("machine", MACHINES)
def test_another_machine_writes_the_same_bytes(shared: Bank, tmp_path: Path, machine: str) -> None:
    made = [
        export_of(shared, tmp_path, export_format, **needed(shared, export_format))
        for export_format in ExportFormat
    ]
    before = {one.id: contents(tmp_path, one) for one in made}
    asked = {}
    for export in made:
        names = [one["name"] for one in export.manifest["files"]]
        asked[export.id] = [(shared.auditor, name) for name in names]
        for name in names:
            (tmp_path / export.id / name).unlink()

    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.exports.remaking",
            shared.urls.service_url,
            tmp_path / "no keys",
            tmp_path,
        ],
        cwd=REPOSITORY,
        env=os.environ | MACHINES[machine],
        input=pickle.dumps(asked),
        capture_output=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr.decode()
    for export in made:
        assert contents(tmp_path, export) == before[export.id], export.pinned.arguments
