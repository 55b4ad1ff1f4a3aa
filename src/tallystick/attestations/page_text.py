"""Which font shows which character of a page: the standard ones for Latin-1, those of statements for all else.

Chinese, Japanese and Korean, where no font with them is installed, are written in the standard CID fonts, which every
viewer brings. What nothing shows is written by its number: never as a box.
"""

import re
from typing import Final

from reportlab.pdfbase import pdfmetrics  # type: ignore[import-untyped]
from reportlab.pdfbase.cidfonts import UnicodeCIDFont  # type: ignore[import-untyped]

from tallystick.exports.pdf_text import BOLD, REGULAR, Run, lines_of

__all__ = ["runs_of"]

_ENDLESS: Final = 100_000.0
_HANGUL: Final = re.compile("[\u1100-\u11ff\u3130-\u318f\uac00-\ud7af]")
_KANA: Final = re.compile("[\u3040-\u30ff\uff65-\uff9f]")
_IDEOGRAPH: Final = re.compile("[\u2e80-\u2fdf\u3000-\u303f\u3400-\u9fff\uf900-\ufaff\uff00-\uff64]")


def runs_of(words: str, font: str) -> list[Run]:
    """Return text in runs of one font each; `font` is that of plain text, and what is bold stays bold."""
    if _is_latin(words):
        return [Run(font, words)]
    further = BOLD if font.endswith("-Bold") else REGULAR
    # A name is of one language: its ideographs are written as its syllables are.
    asian = "HYSMyeongJo-Medium" if _HANGUL.search(words) else None
    asian = asian or ("HeiseiMin-W3" if _KANA.search(words) else "STSong-Light")
    runs: list[Run] = []
    for character in words:
        for one in _shown(character, font, further, asian):
            if runs and runs[-1].font == one.font:
                runs[-1] = Run(one.font, runs[-1].text + one.text)
            else:
                runs.append(one)
    return runs


def _shown(character: str, font: str, further: str, asian: str) -> tuple[Run, ...]:
    if _is_latin(character):
        return (Run(font, character),)
    [line] = lines_of(character, further, 10, _ENDLESS)
    if line.complete or not (
        _HANGUL.match(character) or _KANA.match(character) or _IDEOGRAPH.match(character)
    ):
        return line.runs
    if asian not in pdfmetrics.getRegisteredFontNames():
        pdfmetrics.registerFont(UnicodeCIDFont(asian))
    return (Run(asian, character),)


def _is_latin(text: str) -> bool:
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True
