"""The verifier's own codecs against outside vectors and their malformed twins."""

import base64
import hashlib
import json
from contextlib import closing
from typing import Any

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tallystick_verify.canonical import JsonRefusedError, canonical, parse, parse_canonical
from tallystick_verify.ed25519 import PublicKey, PublicKeyRefusedError
from tallystick_verify.encodings import EncodingRefusedError, base64_bytes, base64url_bytes, base64url_text
from tallystick_verify.failures import Failure
from tallystick_verify.merkle import (
    KeptTree,
    ProofRefusedError,
    RunningRoot,
    check_consistency,
    check_inclusion,
    leaf_hash,
)
from tallystick_verify.notes import checkpoint, read_note, read_verifier_key, verified_by
from tests.vectors import vectors
from tests.verify.test_log import consistency, inclusion, tree_root

# From the documentation of golang.org/x/mod/sumdb/note, which C2SP's signed-note was made from.
NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
NOTE_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_CHECKSUMS = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"


def _proof_bytes(text: str | None) -> bytes:
    return base64.b64decode(text or "")


def test_merkle_vectors() -> None:
    checked = 0
    for path in sorted(vectors("merkle").rglob("*.json")):
        case = json.loads(path.read_text())
        proof = [_proof_bytes(one) for one in case["proof"] or []]
        try:
            if "leafIdx" in case:
                leaf, root = _proof_bytes(case["leafHash"]), _proof_bytes(case["root"])
                check_inclusion(case["leafIdx"], case["treeSize"], leaf, proof, root)
            else:
                roots = _proof_bytes(case["root1"]), _proof_bytes(case["root2"])
                check_consistency(case["size1"], case["size2"], *roots, proof)
            refused = False
        except ProofRefusedError:
            refused = True
        assert refused == case["wantErr"], path
        checked += 1
    assert checked == 196


@hypothesis_settings(max_examples=60)
@given(st.integers(1, 40), st.data())
def test_proofs_made_by_the_book(size: int, data: st.DataObject) -> None:
    leaves = [bytes([number]) for number in range(size)]
    tree = RunningRoot()
    for leaf in leaves:
        tree.add(leaf)
    root = tree_root(leaves)
    assert tree.root() == root
    index, first = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))

    path = inclusion(index, leaves)
    check_inclusion(index, size, leaf_hash(leaves[index]), path, root)
    proof = consistency(first, leaves)
    check_consistency(first, size, tree_root(leaves[:first]), root, proof)

    for wrong in ([*path, bytes(32)], path[1:] or [bytes(32)], [*path[:-1], bytes(32)]):
        with pytest.raises(ProofRefusedError):
            check_inclusion(index, size, leaf_hash(leaves[index]), wrong, root)
    with pytest.raises(ProofRefusedError):
        check_consistency(first, size, bytes(32), root, proof)


