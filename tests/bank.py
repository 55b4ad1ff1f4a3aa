"""A small bank to test on: Riverbank AG with two token classes, four holders, eight accounts and its people.

Everything goes through the product's own verbs, each in a transaction that `Database.run` commits. What was
acknowledged is remembered, so that `oracle` can hold the log and the books against it.
"""

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection

from tallystick import events, ledger, orders, participants, policy, signing, statements, tokens
from tallystick.core.clock import FixedClock
from tallystick.core.database import Database
from tallystick.core.ids import new_id, with_prefix
from tallystick.ledger import Code, ledger_account_id
from tallystick.participants import (
    Account,
    Holder,
    HolderKind,
    Issuer,
    KycStatus,
    Principal,
    Role,
    TokenClass,
)
from tallystick.policy import Policy
from tallystick.statements import StatementImport
from tallystick.tokens import Kind, Outcome, Request, Settler, Submission, SubmissionOutcome
from tests.database import DatabaseUrls
from tests.older_keys import begin_older_key
from tests.oracle import check_books

__all__ = ["AUDITED_UNTIL", "OPENED_AT", "Bank", "open_bank", "oracle"]

OPENED_AT: Final = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
AUDITED_UNTIL: Final = datetime(2099, 12, 31, tzinfo=UTC)
APPROVAL_LIFETIME: Final = timedelta(hours=72)


class _NewHolder(NamedTuple):
    name: str
    kind: HolderKind
    legal_name: str
    country: str
    deposit_account_number: str
    deposit_iban: str


# The platform comes first: the merchants name it.
_HOLDERS: Final = (
    _NewHolder(
        "HARBOUR", HolderKind.PLATFORM, "Harbour Marketplace", "DE", "1000000001", "DE02120300000000202051"
    ),
    _NewHolder(
        "LANTERN", HolderKind.MERCHANT, "Lantern Lighting Co", "CN", "1000000002", "DE02500105170137075030"
    ),
    _NewHolder(
        "SILKROAD", HolderKind.MERCHANT, "Silk Road Textiles", "CN", "1000000003", "DE88100900001234567892"
    ),
    _NewHolder(
        "NORTHWIND",
        HolderKind.CORPORATE,
        "Northwind Manufacturing",
        "FR",
        "1000000004",
        "FR1420041010050500013M02606",
    ),
)


