"""All SQL of screening. Every statement leads with the issuer's id; nothing here commits."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from itertools import islice
from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy import Connection, insert, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or_keep

from tallystick import participants
from tallystick.core.arrays import TextArray
from tallystick.core.copy_text import copy_rows, escape
from tallystick.core.pipeline import Asked, Pipeline, RowValues
from tallystick.screening.models import (
    screening,
    screening_decision,
    screening_list,
    screening_scope,
    screening_standing,
)
from tallystick.screening.records import (
    Decision,
    Hit,
    ListedEntity,
    Screening,
    ScreeningList,
    Standing,
    Subject,
)

_ROWS_AT_ONCE: Final = 5_000
_LIST_COLUMNS: Final = ", ".join(ScreeningList.__slots__)
# The gravest comes first: a confirmed hit denies and an open one refers even while a newer list waits to be applied.
# Without any list nobody is screened, and nobody is held up for it.
_GRAVEST: Final = """
CASE WHEN s.state IN ('confirmed', 'hit') THEN s.state
     WHEN c.number IS NULL OR s.scope_number = c.number THEN coalesce(s.state, 'clear')
     ELSE 'unscreened' END
"""
_STANDING: Final = f"""
SELECT w.holder_id, {_GRAVEST}
FROM unnest(%s::text[]) AS w(holder_id)
LEFT JOIN screening_scope c ON c.issuer_id = %s
LEFT JOIN screening_standing s ON s.issuer_id = %s AND s.holder_id = w.holder_id
"""
_STANDING_OF_ACCOUNTS: Final = f"""
SELECT a.id, {_GRAVEST}
FROM account a
LEFT JOIN screening_scope c ON c.issuer_id = a.issuer_id
LEFT JOIN screening_standing s ON s.issuer_id = a.issuer_id AND s.holder_id = a.holder_id
WHERE a.issuer_id = %s AND a.id = ANY(%s)
"""


class StandingRow(NamedTuple):
    """A holder's row under lock."""

    holder_id: str
    state: str
    scope_number: int
    last_number: int


def lock_scope(connection: Connection, issuer_id: str) -> int:
    connection.execute(
        insert_or_keep(screening_scope).values(issuer_id=issuer_id, number=0).on_conflict_do_nothing()
    )
    number: int = connection.execute(
        select(screening_scope.c.number).where(screening_scope.c.issuer_id == issuer_id).with_for_update()
    ).scalar_one()
    return number


def update_scope(connection: Connection, issuer_id: str, number: int) -> None:
    connection.execute(
        update(screening_scope).where(screening_scope.c.issuer_id == issuer_id).values(number=number)
    )
    participants.raise_facts_version(connection, issuer_id)


def insert_list(connection: Connection, new: ScreeningList) -> None:
    connection.execute(insert(screening_list).values({name: getattr(new, name) for name in new.__slots__}))


def insert_entities(
    connection: Connection, issuer_id: str, list_id: str, entities: Iterable[ListedEntity]
) -> None:
    lines = (_entity_line(issuer_id, list_id, entity) for entity in entities)
    while block := list(islice(lines, _ROWS_AT_ONCE)):
        copy_rows(connection, "screening_entity (issuer_id, list_id, entity_id, entity_hash, facts)", block)


def stream_entities(connection: Connection, issuer_id: str, list_id: str) -> Iterator[ListedEntity]:
    after = ""
    while True:
        rows = connection.exec_driver_sql(
            """SELECT entity_id, entity_hash, facts FROM screening_entity
               WHERE issuer_id = %s AND list_id = %s AND entity_id > %s ORDER BY entity_id LIMIT %s""",
            (issuer_id, list_id, after, _ROWS_AT_ONCE),
        ).all()
        for row in rows:
            yield _entity(*row)
        if len(rows) < _ROWS_AT_ONCE:
            return
        after = rows[-1].entity_id


def read_list(connection: Connection, issuer_id: str, list_id: str) -> ScreeningList | None:
    row = connection.execute(
        select(screening_list).where(screening_list.c.issuer_id == issuer_id, screening_list.c.id == list_id)
    ).one_or_none()
    return None if row is None else ScreeningList(**row._mapping)