def test_the_root_of_every_beginning_of_a_tree_that_is_kept() -> None:
    size = 300
    leaves = [number.to_bytes(2) for number in range(size)]
    roots = [tree_root(leaves[:number]) for number in range(size + 1)]
    with closing(KeptTree()) as tree:
        assert tree.root_at(0) == roots[0]
        for number, leaf in enumerate(leaves, 1):
            tree.add(leaf)
            # Asked for in between, it goes on where it was.
            assert tree.root_at(number // 3) == roots[number // 3]
            assert tree.root() == roots[number]
        assert [tree.root_at(number) for number in range(size + 1)] == roots
        for none in (-1, size + 1):
            with pytest.raises(ValueError, match="fewer"):
                tree.root_at(none)


def test_an_empty_tree_proves_nothing() -> None:
    assert RunningRoot().root() == hashlib.sha256(b"").digest()
    with pytest.raises(ProofRefusedError):
        check_inclusion(0, 0, bytes(32), [], bytes(32))
    with pytest.raises(ProofRefusedError):
        check_consistency(0, 1, bytes(32), bytes(32), [])


def test_ed25519_vectors() -> None:
    groups = json.loads((vectors("ed25519-wycheproof") / "ed25519_test.json").read_bytes())["testGroups"]
    checked = 0
    for group in groups:
        key = PublicKey(bytes.fromhex(group["publicKey"]["pk"]))
        for case in group["tests"]:
            verified = key.verifies(bytes.fromhex(case["sig"]), bytes.fromhex(case["msg"]))
            assert verified == (case["result"] == "valid"), case["comment"]
            checked += 1
    assert checked == 151


def test_keys_and_signatures_of_low_order() -> None:
    cases = json.loads((vectors("ed25519-cctv") / "ed25519vectors.json").read_bytes())
    weak_keys = {"low_order_A", "non_canonical_A", "low_order_component_A"}
    keys: dict[str, PublicKey | None] = {}
    refused = 0
    for case in cases:
        flags = set(case["flags"] or ())
        if case["key"] not in keys:
            try:
                keys[case["key"]] = PublicKey(bytes.fromhex(case["key"]))
            except PublicKeyRefusedError:
                keys[case["key"]] = None
        key = keys[case["key"]]
        assert (key is None) == bool(flags & weak_keys), case["number"]
        refused += key is None
        if key is not None and flags & {"low_order_R", "non_canonical_R"}:
            assert not key.verifies(bytes.fromhex(case["sig"]), case["msg"].encode()), case["number"]
    assert refused > 100


def test_the_thumbprint_of_rfc_8037() -> None:
    octets = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    assert PublicKey(octets).kid == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_key_of_another_size(size: int) -> None:
    with pytest.raises(PublicKeyRefusedError):
        PublicKey(bytes(size))


@hypothesis_settings(max_examples=20)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=40))
def test_honest_keys_and_signatures(seed: bytes, message: bytes) -> None:
    private = Ed25519PrivateKey.from_private_bytes(seed)
    key = PublicKey(private.public_key().public_bytes_raw())
    assert key.verifies(private.sign(message), message)
    assert not key.verifies(private.sign(message), message + b"x")


def test_a_published_note() -> None:
    note = read_note(NOTE.encode())
    key = read_verifier_key(NOTE_KEY)

    assert verified_by(note, [key]) == [key]
    assert read_verifier_key(GO_CHECKSUMS).name == "sum.golang.org"
    # Signatures of unknown keys are ignored; a forged one of a known key is not.
    assert verified_by(note, [read_verifier_key(GO_CHECKSUMS)]) == []
    with pytest.raises(Failure):
        verified_by(note._replace(text=note.text.replace("problem", "solution")), [key])


@pytest.mark.parametrize(
    "text",
    [
        NOTE.replace("\n\n", "\n"),
        NOTE.replace("— P", "- P"),
        NOTE.replace("— P", "—P"),
        NOTE.rstrip("\n"),
        NOTE.replace("AM=", "AN="),
        NOTE.replace("AM=", "AM"),
        NOTE.replace("PeterNeumann ", "Peter+Neumann "),
        NOTE.replace("PeterNeumann ", " "),
        NOTE.replace("If", "If\t"),
        NOTE + "\n",
        NOTE + "— x AAAA\n",
        NOTE + "— x " + "A" * 300_000 + "\n",
        NOTE + "— y AAAAAAAA\n" * 100,
    ],
)
def test_notes_that_are_malformed(text: str) -> None:
    with pytest.raises(Failure):
        read_note(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PeterNeumann",
        NOTE_KEY.replace("c74f20a3", "c74f20a4"),
        NOTE_KEY.replace("c74f20a3", "C74F20A3"),
        NOTE_KEY.replace("PeterNeumann", "PeterNeuman"),
        NOTE_KEY[:-4],
        NOTE_KEY + "=",
        "x+00000000+" + base64.b64encode(b"\x02" + bytes(32)).decode(),
    ],
)
def test_verifier_keys_that_are_malformed(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        read_verifier_key(text)


def test_the_checkpoint_of_the_specification() -> None:
    text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    found = checkpoint(text)
    assert (found.origin, found.size, len(found.root)) == ("example.com/behind-the-sofa", 20852163, 32)
    assert checkpoint(text + "an extension\n") == found
    for malformed in (
        text.replace("20852163", "020852163"),
        text.replace("20852163", "-1"),
        text.replace("20852163", "+1"),
        text.replace("20852163", "1e3"),
        text.replace("20852163", "٢"),
        text.replace("q2I=", "q2J="),
        text.replace("\nCs", "\n\nCs"),
        text[1:].replace("xample.com/behind-the-sofa", ""),
        text.rstrip("\n"),
        "example.com/behind-the-sofa\n1\n",
    ):
        with pytest.raises(Failure):
            checkpoint(malformed)


def test_canonical_json_vectors() -> None:
    checked = 0
    for path in sorted((vectors("jcs") / "input").glob("*.json")):
        try:
            value = parse(path.read_bytes())
        except JsonRefusedError:
            continue
        assert canonical(value) == (vectors("jcs") / "output" / path.name).read_bytes()
        checked += 1
    # The others hold fractions, which no document of ours does.
    assert checked >= 3


_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@hypothesis_settings(max_examples=60)
@given(_VALUES)
def test_canonical_json_is_that_of_the_reference(value: Any) -> None:
    written = canonical(value)
    assert written == rfc8785.dumps(value)
    assert parse_canonical(written) == value
    assert parse(written) == value


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"{",
        b"\xef\xbb\xbf{}",
        b'{"a":1,"a":1}',
        b'{"a":{"b":1,"b":2}}',
        b"1.0",
        b"1e2",
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"-0",
        b"9007199254740992",
        b"01",
        b'"\xff"',
        b'"\\ud800"',
        b"[" * 17 + b"]" * 17,
        b"[" * 100_000,
        b"9" * 5_000,
        b"[1,]",
        b"'a'",
        b'{"a":1}x',
    ],
)
def test_json_that_is_refused(octets: bytes) -> None:
    with pytest.raises(JsonRefusedError):
        canonical(parse(octets))
    with pytest.raises(JsonRefusedError):
        parse_canonical(octets)


