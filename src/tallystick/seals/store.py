"""All SQL of seals. Every statement leads with the issuer's id; nothing here commits."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from sqlalchemy import Connection, insert, select, text

from tallystick.core.database import streamed
from tallystick.seals.hashing import SPAN_SIZE, Part
from tallystick.seals.models import seal, sealed_record
from tallystick.seals.records import Seal

__all__ = [
    "Difference",
    "differences",
    "insert_seal",
    "lock",
    "newest_seal",
    "read_ends",
    "read_records",
    "read_seals",
    "seal_new_records",
    "take_turn",
]

_NEWEST: Final = """
SELECT DISTINCT ON (record_key) record_key, seal_number, column_hashes
FROM sealed_record WHERE issuer_id = :issuer_id AND table_name = :table_name AND {of_part}
ORDER BY record_key, seal_number DESC
"""
# Spans are named by their first and last number; no row's own key looks like that.
_IS_SPAN: Final = "record_key ~ '^[0-9]+-[0-9]+$'"
_IS_ROW: Final = "record_key !~ '^[0-9]+-[0-9]+$'"
_SPANS_SEALED: Final = f"""
SELECT record_key, seal_number, column_hashes, split_part(record_key, '-', 1)::bigint AS first,
       split_part(record_key, '-', 2)::bigint AS last, split_part(record_key, '-', 1)::bigint / {SPAN_SIZE} AS chunk
FROM sealed
"""
_INSERT: Final = """
INSERT INTO sealed_record (issuer_id, table_name, record_key, seal_number, column_hashes)
WITH sealed AS ({newest}), live AS ({records})
SELECT :issuer_id, :table_name, live.record_key, :seal_number, live.column_hashes
FROM live LEFT JOIN sealed ON sealed.record_key = live.record_key
WHERE sealed.column_hashes IS DISTINCT FROM live.column_hashes
"""
_INSERT_SPANS: Final = """
INSERT INTO sealed_record (issuer_id, table_name, record_key, seal_number, column_hashes)
WITH spans AS (
    SELECT chunk, first, last, first || '-' || last AS record_key
    FROM (
        SELECT chunk, greatest(chunk * {size}, :first) AS first, least(chunk * {size} + {size} - 1, :last) AS last
        FROM generate_series(:first / {size}, :last / {size}) AS chunk
    ) chunks
), live AS ({records})
SELECT :issuer_id, :table_name, record_key, :seal_number, column_hashes FROM live
"""
_DIFFERENT: Final = """
SELECT coalesce(sealed.record_key, live.record_key), sealed.seal_number, sealed.column_hashes,
       live.column_hashes, live.made_at
