"""A path in a Merkle-sum tree of the form `merkle-sum-v1`, as docs/proof-of-liabilities.md of the service tells it.

SHA-256, integers big-endian. Both children's hashes *and* sums are hashed, so that no sum can be told but the true one:

    leaf = SHA-256(00, salt (32 bytes), amount (8), the liability's id)          sum = amount
    node = SHA-256(01, left hash (32), left sum (8), right hash (32), right sum (8))   sum = left sum + right sum
"""

import hashlib
from collections.abc import Sequence
from typing import Final, NamedTuple

__all__ = ["SALT_SIZE_BYTES", "SUM_MAX", "Node", "SumRefusedError", "leaf", "root_over"]

SALT_SIZE_BYTES: Final = 32
SUM_MAX: Final = 2**63 - 1
_HASH_SIZE_BYTES: Final = 32


class SumRefusedError(ValueError):
    """No honest tree has such a path; the message says why."""


class Node(NamedTuple):
    """A hash, and the sum of all amounts below it, in minor units."""

    hash: bytes
    sum_minor: int


def leaf(salt: bytes, liability_id: str, amount_minor: int) -> Node:
    """Return a liability's leaf. Raises SumRefusedError."""
    if len(salt) != SALT_SIZE_BYTES:
        raise SumRefusedError("a salt has 32 bytes")
    if not liability_id or not liability_id.isascii():
        raise SumRefusedError("the leaf is nobody's")
    hashed = b"\x00" + salt + _octets(amount_minor) + liability_id.encode("ascii")
    return Node(hashlib.sha256(hashed).digest(), amount_minor)


def root_over(own: Node, position: int, path: Sequence[Node]) -> Node:
    """Return the root that a leaf at `position` leads to by its siblings, nearest first. Raises SumRefusedError."""
    if not 0 <= position < 2 ** len(path):
        raise SumRefusedError("the position is none of a tree of this depth")
    for sibling in path:
        if len(sibling.hash) != _HASH_SIZE_BYTES:
            raise SumRefusedError("a hash has 32 bytes")
        left, right = (sibling, own) if position & 1 else (own, sibling)
        own = _parent(left, right)
        position >>= 1
    return own


def _parent(left: Node, right: Node) -> Node:
    hashed = b"\x01" + left.hash + _octets(left.sum_minor) + right.hash + _octets(right.sum_minor)
    sum_minor = left.sum_minor + right.sum_minor
    _octets(sum_minor)
    return Node(hashlib.sha256(hashed).digest(), sum_minor)


def _octets(sum_minor: int) -> bytes:
    if not 0 <= sum_minor <= SUM_MAX:
        raise SumRefusedError("a sum is negative, or larger than any total can be")
    return sum_minor.to_bytes(8, "big")