@pytest.mark.parametrize("value", [1.5, float("nan"), b"x", {1: 2}, {"a": (1,)}, 2**53, object()])
def test_values_without_a_canonical_form(value: object) -> None:
    with pytest.raises(JsonRefusedError):
        canonical(value)


@given(st.binary(max_size=60))
def test_encodings_have_one_form(octets: bytes) -> None:
    text = base64url_text(octets)
    assert base64url_bytes(text) == octets
    assert base64_bytes(base64.b64encode(octets).decode()) == octets
    for other in (text + b"=", text + b"\n", b" " + text):
        with pytest.raises(EncodingRefusedError):
            base64url_bytes(other)


@pytest.mark.parametrize("text", ["A", "AA", "AB==", "AAA", "AAAA=", "AA-_", "AAAA\n", "ÄÄÄÄ", "AA=="[:3]])
def test_base64_that_is_refused(text: str) -> None:
    with pytest.raises(EncodingRefusedError):
        base64_bytes(text)


@given(st.text(alphabet="AQgwEIMUYcko048_-+/= \n\0é", max_size=8).map(lambda text: text.encode("latin-1")))
def test_no_other_spelling_of_base64url_is_taken(text: bytes) -> None:
    """What is taken is exactly what writing it again gives."""
    try:
        lenient: bytes | None = base64.urlsafe_b64decode(text + b"==")
    except ValueError:
        lenient = None
    if lenient is not None and base64url_text(lenient) == text:
        assert base64url_bytes(text) == lenient
    else:
        with pytest.raises(EncodingRefusedError):
            base64url_bytes(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**54), 2**54) | st.text(max_size=4),
        lambda of: st.lists(of, max_size=3) | st.dictionaries(st.text(max_size=3), of, max_size=3),
        max_leaves=12,
    ),
    st.booleans(),
    st.booleans(),
)
def test_only_the_canonical_spelling_is_taken(value: object, ascii_only: bool, sort: bool) -> None:
    """Whichever way the canonical form is proven, it is the form that the slow encoder writes."""
    try:
        octets = json.dumps(value, ensure_ascii=ascii_only, sort_keys=sort, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return
    try:
        wanted: bytes | None = canonical(value)
    except JsonRefusedError:
        wanted = None
    if octets == wanted:
        assert parse_canonical(octets) == value
    else:
        with pytest.raises(JsonRefusedError):
            parse_canonical(octets)