@dataclass(slots=True)
class Bank:
    """The bank with handles to everything in it.

    `classes` are by currency, `holders` by short name (`HARBOUR`), `accounts` by reference (`HARBOUR-USD`). Two
    people make and check; `platform` acts for HARBOUR and its merchants, `holder` for NORTHWIND.
    """

    urls: DatabaseUrls
    database: Database
    clock: FixedClock
    key_directory: signing.KeyDirectory
    roots: signing.KeyDirectory
    settler: Settler
    issuer: Issuer
    classes: dict[str, TokenClass]
    holders: dict[str, Holder]
    accounts: dict[str, Account]
    maker: Principal
    checker: Principal
    platform: Principal
    holder: Principal
    auditor: Principal
    operator: Principal
    acknowledged: list[Outcome] = field(default_factory=list)
    _keys: "itertools.count[int]" = field(default_factory=itertools.count)
    # Each deposit is another line of the bank's statement.
    _entries: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    @property
    def issuer_id(self) -> str:
        return self.issuer.issuer_id

    def account_id(self, reference: str) -> str:
        return self.accounts[reference].id

    def request(self, kind: Kind, principal: Principal, *, key: str | None = None, **asked: Any) -> Request:
        """Return a request as the API would make it; without `key` every request has a fresh one."""
        return Request(
            id=tokens.new_instruction_id(kind),
            kind=kind,
            principal=principal,
            key_digest=tokens.key_digest(principal.id, kind, key or f"key-{next(self._keys)}"),
            request_hash=tokens.request_hash(kind, {name: str(value) for name, value in asked.items()}),
            **asked,
        )

    def settle(self, *submissions: Submission) -> list[SubmissionOutcome]:
        """Settle submissions in one transaction; refusals are outcomes. What was settled is remembered."""
        settled = self.database.run(
            lambda connection: tokens.settle(connection, self.settler, self.issuer_id, submissions)
        )
        for one in settled:
            outcomes = [*one.outcomes, *([one.batch] if one.batch else [])]
            self.acknowledged += [outcome for outcome in outcomes if outcome.refusal is None]
        return settled

    def outcome(self, request: Request) -> Outcome:
        """Settle one request and return its outcome, refusal or not."""
        return self.settle(Submission((request,)))[0].outcomes[0]

    def ask(self, kind: Kind, principal: Principal, *, key: str | None = None, **asked: Any) -> Outcome:
        """Settle one request and return its answer; raise what it was refused with."""
        outcome = self.outcome(self.request(kind, principal, key=key, **asked))
        if outcome.refusal is not None:
            raise outcome.refusal
        return outcome

    def deposit(self, account: str, amount: str, **asked: Any) -> str:
        """Confirm a deposit that a statement shows; return its id."""
        return self.ask(
            Kind.DEPOSIT,
            self.maker,
            amount=amount,
            currency=self._currency(account),
            payee_account_id=self.account_id(account),
            evidence=True,
            **{"related_id": f"statement_{'0' * 26}.{next(self._entries)}", **asked},
        ).resource_id

    def mint(self, account: str, amount: str, *, deposited: bool = True) -> str:
        """Mint with two people, by default from a deposit confirmed just before; return the mint's id."""
        if deposited:
            self.deposit(account, amount)
        asked = self.ask(
            Kind.MINT,
            self.maker,
            amount=amount,
            currency=self._currency(account),
            payee_account_id=self.account_id(account),
        )
        self.approve(asked.resource_id, amount, self._currency(account))
        return asked.resource_id

    def approve(self, instruction_id: str, amount: str | None = None, currency: str | None = None) -> Outcome:
        """Let the checker approve what waits under an instruction's id."""
        return self.ask(
            Kind.APPROVE,
            self.checker,
            related_id=with_prefix("approval", instruction_id),
            amount=amount,
            currency=currency,
        )

    def reject(self, instruction_id: str, reason: str = "Not asked for.") -> Outcome:
        """Let the checker reject what waits under an instruction's id."""
        return self.ask(
            Kind.REJECT, self.checker, related_id=with_prefix("approval", instruction_id), reason=reason
        )

    def transfer(self, payer: str, payee: str, amount: str, **asked: Any) -> str:
        """Transfer as the bank's staff; return the transfer's id."""
        return self._move(Kind.TRANSFER, amount, payer, payee, **asked)

    def hold(self, payer: str, payee: str, amount: str, **asked: Any) -> str:
        """Hold for a payee; return the hold's id."""
        return self._move(Kind.HOLD, amount, payer, payee, **asked)

    def execute_hold(self, hold_id: str, amount: str, currency: str = "USD") -> str:
        """Pay out a hold, in whole or in part."""
        return self.ask(
            Kind.HOLD_EXECUTION, self.maker, related_id=hold_id, amount=amount, currency=currency
        ).resource_id

    def void_hold(self, hold_id: str) -> str:
        """Give back what remains of a hold."""
        return self.ask(Kind.HOLD_VOID, self.maker, related_id=hold_id).resource_id

    def redeem(self, account: str, amount: str) -> str:
        """Turn tokens back into a deposit."""
        return self._move(Kind.REDEMPTION, amount, account)

    def release_deposit(self, account: str, amount: str) -> str:
        """Give a confirmed deposit back to the core."""
        return self._move(Kind.DEPOSIT_RELEASE, amount, account)

    def reverse(self, transfer_id: str, amount: str, currency: str = "USD") -> str:
        """Reverse a transfer with two people, in whole or in part."""
        asked = self.ask(
            Kind.REVERSAL,
            self.maker,
            related_id=transfer_id,
            amount=amount,
            currency=currency,
            reason="Sent twice.",
        )
        self.approve(asked.resource_id, amount, currency)
        return asked.resource_id

    def freeze(self, account: str, reason: str = "Court order 1.") -> str:
        """Freeze an account."""
        return self.ask(
            Kind.ACCOUNT_FREEZE, self.maker, payer_account_id=self.account_id(account), reason=reason
        ).resource_id

    def unfreeze(self, account: str, reason: str = "Court order 1 lifted.") -> str:
        """Unfreeze an account with two people."""
        asked = self.ask(
            Kind.ACCOUNT_UNFREEZE, self.maker, payer_account_id=self.account_id(account), reason=reason
        )
        self.approve(asked.resource_id)
        return asked.resource_id

    def place_order(self, account: str, amount: str | None = None, **changed: Any) -> str:
        """Restrict an account for a court, by default as a whole and for debits; return the order's id."""
        asked: dict[str, Any] = {
            "payer_account_id": self.account_id(account),
            "amount": amount,
            "currency": None if amount is None else self._currency(account),
            "reference": "7 M 11/26",
            "reason": "Attachment.",
            **{name: changed.pop(name) for name in ("reference", "reason", "expires_at") if name in changed},
        }
        payload = {"kind": "court_order", "scope": "debit", "authority": "Local court of Nowhere"}
        return self.ask(Kind.ORDER, self.operator, **asked, payload=payload | changed).resource_id

    def top_up_order(self, order_id: str) -> Outcome:
        """Let the account's orders take what has come in."""
        return self.ask(Kind.ORDER_TOP_UP, self.operator, related_id=order_id, reason="Credits came in.")

    def lift_order(self, order_id: str) -> str:
        """Lift an order with two people; return the lift's id."""
        asked = self.ask(Kind.ORDER_LIFT, self.operator, related_id=order_id, reason="Set aside.")
        self._approve_as_asked(asked)
        return asked.resource_id

    def seize(self, order_id: str, amount: str, currency: str = "USD") -> str:
        """Execute a court order with two people; return the seizure's id."""
        asked = self.ask(
            Kind.ORDER_SEIZURE,
            self.operator,
            related_id=order_id,
            amount=amount,
            currency=currency,
            reason="Transfer order.",
        )
        self.approve(asked.resource_id, amount, currency)
        return asked.resource_id

    def order(self, order_id: str) -> orders.Order:
        """Return an order as it stands."""
        with self.database.read() as connection:
            return orders.order(connection, self.issuer_id, order_id)

    def close_account(self, account: str, reason: str = "Asked for by the holder.") -> str:
        """Close an empty account."""
        return self.ask(
            Kind.ACCOUNT_CLOSURE, self.maker, payer_account_id=self.account_id(account), reason=reason
        ).resource_id

    def change(
        self,
        operation: str,
        subject_id: str,
        payload: dict[str, Any] | None = None,
        *,
        key: str | None = None,
        principal: Principal | None = None,
    ) -> Outcome:
        """Ask for a change as the operator; 201 says that it took effect, 202 that it waits for another person."""
        reason = "As decided."
        return self.ask(
            Kind.CHANGE,
            principal or self.operator,
            key=key,
            operation=operation,
            related_id=subject_id,
            reason=reason,
            payload={"reason": reason} if operation.startswith("breaker_") else payload or {},
        )

    def run_clean(self, token_class_id: str | None = None) -> str:
        """Let the write path be told of a reconciliation that found nothing wrong; return the run's id.

        For tests that are not about reconciliation: what they do with deposits, no bank's statement shows.
        """
        of_class = token_class_id or self.classes["USD"].id
        run_id = new_id("reconciliation")

        def told(connection: Connection) -> None:
            last_index = events.last_index(connection, self.issuer_id)
            connection.exec_driver_sql(
                """INSERT INTO reconciliation (issuer_id, id, token_class_id, event_index, ledger_as_of, verdict,
                                               figures, run_by, created_at)
                   VALUES (%s, %s, %s, %s, %s, 'tied', '{}', %s, %s)""",
                (
                    self.issuer_id,
                    run_id,
                    of_class,
                    last_index,
                    self.clock.at,
                    self.auditor.id,
                    self.clock.at,
                ),
            )
            tokens.tell_run(
                connection,
                self.settler,
                self.issuer_id,
                of_class,
                run_id=run_id,
                event_index=last_index,
                clean=True,
                suspends_because=None,
            )

        self.database.run(told)
        return run_id

    def draft(self, currency: str = "USD", **members: Any) -> Policy:
        """Draft a class's next rules: a document of these members."""
        document = policy.read_document({"format": "tallystick-policy/1", **members})
        return self.database.run(
            lambda connection: policy.draft(
                connection,
                self.clock,
                self.operator,
                token_class_id=self.classes[currency].id,
                document=document,
            )
        )

    def enact(self, currency: str = "USD", **members: Any) -> Policy:
        """Let new rules into force with two people, through the whole path; return what was drafted."""
        drafted = self.draft(currency, **members)
        self.approve(self.change("policy_activation", drafted.id).resource_id)
        return drafted

    def import_statement(self, content: bytes, *, size_max_bytes: int = 50_000_000) -> StatementImport:
        """Import a bank's file as the maker, a long one in parts."""
        file = statements.read_file(content, size_max_bytes=size_max_bytes)
        statements.import_ahead(self.database, self.settler, self.maker, file)
        return self.database.run(
            lambda connection: statements.import_statement(connection, self.settler, self.maker, file)
        )

    def balance_minor(self, code: Code | str, owner: str) -> int:
        """Return a present balance; `owner` is an account's reference, or a currency for what a class has once."""
        owner_id = self.classes[owner].id if owner in self.classes else self.account_id(owner)
        ledger_id = ledger_account_id(code, owner_id)
        with self.database.read() as connection:
            return ledger.balances(connection, self.issuer_id, [ledger_id])[ledger_id]

    def _approve_as_asked(self, asked: Outcome) -> None:
        """Let the checker type what the maker was answered: nothing where there is no amount."""
        told = json.loads(asked.body)
        moves = any(digit not in "0." for digit in told["amount"])
        self.approve(asked.resource_id, *([told["amount"], told["currency"]] if moves else []))

    def _move(self, kind: Kind, amount: str, payer: str, payee: str | None = None, **asked: Any) -> str:
        principal = asked.pop("principal", self.maker)
        if payee is not None:
            asked["payee_account_id"] = self.account_id(payee)
        return self.ask(
            kind,
            principal,
            amount=amount,
            currency=self._currency(payer),
            payer_account_id=self.account_id(payer),
            **asked,
        ).resource_id

    def _currency(self, account: str) -> str:
        class_id = self.accounts[account].token_class_id
        return next(one.currency for one in self.classes.values() if one.id == class_id)


