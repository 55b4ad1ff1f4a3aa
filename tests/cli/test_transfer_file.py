"""Files of transfers over real HTTP: every row has one result, and no failure pays a row twice."""

import csv
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tallystick.cli.report import CommandRefusedError, ExitCode, Report
from tallystick.cli.transfer_file import send_file
from tallystick.cli.transfer_file.rows import BATCH_ROWS_MAX, batches, read_rows, survey
from tallystick.cli.transfer_file.sending import ATTEMPTS_MAX, Sender
from tests.cli.conftest import CommandLine, Ran
from tests.cli.faulty_proxy import FaultyProxy, faulty_proxy
from tests.cli.processes import REPOSITORY, Served

COLUMNS = ("payer_account_id", "payee_account_id", "amount", "currency", "reference", "idempotency_key")
STATEMENT = REPOSITORY / "examples" / "statements" / "2026-11-20-usd.xml"


@pytest.fixture(scope="module")
def funded(served: Served) -> Served:
    """The sandbox with 250,000.00 for Harbour, as bank and people bring it about."""
    harbour = served.sandbox["accounts"]["harbour_usd"]
    amount = {"amount": "250000.00", "currency": "USD"}
    with served.client("maker") as maker, served.client("checker") as checker:
        xml = {"Content-Type": "application/xml"}
        assert maker.post("/v1/statements", content=STATEMENT.read_bytes(), headers=xml).status_code == 201
        mint = maker.post(
            "/v1/mints", json={"account_id": harbour, **amount}, headers={"Idempotency-Key": "fund"}
        ).json()
        approved = checker.post(
            f"/v1/approvals/{mint['approval_id']}/approve", json=amount, headers={"Idempotency-Key": "fund"}
        )
        assert approved.json()["state"] == "approved"
    return served


@pytest.fixture
def proxy(funded: Served) -> Iterator[FaultyProxy]:
    with faulty_proxy(funded.url) as running:
        yield running


