"""RFC 6962's tree: held against public vectors, against the definition written out again, and against tampering."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.transparency.merkle import (
    EMPTY_ROOT,
    Node,
    Range,
    consistency_ranges,
    inclusion_ranges,
    leaf_hash,
    node_hash,
    range_hash,
    root_of_leaves,
    verify_consistency,
    verify_inclusion,
)
from tests.vectors import vectors

SIZE_MAX: Final = 600


def probes(kind: str) -> list[tuple[Path, dict[str, Any]]]:
    found = sorted((vectors("merkle") / kind).rglob("*.json"))
    return [(path, json.loads(path.read_text())) for path in found]


def octets(text: str | None) -> bytes:
    return base64.b64decode(text or "")


def test_every_public_inclusion_probe_is_told_right() -> None:
    judged = {
        path: verify_inclusion(
            octets(one["leafHash"]),
            one["leafIdx"],
            one["treeSize"],
            [octets(each) for each in one["proof"] or ()],
            octets(one["root"]),
        )
        is not one["wantErr"]
        for path, one in probes("inclusion")
    }
    assert len(judged) == 98
    assert [str(path) for path, right in judged.items() if not right] == []


def test_every_public_consistency_probe_is_told_right() -> None:
    judged = {
        path: verify_consistency(
            one["size1"],
            one["size2"],
            octets(one["root1"]),
            octets(one["root2"]),
            [octets(each) for each in one["proof"] or ()],
        )
        is not one["wantErr"]
        for path, one in probes("consistency")
    }
    assert len(judged) == 98
    assert [str(path) for path, right in judged.items() if not right] == []


# The eight leaves that implementations of certificate transparency test with, and their roots.
LEAVES: Final = [
    bytes.fromhex(one)
    for one in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS: Final = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)


def test_the_roots_are_everybodys() -> None:
    assert EMPTY_ROOT == hashlib.sha256(b"").digest() == root_of_leaves([])
    hashes = [leaf_hash(one) for one in LEAVES]
    assert [root_of_leaves(hashes[: size + 1]).hex() for size in range(8)] == list(ROOTS)


def defined_root(hashes: list[bytes]) -> bytes:
    """MTH, word for word from RFC 6962, section 2.1."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return hashlib.sha256(b"\x01" + defined_root(hashes[:split]) + defined_root(hashes[split:])).digest()


def leaves(count: int) -> list[bytes]:
    return [leaf_hash(str(number).encode()) for number in range(count)]


ALL: Final = leaves(SIZE_MAX)


def read(node: Node) -> bytes:
    return defined_root(ALL[node.node_index << node.level : (node.node_index + 1) << node.level])


def hashes_of(ranges: list[Range]) -> list[bytes]:
    return [range_hash(one, read) for one in ranges]


@settings(max_examples=60)
@given(st.integers(1, SIZE_MAX).flatmap(lambda size: st.tuples(st.integers(0, size - 1), st.just(size))))
def test_a_leaf_is_proven_to_be_where_it_is_and_nowhere_else(place: tuple[int, int]) -> None:
    index, size = place
    root = defined_root(ALL[:size])
    assert range_hash(Range(0, size), read) == root == root_of_leaves(ALL[:size])
    proof = hashes_of(inclusion_ranges(index, size))
    assert verify_inclusion(ALL[index], index, size, proof, root)
    other = (index + 1) % size
    assert size == 1 or not verify_inclusion(ALL[index], other, size, proof, root)
    assert not verify_inclusion(ALL[index], index, size, [*proof, root], root)
    assert not verify_inclusion(ALL[index], index, size, [root, *proof], root)
    if proof:
        assert not verify_inclusion(ALL[index], index, size, proof[:-1], root)
        flipped = bytes([proof[-1][0] ^ 1]) + proof[-1][1:]
        assert not verify_inclusion(ALL[index], index, size, [*proof[:-1], flipped], root)


@settings(max_examples=60)
@given(st.integers(1, SIZE_MAX).flatmap(lambda size: st.tuples(st.integers(1, size), st.just(size))))
def test_a_tree_is_proven_to_have_begun_as_it_did_and_as_no_other(sizes: tuple[int, int]) -> None:
    first, second = sizes
    first_root, second_root = defined_root(ALL[:first]), defined_root(ALL[:second])
    proof = hashes_of(consistency_ranges(first, second))
    assert verify_consistency(first, second, first_root, second_root, proof)
    forked = defined_root([*ALL[: first - 1], leaf_hash(b"forked")])
    assert not verify_consistency(first, second, forked, second_root, proof)
    assert not verify_consistency(first, second, first_root, forked, proof)
    assert not verify_consistency(first, second, first_root, second_root, [*proof, first_root])
    if first < second:
        assert not verify_consistency(second, first, second_root, first_root, proof)
        assert not verify_consistency(first, second, first_root, second_root, proof[:-1])


@pytest.mark.parametrize(("index", "size"), [(0, 0), (-1, 4), (4, 4), (5, 4)])
def test_no_proof_is_made_of_a_leaf_that_is_not_there(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="not in the tree"):
        inclusion_ranges(index, size)


@pytest.mark.parametrize(("first", "second"), [(0, 0), (0, 4), (5, 4), (-1, 4)])
def test_no_proof_is_made_of_an_earlier_tree_that_never_was(first: int, second: int) -> None:
    with pytest.raises(ValueError, match="no such earlier tree"):
        consistency_ranges(first, second)


def test_a_leaf_is_no_node() -> None:
    left, right = ALL[:2]
    assert leaf_hash(left + right) != node_hash(left, right)
