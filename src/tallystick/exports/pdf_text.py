"""Text for PDF pages: which font shows which character, how wide it is, and where a line breaks.

Every font is embedded, so that a statement looks alike everywhere and for ever: DejaVu Sans Condensed for Latin, Greek,
Cyrillic, Armenian, Georgian and more, and further ones where they are installed (`font_files.py`). What none can show,
or can't show right (scripts that run from right to left or join their letters), is written by its number, and a note on
the statement says so.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache, lru_cache
from threading import Lock
from typing import Final, NamedTuple

from reportlab.pdfbase import pdfmetrics  # type: ignore[import-untyped]
from reportlab.pdfbase.ttfonts import TTFont  # type: ignore[import-untyped]

from tallystick.exports.font_files import BOLD_FILE, REGULAR_FILE, further_files
from tallystick.exports.visible import numbered

__all__ = ["BOLD", "REGULAR", "Line", "Run", "fonts", "lines_of", "width_of"]

REGULAR: Final = "tallystick-regular"
BOLD: Final = "tallystick-bold"
# Where words are written without spaces between them, a line may end anywhere.
_WITHOUT_SPACES: Final = re.compile(
    "[\u2e80-\ua4cf\uac00-\ud7af\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\U00020000-\U0003ffff]"
)
_RIGHT_TO_LEFT: Final = frozenset({"R", "AL", "AN"})
_loading: Final = Lock()
_loaded: Final[dict[str, frozenset[int]]] = {}


class Run(NamedTuple):
    """Characters of one font."""

    font: str
    text: str


class Line(NamedTuple):
    """A line as it is drawn. `complete` is false where a character is shown by its number."""

    runs: tuple[Run, ...]
    complete: bool


def fonts() -> dict[str, frozenset[int]]:
    """Load the fonts, once in a process, and return the characters that each embedded one has."""
    with _loading:
        if not _loaded:
            further = {f"tallystick-{number}": file for number, file in enumerate(further_files(), 1)}
            for name, file in ({REGULAR: REGULAR_FILE, BOLD: BOLD_FILE} | further).items():
                font = TTFont(name, file)
                pdfmetrics.registerFont(font)
                _loaded[name] = frozenset(font.face.charToGlyph)
        return _loaded


def lines_of(text: str, font: str, size: float, width: float) -> list[Line]:
    """Return text in lines no wider than `width` points, broken at spaces, in East Asian text anywhere.

    What is longer than a line is broken where the line ends. Line breaks of the text are spaces.
    """
    text = " ".join(unicodedata.normalize("NFC", text).split())
    if text and set(text) <= _plain(font) and _width(text, font, size) <= width:
        return [Line((Run(font, text),), complete=True)]
    lines: list[Line] = []
    line, used, pending = [_EMPTY], 0.0, 0.0
    space = _width(" ", font, size)
    for word in _words(text, font):
        if word is None:
            pending = space if used else 0.0
            continue
        for piece in word if _measured(word, size) > width else [_joined(word)]:
            piece_width = width_of(piece, size)
            if used and used + pending + piece_width > width:
                lines.append(_joined(line))
                line, used, pending = [_EMPTY], 0.0, 0.0
            if pending:
                line.append(Line((Run(font, " "),), complete=True))
            line.append(piece)
            used, pending = used + pending + piece_width, 0.0
    if used or not lines:
        lines.append(_joined(line))
    return lines


def width_of(line: Line, size: float) -> float:
    """Return how wide a line is, in points."""
    return sum(_width(run.text, run.font, size) for run in line.runs)


@cache
def _plain(font: str) -> frozenset[str]:
    """Return the characters that a font shows just as they are: nearly all text is made of these alone."""
    found = (chr(code) for code in fonts()[font])
    return frozenset(one for one in found if _shown(one, font) == Line((Run(font, one),), complete=True)) | {
        " "
    }


def _measured(pieces: list[Line], size: float) -> float:
    return sum(width_of(one, size) for one in pieces)


@lru_cache(maxsize=8_192)
def _width(text: str, font: str, size: float) -> float:
    return float(pdfmetrics.stringWidth(text, font, size))


_EMPTY: Final = Line((), complete=True)


def _words(text: str, font: str) -> Iterator[list[Line] | None]:
    """Yield words, each a line per character, and None for the space between them."""
    word: list[Line] = []
    for character in text:
        shown = _shown(character, font)
        if shown is None or _WITHOUT_SPACES.match(character):
            if word:
                yield word
            word = []
            yield None if shown is None else [shown]
        else:
            word.append(shown)
    if word:
        yield word


@lru_cache(maxsize=8_192)
def _shown(character: str, font: str) -> Line | None:
    """Return how a character is shown; None for a space."""
    if character.isspace():
        return None
    if (
        unicodedata.category(character)[0] != "C"
        and unicodedata.bidirectional(character) not in _RIGHT_TO_LEFT
    ):
        for name in (font, *(one for one in fonts() if one not in {REGULAR, BOLD})):
            if ord(character) in fonts()[name]:
                return Line((Run(name, character),), complete=True)
    return Line((Run(font, numbered(character)),), complete=False)


def _joined(lines: list[Line]) -> Line:
    """Return lines as one, with neighbouring runs of one font put together."""
    runs: list[Run] = []
    for run in (run for line in lines for run in line.runs):
        if runs and runs[-1].font == run.font:
            runs[-1] = Run(run.font, runs[-1].text + run.text)
        else:
            runs.append(run)
    return Line(tuple(runs), all(line.complete for line in lines))