def read_list_version(
    connection: Connection, issuer_id: str, name: str, version: str
) -> ScreeningList | None:
    row = connection.execute(
        select(screening_list).where(
            screening_list.c.issuer_id == issuer_id,
            screening_list.c.name == name,
            screening_list.c.version == version,
        )
    ).one_or_none()
    return None if row is None else ScreeningList(**row._mapping)


def read_lists(connection: Connection, issuer_id: str, after: str, limit: int) -> list[ScreeningList]:
    rows = connection.execute(
        select(screening_list)
        .where(screening_list.c.issuer_id == issuer_id, screening_list.c.id > after)
        .order_by(screening_list.c.id)
        .limit(limit)
    )
    return [ScreeningList(**row._mapping) for row in rows]


def read_lists_in_force(connection: Connection, issuer_id: str) -> list[ScreeningList]:
    """Return the newest version of each list, by name."""
    rows = connection.exec_driver_sql(
        f"""SELECT DISTINCT ON (name) {_LIST_COLUMNS} FROM screening_list
            WHERE issuer_id = %s ORDER BY name, number DESC""",
        (issuer_id,),
    )
    return [ScreeningList(*row) for row in rows]


def lock_standings(
    connection: Connection, issuer_id: str, holder_ids: Sequence[str], at: datetime
) -> dict[str, StandingRow]:
    """Lock the holders' rows in the order of their ids; a missing one is made, so that it can be locked."""
    ids = sorted(set(holder_ids))
    if not ids:
        return {}
    connection.execute(
        insert_or_keep(screening_standing).on_conflict_do_nothing(),
        [
            {
                "issuer_id": issuer_id,
                "holder_id": holder_id,
                "state": Standing.UNSCREENED,
                "scope_number": 0,
                "last_number": 0,
                "changed_at": at,
            }
            for holder_id in ids
        ],
    )
    of = screening_standing.c
    rows = connection.execute(
        select(of.holder_id, of.state, of.scope_number, of.last_number)
        .where(of.issuer_id == issuer_id, of.holder_id.in_(ids))
        .order_by(of.holder_id)
        .with_for_update()
    )
    return {row.holder_id: StandingRow(*row) for row in rows}


def update_standings(
    connection: Connection, issuer_id: str, rows: Sequence[StandingRow], at: datetime
) -> None:
    if not rows:
        return
    connection.exec_driver_sql(
        """UPDATE screening_standing s
           SET state = n.state, scope_number = n.scope_number, last_number = n.last_number, changed_at = %s
           FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::bigint[])
                AS n(holder_id, state, scope_number, last_number)
           WHERE s.issuer_id = %s AND s.holder_id = n.holder_id""",
        (at, *[list(column) for column in zip(*rows, strict=True)], issuer_id),
    )
    participants.raise_facts_version(connection, issuer_id)


def ask_standing(pipeline: Pipeline, issuer_id: str, holder_ids: Iterable[str]) -> Asked[dict[str, Standing]]:
    return pipeline.ask(_STANDING, (TextArray(list(holder_ids)), issuer_id, issuer_id), _read_standing)


def ask_standing_of_accounts(
    pipeline: Pipeline, issuer_id: str, account_ids: Iterable[str]
) -> Asked[dict[str, Standing]]:
    return pipeline.ask(_STANDING_OF_ACCOUNTS, (issuer_id, TextArray(list(account_ids))), _read_standing)


def insert_screenings(connection: Connection, rows: Sequence[Screening]) -> None:
    if rows:
        connection.execute(insert(screening), [_values(row) for row in rows])


def supersede(connection: Connection, issuer_id: str, replaced: Sequence[tuple[str, str]]) -> None:
    """Note for each (screening, its successor) that the first no longer counts."""
    if not replaced:
        return
    connection.exec_driver_sql(
        """UPDATE screening s SET superseded_by = n.successor_id
           FROM unnest(%s::text[], %s::text[]) AS n(id, successor_id)
           WHERE s.issuer_id = %s AND s.id = n.id""",
        ([one for one, _ in replaced], [successor for _, successor in replaced], issuer_id),
    )


