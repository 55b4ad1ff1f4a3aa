"""All SQL of this room. Every statement leads with the issuer's id; nothing here commits."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Table, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as insert_or_keep

from tallystick.core.arrays import TextArray
from tallystick.core.pipeline import Asked, Pipeline, RowValues
from tallystick.participants.models import (
    account,
    api_key,
    facts_version,
    holder,
    issuer,
    principal,
    token_class,
)
from tallystick.participants.parties import (
    Account,
    AccountFacts,
    ApiKey,
    Holder,
    Issuer,
    Principal,
    TokenClass,
)

_FACTS: Final = """
SELECT a.id, a.status, a.holder_id, h.kind, h.platform_id, h.country, h.residency, h.kyc_status, h.kyc_expires_on,
       c.id, c.mode, c.currency, c.scale
FROM account a
JOIN holder h ON h.issuer_id = a.issuer_id AND h.id = a.holder_id
JOIN token_class c ON c.issuer_id = a.issuer_id AND c.id = a.token_class_id
WHERE a.issuer_id = %s AND a.id = ANY(%s)
"""

_LAST_USED: Final = """
UPDATE api_key SET last_used_at = used.at
FROM unnest(CAST(:ids AS text[]), CAST(:moments AS timestamptz[])) AS used(id, at)
WHERE api_key.issuer_id = :issuer_id AND api_key.id = used.id
  AND (api_key.last_used_at IS NULL OR api_key.last_used_at < used.at)
