"""Attestations: what is signed of a run, who can check it, and the page that is made of it."""

from datetime import timedelta
from pathlib import Path

import jwt
import pypdfium2  # type: ignore[import-untyped]
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

import tallystick
from tallystick import attestations, participants, tokens
from tallystick.attestations import RunNotAttestedError, SignedAttestation
from tallystick.attestations.page import attestation_page
from tests.bank import Bank, oracle
from tests.closing.days import FRIDAY, attest, bring_statement
from tests.reconciliation.runs import live, reconcile, root_hash_of
from tests.tokens.changing import log_of, rows

PATH = "https://tokens.example/v1/reconciliations/{}/attestation"


def signed(bank: Bank, reconciliation_id: str) -> SignedAttestation:
    with bank.database.read() as connection:
        return attestations.signed_attestation(connection, reconciliation_id)


def page(bank: Bank, of: SignedAttestation) -> bytes:
    attestation = of.attestation
    with bank.database.read() as connection:
        viewer = tokens.system_principal(bank.issuer_id, attestation.attested_at)
        issuer = participants.issuer(connection, viewer, bank.issuer_id)
        of_class = participants.token_class(connection, bank.issuer_id, attestation.token_class_id)
    return attestation_page(of, issuer, of_class, PATH.format(attestation.reconciliation_id))


def test_a_run_ends_in_a_signed_fact(bank: Bank) -> None:
    statement = live(bank)
    made = attest(bank)
    found = signed(bank, made.reconciliation_id)
    [(key,)] = rows(bank, "SELECT public_key FROM signing_key WHERE use = 'event'")
    public_key = Ed25519PublicKey.from_public_bytes(bytes(key))
    assert jwt.PyJWS().decode(found.jws, public_key, algorithms=["EdDSA"])
    assert found.payload == log_of(bank)[-1]
    assert found.payload["attestation"] == {
        "backing": "control_account",
        "bank_as_of": "2026-11-20",
        "bank_balance": "1263278.27",
        "breaks": {"timing": {"count": 1, "difference": "-777.77"}},
        "control_account": "1262500.50",
        "currency": "USD",
        "deposits_available": "1261505.75",
        "holder_balances": "994.75",
        "ledger_as_of": "2026-11-20T08:00:00.000000Z",
        "ledger_index": made.ledger_index,
        "liability_attestation_id": None,
        "liability_register": "994.75",
        "liability_root": "994.75",
        "log_root_hash": root_hash_of(bank, made.ledger_index + 1),
        "payments_in_transit": "0.00",
        "scale": 2,
        "statement_id": statement.id,
        "supply": "994.75",
        "timing": "-777.77",
        "trial_balance": "994.75",
        "verdict": "tied",
        "verified_size": str(made.ledger_index + 1),
    }
    assert (made.supply_minor, made.bank_minor, made.timing_minor) == (99_475, 126_327_827, -77_777)
    # A run that looks at the log finds nothing of an attestation in its class's money.
    assert attest(bank).verdict == "tied"
    oracle(bank)


def test_a_past_moment_is_attested_as_it_was(bank: Bank) -> None:
    bring_statement(bank, FRIDAY, ("HARBOUR-USD", "100.00"))
    bank.mint("HARBOUR-USD", "60.00", deposited=False)
    then = bank.clock.at
    bank.clock.at += timedelta(hours=1)
    bank.mint("HARBOUR-USD", "10.00", deposited=False)
    made = attest(bank, as_of=then)
    assert (made.supply_minor, made.ledger_as_of, made.attested_at) == (6_000, then, bank.clock.at)
    assert attest(bank).supply_minor == 7_000


def test_history_is_listed_by_class_verdict_and_period(bank: Bank) -> None:
    opened = bank.clock.at
    bring_statement(bank, FRIDAY, ("HARBOUR-USD", "100.00"))
    first = attest(bank)
    euro = attest(bank, "EUR")
    bank.clock.at += timedelta(hours=1)
    bank.deposit("HARBOUR-USD", "0.01", value_date=FRIDAY)
    broken = attest(bank)

    def listed(**asked: object) -> list[str]:
        with bank.database.read() as connection:
            found = attestations.attestations(connection, bank.issuer_id, **asked)  # type: ignore[arg-type]
        return [one.reconciliation_id for one in found]

    ids = [one.reconciliation_id for one in (first, euro, broken)]
    assert listed() == ids
    assert listed(token_class_id=bank.classes["USD"].id) == [ids[0], ids[2]]
    assert listed(verdict="broken", token_class_id=bank.classes["USD"].id) == [ids[2]]
    assert listed(after=opened) == [ids[2]]
    assert listed(until=opened) == ids[:2]
    assert listed(behind=ids[0], limit=1) == [ids[1]]
    assert euro.bank_minor is None
    with bank.database.read() as connection:
        assert attestations.latest(connection, bank.issuer_id, bank.classes["USD"].id) == broken


def test_the_page_is_the_same_byte_for_byte_and_tells_the_figures(bank: Bank) -> None:
    live(bank)
    found = signed(bank, attest(bank).reconciliation_id)
    made = page(bank, found)
    assert made == page(bank, signed(bank, found.attestation.reconciliation_id))
    with pypdfium2.PdfDocument(made) as document:
        assert len(document) == 1
        assert tuple(round(size) for size in document[0].get_size()) == (595, 842)
        text = document[0].get_textpage().get_text_range()
    for words in (
        "Riverbank AG",
        "TIED",
        "994.75",
        "1,263,278.27",
        "-777.77",
        "Timing",
        "2026-11-20",
        found.event_id,
    ):
        assert words in text, words


def test_a_broken_run_s_page_says_so_and_what_nothing_explains(bank: Bank) -> None:
    bank.deposit("HARBOUR-USD", "0.01", value_date=FRIDAY)
    with pypdfium2.PdfDocument(page(bank, signed(bank, attest(bank).reconciliation_id))) as document:
        text = document[0].get_textpage().get_text_range()
    assert "BROKEN" in text
    assert "no statement" in text


def test_a_run_from_before_attestations_has_none(bank: Bank) -> None:
    run, _ = reconcile(bank)
    for absent in (run.id, "reconciliation_00000000000000000000000000", "x"):
        with pytest.raises(RunNotAttestedError):
            signed(bank, absent)


def test_every_run_that_the_service_makes_goes_through_here() -> None:
    """Whoever reconciles calls this room's verb: the other one is for it alone."""
    callers = {
        path.relative_to(Path(tallystick.__file__).parent).as_posix()
        for path in Path(tallystick.__file__).parent.rglob("*.py")
        if "reconciliation.reconcile(" in path.read_text()
    }
    assert callers == {"attestations/__init__.py"}
