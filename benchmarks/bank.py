"""The bank that is measured: a platform, its merchants with an account each, and money in every account.

The first merchant is taken up by the product's verbs and the others are copies of its rows: a hundred thousand taken
up one by one would take longer than all that is measured. Money moves through the write path alone.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Final, Self, TextIO

import psycopg
import sqlalchemy
from sqlalchemy import Connection

from tallystick import participants, tokens
from tallystick.api.service import Service
from tallystick.core import migrations
from tallystick.core.clock import SystemClock
from tallystick.core.embedded_postgres import EmbeddedPostgres
from tallystick.core.ids import new_id, with_prefix
from tallystick.core.settings import Settings
from tallystick.participants import HolderKind, KycStatus, Principal, Role
from tallystick.signing import KeyDirectory
from tallystick.tokens import Kind, Request, Submission

__all__ = [
    "COMMIT_SIZE",
    "CURRENCY",
    "Bank",
    "connect",
    "open_bank",
    "request_for",
    "settle_all",
    "write_path",
]

# As many to a commit as the service takes.
COMMIT_SIZE: Final[int] = Settings.model_fields["batch_size_max"].default
CURRENCY: Final = "EUR"
_BALANCE: Final = "100000.00"
_STATEMENT_SECONDS_MAX: Final = 900
_CLOCK: Final = SystemClock()
_AUDITED_UNTIL: Final = _CLOCK.now() + timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Bank:
    """How to reach one bank: its database, keys, and accounts (the first is the hot one)."""

    service_url: str
    superuser_url: str
    state_directory: str
    issuer_id: str
    platform_key: str
    auditor_key: str
    account_ids: list[str]
    acknowledged_path: str

    def save(self, path: Path) -> None:
        """Write the handles for other processes, readable by nobody else."""
        path.touch(mode=0o600)
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))


def open_bank(server: EmbeddedPostgres, state_directory: Path, name: str, accounts: int) -> Bank:
    """Create a database called `name` with a bank of so many funded accounts and return the bank."""
    with connect(server.superuser_url) as connection:
        connection.execute(f"CREATE DATABASE {name} OWNER tallystick_owner".encode())
    urls = [
        sqlalchemy.make_url(url).set(database=name).render_as_string(hide_password=False)
        for url in (server.owner_url, server.service_url, server.superuser_url)
    ]
    migrations.upgrade(urls[0])
    directory = state_directory / name
    directory.mkdir()
    bank = Bank(urls[1], urls[2], str(directory), "", "", "", [], str(directory / "acknowledged"))
    service = write_path(bank)
    try:
        people = service.database.run(lambda connection: _found(connection, service))
        account_ids = _copy_merchants(bank, people, accounts)
        _fund(service, bank, people, account_ids)
    finally:
        service.close()
    with connect(bank.superuser_url) as connection:
        connection.execute("VACUUM ANALYZE")
    return replace(
        bank,
        issuer_id=people.issuer_id,
        platform_key=people.platform_key,
        auditor_key=people.auditor_key,
        account_ids=account_ids,
    )


def connect(url: str) -> psycopg.Connection[tuple[object, ...]]:
    """Connect to a SQLAlchemy URL with psycopg itself, in autocommit mode."""
    plain = sqlalchemy.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(
        plain, autocommit=True, connect_timeout=10, options=f"-c statement_timeout={_STATEMENT_SECONDS_MAX}s"
    )


def write_path(bank: Bank) -> Service:
    """Return the service's own wiring on a bank: its database, signer and settler. To be closed."""
    return Service(
        Settings(state_directory=Path(bank.state_directory), database_pool_size=2), bank.service_url
    )


def request_for(principal: Principal, kind: Kind, key: str, **fields: str | bool) -> Request:
    """Return the request that the API would make of these fields."""
    return Request(
        id=tokens.new_instruction_id(kind),
        kind=kind,
        principal=principal,
        key_digest=tokens.key_digest(principal.id, kind, key),
        request_hash=tokens.request_hash(kind, {"body": fields}),
        **fields,  # type: ignore[arg-type]
    )


