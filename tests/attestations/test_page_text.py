"""Names in any script on an attestation's page: in a font that has them, and never as boxes."""

import io

import pypdfium2  # type: ignore[import-untyped]
import pytest
from reportlab.pdfgen.canvas import Canvas  # type: ignore[import-untyped]

from tallystick.attestations.page_text import runs_of
from tallystick.exports.pdf_text import BOLD, REGULAR, fonts


@pytest.mark.parametrize(
    ("words", "font", "expected"),
    [
        ("Hafenbank AG, Zürich", "Helvetica", {"Helvetica"}),
        ("Банк «Нева»", "Helvetica", {"Helvetica", REGULAR}),
        ("Банк", "Helvetica-Bold", {BOLD}),
        ("Τράπεζα", "Helvetica", {REGULAR}),
        ("中国银行", "Helvetica", {"STSong-Light"}),
        ("みずほ銀行", "Helvetica", {"HeiseiMin-W3"}),
        ("국민은행", "Helvetica-Bold", {"HYSMyeongJo-Medium"}),
        ("Bank 中 Банк", "Helvetica", {"Helvetica", "STSong-Light", REGULAR}),
    ],
)
def test_each_script_has_a_font(words: str, font: str, expected: set[str]) -> None:
    runs = runs_of(words, font)
    assert "".join(one.text for one in runs) == words
    installed = {name for name in fonts() if name not in {REGULAR, BOLD}}
    # Where a font with ideographs is installed, that one is embedded.
    assert {one.font for one in runs} <= expected | installed
    assert {one.font for one in runs} & expected == {one.font for one in runs} - installed


def test_what_nothing_shows_is_written_by_its_number() -> None:
    assert "".join(one.text for one in runs_of("ب", "Helvetica")) == "[U+0628]"


def test_it_can_be_read_back() -> None:
    buffer = io.BytesIO()
    canvas = Canvas(buffer, invariant=1)
    x = 40
    for run in runs_of("Банк", "Helvetica"):
        canvas.setFont(run.font, 12)
        canvas.drawString(x, 700, run.text)
    canvas.save()
    with pypdfium2.PdfDocument(buffer.getvalue()) as document:
        assert "Банк" in document[0].get_textpage().get_text_range()
