"""What is written about the pack is what the verifier does, and it knows all that the service signs."""

import re
from pathlib import Path

from tallystick import closing, ledger
from tallystick.exports.tables import COLUMNS
from tallystick.ledger.chart import FLOORED_CODES as SERVICE_FLOORED_CODES
from tallystick.tokens import EVENT_TYPES
from tallystick.tokens.changes import CHANGES as SERVICE_CHANGES
from tallystick.tokens.instructions import ID_PREFIX
from tallystick.tokens.journals import journal
from tallystick_verify import ExitCode, read_policy
from tallystick_verify.chart import CHANGES, CHART, EVENT_KINDS, FLOORED_CODES, HOLDER_CODES
from tallystick_verify.manifest import HOLDER_FILES, ISSUER_FILES
from tests.docs.documents import REPOSITORY, table
from tests.verify.packs import Evidence

DOCUMENT = "evidence-pack.md"


def test_the_exit_codes_are_told() -> None:
    told = {int(row[0]): row[1].strip("`") for row in table(DOCUMENT, "exit code")}
    assert told == {int(code): code.name.lower() for code in ExitCode}


def test_the_files_are_told(evidence: Evidence) -> None:
    told = {row[0].strip("`") for row in table(DOCUMENT, "file", "a row")}
    optional = {"checkpoint.txt", "consistency.txt", "checkpoint_<size>.txt", "root_manifests.jsonl"}
    optional |= {"policies.jsonl", "reconciliations.jsonl"}
    assert told - optional == ISSUER_FILES | {"manifest.json", "manifest.jws"}
    assert evidence.files.keys() == told - {"checkpoint.txt", "consistency.txt", "checkpoint_<size>.txt"}
    assert told > HOLDER_FILES


def test_the_policy_that_is_shown_is_one(tmp_path: Path) -> None:
    text = (REPOSITORY / "docs" / DOCUMENT).read_text()
    [example] = re.findall(r"^```toml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    path = tmp_path / "bank.toml"
    path.write_text(example)

    policy = read_policy(path)

    assert policy.checkpoint is not None
    assert (len(policy.pins), len(policy.seen)) == (1, 1)


def test_every_event_that_the_service_signs_is_known() -> None:
    assert set(EVENT_TYPES.values()) == EVENT_KINDS.keys()
    for kind, event_type in EVENT_TYPES.items():
        known = EVENT_KINDS[event_type]
        assert (known.operation, known.prefix) == (str(kind), ID_PREFIX[kind])
        if known.debit is None or known.credit is None:
            assert str(kind).startswith("account_")
            continue
        posted = journal(kind, 1, "class", "payer", "payee")
        sides = [f"{code}.{owner}" for code, owner in (known.debit, known.credit)]
        assert [one.ledger_account_id for one in posted] == sides


def test_every_change_that_the_service_signs_is_known() -> None:
    known = {operation: event_type for event_type, (operation, _) in CHANGES.items()}
    # Rooms above the write path make theirs known as they are loaded.
    assert closing.day_of("2026-11-20").year == 2026
    assert known == {operation: change.event_type for operation, change in SERVICE_CHANGES.items()}


def test_the_chart_is_the_service_s() -> None:
    assert {code: (one.name, one.debit_normal) for code, one in ledger.CHART.items()} == CHART
    assert list(ledger.CHART) == list(CHART)
    assert ledger.HOLDER_CODES == HOLDER_CODES
    assert SERVICE_FLOORED_CODES == FLOORED_CODES


def test_the_columns_are_the_service_s(evidence: Evidence) -> None:
    for name in ("journal", "balances", "trial_balance", "accounts", "liabilities"):
        rows = evidence.insider().rows(f"{name}.jsonl")
        assert rows
        assert all(tuple(row) == COLUMNS[name] for row in rows)
