"""What a page is drawn with. The same statement is laid out twice: once to count its pages, once to draw them.

A file holds 500 pages at most, so that memory stays bounded however long a statement is; page numbers run on.
"""

from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from reportlab.lib.pagesizes import A4  # type: ignore[import-untyped]
from reportlab.pdfgen.canvas import Canvas  # type: ignore[import-untyped]

from tallystick.exports.pdf_text import Line, fonts, width_of
from tallystick.exports.records import FileFacts
from tallystick.exports.writers import NewFile

__all__ = [
    "FILE_PAGES_MAX",
    "GREY",
    "HEIGHT",
    "INK",
    "NAVY",
    "PALE",
    "PDF",
    "WIDTH",
    "Counting",
    "Drawing",
    "Ink",
]

PDF: Final = "application/pdf"
FILE_PAGES_MAX: Final = 500
WIDTH: Final[float] = A4[0]
HEIGHT: Final[float] = A4[1]
Colour = tuple[float, float, float]
INK: Final[Colour] = (0.12, 0.13, 0.15)
NAVY: Final[Colour] = (0.07, 0.18, 0.35)
GREY: Final[Colour] = (0.42, 0.45, 0.50)
PALE: Final[Colour] = (0.94, 0.955, 0.975)


class Ink(Protocol):
    """Measures are points, from the lower left corner. `pages` counts those that are ended."""

    pages: int

    def line(self, x: float, y: float, line: Line, size: float, colour: Colour = INK) -> None:
        """Draw text from `x` on."""

    def line_before(self, x: float, y: float, line: Line, size: float, colour: Colour = INK) -> None:
        """Draw text that ends at `x`."""

    def rule(self, x: float, y: float, width: float, colour: Colour = GREY, thickness: float = 0.4) -> None:
        """Draw a horizontal rule."""

    def box(self, x: float, y: float, width: float, height: float, colour: Colour = PALE) -> None:
        """Fill a box."""

    def row(self) -> None:
        """Count a row of the table."""

    def end_page(self) -> None:
        """End the page; what follows goes on the next one."""


class Counting:
    """Draws nothing, and counts the pages."""

    def __init__(self) -> None:
        self.pages = 0

    def line(self, x: float, y: float, line: Line, size: float, colour: Colour = INK) -> None:
        """Draw nothing."""

    def line_before(self, x: float, y: float, line: Line, size: float, colour: Colour = INK) -> None:
        """Draw nothing."""

    def rule(self, x: float, y: float, width: float, colour: Colour = GREY, thickness: float = 0.4) -> None:
        """Draw nothing."""

    def box(self, x: float, y: float, width: float, height: float, colour: Colour = PALE) -> None:
        """Draw nothing."""

    def row(self) -> None:
        """Count nothing."""

    def end_page(self) -> None:
        self.pages += 1


class Drawing:
    """Draws into files `statement_0001.pdf` and so on; `files` are the finished ones."""

    def __init__(self, folder: Path, *, title: str, author: str, subject: str, made_at: datetime) -> None:
        fonts()
        self.pages = 0
        self.files: list[FileFacts] = []
        self._folder = folder
        self._title = title
        self._author = author
        self._subject = subject
        self._made_at = made_at
        self._rows = 0
        self._canvas: Canvas | None = None

    def line(self, x: float, y: float, line: Line, size: float, colour: Colour = INK) -> None:
        canvas = self._page()
        canvas.setFillColorRGB(*colour)
        text = canvas.beginText(x, y)
        for run in line.runs:
            text.setFont(run.font, size)
            text.textOut(run.text)
        canvas.drawText(text)

    def line_before(self, x: float, y: float, line: Line, size: float, colour: Colour = INK) -> None:
        self.line(x - width_of(line, size), y, line, size, colour)

    def rule(self, x: float, y: float, width: float, colour: Colour = GREY, thickness: float = 0.4) -> None:
        canvas = self._page()
        canvas.setStrokeColorRGB(*colour)
        canvas.setLineWidth(thickness)
        canvas.line(x, y, x + width, y)

    def box(self, x: float, y: float, width: float, height: float, colour: Colour = PALE) -> None:
        canvas = self._page()
        canvas.setFillColorRGB(*colour)
        canvas.rect(x, y, width, height, stroke=0, fill=1)

    def row(self) -> None:
        self._rows += 1

    def end_page(self) -> None:
        self._page().showPage()
        self.pages += 1
        if self.pages % FILE_PAGES_MAX == 0:
            self.finish()

    def finish(self) -> None:
        """Write what is drawn to its file, if anything is."""
        canvas, self._canvas = self._canvas, None
        if canvas is None:
            return
        with NewFile(self._folder, f"statement_{len(self.files) + 1:04}.pdf", PDF) as file:
            file.write(canvas.getpdfdata())
            file.rows, self._rows = self._rows, 0
            self.files.append(file.finish())

    def _page(self) -> Canvas:
        if self._canvas is None:
            # `invariant` takes clock and chance out of the file; the date is then set to the statement's own.
            self._canvas = Canvas("", pagesize=A4, invariant=1, pageCompression=1, lang="en")
            self._canvas.setTitle(self._title)
            self._canvas.setAuthor(self._author)
            self._canvas.setSubject(self._subject)
            self._canvas.setCreator("tallystick")
            made_at = f"D:{self._made_at:%Y%m%d%H%M%S}+00'00'"
            self._canvas.setDateFormatter(lambda *_: made_at)
        return self._canvas
