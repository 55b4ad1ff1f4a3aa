"""The oracle of a measured bank: a rate counts only if every transfer behind it is in the books, once and signed."""

import base64
import json
import random
from pathlib import Path
from typing import Any, Final, NamedTuple

import psycopg
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from benchmarks.bank import Bank, connect

__all__ = ["OracleError", "check"]

# Debit-normal codes of the chart that transfers, deposits and mints post to; all others are credit-normal.
_DEBIT_NORMAL: Final = "('1100')"
_ACKNOWLEDGED_ENDINGS: Final = ("", ".engine", ".load")
_BATCH: Final = 500

# What must hold: the number of exceptions, which must be zero. {issuer} is the bank's id.
_RULES: Final = {
    "the log's indexes run from 0 without a gap": """
        SELECT abs(count(*) - coalesce(max(event_index) + 1, 0)) + abs(coalesce(min(event_index), 0))
               + abs(count(*) - (SELECT next_index FROM log_head WHERE issuer_id = {issuer}))
        FROM event WHERE issuer_id = {issuer}""",
    "every settled instruction has one event, every event one settled instruction": """
        SELECT count(*) FROM (SELECT * FROM event WHERE issuer_id = {issuer} AND type NOT LIKE 'approval.%') e
        FULL JOIN (SELECT * FROM instruction WHERE issuer_id = {issuer} AND event_index IS NOT NULL) i
          ON i.event_index = e.event_index AND i.id = e.subject_id
        WHERE e.id IS NULL OR i.id IS NULL""",
    "every vote has one event": """
        SELECT count(*) FROM (SELECT * FROM event WHERE issuer_id = {issuer} AND type LIKE 'approval.%') e
        FULL JOIN (SELECT * FROM approval_vote WHERE issuer_id = {issuer}) v
          ON v.event_index = e.event_index AND v.approval_id = e.subject_id
        WHERE e.id IS NULL OR v.approval_id IS NULL""",
    "every event has one answer": """
        SELECT count(*) FROM event e WHERE issuer_id = {issuer} AND type = 'token.transferred'
          AND (SELECT count(*) FROM copied_answer a WHERE a.event_index = e.event_index
               AND a.resource_id = e.subject_id) <> 1""",
    "every entry balances": """
        SELECT count(*) FROM (
            SELECT 1 FROM journal_line WHERE issuer_id = {issuer} GROUP BY event_index, currency
            HAVING sum(debit_minor) <> sum(credit_minor)) unbalanced""",
    "debits equal credits": """
        SELECT abs(sum(debit_minor) - sum(credit_minor)) FROM journal_line WHERE issuer_id = {issuer}""",
    "balances are what the lines add up to": """
        SELECT count(*) FROM ledger_account l LEFT JOIN (
            SELECT ledger_account_id, sum(credit_minor - debit_minor) AS credited_minor, count(*) AS lines
            FROM journal_line WHERE issuer_id = {issuer} GROUP BY 1) j ON j.ledger_account_id = l.id
        WHERE l.issuer_id = {issuer} AND (l.version <> coalesce(j.lines, 0) OR l.balance_minor
          <> coalesce(j.credited_minor, 0) * CASE WHEN l.code IN {debit_normal} THEN -1 ELSE 1 END)""",
    "each line begins where the account's last one ended": """
        SELECT count(*) FROM (
            SELECT previous_balance_minor, account_version,
                   coalesce(lag(balance_minor) OVER of_account, 0) AS before,
                   coalesce(lag(account_version) OVER of_account, 0) AS version_before
            FROM journal_line WHERE issuer_id = {issuer}
            WINDOW of_account AS (PARTITION BY ledger_account_id ORDER BY event_index, line_number)) chain
        WHERE previous_balance_minor <> before OR account_version <> version_before + 1""",
    "no holder's balance is below zero": """
        SELECT count(*) FROM ledger_account
        WHERE issuer_id = {issuer} AND balance_minor < 0 AND (code = '2010' OR code LIKE '21%')""",
    "supply is mints less redemptions": """
        SELECT abs((SELECT sum(balance_minor) FROM ledger_account WHERE issuer_id = {issuer} AND code LIKE '21%')
                   - (SELECT sum(CASE kind WHEN 'mint' THEN amount_minor ELSE -amount_minor END) FROM instruction
                      WHERE issuer_id = {issuer} AND kind IN ('mint', 'redemption') AND state = 'settled'))""",
    "every acknowledgement is of an event in the log": """
        SELECT count(*) FROM acknowledged a LEFT JOIN event e
          ON e.issuer_id = {issuer} AND e.event_index = a.event_index AND e.subject_id = a.id
        WHERE e.id IS NULL""",
    "nothing was acknowledged twice": """
        SELECT count(*) - count(DISTINCT event_index) FROM acknowledged""",
}