FROM sealed FULL JOIN live ON live.record_key = sealed.record_key
WHERE sealed.column_hashes IS DISTINCT FROM live.column_hashes
ORDER BY 1
"""
# A check may take long, and nothing is asked on this connection meanwhile. The server must notice soon, too, if the
# machine at its other end is gone.
_TURN: Final = (
    "idle_in_transaction_session_timeout = 0",
    "tcp_keepalives_idle = 30",
    "tcp_keepalives_interval = 10",
    "tcp_keepalives_count = 3",
)
_LOG_END: Final = "SELECT next_index - 1 FROM log_head WHERE issuer_id = :issuer_id"
_TREE_END: Final = "SELECT size FROM log_tree WHERE issuer_id = :issuer_id"
_AUDIT_END: Final = "SELECT next_number, last_hash FROM audit_head WHERE issuer_id = :issuer_id"


class Difference(NamedTuple):
    """A record that is not as it was sealed: `sealed` None was not there then, `live` None is not there now."""

    record_key: str
    seal_number: int | None
    sealed: bytes | None
    live: bytes | None
    made_at: object


def lock(connection: Connection, issuer_id: str) -> None:
    connection.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": f"seal {issuer_id}"}
    )


def take_turn(connection: Connection, issuer_id: str) -> bool:
    for setting in _TURN:
        connection.exec_driver_sql(f"SET LOCAL {setting}")
    return bool(
        connection.execute(
            text("SELECT pg_try_advisory_xact_lock(hashtextextended(:name, 0))"),
            {"name": f"seal turn {issuer_id}"},
        ).scalar_one()
    )


def newest_seal(connection: Connection, issuer_id: str) -> Seal | None:
    row = connection.execute(
        select(seal).where(seal.c.issuer_id == issuer_id).order_by(seal.c.number.desc()).limit(1)
    ).one_or_none()
    return None if row is None else _seal(row._mapping)


def read_seals(connection: Connection, issuer_id: str) -> Iterator[Seal]:
    number = -1
    while page := connection.execute(
        select(seal)
        .where(seal.c.issuer_id == issuer_id, seal.c.number > number)
        .order_by(seal.c.number)
        .limit(100)
    ).all():
        yield from (_seal(row._mapping) for row in page)
        number = page[-1].number


def read_records(
    connection: Connection, issuer_id: str, seal_number: int
) -> Iterator[tuple[str, str, bytes]]:
    """Yield table, key and hashes of what a seal found new or changed, in its order, in constant memory."""
    query = (
        select(sealed_record.c.table_name, sealed_record.c.record_key, sealed_record.c.column_hashes)
        .where(sealed_record.c.issuer_id == issuer_id, sealed_record.c.seal_number == seal_number)
        .order_by(sealed_record.c.table_name, sealed_record.c.record_key)
    )
    with streamed(connection, query) as rows:
        for row in rows:
            yield row[0], row[1], bytes(row[2])


def read_ends(connection: Connection, issuer_id: str) -> tuple[dict[str, int], bytes]:
    """Return the last number of each column that spans lie along, and the audit trail's last hash.

    Whoever gives out these numbers holds a lock until the commit, so everything up to them is there.
    """
    of_issuer = {"issuer_id": issuer_id}
    log_end = connection.execute(text(_LOG_END), of_issuer).scalar()
    trail = connection.execute(text(_AUDIT_END), of_issuer).one_or_none()
    ends = {
        "event_index": -1 if log_end is None else log_end,
        "entry_number": -1 if trail is None else trail[0] - 1,
        "size": connection.execute(text(_TREE_END), of_issuer).scalar() or 0,
    }
    return ends, bytes(32) if trail is None else bytes(trail[1])


def seal_new_records(
    connection: Connection, issuer_id: str, part: Part, seal_number: int, *, first: int, last: int
) -> None:
    """Keep the hashes of a part's records that are new, or not as they were sealed last.

    Spans go from `first` to `last`; other parts need neither.
    """
    given = {"issuer_id": issuer_id, "table_name": part.table, "seal_number": seal_number}
    if _is_spans(part):
        if first <= last:
            where = f" AND t.{part.along} BETWEEN :first AND :last"
            records = part.records.format(where=where)
            statement = _INSERT_SPANS.format(size=SPAN_SIZE, records=records)
            connection.execute(text(statement), {**given, "first": first, "last": last})
        return
    where = f" AND t.{part.along} IS NULL" if part.along else ""
    newest = _NEWEST.format(of_part=_IS_ROW)
    connection.execute(text(_INSERT.format(newest=newest, records=part.records.format(where=where))), given)


def insert_seal(connection: Connection, new: Seal) -> None:
    connection.execute(insert(seal).values({name: getattr(new, name) for name in new.__slots__}))


def differences(
    connection: Connection, issuer_id: str, part: Part, *, span_end: int, last: int
) -> Iterator[Difference]:
    """Yield the records of a part that are not as they were sealed last, in constant memory.

    Spans are looked at before the number `span_end`, up to which they are sealed, and behind `last`, the last number
    that was given out.
    """
    given = {"issuer_id": issuer_id, "table_name": part.table}
    if _is_spans(part):
        given |= {"span_end": str(span_end), "last": str(last)}
        newest = _NEWEST.format(of_part=_IS_SPAN)
        where = f" AND NOT t.{part.along} BETWEEN CAST(:span_end AS bigint) AND CAST(:last AS bigint)"
        head = f"WITH sealed AS ({newest}), spans AS ({_SPANS_SEALED}), live AS "
        statement = f"{head}({part.records.format(where=where)}) {_DIFFERENT}"
    else:
        newest = _NEWEST.format(of_part=_IS_ROW)
        # A row that has its number by now was sealed without: it is still the row that was sealed.
        sealed_before = f"EXISTS (SELECT 1 FROM sealed WHERE sealed.record_key = {part.key})"
        where = f" AND (t.{part.along} IS NULL OR {sealed_before})" if part.along else ""
        statement = f"WITH sealed AS ({newest}), live AS ({part.records.format(where=where)}) {_DIFFERENT}"
    with streamed(connection, text(statement), given) as rows:
        for key, number, sealed, live, made_at in rows:
            yield Difference(
                key,
                number,
                None if sealed is None else bytes(sealed),
                None if live is None else bytes(live),
                made_at,
            )


def _is_spans(part: Part) -> bool:
    return part.along is not None and part.name == part.table


def _seal(values: object) -> Seal:
    found = dict(values)  # type: ignore[call-overload]
    for name in ("records_hash", "audit_last_hash"):
        found[name] = bytes(found[name])
    return Seal(**found)
