"""Living: every feature of the bank used at least once, so that every table has rows to change."""

import hashlib
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from sqlalchemy import Connection

from tallystick import (
    audit,
    identity,
    integrity,
    matching,
    payout_replies,
    payouts,
    reconciliation,
    seals,
    signing,
    statements,
    tokens,
)
from tallystick.core.ids import with_prefix
from tallystick.exports import ExportArguments, ExportFormat, create_export
from tallystick.identity import ClientUse
from tallystick.integrity import Integrity
from tallystick.reconciliation.pairing import CAUSES
from tallystick.signing import SoftwareSigner
from tallystick.statements import NewDepositBalance, importing
from tallystick.statements.deposit_balances import DepositBalanceKind
from tallystick.tokens import Kind, Request, Submission
from tallystick.transparency import DatabaseTiles
from tallystick.transparency.checkpoints import parse_checkpoint
from tallystick.transparency.integrating import integrate
from tallystick.transparency.notes import (
    COSIGNATURE_V1,
    VerifierKey,
    cosign,
    format_signature,
    parse_note,
)
from tests.bank import OPENED_AT, Bank
from tests.camt_writer import Entry, notification, statement
from tests.closing.days import FRIDAY, end_day, reopen, set_calendar
from tests.exports.exported import workshop
from tests.liabilities.attested import attest as attest_liabilities
from tests.payouts.replying import report, take_in, transaction
from tests.reconciliation.runs import reconcile, write_off
from tests.screening.listed import company
from tests.screening.screened import import_list, rescreen
from tests.signing_keys import replace_key
from tests.tokens.paying import HARBOUR as PAYING
from tests.tokens.paying import make_file, pay_out, step
from tests.tokens.waiting_batches import batch_of, item
from tests.tokens.waiting_batches import settle as settle_batch
from tests.tokens.waiting_batches import vote as vote_on_batch
from tests.transparency.logs import log_of
from tests.verify.packs import live

__all__ = ["check", "live_fully", "seal", "today", "witnessed"]

TILES: Final = DatabaseTiles()
_CREDIT: Final = Entry("100.00", remittance="HARBOUR-USD", bank_reference="B-1")
# No account is named here, so people have to say whose it is.
_STRAY: Final = Entry("31.00", remittance="for the boat", bank_reference="B-2")


def check(bank: Bank, *tables: str) -> Integrity:
    """Check the bank as the command does, or some tables of it."""
    with bank.database.read() as connection:
        return integrity.check(connection, TILES, bank.issuer_id, tables=tables or None)


def seal(bank: Bank) -> seals.Seal:
    """Seal the bank's records, well after all that is in them, and go on a little later."""
    bank.clock.at = max(bank.clock.at, datetime.now(UTC)) + timedelta(hours=2)
    set_seal = integrity.seal_records(bank.database, TILES, bank.settler, bank.issuer_id)
    bank.clock.at += timedelta(hours=1)
    return set_seal


def today(bank: Bank, days_later: int = 0) -> str:
    """Return the day that it is at the bank, or one behind it, for its account's next statement."""
    return (bank.clock.at.date() + timedelta(days=days_later)).isoformat()


def live_fully(bank: Bank) -> None:
    """Do something of every kind, and leave something waiting of every kind that can wait."""
    _close_a_day(bank)
    live(bank)
    _pay_out(bank)
    bank.clock.at = max(bank.clock.at, datetime.now(UTC))
    _decide_rules(bank)
    _import_and_reconcile(bank)
    _work_on_breaks(bank)
    _match_and_abandon(bank)
    _write_off(bank)
    attest_liabilities(bank)
    _screen(bank)
    _give_powers(bank)
    _replace_keys(bank)
    _fill_a_tile(bank)
    _leave_waiting(bank)
    with tempfile.TemporaryDirectory() as folder:
        arguments = ExportArguments(ExportFormat.JSONL)
        create_export(workshop(bank, Path(folder)), bank.auditor, arguments)
    for part in range(3):
        bank.database.run(lambda on, part=part: _put_on_record(on, bank, f"attempt-{part}"))  # type: ignore[misc]
    witnessed(bank)


