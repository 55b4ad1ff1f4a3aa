"""The books by the log: lines, balances, versions, the log's head, the chart of accounts, and who is owed."""

from typing import Final

from tallystick.integrity.comparing import Expectation
from tallystick.ledger import DEBIT_NORMAL_CODES, HOLDER_CODES, ISSUER_CODES

__all__ = ["BOOKS"]

# Amounts have exactly the class's decimals, so that without the point they are minor units.
_LINES: Final = """
lines AS (
    SELECT s.event_index, (l.number - 1)::smallint AS line_number, l.line ->> 'account' AS ledger_account_id,
           s.p ->> 'currency' AS currency, coalesce(replace(l.line ->> 'debit', '.', '')::bigint, 0) AS debit_minor,
           coalesce(replace(l.line ->> 'credit', '.', '')::bigint, 0) AS credit_minor, s.booked_at,
           (s.p ->> 'value_date')::date AS value_date
    FROM signed s CROSS JOIN LATERAL jsonb_array_elements(s.p -> 'lines') WITH ORDINALITY AS l(line, number)
), moved AS (
    SELECT *, CASE WHEN left(ledger_account_id, 4) = ANY(:debit_normal)
                   THEN debit_minor - credit_minor ELSE credit_minor - debit_minor END AS movement_minor
    FROM lines
)
"""
_PARAMETERS: Final = {
    "debit_normal": sorted(DEBIT_NORMAL_CODES),
}

_JOURNAL: Final = Expectation(
    "journal_line",
    ("event_index", "line_number"),
    (
        "ledger_account_id",
        "currency",
        "debit_minor",
        "credit_minor",
        "previous_balance_minor",
        "balance_minor",
        "account_version",
        "booked_at",
        "value_date",
    ),
    """
    SELECT moved.*, (sum(movement_minor) OVER so_far - movement_minor)::bigint AS previous_balance_minor,
           (sum(movement_minor) OVER so_far)::bigint AS balance_minor, row_number() OVER so_far AS account_version
    FROM moved
    WINDOW so_far AS (PARTITION BY ledger_account_id ORDER BY event_index, line_number
                      ROWS UNBOUNDED PRECEDING)
    """,
    given=_LINES,
    parameters=_PARAMETERS,
)
_BALANCES: Final = Expectation(
    "ledger_account",
    ("id",),
    ("code", "token_class_id", "currency", "account_id", "balance_minor", "version", "last_event_index"),
    """
    SELECT chart.id, chart.code, chart.token_class_id, chart.currency, chart.account_id,
           coalesce(total.balance_minor, 0) AS balance_minor, coalesce(total.version, 0) AS version,
           total.last_event_index
    FROM (
        SELECT code || '.' || a.id AS id, code, a.token_class_id, c.currency, a.id AS account_id
        FROM account a
        JOIN token_class c ON c.issuer_id = a.issuer_id AND c.id = a.token_class_id
        CROSS JOIN unnest(CAST(:holder_codes AS text[])) AS code WHERE a.issuer_id = :issuer_id
        UNION ALL
        SELECT code || '.' || c.id, code, c.id, c.currency, NULL
        FROM token_class c CROSS JOIN unnest(CAST(:issuer_codes AS text[])) AS code
        WHERE c.issuer_id = :issuer_id
    ) chart
    LEFT JOIN (
        SELECT ledger_account_id, sum(movement_minor)::bigint AS balance_minor, count(*) AS version,
               max(event_index) AS last_event_index
        FROM moved GROUP BY ledger_account_id
    ) total ON total.ledger_account_id = chart.id
    """,
    given=_LINES,
    parameters={**_PARAMETERS, "holder_codes": list(HOLDER_CODES), "issuer_codes": list(ISSUER_CODES)},
)
# The head also moves with what only waits: its moment is that of the newest event, or of something asked for later.
_HEAD: Final = Expectation(
    "log_head",
    ("issuer_id",),
    ("next_index", "last_booked_at"),
    """
    SELECT i.issuer_id, coalesce(newest.event_index + 1, 0) AS next_index,
           (CASE WHEN EXISTS (
                SELECT 1 FROM log_head h WHERE h.issuer_id = i.issuer_id
                  AND h.last_booked_at >= coalesce(newest.booked_at, i.created_at)
                  AND (h.last_booked_at = coalesce(newest.booked_at, i.created_at)
                       OR EXISTS (SELECT 1 FROM answer a
                                  WHERE a.issuer_id = i.issuer_id AND a.answered_at = h.last_booked_at)
                       OR EXISTS (SELECT 1 FROM instruction n
                                  WHERE n.issuer_id = i.issuer_id AND n.created_at = h.last_booked_at))
            ) THEN (SELECT h.last_booked_at FROM log_head h WHERE h.issuer_id = i.issuer_id)
                 ELSE coalesce(newest.booked_at, i.created_at) END) AS last_booked_at
    FROM issuer i
    LEFT JOIN (SELECT event_index, booked_at FROM event WHERE issuer_id = :issuer_id
               ORDER BY event_index DESC LIMIT 1) newest ON true
    WHERE i.issuer_id = :issuer_id
    """,
)
# The register has one record for whoever can be owed anything: a holder with an account in a class.
_REGISTER: Final = Expectation(
    "liability",
    ("token_class_id", "holder_id"),
    (),
    "SELECT DISTINCT token_class_id, holder_id FROM account WHERE issuer_id = :issuer_id",
)

BOOKS: Final = (_JOURNAL, _BALANCES, _HEAD, _REGISTER)
