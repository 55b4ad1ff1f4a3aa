"""A holder's proof and its malformed twins: every change of it is found, and each by its class."""

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from tallystick import signing, transparency
from tallystick.api.signed_books import BOOKS_MEDIA_TYPE
from tallystick.core.canonical_json import canonical_json
from tallystick.core.embedded_postgres import EmbeddedPostgres
from tallystick.signing import sign_compact
from tallystick_verify import ExitCode, Policy
from tallystick_verify.cli import run
from tallystick_verify.ed25519 import PublicKey
from tallystick_verify.encodings import base64url_bytes, base64url_text
from tallystick_verify.liability_proofs import verify_liability_proof
from tallystick_verify.notes import read_verifier_key
from tallystick_verify.policy_file import CheckpointRule, Pin
from tests.api.examples import integrate_all
from tests.bank import Bank, open_bank
from tests.database import cloned_database
from tests.liabilities.attested import attest, proof_document
from tests.verify.packs import fresh_signer
from tests.verify.twins import byte_twins, member_twins

Proof = dict[str, Any]


@pytest.fixture(scope="module")
def attested_bank(
    postgres_server: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bank]:
    with (
        cloned_database(postgres_server, migrated_template) as urls,
        open_bank(urls, tmp_path_factory.mktemp("keys"), pool_size=2) as bank,
    ):
        bank.mint("HARBOUR-USD", "100.00")
        bank.transfer("HARBOUR-USD", "LANTERN-USD", "30.00")
        bank.transfer("HARBOUR-USD", "SILKROAD-USD", "7.00")
        bank.mint("NORTHWIND-USD", "0.50")
        yield bank


@pytest.fixture(scope="module")
def proof(attested_bank: Bank) -> Proof:
    return proof_document(attested_bank, "LANTERN", attest(attested_bank))


@pytest.fixture(scope="module")
def other(attested_bank: Bank, proof: Proof) -> Proof:
    """The same holder's proof of another attestation, after the first one."""
    assert proof
    attested_bank.redeem("HARBOUR-USD", "1.00")
    return proof_document(attested_bank, "LANTERN", attest(attested_bank, key="other"))


@pytest.fixture(scope="module")
def policy(attested_bank: Bank) -> Policy:
    with attested_bank.database.read() as connection:
        [key] = signing.list_keys(connection, attested_bank.issuer_id, use=signing.KeyUse.EVENT)
    return Policy(attested_bank.issuer_id, (Pin(PublicKey(key.public_key), 0, None),))


def verdict(proof: Proof, policy: Policy) -> ExitCode:
    return verify_liability_proof(json.dumps(proof).encode(), policy).exit_code


def test_a_proof_is_verified_and_says_what_it_does_not_prove(proof: Proof, policy: Policy) -> None:
    report = verify_liability_proof(json.dumps(proof).encode(), policy)

    assert report.exit_code == ExitCode.OK, report.text()
    assert report.pack["amount"] == "30.00 USD"
    assert report.pack["total"] == "100.50 USD"
    assert "what it owes, and not what it owns" in report.text()
    assert "THAT OTHERS WERE SHOWN THE SAME ROOT" in report.text()


def _swapped(proof: Proof) -> None:
    # The siblings are told on the other side.
    proof["position"] ^= 1


def _other_order(proof: Proof) -> None:
    proof["path"].reverse()


def _a_cent_moved(proof: Proof) -> None:
    proof["amount"] = "30.01"
    first = proof["path"][0]
    cents = round(float(first["sum"]) * 100) - 1
    first["sum"] = f"{cents / 100:.2f}" if cents >= 0 else "0.00"


