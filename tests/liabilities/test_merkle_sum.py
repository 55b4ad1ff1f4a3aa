"""The tree itself: every leaf's path leads to its root and total, by the verifier's own arithmetic and a naive one."""

import hashlib
import hmac

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.core.errors import InvariantError
from tallystick.core.money import AMOUNT_MINOR_MAX
from tallystick.liabilities import merkle_sum
from tallystick.liabilities.merkle_sum import Node, Tree, build, filling_salt, leaf, parent, salt_of
from tallystick_verify import merkle_sums

SECRET = bytes(range(32))


def tree_over(amounts: dict[str, int]) -> Tree:
    return build(SECRET, [leaf(salt_of(SECRET, one), one, amount) for one, amount in amounts.items()])


def path_of(tree: Tree, own: Node) -> tuple[int, list[Node]]:
    """Find a leaf and its path by the tiles alone, as the service does."""
    tiles = {(one.level, one.number): one.nodes for one in tree.tiles}
    position = next(
        (number << 8) + place
        for (level, number), nodes in tiles.items()
        if level == 0
        for place in [merkle_sum.place_in(nodes, own)]
        if place is not None
    )
    path: list[Node] = []
    for level in range(0, tree.depth, 8):
        nodes = tiles[level, position >> level >> 8]
        path += merkle_sum.path_within(nodes, (position >> level) % 256)
    return position, path


def naive_root(nodes: list[tuple[bytes, int]]) -> tuple[bytes, int]:
    """The definition, word for word."""
    if len(nodes) == 1:
        return nodes[0]
    half = len(nodes) // 2
    left, right = naive_root(nodes[:half]), naive_root(nodes[half:])
    hashed = b"\x01" + b"".join(one[0] + one[1].to_bytes(8, "big") for one in (left, right))
    return hashlib.sha256(hashed).digest(), left[1] + right[1]


@settings(max_examples=25)
@given(
    amounts=st.dictionaries(
        st.integers(0, 10**6).map(lambda number: f"liability_{number}"),
        st.integers(0, AMOUNT_MINOR_MAX // 1_000),
        max_size=700,
    )
)
def test_every_leaf_leads_to_the_root_and_the_total(amounts: dict[str, int]) -> None:
    tree = tree_over(amounts)

    assert tree.root.sum_minor == sum(amounts.values())
    assert 2**tree.depth >= len(amounts) > 2**tree.depth // 2 or len(amounts) <= 1
    for liability_id, amount in list(amounts.items())[:40]:
        salt = salt_of(SECRET, liability_id)
        assert salt == hmac.new(SECRET, b"leaf\0" + liability_id.encode(), "sha256").digest()
        position, path = path_of(tree, leaf(salt, liability_id, amount))
        own = merkle_sums.leaf(salt, liability_id, amount)
        siblings = [merkle_sums.Node(*one) for one in path]
        assert len(path) == tree.depth
        assert merkle_sums.root_over(own, position, siblings) == merkle_sums.Node(*tree.root)


@given(amounts=st.lists(st.integers(0, 10**9), max_size=20))
def test_it_is_the_definition_and_the_order_tells_nothing(amounts: list[int]) -> None:
    named = {f"liability_{number}": amount for number, amount in enumerate(amounts)}
    tree = tree_over(named)
    leaves = [leaf(salt_of(SECRET, one), one, amount) for one, amount in named.items()]
    leaves += [leaf(filling_salt(SECRET, number), "", 0) for number in range(2**tree.depth - len(leaves))]

    # Sorted by their hashes, whatever order they came in.
    assert naive_root(sorted(leaves)) == tree.root
    assert tree_over(dict(reversed(named.items()))) == tree
    # Another secret is another order and another root over the same claims.
    other = bytes(32)
    if amounts:
        again = build(other, [leaf(salt_of(other, one), one, amount) for one, amount in named.items()])
        assert again.root.hash != tree.root.hash
        assert again.root.sum_minor == tree.root.sum_minor


def test_both_sums_are_hashed_and_not_their_total() -> None:
    left, right = Node(b"l" * 32, 5), Node(b"r" * 32, 7)

    assert parent(left, right).sum_minor == 12
    assert len({parent(Node(left.hash, 5 - n), Node(right.hash, 7 + n)).hash for n in range(-5, 6)}) == 11
    assert parent(left, right).hash != parent(right, left).hash


@pytest.mark.parametrize("amount", [-1, AMOUNT_MINOR_MAX + 1])
def test_no_amount_is_negative_or_too_large(amount: int) -> None:
    with pytest.raises(InvariantError):
        leaf(bytes(32), "liability_1", amount)
    with pytest.raises(merkle_sums.SumRefusedError):
        merkle_sums.leaf(bytes(32), "liability_1", amount)


def test_sums_never_overflow() -> None:
    half = AMOUNT_MINOR_MAX // 2 + 1
    assert tree_over({"a": AMOUNT_MINOR_MAX, "b": 0}).root.sum_minor == AMOUNT_MINOR_MAX
    with pytest.raises(InvariantError):
        tree_over({"a": half, "b": half})
    with pytest.raises(merkle_sums.SumRefusedError):
        merkle_sums.root_over(merkle_sums.Node(bytes(32), half), 0, [merkle_sums.Node(bytes(32), half)])
    with pytest.raises(merkle_sums.SumRefusedError):
        merkle_sums.root_over(merkle_sums.Node(bytes(32), 1), 0, [merkle_sums.Node(bytes(32), -1)])