def oracle(bank: Bank) -> None:
    """Assert the oracle's points 1 to 6 on everything that `bank` acknowledged, its log and its books."""
    check_books(
        bank.urls.superuser_url,
        bank.issuer_id,
        [(one.resource_id, one.event_index) for one in bank.acknowledged],
    )


@contextmanager
def open_bank(
    urls: DatabaseUrls, key_path: Path, *, pool_size: int = 12, rooted: bool = False
) -> Iterator[Bank]:
    """Yield a bank that has just opened: people and accounts, and not a cent yet.

    Its log is empty, as that of a bank that is older than events about keys; `rooted`, it begins with its keys' own.
    """
    database = Database(urls.service_url, pool_size=pool_size)
    try:
        yield _found(urls, database, key_path, rooted=rooted)
    finally:
        database.close()


def _found(urls: DatabaseUrls, database: Database, key_path: Path, *, rooted: bool) -> Bank:
    clock = FixedClock(OPENED_AT)
    key_directory, roots = signing.KeyDirectory(key_path), signing.KeyDirectory(key_path / "roots")
    settler = Settler.of(clock, key_directory, APPROVAL_LIFETIME)
    with database.engine.begin() as connection:
        issuer = tokens.open_issuer(
            connection,
            clock,
            legal_name="Riverbank AG",
            lei="529900T8BM49AURSDO55",
            bic="RIVBDEFFXXX",
            jurisdiction="DE",
        )
        if rooted:
            origin = f"log.example/{issuer.issuer_id}"
            tokens.found_log(connection, settler, issuer.issuer_id, key_directory, roots, origin=origin)
        else:
            for use in signing.KeyUse:
                begin_older_key(connection, clock, issuer.issuer_id, key_directory, use=use)
        classes = _open_classes(connection, clock, issuer.issuer_id)
        holders, accounts = _open_accounts(connection, clock, issuer.issuer_id, classes)

        def principal(name: str, role: Role, holder: str | None = None) -> Principal:
            return participants.register_principal(
                connection,
                clock,
                issuer.issuer_id,
                name=name,
                roles=frozenset({role}),
                person=name if holder is None else None,
                holder_id=None if holder is None else holders[holder].id,
                access_until=AUDITED_UNTIL if role == Role.AUDITOR else None,
            )

        return Bank(
            urls=urls,
            database=database,
            clock=clock,
            key_directory=key_directory,
            roots=roots,
            settler=settler,
            issuer=issuer,
            classes=classes,
            holders=holders,
            accounts=accounts,
            maker=principal("Mara Maker", Role.TREASURY_MAKER),
            checker=principal("Chen Checker", Role.TREASURY_CHECKER),
            platform=principal("Harbour's server", Role.PLATFORM, "HARBOUR"),
            holder=principal("Northwind's treasury", Role.HOLDER, "NORTHWIND"),
            auditor=principal("Ada Auditor", Role.AUDITOR),
            operator=principal("Omar Operator", Role.OPERATOR),
        )


