"""Root manifests: what roots sign, which version follows on which, and what is refused."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from tallystick import signing
from tallystick.core.base64url import base64url
from tallystick.core.canonical_json import canonical_json
from tallystick.core.errors import DomainError
from tallystick.signing import (
    NamedKey,
    RootManifest,
    RootManifestMalformedError,
    RootManifestRefusedError,
    SignedManifest,
    SoftwareSigner,
    add_signature,
    missing_signatures,
    read_manifest,
    unsigned,
)
from tallystick.signing.roots import ROOT_MEDIA_TYPE, check_successor
from tests.bank import Bank, open_bank
from tests.database import DatabaseUrls
from tests.signing_keys import activate_key, name_keys, prepared_key

ISSUER: Final = "issuer_01h455vb4pex5vsknk084sn02q"
ORIGIN: Final = "log.example/one"
ROOTS: Final = tuple(SoftwareSigner(bytes([number]) * 32) for number in range(1, 5))
EVENT_KEY: Final = SoftwareSigner(bytes([9]) * 32).public_key
FIRST: Final = RootManifest(
    ISSUER,
    ORIGIN,
    1,
    2,
    tuple(one.public_key for one in ROOTS[:3]),
    (NamedKey("event", EVENT_KEY), NamedKey("checkpoint", ROOTS[3].public_key)),
)


def signed(manifest: RootManifest, *roots: SoftwareSigner) -> SignedManifest:
    found = unsigned(manifest)
    for one in roots:
        found = add_signature(found, one)
    return read_manifest(found.document())


def check(before: RootManifest | None, found: SignedManifest) -> None:
    check_successor(before, found, issuer_id=ISSUER, origin=ORIGIN)


def test_what_is_written_is_read_back() -> None:
    found = signed(FIRST, ROOTS[0], ROOTS[2], ROOTS[2])

    assert found.manifest == FIRST
    assert found.signed_by(FIRST.root_keys) == {ROOTS[0].key_id, ROOTS[2].key_id}
    assert len(found.tokens) == 2, "one root signs once"
    assert missing_signatures(found, [FIRST]) == 0
    document = json.loads(found.document())
    assert document["payload"] == base64url(FIRST.payload()).decode()


def test_enough_roots_of_the_version_before_and_of_its_own_sign() -> None:
    check(None, signed(FIRST, *ROOTS[:2]))
    with pytest.raises(RootManifestRefusedError, match="1 roots of its own"):
        check(None, signed(FIRST, ROOTS[0]))
    with pytest.raises(RootManifestRefusedError, match="1 roots of its own"):
        check(None, signed(FIRST, ROOTS[0], ROOTS[3]))
    # Another root takes over: those before it let it.
    second = replace(FIRST, version=2, threshold=1, root_keys=(SoftwareSigner(bytes([7]) * 32).public_key,))
    new = SoftwareSigner(bytes([7]) * 32)
    check(FIRST, signed(second, *ROOTS[:2], new))
    for roots in ((*ROOTS[:2],), (ROOTS[0], new), (new,)):
        with pytest.raises(RootManifestRefusedError, match="roots"):
            check(FIRST, signed(second, *roots))


def test_a_key_that_is_lost_stays_lost() -> None:
    lost = tuple(one._replace(lost=True) for one in FIRST.keys)
    second = replace(FIRST, version=2, keys=lost)
    check(FIRST, signed(second, *ROOTS[:2]))
    assert signed(second, *ROOTS[:2]).manifest == second
    with pytest.raises(RootManifestRefusedError, match="changes one"):
        check(second, signed(replace(FIRST, version=3), *ROOTS[:2]))


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"issuer_id": "issuer_01h455vb4pex5vsknk084sn02r"}, "another issuer"),
        ({"origin": "log.example/two"}, "log.example/two"),
        ({"version": 1}, "2 is the next"),
        ({"version": 3}, "2 is the next"),
        ({"keys": FIRST.keys[:1]}, "leaves out"),
        ({"keys": (*FIRST.keys[:1], NamedKey("event", ROOTS[3].public_key))}, "leaves out"),
    ],
)
def test_a_version_that_does_not_follow(changed: dict[str, Any], why: str) -> None:
    with pytest.raises(RootManifestRefusedError, match=why):
        check(FIRST, signed(replace(FIRST, **{"version": 2, **changed}), *ROOTS[:2]))


def _forged(found: SignedManifest) -> str:
    """Return another payload under the same signatures."""
    document = json.loads(found.document())
    other = unsigned(replace(found.manifest, threshold=1))
    return json.dumps({**document, "payload": json.loads(other.document())["payload"]})


def test_a_signature_of_another_payload() -> None:
    with pytest.raises(RootManifestRefusedError, match="not its own"):
        check(None, read_manifest(_forged(signed(FIRST, *ROOTS[:2]))))


def test_a_signature_of_an_event_is_none_of_a_manifest() -> None:
    token = signing.sign_compact(ROOTS[0], unsigned(FIRST).payload)
    with pytest.raises(DomainError):
        check(None, SignedManifest(FIRST, unsigned(FIRST).payload, (token,)))


def _spoiled() -> Iterator[tuple[str, Callable[[dict[str, Any]], object]]]:
    x = base64url(EVENT_KEY).decode()
    yield "member", lambda found: found.update(expires="2027")
    yield "threshold 0", lambda found: found.update(threshold=0)
    yield "threshold 4", lambda found: found.update(threshold=4)
    yield "threshold true", lambda found: found.update(threshold=True)
    yield "version 0", lambda found: found.update(version=0)
    yield "origin", lambda found: found.update(origin=1)
    yield "keys", lambda found: found.update(keys={})
    yield "twice", lambda found: found["keys"].append({"use": "event", "x": x})
    yield "root signs events", lambda found: found["root_keys"].append(x)
    yield "use", lambda found: found["keys"][0].update(use="coffee")
    yield "low order", lambda found: found["keys"][0].update(x="AQ" + "A" * 41)
    yield "x", lambda found: found["keys"][0].update(x=1)
    yield "span", lambda found: found["keys"][0].update(last_index=1)
    yield "lost", lambda found: found["keys"][0].update(lost=False)
    yield "index", lambda found: found["keys"][0].update(first_index=-1)


@pytest.mark.parametrize("spoil", [one for _, one in _spoiled()], ids=[name for name, _ in _spoiled()])
def test_a_payload_that_is_no_manifest(spoil: Callable[[dict[str, Any]], object]) -> None:
    found = json.loads(FIRST.payload())
    spoil(found)
    payload = base64url(canonical_json(found)).decode()
    with pytest.raises(RootManifestMalformedError):
        read_manifest(json.dumps({"payload": payload, "signatures": []}))


@pytest.mark.parametrize(
    "document",
    [
        "",
        "[]",
        "{}",
        '{"payload":1,"signatures":[]}',
        '{"payload":"e30","signatures":[]}',
        '{"payload":"e30=","signatures":[]}',
        '{"payload":"e30","signatures":[{"protected":"e30"}]}',
        '{"payload":"e30","signatures":[],"header":{}}',
    ],
)
def test_a_document_that_is_none(document: str) -> None:
    with pytest.raises(RootManifestMalformedError):
        read_manifest(document)


def test_what_is_signed_is_canonical() -> None:
    payload = base64url(FIRST.payload() + b" ").decode()
    with pytest.raises(RootManifestMalformedError, match="canonical"):
        read_manifest(json.dumps({"payload": payload, "signatures": []}))
    assert ROOT_MEDIA_TYPE == "tallystick-root-v1+jws"


def test_versions_are_put_in_one_behind_the_other(database_urls: DatabaseUrls, tmp_path: Path) -> None:
    with open_bank(database_urls, tmp_path / "keys", pool_size=2, rooted=True) as bank:
        second = prepared_key(bank)
        [first, kept] = bank.database.run(
            lambda connection: signing.list_manifests(connection, bank.issuer_id)
        )
        assert [one.signed.manifest.version for one in (first, kept)] == [1, 2]
        assert [one.id for one in kept.signed.manifest.keys][-1] == second.id
        # Twice the same is once; the version before is refused, also signed anew with other keys.
        assert put_in(bank, kept.document).manifest.version == 2
        with pytest.raises(RootManifestRefusedError, match="3 is the next"):
            put_in(bank, first.document)
        activate_key(bank, second.id)
        assert name_keys(bank).manifest.version == 3


def test_a_first_version_can_be_put_right_until_it_counts(
    database_urls: DatabaseUrls, tmp_path: Path
) -> None:
    with open_bank(database_urls, tmp_path / "keys", pool_size=2) as bank:
        wrong, right = ROOTS[0], ROOTS[1]
        for root in (wrong, right):
            drafted = bank.database.run(
                lambda connection, root=root: signing.draft_manifest(  # type: ignore[misc]
                    connection,
                    bank.issuer_id,
                    origin=f"log.example/{bank.issuer_id}",
                    root_keys=(root.public_key,),
                )
            )
            put_in(bank, signed(drafted, root).document())
        newest = bank.database.run(lambda connection: signing.newest_manifest(connection, bank.issuer_id))
        assert newest is not None
        assert newest.manifest.root_keys == (right.public_key,)
        [active] = [one for one in newest.manifest.keys if one.use == "event"]
        assert (active.first_index, active.last_index) == (0, None)
        activate_key(bank, active.id)
        with pytest.raises(RootManifestRefusedError, match="under version 1"):
            put_in(bank, _other(newest.manifest, wrong))


def _other(drafted: RootManifest, root: SoftwareSigner) -> str:
    return signed(replace(drafted, root_keys=(root.public_key,)), root).document()


def put_in(bank: Bank, document: str) -> SignedManifest:
    origin = f"log.example/{bank.issuer_id}"
    return bank.database.run(
        lambda connection: signing.import_manifest(
            connection, bank.clock, bank.issuer_id, document, origin=origin
        )
    )
