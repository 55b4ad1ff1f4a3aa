"""All SQL of runs and of breaks."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Table, and_, func, insert, select, update

from tallystick.reconciliation.models import (
    break_action,
    break_evidence,
    reconciliation,
    reconciliation_break,
    reconciliation_finding,
)
from tallystick.reconciliation.records import (
    Break,
    BreakAction,
    BreakFile,
    BreakState,
    Finding,
    Reconciliation,
)

_ROWS_AT_ONCE: Final = 1_000
_FILE_COLUMNS: Final = [break_evidence.c[name] for name in BreakFile._fields]
_ACTION_COLUMNS: Final = [break_action.c[name] for name in BreakAction._fields]
_FINDING_COLUMNS: Final = [reconciliation_finding.c[name] for name in Finding._fields]
#: What may change of a break.
_CHANGING: Final = (
    "type",
    "state",
    "difference_minor",
    "explanation",
    "evidence",
    "last_reconciliation_id",
    "seen_at",
    "owner_id",
    "due_at",
    "instruction_id",
    "accepted_minor",
    "ended_at",
)


def add(connection: Connection, new: Reconciliation) -> None:
    connection.execute(insert(reconciliation).values(_row(new)))


def add_findings(connection: Connection, issuer_id: str, findings: Sequence[Finding]) -> None:
    rows = [{"issuer_id": issuer_id, **one._asdict()} for one in findings]
    _insert(connection, reconciliation_finding, rows)


def add_breaks(connection: Connection, breaks: Sequence[Break]) -> None:
    _insert(connection, reconciliation_break, [_row(one) for one in breaks])


def write_break(connection: Connection, one: Break) -> None:
    connection.execute(
        update(reconciliation_break)
        .where(reconciliation_break.c.issuer_id == one.issuer_id, reconciliation_break.c.id == one.id)
        .values({name: getattr(one, name) for name in _CHANGING})
    )


def read_last_numbers(connection: Connection, issuer_id: str, break_ids: Sequence[str]) -> dict[str, int]:
    """Return the number of each break's last action; nothing of a break without any."""
    found: dict[str, int] = {}
    for start in range(0, len(break_ids), _ROWS_AT_ONCE):
        rows = connection.execute(
            select(break_action.c.break_id, func.max(break_action.c.action_number))
            .where(
                break_action.c.issuer_id == issuer_id,
                break_action.c.break_id.in_(break_ids[start : start + _ROWS_AT_ONCE]),
            )
            .group_by(break_action.c.break_id)
        )
        found.update((row[0], row[1]) for row in rows)
    return found


def add_actions(connection: Connection, issuer_id: str, actions: Sequence[BreakAction]) -> None:
    _insert(connection, break_action, [{"issuer_id": issuer_id, **action._asdict()} for action in actions])


def lock_break(connection: Connection, issuer_id: str, break_id: str) -> Break | None:
    row = connection.execute(
        select(reconciliation_break)
        .where(reconciliation_break.c.issuer_id == issuer_id, reconciliation_break.c.id == break_id)
        .with_for_update()
    ).one_or_none()
    return None if row is None else Break(**row._mapping)


def read_break(connection: Connection, issuer_id: str, break_id: str) -> Break | None:
    row = connection.execute(
        select(reconciliation_break).where(
            reconciliation_break.c.issuer_id == issuer_id, reconciliation_break.c.id == break_id
        )
    ).one_or_none()
    return None if row is None else Break(**row._mapping)


def read_known(
    connection: Connection, issuer_id: str, token_class_id: str, causes: Iterable[str], *, lock: bool
) -> list[Break]:
    """Return a class's breaks that wait for somebody or were accepted as they are, and those of these causes, by id."""
    table = reconciliation_break
    of_class = and_(table.c.issuer_id == issuer_id, table.c.token_class_id == token_class_id)
    asked = sorted(causes)
    found: dict[str, Break] = {}
    conditions = [
        table.c.ended_at.is_(None),
        and_(table.c.state == BreakState.WRITTEN_OFF.value, table.c.instruction_id.is_(None)),
    ]
    conditions += [
        table.c.cause.in_(asked[start : start + _ROWS_AT_ONCE])
        for start in range(0, len(asked), _ROWS_AT_ONCE)
    ]
    ids: set[str] = set()
    for condition in conditions:
        ids.update(connection.execute(select(table.c.id).where(of_class, condition)).scalars())
    ordered = sorted(ids)
    for start in range(0, len(ordered), _ROWS_AT_ONCE):
        query = (
            select(table)
            .where(table.c.issuer_id == issuer_id, table.c.id.in_(ordered[start : start + _ROWS_AT_ONCE]))
            .order_by(table.c.id)
        )
        # Always in the order of their ids, so that no two who want several wait for each other.
        rows = connection.execute(query.with_for_update() if lock else query)
        found.update((row.id, Break(**row._mapping)) for row in rows)
    return list(found.values())