@pytest.fixture
def sending(command_line: CommandLine, funded: Served, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """The command line as Harbour's, pointed at the service."""
    monkeypatch.setenv("TALLYSTICK_API_KEY", funded.sandbox["keys"]["platform"])
    monkeypatch.setenv("TALLYSTICK_URL", funded.url)
    return command_line


def write(path: Path, rows: list[dict[str, str]], columns: tuple[str, ...] = COLUMNS) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    return path


def row(served: Served, amount: str = "0.01", **cells: str) -> dict[str, str]:
    accounts = served.sandbox["accounts"]
    return {
        "payer_account_id": accounts["harbour_usd"],
        "payee_account_id": accounts["lantern_usd"],
        "amount": amount,
        "currency": "USD",
        "reference": "",
        "idempotency_key": "",
        **cells,
    }


def results(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def balance(served: Served, account: str = "lantern_usd") -> Decimal:
    with served.client("auditor") as auditor:
        found = auditor.get(f"/v1/accounts/{served.sandbox['accounts'][account]}/balance")
        return Decimal(found.json()["available"])


def stop(_seconds: float) -> None:
    """Stop the run in the middle of a pause, as Ctrl-C does."""
    raise KeyboardInterrupt


def send(
    file: Path,
    url: str,
    api_key: str,
    *,
    atomic: bool = False,
    pause: Callable[[float], None] | None = None,
) -> tuple[dict[str, Any], int, list[float]]:
    """Send with pauses that are counted instead of waited for; return the summary, exit code and pauses."""
    report = Report(as_json=True)
    pauses: list[float] = []
    connect = partial(Sender, pause=pause or pauses.append)
    send_file(report, file, url=url, api_key=api_key, results=None, atomic=atomic, connect=connect)
    document = report._document
    assert isinstance(document, dict)
    return document, report.exit_code, pauses


def test_a_file_of_several_batches_settles_once(sending: CommandLine, funded: Served, tmp_path: Path) -> None:
    file = write(tmp_path / "payouts.csv", [row(funded, reference=f"P-{n}") for n in range(2_300)])
    before = balance(funded)

    first = sending.run("transfer-file", file, "--json")
    first_results = results(tmp_path / "payouts.csv.results.csv")
    again = sending.run("transfer-file", file, "--results", tmp_path / "again.csv", "--json")

    assert (first.exit_code, again.exit_code) == (0, 0), first.errors + again.errors
    assert first.document["rows"] == first.document["settled"] == 2_300
    assert [one["row"] for one in first_results] == [str(n) for n in range(1, 2_301)]
    assert {one["status"] for one in first_results} == {"settled"}
    assert len({one["transfer_id"] for one in first_results}) == 2_300
    assert results(tmp_path / "again.csv") == first_results
    assert balance(funded) - before == Decimal("23.00")


def test_people_are_told(sending: CommandLine, funded: Served, tmp_path: Path) -> None:
    file = write(tmp_path / "two.csv", [row(funded), row(funded, "999999.00")])

    ran = sending.run("transfer-file", file)

    assert ran.exit_code == 1
    assert "1 of 2 transfers settled. Each row's result: " in ran.output
    assert "1  insufficient_funds" in ran.output


def test_a_row_that_was_refused_is_tried_again_and_others_are_not(
    sending: CommandLine, funded: Served, tmp_path: Path
) -> None:
    payer = {"payer_account_id": funded.sandbox["accounts"]["silkroad_usd"]}
    file = write(tmp_path / "mixed.csv", [row(funded, "5.00"), row(funded, "3.00", **payer)])
    before = balance(funded)

    first = sending.run("transfer-file", file, "--json")
    refused = results(tmp_path / "mixed.csv.results.csv")
    top_up = write(
        tmp_path / "top-up.csv",
        [row(funded, "3.00", payee_account_id=funded.sandbox["accounts"]["silkroad_usd"])],
    )
    assert sending.run("transfer-file", top_up).exit_code == 0
    second = sending.run("transfer-file", file, "--json")

    assert (first.exit_code, first.document["settled"], first.document["codes"]) == (
        1,
        1,
        {"insufficient_funds": 1},
    )
    assert [one["status"] for one in refused] == ["settled", "refused"]
    assert refused[1]["code"] == "insufficient_funds"
    assert (second.exit_code, second.document["settled"]) == (0, 2)
    assert results(tmp_path / "mixed.csv.results.csv")[0]["transfer_id"] == refused[0]["transfer_id"]
    assert balance(funded) - before == Decimal("8.00")


def test_a_row_keeps_its_own_key_when_the_file_changes(
    sending: CommandLine, funded: Served, tmp_path: Path
) -> None:
    file = write(tmp_path / "own.csv", [row(funded, idempotency_key="own-key-1")])
    assert sending.run("transfer-file", file).exit_code == 0
    before = balance(funded)
    write(file, [row(funded, "0.07"), row(funded, idempotency_key="own-key-1")])

    ran = sending.run("transfer-file", file, "--json")

    assert (ran.exit_code, ran.document["settled"]) == (0, 2)
    assert balance(funded) - before == Decimal("0.07")


BAD_ROWS: list[tuple[dict[str, str], str]] = [
    ({"amount": ""}, "amount_malformed"),
    ({"amount": "1,00"}, "amount_malformed"),
    ({"amount": "0.001"}, "amount_malformed"),
    ({"amount": "-1.00"}, "amount_malformed"),
    ({"amount": "1" * 41}, "row_malformed"),
    ({"currency": "usd"}, "row_malformed"),
    ({"currency": "EUR"}, "currency_mismatch"),
    ({"payee_account_id": "account/../x"}, "row_malformed"),
    ({"payee_account_id": "account_1"}, "account_not_found"),
    ({"reference": "x" * 141}, "row_malformed"),
    ({"reference": "a\0b"}, "row_malformed"),
    ({"idempotency_key": "ключ"}, "idempotency_key_malformed"),
    ({"idempotency_key": "k" * 256}, "idempotency_key_malformed"),
]


def test_each_bad_row_is_refused_on_its_own(sending: CommandLine, funded: Served, tmp_path: Path) -> None:
    rows = [row(funded, **cells) for cells, _ in BAD_ROWS]
    file = write(tmp_path / "bad.csv", [row(funded), *rows, row(funded)])

    ran = sending.run("transfer-file", file, "--json")

    found = results(tmp_path / "bad.csv.results.csv")
    assert [one["code"] for one in found] == ["", *[code for _, code in BAD_ROWS], ""]
    assert (ran.exit_code, ran.document["settled"], ran.document["refused"]) == (1, 2, len(BAD_ROWS))


def test_a_key_that_stands_twice_in_a_file_pays_once(
    sending: CommandLine, funded: Served, tmp_path: Path
) -> None:
    file = write(tmp_path / "twice.csv", [row(funded, idempotency_key="twice")] * 2)
    before = balance(funded)

    ran = sending.run("transfer-file", file, "--json")

    assert (ran.document["settled"], ran.document["codes"]) == (1, {"idempotency_key_repeated": 1})
    assert balance(funded) - before == Decimal("0.01")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "The first line names the columns"),
        (b"payer;payee;amount\n", "The first line names the columns"),
        (b"payer_account_id,payee_account_id,amount\na,b,1.00\n", "The first line names the columns"),
        (b"payer_account_id,payee_account_id,amount,currency,colour\n", "The first line names the columns"),
        (b"payer_account_id,payee_account_id,amount,currency,currency\n", "The first line names the columns"),
        (b"payer_account_id,payee_account_id,amount,currency\n", "The file has no rows."),
        (b'payer_account_id,payee_account_id,amount,currency\na,b,"1.00,USD\n', "The file is no CSV"),
        (b"payer_account_id,payee_account_id,amount,currency\n\xff,b,1.00,USD\n", "not UTF-8"),
    ],
)
def test_a_file_that_is_no_file_of_transfers(
    sending: CommandLine, tmp_path: Path, content: bytes, told: str
) -> None:
    file = tmp_path / "wrong.csv"
    file.write_bytes(content)

    ran = sending.run("transfer-file", file, "--json")

    assert (ran.exit_code, ran.document["code"]) == (1, "file_malformed")
    assert told in ran.errors
    assert not (tmp_path / "wrong.csv.results.csv").exists()


