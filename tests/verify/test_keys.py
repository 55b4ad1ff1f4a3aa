"""A signature is judged by its key's state at its index, and only signed events give trust on."""

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

from tallystick import signing
from tallystick.tokens import Kind
from tallystick_verify import ExitCode, Report
from tallystick_verify.policy_file import Pin
from tests.bank import Bank
from tests.verify.forging import append, freeze, key_event
from tests.verify.packs import Evidence, Insider, event_key, export_evidence, verified


def _x(public_key: bytes) -> str:
    return base64.urlsafe_b64encode(public_key).decode().rstrip("=")


def _unfrozen(insider: Insider) -> dict[str, Any]:
    """Return a freeze of an account that is not frozen: something small to sign."""
    transfer = insider.payloads()[insider.index_of("token.transferred")]
    frozen = insider.payloads()[insider.index_of("account.frozen", 1)]
    return freeze(insider, frozen | {"payer_account_id": transfer["payer_account_id"]})


def _introduced(evidence: Evidence) -> tuple[Insider, int]:
    """Introduce another key by a signed event, and let it sign; return that event's index."""
    insider = evidence.insider()
    key = {"kid": insider.other.key_id, "use": "event", "x": _x(insider.other.public_key)}
    activated = append(insider, key_event(insider, "key.activated", key))
    last = append(insider, _unfrozen(insider), insider.other)

    def tell(rows: list[dict[str, Any]]) -> None:
        first = event_key(rows)
        rows.append({**first, "kid": key["kid"], "x": key["x"], "from_index": last})
        first |= {"state": "retired", "until_index": activated}

    insider.edit("keys.jsonl", tell)
    _signed_by_the_new(insider)
    return insider, activated


def _signed_by_the_new(insider: Insider) -> None:
    insider.signer, insider.other = insider.other, insider.signer
    insider.seal(lambda manifest: manifest.update(export_key_id=insider.signer.key_id))


def test_a_key_that_an_event_introduced_is_trusted(evidence: Evidence, tmp_path: Path) -> None:
    insider, _ = _introduced(evidence)

    report = verified(insider.files, tmp_path / "pack", evidence.policy)

    assert report.exit_code == ExitCode.OK, report.text()
    assert len(evidence.policy.pins) == 1


def test_the_key_before_signs_no_more(evidence: Evidence, tmp_path: Path) -> None:
    insider, _ = _introduced(evidence)
    insider.resign(len(insider.payloads()) - 1, dict, other=True)

    report = verified(insider.files, tmp_path / "pack", evidence.policy)

    assert report.exit_code == ExitCode.KEY
    assert "retired before" in report.findings[0].message


def test_a_key_that_nobody_trusted_introduced(evidence: Evidence, tmp_path: Path) -> None:
    insider, activated = _introduced(evidence)
    # The new key introduces itself.
    insider.resign(activated, dict)

    report = verified(insider.files, tmp_path / "pack", evidence.policy)

    assert report.exit_code == ExitCode.KEY
    assert "not introduced" in report.findings[0].message


def _revoked(evidence: Evidence, since: int | None) -> Insider:
    insider, _ = _introduced(evidence)
    key: dict[str, Any] = {"kid": insider.other.key_id, "use": "event"}
    if since is not None:
        key["compromised_from_index"] = since
    append(insider, key_event(insider, "key.revoked", key))

    def tell(rows: list[dict[str, Any]]) -> None:
        event_key(rows)["state"] = "revoked"

    insider.edit("keys.jsonl", tell)
    return insider


def test_a_revocation_reaches_back_as_far_as_it_says(evidence: Evidence, tmp_path: Path) -> None:
    index = evidence.insider().payloads()[-1]["index"] + 2

    late = verified(_revoked(evidence, index).files, tmp_path / "late", evidence.policy)
    early = verified(_revoked(evidence, 5).files, tmp_path / "early", evidence.policy)
    whole = verified(_revoked(evidence, None).files, tmp_path / "whole", evidence.policy)

    assert late.exit_code == ExitCode.OK, late.text()
    assert early.exit_code == whole.exit_code == ExitCode.KEY
    assert "revoked" in early.findings[0].message


def test_key_events_of_an_unknown_form(evidence: Evidence, tmp_path: Path) -> None:
    unknown: list[tuple[str, dict[str, Any]]] = [
        ("key.activated", {"kid": "A" * 43}),
        ("key.revoked", {"kid": evidence.signer.key_id, "use": "event", "compromised_from_index": -1}),
        ("key.retired", {"kid": evidence.signer.key_id, "use": "event", "why": "x"}),
        ("key.lost", {"kid": evidence.signer.key_id, "use": "event"}),
    ]
    for number, (event_type, key) in enumerate(unknown):
        insider = evidence.insider()
        append(insider, key_event(insider, event_type, key))
        report = verified(insider.files, tmp_path / str(number), evidence.policy)
        assert report.exit_code == ExitCode.UNSUPPORTED, report.text()


def test_rotation_and_revocation_as_the_service_tells_them(bank: Bank, tmp_path: Path) -> None:
    bank.mint("HARBOUR-USD", "10.00")
    with bank.database.engine.begin() as connection:
        signing.rotate(connection, bank.clock, bank.issuer_id, bank.key_directory)
    bank.transfer("HARBOUR-USD", "LANTERN-USD", "1.00")

    def verify(name: str, pins: tuple[Pin, ...] | None = None) -> Report:
        evidence = Evidence.of(bank, export_evidence(bank, tmp_path / name))
        policy = evidence.policy if pins is None else replace(evidence.policy, pins=pins)
        return verified(evidence.files, tmp_path / f"{name}-pack", policy)

    first = Evidence.of(bank, export_evidence(bank, tmp_path / "first"))
    pins = sorted(first.policy.pins, key=lambda pin: pin.public_key.kid == first.signer.key_id)
    assert verify("rotated").exit_code == ExitCode.OK
    assert verify("one-pinned", (pins[1],)).exit_code == ExitCode.KEY

    with bank.database.engine.begin() as connection:
        signing.revoke(
            connection, bank.clock, bank.issuer_id, pins[0].public_key.kid, reason="Seen on a stick."
        )
    assert verify("revoked").exit_code == ExitCode.KEY
    # The auditor knows by other evidence that this key was still the bank's alone up to index 2.
    ended = (Pin(pins[0].public_key, 0, 2), pins[1])
    assert verify("ended", ended).exit_code == ExitCode.OK


def test_a_replaced_key_that_signs_again(bank: Bank, tmp_path: Path) -> None:
    bank.mint("HARBOUR-USD", "10.00")
    with bank.database.engine.begin() as connection:
        signing.rotate(connection, bank.clock, bank.issuer_id, bank.key_directory)
    for _ in range(2):
        bank.ask(
            Kind.TRANSFER,
            bank.maker,
            amount="1.00",
            currency="USD",
            payer_account_id=bank.account_id("HARBOUR-USD"),
            payee_account_id=bank.account_id("LANTERN-USD"),
        )
    evidence = Evidence.of(bank, export_evidence(bank, tmp_path / "first"))
    insider = evidence.insider()
    first = next(pin for pin in evidence.policy.pins if pin.public_key.kid != evidence.signer.key_id)
    insider.other = bank.key_directory.signer(bank.issuer_id, first.public_key.kid)
    insider.resign(4, dict, other=True)

    report = verified(insider.files, tmp_path / "pack", evidence.policy)

    assert report.exit_code == ExitCode.KEY
    assert "signs again" in report.findings[0].message