def witnessed(bank: Bank) -> None:
    """Bring the tree up to the log, and have a witness's cosignature on its checkpoint."""
    integrate(bank.database, log_of(bank), bank.issuer_id)
    witness = SoftwareSigner(bytes(range(32)))
    key = VerifierKey("witness.example/w1", COSIGNATURE_V1, witness.public_key)
    with psycopg.connect(_plain(bank.urls.superuser_url), autocommit=True) as connection:
        found = connection.execute(
            "SELECT note FROM log_checkpoint WHERE issuer_id = %s ORDER BY size DESC LIMIT 1",
            [bank.issuer_id],
        ).fetchone()
        assert found is not None
        text = parse_note(found[0].encode()).text
        at = datetime.now(UTC).replace(microsecond=0)
        line = format_signature(cosign(text, key, witness, int(at.timestamp())))
        connection.execute(
            "INSERT INTO log_cosignature (issuer_id, size, witness_key, line, cosigned_at) VALUES (%s, %s, %s, %s, %s)",
            [bank.issuer_id, parse_checkpoint(text).size, str(key), line, at],
        )


def _close_a_day(bank: Bank) -> None:
    set_calendar(bank)
    end_day(bank)
    # What comes late for a closed date lands in the current one.
    bank.clock.at = OPENED_AT + timedelta(days=3)
    late = Entry("7.00", remittance="Funding LANTERN-USD", bank_reference="late", day="2026-11-20")
    bank.import_statement(statement(late, day="2026-11-23", opening="100.00"))
    reopen(bank, FRIDAY)


def _import_and_reconcile(bank: Bank) -> None:
    bank.import_statement(notification(_CREDIT, number=1, day="2026-11-25"))
    imported = (
        bank.import_statement(statement(_CREDIT, _STRAY, day="2026-11-25", closing="130.00"))
        .statements[0]
        .statement
    )
    with bank.database.read() as connection:
        entries = statements.entries(connection, bank.issuer_id, imported.id)
    [stray] = [one.deposit_id for one in entries if one.amount_minor == 3_100]
    bank.ask(
        Kind.DEPOSIT_ASSIGNMENT,
        bank.maker,
        related_id=stray,
        payee_account_id=bank.account_id("LANTERN-USD"),
        reason="It is Lantern's.",
    )
    bank.database.run(
        lambda on: statements.record_deposit_balance(
            on,
            bank.clock,
            bank.operator,
            NewDepositBalance(
                bank.classes["USD"].id,
                bank.account_id("HARBOUR-USD"),
                DepositBalanceKind.BALANCE,
                "12.00",
                "USD",
                False,
                bank.clock.at,
                "core",
                "core-1",
            ),
        )
    )
    for currency in ("USD", "EUR"):
        reconcile(bank, currency)


def _match_and_abandon(bank: Bank) -> None:
    """A batch that was notified in parts, a match that people undo, and a statement that came in half."""
    parts = tuple(
        Entry(amount, remittance="HARBOUR-USD", uetr=uetr, bank_reference=f"P-{amount}")
        for amount, uetr in (
            ("41.00", "255ae394-9965-4438-ac86-f406feada396"),
            ("62.00", "0f1a2b3c-9965-4438-ac86-f406feada396"),
        )
    )
    day, next_day = today(bank), today(bank, 1)
    bank.import_statement(notification(*parts, number=7, day=day))
    booked = Entry("103.00", transactions=parts)
    bank.release_deposit("HARBOUR-USD", "40.00")
    paid = Entry("40.00", credit=False)
    bank.import_statement(statement(booked, paid, day=day, opening="130.00"))
    # What is released in the evening before holidays is of the next business day.
    for currency, days_max in (("USD", 7), ("EUR", 3)):
        terms = {"tolerance": "0.50", "days_max": days_max, "automatic_from": "exact"}
        bank.approve(bank.change("matching_terms", bank.classes[currency].id, terms).resource_id)
    matching.match_in_parts(bank.database, bank.clock, bank.issuer_id, bank.classes["USD"].id)
    with bank.database.read() as connection:
        [suggested] = matching.matches(connection, bank.issuer_id, state="proposed", limit=10)

    def decide(connection: Connection) -> None:
        matching.accept(connection, bank.clock, bank.maker, suggested.id)
        matching.undo(connection, bank.clock, bank.maker, suggested.id, reason="Looked into.")

    bank.database.run(decide)
    entries = [Entry("1.00", remittance="for the boat", bank_reference=f"H-{n}") for n in range(5)]
    half = statement(*entries, day=next_day, opening="193.00")

    def stop(_count: int) -> None:
        raise InterruptedError

    file = statements.read_file(half, size_max_bytes=1_000_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importing, "PART_SIZE_MAX", 2)
        with pytest.raises(InterruptedError):
            statements.import_ahead(bank.database, bank.settler, bank.maker, file, on_progress=stop)
    with bank.database.read() as connection:
        begun = statements.statements(connection, bank.issuer_id, limit=1_000)[-1]
    bank.database.run(
        lambda on: statements.abandon_statement(
            on, bank.clock, bank.maker, begun.id, "The bank sent another."
        )
    )