def test_rows_with_too_many_or_too_few_cells(funded: Served, tmp_path: Path) -> None:
    file = write(tmp_path / "cells.csv", [row(funded)], COLUMNS)
    file.write_text(file.read_text() + "a,b\n" + "\n" + ",".join("abcdefg") + "\n", encoding="utf-8-sig")

    found = list(read_rows(file, survey(file).file_hash))

    assert [one.refusal and one.refusal[0] for one in found] == [None, "row_malformed", "row_malformed"]


def test_batches_stay_under_the_services_limits(funded: Served, tmp_path: Path) -> None:
    long = [row(funded, reference="😀" * 140, idempotency_key=f"{n:0>255}") for n in range(1_500)]
    file = write(tmp_path / "long.csv", long)

    found = list(batches(read_rows(file, survey(file).file_hash)))

    assert [one.number for batch in found for one in batch] == list(range(1, 1_501))
    assert len(found[0]) < BATCH_ROWS_MAX
    for batch in found:
        assert sum(one.size_bytes for one in batch) < 1_000_000
        assert len(batch) <= BATCH_ROWS_MAX


def test_all_or_none(sending: CommandLine, funded: Served, tmp_path: Path) -> None:
    good = [row(funded, "1.00", reference=str(n)) for n in range(3)]
    before = balance(funded)

    one_bad = sending.run(
        "transfer-file", write(tmp_path / "a.csv", [*good, row(funded, "999999.00")]), "--atomic", "--json"
    )
    after_bad = balance(funded)
    one_malformed = sending.run(
        "transfer-file", write(tmp_path / "b.csv", [*good, row(funded, currency="?")]), "--atomic", "--json"
    )
    all_good = sending.run("transfer-file", write(tmp_path / "c.csv", good), "--atomic", "--json")

    assert (one_bad.exit_code, one_malformed.exit_code, all_good.exit_code) == (1, 1, 0)
    for ran, code in ((one_bad, "insufficient_funds"), (one_malformed, "row_malformed")):
        assert (ran.document["settled"], ran.document["not_settled"], ran.document["codes"]) == (
            0,
            3,
            {code: 1},
        )
        assert (ran.document["unknown"], ran.document["not_sent"]) == (0, 0)
    statuses = Counter(one["status"] for one in results(tmp_path / "a.csv.results.csv"))
    assert statuses == {"not_settled": 3, "refused": 1}
    assert after_bad == before
    assert all_good.document["settled"] == 3
    assert balance(funded) - before == Decimal("3.00")


def test_all_or_none_has_a_limit(sending: CommandLine, funded: Served, tmp_path: Path) -> None:
    file = write(tmp_path / "long.csv", [row(funded)] * (BATCH_ROWS_MAX + 1))

    ran = sending.run("transfer-file", file, "--atomic")

    assert (ran.exit_code, ran.errors.partition(":")[0]) == (1, "atomic_file_too_long")
    assert "1,001" in ran.errors
    assert not (tmp_path / "long.csv.results.csv").exists()


