"""The verifier stands alone: Python's standard library and `cryptography`, nothing of what it checks."""

import ast
import importlib
import sys
from pathlib import Path

import pytest

import tallystick_verify

SOURCE = Path(tallystick_verify.__file__).parent
FILES = sorted(SOURCE.glob("*.py"))
ALLOWED = sys.stdlib_module_names | {"cryptography", "tallystick_verify"}
#: Nothing that could ask somebody else, or run anything.
FORBIDDEN = {"socket", "ssl", "http", "urllib", "subprocess", "asyncio", "ctypes", "pickle", "importlib"}
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 500


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {one.name.partition(".")[0] for one in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            found.add((node.module or "").partition(".")[0])
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.name))
def test_it_imports_nothing_else(path: Path) -> None:
    assert imports(path) <= ALLOWED
    assert not imports(path) & FORBIDDEN


def test_files_and_functions_are_short() -> None:
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= FILE_LINES_MAX, path.name
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno < FUNCTION_LINES_MAX, node.name


def test_it_offers_what_it_says() -> None:
    for path in FILES:
        if path.stem != "__main__":
            name = "tallystick_verify" + ("" if path.stem == "__init__" else f".{path.stem}")
            module = importlib.import_module(name)
            assert sorted(set(module.__all__)) == sorted(module.__all__), path.name
            assert [one for one in module.__all__ if not hasattr(module, one)] == [], path.name


def test_the_rules_see_something() -> None:
    assert len(FILES) > 20
    assert "cryptography" in set().union(*(imports(path) for path in FILES))
