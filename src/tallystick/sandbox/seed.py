"""Seeding the sandbox through the same verbs as a real bank's set-up. Names and numbers are invented."""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from tallystick import participants, tokens
from tallystick.core.clock import Clock
from tallystick.core.database import Database
from tallystick.core.durable_files import write_durably
from tallystick.participants import Holder, HolderKind, KycStatus, Role
from tallystick.signing import KeyDirectory
from tallystick.tokens import Settler

__all__ = ["KEYS_FILE_NAME", "ROOT_DIRECTORY_NAME", "Sandbox", "seed_unless_present"]

KEYS_FILE_NAME: Final = "sandbox.json"
ROOT_DIRECTORY_NAME: Final = "root"
_APPROVAL_LIFETIME: Final = timedelta(hours=72)
_KYC_EXPIRES_ON: Final = date(2099, 12, 31)
_AUDITED_UNTIL: Final = datetime(2099, 12, 31, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Sandbox:
    """What was seeded. `keys` are API keys by role name, readable only here and in the 0600 file."""

    issuer_id: str
    token_classes: dict[str, str]
    accounts: dict[str, str]
    keys: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Party:
    name: str
    kind: HolderKind
    legal_name: str
    country: str
    deposit_account_number: str
    deposit_iban: str


# The bank files under examples/statements pay into these accounts.
_PARTIES: Final = (
    _Party(
        "harbour", HolderKind.PLATFORM, "Harbour Marketplace", "DE", "1000000001", "DE02120300000000202051"
    ),
    _Party(
        "lantern", HolderKind.MERCHANT, "Lantern Lighting Co", "HK", "1000000002", "DE02500105170137075030"
    ),
    _Party(
        "silkroad", HolderKind.MERCHANT, "Silk Road Textiles", "SG", "1000000003", "DE88100900001234567892"
    ),
    _Party(
        "northwind",
        HolderKind.CORPORATE,
        "Northwind Manufacturing",
        "FR",
        "1000000004",
        "FR1420041010050500013M02606",
    ),
)


def seed_unless_present(
    database: Database,
    clock: Clock,
    key_directory: KeyDirectory,
    state_directory: Path,
    *,
    origin_prefix: str,
) -> Sandbox | None:
    """Seed an empty database and write the API keys to a 0600 file; None where an issuer is there already.

    The file is written before the commit: a crash leaves keys that open nothing, never a bank nobody can open.
    """

    def work(connection: Connection) -> Sandbox | None:
        if participants.issuer_ids(connection):
            return None
        # A bank keeps its root offline; the sandbox's lies beside everything else, so that all works out of the box.
        roots = KeyDirectory(state_directory / ROOT_DIRECTORY_NAME)
        seeded = _seed(connection, clock, key_directory, roots, origin_prefix)
        content = {
            "issuer_id": seeded.issuer_id,
            "token_classes": seeded.token_classes,
            "accounts": seeded.accounts,
            "keys": seeded.keys,
        }
        write_durably(state_directory / KEYS_FILE_NAME, json.dumps(content, indent=2) + "\n")
        return seeded

    return database.run(work)


def _seed(
    connection: Connection, clock: Clock, key_directory: KeyDirectory, roots: KeyDirectory, origin_prefix: str
) -> Sandbox:
    bank = tokens.open_issuer(
        connection,
        clock,
        legal_name="Riverbank AG",
        lei="529900T8BM49AURSDO55",
        bic="RIVBDEFFXXX",
        jurisdiction="DE",
    )
    settler = Settler.of(clock, key_directory, _APPROVAL_LIFETIME)
    origin = f"{origin_prefix}/{bank.issuer_id}"
    tokens.found_log(connection, settler, bank.issuer_id, key_directory, roots, origin=origin)
    usd = tokens.open_token_class(
        connection,
        clock,
        bank.issuer_id,
        currency="USD",
        name="Riverbank US dollar",
        backing_account_number="RIVB-CONTROL-USD",
    )
    eur = tokens.open_token_class(
        connection,
        clock,
        bank.issuer_id,
        currency="EUR",
        name="Riverbank euro",
        backing_iban="DE75512108001245126199",
    )
    holders: dict[str, Holder] = {}
    accounts: dict[str, str] = {}
    for party in _PARTIES:
        platform = holders["harbour"].id if party.kind == HolderKind.MERCHANT else None
        holder = participants.register_holder(
            connection,
            clock,
            bank.issuer_id,
            kind=party.kind,
            legal_name=party.legal_name,
            country=party.country,
            residency=party.country,
            platform_id=platform,
            kyc_status=KycStatus.VERIFIED,
            kyc_expires_on=_KYC_EXPIRES_ON,
        )
        holders[party.name] = holder
        for of_class, iban, number in (
            (usd, None, party.deposit_account_number),
            (eur, party.deposit_iban, None),
        ):
            account = tokens.open_account(
                connection,
                clock,
                bank.issuer_id,
                holder_id=holder.id,
                token_class_id=of_class.id,
                deposit_iban=iban,
                deposit_account_number=number,
                reference=f"{party.name}-{of_class.currency}".upper(),
            )
            accounts[f"{party.name}_{of_class.currency.lower()}"] = account.id
    return Sandbox(
        issuer_id=bank.issuer_id,
        token_classes={"usd": usd.id, "eur": eur.id},
        accounts=accounts,
        keys=_issue_keys(connection, clock, bank.issuer_id, holders),
    )


def _issue_keys(
    connection: Connection, clock: Clock, issuer_id: str, holders: dict[str, Holder]
) -> dict[str, str]:
    people = (
        ("maker", "Treasury maker", Role.TREASURY_MAKER, "maria.keller", None),
        ("checker", "Treasury checker", Role.TREASURY_CHECKER, "jonas.brandt", None),
        ("operator", "Operator", Role.OPERATOR, "ines.okafor", None),
        ("auditor", "Auditor", Role.AUDITOR, "paul.lindqvist", None),
        ("platform", "Harbour Marketplace", Role.PLATFORM, None, holders["harbour"].id),
        ("holder", "Northwind Manufacturing", Role.HOLDER, None, holders["northwind"].id),
    )
    keys = {}
    for name, label, role, person, holder_id in people:
        principal = participants.register_principal(
            connection,
            clock,
            issuer_id,
            name=label,
            roles=frozenset({role}),
            person=person,
            holder_id=holder_id,
            access_until=_AUDITED_UNTIL if role == Role.AUDITOR else None,
        )
        _, keys[name] = participants.issue_api_key(connection, clock, issuer_id, principal.id)
    return keys
