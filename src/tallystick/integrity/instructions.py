"""Instructions, approvals and votes by the log: what each says, and how it stands after everything that was signed."""

from typing import Final

from tallystick.integrity.comparing import Expectation
from tallystick.tokens import EVENT_TYPES

__all__ = ["INSTRUCTIONS"]

_KINDS: Final = "kinds(kind, type) AS (VALUES {})".format(
    ", ".join(f"('{kind}', '{event_type}')" for kind, event_type in EVENT_TYPES.items())
)
# Of what a hold paid out, of what was taken back of a transfer, and what became of a payout.
_USED: Final = """
used AS (
    SELECT p ->> 'related_id' AS id,
           sum(replace(p ->> 'amount', '.', '')::bigint) FILTER (WHERE type <> 'hold.voided') AS minor,
           bool_or(type = 'hold.voided') AS voided
    FROM signed WHERE type IN ('hold.executed', 'hold.voided', 'transfer.reversed') GROUP BY 1
), ended AS (
    SELECT DISTINCT ON (1) p ->> 'related_id' AS id, split_part(type, '.', 2) AS state
    FROM signed WHERE type LIKE 'payout.%' AND p ? 'related_id' ORDER BY 1, event_index DESC
)
"""
_SETTLED: Final = Expectation(
    "instruction",
    ("id",),
    (
        "kind",
        "principal_id",
        "token_class_id",
        "amount_minor",
        "payer_account_id",
        "payee_account_id",
        "related_id",
        "request_hash",
        "value_date",
        "settled_at",
        "event_index",
        "purpose",
        "operation",
        "state",
        "remaining_minor",
    ),
    """
    SELECT s.p ->> 'instruction_id' AS id,
           CASE WHEN s.type = 'transfer_batch.settled' THEN 'transfer_batch'
                ELSE coalesce(k.kind, 'change') END AS kind,
           -- Of a deposit that was assigned, the event names who assigned it, and the row who imported it.
           CASE WHEN s.type = 'deposit.confirmed' AND s.p ? 'related_id' AND i.reason IS NOT NULL
                THEN i.principal_id ELSE s.p ->> 'principal_id' END AS principal_id,
           -- A change may tell of a class, and its instruction is of none.
           CASE WHEN s.is_change THEN NULL ELSE s.p ->> 'token_class_id' END AS token_class_id,
           CASE WHEN s.is_change AND NOT s.p ? 'lines' THEN 0
                ELSE replace(s.p ->> 'amount', '.', '')::bigint END AS amount_minor,
           s.p ->> 'payer_account_id' AS payer_account_id, s.p ->> 'payee_account_id' AS payee_account_id,
           coalesce(s.p ->> 'related_id', s.p ->> 'subject_id') AS related_id,
           '\\x' || (s.p ->> 'request_hash') AS request_hash,
           -- What had waited and came late for a closed date was signed with another date; its row keeps the first.
           -- Of a change none is signed, unless it posted an entry.
           CASE WHEN s.is_change AND NOT s.p ? 'lines'
                THEN coalesce(i.value_date, (s.booked_at AT TIME ZONE 'UTC')::date)
                WHEN i.value_date = (s.p ->> 'original_value_date')::date THEN i.value_date
                ELSE coalesce((s.p ->> 'value_date')::date, (s.booked_at AT TIME ZONE 'UTC')::date) END AS value_date,
           s.booked_at AS settled_at, s.event_index, s.p ->> 'purpose' AS purpose,
           CASE WHEN k.kind IS NULL AND s.type <> 'transfer_batch.settled' THEN s.p ->> 'operation' END AS operation,
           CASE WHEN s.type = 'payout.accepted' THEN coalesce(e.state, 'accepted')
                WHEN s.type <> 'hold.placed' THEN 'settled' WHEN u.voided THEN 'voided'
                WHEN u.minor = replace(s.p ->> 'amount', '.', '')::bigint THEN 'executed' ELSE 'held' END AS state,
           CASE WHEN u.voided THEN 0
                WHEN s.type = 'hold.placed' OR u.minor IS NOT NULL
                THEN replace(s.p ->> 'amount', '.', '')::bigint - coalesce(u.minor, 0) END AS remaining_minor
    FROM (SELECT *, p ? 'payload_hash' AS is_change FROM signed) s
    LEFT JOIN kinds k ON k.type = s.type
    LEFT JOIN used u ON u.id = s.p ->> 'instruction_id'
    LEFT JOIN ended e ON e.id = s.p ->> 'instruction_id'
    LEFT JOIN instruction i ON i.issuer_id = :issuer_id AND i.id = s.p ->> 'instruction_id'
    WHERE s.p ? 'instruction_id' AND s.type NOT LIKE 'approval.%'
    """,
    given=f"{_KINDS}, {_USED}",
    found={"value_date": "coalesce(t.value_date, (t.settled_at AT TIME ZONE 'UTC')::date)"},
    where="t.event_index IS NOT NULL",
)
# What settled nothing waits for people, or for an account; or people, or time, have ended it.
_UNSETTLED: Final = Expectation(
    "instruction",
    ("id",),
    ("state", "remaining_minor", "kind", "amount_minor", "request_hash", "token_class_id"),
    """
    SELECT a.subject_id AS id,
           CASE a.state WHEN 'pending' THEN 'pending_approval' ELSE a.state END AS state, NULL AS remaining_minor,
           -- Of itself a row that waits tells only which form it has.
           CASE WHEN i.operation IS NULL THEN a.operation ELSE 'change' END AS kind,
           coalesce(a.amount_minor, 0) AS amount_minor, a.request_hash, i.token_class_id
    FROM approval a
    LEFT JOIN instruction i ON i.issuer_id = a.issuer_id AND i.id = a.subject_id
    WHERE a.issuer_id = :issuer_id AND NOT EXISTS (
        SELECT 1 FROM event s
        WHERE s.issuer_id = :issuer_id AND s.subject_id = a.subject_id AND s.type NOT LIKE 'approval.%')
    UNION ALL
    SELECT e.deposit_id, 'unassigned', NULL, 'deposit', e.amount_minor, i.request_hash, i.token_class_id
    FROM statement_entry e
    JOIN instruction i ON i.issuer_id = e.issuer_id AND i.id = e.deposit_id AND i.event_index IS NULL
    WHERE e.issuer_id = :issuer_id AND NOT EXISTS (
        SELECT 1 FROM approval a WHERE a.issuer_id = e.issuer_id AND a.subject_id = e.deposit_id)
    """,
    where="t.event_index IS NULL",
)
_DECIDED: Final = """
voted AS (
    SELECT DISTINCT ON (1) p ->> 'instruction_id' AS id, p ->> 'operation' AS operation,
           '\\x' || (p ->> 'request_hash') AS request_hash
    FROM signed WHERE type IN ('approval.approved', 'approval.rejected') ORDER BY 1, event_index DESC
), ended AS (
    -- An approving vote ends nothing by itself: what it lets through does, and is about the instruction.
    SELECT DISTINCT ON (1) id, state
    FROM (
        SELECT p ->> 'instruction_id' AS id, event_index,
               CASE type WHEN 'approval.rejected' THEN 'rejected' ELSE 'expired' END AS state
        FROM signed WHERE type IN ('approval.rejected', 'approval.expired')
        UNION ALL
        SELECT subject_id, event_index, 'approved' FROM event
        WHERE issuer_id = :issuer_id AND type NOT LIKE 'approval.%'
    ) x ORDER BY 1, event_index DESC
)
"""
_APPROVALS: Final = Expectation(
    "approval",
    ("subject_id",),
    ("state", "operation", "request_hash"),
    """
    SELECT coalesce(a.subject_id, voted.id) AS subject_id, coalesce(ended.state, 'pending') AS state,
           coalesce(voted.operation, a.operation) AS operation,
           coalesce(voted.request_hash, a.request_hash::text) AS request_hash
    FROM (SELECT subject_id, operation, request_hash FROM approval WHERE issuer_id = :issuer_id) a
    FULL JOIN voted ON voted.id = a.subject_id
    LEFT JOIN ended ON ended.id = coalesce(a.subject_id, voted.id)
    """,
    given=_DECIDED,
    types=("approval.%",),
)
_VOTES: Final = Expectation(
    "approval_vote",
    ("event_index",),
    ("approval_id", "principal_id", "decision", "hash"),
    """
    SELECT event_index, p ->> 'approval_id' AS approval_id, p ->> 'principal_id' AS principal_id,
           p ->> 'decision' AS decision, '\\x' || (p ->> 'vote_hash') AS hash
    FROM signed WHERE type IN ('approval.approved', 'approval.rejected')
    """,
    types=("approval.%",),
)

INSTRUCTIONS: Final = (_SETTLED, _UNSETTLED, _APPROVALS, _VOTES)
