"""Records that are made from whole tuples: a test counts their fields, for nothing else does."""

import ast
import importlib
import operator
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tallystick.core.records import maker

_SOURCE = Path(__file__).resolve().parents[2] / "src"


class _Pair(NamedTuple):
    first: int
    second: str = "b"


def test_a_record_is_what_its_class_makes() -> None:
    made = maker(_Pair)((1, "a"))
    assert made == _Pair(1, "a")
    assert type(made) is _Pair
    assert made.second == "a"


class _Use(NamedTuple):
    module: str
    kind: str
    counts: tuple[int, ...]


def _uses() -> Iterator[_Use]:
    for path in sorted(_SOURCE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "import maker" not in text:
            continue
        tree = ast.parse(text)
        module = ".".join(path.relative_to(_SOURCE).with_suffix("").parts).removesuffix(".__init__")
        makers = {
            node.targets[0].id: ast.unparse(node.value.args[0])
            for node in tree.body
            if isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and isinstance(node.value, ast.Call)
            and isinstance(node.value.func, ast.Name)
            and node.value.func.id == "maker"
        }
        asked = sum(isinstance(node, ast.Name) and node.id == "maker" for node in ast.walk(tree))
        assert len(makers) == asked > 0, f"{module} uses maker other than for a name of its own"
        for name, kind in makers.items():
            calls = [
                node
                for node in ast.walk(tree)
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
            ]
            named = sum(isinstance(node, ast.Name) and node.id == name for node in ast.walk(tree))
            assert named == len(calls) + 1, f"{module}: {name} is used other than by calling it"
            yield _Use(module, kind, tuple(_count(call) for call in calls))


def _count(call: ast.Call) -> int:
    [argument] = call.args
    assert isinstance(argument, ast.Tuple), f"line {call.lineno}: fields stand in one tuple, written out"
    assert not any(isinstance(one, ast.Starred) for one in argument.elts)
    return len(argument.elts)


@pytest.mark.parametrize("use", list(_uses()), ids=lambda use: f"{use.module}.{use.kind}")
def test_every_field_is_given(use: _Use) -> None:
    fields = operator.attrgetter(use.kind)(importlib.import_module(use.module))._fields
    assert use.counts
    assert set(use.counts) == {len(fields)}
