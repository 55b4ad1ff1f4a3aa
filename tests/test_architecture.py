"""The house rules that a reader relies on, checked on the source itself (the layers are import-linter's to check)."""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import tallystick

SOURCE = Path(tallystick.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
ROOMS = sorted(path.parent.name for path in SOURCE.glob("*/__init__.py"))
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 500
# Only these may ask the machine for the time or end a transaction.
CLOCK = "core/clock.py"
DATABASE = "core/database.py"
TIMES = {
    "datetime.now",
    "datetime.utcnow",
    "datetime.today",
    "date.today",
    "time.time",
    "time.time_ns",
    "time.localtime",
    "time.gmtime",
}


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def nodes(path: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path)))


def imported_modules(path: Path) -> Iterator[tuple[int, str]]:
    """Yield each module of tallystick that a file imports, or imports something from, wherever in the file."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, one.name) for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}:{node.lineno} imports relatively"
            module = node.module or ""
            yield node.lineno, module
            yield from ((node.lineno, f"{module}.{one.name}") for one in node.names)


def dotted(node: ast.expr) -> str:
    """Return a call's name with what it is looked up on: `datetime.now` of `datetime.datetime.now()` too."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        parts.append(node.id)
    return ".".join(reversed(parts[:2]))


def calls(path: Path) -> Iterator[tuple[int, str]]:
    return ((node.lineno, dotted(node.func)) for node in nodes(path) if isinstance(node, ast.Call))


def test_a_room_keeps_its_tables_and_sql_to_itself() -> None:
    assert [
        f"{name_of(path)}:{line} imports {module}"
        for path in FILES
        for line, module in imported_modules(path)
        if module.startswith("tallystick.")
        and module.split(".")[1] != name_of(path).partition("/")[0]
        and module.split(".")[2:3] in (["models"], ["store"])
    ] == []


def test_files_have_one_subject() -> None:
    lines = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {name: count for name, count in lines.items() if count > FILE_LINES_MAX} == {}


def test_functions_fit_on_a_screen() -> None:
    lengths = {
        f"{name_of(path)}:{node.lineno} {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path in FILES
        for node in nodes(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: length for name, length in lengths.items() if length > FUNCTION_LINES_MAX} == {}


def test_transactions_are_committed_in_one_place() -> None:
    assert [
        f"{name_of(path)}:{line} {call}"
        for path in FILES
        for line, call in calls(path)
        if call.rpartition(".")[2] == "commit" and name_of(path) != DATABASE
    ] == []


def test_time_comes_from_one_place() -> None:
    assert [
        f"{name_of(path)}:{line} {call}"
        for path in FILES
        for line, call in calls(path)
        if call in TIMES and name_of(path) != CLOCK
    ] == []


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_offers_what_it_says_and_nothing_twice(room: str) -> None:
    offered = importlib.import_module(f"tallystick.{room}")
    names = getattr(offered, "__all__", [])
    assert sorted(set(names)) == sorted(names)
    assert [name for name in names if not hasattr(offered, name)] == []


def test_the_rules_see_something() -> None:
    assert {"core", "ledger", "tokens"} <= set(ROOMS)
    assert any(call == "datetime.now" for _, call in calls(SOURCE / CLOCK))
    assert any(call.endswith("commit") for _, call in calls(SOURCE / DATABASE))
    assert any(
        module == "tallystick.tokens.store" for _, module in imported_modules(SOURCE / "tokens" / "batch.py")
    )