def _work_on_breaks(bank: Bank) -> None:
    with bank.database.read() as connection:
        found = reconciliation.breaks(connection, bank.issuer_id, limit=10)
    [first, second] = found[:2]

    def work(connection: Connection) -> None:
        about = (connection, bank.clock, bank.operator, first.id)
        reconciliation.assign(*about, bank.operator.id, note="Look at it.")
        reconciliation.add_evidence(*about, name="mail.txt", media_type="text/plain", content=b"We paid it.")
        reconciliation.add_note(connection, bank.clock, bank.operator, second.id, "Seen.")

    bank.database.run(work)


def _write_off(bank: Bank) -> None:
    """What the control account has otherwise than the bank is posted, and matching takes it in."""
    reconcile(bank)
    with bank.database.read() as connection:
        waiting = reconciliation.breaks(connection, bank.issuer_id, limit=100)
    odd = [one for one in waiting if one.ended_at is None and one.type != "timing"]
    write_off(bank, next(one for one in odd if one.cause.startswith(CAUSES)))
    matching.match_in_parts(bank.database, bank.clock, bank.issuer_id, bank.classes["USD"].id)


def _decide_rules(bank: Bank) -> None:
    bank.enact(
        "USD",
        limits={"payer_day": "5000.00"},
        approvals={"transfer_batch": [{"above": "10.00", "checkers": 1}]},
    )
    bank.draft("EUR", limits={"payer_day": "50.00"})
    retired = bank.enact("EUR", limits={"payer_day": "900.00"})
    bank.approve(bank.change("policy_retirement", retired.id).resource_id)
    bank.change("token_class_mode", bank.classes["EUR"].id, {"mode": "redeem_only"})
    bank.change("breaker_trip", bank.classes["EUR"].id)
    bank.enact("USD", limits={"payer_day": "6000.00"}, breaker={"window_seconds": 60, "mints": 1})
    bank.deposit("HARBOUR-USD", "2.00")
    asked = [
        bank.ask(
            Kind.MINT,
            bank.maker,
            amount="1.00",
            currency="USD",
            payee_account_id=bank.account_id("HARBOUR-USD"),
        )
        for _ in range(2)
    ]
    for one in asked:
        bank.outcome(
            bank.request(
                Kind.APPROVE,
                bank.checker,
                related_id=with_prefix("approval", one.resource_id),
                amount="1.00",
                currency="USD",
            )
        )


def _screen(bank: Bank) -> None:
    import_list(bank, company("C-1", "Lantern Lighting Co", country=["cn"]), company("C-2", "Nobody at all"))
    rescreen(bank)
    with psycopg.connect(_plain(bank.urls.superuser_url)) as connection:
        hits = connection.execute("SELECT id FROM screening WHERE state = 'hit'").fetchall()
    assert hits
    bank.approve(bank.change("screening_clearance", hits[0][0], {"reason": "Another one."}).resource_id)
    import_list(bank, company("C-1", "Lantern Lighting Co", country=["cn"]), version="2")
    rescreen(bank)


def _give_powers(bank: Bank) -> None:
    secret = hashlib.sha256(b"secret").hexdigest()
    payload: dict[str, Any] = {"secret_sha256": secret, "lifetime_days": 30, "ip_allow_list": ["10.0.0.0/8"]}
    bank.approve(bank.change("api_key_registration", bank.maker.id, payload).resource_id)
    bank.approve(bank.change("principal_terms", bank.holder.id, {"calls_per_minute_max": 100}).resource_id)
    bank.change("holder_suspension", bank.holders["NORTHWIND"].id, {"reason": "A stolen key."})
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    client = bank.database.run(
        lambda on: identity.register_client(
            on,
            bank.clock,
            bank.issuer_id,
            bank.platform.id,
            use=ClientUse.TOKEN,
            jwk=jwk,
            algorithm="EdDSA",
            lifetime_days=30,
            lifetime_days_max=365,
        )
    )
    assert client.id