@pytest.mark.parametrize(
    ("faults", "pauses"),
    [
        (["busy", "busy"], [7.0, 7.0]),
        (["cut_before", "busy"], [1.0, 7.0]),
        (["cut_behind"], [1.0]),
        (["cut_behind", "cut_behind", "cut_behind", "cut_behind"], [1.0, 1.0, 2.0, 4.0]),
    ],
)
def test_what_was_not_answered_is_asked_again_and_paid_once(
    funded: Served, proxy: FaultyProxy, tmp_path: Path, faults: list[str], pauses: list[float]
) -> None:
    file = write(tmp_path / "f.csv", [row(funded, "1.00", reference="".join(faults))] * 3)
    before = balance(funded)
    proxy.faults += faults

    summary, exit_code, waited = send(file, proxy.url, funded.sandbox["keys"]["platform"])

    assert (exit_code, summary["settled"], waited) == (ExitCode.DONE, 3, pauses)
    assert balance(funded) - before == Decimal("3.00")


def test_a_service_that_stays_away_leaves_known_results_and_can_be_resumed(
    funded: Served, proxy: FaultyProxy, tmp_path: Path
) -> None:
    file = write(tmp_path / "long.csv", [row(funded, reference="away") for _ in range(2_500)])
    before = balance(funded)
    proxy.faults += ["fine", "cut_behind", *["busy"] * (ATTEMPTS_MAX - 1)]
    key = funded.sandbox["keys"]["platform"]

    summary, exit_code, pauses = send(file, proxy.url, key)
    statuses = Counter(one["status"] for one in results(tmp_path / "long.csv.results.csv"))
    resumed, resumed_exit_code, _ = send(file, proxy.url, key)

    assert (exit_code, summary["code"]) == (ExitCode.UNAVAILABLE, "service_unavailable")
    assert statuses == {"settled": 1_000, "unknown": 1_000}
    assert (summary["settled"], summary["unknown"], summary["not_sent"]) == (1_000, 1_000, 500)
    assert len(pauses) == ATTEMPTS_MAX - 1
    assert max(pauses) <= 32
    assert (resumed_exit_code, resumed["settled"]) == (ExitCode.DONE, 2_500)
    assert balance(funded) - before == Decimal("25.00")


def test_whoever_stops_it_is_told_how_far_it_came_and_can_resume(
    funded: Served, proxy: FaultyProxy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "stopped.csv", [row(funded, reference="stopped") for _ in range(2_500)])
    before = balance(funded)
    proxy.faults += ["fine", "cut_behind"]
    key = funded.sandbox["keys"]["platform"]

    report = Report(as_json=False)
    connect = partial(Sender, pause=stop)
    send_file(report, file, url=proxy.url, api_key=key, results=None, atomic=False, connect=connect)
    told = capsys.readouterr()
    lines = results(tmp_path / "stopped.csv.results.csv")
    resumed, resumed_exit_code, _ = send(file, proxy.url, key)

    assert report.exit_code == ExitCode.INTERRUPTED
    assert "1,000 of 2,500 transfers settled." in told.out
    assert "1,000  unknown: no answer came. 500 not sent." in told.out
    assert "interrupted: Stopped before the end. Send the same file again" in told.err
    assert Counter(one["status"] for one in lines) == {"settled": 1_000}
    assert (resumed_exit_code, resumed["settled"]) == (ExitCode.DONE, 2_500)
    assert balance(funded) - before == Decimal("25.00")


def test_a_stopped_run_of_all_or_none_is_unknown(funded: Served, proxy: FaultyProxy, tmp_path: Path) -> None:
    file = write(tmp_path / "whole.csv", [row(funded, reference="whole") for _ in range(3)])
    before = balance(funded)
    proxy.faults += ["cut_behind"]
    key = funded.sandbox["keys"]["platform"]

    summary, exit_code, _ = send(file, proxy.url, key, atomic=True, pause=stop)
    resumed, resumed_exit_code, _ = send(file, proxy.url, key, atomic=True)

    assert (exit_code, summary["code"]) == (ExitCode.INTERRUPTED, "interrupted")
    assert (summary["settled"], summary["unknown"], summary["not_sent"]) == (0, 3, 0)
    assert (resumed_exit_code, resumed["settled"]) == (ExitCode.DONE, 3)
    assert balance(funded) - before == Decimal("0.03")