TWINS: dict[str, tuple[ExitCode, Callable[[Proof], object]]] = {
    "swapped children": (ExitCode.FIGURES, _swapped),
    "siblings in another order": (ExitCode.FIGURES, _other_order),
    "a cent less": (ExitCode.FIGURES, lambda proof: proof.update(amount="29.99")),
    "a cent taken from the neighbour": (ExitCode.FIGURES, _a_cent_moved),
    "a wrong salt": (ExitCode.FIGURES, lambda proof: proof.update(salt="00" * 32)),
    "somebody else's": (
        ExitCode.FIGURES,
        lambda proof: proof.update(liability_id="liability_01h455vb4pex5vsknk084sn02q"),
    ),
    "a truncated path": (ExitCode.FIGURES, lambda proof: proof["path"].pop()),
    "a longer path": (ExitCode.FIGURES, lambda proof: proof["path"].append(proof["path"][0])),
    "no path": (ExitCode.FIGURES, lambda proof: proof.update(path=[])),
    "a sum less": (ExitCode.FIGURES, lambda proof: proof["path"][1].update(sum="0.00")),
    "an overflowing sum": (
        ExitCode.FIGURES,
        lambda proof: proof["path"][1].update(sum="92233720368547758.07"),
    ),
    "a sum that nothing can have": (
        ExitCode.PACK,
        lambda proof: proof["path"][1].update(sum="92233720368547758.08"),
    ),
    "a negative sum": (ExitCode.PACK, lambda proof: proof["path"][0].update(sum="-1.00")),
    "a negative amount": (ExitCode.PACK, lambda proof: proof.update(amount="-30.00")),
    "a number for an amount": (ExitCode.PACK, lambda proof: proof.update(amount=30)),
    "an amount of another scale": (ExitCode.PACK, lambda proof: proof.update(amount="30.0")),
    "a position beside the tree": (ExitCode.FIGURES, lambda proof: proof.update(position=4)),
    "a negative position": (ExitCode.FIGURES, lambda proof: proof.update(position=-1)),
    "a true position": (ExitCode.PACK, lambda proof: proof.update(position=True)),
    "a short hash": (ExitCode.PACK, lambda proof: proof["path"][0].update(hash="00" * 31)),
    "a short salt": (ExitCode.PACK, lambda proof: proof.update(salt="00" * 31)),
    "a path of texts": (ExitCode.PACK, lambda proof: proof.update(path=["00", "00"])),
    "a path that never ends": (ExitCode.PACK, lambda proof: proof.update(path=proof["path"] * 20)),
    "another index": (ExitCode.FIGURES, lambda proof: proof.update(as_of_index=0)),
    "another currency": (ExitCode.FIGURES, lambda proof: proof.update(currency="EUR")),
    "another class": (
        ExitCode.FIGURES,
        lambda proof: proof.update(token_class_id="class_01h455vb4pex5vsknk084sn02q"),
    ),
    "another attestation": (
        ExitCode.FIGURES,
        lambda proof: proof.update(attestation_id="attestation_01h455vb4pex5vsknk084sn02q"),
    ),
    "another format": (
        ExitCode.UNSUPPORTED,
        lambda proof: proof.update(format="tallystick-liability-proof/2"),
    ),
    "a member more": (ExitCode.UNSUPPORTED, lambda proof: proof.update(total="1.00")),
    "a member less": (ExitCode.UNSUPPORTED, lambda proof: proof.pop("receipt")),
    "no event": (ExitCode.SIGNATURE, lambda proof: proof.update(signed_event="a.b")),
    "a flipped signature": (
        ExitCode.SIGNATURE,
        lambda proof: proof.update(signed_event=proof["signed_event"][:-6] + "AAAAAA"),
    ),
    "a receipt that is a number": (ExitCode.PACK, lambda proof: proof.update(receipt=1)),
    "another object": (ExitCode.PACK, lambda proof: proof.update(object="liability")),
}


@pytest.mark.parametrize("name", TWINS)
def test_a_malformed_twin_is_found(proof: Proof, policy: Policy, name: str) -> None:
    exit_code, change = TWINS[name]
    twin = deepcopy(proof)
    change(twin)

    assert verdict(twin, policy) == exit_code


def test_the_event_of_another_attestation_does_not_fit(proof: Proof, other: Proof, policy: Policy) -> None:
    assert verdict(other, policy) == ExitCode.OK
    assert verdict(other | {"path": proof["path"]}, policy) == ExitCode.FIGURES
    assert verdict(other | {"salt": proof["salt"]}, policy) == ExitCode.FIGURES
    assert verdict(proof | {"signed_event": other["signed_event"]}, policy) == ExitCode.FIGURES


def test_the_root_must_be_signed_as_one_by_a_key_that_is_pinned(
    attested_bank: Bank, proof: Proof, policy: Policy
) -> None:
    with attested_bank.database.read() as connection:
        [minted] = connection.exec_driver_sql(
            "SELECT jws FROM event WHERE issuer_id = %s AND event_index = 0", (attested_bank.issuer_id,)
        ).scalars()
    assert verdict(proof | {"signed_event": minted}, policy) == ExitCode.FIGURES
    assert verdict(proof, replace(policy, pins=(policy.pins[0]._replace(until_index=3),))) == ExitCode.KEY
    assert verdict(proof, replace(policy, issuer_id="issuer_01h455vb4pex5vsknk084sn02q")) == ExitCode.LOG
    payload = b"{}"
    forged = sign_compact(fresh_signer(), payload)
    assert verdict(proof | {"signed_event": forged}, policy) == ExitCode.KEY
    books = sign_compact(
        attested_bank.key_directory.signer(attested_bank.issuer_id, policy.pins[0].public_key.kid),
        payload,
        media_type=BOOKS_MEDIA_TYPE,
    )
    assert verdict(proof | {"signed_event": books}, policy) == ExitCode.UNSUPPORTED


