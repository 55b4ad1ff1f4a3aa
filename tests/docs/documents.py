"""Reading the documents: their links, headings, tables and examples."""

import re
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["DOCUMENTS", "REPOSITORY", "Example", "anchors", "code", "examples", "fenced", "links", "prose", "table"]

REPOSITORY: Final = Path(__file__).resolve().parents[2]
DOCUMENTS: Final = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md")])

_FENCED: Final = re.compile(r"^```(.*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE: Final = re.compile(r"`([^`\n]+)`")
_LINK: Final = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)
_ELSEWHERE: Final = ("https://", "http://", "mailto:")


class Example(NamedTuple):
    """The Python examples of a document that are marked to be run, in order, as one program."""

    document: str
    code: str


def prose(name: str) -> str:
    """Return the text of a document under docs/, without its fenced blocks."""
    return _FENCED.sub("", (REPOSITORY / "docs" / name).read_text(encoding="utf-8"))


def code(document: Path) -> list[str]:
    """Return a document's lines of code: those of its fenced blocks, and what stands between backquotes."""
    text = document.read_text(encoding="utf-8")
    lines = [line for _, block in _FENCED.findall(text) for line in block.splitlines()]
    return lines + _INLINE.findall(_FENCED.sub("", text))


def links(document: Path) -> list[str]:
    """Return the targets of a document's links into the repository."""
    text = _FENCED.sub("", document.read_text(encoding="utf-8"))
    return [target for target in _LINK.findall(text) if not target.startswith(_ELSEWHERE)]


def anchors(document: Path) -> set[str]:
    """Return what a document's headings are linked by, as GitHub makes it of their texts."""
    text = _FENCED.sub("", document.read_text(encoding="utf-8"))
    return {
        re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        for heading in _HEADING.findall(text)
    }


def table(name: str, *columns: str) -> list[list[str]]:
    """Return the rows of the one table under docs/ whose first column is `columns[0]` and that names the others.

    Further columns are named by a part of their heading.
    """
    found = []
    for block in re.findall(r"(?:^\|.*\|\n)+", prose(name), re.MULTILINE):
        head, _, *rows = [_cells(line) for line in block.strip().splitlines()]
        if head[0] == columns[0] and all(any(part in cell for cell in head) for part in columns[1:]):
            found.append(rows)
    assert len(found) == 1, f"{name} has {len(found)} tables {columns}"
    return found[0]


def fenced(document: Path, kind: str) -> list[str]:
    """Return a document's blocks that are fenced as of a kind, in order."""
    return [block for found, block in _FENCED.findall(document.read_text(encoding="utf-8")) if found == kind]


def examples() -> list[Example]:
    """Return every document's examples that are fenced as `python test`."""
    found = []
    for document in DOCUMENTS:
        blocks = fenced(document, "python test")
        if blocks:
            found.append(Example(str(document.relative_to(REPOSITORY)), "\n".join(blocks)))
    return found


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]