def update_decided(connection: Connection, decided: Screening) -> None:
    connection.execute(
        update(screening)
        .where(screening.c.issuer_id == decided.issuer_id, screening.c.id == decided.id)
        .values(
            state=decided.state, hits=[asdict(hit) for hit in decided.hits], decided_at=decided.decided_at
        )
    )


def read_screening(connection: Connection, issuer_id: str, screening_id: str) -> Screening | None:
    row = connection.execute(
        select(screening).where(screening.c.issuer_id == issuer_id, screening.c.id == screening_id)
    ).one_or_none()
    return None if row is None else _screening(row._mapping)


def read_screenings(
    connection: Connection,
    issuer_id: str,
    *,
    state: str | None,
    holder_id: str | None,
    superseded: bool,
    after: str,
    limit: int,
) -> list[Screening]:
    query = select(screening).where(screening.c.issuer_id == issuer_id, screening.c.id > after)
    if not superseded:
        query = query.where(screening.c.superseded_by.is_(None))
    if state is not None:
        query = query.where(screening.c.state == state)
    if holder_id is not None:
        query = query.where(screening.c.holder_id == holder_id)
    return [
        _screening(row._mapping) for row in connection.execute(query.order_by(screening.c.id).limit(limit))
    ]


def read_current(connection: Connection, issuer_id: str, holder_ids: Sequence[str]) -> list[Screening]:
    """Return the screenings of these holders that count: one per list name."""
    rows = connection.execute(
        select(screening).where(
            screening.c.issuer_id == issuer_id,
            screening.c.holder_id.in_(holder_ids),
            screening.c.superseded_by.is_(None),
        )
    )
    return [_screening(row._mapping) for row in rows]


def insert_decision(connection: Connection, new: Decision) -> None:
    connection.execute(
        insert(screening_decision).values({name: getattr(new, name) for name in new.__slots__})
    )


def read_decisions(connection: Connection, issuer_id: str, holder_ids: Sequence[str]) -> list[Decision]:
    """Return the holders' decisions in the order in which they were made."""
    of = screening_decision.c
    rows = connection.execute(
        select(screening_decision)
        .where(of.issuer_id == issuer_id, of.holder_id.in_(holder_ids))
        .order_by(of.holder_id, of.number)
    )
    return [
        Decision(
            **{
                **row._mapping,
                "approvals": tuple(row.approvals),
                "pairs": tuple((entity_id, entity_hash) for entity_id, entity_hash in row.pairs),
            }
        )
        for row in rows
    ]


def _values(row: Screening) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in row.__slots__}
    return {**values, "subject": row.subject._asdict(), "hits": [asdict(hit) for hit in row.hits]}


def _screening(values: Any) -> Screening:
    hits = tuple(
        Hit(**{**hit, "countries": tuple(hit["countries"]), "datasets": tuple(hit["datasets"])})
        for hit in values["hits"]
    )
    return Screening(**{**values, "subject": Subject(**values["subject"]), "hits": hits})


def _entity_line(issuer_id: str, list_id: str, entity: ListedEntity) -> str:
    facts = entity._asdict()
    del facts["entity_id"], facts["entity_hash"]
    return "\t".join(
        [
            issuer_id,
            list_id,
            escape(entity.entity_id),
            escape("\\x" + entity.entity_hash.hex()),
            escape(orjson.dumps(facts).decode()),
        ]
    )


def _entity(entity_id: str, entity_hash: bytes, facts: dict[str, Any]) -> ListedEntity:
    texts = {name: tuple(value) for name, value in facts.items() if isinstance(value, list)}
    return ListedEntity(
        entity_id=entity_id,
        entity_hash=bytes(entity_hash),
        **{**facts, **texts},
    )


def _read_standing(rows: list[RowValues]) -> dict[str, Standing]:
    return {asked_id: Standing(state) for asked_id, state in rows}