def settle_all(service: Service, issuer_id: str, requests: Sequence[Request], acknowledged: TextIO) -> None:
    """Settle requests in one transaction, and note what was acknowledged; none may be refused."""
    submissions = [Submission((request,)) for request in requests]
    settled = service.database.run(
        lambda connection: tokens.settle(connection, service.settler, issuer_id, submissions)
    )
    for request, one in zip(requests, settled, strict=True):
        [outcome] = one.outcomes
        if outcome.refusal is not None:
            raise outcome.refusal
        # What an approval answers with is itself, and the event is of what it approved.
        if outcome.event_index is not None and request.kind != Kind.APPROVE:
            acknowledged.write(f"{outcome.resource_id}\t{outcome.event_index}\n")


@dataclass(frozen=True, slots=True)
class _People:
    issuer_id: str
    maker: Principal
    checker: Principal
    platform: Principal
    platform_key: str
    auditor_key: str
    treasury_account_id: str
    merchant_holder_id: str
    merchant_account_id: str


def _found(connection: Connection, service: Service) -> _People:
    issuer = tokens.open_issuer(
        connection,
        _CLOCK,
        legal_name="Riverbank AG",
        lei="529900T8BM49AURSDO55",
        bic="RIVBDEFFXXX",
        jurisdiction="DE",
    ).issuer_id
    roots = KeyDirectory(service.settings.state_directory / "root")
    origin = f"{service.settings.log_origin_or_unnamed}/{issuer}"
    tokens.found_log(connection, service.settler, issuer, service.key_directory, roots, origin=origin)
    euro = tokens.open_token_class(
        connection, _CLOCK, issuer, currency=CURRENCY, name="Riverbank euro", backing_account_number="CONTROL"
    )
    platform_id, treasury_account_id = _take_up(connection, issuer, euro.id, HolderKind.PLATFORM, None)
    merchant_id, merchant_account_id = _take_up(connection, issuer, euro.id, HolderKind.MERCHANT, platform_id)

    def principal(role: Role, person: str | None, holder_id: str | None = None) -> tuple[Principal, str]:
        made = participants.register_principal(
            connection,
            _CLOCK,
            issuer,
            name=role.value,
            roles=frozenset({role}),
            person=person,
            holder_id=holder_id,
            access_until=_AUDITED_UNTIL if role == Role.AUDITOR else None,
        )
        return made, participants.issue_api_key(connection, _CLOCK, issuer, made.id)[1]

    platform, platform_key = principal(Role.PLATFORM, None, platform_id)
    return _People(
        issuer_id=issuer,
        maker=principal(Role.TREASURY_MAKER, "maria.keller")[0],
        checker=principal(Role.TREASURY_CHECKER, "jonas.brandt")[0],
        platform=platform,
        platform_key=platform_key,
        auditor_key=principal(Role.AUDITOR, "paul.lindqvist")[1],
        treasury_account_id=treasury_account_id,
        merchant_holder_id=merchant_id,
        merchant_account_id=merchant_account_id,
    )


def _take_up(
    connection: Connection, issuer_id: str, class_id: str, kind: HolderKind, platform_id: str | None
) -> tuple[str, str]:
    holder = participants.register_holder(
        connection,
        _CLOCK,
        issuer_id,
        kind=kind,
        legal_name=kind.value.title(),
        country="DE",
        residency="DE",
        platform_id=platform_id,
        kyc_status=KycStatus.VERIFIED,
    )
    opened = tokens.open_account(
        connection,
        _CLOCK,
        issuer_id,
        holder_id=holder.id,
        token_class_id=class_id,
        deposit_account_number=holder.id,
    )
    return holder.id, opened.id