class OracleError(AssertionError):
    """The books are wrong: whatever was measured does not count."""


class _Line(NamedTuple):
    """A journal line as an event tells it and as the journal holds it."""

    account: str
    debit_minor: int
    credit_minor: int


def check(bank: Bank, *, samples: int = 2_000) -> int:
    """Hold a bank's books against the rules and what was acknowledged; return how many acknowledgements there were.

    Raises OracleError that names every broken rule.
    """
    broken = []
    with connect(bank.superuser_url) as connection, connection.transaction():
        connection.execute("SET LOCAL work_mem = '256MB'")
        connection.execute("CREATE TEMPORARY TABLE acknowledged (id text, event_index bigint) ON COMMIT DROP")
        with connection.cursor() as cursor, cursor.copy("COPY acknowledged FROM STDIN") as copy:
            for ending in _ACKNOWLEDGED_ENDINGS:
                _copy_file(copy, Path(bank.acknowledged_path + ending))
        # Answers are found by key; one pass orders them by event.
        connection.execute(
            """CREATE TEMPORARY TABLE copied_answer ON COMMIT DROP AS
               SELECT event_index, resource_id FROM answer WHERE issuer_id = %s AND event_index IS NOT NULL
               UNION ALL
               SELECT event_index, id FROM instruction WHERE issuer_id = %s AND key_digest IS NOT NULL""",
            [bank.issuer_id, bank.issuer_id],
        )
        connection.execute("CREATE INDEX ON copied_answer (event_index)")
        connection.execute("ANALYZE acknowledged, copied_answer")
        for rule, query in _RULES.items():
            text = query.format(issuer=f"'{bank.issuer_id}'", debit_normal=_DEBIT_NORMAL)
            exceptions = _number(connection, text)
            if exceptions != 0:
                broken.append(f"{rule}: {exceptions} exceptions")
        broken += _signature_faults(connection, bank.issuer_id, samples)
        acknowledged = _number(connection, "SELECT count(*) FROM acknowledged")
    if broken:
        raise OracleError("\n".join(broken))
    return acknowledged


def _copy_file(copy: psycopg.Copy, path: Path) -> None:
    if path.exists():
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                copy.write(block)


def _number(connection: psycopg.Connection[Any], query: str) -> int:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return int(row[0] or 0)


def _signature_faults(connection: psycopg.Connection[Any], issuer_id: str, samples: int) -> list[str]:
    """Verify sampled events with another library than signs them, and compare each with its rows."""
    keys = {
        key_id: Ed25519PublicKey.from_public_bytes(bytes(public_key))
        for key_id, public_key in connection.execute(
            "SELECT id, public_key FROM signing_key WHERE issuer_id = %s", [issuer_id]
        )
    }
    length = _number(connection, f"SELECT count(*) FROM event WHERE issuer_id = '{issuer_id}'")
    indexes = sorted(random.Random(3).sample(range(length), min(samples, length)))
    faults = []
    for start in range(0, len(indexes), _BATCH):
        wanted = indexes[start : start + _BATCH]
        lines = _lines(connection, issuer_id, wanted)
        for index, event_id, subject_id, key_id, jws in connection.execute(
            "SELECT event_index, id, subject_id, key_id, jws FROM event WHERE issuer_id = %s AND event_index = ANY(%s)",
            [issuer_id, wanted],
        ):
            signing_input, _, signature = jws.rpartition(".")
            try:
                keys[key_id].verify(_octets(signature), signing_input.encode())
            except (InvalidSignature, KeyError):
                faults.append(f"the signature of event {index} is not valid")
                continue
            told = json.loads(_octets(signing_input.partition(".")[2]))
            about = told["approval_id" if told["type"].startswith("approval.") else "instruction_id"]
            if (told["index"], told["id"], about) != (index, event_id, subject_id):
                faults.append(f"event {index} is not what its row says")
            if _told_lines(told) != lines.get(index, []):
                faults.append(f"the lines of event {index} are not those of the journal")
    return faults[:10]


def _lines(connection: psycopg.Connection[Any], issuer_id: str, indexes: list[int]) -> dict[int, list[_Line]]:
    found: dict[int, list[_Line]] = {}
    for index, account, debit_minor, credit_minor in connection.execute(
        """SELECT event_index, ledger_account_id, debit_minor, credit_minor
           FROM journal_line WHERE issuer_id = %s AND event_index = ANY(%s) ORDER BY event_index, line_number""",
        [issuer_id, indexes],
    ):
        found.setdefault(index, []).append(_Line(account, debit_minor, credit_minor))
    return found


def _told_lines(payload: dict[str, Any]) -> list[_Line]:
    def minor(amount: str) -> int:
        return int(amount.replace(".", ""))

    return [
        _Line(line["account"], minor(line.get("debit", "0")), minor(line.get("credit", "0")))
        for line in payload.get("lines", ())
    ]


def _octets(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
