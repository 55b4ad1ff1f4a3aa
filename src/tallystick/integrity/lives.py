"""How things stand after all that was signed about them: accounts, classes, breakers, orders, payouts, screening."""

from typing import Final

from tallystick.integrity.comparing import Expectation

__all__ = ["LIVES"]

_ACCOUNTS: Final = Expectation(
    "account",
    ("id",),
    ("status", "status_reason", "is_closed"),
    """
    SELECT a.id,
           CASE n.type WHEN 'account.frozen' THEN 'frozen' WHEN 'account.closed' THEN 'closed'
                       ELSE 'open' END AS status,
           i.reason AS status_reason, n.type IS NOT DISTINCT FROM 'account.closed' AS is_closed
    FROM account a
    LEFT JOIN newest n ON n.id = a.id
    LEFT JOIN instruction i ON i.issuer_id = a.issuer_id AND i.id = n.instruction_id
    WHERE a.issuer_id = :issuer_id
    UNION ALL
    SELECT n.id, 'signed about', NULL, NULL FROM newest n
    WHERE NOT EXISTS (SELECT 1 FROM account a WHERE a.issuer_id = :issuer_id AND a.id = n.id)
    """,
    given="""
    newest AS (
        SELECT DISTINCT ON (1) p ->> 'payer_account_id' AS id, type, p ->> 'instruction_id' AS instruction_id
        FROM signed WHERE type LIKE 'account.%' ORDER BY 1, event_index DESC
    )
    """,
    found={"is_closed": "t.closed_at IS NOT NULL"},
    types=("account.%",),
)
# Of a mode only the hash was signed, and there are three.
_MODES: Final = Expectation(
    "token_class",
    ("id",),
    ("mode", "currency", "scale"),
    """
    SELECT c.id, coalesce(m.mode, CASE WHEN n.id IS NULL THEN 'normal' ELSE 'signed' END) AS mode,
           coalesce(s.currency, c.currency) AS currency, coalesce(s.scale, c.scale::text) AS scale
    FROM (SELECT id, currency, scale FROM token_class WHERE issuer_id = :issuer_id) c
    LEFT JOIN newest n ON n.id = c.id
    LEFT JOIN modes m ON m.hash = n.payload_hash
    LEFT JOIN (SELECT DISTINCT ON (1) p ->> 'token_class_id' AS id, p ->> 'currency' AS currency, p ->> 'scale' AS scale
               FROM signed WHERE p ? 'token_class_id' AND p ? 'currency' ORDER BY 1, event_index) s ON s.id = c.id
    """,
    given="""
    newest AS (
        SELECT DISTINCT ON (1) p ->> 'subject_id' AS id, p ->> 'payload_hash' AS payload_hash
        FROM signed WHERE type = 'token_class.mode_changed' ORDER BY 1, event_index DESC
    ), modes AS (
        SELECT mode, encode(sha256(convert_to('{"mode":' || to_json(mode) || '}', 'UTF8')), 'hex') AS hash
        FROM unnest(ARRAY['normal', 'redeem_only', 'paused']) AS mode
    )
    """,
    # A class's first event is a deposit.
    types=("token_class.mode_changed", "deposit.confirmed"),
)
_BREAKERS: Final = Expectation(
    "breaker",
    ("token_class_id",),
    ("state", "changed_at", "event_index", "reason", "clean_run_id"),
    """
    SELECT n.id AS token_class_id, CASE n.type WHEN 'breaker.tripped' THEN 'tripped' ELSE 'closed' END AS state,
           n.booked_at AS changed_at, n.event_index, n.reason,
           CASE WHEN r.event_index >= n.event_index AND r.verdict = 'tied' AND r.suspended_because IS NULL
                THEN r.id END AS clean_run_id
    FROM newest n
    -- What a reset needs is the newest run of the present, if that looked behind the breaker and found nothing.
    LEFT JOIN (
        SELECT DISTINCT ON (token_class_id) * FROM reconciliation
        WHERE issuer_id = :issuer_id AND current ORDER BY token_class_id, created_at DESC, id DESC
    ) r ON r.token_class_id = n.id
    """,
    given="""
    newest AS (
        SELECT DISTINCT ON (1) coalesce(p ->> 'subject_id', p ->> 'token_class_id') AS id, type, booked_at, event_index,
               coalesce(p ->> 'reason', p ->> 'payload_hash') AS reason
        FROM signed WHERE type LIKE 'breaker.%' ORDER BY 1, event_index DESC
    )
    """,
    # People's reason was signed as the hash of {"reason": …}; the service's own in its words.
    found={
        "reason": (
            "(SELECT CASE WHEN s.p ? 'payload_hash'"
            """ THEN encode(sha256(convert_to('{"reason":' || to_json(t.reason) || '}', 'UTF8')), 'hex')"""
            " ELSE t.reason END FROM signed s WHERE s.event_index = t.event_index)"
        )
    },
    types=("breaker.%",),
)
_ORDERS: Final = Expectation(
    "restriction",
    ("id",),
    (
        "account_id",
        "created_by",
        "restricted_minor",
        "seized_minor",
        "state",
        "is_ended",
    ),
    """
    SELECT s.p ->> 'instruction_id' AS id, s.p ->> 'payer_account_id' AS account_id,
           s.p ->> 'principal_id' AS created_by,
           coalesce(a.restricted_minor, 0) AS restricted_minor, coalesce(a.seized_minor, 0) AS seized_minor,
           CASE WHEN a.lifted_at IS NOT NULL THEN 'lifted' WHEN a.expired_at IS NOT NULL THEN 'expired'
                WHEN a.seized_minor = r.amount_minor THEN 'executed' ELSE 'active' END AS state,
           a.lifted_at IS NOT NULL OR a.expired_at IS NOT NULL
               OR coalesce(a.seized_minor = r.amount_minor, false) AS is_ended
    FROM signed s
    LEFT JOIN actions a ON a.id = s.p ->> 'instruction_id'
    LEFT JOIN (SELECT id, amount_minor FROM restriction WHERE issuer_id = :issuer_id) r
      ON r.id = s.p ->> 'instruction_id'
    WHERE s.type = 'order.placed'
    """,
    given="""
    actions AS (
        SELECT restriction_id AS id,
               sum(amount_minor) FILTER (WHERE action IN ('placed', 'topped_up', 'received')) AS restricted_minor,
               coalesce(sum(amount_minor) FILTER (WHERE action = 'seized'), 0) AS seized_minor,
               max(done_at) FILTER (WHERE action = 'lifted') AS lifted_at,
               max(done_at) FILTER (WHERE action = 'expired') AS expired_at
        FROM restriction_action WHERE issuer_id = :issuer_id GROUP BY 1
    )
    """,
    found={"is_ended": "t.ended_at IS NOT NULL"},
    types=("order.placed",),
)
# What an event moved for an account's orders is what was noted under them at its moment.
_ORDER_EVENTS: Final = Expectation(
    "restriction_action",
    ("account_id", "done_at", "noted_as"),
    ("amount_minor",),
    """
    SELECT p ->> 'payer_account_id' AS account_id, booked_at AS done_at,
           CASE type WHEN 'order.topped_up' THEN 'taken' WHEN 'order.placed' THEN 'taken'
                     ELSE split_part(type, '.', 2) END AS noted_as,
           sum(replace(p ->> 'amount', '.', '')::bigint)::bigint AS amount_minor
    FROM signed WHERE type LIKE 'order.%' GROUP BY 1, 2, 3
    """,
    types=("order.%",),
    source="""
    SELECT n.issuer_id, r.account_id, n.done_at,
           CASE WHEN n.action IN ('placed', 'topped_up') THEN 'taken' ELSE n.action END AS noted_as,
           sum(n.amount_minor)::bigint AS amount_minor
    FROM restriction_action n JOIN restriction r ON r.issuer_id = n.issuer_id AND r.id = n.restriction_id
    WHERE n.issuer_id = :issuer_id AND n.action <> 'received' GROUP BY 1, 2, 3, 4
    """,
)
# Each step of a payout was signed, and so were the bytes of each file, its place, and what it pays.
_PAYOUT_STEPS: Final = Expectation(
    "payout_step",
    ("payout_id", "step"),
    ("amount_minor", "event_index", "done_by", "done_at"),
    """
    SELECT coalesce(p ->> 'related_id', p ->> 'instruction_id') AS payout_id, split_part(type, '.', 2) AS step,
           replace(p ->> 'amount', '.', '')::bigint AS amount_minor, event_index, p ->> 'principal_id' AS done_by,
           booked_at AS done_at
    FROM signed WHERE type LIKE 'payout.%'
    """,
    types=("payout.%",),
)
_PAYOUT_FILES: Final = Expectation(
    "payout_file",
    ("id",),
    (
        "token_class_id",
        "sequence",
        "format",
        "payout_count",
        "control_sum_minor",
        "content_hash",
        "made_by",
        "event_index",
    ),
    """
    SELECT p ->> 'file_id' AS id, p ->> 'token_class_id' AS token_class_id, (p ->> 'sequence')::bigint AS sequence,
           p ->> 'format' AS format, jsonb_array_length(p -> 'payout_ids') AS payout_count,
           replace(p ->> 'control_sum', '.', '')::bigint AS control_sum_minor,
           '\\x' || (p ->> 'content_sha256') AS content_hash, p ->> 'principal_id' AS made_by, event_index
    FROM signed WHERE type = 'payout_file.made'
    """,
    types=("payout_file.made",),
)
_PAYOUT_FILE_ITEMS: Final = Expectation(
    "payout_file_item",
    ("payout_id",),
    ("file_id", "number"),
    """
    SELECT paid.id AS payout_id, p ->> 'file_id' AS file_id, paid.number AS number
    FROM signed, jsonb_array_elements_text(p -> 'payout_ids') WITH ORDINALITY AS paid(id, number)
    WHERE type = 'payout_file.made'
    """,
    types=("payout_file.made",),
)
_SCOPE: Final = Expectation(
    "screening_scope",
    ("issuer_id",),
    ("number",),
    """
    SELECT issuer_id, max(number) AS number FROM screening_list WHERE issuer_id = :issuer_id GROUP BY issuer_id
    """,
)
_STANDINGS: Final = Expectation(
    "screening_standing",
    ("holder_id",),
    ("state", "last_number", "is_possible"),
    """
    SELECT holder_id,
           CASE WHEN bool_or(state = 'confirmed') FILTER (WHERE superseded_by IS NULL) THEN 'confirmed'
                WHEN bool_or(state = 'hit') FILTER (WHERE superseded_by IS NULL) THEN 'hit' ELSE 'clear' END AS state,
           greatest(max(number), max(decided)) AS last_number, true AS is_possible
    FROM (
        SELECT holder_id, state, superseded_by, number, NULL::bigint AS decided FROM screening
        WHERE issuer_id = :issuer_id
        UNION ALL
        SELECT holder_id, NULL, 'a decision', NULL, number FROM screening_decision WHERE issuer_id = :issuer_id
    ) x GROUP BY holder_id
    """,
    found={
        "is_possible": (
            "t.scope_number <= (SELECT number FROM screening_scope c WHERE c.issuer_id = t.issuer_id)"
        )
    },
)
_TRAIL_END: Final = Expectation(
    "audit_head",
    ("issuer_id",),
    ("next_number", "last_recorded_at", "last_hash"),
    """
    SELECT DISTINCT ON (issuer_id) issuer_id, entry_number + 1 AS next_number, recorded_at AS last_recorded_at,
           hash AS last_hash
    FROM audit_entry WHERE issuer_id = :issuer_id ORDER BY issuer_id, entry_number DESC
    """,
)

LIVES: Final = (
    _ACCOUNTS,
    _MODES,
    _BREAKERS,
    _ORDERS,
    _ORDER_EVENTS,
    _PAYOUT_STEPS,
    _PAYOUT_FILES,
    _PAYOUT_FILE_ITEMS,
    _SCOPE,
    _STANDINGS,
    _TRAIL_END,
)