_COPIES: Final = (
    """INSERT INTO holder (issuer_id, id, kind, legal_name, country, residency, platform_id, kyc_status, created_at)
       SELECT h.issuer_id, n.holder_id, h.kind, h.legal_name, h.country, h.residency, h.platform_id, h.kyc_status,
              h.created_at
       FROM holder h, new_merchant n WHERE h.issuer_id = %(issuer_id)s AND h.id = %(holder_id)s""",
    """INSERT INTO account (issuer_id, id, holder_id, token_class_id, status, deposit_account_number, reference,
                            opened_at)
       SELECT a.issuer_id, n.account_id, n.holder_id, a.token_class_id, a.status, n.holder_id, n.account_id,
              a.opened_at
       FROM account a, new_merchant n WHERE a.issuer_id = %(issuer_id)s AND a.id = %(account_id)s""",
    """INSERT INTO ledger_account (issuer_id, id, code, token_class_id, currency, account_id, balance_minor, version)
       SELECT l.issuer_id, l.code || '.' || n.account_id, l.code, l.token_class_id, l.currency, n.account_id, 0, 0
       FROM ledger_account l, new_merchant n
       WHERE l.issuer_id = %(issuer_id)s AND l.account_id = %(account_id)s""",
    """INSERT INTO liability (issuer_id, id, holder_id, token_class_id, terms_version, opened_at)
       SELECT l.issuer_id, n.liability_id, n.holder_id, l.token_class_id, l.terms_version, l.opened_at
       FROM liability l, new_merchant n WHERE l.issuer_id = %(issuer_id)s AND l.holder_id = %(holder_id)s""",
)


def _copy_merchants(bank: Bank, people: _People, accounts: int) -> list[str]:
    """Copy the first merchant until there are so many; return their accounts in the order of their ids."""
    made = [
        (
            new_id("holder"),
            people.merchant_account_id if number == 0 else new_id("account"),
            new_id("liability"),
        )
        for number in range(accounts)
    ]
    with connect(bank.superuser_url) as connection, connection.transaction():
        # The copies refer to what the first one refers to; checking each of them takes most of the time.
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute(
            "CREATE TEMPORARY TABLE new_merchant (holder_id text, account_id text, liability_id text) ON COMMIT DROP"
        )
        with connection.cursor() as cursor, cursor.copy("COPY new_merchant FROM STDIN") as copy:
            for row in made[1:]:
                copy.write_row(row)
        for statement in _COPIES:
            connection.execute(
                statement.encode(),
                {
                    "issuer_id": people.issuer_id,
                    "holder_id": people.merchant_holder_id,
                    "account_id": people.merchant_account_id,
                },
            )
        connection.execute("ANALYZE")
    return [account_id for _, account_id, _ in made]


def _fund(service: Service, bank: Bank, people: _People, account_ids: Sequence[str]) -> None:
    """Confirm one deposit, mint it with four eyes, and pay it out to every account."""
    total = f"{len(account_ids) * int(_BALANCE.split('.', 1)[0])}.00"
    treasury = {"amount": total, "currency": CURRENCY, "payee_account_id": people.treasury_account_id}
    deposit = request_for(
        people.maker, Kind.DEPOSIT, "deposit", **treasury, related_id="statement", evidence=True
    )
    mint = request_for(people.maker, Kind.MINT, "mint", **treasury)
    approve = request_for(
        people.checker,
        Kind.APPROVE,
        "approve",
        related_id=with_prefix("approval", mint.id),
        amount=total,
        currency=CURRENCY,
    )

    def payments(start: int) -> list[Request]:
        return [
            request_for(
                people.platform,
                Kind.TRANSFER,
                f"fund-{number}",
                payer_account_id=people.treasury_account_id,
                payee_account_id=account_id,
                amount=_BALANCE,
                currency=CURRENCY,
            )
            for number, account_id in enumerate(account_ids[start : start + COMMIT_SIZE], start)
        ]

    with Path(bank.acknowledged_path).open("w", encoding="ascii") as acknowledged:
        for request in (deposit, mint, approve):
            settle_all(service, people.issuer_id, [request], acknowledged)
        for start in range(0, len(account_ids), COMMIT_SIZE):
            settle_all(service, people.issuer_id, payments(start), acknowledged)