def _open_classes(connection: Connection, clock: FixedClock, issuer_id: str) -> dict[str, TokenClass]:
    usd = tokens.open_token_class(
        connection,
        clock,
        issuer_id,
        currency="USD",
        name="Riverbank dollar",
        backing_account_number="RIVB-CONTROL-USD",
    )
    eur = tokens.open_token_class(
        connection,
        clock,
        issuer_id,
        currency="EUR",
        name="Riverbank euro",
        backing_iban="DE75512108001245126199",
    )
    return {"USD": usd, "EUR": eur}


def _open_accounts(
    connection: Connection, clock: FixedClock, issuer_id: str, classes: dict[str, TokenClass]
) -> tuple[dict[str, Holder], dict[str, Account]]:
    holders: dict[str, Holder] = {}
    accounts: dict[str, Account] = {}
    for new in _HOLDERS:
        holders[new.name] = participants.register_holder(
            connection,
            clock,
            issuer_id,
            kind=new.kind,
            legal_name=new.legal_name,
            country=new.country,
            residency=new.country,
            platform_id=holders["HARBOUR"].id if new.kind == HolderKind.MERCHANT else None,
            kyc_status=KycStatus.VERIFIED,
        )
        for currency, of_class in classes.items():
            by_iban = of_class.backing_iban is not None
            accounts[f"{new.name}-{currency}"] = tokens.open_account(
                connection,
                clock,
                issuer_id,
                holder_id=holders[new.name].id,
                token_class_id=of_class.id,
                deposit_account_number=None if by_iban else new.deposit_account_number,
                deposit_iban=new.deposit_iban if by_iban else None,
                reference=f"{new.name}-{currency}",
            )
    return holders, accounts