def read_current_began(connection: Connection, issuer_id: str) -> dict[str, datetime]:
    rows = connection.exec_driver_sql(
        """SELECT c.id, (SELECT max(r.created_at) FROM reconciliation r
                         WHERE r.issuer_id = c.issuer_id AND r.token_class_id = c.id AND r.current)
           FROM token_class c WHERE c.issuer_id = %s""",
        (issuer_id,),
    )
    return {class_id: created_at for class_id, created_at in rows if created_at is not None}


def has_later_current(
    connection: Connection, issuer_id: str, token_class_id: str, created_at: datetime, event_index: int
) -> bool:
    """Tell whether a run of the present is there that looked at more of the log, or began later."""
    table = reconciliation
    return (
        connection.execute(
            select(table.c.id)
            .where(
                table.c.issuer_id == issuer_id,
                table.c.token_class_id == token_class_id,
                table.c.current,
                (table.c.created_at > created_at)
                | ((table.c.event_index > event_index) & (table.c.created_at >= created_at)),
            )
            .limit(1)
        ).one_or_none()
        is not None
    )


def read_reconciliation(
    connection: Connection, issuer_id: str, reconciliation_id: str
) -> Reconciliation | None:
    row = connection.execute(
        select(reconciliation).where(
            reconciliation.c.issuer_id == issuer_id, reconciliation.c.id == reconciliation_id
        )
    ).one_or_none()
    return None if row is None else Reconciliation(**row._mapping)


def read_reconciliations(
    connection: Connection, issuer_id: str, token_class_id: str | None, after: str, limit: int
) -> list[Reconciliation]:
    query = select(reconciliation).where(reconciliation.c.issuer_id == issuer_id, reconciliation.c.id > after)
    if token_class_id is not None:
        query = query.where(reconciliation.c.token_class_id == token_class_id)
    rows = connection.execute(query.order_by(reconciliation.c.id).limit(limit))
    return [Reconciliation(**row._mapping) for row in rows]


def read_findings(
    connection: Connection, issuer_id: str, reconciliation_id: str, after: int, limit: int
) -> list[Finding]:
    rows = connection.execute(
        select(*_FINDING_COLUMNS)
        .where(
            reconciliation_finding.c.issuer_id == issuer_id,
            reconciliation_finding.c.reconciliation_id == reconciliation_id,
            reconciliation_finding.c.finding_number > after,
        )
        .order_by(reconciliation_finding.c.finding_number)
        .limit(limit)
    )
    return [Finding._make(row) for row in rows]


def read_breaks(
    connection: Connection,
    issuer_id: str,
    *,
    filters: dict[str, str],
    reconciliation_id: str | None,
    overdue_at: datetime | None,
    after: str,
    limit: int,
) -> list[Break]:
    table = reconciliation_break
    query = select(table).where(table.c.issuer_id == issuer_id, table.c.id > after)
    for name, wanted in filters.items():
        query = query.where(table.c[name] == wanted)
    if reconciliation_id is not None:
        found_there = select(reconciliation_finding.c.break_id).where(
            reconciliation_finding.c.issuer_id == issuer_id,
            reconciliation_finding.c.reconciliation_id == reconciliation_id,
        )
        query = query.where(table.c.id.in_(found_there))
    if overdue_at is not None:
        query = query.where(table.c.ended_at.is_(None), table.c.due_at < overdue_at)
    rows = connection.execute(query.order_by(table.c.id).limit(limit))
    return [Break(**row._mapping) for row in rows]


def read_actions(
    connection: Connection, issuer_id: str, break_id: str, after: int, limit: int
) -> list[BreakAction]:
    rows = connection.execute(
        select(*_ACTION_COLUMNS)
        .where(
            break_action.c.issuer_id == issuer_id,
            break_action.c.break_id == break_id,
            break_action.c.action_number > after,
        )
        .order_by(break_action.c.action_number)
        .limit(limit)
    )
    return [BreakAction._make(row) for row in rows]


def add_file(connection: Connection, issuer_id: str, file: BreakFile, content: bytes) -> None:
    connection.execute(
        insert(break_evidence).values({"issuer_id": issuer_id, "content": content, **file._asdict()})
    )


def read_files(connection: Connection, issuer_id: str, break_id: str) -> list[BreakFile]:
    rows = connection.execute(
        select(*_FILE_COLUMNS)
        .where(break_evidence.c.issuer_id == issuer_id, break_evidence.c.break_id == break_id)
        .order_by(break_evidence.c.added_at, break_evidence.c.content_hash)
    )
    return [_file(row) for row in rows]


def read_content(
    connection: Connection, issuer_id: str, break_id: str, content_hash: bytes
) -> tuple[BreakFile, bytes] | None:
    row = connection.execute(
        select(*_FILE_COLUMNS, break_evidence.c.content).where(
            break_evidence.c.issuer_id == issuer_id,
            break_evidence.c.break_id == break_id,
            break_evidence.c.content_hash == content_hash,
        )
    ).one_or_none()
    return None if row is None else (_file(row[:-1]), bytes(row[-1]))


def _file(row: Any) -> BreakFile:
    found = BreakFile._make(row)
    return found._replace(content_hash=bytes(found.content_hash))


def _row(one: Reconciliation | Break) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__slots__}


def _insert(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        connection.execute(insert(table), rows[start : start + _ROWS_AT_ONCE])
