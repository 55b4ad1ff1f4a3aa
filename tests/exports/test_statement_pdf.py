"""The printed statement: everything on it, on every page what belongs there, and no character lost."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pypdfium2  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick import transparency
from tallystick.exports import ExportFormat, pdf_ink, pdf_text
from tallystick.exports.pdf_ink import Drawing
from tallystick.exports.pdf_text import REGULAR, Line, Run, _plain, _shown, fonts, lines_of, width_of
from tallystick.exports.statement_pdf import write_statement_pdf
from tests.bank import Bank, open_bank
from tests.database import cloned_database
from tests.exports.exported import DAYS, contents, export_of, live_three_days
from tests.exports.reading_back import pdf_pages
from tests.exports.test_statements import told

# Each in a script of its own; Arabic and Devanagari are not to be shown right, and so by numbers.
REFERENCES = [
    "Order 4711 für Łódź",
    "Заказ № 12",
    "Παραγγελία 7",
    "հարկ ქართული",
    "طلب 12",
    "हिन्दी",
    "\u202etxt.exe",
    "x" * 140,
]


@pytest.fixture(scope="module")
def busy(
    postgres_server: object, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bank]:
    """A bank with a statement of several pages."""
    with (
        cloned_database(postgres_server, migrated_template) as urls,  # type: ignore[arg-type]
        open_bank(urls, tmp_path_factory.mktemp("keys")) as bank,
    ):
        live_three_days(bank)
        bank.mint("HARBOUR-USD", "1234567.89")
        for number in range(40):
            reference = REFERENCES[number % len(REFERENCES)]
            bank.transfer("HARBOUR-USD", "LANTERN-USD", f"{number + 1}.00", reference=reference)
        log = transparency.Log(bank.clock, bank.key_directory, "log.example")
        transparency.integrate(bank.database, log, bank.issuer_id)
        yield bank


def printed(bank: Bank, directory: Path, **options: Any) -> list[str]:
    export = export_of(
        bank, directory, ExportFormat.PDF, account_id=bank.account_id("HARBOUR-USD"), **options
    )
    files = contents(directory, export)
    return [page for one in export.manifest["files"] for page in pdf_pages(files[one["name"]])]


def test_it_says_whose_it_is_and_how_it_stands(busy: Bank, tmp_path: Path) -> None:
    first, *_, last = printed(busy, tmp_path)

    issuer, account = busy.issuer, busy.accounts["HARBOUR-USD"]
    for told_text in (
        *(issuer.legal_name, issuer.lei, issuer.bic, "Harbour Marketplace", account.holder_id, account.id),
        *(account.reference, str(account.deposit_account_number), "Riverbank dollar"),
        "Opening balance 0.00",
        "Credits (2) 1,235,567.89",
        "Closing balance 1,234,342.89",
        "20 November 2026, 08:00:00 to 23 November 2026, 08:00:00 (UTC)",
    ):
        assert told_text in first
    assert "Totals and closing balance 1,225.00 1,235,567.89 1,234,342.89" in last
    assert "Tokens held or in escrow 0.00 0.00" in last


def test_every_page_has_its_head_and_number(busy: Bank, tmp_path: Path) -> None:
    pages = printed(busy, tmp_path)

    assert len(pages) >= 3
    for number, page in enumerate(pages, 1):
        assert page.count("Date Details Debit USD Credit USD Balance USD") == 1
        assert f"Page {number} of {len(pages)}" in page
        assert busy.issuer.legal_name in page
        assert ("Brought forward" in page) == (number > 1)
    assert [page.count("Statement of account") for page in pages] == [1] + [0] * (len(pages) - 1)


def test_every_movement_is_on_it_with_its_event(busy: Bank, tmp_path: Path) -> None:
    text = " ".join(printed(busy, tmp_path))

    statement, movements = told(busy, "HARBOUR-USD")
    assert len(movements) == 44
    for one in movements:
        assert f"Event {one.event_index} · {one.event_id}" in text
        whole, _, decimals = statement.amount(one.balance_minor).partition(".")
        assert f" {int(whole):,}.{decimals} " in text


def test_the_proof_names_the_checkpoint(busy: Bank, tmp_path: Path) -> None:
    *_, last = printed(busy, tmp_path)

    statement, _ = told(busy, "HARBOUR-USD")
    assert statement.proof is not None
    index, size = statement.last_index, statement.proof.size
    assert f"Event index {index} is covered by checkpoint log.example/{busy.issuer_id}, size {size}." in last
    assert statement.proof.root_hash in last


def test_no_character_is_dropped(busy: Bank, tmp_path: Path) -> None:
    pages = printed(busy, tmp_path)

    text = " ".join(pages)
    for shown in (*REFERENCES[:4], "[U+0637][U+0644][U+0628]", "[U+202E]txt.exe"):
        assert shown in text
    assert "[U+0939]" in text
    assert "x" * 140 in text.replace(" ", "")
    assert "can't show are written by their Unicode number" in pages[-1]


def test_without_such_characters_there_is_no_note(busy: Bank, tmp_path: Path) -> None:
    assert "Unicode number" not in printed(busy, tmp_path, until=DAYS[2])[-1]


def test_it_can_be_looked_at(busy: Bank, tmp_path: Path) -> None:
    """Ink stands where it should: nothing runs over the margins, and no font is missing."""
    export = export_of(busy, tmp_path, ExportFormat.PDF, account_id=busy.account_id("HARBOUR-USD"))
    document = pypdfium2.PdfDocument(contents(tmp_path, export)["statement_0001.pdf"])
    try:
        for number in range(len(document)):
            image = document[number].render(scale=1).to_pil().convert("L")
            width, height = image.size
            dark = image.point(lambda shade: 255 if shade < 200 else 0).getbbox()
            assert dark is not None
            left, top, right, bottom = dark
            assert left >= 40
            assert right <= width - 40
            assert top >= 40
            assert bottom <= height - 25
        metadata = document.get_metadata_dict()
    finally:
        document.close()
    assert metadata["Author"] == busy.issuer.legal_name
    assert metadata["CreationDate"] == metadata["ModDate"] == "D:20261123080000+00'00'"


def test_a_very_long_one_is_several_files(
    busy: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = printed(busy, tmp_path)
    monkeypatch.setattr(pdf_ink, "FILE_PAGES_MAX", 2)

    export = export_of(busy, tmp_path, ExportFormat.PDF, account_id=busy.account_id("HARBOUR-USD"))

    files = contents(tmp_path, export)
    names = [one["name"] for one in export.manifest["files"]]
    assert names == [f"statement_{number:04}.pdf" for number in range(1, len(names) + 1)]
    assert len(names) == (len(whole) + 1) // 2
    assert [page for name in names for page in pdf_pages(files[name])] == whole
    assert sum(one["rows"] for one in export.manifest["files"]) == 44


def test_an_enormous_amount_fits_its_column(busy: Bank, tmp_path: Path) -> None:
    statement, _ = told(busy, "HARBOUR-USD", business_date=DAYS[0].date())
    huge = replace(statement, opening=statement.opening | {"2110": 2**63 - 1})
    with busy.database.read() as connection:
        write_statement_pdf(connection, huge, tmp_path)

    [page] = pdf_pages((tmp_path / "statement_0001.pdf").read_bytes())
    assert "Opening balance 92,233,720,368,547,758.07" in page


def test_a_holder_s_name_in_any_script(busy: Bank, tmp_path: Path) -> None:
    statement, _ = told(busy, "HARBOUR-USD", business_date=DAYS[0].date())
    name = "Ёлка & Σία — Łódź " * 12
    named = replace(statement, holder=replace(statement.holder, legal_name=name))
    with busy.database.read() as connection:
        write_statement_pdf(connection, named, tmp_path)

    [page] = pdf_pages((tmp_path / "statement_0001.pdf").read_bytes())
    assert name.strip() in page


@given(st.text(max_size=60), st.integers(60, 400))
def test_lines_are_no_wider_than_asked_and_lose_nothing(text: str, width: int) -> None:
    lines = lines_of(text, REGULAR, 8, width)

    shown = "".join(run.text for line in lines for run in line.runs)
    asked = "".join(one for one in unicodedata.normalize("NFC", text) if not one.isspace())
    numbers = re.sub(r"\[U\+([0-9A-F]{4,6})\]", lambda found: chr(int(found[1], 16)), shown)
    assert "".join(one for one in numbers if one in asked and not one.isspace()) == asked
    assert all(line.complete for line in lines) == ("[U+" not in shown)
    assert all(width_of(line, 8) <= width + 0.01 for line in lines)


def test_further_fonts_show_what_the_first_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    known = fonts()
    cyrillic = frozenset(range(0x400, 0x500))
    monkeypatch.setattr(
        pdf_text, "_loaded", known | {REGULAR: known[REGULAR] - cyrillic, "further": cyrillic}
    )
    monkeypatch.setattr(pdf_text, "_width", lambda text, _, size: len(text) * size / 2)
    for cached in (_shown, _plain):
        cached.cache_clear()
    try:
        [line] = lines_of("No. Ж 1", REGULAR, 8, 400)
    finally:
        for cached in (_shown, _plain):
            cached.cache_clear()
    assert line == Line((Run(REGULAR, "No. "), Run("further", "Ж"), Run(REGULAR, " 1")), complete=True)


def test_drawing_nothing_makes_no_file(tmp_path: Path) -> None:
    drawing = Drawing(tmp_path, title="t", author="a", subject="s", made_at=DAYS[0])

    drawing.finish()

    assert drawing.files == []
    assert list(tmp_path.iterdir()) == []