def _replace_keys(bank: Bank) -> None:
    """Where the bank is under a root: let another key sign from here on."""
    with bank.database.read() as connection:
        rooted = signing.list_manifests(connection, bank.issuer_id)
    if rooted:
        replace_key(bank)


def _pay_out(bank: Bank) -> None:
    """Let payouts go every way, with a file, a report of the bank, and something that it got wrong."""
    bank.mint(PAYING, "100.00")
    step(bank, Kind.PAYOUT_CANCELLATION, pay_out(bank, "10.00", account=PAYING))
    amounts = ("11.00", "12.00", "13.00")
    rejected, settled, given_back = (pay_out(bank, one, account=PAYING) for one in amounts)
    message_id = make_file(bank).message_id
    take_in(bank, report(message_id, transaction(rejected, "RJCT", "AC04"), message_id="BANK-1"))
    for payout_id in (settled, given_back):
        step(bank, Kind.PAYOUT_SETTLEMENT, payout_id)
    step(bank, Kind.PAYOUT_RETURN, given_back)
    step(bank, Kind.PAYOUT_GIVE_BACK, given_back)
    take_in(bank, report(message_id, transaction(settled, "RJCT"), message_id="BANK-2"))
    _work_on_a_finding(bank)
    pay_out(bank, "14.00", account=PAYING)


def _work_on_a_finding(bank: Bank) -> None:
    with bank.database.read() as connection:
        [found] = payouts.findings(connection, bank.issuer_id)

    def work(connection: Connection) -> None:
        about = (connection, bank.clock, bank.operator, found.id)
        payout_replies.assign_finding(*about, bank.operator.id, note="Ask the bank.")
        payout_replies.resolve_finding(*about, "The bank took it back.")

    bank.database.run(work)


def _fill_a_tile(bank: Bank) -> None:
    """Fill the tree's first tile, with the payments of a batch that people let through among them."""
    waiting = settle_batch(
        bank, batch_of(bank, item(bank, "LANTERN-USD", "6.00"), item(bank, "SILKROAD-USD", "5.00"))
    )
    vote_on_batch(bank, waiting.resource_id, "11.00")
    requests = tuple(
        bank.request(
            Kind.TRANSFER,
            bank.maker,
            amount="0.01",
            currency="USD",
            payer_account_id=bank.account_id("HARBOUR-USD"),
            payee_account_id=bank.account_id("LANTERN-USD"),
            reference=f"invoice {number}",
            source="192.0.2.1",
        )
        for number in range(230)
    )
    assert all(one.refusal is None for one in bank.settle(Submission(requests))[0].outcomes)


def _leave_waiting(bank: Bank) -> None:
    bank.hold("HARBOUR-USD", "LANTERN-USD", "2.00", expires_at=bank.clock.at + timedelta(days=9))
    asked: dict[str, Any] = {
        "amount": "3.00",
        "currency": "USD",
        "payee_account_id": bank.account_id("HARBOUR-USD"),
    }
    for ends in ("waits", "rejected", "expired"):
        waiting = bank.ask(Kind.DEPOSIT, bank.maker, reason=f"Seen on the core: {ends}.", **asked)
        if ends == "rejected":
            bank.reject(waiting.resource_id)
        if ends == "expired":
            before = bank.clock.at
            bank.clock.at += timedelta(hours=73)
            for one in _due(bank):
                bank.outcome(one)
            bank.clock.at = max(before, bank.clock.at)
    bank.ask(Kind.DEPOSIT, bank.maker, reason="Seen on the core.", **asked)
    bank.place_order("HARBOUR-USD", "4.00", expires_at=bank.clock.at + timedelta(days=30))


def _due(bank: Bank) -> list[Request]:
    with bank.database.read() as connection:
        return tokens.due(connection, bank.issuer_id, bank.clock.at, 100)


def _put_on_record(connection: Connection, bank: Bank, about: str) -> None:
    draft = audit.Draft(
        operation="holder",
        decision=audit.Decision.REFUSED,
        method="POST",
        status=409,
        principal_id=bank.operator.id,
        person=bank.operator.person,
        subject_id=bank.holders["HARBOUR"].id,
        source="192.0.2.1",
        request_id=about,
        request_hash=hashlib.sha256(about.encode()).digest(),
        code="already_registered",
        reasons={"already_registered": 2},
    )
    audit.append(connection, bank.clock, bank.issuer_id, [draft])


def _plain(url: str) -> str:
    return url.replace("postgresql+psycopg://", "postgresql://")