"""


def add(connection: Connection, table: Table, **values: Any) -> None:
    connection.execute(insert(table).values(**values))


def read_issuer(connection: Connection, issuer_id: str) -> Issuer | None:
    row = connection.execute(select(issuer).where(issuer.c.issuer_id == issuer_id)).one_or_none()
    return None if row is None else Issuer(**row._mapping)


def read_issuer_ids(connection: Connection) -> list[str]:
    return list(connection.execute(select(issuer.c.issuer_id).order_by(issuer.c.issuer_id)).scalars())


def read_token_class(connection: Connection, issuer_id: str, token_class_id: str) -> TokenClass | None:
    row = connection.execute(
        select(token_class).where(token_class.c.issuer_id == issuer_id, token_class.c.id == token_class_id)
    ).one_or_none()
    return None if row is None else TokenClass(**row._mapping)


def read_token_classes(connection: Connection, issuer_id: str, after: str, limit: int) -> list[TokenClass]:
    rows = connection.execute(
        select(token_class)
        .where(token_class.c.issuer_id == issuer_id, token_class.c.id > after)
        .order_by(token_class.c.id)
        .limit(limit)
    )
    return [TokenClass(**row._mapping) for row in rows]


def read_holder(connection: Connection, issuer_id: str, holder_id: str) -> Holder | None:
    row = connection.execute(
        select(holder).where(holder.c.issuer_id == issuer_id, holder.c.id == holder_id)
    ).one_or_none()
    return None if row is None else Holder(**row._mapping)


def read_holders(
    connection: Connection, issuer_id: str, on_behalf_of: str | None, after: str, limit: int
) -> list[Holder]:
    query = select(holder).where(holder.c.issuer_id == issuer_id, holder.c.id > after)
    if on_behalf_of is not None:
        query = query.where((holder.c.id == on_behalf_of) | (holder.c.platform_id == on_behalf_of))
    rows = connection.execute(query.order_by(holder.c.id).limit(limit))
    return [Holder(**row._mapping) for row in rows]


def read_holders_by_id(connection: Connection, issuer_id: str, holder_ids: Sequence[str]) -> list[Holder]:
    rows = connection.execute(
        select(holder)
        .where(holder.c.issuer_id == issuer_id, holder.c.id.in_(holder_ids))
        .order_by(holder.c.id)
    )
    return [Holder(**row._mapping) for row in rows]


def update_holder(connection: Connection, issuer_id: str, holder_id: str, **values: Any) -> None:
    connection.execute(
        update(holder).where(holder.c.issuer_id == issuer_id, holder.c.id == holder_id).values(**values)
    )
    raise_facts_version(connection, issuer_id)


def read_account(
    connection: Connection, issuer_id: str, account_id: str, *, lock: bool = False
) -> Account | None:
    query = select(account).where(account.c.issuer_id == issuer_id, account.c.id == account_id)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else Account(**row._mapping)


def read_accounts(
    connection: Connection,
    issuer_id: str,
    *,
    on_behalf_of: str | None,
    holder_id: str | None,
    token_class_id: str | None,
    after: str,
    limit: int,
) -> list[Account]:
    query = select(account).where(account.c.issuer_id == issuer_id, account.c.id > after)
    if on_behalf_of is not None:
        query = query.join(
            holder, (holder.c.issuer_id == account.c.issuer_id) & (holder.c.id == account.c.holder_id)
        ).where((holder.c.id == on_behalf_of) | (holder.c.platform_id == on_behalf_of))
    if holder_id is not None:
        query = query.where(account.c.holder_id == holder_id)
    if token_class_id is not None:
        query = query.where(account.c.token_class_id == token_class_id)
    rows = connection.execute(query.order_by(account.c.id).limit(limit))
    return [Account(**row._mapping) for row in rows]


def read_accounts_by_id(connection: Connection, issuer_id: str, account_ids: Sequence[str]) -> list[Account]:
    rows = connection.execute(
        select(account).where(account.c.issuer_id == issuer_id, account.c.id.in_(account_ids))
    )
    return [Account(**row._mapping) for row in rows]


def read_owners_of_accounts(
    connection: Connection, issuer_id: str, account_ids: Sequence[str]
) -> dict[str, str]:
    rows = connection.exec_driver_sql(
        "SELECT id, holder_id FROM account WHERE issuer_id = %s AND id = ANY(%s)",
        (issuer_id, list(account_ids)),
    )
    return {row[0]: row[1] for row in rows}


def read_account_ids_of(
    connection: Connection, issuer_id: str, holder_id: str, token_class_id: str
) -> list[str]:
    rows = connection.exec_driver_sql(
        """SELECT id FROM account WHERE issuer_id = %s AND holder_id = %s AND token_class_id = %s
           ORDER BY id""",
        (issuer_id, holder_id, token_class_id),
    )
    return [row[0] for row in rows]


def read_accounts_by_deposit(
    connection: Connection,
    issuer_id: str,
    token_class_id: str,
    ibans: Sequence[str],
    references: Sequence[str],
) -> list[Account]:
    rows = connection.execute(
        select(account)
        .where(account.c.issuer_id == issuer_id, account.c.token_class_id == token_class_id)
        .where(
            account.c.deposit_iban.in_(ibans)
            | account.c.deposit_account_number.in_(ibans)
            | account.c.reference.in_(references)
        )
        .order_by(account.c.id)
    )
    return [Account(**row._mapping) for row in rows]


def read_deposit_accounts(
    connection: Connection, issuer_id: str, account_ids: Sequence[str]
) -> dict[str, str]:
    rows = connection.exec_driver_sql(
        """SELECT id, coalesce(deposit_iban, deposit_account_number) FROM account
           WHERE issuer_id = %s AND id = ANY(%s)""",
        (issuer_id, list(account_ids)),
    )
    return {row[0]: row[1] for row in rows}


def update_account(connection: Connection, issuer_id: str, account_id: str, **values: Any) -> None:
    connection.execute(
        update(account).where(account.c.issuer_id == issuer_id, account.c.id == account_id).values(**values)
    )
    raise_facts_version(connection, issuer_id)


def update_token_class(connection: Connection, issuer_id: str, token_class_id: str, **values: Any) -> None:
    connection.execute(
        update(token_class)
        .where(token_class.c.issuer_id == issuer_id, token_class.c.id == token_class_id)
        .values(**values)
    )
    raise_facts_version(connection, issuer_id)


def read_account_facts(
    pipeline: Pipeline, issuer_id: str, account_ids: Iterable[str]
) -> Asked[dict[str, AccountFacts]]:
    return pipeline.ask(_FACTS, (issuer_id, TextArray(list(account_ids))), _read_facts)


def ask_facts_version(pipeline: Pipeline, issuer_id: str) -> Asked[int]:
    return pipeline.ask("SELECT version FROM facts_version WHERE issuer_id = %s", (issuer_id,), _read_version)


def read_principal(
    connection: Connection, issuer_id: str, principal_id: str, *, lock: bool = False
) -> Principal | None:
    query = select(principal).where(principal.c.issuer_id == issuer_id, principal.c.id == principal_id)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else _principal(row._mapping)


def read_principal_by_login(connection: Connection, issuer_id: str, oidc_subject: str) -> Principal | None:
    row = connection.execute(
        select(principal).where(principal.c.issuer_id == issuer_id, principal.c.oidc_subject == oidc_subject)
    ).one_or_none()
    return None if row is None else _principal(row._mapping)


def read_principals(
    connection: Connection, issuer_id: str, after: str = "", limit: int | None = None
) -> list[Principal]:
    rows = connection.execute(
        select(principal)
        .where(principal.c.issuer_id == issuer_id, principal.c.id > after)
        .order_by(principal.c.id)
        .limit(limit)
    )
    return [_principal(row._mapping) for row in rows]


def update_principal(connection: Connection, issuer_id: str, principal_id: str, **values: Any) -> None:
    connection.execute(
        update(principal)
        .where(principal.c.issuer_id == issuer_id, principal.c.id == principal_id)
        .values(**values)
    )


def read_bearer(
    connection: Connection, issuer_id: str, key_id: str
) -> tuple[ApiKey, bytes, Principal] | None:
    key = connection.execute(
        select(api_key).where(api_key.c.issuer_id == issuer_id, api_key.c.id == key_id)
    ).one_or_none()
    if key is None:
        return None
    bearer = read_principal(connection, issuer_id, key.principal_id)
    assert bearer is not None  # A foreign key holds this.
    return _api_key(key._mapping), bytes(key.secret_hash), bearer


def read_api_key(connection: Connection, issuer_id: str, key_id: str, *, lock: bool = False) -> ApiKey | None:
    query = select(api_key).where(api_key.c.issuer_id == issuer_id, api_key.c.id == key_id)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else _api_key(row._mapping)


def read_api_keys(
    connection: Connection,
    issuer_id: str,
    principal_id: str | None = None,
    after: str = "",
    limit: int | None = None,
) -> list[ApiKey]:
    query = select(api_key).where(api_key.c.issuer_id == issuer_id, api_key.c.id > after)
    if principal_id is not None:
        query = query.where(api_key.c.principal_id == principal_id)
    rows = connection.execute(query.order_by(api_key.c.id).limit(limit))
    return [_api_key(row._mapping) for row in rows]


def update_api_key(connection: Connection, issuer_id: str, key_id: str, **values: Any) -> None:
    connection.execute(
        update(api_key).where(api_key.c.issuer_id == issuer_id, api_key.c.id == key_id).values(**values)
    )


def update_last_used(connection: Connection, issuer_id: str, uses: Mapping[str, datetime]) -> None:
    connection.execute(
        text(_LAST_USED), {"issuer_id": issuer_id, "ids": list(uses), "moments": list(uses.values())}
    )


def revoke_api_key(connection: Connection, issuer_id: str, key_id: str, revoked_at: datetime) -> bool:
    revoked = connection.execute(
        update(api_key)
        .where(api_key.c.issuer_id == issuer_id, api_key.c.id == key_id, api_key.c.revoked_at.is_(None))
        .values(revoked_at=revoked_at)
    )
    return revoked.rowcount == 1


def add_unless_present(connection: Connection, table: Table, **values: Any) -> bool:
    """Insert and return True, or return False when a unique constraint already holds such a row."""
    added = connection.execute(
        insert_or_keep(table).values(**values).on_conflict_do_nothing().returning(table.c.issuer_id)
    )
    return added.one_or_none() is not None


def raise_facts_version(connection: Connection, issuer_id: str) -> None:
    connection.execute(
        update(facts_version)
        .where(facts_version.c.issuer_id == issuer_id)
        .values(version=facts_version.c.version + 1)
    )


def _read_version(rows: list[RowValues]) -> int:
    return int(rows[0][0]) if rows else -1


def _principal(values: Any) -> Principal:
    scopes = values["scopes"]
    return Principal(
        **{
            **values,
            "roles": frozenset(values["roles"]),
            "scopes": None if scopes is None else frozenset(scopes),
        }
    )


def _api_key(values: Any) -> ApiKey:
    known = {name: value for name, value in values.items() if name != "secret_hash"}
    return ApiKey(**{**known, "ip_allow_list": tuple(known["ip_allow_list"] or ())})


def _read_facts(rows: list[RowValues]) -> dict[str, AccountFacts]:
    return {row[0]: AccountFacts._make(row) for row in rows}
