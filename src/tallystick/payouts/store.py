"""All SQL of payouts. Every statement leads with the issuer's id; nothing here commits."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, func, insert, select

from tallystick.payouts.models import (
    payout,
    payout_file,
    payout_file_item,
    payout_finding,
    payout_finding_action,
    payout_status,
    payout_status_item,
    payout_step,
)
from tallystick.payouts.records import (
    Beneficiary,
    FiledItem,
    Finding,
    FindingAction,
    NewStatusItem,
    Payout,
    PayoutFile,
    StatusItem,
    StatusMessage,
    Step,
    StepKind,
)

_FILE_COLUMNS: Final = [payout_file.c[one.name] for one in fields(PayoutFile)]


def insert_payout(connection: Connection, new: Payout) -> None:
    of = new.beneficiary
    connection.execute(
        insert(payout).values(
            issuer_id=new.issuer_id,
            id=new.id,
            token_class_id=new.token_class_id,
            account_id=new.account_id,
            amount_minor=new.amount_minor,
            uetr=new.uetr,
            beneficiary_name=of.name,
            remittance=new.remittance,
            purpose=new.purpose,
            created_at=new.created_at,
            **{name: value for name, value in of._asdict().items() if name != "name"},
        )
    )


def insert_step(connection: Connection, issuer_id: str, new: Step) -> None:
    connection.execute(insert(payout_step).values(issuer_id=issuer_id, **new._asdict()))


def read_payouts(connection: Connection, issuer_id: str, ids: Sequence[str]) -> dict[str, Payout]:
    rows = connection.execute(
        select(payout).where(payout.c.issuer_id == issuer_id, payout.c.id.in_(list(ids)))
    )
    return {row.id: _payout(row) for row in rows}


def read_payouts_by_uetr(connection: Connection, issuer_id: str, uetrs: Iterable[str]) -> dict[str, str]:
    rows = connection.execute(
        select(payout.c.uetr, payout.c.id).where(
            payout.c.issuer_id == issuer_id, payout.c.uetr.in_(list(uetrs))
        )
    )
    return {row.uetr: row.id for row in rows}


def read_steps(connection: Connection, issuer_id: str, ids: Sequence[str]) -> dict[str, list[Step]]:
    rows = connection.execute(
        select(*(payout_step.c[name] for name in Step._fields))
        .where(payout_step.c.issuer_id == issuer_id, payout_step.c.payout_id.in_(list(ids)))
        .order_by(payout_step.c.payout_id, payout_step.c.event_index)
    )
    found: dict[str, list[Step]] = {}
    for row in rows:
        one = Step._make(row)
        found.setdefault(one.payout_id, []).append(one._replace(step=StepKind(one.step)))
    return found


def read_moved_by(
    connection: Connection, issuer_id: str, source_ids: Sequence[str]
) -> dict[str, list[tuple[int, int]]]:
    # What was given back moved nothing on the control account.
    rows = connection.exec_driver_sql(
        """SELECT source_id, event_index, CASE step WHEN 'settled' THEN -amount_minor ELSE amount_minor END
           FROM payout_step
           WHERE issuer_id = %s AND source_id = ANY(%s) AND source_id IS NOT NULL AND step IN ('settled', 'returned')
           ORDER BY event_index""",
        (issuer_id, list(source_ids)),
    )
    found: dict[str, list[tuple[int, int]]] = {}
    for source_id, event_index, movement_minor in rows:
        found.setdefault(source_id, []).append((event_index, movement_minor))
    return found


def read_filed(connection: Connection, issuer_id: str, ids: Iterable[str]) -> dict[str, FiledItem]:
    of = payout_file_item.c
    rows = connection.execute(
        select(*(of[name] for name in FiledItem._fields)).where(
            of.issuer_id == issuer_id, of.payout_id.in_(list(ids))
        )
    )
    return {row.payout_id: FiledItem._make(row) for row in rows}


def read_file_items(connection: Connection, issuer_id: str, file_id: str) -> list[FiledItem]:
    of = payout_file_item.c
    rows = connection.execute(
        select(*(of[name] for name in FiledItem._fields))
        .where(of.issuer_id == issuer_id, of.file_id == file_id)
        .order_by(of.number)
    )
    return [FiledItem._make(row) for row in rows]


def read_settling(
    connection: Connection, issuer_id: str, settlement_ids: Sequence[str]
) -> dict[str, FiledItem]:
    of = payout_file_item.c
    rows = connection.execute(
        select(*(of[name] for name in FiledItem._fields)).where(
            of.issuer_id == issuer_id, of.settlement_id.in_(list(settlement_ids))
        )
    )
    return {row.settlement_id: FiledItem._make(row) for row in rows}


def read_last_sequence(connection: Connection, issuer_id: str, token_class_id: str) -> int:
    last: int = connection.execute(
        select(func.coalesce(func.max(payout_file.c.sequence), 0)).where(
            payout_file.c.issuer_id == issuer_id, payout_file.c.token_class_id == token_class_id
        )
    ).scalar_one()
    return last


def insert_file(connection: Connection, new: PayoutFile, content: bytes, items: Sequence[FiledItem]) -> None:
    connection.execute(insert(payout_file).values(**asdict(new), content=content))
    connection.execute(
        insert(payout_file_item), [{"issuer_id": new.issuer_id, **one._asdict()} for one in items]
    )


def read_filing_classes(connection: Connection, issuer_id: str) -> list[str]:
    rows = connection.exec_driver_sql(
        "SELECT DISTINCT token_class_id FROM payout_file WHERE issuer_id = %s ORDER BY 1", (issuer_id,)
    )
    return [row[0] for row in rows]


def read_file(connection: Connection, issuer_id: str, file_id: str) -> PayoutFile | None:
    row = connection.execute(
        select(*_FILE_COLUMNS).where(payout_file.c.issuer_id == issuer_id, payout_file.c.id == file_id)
    ).one_or_none()
    return None if row is None else PayoutFile(**row._mapping)


def read_file_by_message(connection: Connection, issuer_id: str, message_id: str) -> PayoutFile | None:
    row = connection.execute(
        select(*_FILE_COLUMNS).where(
            payout_file.c.issuer_id == issuer_id, payout_file.c.message_id == message_id
        )
    ).one_or_none()
    return None if row is None else PayoutFile(**row._mapping)


def read_files(
    connection: Connection, issuer_id: str, token_class_id: str | None, after: str, limit: int
) -> list[PayoutFile]:
    query = select(*_FILE_COLUMNS).where(payout_file.c.issuer_id == issuer_id, payout_file.c.id > after)
    if token_class_id is not None:
        query = query.where(payout_file.c.token_class_id == token_class_id)
    rows = connection.execute(query.order_by(payout_file.c.id).limit(limit))
    return [PayoutFile(**row._mapping) for row in rows]


def read_content(connection: Connection, issuer_id: str, file_id: str) -> bytes | None:
    found: bytes | None = connection.execute(
        select(payout_file.c.content).where(payout_file.c.issuer_id == issuer_id, payout_file.c.id == file_id)
    ).scalar()
    return None if found is None else bytes(found)


def read_fileable(
    connection: Connection, issuer_id: str, token_class_id: str, held: Collection[str], limit: int
) -> list[str]:
    rows = connection.exec_driver_sql(
        """SELECT s.payout_id FROM payout_step s
           JOIN payout p ON p.issuer_id = s.issuer_id AND p.id = s.payout_id
           WHERE s.issuer_id = %s AND s.step = 'accepted' AND p.token_class_id = %s
             AND NOT EXISTS (SELECT 1 FROM payout_file_item i
                             WHERE i.issuer_id = s.issuer_id AND i.payout_id = s.payout_id)
             AND NOT EXISTS (SELECT 1 FROM payout_step e
                             WHERE e.issuer_id = s.issuer_id AND e.payout_id = s.payout_id AND e.step = 'cancelled')
             AND s.payout_id <> ALL(%s::text[])
           ORDER BY s.event_index LIMIT %s""",
        (issuer_id, token_class_id, list(held), limit),
    )
    return [row[0] for row in rows]


def read_unsettled(
    connection: Connection, issuer_id: str, token_class_id: str, after: str, limit: int
) -> list[str]:
    rows = connection.exec_driver_sql(
        """SELECT i.payout_id FROM payout_file_item i
           JOIN payout p ON p.issuer_id = i.issuer_id AND p.id = i.payout_id
           WHERE i.issuer_id = %s AND i.payout_id > %s AND p.token_class_id = %s
             AND NOT EXISTS (SELECT 1 FROM payout_step e
                             WHERE e.issuer_id = i.issuer_id AND e.payout_id = i.payout_id
                               AND e.step IN ('settled', 'rejected'))
           ORDER BY i.payout_id LIMIT %s""",
        (issuer_id, after, token_class_id, limit),
    )
    return [row[0] for row in rows]


def lock_statuses(connection: Connection, issuer_id: str) -> None:
    connection.exec_driver_sql(
        "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"payout_status {issuer_id}",)
    )


def read_rejected_since(
    connection: Connection, issuer_id: str, token_class_id: str, since: datetime
) -> list[FiledItem]:
    columns = ", ".join(f"i.{name}" for name in FiledItem._fields)
    rows = connection.exec_driver_sql(
        f"""SELECT {columns} FROM payout_step s
            JOIN payout p ON p.issuer_id = s.issuer_id AND p.id = s.payout_id
            JOIN payout_file_item i ON i.issuer_id = s.issuer_id AND i.payout_id = s.payout_id
            WHERE s.issuer_id = %s AND s.step = 'rejected' AND s.done_at >= %s AND p.token_class_id = %s
            ORDER BY i.payout_id""",
        (issuer_id, since, token_class_id),
    )
    return [FiledItem._make(row) for row in rows]


def insert_status(connection: Connection, new: StatusMessage, items: Sequence[NewStatusItem]) -> None:
    connection.execute(insert(payout_status).values(**asdict(new)))
    if items:
        connection.execute(
            insert(payout_status_item),
            [
                {"issuer_id": new.issuer_id, "status_id": new.id, "number": number, **one._asdict()}
                for number, one in enumerate(items, 1)
            ],
        )


def read_status(connection: Connection, issuer_id: str, **known: Any) -> StatusMessage | None:
    of = payout_status.c
    query = select(payout_status).where(of.issuer_id == issuer_id)
    for name, value in known.items():
        query = query.where(of[name] == value)
    row = connection.execute(query).one_or_none()
    return None if row is None else StatusMessage(**row._mapping)


def read_statuses(connection: Connection, issuer_id: str, after: str, limit: int) -> list[StatusMessage]:
    of = payout_status.c
    rows = connection.execute(
        select(payout_status).where(of.issuer_id == issuer_id, of.id > after).order_by(of.id).limit(limit)
    )
    return [StatusMessage(**row._mapping) for row in rows]


def read_status_items(
    connection: Connection, issuer_id: str, *, payout_ids: Sequence[str] = (), status_id: str | None = None
) -> list[StatusItem]:
    of = payout_status_item.c
    query = (
        select(*(of[name] for name in StatusItem._fields[:-1]), payout_status.c.received_at)
        .join_from(
            payout_status_item,
            payout_status,
            (payout_status.c.issuer_id == of.issuer_id) & (payout_status.c.id == of.status_id),
        )
        .where(of.issuer_id == issuer_id)
    )
    query = query.where(
        of.payout_id.in_(list(payout_ids)) if status_id is None else of.status_id == status_id
    )
    return [StatusItem._make(row) for row in connection.execute(query.order_by(of.status_id, of.number))]


def insert_finding(connection: Connection, new: Finding) -> None:
    connection.exec_driver_sql(
        """INSERT INTO payout_finding (issuer_id, id, kind, source_id, subject, payout_id, detail, found_at)
           VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
           ON CONFLICT (issuer_id, kind, source_id, subject) DO NOTHING""",
        tuple(getattr(new, one.name) for one in payout_finding.c),
    )


def lock_finding(connection: Connection, issuer_id: str, finding_id: str) -> None:
    connection.exec_driver_sql(
        "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"payout_finding {issuer_id} {finding_id}",)
    )


def read_findings(
    connection: Connection,
    issuer_id: str,
    *,
    ids: Sequence[str] | None = None,
    payout_ids: Sequence[str] | None = None,
    states: Sequence[str] | None = None,
    owner_id: str | None = None,
    after: str = "",
    limit: int = 100,
) -> list[Finding]:
    rows = connection.exec_driver_sql(
        """SELECT * FROM (
               SELECT f.*, a.subject_id AS owner_id, r.subject_id AS instruction_id, r.done_at AS ended_at,
                      CASE WHEN r.done_at IS NOT NULL THEN 'resolved'
                           WHEN a.subject_id IS NOT NULL THEN 'assigned' ELSE 'open' END AS state
               FROM payout_finding f
               LEFT JOIN payout_finding_action r
                 ON r.issuer_id = f.issuer_id AND r.finding_id = f.id AND r.kind = 'resolved'
               LEFT JOIN LATERAL (
                   SELECT subject_id FROM payout_finding_action o
                   WHERE o.issuer_id = f.issuer_id AND o.finding_id = f.id AND o.kind = 'assigned'
                   ORDER BY action_number DESC LIMIT 1
               ) a ON true
               WHERE f.issuer_id = %(issuer_id)s AND f.id > %(after)s
                 AND (%(ids)s::text[] IS NULL OR f.id = ANY(%(ids)s))
                 AND (%(payout_ids)s::text[] IS NULL OR f.payout_id = ANY(%(payout_ids)s))
           ) found
           WHERE (%(states)s::text[] IS NULL OR state = ANY(%(states)s))
             AND (%(owner_id)s::text IS NULL OR owner_id = %(owner_id)s)
           ORDER BY id LIMIT %(limit)s""",
        {
            "issuer_id": issuer_id,
            "after": after,
            "ids": None if ids is None else list(ids),
            "payout_ids": None if payout_ids is None else list(payout_ids),
            "states": None if states is None else list(states),
            "owner_id": owner_id,
            "limit": limit,
        },
    )
    columns = [one.name for one in fields(Finding)]
    return [Finding(**{name: row._mapping[name] for name in columns}) for row in rows]


def insert_finding_action(connection: Connection, issuer_id: str, new: FindingAction) -> None:
    connection.execute(insert(payout_finding_action).values(issuer_id=issuer_id, **new._asdict()))


def read_last_action_number(connection: Connection, issuer_id: str, finding_id: str) -> int:
    of = payout_finding_action.c
    last: int = connection.execute(
        select(func.coalesce(func.max(of.action_number), 0)).where(
            of.issuer_id == issuer_id, of.finding_id == finding_id
        )
    ).scalar_one()
    return last


def read_finding_actions(
    connection: Connection, issuer_id: str, finding_id: str, after: int, limit: int
) -> list[FindingAction]:
    of = payout_finding_action.c
    rows = connection.execute(
        select(*(of[name] for name in FindingAction._fields))
        .where(of.issuer_id == issuer_id, of.finding_id == finding_id, of.action_number > after)
        .order_by(of.action_number)
        .limit(limit)
    )
    return [FindingAction._make(row) for row in rows]


def _payout(row: Row[Any]) -> Payout:
    return Payout(
        issuer_id=row.issuer_id,
        id=row.id,
        token_class_id=row.token_class_id,
        account_id=row.account_id,
        amount_minor=row.amount_minor,
        uetr=row.uetr,
        beneficiary=Beneficiary(
            name=row.beneficiary_name,
            iban=row.iban,
            account_number=row.account_number,
            bic=row.bic,
            town_name=row.town_name,
            country=row.country,
            street_name=row.street_name,
            building_number=row.building_number,
            post_code=row.post_code,
        ),
        remittance=row.remittance,
        purpose=row.purpose,
        created_at=row.created_at,
    )