def test_what_is_no_tallystick_is_not_believed(funded: Served, proxy: FaultyProxy, tmp_path: Path) -> None:
    file = write(tmp_path / "f.csv", [row(funded)])
    proxy.faults.append("foreign")

    summary, exit_code, _ = send(file, proxy.url, funded.sandbox["keys"]["platform"])

    assert (exit_code, summary["code"], summary["unknown"]) == (
        ExitCode.UNAVAILABLE,
        "answer_not_understood",
        1,
    )


def test_a_wrong_key_sends_nothing(sending: CommandLine, funded: Served, tmp_path: Path) -> None:
    file = write(tmp_path / "f.csv", [row(funded), row(funded)])

    def ran(who: str) -> Ran:
        return sending.run("transfer-file", file, "--key", who, "--json")

    unknown, auditor = ran("tsk_nobody"), ran(funded.sandbox["keys"]["auditor"])

    assert (unknown.exit_code, unknown.document["code"]) == (1, "api_key_invalid")
    assert (auditor.exit_code, auditor.document["code"]) == (1, "role_not_allowed")
    assert unknown.document["not_sent"] == auditor.document["not_sent"] == 2


@pytest.mark.parametrize(
    ("url", "exit_code", "code"),
    [("http://127.0.0.1:1", 4, "service_unavailable"), ("http://[::", 2, "url_malformed")],
)
def test_a_service_that_is_not_there(
    sending: CommandLine, funded: Served, tmp_path: Path, url: str, exit_code: int, code: str
) -> None:
    file = write(tmp_path / "f.csv", [row(funded)])

    ran = sending.run("transfer-file", file, "--url", url)

    assert (ran.exit_code, ran.errors.partition(":")[0]) == (exit_code, code)
    assert not (tmp_path / "f.csv.results.csv").exists()


def test_a_file_that_is_not_there(sending: CommandLine, tmp_path: Path) -> None:
    ran = sending.run("transfer-file", tmp_path / "none.csv")

    assert (ran.exit_code, ran.errors.partition(":")[0]) == (1, "file_unusable")


def test_a_url_without_a_scheme_is_refused() -> None:
    with Sender("localhost:8000", "tsk_x") as sender, pytest.raises(CommandRefusedError) as refused:
        sender.require_service()

    assert refused.value.exit_code == ExitCode.UNAVAILABLE


@pytest.fixture(scope="module")
def watched(funded: Served) -> Served:
    """Euros of Harbour's, in a class where people look at batches above 10.00."""
    accounts, amount = funded.sandbox["accounts"], {"amount": "500.00", "currency": "EUR"}
    document = {
        "format": "tallystick-policy/1",
        "approvals": {"transfer_batch": [{"above": "10.00", "checkers": 1}]},
        "rules": [
            {
                "id": "looked_at",
                "on": ["transfer"],
                "when": "amount_minor == 777",
                "effect": "refer",
                "code": "looked_at",
                "message": "Somebody looks at it.",
            }
        ],
    }
    wanted = {"token_class_id": funded.sandbox["token_classes"]["eur"], "document": document}
    policy = post(funded, "operator", "/v1/policies", wanted)
    asked = post(funded, "operator", f"/v1/policies/{policy['id']}/activate", {"reason": "Watched."})
    decide(funded, asked["approval_id"])
    for path, reason in (("/v1/deposits", {"reason": "Seen on the core."}), ("/v1/mints", {})):
        made = post(funded, "maker", path, {"account_id": accounts["harbour_eur"], **amount, **reason})
        decide(funded, made["approval_id"], **amount)
    return funded


def post(served: Served, who: str, path: str, body: dict[str, Any]) -> Any:
    with served.client(who) as client:
        answer = client.post(path, json=body, headers={"Idempotency-Key": f"{who} {path}"})
        assert answer.is_success, answer.text
        return answer.json()


def decide(served: Served, approval_id: str, decision: str = "approve", **typed: str) -> None:
    post(served, "checker", f"/v1/approvals/{approval_id}/{decision}", typed)


def euros(served: Served, amount: str, **cells: str) -> dict[str, str]:
    accounts = served.sandbox["accounts"]
    sides = {"payer_account_id": accounts["harbour_eur"], "payee_account_id": accounts["lantern_eur"]}
    return row(served, amount, currency="EUR", **sides) | cells