@pytest.mark.parametrize(
    "members", [{"depth": 3}, {"depth": 1}, {"total": "100.49"}, {"root_hash": "0" * 64}], ids=str
)
def test_who_holds_the_key_and_signs_something_else_is_found_too(
    attested_bank: Bank, proof: Proof, policy: Policy, members: dict[str, Any]
) -> None:
    segment = proof["signed_event"].split(".")[1]
    payload = json.loads(base64url_bytes(segment.encode())) | members
    signer = attested_bank.key_directory.signer(attested_bank.issuer_id, policy.pins[0].public_key.kid)
    resigned = sign_compact(signer, canonical_json(payload))

    assert verdict(proof | {"signed_event": resigned}, policy) == ExitCode.FIGURES


def test_with_a_log_that_is_pinned_the_receipt_must_hold(
    attested_bank: Bank, proof: Proof, policy: Policy
) -> None:
    integrate_all(attested_bank)
    log = transparency.Log(attested_bank.clock, attested_bank.key_directory, "log.test/log")
    with attested_bank.database.read() as connection:
        origin, keys = transparency.log_keys(connection, attested_bank.issuer_id)
        index = next(
            index
            for (index, jws) in connection.exec_driver_sql(
                "SELECT event_index, jws FROM event WHERE issuer_id = %s", (attested_bank.issuer_id,)
            )
            if jws == proof["signed_event"]
        )
        receipts = [
            transparency.receipt(
                connection, log.tiles, attested_bank.issuer_id, one, transparency.NO_WITNESSES
            )
            for one in (index, 0)
        ]
    assert origin is not None
    pinned = replace(
        policy,
        checkpoint=CheckpointRule(origin, tuple(read_verifier_key(one) for one in keys), (), 0, 0),
    )

    report = verify_liability_proof(json.dumps(proof | {"receipt": receipts[0]}).encode(), pinned)
    assert report.exit_code == ExitCode.OK, report.text()
    assert report.checks["log"].state == "passed"
    assert verdict(proof, pinned) == ExitCode.LOG
    assert verdict(proof | {"receipt": receipts[1]}, pinned) == ExitCode.LOG


def test_the_command(proof: Proof, policy: Policy, tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    file, rules = tmp_path / "proof.json", tmp_path / "bank.json"
    file.write_text(json.dumps(proof))
    x = policy.pins[0].public_key.octets
    rules.write_text(
        json.dumps({"version": 1, "issuer_id": policy.issuer_id, "keys": [{"x": base64url_text(x).decode()}]})
    )

    assert run(["liability-proof", str(file), "--policy", str(rules)]) == ExitCode.OK
    assert "VERIFIED" in capsys.readouterr().out
    file.write_text(json.dumps(proof | {"amount": "30.01"}))
    assert run(["liability-proof", str(file), "--policy", str(rules), "--json"]) == ExitCode.FIGURES
    assert json.loads(capsys.readouterr().out)["class"] == "figures"
    assert run(["books", str(file), "--policy", str(rules)]) == ExitCode.SIGNATURE
    assert run(["books", str(tmp_path / "absent"), "--policy", str(rules)]) == ExitCode.USAGE
    assert run(["liability-proof", str(file), "--policy", str(file)]) == ExitCode.USAGE
    with pytest.raises(SystemExit):
        run(["liability-proof", "--help"])


def test_a_member_that_is_missing_new_or_of_another_type(proof: Proof, policy: Policy) -> None:
    """Each member of the proof, and of each step of its path."""
    assert len(proof["path"]) == 2
    places = set()
    for what, place, twin in member_twins(proof):
        # Without a pinned log nobody looks for a receipt: a text there is judged where one is.
        if place == ".receipt" and isinstance(twin.get("receipt"), str):
            continue
        assert verdict(twin, policy) in {ExitCode.PACK, ExitCode.UNSUPPORTED, ExitCode.FIGURES}, (what, place)
        places.add(place)
    assert places > {f".{name}" for name in proof} | {".another", ".path[]", ".path[].hash", ".path[].sum"}


def test_bytes_that_are_cut_short_or_turned(proof: Proof, policy: Policy) -> None:
    golden = json.dumps(proof, separators=(",", ":")).encode()
    assert verify_liability_proof(golden, policy).exit_code == ExitCode.OK
    for what, twin in byte_twins(golden, places=400):
        exit_code = verify_liability_proof(twin, policy).exit_code
        assert exit_code not in {ExitCode.OK, ExitCode.USAGE, ExitCode.INTERNAL}, what