def waiting_batches(served: Served) -> int:
    with served.client("checker") as checker:
        return len(checker.get("/v1/approvals?operation=transfer_batch&state=pending").json()["data"])


def test_a_batch_that_waits_is_told_and_its_outcome_found_with_the_same_file(
    sending: CommandLine, watched: Served, tmp_path: Path
) -> None:
    file = write(tmp_path / "waits.csv", [euros(watched, "6.00"), euros(watched, "7.00")])
    before, waited_before = balance(watched, "lantern_eur"), waiting_batches(watched)

    first, again = (sending.run("transfer-file", file, "--json") for _ in range(2))
    [approval_id] = first.document["approvals"]
    people = sending.run("transfer-file", file)
    waiting = results(tmp_path / "waits.csv.results.csv")
    decide(watched, approval_id, amount="13.00", currency="EUR")
    settled = sending.run("transfer-file", file, "--json")

    assert (first.exit_code, first.document["pending_approval"], first.document["settled"]) == (1, 2, 0)
    assert first.document["approvals"] == again.document["approvals"] == {approval_id: 2}
    assert {(one["status"], one["approval_id"]) for one in waiting} == {("pending_approval", approval_id)}
    assert f"2  wait for people of the bank: {approval_id}" in people.output
    assert (settled.exit_code, settled.document["settled"], settled.document["pending_approval"]) == (0, 2, 0)
    assert balance(watched, "lantern_eur") - before == Decimal("13.00")
    assert waiting_batches(watched) == waited_before, "nothing was put before people twice"


def test_what_people_reject_is_told_and_asked_again_only_on_demand(
    sending: CommandLine, watched: Served, tmp_path: Path
) -> None:
    file = write(tmp_path / "no.csv", [euros(watched, "11.00")])
    [approval_id] = sending.run("transfer-file", file, "--json").document["approvals"]
    decide(watched, approval_id, "reject", reason="Not ours.")

    rejected = sending.run("transfer-file", file, "--json")
    asked = sending.run("transfer-file", file, "--ask-again", "--json")
    [second] = asked.document["approvals"]
    decide(watched, second, amount="11.00", currency="EUR")
    settled = sending.run("transfer-file", file, "--ask-again", "--json")

    assert (rejected.exit_code, rejected.document["rejected"], rejected.document["pending_approval"]) == (
        1,
        1,
        0,
    )
    assert second != approval_id
    assert (asked.document["pending_approval"], settled.document["settled"]) == (1, 1)


def test_rows_that_could_never_settle_do_not_keep_the_others_from_waiting(
    sending: CommandLine, watched: Served, tmp_path: Path
) -> None:
    rows = [euros(watched, "20.00"), euros(watched, "1"), row(watched, "0.02"), euros(watched, "30.00")]
    file = write(tmp_path / "mixed.csv", rows)

    ran = sending.run("transfer-file", file, "--json")

    found = results(tmp_path / "mixed.csv.results.csv")
    assert [one["status"] for one in found] == ["pending_approval", "refused", "settled", "pending_approval"]
    assert found[1]["code"] == "amount_malformed"
    assert (ran.document["pending_approval"], ran.document["refused"], ran.document["settled"]) == (2, 1, 1)


def test_a_row_that_waits_by_itself_is_followed(
    sending: CommandLine, watched: Served, tmp_path: Path
) -> None:
    file = write(tmp_path / "one.csv", [euros(watched, "1.00"), euros(watched, "7.77")])
    first = sending.run("transfer-file", file, "--json")
    [approval_id] = first.document["approvals"]
    decide(watched, approval_id, amount="7.77", currency="EUR")

    second = sending.run("transfer-file", file, "--json")

    assert (first.document["settled"], first.document["pending_approval"]) == (1, 1)
    assert (second.exit_code, second.document["settled"]) == (0, 2)
    assert results(tmp_path / "one.csv.results.csv")[1]["event_index"]


def test_all_or_none_waits_as_a_whole(sending: CommandLine, watched: Served, tmp_path: Path) -> None:
    file = write(tmp_path / "all.csv", [euros(watched, "6.00"), euros(watched, "8.00")])
    first = sending.run("transfer-file", file, "--atomic", "--json")
    [approval_id] = first.document["approvals"]
    decide(watched, approval_id, amount="14.00", currency="EUR")

    second = sending.run("transfer-file", file, "--atomic", "--json")

    assert (first.document["pending_approval"], second.document["settled"], second.exit_code) == (2, 2, 0)
